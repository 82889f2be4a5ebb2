"""Work, counted: a verdict must not hang on how busy the machine is."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field


class Hung(Exception):
    """A verification took far longer than its work should: the hang guard."""


@dataclass
class Work:
    """Nominal seconds of work done: operations and entries at fixed prices, the same on every machine.

    The clock only guards against hanging: once it passes `guard` (of `time.monotonic`), `Hung` is raised.
    """

    done: float = field(default=0.0, init=False)
    guard: float = math.inf

    def add(self, seconds: float) -> None:
        self.done += seconds
        if time.monotonic() > self.guard:
            raise Hung


OPERATION = 40e-6
TRACE = 30e-3
CALL = 1e-3
# What each equation adds where there are many, as of loops that Python unrolls: to a trace, and to its compilation.
MANY = 100
TRACED, COMPILED = 0.1e-3, 2e-3
# What each equation takes of NumPy code that is traced by its decisions.
RETRACED = 0.4e-3
