"""What a convention makes of the two sides of a kink, before the tied number is mixed with others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import partial

import numpy as np

from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.arithmetic import Sides, Truth
from gdjax.verification.numbers.dual import Dual, full, padded
from gdjax.verification.numbers.exact import Array, Exact

Pick = Callable[[Exact, Exact], Exact]

# Below this part of the products that are compared, a difference of them is the rounding of 400 bits.
_NOISE_BITS = 300


def nearest_zero(a: Exact, b: Exact) -> Exact:
    """Column by column, the point a + t (b - a), 0 <= t <= 1, nearest to zero: t = -a.(b - a) / |b - a|^2 within."""
    step = ex.subtract(b, a)
    along = ex.negative(ex.total(ex.multiply(a, step), (0,)))
    length = ex.total(ex.multiply(step, step), (0,))
    ahead, _ = ex.compare(along, ex.zeros(along.shape))
    short, _ = ex.compare(length, along)
    nearest = ex.where(ahead, b, a)
    within = np.flatnonzero(ahead & short)
    if not within.size:
        return nearest
    t = ex.divide(ex.take(along, within), ex.take(length, within))
    inner = ex.add(ex.take(a, within, 1), ex.multiply(ex.take(step, within, 1), t))
    index = np.arange(along.num.size)
    index[within] = along.num.size + np.arange(within.size)
    return ex.take(ex.concatenate([nearest, inner], 1), index, 1)


def furthest(way: Exact) -> Pick:
    """Column by column, that of the two which goes further along `way`."""
    return partial(_further, way.moved(way.num.reshape(-1, 1)))


def _further(column: Exact, a: Exact, b: Exact) -> Exact:
    ours, theirs = (ex.total(ex.multiply(end, column), (0,)) for end in (a, b))
    further, _ = ex.compare(theirs, ours)
    return ex.where(further, b, a)


@dataclass
class Settling:
    """Where both sides have one value and two derivatives, the two become what `pick` makes of them.

    So far from the tie as `step`, values are one that are no further apart than their derivatives explain. A tied
    number is settled before it is summed with other entries, and before it is added to one that moves along another
    line: a loop adds one sample to the others. What moves along the same line may be a part of its own kink, as z is in
    (z + |z|) / 2, or not, as a mean beside |w|. The whole is settled, which is noted (`shared`), unless `apart` says
    that what is beside a kink is never a part of it ("all"; two that cancel are none), or is none where it is a sum
    ("sums"). Without `joins` all
    that is added stays together.
    """

    pick: Pick = nearest_zero
    step: Fraction | None = None
    apart: str = "lines"
    joins: bool = True
    shared: bool = False

    def __call__(self, sides: Sides) -> Sides:
        """Entry by entry."""
        kinked = self._kinked(sides)
        return sides if kinked is None else self._settled(sides, kinked)

    def joined(self, a: Sides, b: Sides) -> tuple[Sides, Sides]:
        """Two numbers that will be added."""
        kinks = (self._kinked(a), self._kinked(b)) if self.joins else (None, None)
        if (kinks[0] is None and kinks[1] is None) or isinstance(a[0], Truth) or isinstance(b[0], Truth):
            return a, b
        shape = np.broadcast_shapes(a[0].shape, b[0].shape)
        rank = len(shape)
        left, right = ([padded(full(side, _lead(a, b), side.shape), rank) for side in sides] for sides in (a, b))
        ours, theirs = (np.zeros((), bool) if k is None else k for k in kinks)
        meets = ours & _moves(right), theirs & _moves(left)
        meet = meets[0] | meets[1]
        if not meet.any():
            return a, b
        jumps = [ex.subtract(*tangents) for tangents in (left, right)]
        if self.apart == "all":
            apart = meet & ~(ours & theirs & _opposite(*jumps))
        else:
            along = np.broadcast_to(np.ones((), bool), shape)
            for jump, tangents in zip(jumps, (right, left), strict=True):
                along = along & _parallel(jump, tangents[0]) & _parallel(jump, tangents[1])
            self.shared = self.shared or bool(np.any(meet & along))
            apart = meet & ~along
            if self.apart == "sums":
                apart = apart | (meets[0] & ~theirs & b[0].whole) | (meets[1] & ~ours & a[0].whole)
        found = []
        for sides, kinked in zip((a, b), kinks, strict=True):
            at = None if kinked is None else kinked & _within(apart, sides[0].shape)
            found.append(sides if at is None or not at.any() else self._settled(sides, at))
        return found[0], found[1]

    def _kinked(self, sides: Sides) -> Array | None:
        """Which entries are; None for none."""
        if len(sides) != 2 or isinstance(sides[0], Truth):
            return None
        a, b = sides
        if a is b or (a.tangent is None and b.tangent is None):
            return None
        left, right = (full(side, _lead(sides), side.shape) for side in sides)
        _, equal = ex.compare(a.value, b.value)
        if self.step is not None:
            slopes = ex.total(ex.add(ex.magnitude(left), ex.magnitude(right)), (0,))
            reach = ex.multiply(slopes, ex.from_fraction(2 * self.step))
            equal = ~ex.compare(ex.magnitude(ex.subtract(a.value, b.value)), reach)[0]
        _, agree = ex.compare(left, right)
        kinked = equal & ~np.all(agree, axis=0)
        return kinked if kinked.any() else None

    def _settled(self, sides: Sides, kinked: Array) -> Sides:
        a, b = sides
        lead = _lead(sides)
        left, right = (full(side, lead, side.shape) for side in sides)
        places = np.flatnonzero(kinked.reshape(-1))
        picked = self.pick(ex.take(left, places, 1), ex.take(right, places, 1))
        index = np.arange(kinked.size)
        index[places] = kinked.size + np.arange(len(places))
        index = index.reshape(kinked.shape)

        def replaced(tangent: Exact) -> Exact:
            flat = tangent.moved(tangent.num.reshape(lead, -1))
            return ex.take(ex.concatenate([flat, picked], 1), index, 1)

        return (Dual(a.value, replaced(left), a.depends), Dual(b.value, replaced(right), b.depends))


def _lead(*given: Sides) -> int:
    """How many parameters there are."""
    return next(side.tangent.num.shape[0] for sides in given for side in sides if side.tangent is not None)


def _moves(tangents: list[Exact]) -> Array:
    return np.logical_or.reduce([np.any(t.num != 0, axis=0) for t in tangents])


def _within(mask: Array, shape: tuple[int, ...]) -> Array:
    """Where any entry that one of this shape was spread to is marked."""
    mask = np.any(mask, axis=tuple(range(mask.ndim - len(shape))))
    spread = tuple(i for i, n in enumerate(shape) if n == 1)
    return np.broadcast_to(np.any(mask, axis=spread, keepdims=True), shape)


def _opposite(jump: Exact, other: Exact) -> Array:
    """Whether two jumps cancel: what only looks kinked, such as max(z, 0) + log1p(exp(-|z|)), is no kink."""
    rest = ex.magnitude(ex.add(jump, other))
    noise = ex.scale(ex.magnitude(jump), ex.from_fraction(Fraction(1, 2**_NOISE_BITS)))
    return ~np.any(ex.compare(rest, noise)[0], axis=0)


def _parallel(jump: Exact, tangent: Exact) -> Array:
    """Whether a derivative is a multiple of a jump of another, or of none."""
    x, y = np.broadcast_arrays(jump.num.astype(object), tangent.num.astype(object))
    first = np.argmax(x != 0, axis=0)[None]
    ours, theirs = x * np.take_along_axis(y, first, 0), y * np.take_along_axis(x, first, 0)
    apart = abs(ours - theirs)
    if jump.rational and tangent.rational:
        return np.asarray(np.all(apart == 0, axis=0), bool)
    # the most of each column, of numbers that are integers or mpmath's
    most = np.max(abs(theirs), axis=0, keepdims=True)
    return np.asarray(np.all(apart * 2**_NOISE_BITS <= most, axis=0), bool)
