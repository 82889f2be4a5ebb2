"""How far a correct float result may be from the exact one, at one input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Doubtful, Truth, Uninterpreted
from gdjax.verification.numbers.exact import Array
from gdjax.verification.numbers.running import Running, RunningErrors, running_inputs
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.program import Program, Signature, signature

# Any rounding that any formula may do, short of coming out on the other side of a comparison.
_RESOLVED = {"every": True, "doubts": False, "rounded_constants": True}


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
    made: Callable[[], Program | None]
    wrt: tuple[int, ...]
    dtype: Any
    limit: float = 5.0
    source: str = field(default="", init=False)
    # Inputs without any bound where half of the digits are off.
    unexplained: int = field(default=0, init=False)
    _waiting: dict[Signature, list[Sequence[Any]]] = field(default_factory=dict, init=False, repr=False)
    # By the identity of the arguments, which are held here.
    _found: dict[int, tuple[Sequence[Any], list[Array]]] = field(default_factory=dict, init=False, repr=False)

    @cached_property
    def reference(self) -> Program | None:
        """Reverse-mode autodiff of the cost, where there is one: traced once it is needed."""
        return self.made()

    def at(self, args: Sequence[Any], exact: Sequence[Array], error: Sequence[Array], probable: bool = False) -> Bound:
        """Bounds for each output, at one input where the exact gradient is known (as floats), and how far off it is;
        `probable` lets sums of terms that vary have the probabilistic bound.

        Most errors are within what one program allows at once; only the others need the rest.
        """
        ideal: list[Array] | None = None
        errors: Callable[..., list[Array]] = partial(self._errors, args=args, probable=probable)
        for name in ("gradient", "autodiff"):
            program = self.gradient if name == "gradient" else self.reference
            if program is None or program.way == "opaque":
                continue
            try:
                plain = errors(program)
                if [np.shape(p) for p in plain] != [np.shape(e) for e in exact]:
                    continue
                self.source = name
                if all(np.isfinite(p).all() and np.all(e <= p) for p, e in zip(plain, error, strict=True)):
                    return Bound(tuple(plain), tuple(plain), tuple(np.zeros(np.shape(p), bool) for p in plain))
                slack = errors(program, rounded_constants=True)
                resolved = errors(program, **_RESOLVED)
                if name == "gradient":
                    ideal = self._ideal(args, exact)
                    constants = self._constants(args, exact)
                    tight = [
                        np.where(ok, p, _with(p, s, c))
                        for ok, p, s, c in zip(ideal, plain, slack, constants, strict=True)
                    ]
                    if not all(np.isfinite(t).all() for t in tight):
                        tight, resolved = self._finite_elsewhere(errors, tight, resolved)
                    wide = [2.0 * np.where(t == 0, r, t) for t, r in zip(tight, resolved, strict=True)]
                else:
                    ideal, tight = [np.asarray(e == 0) for e in slack], slack
                    every = errors(program, every=True, rounded_constants=True)
                    wide = [
                        4.0 * np.where(t == 0, r, np.maximum(t, e))
                        for t, r, e in zip(tight, resolved, every, strict=True)
                    ]
            except Doubtful:
                return _nothing_known(exact)
            except Uninterpreted:
                continue
            return Bound(tuple(tight), tuple(wide), tuple(ideal))
        half = np.sqrt(np.finfo(self.dtype).eps)
        top = max((float(np.max(np.abs(e), initial=0.0)) for e in exact), default=0.0)
        self.unexplained += any(np.any(e > half * top) for e in error)
        return _nothing_known(exact)

    def _ideal(self, args: Sequence[Any], exact: Sequence[Array]) -> list[Array]:
        nowhere = [np.zeros(np.shape(e), bool) for e in exact]
        if self.reference is None:
            return nowhere
        try:
            errors = self._errors(self.reference, args, rounded_constants=True)
        except Uninterpreted:
            return nowhere
        return [np.asarray(e == 0) for e in errors]

    def _constants(self, args: Sequence[Any], exact: Sequence[Array]) -> list[Array]:
        """How far the cost's own rounded constants move its gradient: sqrt(1/2) in exp(-x^2 / 2) by x^2 units."""
        nothing = [np.zeros(np.shape(e)) for e in exact]
        if self.reference is None:
            return nothing
        try:
            rounded = self._errors(self.reference, args, rounded_constants=True)
            plain = self._errors(self.reference, args)
        except Uninterpreted:
            return nothing
        with np.errstate(all="ignore"):
            moved = [np.asarray(r - p) for r, p in zip(rounded, plain, strict=True)]
        return [np.where(np.isfinite(m) & (m > 0), m, 0.0) for m in moved]

    def _finite_elsewhere(
        self, errors: Callable[..., list[Array]], tight: list[Array], resolved: list[Array]
    ) -> tuple[list[Array], list[Array]]:
        """Where the gradient divides by zero or overflows on its way, what autodiff of the cost would allow instead."""
        if self.reference is None:
            return tight, resolved
        try:
            first = errors(self.reference, rounded_constants=True)
            every = errors(self.reference, **_RESOLVED)
        except Uninterpreted:
            return tight, resolved
        places = [np.isfinite(t) for t in tight]
        return (
            [np.where(ok, t, f) for ok, t, f in zip(places, tight, first, strict=True)],
            [np.where(ok, r, e) for ok, r, e in zip(places, resolved, every, strict=True)],
        )

    def expect(self, inputs: Sequence[Sequence[Any]]) -> None:
        """Bounds will be asked for at these, too: where autodiff takes many inputs, all of one shape go at once."""
        for args in inputs:
            self._waiting.setdefault(signature(args), []).append(args)

    def finite(self, program: Program, args: Sequence[Any]) -> bool:
        """Whether all outputs of a program are finite at an input, in floats."""
        return all(np.isfinite(r.value).all() for r in self._run(program, args))

    def _errors(self, program: Program, args: Sequence[Any], **model: bool) -> list[Array]:
        if not program.many or any(model.values()):
            return _allowed(self._run(program, args, **model))
        if id(args) not in self._found:
            others = self._waiting.pop(signature(args), [])
            inputs = [args, *(other for other in others if other is not args)]
            errors = _allowed(self._interpreted(program, program.together(inputs)))
            self._found.update((id(one), (one, [e[k] for e in errors])) for k, one in enumerate(inputs))
        return self._found[id(args)][1]

    def _run(self, program: Program, args: Sequence[Any], **model: bool) -> list[Running]:
        """A program's outputs at one input."""
        if not program.many:
            return self._interpreted(program, args, **model)
        alone = self._interpreted(program, program.together([args]), **model)
        return [replace(out, value=out.value[0], error=np.broadcast_to(out.error, out.value.shape)[0]) for out in alone]

    def _interpreted(self, program: Program, args: Sequence[Any], **model: bool) -> list[Running]:
        """Interpret a program over `RunningErrors` of such a model."""
        A = RunningErrors(self.dtype, context=program.context(self.limit), **model)
        outs = program.run(Walk([A]), args, running_inputs(args, program.varying))
        return [A.from_truth(out) if isinstance(out, Truth) else out for (out,) in outs]


def _allowed(found: Sequence[Running]) -> list[Array]:
    """The errors, infinite where nothing is known."""
    errors = []
    for out in found:
        error = np.broadcast_to(out.error, out.value.shape)
        errors.append(np.where(np.isnan(error) | ~np.isfinite(out.value), np.inf, error))
    return errors


def _nothing_known(exact: Sequence[Array]) -> Bound:
    wide = tuple(np.full(np.shape(e), np.inf) for e in exact)
    return Bound(wide, wide, tuple(np.zeros(np.shape(e), bool) for e in exact))


def _with(plain: Array, slack: Array, constants: Array) -> Array:
    """`slack`, which beyond `plain` has the gradient's own constants, with as much more as the cost's move: a constant
    of both, rounded twice, is one difference."""
    with np.errstate(invalid="ignore"):
        return np.where(np.isfinite(slack), np.maximum(slack, plain + constants), slack)
