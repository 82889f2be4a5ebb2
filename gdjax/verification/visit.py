"""One input: its exact answer, then the gradient's, then both taken down."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from gdjax.verification import contracts
from gdjax.verification.inputs.cases import Case
from gdjax.verification.numbers.arithmetic import Meeting, NotSupported, Opaque, refusal
from gdjax.verification.oracle import Answer
from gdjax.verification.subject import Broken

if TYPE_CHECKING:
    from gdjax.verification.check import Check

# The gradient's own formula is run in exact arithmetic on inputs of so many numbers at most.
_MOST_EXACT = 512


class Visit:
    """Finds the exact answer at an input at once. `proceed` calls the gradient and judges it, `end` takes down what was
    found. Inputs may proceed in any order, and end in the order that was planned.
    """

    def __init__(self, check: Check, case: Case) -> None:
        self.check = check
        self.case = case
        self._found: list[Callable[[], None]] = []
        self._left = ""
        self._work = 0.0
        with self._counted():
            self._answer = self._answered()
        self.tried = self._answer is None

    def _answered(self) -> Answer | None:
        """The exact answer; None where there is none to judge by."""
        check, case = self.check, self.case
        try:
            answer = check.answer(case.args, self._listener(0))
        except (NotSupported, Opaque) as error:
            self._note("unsupported", "inconclusive", refusal(error))
            return None
        if answer is None:
            self._skip("laborious")
            return None
        unknown = check.kinks == "subgradient" and answer.kind == "kink" and answer.sides is None
        if unknown or not answer.gradient:
            self._skip(answer.kind)
            return None
        return answer

    def _skip(self, why: str) -> None:
        self._left = why
        self._found.append(partial(self.check.skip, why))

    def proceed(self) -> None:
        """Call the gradient, and judge it, if that is not done."""
        if not self.tried and self._answer is not None:
            self.tried = True
            with self._counted():
                self._try(self._answer)

    def _try(self, answer: Answer) -> None:
        check, case = self.check, self.case
        try:
            outcome = check.subject(case.args)
        except Broken as error:
            self._note("contract", error.severity, str(error))
            return
        wrong_form = [
            *contracts.shapes_and_dtypes(outcome, case.args, check.cases.wrt, check.names),
            *contracts.untouched(outcome, check.names),
        ]
        for finding in wrong_form:
            self._note(finding.kind, finding.severity, finding.message)
        if any(o.shape != g.shape for o, g in zip(outcome.outputs, answer.gradient, strict=True)):
            return
        if case.count <= _MOST_EXACT:
            exactly = check.judge_exactly(case, answer, self._listener(1))
            if exactly is not None:
                self._found.append(partial(check.record, exactly, False))
        self._found.append(partial(check.record, check.judge(case, answer, outcome.outputs)))

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        before = self.check.work.done
        yield
        self._work += self.check.work.done - before

    def _listener(self, of: int) -> Callable[[Meeting], None]:
        """Gathers comparisons for the coverage of the cost or the gradient."""
        met: list[Meeting] = []
        self._found.append(partial(self._noted, of, met))
        return met.append

    def _noted(self, of: int, met: Sequence[Meeting]) -> None:
        if self._left:
            self.check.left.add(self._left, self.case, met)
            return
        for meeting in met:
            self.check.coverage[of].note(meeting)

    def _note(self, kind: str, severity: str, message: str) -> None:
        self._found.append(partial(self.check.once, kind, severity, message, self.case.label))

    def end(self) -> Case:
        """Take down what was found."""
        self.proceed()
        for take_down in self._found:
            take_down()
        self.check.took(self.case, self._work)
        return self.case
