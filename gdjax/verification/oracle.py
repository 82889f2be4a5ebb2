"""The exact gradient of a cost, from the cost alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from gdjax.errors import UsageError
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.arithmetic import Meeting, NotSupported, Sides, Truth
from gdjax.verification.numbers.dual import Compared, Dual, Duals
from gdjax.verification.numbers.exact import Array, Exact
from gdjax.verification.numbers.lanes import Lanes, Marks, Parted
from gdjax.verification.numbers.limits import NOISE, NoLimit, limit
from gdjax.verification.numbers.settling import Settling, furthest
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.program import Program
from gdjax.verification.programs.tracers import in_jax

# A step next to a point, and the part of a slope that may change by it.
_NEAR, _NEARLY = Fraction(1, 1 << 64), Fraction(1, 1 << 40)


class _Mixed(Exception):
    """See `Answer`."""


@dataclass(frozen=True)
class Answer:
    """The exact gradient at one point.

    `kind` is "smooth", "kink", "jump" (the cost is discontinuous there), "cancelling" (it is smooth though its samples
    are kinked, or these lie on one line: what the convention makes of each adds up to no gradient of the cost),
    "undefined" (not finite), "unsettled" (it is a limit, which could not be found) or "mixed" (the code branches on
    what ties, and what each sample adds is not known). Of these all but the first two have no `gradient`.

    At a kink `gradient` follows the convention, and where all lie on one hyperplane `sides` are the two one-sided
    gradients, or, under "subgradient", the ends of what the samples' own choices give. A gradient that is a limit is
    known to within `blur`. `also` are other readings: a kink taken alone, where `gradient` takes it with what moves
    along the same line, gives 2 + 0 for 2 w + |w|, of which the whole has 1.
    """

    kind: str
    cost: Exact | None = None
    gradient: tuple[Exact, ...] = ()
    sides: tuple[tuple[Exact, ...], tuple[Exact, ...]] | None = None
    rational: bool = True
    blur: tuple[Exact, ...] = ()
    also: tuple[tuple[Exact, ...], ...] = ()


@dataclass
class _Walked:
    """The cost and its gradient on each side, what tied, and whether anything `rests` there (see `Duals`); `off` and
    `blur` are how far off cost and gradient may be."""

    values: list[Exact]
    tangents: list[Exact]
    tied: list[Array]
    rests: bool
    off: Exact
    blur: Exact
    also: list[Exact] = field(default_factory=list)

    @property
    def finite(self) -> bool:
        return all(ex.is_finite(a).all() for a in (*self.values, *self.tangents))


@dataclass
class Oracle:
    """Exact gradients of `cost` with respect to the arguments `wrt`, under a kink convention.

    Derivatives are carried forward as dual numbers over exact arithmetic. Where compared values tie, both sides of the
    kink are walked in step; "zero" takes, entry by entry before entries are summed, the one-sided derivatives' convex
    combination nearest to zero, "jax" what `jax.grad` gives there. A side whose formula is 0 / 0 at the tie, as that of
    `where(x == 0, 1, sin(x) / x)` is, is walked next to it: its derivatives are limits.
    """

    cost: Program
    wrt: tuple[int, ...]
    kinks: str = "zero"
    limit: float = 10.0
    _grad: Program | None = field(default=None, repr=False)

    def __call__(self, args: Sequence[Any], listener: Callable[[Meeting], None] | None = None) -> Answer:
        """The gradient at a point; `listener` is told the comparisons made there."""
        shapes = [np.shape(args[i]) for i in self.wrt]
        here = self._walk(args, [None], listener=listener)
        value, tangent = here.values[0], here.tangents[0]
        if not here.finite:
            return Answer("undefined", value)
        rational = value.rational and tangent.rational
        if not (here.tied or here.rests):
            return Answer("smooth", value, _parts(tangent, shapes), None, rational)
        try:
            return self._at_kink(args, here, shapes, rational)
        except NoLimit as none:
            return Answer(none.kind, value)
        except _Mixed:
            return Answer("mixed", value)

    def _at_kink(self, args: Sequence[Any], here: _Walked, shapes: list[Any], rational: bool) -> Answer:
        value, tied = here.values[0], here.tied
        ahead = _direction(here.tangents[0].num.size)
        directions = [ahead, ex.negative(ahead)]
        walk: Callable[..., _Walked] = self._walk
        both = walk(args, directions) if tied else replace(here, values=here.values * 2, tangents=here.tangents * 2)
        slack = both.off
        beside = self._limits(args, directions, both, here.rests or both.rests)
        if beside is not None:
            both, walk, rational = beside, self._beside, False
            slack = ex.add(both.off, self._rounding(args, value))
        elif not tied:
            return Answer("smooth", value, _parts(here.tangents[0], shapes), None, rational)
        one, other = both.tangents
        if not (_within(both.values[0], both.values[1], both.off) and _within(both.values[0], value, slack)):
            return Answer("jump", value)
        # what rests tells no hyperplane of its own
        told = bool(tied) and (beside is None or not beside.rests)
        single = one.num.size == 1 or (told and _collinear(tied))
        smooth = _within(one, other, both.blur) and (single or self._smooth_elsewhere(args, both, walk))
        low, high = one, other
        if single and self.kinks == "subgradient":
            low, high = self._ends(args, Exact(tied[0][:, 0]) if tied else ahead, one, other, walk)
        if smooth:
            # kinks of samples may cancel in the sum: what each chooses is then no derivative, and not wrong
            if not _within(low, high, both.blur) or (beside is None and self._cancels(args, directions, one)):
                return Answer("cancelling", value)
            return Answer("smooth", value, _parts(one, shapes), None, rational, _parts(both.blur, shapes))
        if self.kinks == "jax":
            return Answer("kink", value, self._jax(args), None, rational)
        settling = Settling()
        settled = self._settled(args, directions, settling, walk)
        if single and not _between(settled.tangents[0], low, high, settled.blur):
            return Answer("cancelling", value)
        sides = (_parts(low, shapes), _parts(high, shapes)) if single else None
        gradient, blur, also = settled.tangents[0], settled.blur, settled.also
        if settling.shared and self.kinks == "zero":
            also = [walk(args, directions, Settling(apart=apart)).tangents[0] for apart in ("all", "sums")]
            if single and not _between(also[0], low, high, blur):
                if _within(also[1], gradient, blur):
                    return Answer("cancelling", value)
                del also[0]
        also = [g for g in also if not (_within(g, gradient, blur) or (single and not _between(g, low, high, blur)))]
        others = tuple(_parts(g, shapes) for g in also) if self.kinks == "zero" else ()
        return Answer("kink", value, _parts(gradient, shapes), sides, rational, _parts(blur, shapes), others)

    def _limits(self, args: Sequence[Any], directions: Sequence[Exact], both: _Walked, rests: bool) -> _Walked | None:
        """Limits in place of what was found at the tie, where that is not finite, or is not what is next to it."""
        if both.finite:
            if not rests:
                return None
            near = self._walk(args, directions, step=_NEAR)
            if near.finite and all(_close(t, n) for t, n in zip(both.tangents, near.tangents, strict=True)):
                return None
        found = self._beside(args, directions)
        same = both.finite and all(
            _within(t, f, found.blur) for t, f in zip(both.tangents, found.tangents, strict=True)
        )
        return None if same else replace(found, rests=rests)

    def _rounding(self, args: Sequence[Any], value: Exact) -> Exact:
        """How far a constant in the place of a limit, such as 1/3, may be off for its digits, if it is no large one."""
        digits = float(np.finfo(np.asarray(args[self.wrt[0]]).dtype).eps)
        return ex.from_array(digits * min(16 * abs(float(ex.to_float(value))), 4096.0))

    def _ends(
        self, args: Sequence[Any], normal: Exact, one: Exact, other: Exact, walk: Callable[..., _Walked]
    ) -> tuple[Exact, Exact]:
        """Of all gradients where each sample takes a side of its own of the one hyperplane, the two furthest apart."""
        ahead = _direction(one.num.size)
        found, directions = [one, other], [ahead, ex.negative(ahead)]
        for way in (normal, ex.negative(normal)):
            for joins in (True, False):  # what is added may be turned round later
                found += self._settled(args, directions, Settling(furthest(way), joins=joins), walk).tangents[:1]
        found.sort(key=lambda end: ex.to_fractions(ex.total(ex.multiply(end, normal), (0,))).item())
        return found[0], found[-1]

    def _settled(
        self, args: Sequence[Any], directions: Sequence[Exact], way: Settling, walk: Callable[..., _Walked]
    ) -> _Walked:
        """The sides walked in step, or, where data decide what the code does, each alone."""
        try:
            return walk(args, directions, way)
        except NotSupported as error:
            found = self._parted(args, directions) if walk == self._walk else None
            if found is None:
                raise _Mixed from error
            picked = found.settled(way.pick)
            sides = [found.settled(pick) for pick in (lambda a, b: a, lambda a, b: b)] if found.doubts else []
            return _Walked([], [picked], [], False, ex.zeros(()), ex.zeros(picked.shape), sides)

    def _parted(self, args: Sequence[Any], directions: Sequence[Exact]) -> Parted | None:
        """The gradients on both sides by the numbers that tie; None where these are not all that changes there."""
        runs: list[list[Compared]] = []
        for way in (None, *directions):
            runs.append([])
            A = Duals(way, self.cost.context(self.limit), compared=runs[-1])
            self.cost.run(Walk([A]), args, inputs(args, self.cost.varying, self.wrt))
        marks = Marks.of([one for run in runs for one in run])
        if not (marks.usable and all(map(marks.alone, runs))):
            return None
        count = sum(int(np.size(args[i])) for i in self.wrt)
        tangents = []
        for way in directions:
            steps = ex.matmul(way.moved(way.num[None]), marks.columns())
            along = ex.concatenate([way, steps.moved(steps.num[0])], 0)
            A = Lanes(along, self.cost.context(self.limit), marks=marks, parameters=count)
            given = inputs(args, self.cost.varying, self.wrt, more=len(marks.groups))
            if any(A.marked(d) is not d for (d,) in given if isinstance(d, Dual)):
                return None  # a parameter: all of the cost goes along it
            (out,), *_ = self.cost.run(Walk([A]), args, given)
            moved = None if isinstance(out, Truth) else out.tangent
            tangents.append(ex.zeros((count + len(marks.groups),)) if moved is None else _column(moved))
        found = Parted.of(marks, tangents, count)
        if found is None or found.doubts > 1 or not _within(*found.rest, ex.zeros(found.rest[0].shape)):
            return None
        return found

    def _cancels(self, args: Sequence[Any], directions: Sequence[Exact], gradient: Exact) -> bool:
        """Whether what the convention makes of each sample is not the derivative of a cost that has one."""
        if self.kinks != "zero":
            return False
        try:
            found = self._settled(args, directions, Settling(), self._walk).tangents[0]
        except _Mixed:
            return False
        return not _within(found, gradient, ex.zeros(gradient.shape))

    def _smooth_elsewhere(self, args: Sequence[Any], both: _Walked, walk: Callable[..., _Walked]) -> bool:
        gradient = both.tangents[0]
        found = walk(args, [_direction(gradient.num.size, seed=1)])
        return _within(found.tangents[0], gradient, ex.add(found.blur, both.blur))

    def _beside(self, args: Sequence[Any], directions: Sequence[Exact], settle: Settling | None = None) -> _Walked:
        """What `_walk` gives at the tie, as limits of what it gives next to it.

        Raises:
            NoLimit: see there.
        """

        def at(step: Fraction) -> Exact:
            found = self._walk(args, directions, settle, step=step)
            pairs = zip(found.values, found.tangents, strict=True)
            return ex.concatenate([part for v, t in pairs for part in (v.moved(v.num.reshape(1)), t)], 0)

        found, grain = limit(at)
        rows = found.moved(found.num.reshape(len(directions), -1))
        grains = grain.moved(grain.num.reshape(len(directions), -1))
        widest = ex.total(grains, (0,))
        values = [rows.moved(rows.num[i, :1].reshape(())) for i in range(len(directions))]
        tangents = [rows.moved(row[1:]) for row in rows.num]
        off = widest.moved(widest.num[:1].reshape(()))
        return _Walked(values, tangents, [], False, off, widest.moved(widest.num[1:]))

    def _walk(
        self,
        args: Sequence[Any],
        directions: Sequence[Exact | None],
        settle: Settling | None = None,
        listener: Callable[[Meeting], None] | None = None,
        step: Fraction | None = None,
    ) -> _Walked:
        """On the sides that the directions say; so far along them where there is a `step`."""
        ways: Sequence[Exact | None] = directions if step is None else [None] * len(directions)
        if settle is not None and step is not None:
            settle.step = step
        sides = [Duals(way, self.cost.context(self.limit, listener)) for way in ways]
        given = inputs(args, self.cost.varying, self.wrt, len(sides))
        if step is not None:
            given = self._moved(given, args, [_times(d, step) for d in directions if d is not None])
        try:
            outs = self.cost.run(Walk(sides, settle), args, given)
        except NotSupported:
            if settle is not None or len(sides) == 1:
                raise
            # what data decide is walked one way on each side
            alone = [self.cost.run(Walk([A]), args, [v[i : i + 1] for v in given]) for i, A in enumerate(sides)]
            outs = [sum(column, ()) for column in zip(*alone, strict=True)]
        out = outs[0]
        shape = out[0].shape
        if math.prod(shape) != 1 or len(outs) != 1:
            found = f"shape {shape}" if len(outs) == 1 else f"{len(outs)} arrays"
            raise UsageError(f"the cost returned {found}: give one scalar, such as the sum")
        if settle is not None:
            out = settle(out)
        count = sum(int(np.size(args[i])) for i in self.wrt)
        duals = [A.from_truth(v) if isinstance(v, Truth) else v for A, v in zip(sides, out, strict=True)]
        values = [d.value.moved(d.value.num.reshape(())) for d in duals]
        tangents = [ex.zeros((count,)) if d.tangent is None else _column(d.tangent) for d in duals]
        return _Walked(values, tangents, sides[0].tied, any(A.rests for A in sides), ex.zeros(()), ex.zeros((count,)))

    def _moved(self, given: list[Sides], args: Sequence[Any], steps: Sequence[Exact]) -> list[Sides]:
        """The inputs, each side's parameters moved by its step."""
        shapes = [np.shape(args[i]) for i in self.wrt]
        parts = [dict(zip(self.wrt, _parts(step, shapes), strict=True)) for step in steps]
        return [
            tuple(replace(d, value=ex.add(d.value, p[i])) for d, p in zip(sides, parts, strict=True))
            if i in self.wrt
            else sides
            for i, sides in zip(self.cost.varying, given, strict=True)
        ]

    def _jax(self, args: Sequence[Any]) -> tuple[Exact, ...]:
        if self._grad is None:
            import jax

            grad = jax.grad(in_jax(self.cost, args), self.wrt)
            self._grad = Program(grad, self.cost.varying, self.cost.wide, self.cost.work)
        walk = Walk([Duals(None)])
        outs = self._grad.run(walk, args, inputs(args, self.cost.varying, (), 1))
        return tuple(side[0].value for side in outs)


