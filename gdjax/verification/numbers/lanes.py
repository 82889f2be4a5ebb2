"""A derivative along each number that is compared where it ties, besides those along the parameters.

Code that branches on data, as `if z > 0` does, is another program on each side of a kink, so the sides cannot be walked
in step. Each can be walked alone, with z itself as one more parameter, wherever it comes again: what is left along the
others is the rest of the cost, and what goes along z is what the kink may change.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np

from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.dual import Compared, Dual, Duals
from gdjax.verification.numbers.exact import Array, Exact
from gdjax.verification.numbers.settling import Pick

Key = tuple[Any, ...]
# More numbers than this are not told apart.
_MOST = 32


@dataclass
class Marks:
    """The numbers that tied, by value and derivative; a number and its negative are one."""

    places: dict[Key, int] = field(default_factory=dict)
    groups: list[int] = field(default_factory=list)
    """Which of them were compared with each other."""

    @classmethod
    def of(cls, compared: Sequence[Compared]) -> Marks:
        marks = cls()
        for one in compared:
            columns = [_columns(side, one.tied) for side in (one.a, one.b) if side.tangent is not None]
            for pair in zip(*columns, strict=True):
                marks._join([marks._add(key) for key, _ in pair if key])
        return marks

    @property
    def usable(self) -> bool:
        """Whether there are some, not too many, and all are finite."""
        return 0 < len(self.groups) <= _MOST and all(isinstance(x, Fraction) for key in self.places for x in key)

    def alone(self, compared: Sequence[Compared]) -> bool:
        """Whether in one run each moves along a line of its own: the same line at the same place of the code is another
        sample's, whose numbers may be the same."""
        lines = {_line(key) for key in self.places}
        seen: set[tuple[str, Key]] = set()
        for one in compared:
            everywhere = np.ones(one.tied.shape, bool)
            columns = [_columns(side, everywhere) for side in (one.a, one.b) if side.tangent is not None]
            for pair in zip(*columns, strict=True):
                places = {(one.site, _line(key)) for key, _ in pair if key and _line(key) in lines}
                if places & seen:
                    return False
                seen |= places
        return True

    def _add(self, key: Key) -> int:
        if key not in self.places:
            self.places[key] = len(self.groups)
            self.groups.append(len(self.groups))
        return self.places[key]

    def _join(self, places: Sequence[int]) -> None:
        joined = {self.groups[i] for i in places}
        self.groups = [min(joined) if g in joined else g for g in self.groups]

    @property
    def values(self) -> set[Any]:
        return {sign * key[0] for key in self.places for sign in (1, -1)}

    def columns(self) -> Exact:
        """The derivative of each along the parameters."""
        return ex.from_object(np.array([key[1:] for key in self.places], object).T)


def _line(key: Key) -> Key:
    first = next((x for x in key[1:] if x), 1)
    return tuple(x / first for x in key[1:])


def _columns(a: Dual, mask: Array) -> list[tuple[Key, int]]:
    """For each entry that is marked, its value and derivative with the sign that makes the first of these positive, and
    that sign; no key where it does not move."""
    assert a.tangent is not None
    shape = mask.shape
    places = np.broadcast_to(np.arange(a.value.num.size).reshape(a.shape), shape)[mask]
    values = ex.to_fractions(ex.take(a.value, places))
    tangents = ex.to_fractions(ex.take(a.tangent, places, 1))
    found = []
    for value, column in zip(values, tangents.T, strict=True):
        first = next((x for x in column if x), None)
        sign = 1 if first is None or first > 0 else -1
        found.append((() if first is None else (sign * value, *(sign * x for x in column)), sign))
    return found


@dataclass
class Lanes(Duals):
    """Duals whose derivatives have one more component for each mark, after those of so many parameters."""

    marks: Marks = field(default_factory=Marks)
    parameters: int = 0

    def marked(self, a: Dual) -> Dual:
        """Its entries that are a mark moving along that alone."""
        if a.tangent is None:
            return a
        own = a.tangent.moved(a.tangent.num[: self.parameters])
        plain = np.any(own.num != 0, axis=0) & ~np.any(a.tangent.num[self.parameters :] != 0, axis=0)
        if not plain.any():
            return a
        known = [ex.compare(a.value, ex.from_fraction(v))[1] for v in self.marks.values if isinstance(v, Fraction)]
        plain = plain & np.logical_or.reduce(known)
        lead, flat = a.tangent.num.shape[0], plain.reshape(-1)
        index = np.arange(plain.size)
        columns: list[Array] = []
        for place, (key, sign) in zip(np.flatnonzero(flat), _columns(Dual(a.value, own), plain), strict=True):
            lane = self.marks.places.get(key)
            if lane is not None:
                index[place] = plain.size + len(columns)
                columns.append(sign * np.eye(lead, dtype=np.int64)[self.parameters + lane])
        if not columns:
            return a
        pool = [a.tangent.moved(a.tangent.num.reshape(lead, -1)), Exact(np.stack(columns, 1))]
        return Dual(a.value, ex.take(ex.concatenate(pool, 1), index.reshape(plain.shape), 1), a.depends)

    def add(self, a: Dual, b: Dual) -> Dual:
        return self.marked(super().add(a, b))

    def mul(self, a: Dual, b: Dual) -> Dual:
        return self.marked(super().mul(a, b))

    def div(self, a: Dual, b: Dual) -> Dual:
        return self.marked(super().div(a, b))

    def unary(self, name: str, a: Dual) -> Dual:
        return self.marked(super().unary(name, a))

    def sum(self, a: Dual, axes: tuple[int, ...]) -> Dual:
        return self.marked(super().sum(a, axes))

    def matmul(self, a: Dual, b: Dual) -> Dual:
        return self.marked(super().matmul(a, b))


@dataclass(frozen=True)
class Parted:
    """A gradient on both sides of a point: what its kinks do not touch, and the parts that they do, a column each."""

    rest: tuple[Exact, Exact]
    parts: tuple[Exact, Exact]
    doubts: int = 0
    """How many kinks of one number may have a smooth part beside them: no side is 0, nor the other's negative."""

    @classmethod
    def of(cls, marks: Marks, tangents: Sequence[Exact], parameters: int) -> Parted | None:
        """None where, of two numbers that tie, not one counts on each side: they are met elsewhere, too."""
        groups = np.array(marks.groups)
        rest, parts, used = [], [], []
        for tangent in tangents:
            rest.append(tangent.moved(tangent.num[:parameters]))
            along = tangent.moved(tangent.num[parameters:][None])
            moved = ex.multiply(marks.columns(), along)
            kept = [ex.total(moved.moved(moved.num[:, groups == g]), (1,)) for g in sorted(set(groups))]
            parts.append(ex.concatenate([k.moved(k.num[:, None]) for k in kept], 1))
            used.append(along.num[0] != 0)
        doubts = 0
        for k, group in enumerate(sorted(set(groups))):
            one, other = (u[groups == group] for u in used)
            if one.size > 1:
                if one.sum() > 1 or other.sum() > 1 or np.any(one & other):
                    return None
            elif one.any() and other.any():
                ends = [part.moved(part.num[:, k]) for part in parts]
                doubts += not np.all(ex.compare(ends[0], ex.negative(ends[1]))[1])
        return cls((rest[0], rest[1]), (parts[0], parts[1]), doubts)

    def settled(self, pick: Pick) -> Exact:
        return ex.add(self.rest[0], ex.total(pick(*self.parts), (1,)))
