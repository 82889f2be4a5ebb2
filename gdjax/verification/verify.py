"""Decide whether a hand-derived gradient is right."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax.errors import UsageError
from gdjax.verification import contracts, sizes
from gdjax.verification import exact as ex
from gdjax.verification.arithmetic import NotSupported, Opaque, OutOfWork, Uninterpreted
from gdjax.verification.blackbox import taylor
from gdjax.verification.bounds import Bound, Bounds
from gdjax.verification.cases import MOST_TRANSCENDENTAL, Case, Cases
from gdjax.verification.coverage import Coverage
from gdjax.verification.domain import Domain, inferred, named, signed
from gdjax.verification.exact import Array
from gdjax.verification.failure import Failure
from gdjax.verification.judge import LastDigits, Observation, judged, judged_exactly
from gdjax.verification.oracle import Answer, Oracle, values_of
from gdjax.verification.program import Program, wide_floats
from gdjax.verification.report import Finding, Input, Report
from gdjax.verification.steering import Steering, as_given
from gdjax.verification.subject import Broken, Subject
from gdjax.verification.tracers import as_jax
from gdjax.verification.work import Hung, Work

KINKS = ("zero", "subgradient", "jax")
_EXACT_FORMULA_WORK = 200_000
_REPEATS = 4
_ENOUGH = 40
_ALWAYS = 3
# The clock may run so much longer than the work should take, on a busy machine, before it is a hang.
_PATIENCE, _GRACE = 20.0, 60.0


@dataclass
class Check:
    """One verification under way: what is fixed, and what has been seen."""

    cost: Callable[..., Any]
    gradient: Callable[..., Any]
    cases: Cases
    names: tuple[str, ...]
    kinks: str
    seconds: float
    label: str
    started: float = field(default_factory=time.monotonic)
    failing: int = 0
    findings: list[Finding] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    last: LastDigits = field(default_factory=LastDigits)
    skipped: dict[str, int] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        c = self.cases
        self.wide = c.dtype == np.float64
        self.work = Work(self.started + _GRACE + _PATIENCE * self.seconds)
        self.program = Program(self.cost, c.varying, self.wide, self.work)
        self.formula = Program(self.gradient, c.varying, self.wide, self.work)
        self.oracle = Oracle(self.program, c.wrt, self.kinks)
        self.subject = Subject(self.gradient, len(c.wrt), self.wide, self.work)
        self.coverage = [Coverage("cost", self.program), Coverage("gradient", self.formula)]
        self.oracle.listener = self.coverage[0].note
        self.bounds = Bounds(self.formula, self._reference, c.wrt, c.dtype)
        self._autodiff: Any = None

    # The whole

    def run(self) -> Report:
        """All checks, in order of what they cost and find; inconclusive where the hang guard ends them."""
        try:
            return self._run()
        except Hung:
            text = f"{self.elapsed:.0f} s have passed, and still it was not done; seconds= moves this guard"
            self.findings.append(Finding("note", "inconclusive", text))
            dtype = np.dtype(self.cases.dtype).name
            return Report("fail" if self.failed else "inconclusive", tuple(self.findings), self.label, dtype,
                          self.kinks, inputs=tuple(self.inputs), seconds=self.elapsed)  # fmt: skip

    def _run(self) -> Report:
        unsupported = self.probe()
        if unsupported is not None:
            return self._black_box(unsupported)
        for case in self.planned():
            self.visit(case)
            if self.failing >= _ENOUGH:
                break
        self._contracts()
        return self._report()

    def planned(self) -> Iterator[Case]:
        """What the gradient is tried on; once the work is done, the first few of each group only."""
        yield Case("example", self.cases.example, dict(self.cases.sizes), True)
        for group in self._groups():
            for number, case in enumerate(group):
                if self.work.done > self.seconds and number >= _ALWAYS:
                    self.skipped["work"] = self.skipped.get("work", 0) + 1
                    break
                yield case

    def _groups(self) -> Iterator[Iterable[Case]]:
        yield from (self.cases.small(), self.cases.zeros(), self.cases.scales())
        for coverage in self.coverage:
            if coverage.program.way != "opaque":
                steering = Steering(coverage.program, self.cases.movable, self.cases.domains, self.cases.dtype)
                yield self.cases.steered(steering)
        yield from (self.cases.large(), self.cases.sampled())

    @property
    def failed(self) -> bool:
        return any(f.severity == "fail" for f in self.findings)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def _reference(self) -> Program | None:
        """Reverse-mode autodiff of the cost, where there is one."""
        import jax

        function = self.cost
        if self.program.trace(self.cases.example) is None:
            function = as_jax(self.cost, self.cases.varying)
        program = Program(jax.grad(function, self.cases.wrt), self.cases.varying, self.wide, self.work)
        return program if program.trace(self.cases.example) is not None else None

    def probe(self) -> str | None:
        """What keeps the cost from being interpreted, or None; finds where its parameters are real."""
        try:
            drawn = [self.cases.drawn(p, self.cases.rng(0, i)) for i, p in enumerate(self.cases.plans[:6])]
            answers = [self.oracle(a) for a in (self.cases.example, *drawn)]
        except NotSupported as error:
            return f"the cost uses {error}, which has no exact rule"
        except Opaque as error:
            return f"the cost neither traces nor runs on exact arrays ({error})"
        except OutOfWork:
            return "the cost takes too much work in exact arithmetic"
        if not all(a.rational for a in answers):
            self.cases = Cases(**{**vars(self.cases), "most": min(self.cases.most, MOST_TRANSCENDENTAL)})
        undefined = sum(a.kind == "undefined" for a in answers[1:])
        if answers[0].kind != "undefined" and undefined >= 2:
            domains = list(self.cases.domains)
            for i in self.cases.wrt:
                if domains[i] == Domain():
                    domains[i] = signed(self.cases.example[i])
            self.cases = Cases(**{**vars(self.cases), "domains": tuple(domains)})
        return None

    # Inputs

    def visit(self, case: Case) -> None:
        """Judge the gradient at one input."""
        try:
            answer = self.oracle(case.args)
        except (NotSupported, Opaque) as error:
            self._once("unsupported", "inconclusive", f"the cost uses {error}, which has no exact rule", case.label)
            return
        except OutOfWork:
            self.skipped["laborious"] = self.skipped.get("laborious", 0) + 1
            return
        if answer.kind in ("undefined", "jump") or (
            self.kinks == "subgradient" and answer.kind == "kink" and answer.sides is None
        ):
            self.skipped[answer.kind] = self.skipped.get(answer.kind, 0) + 1
            return
        try:
            outcome = self.subject(case.args)
        except Broken as error:
            self._once("contract", "fail", str(error), case.label)
            return
        wrong_form = [
            *contracts.shapes_and_dtypes(outcome, case.args, self.cases.wrt, self.names),
            *contracts.untouched(outcome, self.names),
        ]
        for finding in wrong_form:
            self._once(finding.kind, finding.severity, finding.message, case.label)
        if any(o.shape != g.shape for o, g in zip(outcome.outputs, answer.gradient, strict=True)):
            return
        if case.label != "large lattice" and sum(np.size(a) for a in case.args) <= 512:
            self._exact_formula(case, answer)
        self._record(self.judge(case, answer, outcome.outputs))

    def judge(self, case: Case, answer: Answer, outputs: Sequence[Array]) -> Observation:
        """What the outputs of a call are worth."""
        return judged(
            case, answer, outputs, lambda error: self.bound(case, answer, error), self.kinks, self.cases.dtype
        )

    def bound(self, case: Case, answer: Answer, error: Sequence[Array]) -> Bound:
        """How far a correct float result may be off at an input, where one is so far off."""
        floats = [ex.to_float(g) for g in answer.gradient]
        return self.bounds.at(case.args, floats, error)

    def _exact_formula(self, case: Case, answer: Answer) -> None:
        if self.formula.way == "opaque":
            return
        try:
            values = values_of(self.formula, case.args, listener=self.coverage[1].note)
        except Uninterpreted as error:
            self.formula.way, self.formula.why = "opaque", str(error)
            return
        if [v.shape for v in values] != [g.shape for g in answer.gradient]:
            return
        self._record(
            judged_exactly(case, answer, values, lambda error: self.bound(case, answer, error), self.kinks), False
        )

    def _record(self, observation: Observation, listed: bool = True) -> None:
        self.last.add(observation)
        self.observations.append(observation)
        self.failing += observation.failed
        if listed:
            ratio = (
                [float(np.max(e, initial=0.0)) for e in observation.error],
                [float(np.max(a, initial=0.0)) for a in observation.allowed],
            )
            outcome = (
                "wrong"
                if observation.failed
                else ("last digits" if any(v.any() for v in observation.last) else "right")
            )
            self.inputs.append(
                Input(observation.case.label, observation.case.sizes, outcome, max(ratio[0]), max(ratio[1]))
            )

    def _once(self, kind: str, severity: str, message: str, where: str) -> None:
        if message not in self.rejected:
            self.rejected.add(message)
            self.findings.append(Finding(kind, severity, message, where))

    # Contracts

    def _contracts(self) -> None:
        good = [o.case for o in self.observations if not o.case.sampled]
        by_shape: dict[Any, list[Case]] = {}
        for case in {id(c): c for c in good}.values():
            by_shape.setdefault(tuple(np.shape(a) for a in case.args), []).append(case)
        pairs = [group[:2] for group in by_shape.values() if len(group) > 1]
        for pair in pairs[:1] + pairs[-1:]:
            self.findings += contracts.contents(self.subject, *pair)
        chosen = [c for pair in pairs[:3] for c in pair]
        large = list(self.cases.large())[-1:]
        self.findings += contracts.repeats(self.subject, [*chosen, *large], 1)
        if large:
            self.findings += contracts.repeats(self.subject, large, _REPEATS)
        data = [i for i in self.cases.movable if i not in self.cases.wrt and not self.cases.domains[i].whole]
        data = [i for i in data if not self._compared(good[0], i)] if good else []
        base = next((c for c in good if c.sizes == self.cases.plans[min(2, len(self.cases.plans) - 1)]), None)
        if base is not None and data:
            self.findings += contracts.nan_stays(self.subject, base, data, self._relies, self._spoiled, self.names)
        unique = {f.message: f for f in self.findings}
        self.findings[:] = unique.values()

    def _relies(self, case: Case, place: int) -> Array | None:
        """Which entries of an argument the exact gradient depends on at this input."""
        array = np.asarray(case.args[place])
        try:
            base = [ex.to_float(g) for g in self.oracle(case.args).gradient]
            used = np.zeros(array.shape, bool)
            for k in range(min(array.size, 8)):
                moved = np.array(array, copy=True)
                moved.reshape(-1)[k] += 0.125
                whole = list(case.args)
                whole[place] = as_given(moved, case.args[place])
                answer = self.oracle(whole)
                if answer.kind == "smooth":
                    new = [ex.to_float(g) for g in answer.gradient]
                    used.reshape(-1)[k] = not contracts.same_bits(base, new)
            return used
        except Uninterpreted:
            return None

    def _compared(self, case: Case, place: int) -> bool:
        """Whether the cost compares what an argument feeds into: a NaN there fails comparisons, and gates may close."""
        steering = Steering(self.program, (place,), self.cases.domains, self.cases.dtype)
        return any(m.difference.tangent is not None for m in steering.met(case.args))

    def _spoiled(self, args: Sequence[Any]) -> bool:
        """Whether autodiff of the cost gives a NaN here."""
        reference = self.bounds.reference
        if reference is None:
            return False
        if self._autodiff is None:
            import jax

            self._autodiff = jax.jit(reference.function)
        with wide_floats(self.wide):
            outputs = self._autodiff(*args)
        return any(not np.isfinite(np.asarray(o)).all() for o in outputs)

    # The end

    def _report(self) -> Report:
        failures = [o for o in self.observations if o.failed]
        digits = self.last.wrong()
        if not failures and digits is not None:
            failures = [digits]
        failure = None
        if failures:
            failure = Failure.of(self, failures, digits if not any(o.failed for o in failures) else None)
            self.findings.insert(0, Finding("value", "fail", failure.message, failure.where))
        self._judge_coverage()
        if "work" in self.skipped:
            text = f"work of {self.seconds:g} s was done before all inputs were tried; seconds= allows more"
            self.findings.append(Finding("note", "note", text))
        checked = sum(o.answer.kind != "undefined" for o in self.observations)
        if not self.failed and checked < 3:
            why = ", ".join(f"{n} {kind}" for kind, n in self.skipped.items()) or "none was made"
            self.findings.append(
                Finding("note", "inconclusive", f"too few inputs could be judged ({why}); pass domain=")
            )
        severities = {f.severity for f in self.findings}
        verdict = "fail" if "fail" in severities else "inconclusive" if "inconclusive" in severities else "pass"
        return Report(
            verdict, tuple(self.findings), self.label, np.dtype(self.cases.dtype).name, self.kinks,
            failure.component if failure else None,
            failure.term if failure else None,
            failure.code if failure else None,
            failure.components if failure else (),
            tuple(self.inputs), self._oracles(),
            tuple(b for c in self.coverage for b in c.branches()),
            self.elapsed,
        )  # fmt: skip

    def _judge_coverage(self) -> None:
        if self.formula.way == "opaque":
            text = f"the gradient does not trace ({self.formula.why}): judged by the cost's branches"
            self.findings.append(Finding("coverage", "note", text))
        for coverage in self.coverage:
            if coverage.program.way == "opaque":
                continue
            coverage.reach(self.cases.example, self.cases.domains)
            for branch in coverage.branches():
                if branch.missing:
                    sides = " and ".join(branch.missing)
                    text = f"{branch.of}: {branch.site} was never {sides}; widen the example or pass domain="
                    self.findings.append(Finding("coverage", "inconclusive", text))

    def _oracles(self) -> tuple[str, ...]:
        way = {"jaxpr": "its jaxpr", "numpy": "NumPy on exact arrays"}.get(self.program.way or "", "nothing")
        rational = all(o.answer.rational for o in self.observations)
        field_ = "rational arithmetic" if rational else f"rationals and {ex.PRECISION}-bit numbers"
        found = [f"dual numbers over {field_}, from the cost by {way}"]
        if self.formula.way != "opaque":
            found.append("the gradient's own formula in the same arithmetic, at tolerance zero")
        source = {"gradient": "the gradient's own operations", "autodiff": "reverse-mode autodiff of the cost"}
        found.append(f"running error bounds (gamma_n) over {source.get(self.bounds.source, 'sizes alone')}")
        return tuple(found)

    def _black_box(self, why: str) -> Report:
        self.findings.append(Finding("unsupported", "inconclusive", why))
        cases = [self.cases.example, *(self.cases.random(p, self.cases.rng(10)) for p in self.cases.plans[1:6])]
        self.findings += taylor(self.cost, self.subject, cases, self.cases.wrt, self.cases.dtype)
        verdict = "fail" if self.failed else "inconclusive"
        dtype = np.dtype(self.cases.dtype).name
        oracles = ("Taylor remainders of order 2 above a noise floor",)
        return Report(
            verdict, tuple(self.findings), self.label, dtype, self.kinks, oracles=oracles, seconds=self.elapsed
        )


def checked(*args: Any, **options: Any) -> Report:
    """`gdjax.verify` for two callables; see there."""
    return prepared(*args, **options).run()


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
) -> Check:
    """A verification of two callables, not yet run.

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
    cases = Cases(example, varying, wrt, _domains(domain, example, varying, wrt), spec, named_sizes, kind.type)
    if most is not None:
        cases = Cases(**{**vars(cases), "most": most})
    name = label or getattr(gradient, "__qualname__", None) or type(gradient).__name__
    return Check(cost, gradient, cases, _names(cost, len(example)), kinks, seconds, name)


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