def inputs(
    args: Sequence[Any], varying: Sequence[int], wrt: Sequence[int], sides: int = 1, more: int = 0
) -> list[Sides]:
    """Duals of the varying arguments, with one tangent a scalar of the `wrt` among them, and so many `more`."""
    count = sum(int(np.size(args[i])) for i in wrt)
    total = count + more
    eye = np.eye(total, count, dtype=np.int64)
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


def _direction(count: int, seed: int = 0) -> Exact:
    rng = np.random.default_rng([seed, count])
    return Exact(
        rng.integers(1, 1 << 20, count) * 2 + 1 if seed == 0 else rng.integers(-(1 << 20), 1 << 20, count) * 2 + 1
    )


def _times(direction: Exact, step: Fraction) -> Exact:
    """A step whose longest entry is that."""
    longest = int(np.abs(direction.num).max(initial=1))
    return ex.multiply(direction, ex.from_fraction(step / longest))


def _column(tangent: Exact) -> Exact:
    return tangent.moved(tangent.num.reshape(tangent.num.shape[0]))


def _parts(gradient: Exact, shapes: Sequence[tuple[int, ...]]) -> tuple[Exact, ...]:
    out, offset = [], 0
    for shape in shapes:
        size = int(np.prod(shape, dtype=np.int64))
        out.append(gradient.moved(gradient.num[offset : offset + size].reshape(shape)))
        offset += size
    return tuple(out)


