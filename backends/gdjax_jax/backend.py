"""JAX: the hand-derived gradient jitted, a chunk of steps as one program, on CPU, GPU and TPU."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, NamedSharding

from gdjax.errors import BackendError
from gdjax.formulas import Formula
from gdjax.protocol import Chunk
from gdjax.rule import Knobs, Rule, State
from gdjax.samples import Samples
from gdjax_jax import programs
from gdjax_jax.scope import scope
from gdjax_jax.sums import AXIS, P, beside, mesh_of
from gdjax_jax.walks import walk_for

LARGE, ALIGNED = 1 << 20, 64
"""Bytes from which a second copy counts, and what XLA on CPU wants an array's address to be a multiple of."""

SPREAD_BYTES = 1 << 23
"""Data of fewer bytes stays on one device: the devices would wait for each other longer than they compute."""

SMALL_BYTES = 1 << 16
"""Up to this `asarray`, which copies once more, takes half as long as `device_put`."""


@dataclass(frozen=True)
class JaxBackend:
    """JAX arrays and XLA programs; float64 by x64 scoped to each call, the global flag untouched.

    Args:
        dtype: "float32" or "float64".
        device: a platform ("cpu", "gpu", "tpu", "cuda", "rocm"), one with an index ("gpu:1"), or None for JAX's
            default, where several devices share the rows of large data if they divide evenly.
        narrow: keep float16 and bfloat16 data as it is: half the memory and traffic, arithmetic and sums in `dtype`.
            The gradient is that of the rounded data, each value off by up to 2^-9 (bfloat16) or 2^-11 (float16).
            XLA on CPU widens bfloat16 as a whole: choose float16 there.
    """

    dtype: str = "float64"
    device: str | None = None
    narrow: bool = False

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
        if isinstance(x, jax.Array) and x.dtype == self._dtype_of(x):
            return x
        with scope(self.dtype):
            x = np.asarray(x)
            dtype = self._dtype_of(x)
            # a view that nobody may write to cannot change under us
            kept = _copied(x, dtype) if x.dtype != dtype or x.flags.writeable else x
            place = self._place(kept)
            if place is None and kept.nbytes <= SMALL_BYTES:
                return jnp.asarray(kept)
            return jax.device_put(kept, place)

    def to_numpy(self, x: Any) -> np.ndarray:
        """A NumPy view or copy of `x`."""
        return np.asarray(x)

    def cost_and_gradient(self, formula: Formula, theta: Any, samples: Samples) -> tuple[jax.Array, jax.Array]:
        """See `gdjax.protocol.Backend`."""
        with scope(self.dtype):
            walk = walk_for(formula, samples.X, self.dtype)
            return programs.cost_and_gradient(formula, self.asarray(theta), beside(samples), mesh_of(samples.X), walk)

    def grad(self, formula: Formula, theta: Any, samples: Samples) -> jax.Array:
        """The gradient by `jax.grad` of the cost alone, which never sees a hand-written slope."""
        with scope(self.dtype):
            return programs.grad(formula, self.asarray(theta), beside(samples))

    def descend(
        self, formula: Formula, rule: Rule, samples: Samples, rows: np.ndarray, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        """See `gdjax.protocol.Backend`."""
        with scope(self.dtype):
            return programs.run(formula, rule, beside(samples), rows, state, knobs, chunk, self.dtype)

    def keep_programs(self, folder: Path) -> None:
        """Keeps compiled programs in `folder` for the processes that follow: JAX's persistent cache, process-wide."""
        update: Any = jax.config.update
        update("jax_compilation_cache_dir", str(folder))
        update("jax_persistent_cache_min_compile_time_secs", 0)
        update("jax_persistent_cache_min_entry_size_bytes", -1)

    def _dtype_of(self, x: Any) -> Any:
        if self.narrow and x.dtype in (np.float16, jnp.bfloat16):
            return x.dtype
        return np.dtype(self.dtype) if jnp.issubdtype(x.dtype, jnp.floating) else x.dtype

    def _place(self, x: np.ndarray) -> Any:
        if self.device is None and x.ndim == 2 and x.nbytes >= SPREAD_BYTES:
            devices = jax.local_devices()
            if len(devices) > 1 and len(x) % len(devices) == 0:
                mesh = jax.make_mesh((len(devices),), (AXIS,), devices=devices, axis_types=(AxisType.Auto,))
                return NamedSharding(mesh, P(AXIS))
        # left uncommitted, so that it goes where the rows are
        return None if self.device is None else self._device()

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


def _copied(x: np.ndarray, dtype: Any) -> np.ndarray:
    """A copy that XLA on CPU takes as it is, where it would copy large data again for its address."""
    size = x.size * dtype.itemsize
    if size < LARGE:
        return x.astype(dtype)
    memory = np.empty(size + ALIGNED, np.uint8)
    start = -memory.ctypes.data % ALIGNED
    copy = memory[start : start + size].view(dtype).reshape(x.shape)
    np.copyto(copy, x, casting="unsafe")
    return copy
