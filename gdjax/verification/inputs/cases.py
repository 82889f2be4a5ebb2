"""The inputs that a gradient is tried on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from gdjax.verification.inputs.domain import Domain, general, lattice
from gdjax.verification.inputs.sizes import Sizes, Spec, plans, rows_name, shape_of
from gdjax.verification.inputs.steering import Args, Steering, as_given
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.exact import Array

# Beyond these an exact derivative costs more than it tells.
_MOST_WORK = 3_000_000
MOST_TRANSCENDENTAL = 12_500
MOST_POINTWISE = 64
_STEERED = 64
# Work of a small input, and the rows of a small block.
_SMALL, _BLOCK = 4096, 64
# Entries that steering differentiates by; with more, the parameters alone.
_MOST_MOVED = 1000


@dataclass(frozen=True)
class Case:
    """One input. `sampled` data are random with full mantissas; the others lie on a lattice, of one scale but where
    some arguments are `scaled`."""

    label: str
    args: Args
    sizes: Sizes
    sampled: bool = False
    scaled: bool = False

    @property
    def key(self) -> tuple[Any, ...]:
        """The same for the same input."""
        return tuple((a.shape, a.tobytes()) for a in self._arrays)

    @property
    def _arrays(self) -> list[Any]:
        return [a for a in self.args if isinstance(a, (np.ndarray, np.generic))]

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(a.shape for a in self._arrays)

    @property
    def count(self) -> int:
        """How many numbers are in its arrays."""
        return sum(int(a.size) for a in self._arrays)

    @property
    def ones(self) -> bool:
        """Whether every array has at most one entry."""
        return all(np.size(a) <= 1 for a in self.args if isinstance(a, np.ndarray))


@dataclass(frozen=True)
class Cases:
    """Makes inputs for arguments like an example's; those that are `below` an axis point into it."""

    example: Args
    varying: tuple[int, ...]
    wrt: tuple[int, ...]
    domains: tuple[Domain, ...]
    spec: Spec
    sizes: Sizes
    dtype: Any
    seed: int = 0
    most: int = _MOST_WORK
    below: tuple[tuple[int, str], ...] = ()

    @property
    def plans(self) -> list[Sizes]:
        found = plans(self.sizes, rows_name(self.spec, self.wrt))
        return [p for p in found if self._work(p) <= self.most] or found[:1]

    @property
    def square(self) -> Sizes:
        """The smallest sizes above 1, all alike, if there are several plans."""
        found = self.plans
        return found[min(2, len(found) - 1)]

    def _work(self, sizes: Sizes) -> int:
        counts = [int(np.prod(shape_of(self.spec[i], sizes), dtype=np.int64)) for i in self.varying]
        parameters = sum(counts[self.varying.index(i)] for i in self.wrt)
        return max(parameters, 1) * max(counts)

    def _entries(self, sizes: Sizes) -> int:
        return sum(int(np.prod(shape_of(self.spec[i], sizes), dtype=np.int64)) for i in self.movable)

    def rng(self, *salt: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, *salt])

    def made(self, place: int, array: Array) -> Any:
        """An array as the argument at `place`: its dtype, and its kind of scalar."""
        example = self.example[place]
        kind = np.asarray(example).dtype.kind
        dtype = self.dtype if kind == "f" else np.asarray(example).dtype
        return as_given(np.asarray(array).astype(dtype), example)

    def domain(self, place: int, sizes: Sizes) -> Domain:
        """Of an argument, at such sizes."""
        tops = [sizes[axis] - 1.0 for i, axis in self.below if i == place]
        domain = self.domains[place]
        return replace(domain, high=min(domain.high, *tops)) if tops else domain

    def drawn(self, sizes: Sizes, rng: np.random.Generator, bits: int = 3, step: float = 0.5) -> Args:
        """A lattice input."""
        whole = list(self.example)
        for i in self.varying:
            domain = self.domain(i, sizes)
            if not domain.fixed:
                whole[i] = self.made(i, lattice(domain, rng, shape_of(self.spec[i], sizes), bits, step))
        return tuple(whole)

    def random(self, sizes: Sizes, rng: np.random.Generator) -> Args:
        whole = list(self.example)
        for i in self.varying:
            if not self.domains[i].fixed:
                whole[i] = self.made(i, general(self.domain(i, sizes), rng, shape_of(self.spec[i], sizes)))
        return tuple(whole)

    def scaled(self, args: Args, places: Sequence[int], power: int) -> Args | None:
        """Some arguments times 2**power, where their domains allow it."""
        whole = list(args)
        for i in places:
            array = np.ldexp(np.asarray(args[i]), power)
            if not np.isfinite(array).all() or not self.domains[i].holds(array):
                return None
            whole[i] = self.made(i, array)
        return tuple(whole)

    @property
    def scalable(self) -> list[int]:
        """Float arguments whose domain has every scale."""
        found = []
        for i in self.varying:
            d = self.domains[i]
            ends = {d.low, d.high} <= {0.0, float("inf"), float("-inf")}
            if np.asarray(self.example[i]).dtype.kind == "f" and not (d.fixed or d.whole) and ends:
                found.append(i)
        return found

    @property
    def movable(self) -> tuple[int, ...]:
        """Float arguments that steering may change."""
        return tuple(
            i for i in self.varying if np.asarray(self.example[i]).dtype.kind == "f" and not self.domains[i].fixed
        )

    def small(self) -> Iterator[Case]:
        """Lattice inputs of small sizes, with few bits and with as many as products leave exact."""
        wide = np.finfo(self.dtype).nmant // 4
        smallest = [p for p in self.plans if self._work(p) <= _SMALL]
        for number, sizes in enumerate(smallest):
            for draw in range(3 if number < 4 else 2):
                yield Case("lattice", self.drawn(sizes, self.rng(1, number, draw)), sizes)
            yield Case("wide lattice", self.drawn(sizes, self.rng(2, number), wide, 2.0 ** (2 - wide)), sizes)

    def zeros(self) -> Iterator[Case]:
        """All parameters zero, and each argument zero in turn."""
        sizes = self.square
        base = self.drawn(sizes, self.rng(3))
        for places in (self.wrt, *((i,) for i in self.movable)):
            whole = list(base)
            for i in places:
                zero = np.zeros(shape_of(self.spec[i], sizes))
                if self.domains[i].holds(zero) and not self.domains[i].fixed:
                    whole[i] = self.made(i, zero)
            yield Case("zeros", tuple(whole), sizes)

    def scales(self) -> Iterator[Case]:
        """The lattice at scales from 2**-30 to 2**30: all arguments, each alone, and at the ends all but each."""
        alone = [tuple(self.scalable), *((i,) for i in self.scalable)]
        others = [tuple(i for i in self.scalable if i != j) for j in self.scalable if len(self.scalable) > 2]
        for number, sizes in enumerate(self.plans[:3:2]):
            base = self.drawn(sizes, self.rng(4, number))
            for places in dict.fromkeys(alone if number else [*alone, *others]):
                for power in (-30, 30) if number or places in others else (-30, -12, 12, 30):
                    moved = self.scaled(base, places, power) if places else None
                    if moved is not None:
                        yield Case(f"scale 2^{power}", moved, sizes, scaled=True)
            for draw, power in enumerate((1, 2, 2, 3, 3, 4, 6)):
                again = self.drawn(sizes, self.rng(11, number, draw))
                moved = self.scaled(again, [i for i in self.wrt if i in self.scalable], power)
                if moved is not None:
                    yield Case(f"parameters times 2^{power}", moved, sizes)

    def ladder(self) -> Iterator[Case]:
        """Rows of both signs from 1/4 to 64, four magnitudes an octave, for thresholds that cannot be read."""
        rows = rows_name(self.spec, self.wrt)
        held = [i for i in self.movable if self.spec[i][:1] == (rows,) and self.domains[i].free]
        most = max((len(self.spec[i]) for i in held), default=0)
        sizes = next((p for p in self.plans if p.get(rows or "", 0) >= _BLOCK), None)
        if sizes is None or not held:
            return
        step = np.arange(sizes[str(rows)])
        rungs = (-1.0) ** step * np.ldexp((4 + step // 2 % 4) / 4.0, step // 8 % 9 - 2)
        whole = list(self.drawn(sizes, self.rng(12)))
        for i in held:
            if len(self.spec[i]) == most:
                array = np.zeros(shape_of(self.spec[i], sizes))
                array.reshape(len(step), -1)[:, 0] = rungs
                whole[i] = self.made(i, array)
        for i in self.wrt:
            if i not in held and self.domains[i].holds(np.ones(())):
                whole[i] = self.made(i, np.ones(shape_of(self.spec[i], sizes)) * (np.ndim(self.example[i]) > 0))
        yield Case("ladder", tuple(whole), sizes)

    def large(self) -> Iterator[Case]:
        """Sizes past common blocks, with last blocks that are full and partial."""
        rows = rows_name(self.spec, self.wrt)
        for number, sizes in enumerate(self.plans):
            if self._work(sizes) > _SMALL or sizes.get(rows or "", 0) > _BLOCK:
                yield Case("large lattice", self.drawn(sizes, self.rng(5, number)), sizes)

    def sampled(self) -> Iterator[Case]:
        """Random, offset and badly scaled data."""
        chosen = [p for p in (dict(self.sizes), *self.plans[2:5]) if self._work(p) <= self.most]
        for number, sizes in enumerate(chosen):
            base = self.random(sizes, self.rng(6, number))
            yield Case("random", base, sizes, True)
            if number > 1:
                continue
            far = 1e6 if self.dtype == np.float64 else 1e3
            for i in self.movable:
                if self.domains[i].free and np.ndim(self.example[i]) > 0:
                    moved = list(base)
                    moved[i] = self.made(i, np.asarray(base[i]) + far)
                    yield Case("offset", tuple(moved), sizes, True)
                    scale = np.exp2(self.rng(7, i).integers(-20, 21, np.shape(base[i])[-1:]))
                    moved[i] = self.made(i, np.asarray(base[i]) * scale)
                    yield Case("badly scaled", tuple(moved), sizes, True)

    def steered(self, steering: Steering) -> Iterator[Case]:
        """Each comparison on its tie, next to it on both sides, and with all entries on one side."""
        seen: dict[str, int] = {}
        bases = [p for p in self.plans[:6] if self._work(p) <= _SMALL] or self.plans[:1]
        for number, sizes in enumerate((bases[0], *bases[3:4])):
            if self._work(sizes) > 200_000:
                return
            if self._entries(sizes) > _MOST_MOVED:
                steering = replace(steering, movable=tuple(i for i in self.movable if i in self.wrt))
            base = self.drawn(sizes, self.rng(8, number))
            for meeting in steering.met(base):
                # the same scalar for each: comparisons of one difference then lead to one input
                rng = self.rng(9, number)
                if seen.get(meeting.site, 0) > number or len(seen) > _STEERED or not meeting.value.size:
                    continue
                seen[meeting.site] = seen.get(meeting.site, 0) + 1
                element = int(rng.integers(meeting.value.size))
                for label, target in self._targets():
                    for args in steering.onto(base, meeting, element, target, rng):
                        if self._reached(steering, args, meeting.site, element, target):
                            yield Case(f"{label} of {meeting.site}", args, sizes)
                            break
                for up in (True, False):
                    aside = steering.aside(base, meeting.site, up)
                    if aside is not None:
                        yield Case(f"{'above' if up else 'below'} {meeting.site}", aside, sizes)

    def _targets(self) -> Iterator[tuple[str, Fraction]]:
        yield "tie", Fraction(0)
        digits = np.finfo(self.dtype).nmant
        for power in (10, 20) if digits < 40 else (10, 20, 40):
            yield "just above the tie", Fraction(1, 1 << power)
            yield "just below the tie", -Fraction(1, 1 << power)

    @staticmethod
    def _reached(steering: Steering, args: Args, site: str, element: int, target: Fraction) -> bool:
        for meeting in steering.met(args, slopes=False):
            if meeting.site == site and meeting.value.size > element:
                return bool(ex.to_fractions(meeting.difference.value).reshape(-1)[element] == target)
        return False
