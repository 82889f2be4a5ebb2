"""The exact gradient of a cost, from the cost alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np

from gdjax.errors import UsageError
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.arithmetic import Meeting, Truth
from gdjax.verification.numbers.dual import Dual, Duals
from gdjax.verification.numbers.exact import Array, Exact
from gdjax.verification.programs.interpreter import Sides, Walk
from gdjax.verification.programs.program import Program


@dataclass(frozen=True)
class Answer:
    """The exact gradient at one point.

    `kind` is "smooth", "kink", "jump" (the cost is discontinuous there, or, under "subgradient", smooth though its
    samples are kinked: no gradient is held against it) or "undefined" (not finite). At a kink
    `gradient` follows the convention, and where all lie on one hyperplane `sides` are the two one-sided gradients,
    or, under "subgradient", the ends of what the samples' own choices give.
    """

    kind: str
    cost: Exact | None = None
    gradient: tuple[Exact, ...] = ()
    sides: tuple[tuple[Exact, ...], tuple[Exact, ...]] | None = None
    rational: bool = True


@dataclass
class Oracle:
    """Exact gradients of `cost` with respect to the arguments `wrt`, under a kink convention.

    Derivatives are carried forward as dual numbers over exact arithmetic. Where compared values tie, both sides of the
    kink are walked in step; "zero" takes, entry by entry before entries are summed, the one-sided derivatives' convex
    combination nearest to zero, "jax" what `jax.grad` gives there.
    """

    cost: Program
    wrt: tuple[int, ...]
    kinks: str = "zero"
    limit: float = 10.0
    listener: Callable[[Meeting], None] | None = None
    _grad: Program | None = field(default=None, repr=False)

    def __call__(self, args: Sequence[Any], listener: Callable[[Meeting], None] | None = None) -> Answer:
        """The gradient at a point; `listener` is told the comparisons made there."""
        shapes = [np.shape(args[i]) for i in self.wrt]
        (value,), tangents, tied = self._walk(args, [None], listener=listener or self.listener)
        if not (ex.is_finite(value).all() and all(ex.is_finite(t).all() for t in tangents)):
            return Answer("undefined", value)
        gradient = _parts(tangents[0], shapes)
        rational = value.rational and tangents[0].rational
        if not tied:
            return Answer("smooth", value, gradient, None, rational)
        return self._at_kink(args, value, shapes, tied, rational)

    def _at_kink(
        self, args: Sequence[Any], value: Exact, shapes: list[Any], tied: list[Array], rational: bool
    ) -> Answer:
        ahead = _direction(sum(int(np.prod(s, dtype=int)) for s in shapes))
        values, (one, other), _ = self._walk(args, [ahead, ex.negative(ahead)])
        if not _same(values[0], values[1]):
            return Answer("jump", value)
        first, second = _parts(one, shapes), _parts(other, shapes)
        if not all(ex.is_finite(t).all() for t in (*first, *second)):
            return Answer("undefined", value)
        single = _collinear(tied)
        smooth = _same(one, other) and (single or self._smooth_elsewhere(args, one))
        low, high = one, other
        if single and self.kinks == "subgradient":
            low, high = self._ends(args, Exact(tied[0][:, 0]), one, other)
        if smooth:
            # kinks of samples may cancel in the sum: what each chooses is then no derivative, and not wrong
            return Answer("smooth", value, first, None, rational) if _same(low, high) else Answer("jump", value)
        if self.kinks == "jax":
            return Answer("kink", value, self._jax(args), None, rational)
        settled = self._settled(args, settle)
        if single and not _between(settled, low, high):
            return Answer("jump", value)
        sides = (_parts(low, shapes), _parts(high, shapes)) if single else None
        return Answer("kink", value, _parts(settled, shapes), sides, rational)

    def _settled(self, args: Sequence[Any], how: Callable[[Sides], Sides]) -> Exact:
        ahead = _direction(sum(int(np.size(args[i])) for i in self.wrt))
        return self._walk(args, [ahead, ex.negative(ahead)], settle=how)[1][0]

    def _ends(self, args: Sequence[Any], normal: Exact, one: Exact, other: Exact) -> tuple[Exact, Exact]:
        """Of all gradients where each sample takes a side of its own of the one hyperplane, the two furthest apart."""
        ways = normal, ex.negative(normal)
        found = [one, other, *(self._settled(args, partial(settle, pick=partial(_furthest, way))) for way in ways)]
        found.sort(key=lambda end: ex.to_fractions(ex.total(ex.multiply(end, normal), (0,))).item())
        return found[0], found[-1]

    def _smooth_elsewhere(self, args: Sequence[Any], gradient: Exact) -> bool:
        other = _direction(gradient.num.size, seed=1)
        _, (tangent,), _ = self._walk(args, [other])
        return _same(tangent, gradient)

    def _walk(
        self,
        args: Sequence[Any],
        directions: list[Exact | None],
        settle: Callable[[Sides], Sides] | None = None,
        listener: Callable[[Meeting], None] | None = None,
    ) -> tuple[list[Exact], list[Exact], list[Array]]:
        sides = [Duals(d, self.cost.context(self.limit, listener)) for d in directions]
        walk = Walk(sides, settle)
        outs = self.cost.run(walk, args, inputs(args, self.cost.varying, self.wrt, len(sides)))
        out = outs[0]
        shape = out[0].shape
        if math.prod(shape) != 1 or len(outs) != 1:
            given = f"shape {shape}" if len(outs) == 1 else f"{len(outs)} arrays"
            raise UsageError(f"the cost returned {given}: give one scalar, such as the sum")
        if settle is not None:
            out = settle(out)
        count = sum(int(np.size(args[i])) for i in self.wrt)
        duals = [A.from_truth(v) if isinstance(v, Truth) else v for A, v in zip(sides, out, strict=True)]
        values = [d.value.moved(d.value.num.reshape(())) for d in duals]
        tangents = [ex.zeros((count,)) if d.tangent is None else _column(d.tangent) for d in duals]
        return values, tangents, sides[0].tied

    def _jax(self, args: Sequence[Any]) -> tuple[Exact, ...]:
        if self._grad is None:
            import jax

            grad = jax.grad(self.cost.function, self.wrt)
            self._grad = Program(grad, self.cost.varying, self.cost.wide, self.cost.work)
        walk = Walk([Duals(None)])
        outs = self._grad.run(walk, args, inputs(args, self.cost.varying, (), 1))
        return tuple(side[0].value for side in outs)


def inputs(args: Sequence[Any], varying: Sequence[int], wrt: Sequence[int], sides: int = 1) -> list[Sides]:
    """Duals of the varying arguments, with one tangent a scalar of the `wrt` among them."""
    total = sum(int(np.size(args[i])) for i in wrt)
    eye = np.eye(total, dtype=np.int64)
    found: list[Sides] = []
    offsets = {}
    offset = 0
    for i in wrt:
        offsets[i] = offset
        offset += int(np.size(args[i]))
    for i in varying:
        array = np.asarray(args[i])
        if array.dtype == bool:
            found.append((Truth(array, None, True),) * sides)
            continue
        tangent = None
        if i in offsets:
            block = eye[:, offsets[i] : offsets[i] + array.size]
            tangent = Exact(block.reshape(total, *array.shape), 1, 1)
        found.append((Dual(ex.from_array(array), tangent, True),) * sides)
    return found


def values_of(
    program: Program, args: Sequence[Any], limit: float = 10.0, listener: Callable[[Meeting], None] | None = None
) -> list[Exact]:
    """The program's outputs in exact arithmetic."""
    A = Duals(None, program.context(limit, listener))
    outs = program.run(Walk([A]), args, inputs(args, program.varying, ()))
    return [(A.from_truth(o[0]) if isinstance(o[0], Truth) else o[0]).value for o in outs]


