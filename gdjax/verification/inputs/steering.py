"""Steer inputs onto a chosen side of a comparison, or onto the tie itself.

The exact interpreter tells, for each comparison met, the difference of what is compared and its derivative along every
input scalar. Where the difference is affine in one of them, one exact step puts it on any target; the result is
checked, never assumed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from gdjax.verification.inputs.domain import Domain
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.arithmetic import Meeting, Uninterpreted
from gdjax.verification.numbers.exact import Array
from gdjax.verification.oracle import meetings
from gdjax.verification.programs.program import Program

Args = tuple[Any, ...]


@dataclass(frozen=True)
class Steering:
    """What may be moved: the float arguments, their domains and dtype."""

    program: Program
    movable: tuple[int, ...]
    domains: tuple[Domain, ...]
    dtype: Any

    def met(self, args: Sequence[Any], slopes: bool = True) -> list[Meeting]:
        """Every comparison made at an input, with its slopes along what may be moved."""
        try:
            return meetings(self.program, args, self.movable if slopes else ())
        except Uninterpreted:
            return []

    def onto(
        self, args: Args, meeting: Meeting, element: int, target: Fraction, rng: np.random.Generator
    ) -> Iterator[Args]:
        """Inputs at which that comparison's difference is the target: one input scalar moved, exactly."""
        if meeting.difference.tangent is None:
            return
        delta = ex.to_fractions(meeting.difference.value).reshape(-1)[element]
        slopes = ex.to_fractions(ex.take(meeting.difference.tangent, np.asarray(element), 1)).reshape(-1)
        places = [k for k in np.flatnonzero(slopes != 0).tolist() if isinstance(slopes[k], Fraction)]
        rng.shuffle(places)
        if not isinstance(delta, Fraction):
            return
        places.sort(key=lambda k: (target - delta) / slopes[k] != Fraction(float((target - delta) / slopes[k])))
        for k in places[:8]:
            moved = self.shifted(args, k, (target - delta) / slopes[k])
            if moved is not None:
                yield moved

    def shifted(self, args: Args, place: int, step: Fraction) -> Args | None:
        """The arguments with one scalar, counted through all movable ones, moved by an exact step; else None."""
        for i in self.movable:
            array = np.asarray(args[i])
            if place >= array.size:
                place -= array.size
                continue
            try:
                exact = Fraction(float(array.reshape(-1)[place])) + step
                with np.errstate(over="ignore"):
                    value = self.dtype(float(exact))
            except OverflowError:
                return None
            if not np.isfinite(value):
                return None
            moved = np.array(array, copy=True)
            moved.reshape(-1)[place] = value
            if not self.domains[i].holds(moved):
                return None
            whole = list(args)
            whole[i] = as_given(moved, args[i])
            return tuple(whole)
        return None

    def aside(self, args: Args, site: str, up: bool) -> Args | None:
        """Inputs at which every element of a comparison lies on one side."""
        for _ in range(3):
            meeting = next((m for m in self.met(args) if m.site == site), None)
            if meeting is None or meeting.difference.tangent is None:
                return None
            delta = ex.to_float(meeting.difference.value).reshape(-1)
            if np.all(delta > 0 if up else delta < 0):
                return args
            slopes = ex.to_float(meeting.difference.tangent).reshape(-1, delta.size)
            uniform = np.flatnonzero(np.all(slopes > 0, axis=1) | np.all(slopes < 0, axis=1))
            moved = None
            for k in uniform.tolist():
                want = np.max((1.0 - delta if up else 1.0 + delta) / np.abs(slopes[k]))
                step = float(np.ceil(want)) * (1 if (slopes[k][0] > 0) == up else -1)
                moved = self.shifted(args, k, Fraction(step))
                if moved is not None:
                    break
            if moved is None:
                return None
            args = moved
        return None


def as_given(array: Array, example: Any) -> Any:
    """An array in the example's form: a NumPy scalar where the example is a scalar."""
    return array if isinstance(example, np.ndarray) else array.dtype.type(array[()])
