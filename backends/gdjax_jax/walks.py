"""How a kind of device goes through rows and neurons: in pieces that a cache holds, or in few that fill the device."""

from typing import Any, NamedTuple

import jax

from gdjax.formulas import Formula
from gdjax_jax.fused import COLUMNS, fusable, unwarned


class Walk(NamedTuple):
    """Sizes of pieces; hashable, since programs are compiled for them."""

    block_bytes: int
    """Of a block of shared rows and the values computed from it."""
    strips: int
    """Parts of a block whose sums are taken side by side."""
    tile_bytes: int
    """Of the samples of a tile, the neurons of a fleet that take their steps together."""
    tile_neurons: int
    """And how many there are at most, a power of two."""
    stride: int
    """Steps between two looks at whether any neuron is still running."""
    fused: bool = False
    """Whether `gdjax_jax.fused` takes the sums, in one pass."""


CPU = Walk(block_bytes=1 << 23, strips=8, tile_bytes=1 << 18, tile_neurons=1 << 6, stride=1)
"""For 1,024 neurons blocks of 8 MiB were the fastest, with 16, of 1 to 32. XLA on CPU unrolls a sum of eight terms and
takes both sums in one pass; of 16 they took twice as long. A tile is in a core's cache for a whole chunk of steps."""

ACCELERATOR = Walk(block_bytes=1 << 31, strips=1, tile_bytes=1 << 29, tile_neurons=1 << 14, stride=20)
"""A kernel takes microseconds to start, whatever it does, and a look at what runs waits for the host: on an H100 a step
of a small neuron took 38 us with a look at each, 30 with one in 10 and 25 with one in 50."""


def walk_for(formula: Formula, X: Any, dtype: str) -> Walk | None:
    """The walk of the device that holds X; None where that is known only when the program is lowered."""
    if isinstance(X, jax.core.Tracer) or not isinstance(X, jax.Array):
        return None
    device = min(X.devices(), key=lambda d: d.id)
    if device.platform == "cpu":
        return CPU
    fused = device.platform == "gpu" and 0 < X.shape[-1] <= COLUMNS and fusable(formula, dtype, device)
    if fused:
        unwarned()
    return ACCELERATOR._replace(fused=fused)


def tile_neurons(X: Any, walk: Walk | None) -> int:
    """How many of the neurons with samples X (K, N, D) a tile holds: by the bytes of one neuron's alone, so that what
    it gets hangs on no other."""
    sizes = walk or CPU
    each = X.shape[1] * X.shape[2] * X.dtype.itemsize
    fit = sizes.tile_bytes // max(1, each)
    return min(sizes.tile_neurons, 1 << max(0, fit.bit_length() - 1))