def meetings(program: Program, args: Sequence[Any], wrt: Sequence[int], limit: float = 5.0) -> list[Meeting]:
    """Every comparison that the program makes at a point, with its derivatives along the arguments `wrt`."""
    met: list[Meeting] = []
    A = Duals(None, program.context(limit, met.append))
    program.run(Walk([A]), args, inputs(args, program.varying, wrt))
    return met


def compares(program: Program, args: Sequence[Any], place: int, limit: float = 5.0) -> bool:
    """Whether the program compares anything that depends on one of its arguments."""
    met: list[Meeting] = []
    given = inputs(args, program.varying, ())
    followed = [tuple(replace(s, depends=i == place) for s in v) for i, v in zip(program.varying, given, strict=True)]
    program.run(Walk([Duals(None, program.context(limit, met.append))]), args, followed)
    return bool(met)


def settle(sides: Sides, pick: Callable[[Exact, Exact], Exact] | None = None) -> Sides:
    """Where both sides have one value and two derivatives, the point of the segment between these nearest to zero, or
    what `pick` makes of the two."""
    if len(sides) != 2 or isinstance(sides[0], Truth):
        return sides
    a, b = sides
    if a is b or (a.tangent is None and b.tangent is None):
        return sides
    lead = (a.tangent if a.tangent is not None else b.tangent).num.shape[0]
    left = a.tangent if a.tangent is not None else ex.zeros((lead, *a.shape))
    right = b.tangent if b.tangent is not None else ex.zeros((lead, *b.shape))
    _, equal = ex.compare(a.value, b.value)
    _, agree = ex.compare(left, right)
    kinked = equal & ~np.all(agree, axis=0)
    if not kinked.any():
        return sides
    places = np.flatnonzero(kinked.reshape(-1))
    settled = (pick or _nearest_zero)(ex.take(left, places, 1), ex.take(right, places, 1))
    index = np.arange(kinked.size)
    index[places] = kinked.size + np.arange(len(places))
    index = index.reshape(kinked.shape)

    def replaced(tangent: Exact) -> Exact:
        flat = tangent.moved(tangent.num.reshape(lead, -1))
        return ex.take(ex.concatenate([flat, settled], 1), index, 1)

    return (Dual(a.value, replaced(left), a.depends), Dual(b.value, replaced(right), b.depends))


