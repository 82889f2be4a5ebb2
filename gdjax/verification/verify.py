"""Decide whether a hand-derived gradient is right."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from gdjax.errors import UsageError
from gdjax.verification import contracts
from gdjax.verification.blackbox import taylor
from gdjax.verification.check import Check
from gdjax.verification.inputs import sizes
from gdjax.verification.inputs.cases import Case, Cases
from gdjax.verification.inputs.domain import Domain, inferred, named
from gdjax.verification.inputs.steering import as_given
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.arithmetic import Uninterpreted
from gdjax.verification.numbers.exact import Array
from gdjax.verification.oracle import compares
from gdjax.verification.telling.failure import Failure, components_of, named_entry
from gdjax.verification.telling.report import Finding, Report, worst
from gdjax.verification.telling.shrink import call
from gdjax.verification.work import Hung

KINKS = ("zero", "subgradient", "jax")
_REPEATS = 4
_ENOUGH = 40


def run(check: Check) -> Report:
    """All checks, in order of what they cost and find; inconclusive where the hang guard ends them."""
    try:
        return _run(check)
    except Hung:
        failures = [o for o in check.observations if o.failed]
        text = f"{check.elapsed:.0f} s have passed, and still it was not done; seconds= moves this guard"
        check.findings.append(Finding("note", "inconclusive", text))
        if not failures:
            return _told(check)
        text = f"the gradient is wrong at {len(failures)} of the inputs tried"
        check.findings.insert(0, Finding("value", "fail", text, failures[0].case.label))
        components, first = components_of(check, failures[0], failures[0].wrong)
        return _told(check, component=first, components=tuple(components))


def _run(check: Check) -> Report:
    unsupported = check.probe()
    if unsupported is not None:
        return _black_box(check, unsupported)
    for _ in check.visited():
        if check.failing >= _ENOUGH:
            break
    return finished(check)


def finished(check: Check) -> Report:
    """The report on what a check has seen, after the contracts."""
    _contracts(check)
    return _report(check)


def _contracts(check: Check) -> None:
    good = [o.case for o in check.observations if not o.case.sampled]
    by_shape: dict[Any, list[Case]] = {}
    for case in {id(c): c for c in good}.values():
        by_shape.setdefault(case.shapes, []).append(case)
    pairs = [group[:2] for group in by_shape.values() if len(group) > 1]
    for pair in pairs[:1] + pairs[-1:]:
        check.findings += contracts.contents(check.subject, *pair)
    chosen = [c for pair in pairs[:3] for c in pair]
    large = [case for case in check.cases.large() if case.shapes in check.called][-1:]
    check.findings += contracts.repeats(check.subject, [*chosen, *large], 1)
    if large:
        check.findings += contracts.repeats(check.subject, large, _REPEATS)
    data = [i for i in check.cases.movable if i not in check.cases.wrt and not check.cases.domains[i].whole]
    data = [i for i in data if not _compared(check, good[0], i)] if good else []
    base = next((c for c in good if c.sizes == check.cases.square), None)
    if base is not None and data:
        check.findings += contracts.nan_stays(
            check.subject, base, data, partial(_relies, check), partial(_spoiled, check), check.names
        )
    unique = {f.message: f for f in check.findings}
    check.findings[:] = unique.values()


def _relies(check: Check, case: Case, place: int) -> Array | None:
    """Which entries of an argument the exact gradient depends on at this input."""
    array = np.asarray(case.args[place])
    try:
        base = [ex.to_float(g) for g in check.oracle(case.args).gradient]
        used = np.zeros(array.shape, bool)
        for k in range(min(array.size, 8)):
            moved = np.array(array, copy=True)
            moved.reshape(-1)[k] += 0.125
            whole = list(case.args)
            whole[place] = as_given(moved, case.args[place])
            answer = check.oracle(whole)
            if answer.kind == "smooth":
                new = [ex.to_float(g) for g in answer.gradient]
                used.reshape(-1)[k] = not contracts.same_bits(base, new)
        return used
    except Uninterpreted:
        return None


def _compared(check: Check, case: Case, place: int) -> bool:
    """Whether the cost compares what an argument feeds into: a NaN there fails comparisons, and gates may close."""
    try:
        return compares(check.program, case.args, place)
    except Uninterpreted:
        return True


def _spoiled(check: Check, args: Sequence[Any]) -> bool:
    """Whether the cost gives a NaN here, and its autodiff too: a sort may put it where nothing is read."""
    try:
        programs = (check.program, check.bounds.reference)
        return all(p is not None and not check.bounds.finite(p, args) for p in programs)
    except Uninterpreted:
        return False


def _report(check: Check) -> Report:
    failures = [o for o in check.observations if o.failed]
    digits = check.last.wrong()
    if not failures and digits is not None:
        failures = [digits]
    failure = None
    if failures:
        failure = Failure.of(check, failures, digits if not any(o.failed for o in failures) else None)
        check.findings.insert(0, Finding("value", "fail", failure.message, failure.where))
    _judge_coverage(check)
    if "work" in check.skipped:
        text = f"work of {check.seconds:g} s was done before all inputs were tried; seconds= allows more"
        check.findings.append(Finding("note", "note", text))
    if check.bounds.unexplained:
        text = f"half of the digits are off at {check.bounds.unexplained} inputs, where no bound of rounding is known"
        check.findings.append(Finding("note", "inconclusive", text))
    if check.skipped.get("laborious"):
        text = f"inputs of {min(check.laborious)} numbers or more may take too much exact work, and were left out"
        check.findings.append(Finding("note", "note", text))
    # where no bound is finite, nothing was compared
    checked = sum(
        o.answer.kind != "undefined" and any(np.isfinite(a).any() for a in o.allowed) for o in check.observations
    )
    if not check.failed and checked < 3:
        why = ", ".join(f"{n} {kind}" for kind, n in check.skipped.items()) or "none was made"
        check.findings.append(Finding("note", "inconclusive", f"too few inputs could be judged ({why}); pass domain="))
    branches = tuple(b for c in check.coverage for b in c.branches())
    report = _told(check, oracles=_oracles(check), coverage=branches)
    if failure is None:
        return report
    return replace(
        report,
        component=failure.component,
        term=failure.term,
        counterexample=failure.code,
        components=failure.components,
    )


def _told(check: Check, **more: Any) -> Report:
    """The report on what was found, tried and what `more` says."""
    return Report(
        worst(f.severity for f in check.findings), tuple(check.findings), check.label,
        np.dtype(check.cases.dtype).name, check.kinks, inputs=tuple(check.inputs), seconds=check.elapsed, **more,
    )  # fmt: skip


def _judge_coverage(check: Check) -> None:
    if check.formula.way == "opaque":
        text = f"the gradient does not trace ({check.formula.why}): judged by the cost's branches"
        check.findings.append(Finding("coverage", "note", text))
    for site, why in check.left.ties().items():
        text = f"cost: {site} was a tie only at inputs that were left out: {why}"
        check.findings.append(Finding("coverage", "inconclusive", text))
    for coverage in check.coverage:
        if coverage.program.way == "opaque":
            continue
        coverage.reach(check.cases.example, check.cases.domains)
        missing = [branch for branch in coverage.branches() if branch.missing]
        if missing:
            check.left.ask(coverage)
        for branch in missing:
            left = check.left.told(branch)
            never = " and ".join(side for side in branch.missing if side not in left)
            if never:
                text = f"{branch.of}: {branch.site} was never {never}; widen the example or pass domain="
                check.findings.append(Finding("coverage", "inconclusive", text))
            for side, (severity, why) in left.items():
                text = f"{branch.of}: {branch.site} was {side} only at inputs that were left out: {why}"
                check.findings.append(Finding("coverage", severity, text))


def _oracles(check: Check) -> tuple[str, ...]:
    way = {"jaxpr": "its jaxpr", "numpy": "NumPy on exact arrays"}.get(check.program.way or "", "nothing")
    rational = all(o.answer.rational for o in check.observations)
    field_ = "rational arithmetic" if rational else f"rationals and {ex.PRECISION}-bit numbers"
    found = [f"dual numbers over {field_}, from the cost by {way}"]
    if check.formula.way != "opaque":
        found.append("the gradient's own formula in the same arithmetic, at tolerance zero")
    source = {"gradient": "the gradient's own operations", "autodiff": "reverse-mode autodiff of the cost"}
    if check.bounds.source:
        found.append(f"running error bounds (gamma_n) over {source[check.bounds.source]}")
    return tuple(found)


def _black_box(check: Check, why: str) -> Report:
    check.findings.append(Finding("unsupported", "inconclusive", why))
    cases = [check.cases.example, *(check.cases.random(p, check.cases.rng(10)) for p in check.cases.plans[1:6])]
    finding, wrong = taylor(check.cost, check.subject, cases, check.cases.wrt, check.cases.dtype)
    check.findings.append(finding)
    told: dict[str, Any] = {"oracles": ("Taylor remainders of order 2 above a noise floor",)}
    if wrong is not None:
        place = check.cases.wrt[wrong.argument]
        told["component"] = named_entry(wrong.argument, check.names[place], wrong.entry or ())
        told["counterexample"] = call(wrong.args, check.names)
    return _told(check, **told)


def checked(*args: Any, **options: Any) -> Report:
    """`gdjax.verify` for two callables; see there."""
    return run(prepared(*args, **options))


def prepared(
    cost: Callable[..., Any],
    gradient: Callable[..., Any],
    args: Sequence[Any],
    wrt: Sequence[int] = (0, 1),
    shapes: Sequence[Any] | None = None,
    dtype: Any = "float64",
    kinks: str = "zero",
    domain: Any = None,
    seconds: float = 5.0,
    label: str | None = None,
    most: int | None = None,
    any_size: bool = False,
) -> Check:
    """A verification of two callables, not yet run; of `most` and `any_size` see `Cases` and `Check`.

    Raises:
        UsageError: as `gdjax.verify` does.
    """
    kind = np.dtype(dtype)
    if kind not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise UsageError(f"dtype {dtype!r} cannot be verified: use 'float64' or 'float32'")
    if kinks not in KINKS:
        raise UsageError(f"kinks {kinks!r} is no convention: use one of {', '.join(KINKS)}")
    if not callable(cost) or not callable(gradient):
        raise UsageError("cost and gradient must be callables of the same arguments")
    if not isinstance(args, (tuple, list)):
        raise UsageError(f"args is a {type(args).__name__}: give one example as a tuple of the cost's arguments")
    example, varying = _example(args, kind.type)
    wrt = tuple(wrt)
    for place in wrt:
        if place not in range(len(example)):
            raise UsageError(f"wrt has {place}, but there are {len(example)} arguments (0 to {len(example) - 1})")
        if place not in varying or np.asarray(example[place]).dtype.kind != "f":
            raise UsageError(f"argument {place} (in wrt) is no float array: give floats where the gradient is taken")
    spec, named_sizes = sizes.parsed(shapes, example, varying)
    domains = _domains(domain, example, varying, wrt)
    fixed = [i for i in varying if domains[i].fixed]
    spec, free_sizes = sizes.held(spec, named_sizes, fixed)
    cases = Cases(example, varying, wrt, domains, spec, free_sizes, kind.type)
    if most is not None:
        cases = replace(cases, most=most)
    name = label or getattr(gradient, "__qualname__", None) or type(gradient).__name__
    check = Check(cost, gradient, cases, _names(cost, len(example)), kinks, seconds, name, any_size)
    if free_sizes != named_sizes:
        gone = ", ".join(n for n in named_sizes if n not in free_sizes)
        whose = ", ".join(check.names[i] for i in fixed)
        check.findings.append(Finding("note", "note", f"{whose} is as in the example, and so is the size of {gone}"))
    return check


def _example(args: Sequence[Any], dtype: Any) -> tuple[tuple[Any, ...], tuple[int, ...]]:
    """NumPy arrays and scalars of the dtype, and which arguments vary."""
    found: list[Any] = []
    varying = []
    for i, arg in enumerate(args):
        if isinstance(arg, (bool, int, str, bytes, type(None))) or callable(arg):
            found.append(arg)
            continue
        is_array = hasattr(arg, "__array__") and not isinstance(arg, np.generic)
        array = np.array(arg) if isinstance(arg, (list, np.generic, float)) or is_array else None
        if array is None or array.dtype.kind not in "fiub":
            found.append(arg)
            continue
        if array.dtype.kind == "f":
            array = array.astype(dtype)
        found.append(array if is_array or isinstance(arg, list) else array[()])
        varying.append(i)
    return tuple(found), tuple(varying)


def _domains(domain: Any, example: Sequence[Any], varying: Sequence[int], wrt: Sequence[int]) -> tuple[Domain, ...]:
    given: dict[int, Any] = {}
    if isinstance(domain, dict):
        given = dict(domain)
    elif domain is not None:
        if isinstance(domain, str) or len(domain) != len(example):
            raise UsageError(f"domain is {domain!r}: give a dict of argument places, or one entry for each argument")
        given = {i: d for i, d in enumerate(domain) if d is not None}
    found = []
    for i, value in enumerate(example):
        if i in given:
            found.append(named(given[i], i))
        else:
            found.append(inferred(value, i in wrt) if i in varying else Domain(fixed=True))
    return tuple(found)


def _names(cost: Callable[..., Any], count: int) -> tuple[str, ...]:
    try:
        parameters = list(inspect.signature(cost).parameters)
    except (TypeError, ValueError):
        parameters = []
    return tuple(parameters[i] if i < len(parameters) else f"args[{i}]" for i in range(count))
