"""NumPy code as JAX code: an arithmetic whose numbers are JAX's tracers.

It gives a cost written in NumPy what `jax.grad` needs, so that its reverse-mode gradient can serve as a reference for
rounding-error bounds. What data decide in it (a mask, an index, an order, a Python branch) a tracer cannot tell: there
the code is run on floats first, its decisions are taken down, and it is traced with these, at each input anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import (
    Context,
    Doubtful,
    NotSupported,
    Opaque,
    Sides,
    Truth,
    Uninterpreted,
    positions,
)
from gdjax.verification.numbers.exact import Array
from gdjax.verification.numbers.running import Running, RunningErrors, running_inputs
from gdjax.verification.programs.duck import Duck
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.program import Program, signature
from gdjax.verification.programs.standins import run_by
from gdjax.verification.programs.steps import size
from gdjax.verification.work import RETRACED


@dataclass
class Decisions(RunningErrors):
    """Floats that take down what is decided by them, in order."""

    decisions: list[Array] = field(default_factory=list)

    def _noted(self, decision: Array, sure: Any) -> Array:
        if not np.all(sure):
            raise Doubtful("a decision that rounding may turn")
        self.decisions.append(np.asarray(decision))
        return self.decisions[-1]

    def concrete(self, a: Running) -> Array:
        return self._noted(super().concrete(a), a.error == 0)

    def pivot(self, a: Running) -> Array:
        """It moves no result."""
        return self._noted(np.argmax(np.abs(a.value), axis=-1), True)

    def order(self, a: Running, axis: int) -> Array:
        found = super().order(a, axis)
        values, errors = (np.take_along_axis(np.broadcast_to(x, a.shape), found, axis) for x in (a.value, a.error))
        low, high = values - errors, values + errors
        places = range(1, a.shape[axis]), range(a.shape[axis] - 1)
        later, earlier = (np.take(x, list(p), axis) for x, p in zip((low, high), places, strict=True))
        return self._noted(found, later >= earlier)

    def decided(self, truth: Truth) -> Array:
        return self._noted(super().decided(truth), True if truth.doubt is None else ~truth.doubt)


@dataclass
class Tracers:
    """JAX's own operations, with what floats decided."""

    context: Context = field(default_factory=Context)
    decisions: Iterator[Array] = field(default_factory=lambda: iter(()))

    @property
    def constants(self) -> Hashable:
        return None

    def const(self, array: Any) -> Any:
        import jax.numpy as jnp

        array = np.asarray(array)
        return jnp.asarray(array if array.dtype.kind == "f" else array.astype(np.float64))

    def shape(self, a: Any) -> tuple[int, ...]:
        return tuple(a.shape)

    def add(self, a: Any, b: Any) -> Any:
        return a + b

    def neg(self, a: Any) -> Any:
        return -a

    def mul(self, a: Any, b: Any) -> Any:
        return a * b

    def div(self, a: Any, b: Any) -> Any:
        return a / b

    def power(self, a: Any, b: Any) -> Any:
        return a**b

    def unary(self, name: str, a: Any) -> Any:
        import jax
        import jax.numpy as jnp

        special = {
            "logistic": jax.nn.sigmoid, "rsqrt": jax.lax.rsqrt, "erf": jax.lax.erf, "erfc": jax.lax.erfc,
            "erf_inv": jax.lax.erf_inv, "lgamma": jax.lax.lgamma, "digamma": jax.lax.digamma,
            "asin": jnp.arcsin, "acos": jnp.arccos, "atan": jnp.arctan, "asinh": jnp.arcsinh, "acosh": jnp.arccosh,
            "atanh": jnp.arctanh,
        }  # fmt: skip
        return special[name](a) if name in special else getattr(jnp, name)(a)

    def atan2(self, a: Any, b: Any) -> Any:
        import jax.numpy as jnp

        return jnp.arctan2(a, b)

    def rounded(self, name: str, a: Any) -> Any:
        import jax.numpy as jnp

        return {"floor": jnp.floor, "ceil": jnp.ceil, "trunc": jnp.trunc}.get(name, jnp.rint)(a)

    def compare(self, op: str, a: Any, b: Any) -> Truth:
        import jax.numpy as jnp

        names = {"gt": "greater", "ge": "greater_equal", "lt": "less", "le": "less_equal"}
        return Truth(getattr(jnp, {**names, "eq": "equal", "ne": "not_equal"}[op])(a, b))

    def select(self, truth: Truth, yes: Any, no: Any) -> Any:
        import jax.numpy as jnp

        return jnp.where(truth.value, yes, no)

    def from_truth(self, truth: Truth) -> Any:
        import jax.numpy as jnp

        return jnp.where(truth.value, 1.0, 0.0)

    def is_nan(self, a: Any) -> Truth:
        import jax.numpy as jnp

        found: Any = jnp.isnan(a)
        return Truth(found)

    def is_finite(self, a: Any) -> Truth:
        import jax.numpy as jnp

        found: Any = jnp.isfinite(a)
        return Truth(found)

    def take(self, a: Any, index: Array) -> Any:
        return a.reshape(-1)[index]

    def move(self, a: Any, move: Callable[[Array], Any]) -> Any:
        return self.take(a, positions(self.shape(a), move))

    def concat(self, arrays: Sequence[Any], axis: int) -> Any:
        import jax.numpy as jnp

        return jnp.concatenate(arrays, axis)

    def sum(self, a: Any, axes: tuple[int, ...]) -> Any:
        return a.sum(axes)

    def matmul(self, a: Any, b: Any) -> Any:
        import jax.numpy as jnp

        return jnp.matmul(a, b)

    def detach(self, a: Any) -> Any:
        import jax

        return jax.lax.stop_gradient(a)

    def concrete(self, a: Any) -> Array:
        return self._next("an index that depends on data")

    def pivot(self, a: Any) -> Array:
        return self._next("a pivot that depends on data")

    def order(self, a: Any, axis: int) -> Array:
        return self._next("an order that depends on data")

    def decided(self, truth: Truth) -> Array:
        return truth.value if isinstance(truth.value, np.ndarray) else self._next("a branch that depends on data")

    def _next(self, what: str) -> Array:
        found = next(self.decisions, None)
        if found is None:
            raise NotSupported(what)
        return found


