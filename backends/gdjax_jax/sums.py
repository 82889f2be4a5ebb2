"""Sums over the rows of shared samples: block by block while a block is in cache, over the devices that hold them."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gdjax.formulas import Formula, Pointwise
from gdjax.machine.cores import cores
from gdjax.samples import Samples, Summed, block_sums, block_sums_by, has_folds, of_sets, plainly, weigh, weighted
from gdjax_jax.fused import fused_sums
from gdjax_jax.lone import BY_ALL_CORES, BY_ONE_CORE, barrier, lone_sums, matmul
from gdjax_jax.walks import ACCELERATOR, CPU, Walk

AXIS = "rows"
P: Any = PartitionSpec

psum: Any = lax.psum


def evaluate(
    formula: Formula,
    theta: jax.Array,
    samples: Samples,
    mesh: Mesh | None = None,
    walk: Walk | None = None,
    places: jax.Array | None = None,
) -> tuple[jax.Array, jax.Array]:
    """Mean cost (K,) and hand-derived gradient (K, P).

    Where own samples are walked by a fused kernel, `places` (K,) may say which are each neuron's, -1 for one whose
    cost and gradient nobody looks at; `samples.total` is in the neurons' order in any case.
    """
    pointwise = formula.pointwise(jnp)
    X, y, weight, _, fold = samples
    if not samples.shared and walk is not None and walk.fused:
        at = jnp.arange(len(theta), dtype=np.int32) if places is None else places
        sums = fused_sums(pointwise, theta, X, y, weight, at)
    elif not samples.shared:
        sums = block_sums(jnp, pointwise, theta, X.astype(theta.dtype), y, weight, None, matmul)
    elif mesh is None:
        sums = over_blocks(pointwise, theta, X, y, weight, fold, walk=walk)
    else:

        def part(theta: jax.Array, X: jax.Array, y: jax.Array, weight: jax.Array, fold: jax.Array | None) -> Any:
            return psum(over_blocks(pointwise, theta, X, y, weight, fold, mesh.size, walk), AXIS)

        targets = P(AXIS) if y.ndim == 1 else P(None, AXIS)
        specs = (P(), P(AXIS), targets, P(None, AXIS), P())
        sums = jax.shard_map(part, mesh=mesh, in_specs=specs, out_specs=P(), check_vma=False)(theta, X, y, weight, fold)
    return samples.mean(*sums)


def evaluator(
    formula: Formula, like: jax.Array, samples: Samples, mesh: Mesh | None = None, walk: Walk | None = None
) -> Callable[[jax.Array], tuple[jax.Array, jax.Array]]:
    """`evaluate` as a function of theta alone, shaped `like` it, for many steps on the same samples.

    Shared samples that fit in a CPU's block are turned once, features by rows with a row of ones for the bias: XLA on
    CPU multiplies by that several times as fast as by narrow rows, and sums over long rows not at all.
    """
    X, y, weight, _, fold = samples
    rows = X.shape[0]
    by_kernel = lone_by_kernel(walk, like)
    if not samples.shared or mesh is not None or by_kernel or not isinstance(rows, int) or not one_block(X, like):
        return partial(evaluate, formula, samples=samples, mesh=mesh, walk=walk)
    pointwise = formula.pointwise(jnp)
    columns = jnp.concatenate([X.T.astype(like.dtype), jnp.ones((1, rows), like.dtype)])
    columns = barrier(columns)  # or XLA would take the transpose into the loop

    def on_turned(theta: jax.Array) -> tuple[jax.Array, jax.Array]:
        cost, residual = weighted(jnp, pointwise, matmul(theta, columns), y, weight, fold)
        return samples.mean(cost.sum(axis=-1), matmul(residual, columns.T))

    return on_turned


def over_blocks(
    pointwise: Pointwise,
    theta: jax.Array,
    X: jax.Array,
    y: jax.Array,
    weight: jax.Array,
    fold: jax.Array | None,
    devices: int = 1,
    walk: Walk | None = None,
) -> tuple[jax.Array, jax.Array]:
    """The sums of all rows: X is read once, and nothing of size N by K is stored; `devices` do so side by side."""
    rows = X.shape[0]
    if lone_by_kernel(walk, theta):
        of_one, share = (of_sets(part, fold).reshape(1, rows) for part in (y, weight))
        first = jnp.zeros(1, np.int32)
        return fused_sums(pointwise, theta, X[None], of_one, share, first, has_folds(weight, fold))
    if not isinstance(rows, int) or one_block(X, theta):  # exported programs leave N open
        return block_sums(jnp, pointwise, theta, X.astype(theta.dtype), y, weight, fold, matmul)
    if walk is None:
        ways = {
            platform: partial(over_blocks, pointwise, devices=devices, walk=way)
            for platform, way in (("cpu", CPU), ("default", ACCELERATOR))
        }
        by_platform: Any = lax.platform_dependent(theta, X, y, weight, fold, **ways)
        return by_platform[0], by_platform[1]
    if len(theta) == 1 and walk == CPU:
        blocks = BY_ONE_CORE if devices >= cores() else BY_ALL_CORES
        return lone_sums(pointwise, blocks, theta, X, y, weight, fold)
    return by_products(pointwise, walk, theta, X, y, weight, fold)


def by_products(
    pointwise: Pointwise,
    walk: Walk,
    theta: jax.Array,
    X: jax.Array,
    y: jax.Array,
    weight: jax.Array,
    fold: jax.Array | None,
) -> tuple[jax.Array, jax.Array]:
    """Two matrix products a block."""
    rows = X.shape[0]
    block = min(block_rows(X, theta, walk.block_bytes), rows)
    folds = has_folds(weight, fold)
    whole = walk.strips == 1 or block % walk.strips
    summed = plainly(jnp, pointwise, folds) if whole else _in_strips(pointwise, folds, walk.strips)

    def add(i: jax.Array, sums: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        # the last block begins early enough to be whole; the rows that it repeats weigh nothing
        first = i * block
        start = jnp.minimum(first, rows - block)
        fresh = start + jnp.arange(block) >= first
        share = lax.dynamic_slice_in_dim(weight, start, block, axis=1)
        more = block_sums_by(
            jnp,
            summed,
            theta,
            lax.dynamic_slice_in_dim(X, start, block).astype(theta.dtype),
            lax.dynamic_slice_in_dim(y, start, block, axis=-1),
            jnp.where(fresh, share, jnp.zeros_like(share)),
            fold,
            matmul,
        )
        return sums[0] + more[0], sums[1] + more[1]

    nothing = jnp.zeros(theta.shape[:1], theta.dtype), jnp.zeros_like(theta)
    return lax.fori_loop(0, -(-rows // block), add, nothing)


def _in_strips(pointwise: Pointwise, folds: bool, count: int) -> Summed:
    """`gdjax.samples.weigh`, its sums over the `count` parts of the rows first."""

    def summed(z: jax.Array, y: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        both = weigh(jnp, pointwise, z, y, weight, folds)
        strips = tuple(part.reshape(len(z), count, -1) for part in both)
        zero = np.zeros((), z.dtype)
        cost, slope = lax.reduce(strips, (zero, zero), lambda a, b: (a[0] + b[0], a[1] + b[1]), (1,))
        return cost.sum(axis=-1), both[1], slope.sum(axis=-1)

    return summed


def lone_by_kernel(walk: Walk | None, theta: Any) -> bool:
    """Whether the sums of shared rows are of one neuron, by the fused kernel."""
    return walk is not None and walk.fused and len(theta) == 1


def one_block(X: Any, theta: Any) -> bool:
    """Whether all rows are one block of a CPU's; of one neuron's, no more than are faster so than in place."""
    return block_rows(X, theta, CPU.block_bytes if theta.shape[0] > 1 else BY_ALL_CORES.bytes) >= X.shape[0]


def block_rows(X: Any, theta: Any, most: int) -> int:
    """Rows of a block of `most` bytes, a power of two: a row of X, and z, cost and residual of each neuron."""
    each = X.shape[1] * X.dtype.itemsize + 3 * theta.shape[0] * theta.dtype.itemsize
    return 1 << max(8, (most // each).bit_length() - 1)


def mesh_of(X: Any) -> Mesh | None:
    """The devices that X is spread over, or None where it lies on one."""
    sharding = getattr(X, "sharding", None)
    if isinstance(sharding, NamedSharding) and len(sharding.device_set) > 1:
        return sharding.mesh  # type: ignore[return-value]
    return None


def beside(samples: Samples) -> Samples:
    """The samples with y and weights, where they are large enough to have been spread and X is not, back beside X."""
    if samples.shared and mesh_of(samples.X) is not None:
        return samples
    return Samples(*(a if mesh_of(a) is None else jax.device_put(a, samples.X.sharding) for a in samples))
