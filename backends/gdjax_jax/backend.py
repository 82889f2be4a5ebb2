"""JAX: the hand-derived gradient jitted, a chunk of steps as one program, on CPU, GPU and TPU."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.errors import BackendError
from gdjax.formulas import Formula
from gdjax.protocol import Chunk
from gdjax.rule import Knobs, Rule, State
from gdjax.samples import Samples
from gdjax_jax import programs


@dataclass(frozen=True)
class JaxBackend:
    """JAX arrays and XLA programs; float64 by x64 scoped to each call, the global flag untouched.

    Args:
        dtype: "float32" or "float64".
        device: a platform ("cpu", "gpu", "tpu", "cuda", "rocm"), one with an index ("gpu:1"), or None for JAX's default.
    """

    dtype: str = "float64"
    device: str | None = None

    name = "jax"
    dtypes = ("float32", "float64")

    def __post_init__(self) -> None:
        self._device()

    @property
    def devices(self) -> tuple[str, ...]:
        """The devices that JAX sees here."""
        return tuple(f"{d.platform}:{d.id}" for d in jax.devices())

    @property
    def xp(self) -> Any:
        """`jax.numpy`."""
        return jnp

    def asarray(self, x: Any) -> jax.Array:
        """A copy of `x` on the device: on CPU `device_put` may alias the caller's memory, so it is copied first."""
        if isinstance(x, jax.Array) and (x.dtype == self.dtype or x.dtype.kind != "f"):
            return x
        with self._scope():
            x = np.asarray(x)
            dtype = self.dtype if x.dtype.kind == "f" else x.dtype
            # a view that nobody may write to cannot change under us
            kept = x.astype(dtype) if x.dtype != dtype or x.flags.writeable else x
            return jax.device_put(kept, self._device())

    def to_numpy(self, x: Any) -> np.ndarray:
        """A NumPy view or copy of `x`."""
        return np.asarray(x)

    def cost_and_gradient(self, formula: Formula, theta: Any, samples: Samples) -> tuple[jax.Array, jax.Array]:
        """See `gdjax.protocol.Backend`."""
        with self._scope():
            return programs.cost_and_gradient(formula, self.asarray(theta), samples)

    def grad(self, formula: Formula, theta: Any, samples: Samples) -> jax.Array:
        """The gradient by `jax.grad` of the cost alone, which never sees a hand-written slope."""
        with self._scope():
            return programs.grad(formula, self.asarray(theta), samples)

    def descend(
        self, formula: Formula, rule: Rule, samples: Samples, rows: np.ndarray, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        """See `gdjax.protocol.Backend`."""
        with self._scope():
            return programs.run(formula, rule, samples, rows, state, knobs, chunk, self.dtype)

    def _scope(self) -> AbstractContextManager[Any]:
        return jax.enable_x64(self.dtype == "float64")

    def _device(self) -> jax.Device:
        kind, _, index = (self.device or "").partition(":")
        try:
            found = jax.devices(kind or None)
            return found[int(index or 0)]
        except (RuntimeError, ValueError, IndexError) as error:
            here = ", ".join(sorted({d.platform for d in jax.devices()}))
            raise BackendError(
                f"backend 'jax': no device {self.device!r} here: pass one of {here}, or install the extra for it "
                "(cuda12, cuda13, tpu)"
            ) from error
