"""Shrink a counterexample and print it as code that runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gdjax.verification.check import Check
from gdjax.verification.inputs.cases import Case
from gdjax.verification.inputs.sizes import shape_of
from gdjax.verification.judge import Observation
from gdjax.verification.numbers.arithmetic import Uninterpreted
from gdjax.verification.subject import Broken

_WORK = 2.0
_TRIES = 120


def shrunk(check: Check, observation: Observation) -> Observation:
    """A smaller and simpler input that still fails: halves and single entries of each axis dropped, then entries set to
    0 or 1, or rounded, as long as it fails and the budget lasts."""
    if observation.formula:
        again = _judged(check, observation.case)
        if again is None or not again.failed:
            return observation
        observation = again
    last = check.work.done + _WORK
    tries = 0
    progress = True
    while progress:
        progress = False
        for case in (*_smaller(check, observation.case), *_simpler(check, observation.case)):
            tries += 1
            if tries > _TRIES or check.work.done > last:
                return observation
            found = _judged(check, case)
            if found is not None and found.failed:
                observation, progress = found, True
                break
    return observation


def _judged(check: Check, case: Case) -> Observation | None:
    try:
        answer = check.oracle(case.args)
        if answer.kind not in ("smooth", "kink"):
            return None
        if check.kinks == "subgradient" and answer.kind == "kink" and answer.sides is None:
            return None
        outputs = check.subject(case.args).outputs
        if any(o.shape != g.shape for o, g in zip(outputs, answer.gradient, strict=True)):
            return None
        return check.judge(case, answer, outputs)
    except (Uninterpreted, Broken):
        return None


def _smaller(check: Check, case: Case) -> Iterator[Case]:
    """Each named axis cut to one half or the other, or without one entry."""
    for name, size in case.sizes.items():
        half = size // 2
        cuts: list[Sequence[int]] = [range(half), range(half, size)] if size > 1 else []
        if 1 < size <= 8:
            cuts += [[i for i in range(size) if i != dropped] for dropped in range(size)]
        for kept in cuts:
            if not len(kept):
                continue
            sizes = {**case.sizes, name: len(kept)}
            whole = list(case.args)
            for i in check.cases.varying:
                array = np.asarray(case.args[i])
                for axis, label in enumerate(check.cases.spec[i]):
                    if label == name:
                        array = np.take(array, list(kept), axis)
                if array.shape == shape_of(check.cases.spec[i], sizes):
                    whole[i] = check.cases.made(i, array)
            yield Case("shrunk", tuple(whole), sizes, case.sampled)


def _simpler(check: Check, case: Case) -> Iterator[Case]:
    """One entry replaced by 0, by 1, or by the nearest integer."""
    if case.count > 64:
        return
    for i in check.cases.movable:
        array = np.asarray(case.args[i])
        for k in range(array.size):
            value = float(array.reshape(-1)[k])
            for simple in dict.fromkeys((0.0, 1.0, float(np.rint(value)))):
                if simple == value or (value == 1.0 and simple != 0.0) or value == 0.0:
                    continue
                moved = np.array(array, copy=True)
                moved.reshape(-1)[k] = simple
                if check.cases.domains[i].holds(moved):
                    whole = list(case.args)
                    whole[i] = check.cases.made(i, moved)
                    yield Case("shrunk", tuple(whole), case.sizes, case.sampled)


def code(check: Check, observation: Observation) -> str:
    """The counterexample as Python code; `cost` and `gradient` are the caller's functions."""
    exact = ", ".join(_literal(e.astype(np.float64)) for e in observation.exact)
    return f"{call(observation.case.args, check.names)}\nexact = ({exact},)"


def call(args: Sequence[Any], names: Sequence[str]) -> str:
    """A call of the gradient as Python code."""
    lines = ["import numpy as np", "", "args = ("]
    lines += [f"    {_literal(a)},  # {name}" for a, name in zip(args, names, strict=True)]
    return "\n".join([*lines, ")", "manual = gradient(*args)"])


def _literal(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"np.array({value.tolist()!r}, dtype=np.{value.dtype.name})"
    if isinstance(value, np.generic):
        return f"np.{value.dtype.name}({value.item()!r})"
    return repr(value)
