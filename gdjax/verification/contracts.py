"""What any gradient function must keep, whatever its formula."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gdjax.verification.inputs.cases import Case
from gdjax.verification.numbers.exact import Array
from gdjax.verification.subject import Broken, Outcome, Subject
from gdjax.verification.telling.report import Finding


def fail(message: str, where: str = "") -> Finding:
    return Finding("contract", "fail", message, where)


def shapes_and_dtypes(
    outcome: Outcome, args: Sequence[Any], wrt: Sequence[int], names: Sequence[str]
) -> Iterator[Finding]:
    """Each output has its argument's shape, and its dtype or the one that the arguments promote to."""
    arrays = [np.asarray(a) for a in args if isinstance(a, (np.ndarray, np.generic))]
    promoted = np.result_type(*(a.dtype for a in arrays))
    for k, place in enumerate(wrt):
        out, argument = outcome.outputs[k], np.asarray(args[place])
        name = f"gradient[{k}] (d cost / d {names[place]})"
        if out.shape != argument.shape:
            yield fail(f"{name} has shape {out.shape}, its argument {argument.shape}")
        elif out.dtype not in (argument.dtype, promoted):
            yield fail(f"{name} has dtype {out.dtype}, its argument {argument.dtype}")


def untouched(outcome: Outcome, names: Sequence[str]) -> Iterator[Finding]:
    for place in outcome.changed:
        yield fail(f"the gradient changed its argument {names[place]!r} in place")


def same_bits(a: Sequence[Array], b: Sequence[Array]) -> bool:
    return all(np.array_equal(x, y, equal_nan=True) for x, y in zip(a, b, strict=True))


def repeats(subject: Subject, cases: Sequence[Case], times: int) -> Iterator[Finding]:
    """The same call again, in the same and in another order, gives the same bits, and leaves earlier results alone."""
    try:
        first = [subject(c.args) for c in cases]
        for outcome, case in zip(first, cases, strict=True):
            if not same_bits([np.asarray(h) for h in outcome.held], outcome.outputs):
                yield fail("a later call changed arrays that an earlier call had returned", case.label)
                return
        for _ in range(times):
            for outcome, case in zip(reversed(first), reversed(cases), strict=True):
                if not same_bits(subject(case.args).outputs, outcome.outputs):
                    yield fail("the same call gave another answer when repeated", case.label)
                    return
        new = subject.fresh()
        if new is not None:
            for outcome, case in zip(first, cases, strict=True):
                if not same_bits(new(case.args).outputs, outcome.outputs):
                    yield fail("a fresh copy of the gradient gave another answer", case.label)
                    return
    except Broken as error:
        yield Finding("contract", error.severity, str(error))


def contents(subject: Subject, a: Case, b: Case) -> Iterator[Finding]:
    """Arrays whose contents changed between calls are read again."""
    pairs = list(zip(a.args, b.args, strict=True))
    if a.shapes != b.shapes:
        return
    try:
        wanted = subject(b.args).outputs
        shared = [np.array(x, copy=True) if isinstance(x, np.ndarray) else x for x in a.args]
        subject(shared, fresh=False)
        for i, (_, y) in enumerate(pairs):
            if isinstance(shared[i], np.ndarray):
                shared[i][...] = y
            else:
                shared[i] = y
        if not same_bits(subject(shared, fresh=False).outputs, wanted):
            yield fail("after its arguments' contents changed in place, the gradient gave an answer that is not theirs")
    except Broken as error:
        yield Finding("contract", error.severity, str(error))


def nan_stays(
    subject: Subject,
    case: Case,
    places: Sequence[int],
    relies: Callable[[Case, int], Array | None],
    spoiled: Callable[[Sequence[Any]], bool],
    names: Sequence[str],
) -> Iterator[Finding]:
    """A NaN in data that the gradient relies on, and that autodiff of the cost lets through, is not hidden."""
    for place in places:
        used = relies(case, place)
        if used is None or not used.any():
            continue
        array = np.array(case.args[place], copy=True)
        array.reshape(-1)[int(np.flatnonzero(used.reshape(-1))[0])] = np.nan
        whole = list(case.args)
        whole[place] = array if isinstance(case.args[place], np.ndarray) else array[()]
        if not spoiled(whole):
            continue
        try:
            outputs = subject(whole).outputs
        except Broken:
            continue
        if all(np.isfinite(np.asarray(o, np.float64)).all() for o in outputs):
            yield fail(f"a NaN in {names[place]!r} is hidden: the cost is NaN there, the gradient all finite")
            return
