"""optax's transformations as methods of descent, on backends whose arrays are JAX's."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdjax.errors import UsageError

Array = Any


@dataclass(frozen=True, repr=False)
class Transformation:
    """A `gdjax.rule.Method` made of an `optax.GradientTransformation`.

    Each neuron has its own state. The state's leaves lie side by side in one row of the run's state, in its dtype, so
    that it is saved, resumed and thinned out like any other; a count is exact in float32 up to 2^24.
    """

    given: Any

    def __repr__(self) -> str:
        """Its functions' names: all that a transformation tells of itself."""
        return f"optax transformation {self.given.init.__qualname__.partition('.')[0]}"

    def init(self, theta: np.ndarray) -> np.ndarray:
        """The state (K, S) at theta (K, P)."""
        import jax

        with jax.enable_x64(theta.dtype == np.float64):
            return np.array(jax.vmap(self._flat_init)(theta))

    def update(self, gradient: Array, memory: Array, theta: Array) -> tuple[Array, Array]:
        """What is added to theta (K, P), and the state after it."""
        import jax

        def one(g: Array, row: Array, at: Array) -> tuple[Array, Array]:
            updates, state = self.given.update(g, self._tree(row, at), at)
            return updates.astype(at.dtype), self._flat(state, at.dtype)

        # optax raises decay to integer powers
        with jax.enable_x64(theta.dtype == np.float64), jax.numpy_dtype_promotion("standard"):
            added, after = jax.vmap(one)(gradient, memory, theta)
        return added, after

    def _flat_init(self, theta: Array) -> Array:
        return self._flat(self.given.init(theta), theta.dtype)

    def _flat(self, state: Any, dtype: Any) -> Array:
        import jax
        import jax.numpy as jnp

        leaves = [jnp.ravel(jnp.asarray(leaf)).astype(dtype) for leaf in jax.tree.leaves(state)]
        return jnp.concatenate([jnp.zeros(0, dtype), *leaves])

    def _tree(self, row: Array, theta: Array) -> Any:
        import jax

        shapes, structure = jax.tree.flatten(jax.eval_shape(self.given.init, theta))
        leaves, at = [], 0
        for leaf in shapes:
            part = row[at : at + leaf.size].reshape(leaf.shape)
            leaves.append((part.round() if leaf.dtype.kind in "iu" else part).astype(leaf.dtype))
            at += leaf.size
        return jax.tree.unflatten(structure, leaves)


def as_method(given: Any, xp: Any) -> Any:
    """`given` as a `gdjax.rule.Method`.

    Args:
        given: an `optax.GradientTransformation`: it has init and update.
        xp: the array namespace of the backend.

    Raises:
        UsageError: it is neither that nor a name, or the backend's arrays are not JAX's.
    """
    if isinstance(given, Transformation):
        return given
    if not (callable(getattr(given, "init", None)) and callable(getattr(given, "update", None))):
        raise UsageError(f"method = {given!r} must be a name or an optax.GradientTransformation")
    if getattr(xp, "__name__", "") != "jax.numpy":
        raise UsageError("method: an optax transformation needs a backend of JAX arrays: pass another backend")
    return Transformation(given)
