"""How far a correct float result may be from the exact one, at one input."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax.verification.arithmetic import Context, NotSupported, OutOfTime, Truth
from gdjax.verification.exact import Array
from gdjax.verification.interpreter import Sides, Walk
from gdjax.verification.program import Opaque, Program
from gdjax.verification.running import Running, RunningErrors, gamma


@dataclass(frozen=True)
class Bound:
    """`tight` is 0 where the formula is exact in floats in any order; `loose` covers other correct formulas of one
    cost and, where `tight` is 0, tells a last-digit difference from a wrong answer. `ideal` marks entries where
    autodiff of the cost rounds nothing, constants included: there a correct formula equals the exact answer."""

    tight: tuple[Array, ...]
    loose: tuple[Array, ...]
    ideal: tuple[Array, ...]


@dataclass
class Bounds:
    """Bounds from the gradient itself where it can be interpreted, else from reverse-mode autodiff of the cost."""

    gradient: Program
    reference: Program | None
    wrt: tuple[int, ...]
    dtype: Any
    limit: float = 5.0
    source: str = field(default="", init=False)

    def at(self, args: Sequence[Any], exact: Sequence[Array]) -> Bound:
        """Bounds for each output, at one input where the exact gradient is known (as floats)."""
        ideal = self._ideal(args, exact)
        for name, program in (("gradient", self.gradient), ("autodiff", self.reference)):
            if program is None or program.way == "opaque":
                continue
            try:
                plain = self._errors(program, args, False, True, False)
                slack = self._errors(program, args, False, True, True)
                loose = self._errors(program, args, True, name == "autodiff", True)
                resolved = self._errors(program, args, True, False, True)
            except (NotSupported, Opaque, OutOfTime):
                continue
            if [np.shape(p) for p in plain] != [np.shape(e) for e in exact]:
                continue
            self.source = name
            tight = [np.where(ok, p, s) for ok, p, s in zip(ideal, plain, slack, strict=True)]
            if name == "gradient" and not all(np.isfinite(t).all() for t in tight):
                tight, loose, resolved = self._finite_elsewhere(args, tight, loose, resolved)
            factor = 2.0 if name == "gradient" else 4.0
            wide = [
                factor * np.where(t == 0, r, t if name == "gradient" else np.maximum(t, w))
                for t, w, r in zip(tight, loose, resolved, strict=True)
            ]
            return Bound(tuple(tight), tuple(wide), tuple(ideal))
        self.source = "size"
        count = sum(int(np.size(a)) for a in args if isinstance(a, (np.ndarray, np.generic))) + 16
        unit = float(np.finfo(self.dtype).eps) / 2
        top = max((float(np.max(np.abs(e), initial=0.0)) for e in exact), default=0.0)
        wide = [np.full(np.shape(e), 8 * gamma(count, unit) * top) for e in exact]
        return Bound(tuple(wide), tuple(wide), tuple(ideal))

    def _ideal(self, args: Sequence[Any], exact: Sequence[Array]) -> list[Array]:
        nowhere = [np.zeros(np.shape(e), bool) for e in exact]
        if self.reference is None:
            return nowhere
        try:
            errors = self._errors(self.reference, args, False, True, True)
        except (NotSupported, Opaque, OutOfTime):
            return nowhere
        return [np.asarray(e == 0) for e in errors]

    def _finite_elsewhere(
        self,
        args: Sequence[Any],
        tight: list[Array],
        loose: list[Array],
        resolved: list[Array],
    ) -> tuple[list[Array], list[Array], list[Array]]:
        """Where the gradient divides by zero or overflows on its way, what autodiff of the cost would allow instead."""
        if self.reference is None:
            return tight, loose, resolved
        try:
            first = self._errors(self.reference, args, False, True, True)
            every = self._errors(self.reference, args, True, False, True)
        except (NotSupported, Opaque, OutOfTime):
            return tight, loose, resolved
        places = [np.isfinite(t) for t in tight]
        return (
            [np.where(ok, t, f) for ok, t, f in zip(places, tight, first, strict=True)],
            [np.where(ok, w, e) for ok, w, e in zip(places, loose, every, strict=True)],
            [np.where(ok, r, e) for ok, r, e in zip(places, resolved, every, strict=True)],
        )

    def _errors(
        self, program: Program, args: Sequence[Any], every: bool, doubts: bool, rounded_constants: bool
    ) -> list[Array]:
        context = Context(deadline=time.monotonic() + self.limit)
        A = RunningErrors(self.dtype, every, doubts, rounded_constants, context)
        outs = program.run(Walk([A]), args, running_inputs(args, program.varying))
        found = []
        for (out,) in outs:
            running = A.from_truth(out) if isinstance(out, Truth) else out
            error = np.broadcast_to(running.error, running.value.shape)
            found.append(np.where(np.isnan(error) | ~np.isfinite(running.value), np.inf, error))
        return found


def running_inputs(args: Sequence[Any], varying: Sequence[int]) -> list[Sides]:
    found: list[Sides] = []
    for i in varying:
        array = np.asarray(args[i])
        if array.dtype == bool:
            found.append((Truth(array, None, True),))
        else:
            value = array.astype(np.float64)
            found.append((Running(value, np.zeros_like(value), True),))
    return found
