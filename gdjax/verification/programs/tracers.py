"""NumPy code as JAX code: an arithmetic whose numbers are JAX's tracers.

It gives a cost written in NumPy what `jax.grad` needs, so that its reverse-mode gradient can serve as a reference for
rounding-error bounds.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Context, NotSupported, Truth, positions
from gdjax.verification.numbers.exact import Array
from gdjax.verification.programs.duck import Duck
from gdjax.verification.programs.interpreter import Walk


@dataclass
class Tracers:
    """JAX's own operations."""

    context: Context = field(default_factory=Context)

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
        return Truth(np.zeros(a.shape, bool))

    def is_finite(self, a: Any) -> Truth:
        return Truth(np.ones(a.shape, bool))

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
        raise NotSupported("an index that depends on data")

    def order(self, a: Any, axis: int) -> Array:
        raise NotSupported("an order that depends on data")


def as_jax(function: Callable[..., Any], varying: Sequence[int]) -> Callable[..., Any]:
    """A scalar function written in NumPy, as one that JAX can differentiate."""

    def traced(*args: Any) -> Any:
        walk = Walk([Tracers()])
        whole = [Duck(walk, (a,)) if i in varying else a for i, a in enumerate(args)]
        return function(*whole).sides[0]

    return traced
