"""Judge one call of the gradient against the exact answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from gdjax.verification.bounds import Bound
from gdjax.verification.inputs.cases import Case
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.exact import Array, Exact
from gdjax.verification.oracle import Answer

# So many blurs away, a blur is nothing.
_FAR = 1 << 20

# Below this part of the largest entry, an answer of 400 bits is rounding.
_DIGITS = 2.0**-300


@dataclass(frozen=True)
class Observation:
    """One input with what came out: `wrong` marks entries outside any rounding, `last` those off in the last digits
    where every correct formula should be exact."""

    case: Case
    answer: Answer
    outputs: tuple[Array, ...]
    exact: tuple[Array, ...]
    error: tuple[Array, ...]
    allowed: tuple[Array, ...]
    wrong: tuple[Array, ...]
    last: tuple[Array, ...]
    formula: bool = False

    @property
    def failed(self) -> bool:
        return any(w.any() for w in self.wrong)


def expected(
    answer: Answer, outputs: Sequence[Array], kinks: str, exactly: Sequence[Exact] | None = None
) -> tuple[Exact, ...]:
    """What to compare with: of a kink that may be taken two ways, the one next to the outputs; under "subgradient", the
    point between the one-sided derivatives next to the outputs, or to what these are `exactly`; of a gradient that is
    known to within a blur, the point of that next to them."""
    if any(np.any(b.num != 0) for b in answer.blur):
        answer = replace(answer, gradient=_next_to(answer, outputs))
    if answer.also:
        return min((answer.gradient, *answer.also), key=lambda gradient: _far(outputs, gradient))
    if kinks != "subgradient" or answer.kind != "kink" or answer.sides is None:
        return answer.gradient
    low = [f for part in answer.sides[0] for f in ex.to_fractions(part).reshape(-1)]
    high = [f for part in answer.sides[1] for f in ex.to_fractions(part).reshape(-1)]
    known = [np.asarray(o, np.float64) for o in outputs] if exactly is None else map(ex.to_fractions, exactly)
    given: list[Any] = [v if isinstance(v, Fraction) else float(v) for part in known for v in part.reshape(-1)]
    if len(given) != len(low):
        return answer.gradient
    steps = [h - v for v, h in zip(low, high, strict=True)]
    # an entry that overflows is no guide to which point is meant
    finite = [(Fraction(g) - v, s) for g, v, s in zip(given, low, steps, strict=True) if abs(g) < np.inf]
    length = sum(s * s for _, s in finite)
    t = sum(off * s for off, s in finite) / length if length else Fraction(0)
    t = min(max(t, Fraction(0)), Fraction(1))
    flat = np.array([v + t * s for v, s in zip(low, steps, strict=True)], object)
    parts, offset = [], 0
    for part in answer.gradient:
        size = part.num.size
        parts.append(ex.from_object(flat[offset : offset + size].reshape(part.shape)))
        offset += size
    return tuple(parts)


def _far(outputs: Sequence[Array], exact: Sequence[Exact]) -> float:
    """How far they are apart, all entries together."""
    return float(sum(np.sum(_distance(out, part)) for out, part in zip(outputs, exact, strict=True)))


def _next_to(answer: Answer, outputs: Sequence[Array]) -> tuple[Exact, ...]:
    """Of what the gradient may be, the point nearest to the outputs; its middle where they are far from all of it."""
    found = []
    for out, exact, blur in zip(outputs, answer.gradient, answer.blur, strict=True):
        middle, room = ex.to_fractions(exact).reshape(-1), ex.to_fractions(blur).reshape(-1)
        given = [Fraction(v) if np.isfinite(v) else m for v, m in zip(np.ravel(out).astype(float), middle, strict=True)]
        near = [
            m if abs(v - m) > _FAR * r else min(max(v, m - r), m + r)
            for v, m, r in zip(given, middle, room, strict=True)
        ]
        found.append(ex.from_object(np.array(near, object).reshape(exact.shape)))
    return tuple(found)


def _agreed(case: Case, answer: Answer, outputs: Sequence[Array], formula: bool) -> Observation:
    """Equal, bit for bit: no bound is asked for."""
    nothing = tuple(np.zeros(g.shape) for g in answer.gradient)
    no = tuple(np.zeros(g.shape, bool) for g in answer.gradient)
    exact = tuple(np.asarray(o, np.float64) for o in outputs)
    return Observation(case, answer, tuple(outputs), exact, nothing, nothing, no, no, formula)


def _equal(out: Array, exact: Exact) -> bool:
    if not exact.rational or not np.isfinite(np.asarray(out, np.float64)).all():
        return False
    return bool(np.all(ex.compare(ex.from_array(out), exact)[1]))


def judged(
    case: Case, answer: Answer, outputs: Sequence[Array], bounds: Callable[[list[Array]], Bound], kinks: str, dtype: Any
) -> Observation:
    """Compare float outputs with the exact gradient; `bounds` is asked only where they differ."""
    target = expected(answer, outputs, kinks)
    if all(_equal(out, exact) for out, exact in zip(outputs, target, strict=True)):
        return _agreed(case, answer, outputs, False)
    top = float(np.finfo(dtype).max)
    closest = [ex.to_float(exact) for exact in target]
    errors = [_distance(out, exact) for out, exact in zip(outputs, target, strict=True)]
    bound = bounds(errors)
    segment = kinks == "subgradient" and answer.kind == "kink"
    loosest = _along_segment(bound.loose, answer) if segment else bound.loose
    allowed, wrong, last = [], [], []
    for out, close, error, tight, loose in zip(outputs, closest, errors, bound.tight, loosest, strict=True):
        finite = np.isfinite(np.asarray(out, np.float64))
        limit = np.where((tight == 0) & (not segment), 0.0, loose)
        judgeable = (np.abs(close) < top / 4) & np.isfinite(limit)
        off = judgeable & (error > limit)
        bad = judgeable & (error > np.maximum(loose, limit)) | (judgeable & ~finite)
        allowed.append(limit)
        wrong.append(bad)
        last.append(off & ~bad)
    return Observation(
        case, answer, tuple(outputs), tuple(closest), tuple(errors), tuple(allowed), tuple(wrong), tuple(last)
    )


def _along_segment(bounds: Sequence[Array], answer: Answer) -> tuple[Array, ...]:
    """Bounds of a distance to the nearest point of a segment: an error in one entry moves that point in all."""
    if answer.sides is None:
        return tuple(bounds)
    steps = [np.abs(ex.to_float(ex.subtract(b, a))) for a, b in zip(*answer.sides, strict=True)]
    length = sum(float(np.sum(s * s)) for s in steps)
    if not length:
        return tuple(bounds)
    # an entry that no side moves has no part in it, even without a bound of its own
    moving = [np.where(s > 0, s * np.where(s > 0, b, 0), 0) for s, b in zip(steps, bounds, strict=True)]
    moved = sum(float(np.sum(m)) for m in moving) / length
    return tuple(b + np.where(s > 0, np.where(s > 0, s, 1) * moved, 0) for s, b in zip(steps, bounds, strict=True))


def _distance(out: Array, exact: Exact) -> Array:
    """|out - exact|, 0 below the digits of `exact`; infinite where `out` is not finite."""
    given = np.asarray(out, np.float64)
    finite = np.isfinite(given)
    error = np.abs(ex.to_float(ex.subtract(ex.from_array(np.where(finite, given, 0.0)), exact)))
    if not exact.rational:
        largest = np.abs(ex.to_float(exact)).max(initial=0.0)
        error = np.where(error <= _DIGITS * largest, 0.0, error)
    return np.asarray(np.where(finite, error, np.inf))


def judged_exactly(
    case: Case, answer: Answer, values: Sequence[Exact], bounds: Callable[[list[Array]], Bound], kinks: str
) -> Observation:
    """Compare the formula itself, run in exact arithmetic: equal, unless constants had to be rounded."""
    outputs = tuple(ex.to_float(v) for v in values)
    target = expected(answer, outputs, kinks, values)
    if all(bool(np.all(ex.compare(v, t)[1])) for v, t in zip(values, target, strict=True)):
        return _agreed(case, answer, outputs, True)
    errors = []
    for value, exact in zip(values, target, strict=True):
        error = np.abs(ex.to_float(ex.subtract(value, exact)))
        errors.append(np.where(np.isnan(error), np.inf, error))
    rigid = answer.rational and not (kinks == "subgradient" and answer.kind == "kink")
    bound = bounds([np.full(e.shape, np.inf) for e in errors] if rigid else errors)
    nearest, allowed, wrong, last = [], [], [], []
    for value, exact, error, loose, ideal in zip(values, target, errors, bound.loose, bound.ideal, strict=True):
        strict = ideal & rigid
        same = ex.compare(value, exact)[1] if not (value.rational and exact.rational) else error == 0
        judgeable = np.isfinite(loose) | ~np.isfinite(error)
        bad = judgeable & ~same & (error > loose)
        nearest.append(ex.to_float(exact))
        allowed.append(np.where(strict, 0.0, loose))
        wrong.append(bad)
        last.append(~same & ~bad & strict & (error > 0))
    return Observation(
        case, answer, outputs, tuple(nearest), tuple(errors), tuple(allowed), tuple(wrong), tuple(last), True
    )


@dataclass
class LastDigits:
    """Last-digit differences where exact formulas agree bit for bit, gathered over inputs.

    A correct formula may round on its way (normalised weights, a running mean): its last digits then differ at some
    inputs, either way. A wrong factor moves the last digits at every input, one way, or shows where all sizes are 1.
    """

    seen: dict[tuple[int, bool], list[float]] = field(default_factory=dict)
    first: dict[tuple[int, bool], Observation] = field(default_factory=dict)
    alone: dict[tuple[int, bool], bool] = field(default_factory=dict)

    def add(self, observation: Observation) -> None:
        if observation.answer.kind == "kink" or observation.case.sampled:
            return
        for k, last in enumerate(observation.last):
            exact, error = observation.exact[k], observation.error[k]
            watched = (exact != 0) & (observation.allowed[k] == 0)
            key = (k, observation.formula)
            with np.errstate(all="ignore"):
                signed = np.where(last, (np.asarray(observation.outputs[k], np.float64) - exact) / exact, 0.0)
                if observation.formula:
                    signed = np.where(last & (signed == 0), error / np.abs(exact), signed)
            self.seen.setdefault(key, []).extend(signed[watched].tolist())
            if last.any():
                if key not in self.first or (observation.case.ones and not self.alone.get(key)):
                    self.first[key] = observation
                self.alone[key] = self.alone.get(key, False) or observation.case.ones

    def wrong(self) -> Observation | None:
        """The first input at which a wrong factor shows in the last digits."""
        for key, first in self.first.items():
            values = np.array(self.seen[key])
            off = values[values != 0]
            consistent = off.size >= 8 and off.size >= 0.8 * values.size
            one_way = off.size > 0 and max((off > 0).mean(), (off < 0).mean()) >= 0.9
            if self.alone.get(key) or (consistent and one_way):
                return first
        return None