def as_jax(function: Callable[..., Any], varying: Sequence[int], decisions: Sequence[Array] = ()) -> Callable[..., Any]:
    """A scalar function written in NumPy, as one that JAX can differentiate."""

    def traced(*args: Any) -> Any:
        walk = Walk([Tracers(decisions=iter(decisions))])
        whole = [Duck(walk, (a,), _dtype(a)) if i in varying else a for i, a in enumerate(args)]
        with run_by(walk):
            return function(*whole).sides[0]

    return traced


def in_jax(program: Program, args: Sequence[Any]) -> Callable[..., Any]:
    """What JAX can differentiate of a cost: the function itself, where it is traced at these arguments."""
    return program.function if program.trace(args) is not None else as_jax(program.on_arrays, program.varying)


def _dtype(a: Any) -> Any:
    return a.dtype if hasattr(a, "dtype") else np.asarray(a).dtype


class Decided(Program):
    """The reverse-mode gradient of a cost in NumPy whose data decide what it does: traced anew at each input."""

    def __init__(self, cost: Program, wrt: Sequence[int], dtype: Any) -> None:
        super().__init__(cost.function, cost.varying, cost.wide, cost.work)
        self.cost, self.wrt, self.dtype = cost, tuple(wrt), dtype
        self._latest: tuple[tuple[Any, ...], Any] = (), None

    def traces(self, args: Sequence[Any]) -> bool:
        """Whether it can be traced, doubts aside."""
        try:
            return self.trace(args) is not None
        except Doubtful:
            return True

    def trace(self, args: Sequence[Any]) -> Any:
        at = signature(args), *(np.asarray(args[i]).tobytes() for i in self.varying)
        if self._latest[0] != at:
            self._latest = at, self._traced(args)
        return self._latest[1]

    def _traced(self, args: Sequence[Any]) -> Any:
        import jax

        floats = Decisions(self.dtype, context=self.cost.context(math.inf))
        try:
            self.cost.run(Walk([floats]), args, running_inputs(args, self.varying))
        except Doubtful:
            raise
        except Uninterpreted:
            return None
        key = signature(args), tuple(decision.tobytes() for decision in floats.decisions)
        if key not in self._traces:
            gradient = jax.grad(as_jax(self.cost.on_arrays, self.varying, floats.decisions), self.wrt)
            traced = Program(gradient, self.varying, self.wide, self.work).trace(args)
            self.work.add(RETRACED * (0 if traced is None else size(traced)))
            self._traces[key] = traced
        return self._traces[key]

    def run(self, walk: Walk, args: Sequence[Any], inputs: Sequence[Sides]) -> list[Sides]:
        traced = self.trace(args)
        if traced is None:
            raise Opaque("it cannot be traced at this input")
        return walk.run(traced, inputs)
