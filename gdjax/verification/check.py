"""One verification under way: what is fixed, what is tried, and what has been seen."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from gdjax.verification.bounds import Bound, Bounds
from gdjax.verification.coverage import Coverage
from gdjax.verification.inputs.cases import MOST_TRANSCENDENTAL, Case, Cases
from gdjax.verification.inputs.domain import Domain, signed
from gdjax.verification.inputs.steering import Steering
from gdjax.verification.judge import LastDigits, Observation, judged, judged_exactly
from gdjax.verification.leftout import LeftOut
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.arithmetic import (
    Meeting,
    NotSupported,
    Opaque,
    OutOfRange,
    OutOfWork,
    Uninterpreted,
    refusal,
)
from gdjax.verification.numbers.exact import Array
from gdjax.verification.numbers.running import RunningErrors, running_inputs
from gdjax.verification.oracle import Answer, Oracle, values_of
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.program import Program
from gdjax.verification.programs.tracers import Decided, in_jax
from gdjax.verification.subject import Broken, Subject, by_name
from gdjax.verification.telling.report import Finding, Input
from gdjax.verification.visit import Visit
from gdjax.verification.work import Work

_ALWAYS = 3
# What the first inputs of each group may bring the work to, as a part of `seconds`; and what one may take in any case.
_BEYOND, _LITTLE = 2.0, 0.05
# The part of the work that is done out of order, small enough that waiting does not decide how much is tried.
_AHEAD = 0.25
# The clock may run so much longer than the work should take, on a busy machine, before it is a hang.
_PATIENCE, _GRACE = 20.0, 60.0


@dataclass
class Check:
    """One verification under way: what is fixed, and what has been seen.

    `any_size` says that cost and gradient ask nothing of their shapes, so that one trace serves every size, and that
    the cost takes stacks of inputs and gives one of costs. `ready` says whether the gradient can be called at an input
    without waiting for what another thread does, a compilation.
    """

    cost: Callable[..., Any]
    gradient: Callable[..., Any]
    cases: Cases
    names: tuple[str, ...]
    kinks: str
    seconds: float
    label: str
    any_size: bool = False
    ready: Callable[[Case], bool] = lambda case: True
    started: float = field(default_factory=time.monotonic)
    failing: int = 0  # inputs
    findings: list[Finding] = field(default_factory=list)
    observations: list[Observation] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    last: LastDigits = field(default_factory=LastDigits)
    skipped: dict[str, int] = field(default_factory=dict)
    rejected: set[str] = field(default_factory=set)
    laborious: list[int] = field(default_factory=list)
    called: set[Any] = field(default_factory=set)
    largest: tuple[int, float] = (1, 0.0)

    def __post_init__(self) -> None:
        c = self.cases
        self.wide = c.dtype == np.float64
        self.work = Work(self.started + _GRACE + _PATIENCE * self.seconds)
        self.spec = c.spec if self.any_size and c.sizes else None
        self.program = Program(self.cost, c.varying, self.wide, self.work, self.spec)
        gradient = partial(by_name, self.gradient, tuple(self.names[i] for i in c.wrt))
        self.formula = Program(gradient, c.varying, self.wide, self.work, self.spec)
        self.oracle = Oracle(self.program, c.wrt, self.kinks)
        self.subject = Subject(gradient, len(c.wrt), self.wide, self.work)
        self.coverage = [Coverage("cost", self.program), Coverage("gradient", self.formula)]
        self.left = LeftOut(self.coverage)
        self.bounds = Bounds(self.formula, self._reference, c.wrt, c.dtype)

    def planned(self) -> Iterator[Case]:
        """What the gradient is tried on, each input once; once the work is done, the first few of each group only."""
        yield Case("example", self.cases.example, dict(self.cases.sizes), True)
        tried = set()
        for group in self._groups():
            for number, case in enumerate(group):
                if case.key in tried:
                    continue
                tried.add(case.key)
                if self.work.done > self.seconds and number >= _ALWAYS:
                    self.skip("work")
                    break
                left = _BEYOND * self.seconds - self.work.done
                if self._expected(case) > max(left, _LITTLE * self.seconds):
                    self.skip("work")
                    continue
                yield case

    def _groups(self) -> Iterator[Iterable[Case]]:
        planned: list[Iterable[Case]] = [self.cases.small(), self.cases.zeros(), self.cases.scales()]
        if self.spec is not None:
            planned = [list(group) for group in planned]
            self.bounds.expect([case.args for group in planned for case in group])
        yield from (*planned, self.cases.ladder())
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

        example, varying, wrt = self.cases.example, self.cases.varying, self.cases.wrt
        function = in_jax(self.program, example)
        program = Program(jax.grad(function, wrt), varying, self.wide, self.work, self.spec)
        if self.spec is not None:
            every = jax.grad(lambda *args: function(*args).sum(), wrt)
            many = Program(every, varying, self.wide, self.work, self.spec, many=True)
            if many.trace(many.together([example])) is not None:
                return many
        if program.trace(example) is not None:
            return program
        if self.program.way != "numpy":
            return None
        decided = Decided(self.program, wrt, self.cases.dtype)
        return decided if decided.traces(example) else None

    def probe(self) -> str | None:
        """What keeps the cost from being interpreted, or None; finds where its parameters are real."""
        try:
            answers = [self.oracle(self.cases.example)]
            self.cases = replace(self.cases, below=tuple(self._pointing()))
            for i, plan in enumerate(self.cases.plans[:6]):
                drawn = self.cases.drawn(plan, self.cases.rng(0, i))
                found = self.answer(drawn)
                answers += [] if found is None else [found]
        except NotSupported as error:
            return refusal(error)
        except Opaque as error:
            return f"the cost neither traces nor runs on exact arrays ({error})"
        except OutOfWork:
            return "the cost takes too much work in exact arithmetic"
        if not all(a.rational for a in answers):
            self.cases = replace(self.cases, most=min(self.cases.most, MOST_TRANSCENDENTAL))
        undefined = sum(a.kind == "undefined" for a in answers[1:])
        if answers[0].kind != "undefined" and undefined >= 2:
            domains = list(self.cases.domains)
            for i in self.cases.wrt:
                if domains[i] == Domain():
                    domains[i] = signed(self.cases.example[i])
            self.cases = replace(self.cases, domains=tuple(domains))
        return None

    def _pointing(self) -> Iterator[tuple[int, str]]:
        """Which integer arguments point into which named axis: with that axis cut short of them, an index fails."""
        c = self.cases
        for i in c.varying:
            array = np.asarray(c.example[i])
            if array.dtype.kind not in "iu" or c.domains[i].fixed or not array.size or array.min() < 0:
                continue
            most = int(array.max())
            for axis, size in c.sizes.items():
                if axis not in c.spec[i] and 1 <= most < size and self._fails_short(axis, most):
                    yield i, axis

    def _fails_short(self, axis: str, size: int) -> bool:
        """Whether an index of the cost, or of the gradient, is out of range at the example with an axis cut."""
        args = list(self.cases.example)
        for i in self.cases.varying:
            for k, name in enumerate(self.cases.spec[i]):
                if name == axis:
                    args[i] = np.take(args[i], range(size), k)
        floats = RunningErrors(self.cases.dtype, context=self.program.context(1.0))
        floats.context.strict = True
        try:
            self.program.run(Walk([floats]), args, running_inputs(args, self.program.varying))
            self.subject(args)
        except OutOfRange:
            return True
        except Broken as error:
            return isinstance(error.__cause__, IndexError)
        except Uninterpreted:
            return False
        return False

    def answer(self, args: Sequence[Any], listener: Callable[[Meeting], None] | None = None) -> Answer | None:
        """The exact answer; None where it takes too much work, or two inputs no larger did."""
        size = sum(int(np.size(args[i])) for i in self.cases.varying)
        if sum(other <= size for other in self.laborious) >= 2:
            return None
        try:
            return self.oracle(args, listener)
        except OutOfWork:
            self.laborious.append(size)
            return None

    def visited(self) -> Iterator[Case]:
        """Visits the planned inputs, and yields each, in order, once what came out is taken down.

        While the gradient must be waited for at one of them, the next ones are begun.
        """
        begun: deque[Visit] = deque()
        for case in self.planned():
            begun.append(Visit(self, case))
            wait = self.work.done > _AHEAD * self.seconds
            # the others wait with the first
            for visit in begun if wait or self.ready(begun[0].case) else (begun[-1],):
                self._proceed(visit, wait)
            yield from self._ended(begun)
        while begun:
            for visit in begun:
                self._proceed(visit)
            begun[0].proceed()
            yield from self._ended(begun)

    def _proceed(self, visit: Visit, wait: bool = False) -> None:
        if not visit.tried and (wait or self.ready(visit.case)):
            visit.proceed()

    @staticmethod
    def _ended(begun: deque[Visit]) -> Iterator[Case]:
        while begun and begun[0].tried:
            yield begun.popleft().end()

    def took(self, case: Case, work: float) -> None:
        """Note what an input took: the work of larger ones is foretold by the largest."""
        if case.count >= self.largest[0]:
            self.largest = case.count, work

    def _expected(self, case: Case) -> float:
        """The work that an input should take: in proportion to its numbers, which is little for what grows faster."""
        count, work = self.largest
        return work * case.count / count

    def visit(self, case: Case) -> None:
        """Judge the gradient at one input."""
        Visit(self, case).end()

    def judge(self, case: Case, answer: Answer, outputs: Sequence[Array]) -> Observation:
        """What the outputs of a call are worth."""
        if case.shapes not in self.called:
            self.called.add(case.shapes)
            self.work.add(self.formula.compilation)
        return judged(
            case, answer, outputs, lambda error: self.bound(case, answer, error), self.kinks, self.cases.dtype
        )

    def bound(self, case: Case, answer: Answer, error: Sequence[Array]) -> Bound:
        """How far a correct float result may be off at an input, where one is so far off."""
        floats = [ex.to_float(g) for g in answer.gradient]
        return self.bounds.at(case.args, floats, error, case.sampled)

    def judge_exactly(
        self, case: Case, answer: Answer, listener: Callable[[Meeting], None] | None = None
    ) -> Observation | None:
        """What the gradient's own formula is worth in exact arithmetic, where it can be interpreted."""
        if self.formula.way == "opaque":
            return None
        try:
            values = values_of(self.formula, case.args, listener=listener)
        except Uninterpreted as error:
            self.formula.way, self.formula.why = "opaque", str(error)
            return None
        if [v.shape for v in values] != [g.shape for g in answer.gradient]:
            return None
        return judged_exactly(case, answer, values, lambda error: self.bound(case, answer, error), self.kinks)

    def skip(self, why: str) -> None:
        """Count an input that cannot be judged."""
        self.skipped[why] = self.skipped.get(why, 0) + 1

    def record(self, observation: Observation, listed: bool = True) -> None:
        """Take down an observation, `listed` where it is of the floats that the gradient gave."""
        before = self.observations[-1:]
        again = any(other.case is observation.case and other.failed for other in before)
        self.last.add(observation)
        self.observations.append(observation)
        self.failing += observation.failed and not again
        if listed:
            case, last = observation.case, any(v.any() for v in observation.last)
            outcome = "wrong" if observation.failed else "last digits" if last else "right"
            error, allowed = (
                max(float(np.max(x, initial=0.0)) for x in parts) for parts in (observation.error, observation.allowed)
            )
            self.inputs.append(Input(case.label, case.sizes, outcome, error, allowed))

    def once(self, kind: str, severity: str, message: str, where: str) -> None:
        """Note a finding, unless another input gave the same."""
        if message not in self.rejected:
            self.rejected.add(message)
            self.findings.append(Finding(kind, severity, message, where))
