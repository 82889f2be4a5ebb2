"""Which outcomes of each comparison were met."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax.verification.inputs.domain import Domain
from gdjax.verification.numbers.arithmetic import Meeting, Sides, Truth, Uninterpreted
from gdjax.verification.numbers.interval import Interval, Intervals
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.program import Program
from gdjax.verification.programs.sites import JAXS, line_of
from gdjax.verification.telling.report import Branch

# Beyond this an unmet outcome would need numbers that no training meets.
_WIDEST = 1e30


@dataclass
class Coverage:
    """The comparisons of one program, gathered over inputs."""

    of: str
    program: Program
    met: dict[str, set[str]] = field(default_factory=dict)
    possible: dict[str, set[bool]] = field(default_factory=dict)

    def note(self, meeting: Meeting) -> None:
        """Take down what one comparison gave."""
        if not meeting.value.size:
            return
        seen = self.met.setdefault(meeting.site, set())
        if meeting.value.any():
            seen.add("true")
        if not meeting.value.all():
            seen.add("false")
        if meeting.ties.any():
            seen.add("tie")

    def reach(self, args: Sequence[Any], domains: Sequence[Domain]) -> None:
        """Prove outcomes impossible for inputs of these domains, by intervals."""
        boxes: list[Sides] = []
        for i in self.program.varying:
            array = np.asarray(args[i])
            if array.dtype == bool:
                boxes.append((Truth(array, np.ones(array.shape, bool), True),))
                continue
            domain = domains[i]
            low, high = (array, array) if domain.fixed else (domain.low, domain.high)
            low, high = np.maximum(low, -_WIDEST), np.minimum(high, _WIDEST)
            low, high = (np.broadcast_to(end, array.shape).astype(float) for end in (low, high))
            above, below = (np.asarray(not domain.zero and end == 0) for end in (domain.low, domain.high))
            boxes.append((Interval(low, high, True, above, below),))
        A = Intervals()
        try:
            self.program.run(Walk([A]), args, boxes)
        except (Uninterpreted, RecursionError):
            return
        for site, outcomes in A.outcomes.items():
            self.possible.setdefault(site, set()).update(outcomes)

    def branches(self) -> tuple[Branch, ...]:
        """Each comparison; those that stand at some sizes alone, as in a loop over rows, count as one for each line."""
        everywhere = self.program.sites()
        groups: dict[str, list[str]] = {}
        for site in self.met:
            name = site if everywhere is None or site in everywhere else f"{line_of(site)}, at some sizes"
            groups.setdefault(name, []).append(site)
        return tuple(self._branch(name, sites) for name, sites in groups.items())

    def _branch(self, name: str, sites: Sequence[str]) -> Branch:
        seen = set[str]().union(*(self.met[site] for site in sites))
        known = [self.possible[site] for site in sites if site in self.possible]
        possible = set[bool]().union(*known) if known else {True, False}
        wanted = [str(side).lower() for side in (True, False)]
        impossible = tuple(w for w in wanted if (w == "true") not in possible)
        missing = tuple(w for w in wanted if w not in seen and w not in impossible)
        return Branch(name, self.of, tuple(sorted(seen)), () if name.startswith(JAXS) else missing, impossible)