def _within(a: Exact, b: Exact, blur: Exact) -> bool:
    """Whether they are the same, but for that."""
    _, equal = ex.compare(a, b)
    apart, _ = ex.compare(ex.magnitude(ex.subtract(a, b)), blur)
    return bool(np.all(equal | ~apart))


def _close(a: Exact, b: Exact) -> bool:
    """Whether each entry of b is that of a but for what so small a step explains."""
    room = ex.add(ex.multiply(ex.magnitude(a), ex.from_fraction(_NEARLY)), ex.from_fraction(NOISE))
    apart, _ = ex.compare(ex.magnitude(ex.subtract(a, b)), room)
    return not np.any(apart)


def _collinear(tied: Sequence[Array]) -> bool:
    """Whether all tied differences have one hyperplane: their derivatives are multiples of one vector."""
    columns = [column for rows in tied for column in rows.T.astype(object)]
    first = columns[0]
    pivot = int(np.flatnonzero(first != 0)[0])
    for column in columns[1:]:
        if any(x * first[pivot] != y * column[pivot] for x, y in zip(column, first, strict=True)):
            return False
    return True


def _between(point: Exact, a: Exact, b: Exact, blur: Exact) -> bool:
    p, x, y, off = (ex.to_fractions(e).reshape(-1) for e in (point, a, b, blur))
    room = off + Fraction(1, 1 << 300)
    return all(min(u, v) - r <= w <= max(u, v) + r for w, u, v, r in zip(p, x, y, room, strict=True))
