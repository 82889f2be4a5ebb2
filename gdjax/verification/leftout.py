"""Inputs at which no gradient was judged, and what the programs compared there alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from gdjax.verification.coverage import Coverage
from gdjax.verification.inputs.cases import Case
from gdjax.verification.numbers.arithmetic import Meeting, Uninterpreted
from gdjax.verification.oracle import values_of
from gdjax.verification.telling.report import Branch

_WHY = {
    "undefined": "the cost or its slope is not finite there",
    "jump": "the cost jumps there",
    "cancelling": "kinks of samples cancel there, or lie on one line",
    "unsettled": "the slope is a limit there, which was not found",
    "mixed": "the code branches there on what ties, and its parts cannot be told apart",
    "kink": "several kinks meet there",
    "laborious": "they take too much exact work",
}
# There the cost has no gradient, that any could be held against.
_NONE_TO_JUDGE = {"undefined", "jump"}
# So many inputs, of so many numbers, are tried again to learn what a gradient compares there.
_MOST_AGAIN, _MOST_NUMBERS = 32, 512


@dataclass
class LeftOut:
    """By why they were left out. `coverages` are those of the cost and of the gradient at the other inputs."""

    coverages: Sequence[Coverage]
    cases: dict[str, list[Case]] = field(default_factory=dict)
    met: dict[tuple[str, str], Coverage] = field(default_factory=dict)

    def add(self, why: str, case: Case, meetings: Iterable[Meeting]) -> None:
        """Take down an input, and what the cost compared there."""
        self.cases.setdefault(why, []).append(case)
        note = self._note(self.coverages[0], why)
        for meeting in meetings:
            note(meeting)

    def _note(self, coverage: Coverage, why: str) -> Callable[[Meeting], None]:
        key = coverage.of, why
        if key not in self.met:
            self.met[key] = replace(coverage, met={})
        return self.met[key].note

    def ask(self, coverage: Coverage) -> None:
        """Find what the gradient compares at the inputs that were left out."""
        if coverage is self.coverages[0]:
            return
        for why, cases in self.cases.items():
            note = self._note(coverage, why)
            for case in [c for c in cases if c.count <= _MOST_NUMBERS][:_MOST_AGAIN]:
                try:
                    values_of(coverage.program, case.args, listener=note)
                except Uninterpreted:
                    continue

    def told(self, branch: Branch) -> dict[str, tuple[str, str]]:
        """Of its outcomes that are missing, those that were met where inputs were left out: how severe, and why."""
        found: dict[str, set[str]] = {}
        for (of, why), coverage in self.met.items():
            there = [b.met for b in coverage.branches() if of == branch.of and b.site == branch.site]
            for side in branch.missing:
                if any(side in met for met in there):
                    found.setdefault(side, set()).add(why)
        return {
            side: (_severity(branch, whys), " or ".join(_WHY[w] for w in sorted(whys))) for side, whys in found.items()
        }

    def ties(self) -> dict[str, str]:
        """Of the cost's comparisons, those that tied only where the code could not be followed, and why."""
        cost = self.coverages[0]
        elsewhere = {b.site for b in cost.branches() if "tie" in b.met}
        there = self.met.get((cost.of, "mixed"))
        tied = [] if there is None else [b.site for b in there.branches() if "tie" in b.met]
        return {site: _WHY["mixed"] for site in tied if site not in elsewhere}


def _severity(branch: Branch, whys: set[str]) -> str:
    """A note where the cost has no gradient. A branch of the gradient may be taken elsewhere too, unless it asks for
    equal numbers, as the tie does."""
    sure = branch.of == "cost" or branch.site.startswith(("eq ", "ne "))
    return "note" if sure and whys <= _NONE_TO_JUDGE else "inconclusive"