def _nearest_zero(a: Exact, b: Exact) -> Exact:
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


def _furthest(way: Exact, a: Exact, b: Exact) -> Exact:
    """Column by column, that of the two which goes further along `way`."""
    column = way.moved(way.num.reshape(-1, 1))
    ours, theirs = (ex.total(ex.multiply(end, column), (0,)) for end in (a, b))
    further, _ = ex.compare(theirs, ours)
    return ex.where(further, b, a)


def _direction(count: int, seed: int = 0) -> Exact:
    rng = np.random.default_rng([seed, count])
    return Exact(
        rng.integers(1, 1 << 20, count) * 2 + 1 if seed == 0 else rng.integers(-(1 << 20), 1 << 20, count) * 2 + 1
    )


def _column(tangent: Exact) -> Exact:
    return tangent.moved(tangent.num.reshape(tangent.num.shape[0]))


def _parts(gradient: Exact, shapes: Sequence[tuple[int, ...]]) -> tuple[Exact, ...]:
    out, offset = [], 0
    for shape in shapes:
        size = int(np.prod(shape, dtype=np.int64))
        out.append(gradient.moved(gradient.num[offset : offset + size].reshape(shape)))
        offset += size
    return tuple(out)


def _same(a: Exact, b: Exact) -> bool:
    _, equal = ex.compare(a, b)
    return bool(np.all(equal))


def _collinear(tied: Sequence[Array]) -> bool:
    """Whether all tied differences have one hyperplane: their derivatives are multiples of one vector."""
    columns = [column for rows in tied for column in rows.T.astype(object)]
    first = columns[0]
    pivot = int(np.flatnonzero(first != 0)[0])
    for column in columns[1:]:
        if any(x * first[pivot] != y * column[pivot] for x, y in zip(column, first, strict=True)):
            return False
    return True


def _between(point: Exact, a: Exact, b: Exact) -> bool:
    p, x, y = (ex.to_fractions(e).reshape(-1) for e in (point, a, b))
    small = Fraction(1, 1 << 300)
    return all(min(u, v) - small <= w <= max(u, v) + small for w, u, v in zip(p, x, y, strict=True))
