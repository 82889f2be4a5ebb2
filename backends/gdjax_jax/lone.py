"""One neuron's sums on CPU, in place: a block of rows comes from memory once, and nothing of its size is written.

XLA on CPU copies a slice of X that its matrix product or its reduction takes, and computes in place a slice that one
fused loop takes. So each reader has a slice of its own, and the sum over rows is multiply-adds of the strips of a
block into an array of a strip's size, whose rows are summed at the end.
"""

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from gdjax.formulas import Pointwise
from gdjax.samples import block_sums, weighted

barrier: Any = lax.optimization_barrier
matmul = partial(jnp.matmul, precision=lax.Precision.HIGHEST)


class Blocks(NamedTuple):
    """How rows are walked: a block is read twice, the second time from a cache."""

    bytes: int
    """Of X in a block."""
    strips: int
    """Of a block: what is read for each number that is written."""


BY_ALL_CORES = Blocks(1 << 21, 16)
"""XLA splits each loop among the cores, and waits for the last: fewer, longer loops."""
BY_ONE_CORE = Blocks(1 << 17, 8)
"""XLA leaves loops this short to the thread that calls them: a device a core, and none waits."""


def lone_sums(
    pointwise: Pointwise,
    blocks: Blocks,
    theta: jax.Array,
    X: jax.Array,
    y: jax.Array,
    weight: jax.Array,
    fold: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """Sums of weight * cost (1,) and of its gradient (1, P) over the rows X (N, D)."""
    rows, columns = X.shape
    block = max(16 * blocks.strips, blocks.bytes // (columns * X.dtype.itemsize))
    block = 1 << (min(block, rows).bit_length() - 1)
    whole, strip = rows // block, block // blocks.strips
    w, b = theta[:, :-1], theta[:, -1:]

    def part(array: jax.Array, start: Any, count: int, axis: int = 0) -> jax.Array:
        return lax.dynamic_slice_in_dim(array, start, count, axis, allow_negative_indices=False).astype(theta.dtype)

    def add(i: jax.Array, sums: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        start = i * block
        z = matmul(w, part(X, start, block).T) + b
        sample = weighted(jnp, pointwise, z, part(y, start, block, -1), part(weight, start, block, -1), fold)
        # or XLA would compute the residual anew for each column
        each, residual = barrier(sample)
        cost, slopes, bias = sums
        for first in range(0, block, strip):
            at = slice(first, first + strip)
            cost, bias = cost + each[0, at], bias + residual[0, at]
            slopes = slopes + residual[0, at, None] * part(X, start + first, strip)
        return cost, slopes, bias

    nothing = jnp.zeros(strip, theta.dtype), jnp.zeros((strip, columns), theta.dtype), jnp.zeros(strip, theta.dtype)
    cost, slopes, bias = lax.fori_loop(0, whole, add, nothing)
    rest = slice(whole * block, rows)
    last = block_sums(jnp, pointwise, theta, X[rest].astype(theta.dtype), y[..., rest], weight[:, rest], fold, matmul)
    return cost.sum() + last[0], jnp.append(slopes.sum(axis=0), bias.sum()) + last[1]
