"""Verify the rule of a `jax.custom_vjp` or `jax.custom_jvp` function against the function itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdjax.errors import UsageError
from gdjax.verification.telling.report import Report
from gdjax.verification.verify import checked


def verify_vjp(
    f: Callable[..., Any],
    args: Sequence[Any],
    *,
    wrt: Sequence[int] | None = None,
    shapes: Sequence[Any] | None = None,
    dtype: str = "float64",
    kinks: str = "zero",
    domain: Any = None,
    seconds: float = 5.0,
) -> Report:
    """Whether the custom derivative rule of `f` is the derivative of what `f` computes.

    `f` is differentiated exactly by its own body; the rule is what `jax.vjp` gives, for cotangents of small integers of
    both signs. Outputs may be any arrays or nests of them.

    Args:
        f: a function with a `jax.custom_vjp` or `jax.custom_jvp` rule, or that calls such functions.
        args: one example of its arguments.
        wrt: places of the arguments to differentiate; by default all float ones.
        shapes, dtype, kinks, domain, seconds: as in `gdjax.verify`.

    Raises:
        UsageError: no float argument, or an option that is out of range.

    >>> import jax, jax.numpy as jnp
    >>> @jax.custom_vjp
    ... def square(x):
    ...     return x * x
    >>> square.defvjp(lambda x: (x * x, x), lambda x, g: (3 * x * g,))
    >>> verify_vjp(square, (np.array([1.0, 2.0]),)).verdict
    'fail'
    """
    import jax
    import jax.numpy as jnp

    if wrt is None:
        wrt = [i for i, a in enumerate(args) if not isinstance(a, (int, str)) and np.asarray(a).dtype.kind == "f"]
    if not wrt:
        raise UsageError("verify_vjp: no argument is a float array: give floats where f is differentiated")
    places = tuple(wrt)

    def cost(*given: Any) -> Any:
        leaves = jax.tree.leaves(f(*given))
        return sum(jnp.sum(jnp.asarray(_cotangent(leaf, k)) * leaf) for k, leaf in enumerate(leaves))

    def gradient(*given: Any) -> Any:
        def moving(*values: Any) -> Any:
            whole = list(given)
            for place, value in zip(places, values, strict=True):
                whole[place] = value
            return f(*whole)

        out, back = jax.vjp(moving, *(jnp.asarray(given[i]) for i in places))
        leaves, tree = jax.tree.flatten(out)
        cotangents = [jnp.asarray(_cotangent(leaf, k)) for k, leaf in enumerate(leaves)]
        return back(jax.tree.unflatten(tree, cotangents))

    name = getattr(f, "__name__", type(f).__name__)
    return checked(cost, gradient, tuple(args), places, shapes, dtype, kinks, domain, seconds, f"rule of {name}")


def _cotangent(leaf: Any, salt: int) -> np.ndarray[Any, Any]:
    """Small odd and even integers of both signs, none of them 0."""
    values = (np.arange(leaf.size) * 5 + salt) % 7 - 3
    return np.where(values >= 0, values + 1, values).reshape(leaf.shape).astype(leaf.dtype)
