"""The sums over rows in one pass, as a kernel for GPUs: a tile of rows is in registers from the pre-activation to the
gradient, where two matrix products read it twice.

Written in Pallas, for JAX's Triton lowering. What that does not take, a user's slope by a function it lacks or a JAX
that has it no more, goes by products.
"""

import warnings
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gdjax.formulas import Formula, Pointwise
from gdjax.samples import block_sums_by, plainly, weigh
from gdjax_jax.lone import matmul

Shape: Any = jax.ShapeDtypeStruct

TILE_BYTES = 1 << 15
"""Of X that a program holds at a time. On an H100 64 KiB were 1.07 times as fast for 128 columns of float32, and took
twice as long for float64 and for 500 columns, where they leave the registers."""

PROGRAMS = 512
"""At most for one neuron: four for each of an H100's multiprocessors."""

COLUMNS = 1 << 12
"""At most: beyond, a tile of few rows would not fit."""


def fused_sums(
    pointwise: Pointwise,
    theta: jax.Array,
    X: jax.Array,
    y: jax.Array,
    weight: jax.Array,
    places: jax.Array,
    folds: bool = False,
    interpret: bool = False,
) -> tuple[jax.Array, jax.Array]:
    """Sums of weight * cost (K,) and of its gradient (K, P) of K neurons; `places` (K,) int32 is where the samples of
    each are in X (M, N, D), y and weight (M, N), or -1: nothing is read for it, and its sums are 0.

    A neuron's sums hang, to the bit, on N, D and K alone. Columns are taken by powers of two, which is what Triton
    computes on; `interpret` runs the kernel anywhere, slowly. Autodiff, which goes through no kernel, goes by products.
    """

    @jax.custom_jvp
    def sums(*arrays: Any) -> Any:
        return _by_kernel(pointwise, folds, interpret, *arrays)

    @sums.defjvp
    def _(given: Any, moved: Any) -> Any:
        *arrays, places = given
        _, along = jax.jvp(partial(_by_products, pointwise, folds, places), arrays, list(moved[:-1]))
        return sums(*given), along

    found: tuple[jax.Array, jax.Array] = sums(theta, X, y, weight, places)
    return found


def _by_products(
    pointwise: Pointwise, folds: bool, places: Any, theta: Any, X: Any, y: Any, weight: Any
) -> tuple[jax.Array, jax.Array]:
    # of one neuron's data no copy is made
    X, y, weight = (a if len(a) == 1 else a[jnp.maximum(places, 0)] for a in (X, y, weight))
    summed = plainly(jnp, pointwise, folds)
    cost, gradient = block_sums_by(jnp, summed, theta, X.astype(theta.dtype), y, weight, None, matmul)
    there = places >= 0
    return jnp.where(there, cost, 0), jnp.where(there[:, None], gradient, 0)


def _by_kernel(
    pointwise: Pointwise, folds: bool, interpret: bool, theta: Any, X: Any, y: Any, weight: Any, places: Any
) -> tuple[jax.Array, jax.Array]:
    from jax.experimental import pallas as pl
    from jax.experimental.pallas import triton

    (_, rows, columns), neurons = X.shape, len(theta)
    size, dtype = X.dtype.itemsize, theta.dtype
    tile = _power_of_two(min(rows, TILE_BYTES // (columns * size)))
    tiles = -(-rows // tile)
    programs = max(1, min(tiles, PROGRAMS // neurons))
    pieces = _powers_of_two(columns)

    def kernel(
        theta_ref: Any, x_ref: Any, y_ref: Any, weight_ref: Any, place_ref: Any, slopes_ref: Any, sums_ref: Any
    ) -> None:
        neuron, program = pl.program_id(0), pl.program_id(1)
        place = place_ref[neuron]

        def put(cost: Any, slopes: list[Any], bias: Any) -> None:
            for piece, part in zip(pieces, slopes, strict=True):
                slopes_ref[neuron, program, pl.ds(*piece)] = part
            sums_ref[neuron, program, 0], sums_ref[neuron, program, 1] = cost, bias

        @pl.when(place < 0)
        def _() -> None:
            put(jnp.zeros((), dtype), [jnp.zeros(count, dtype) for _, count in pieces], jnp.zeros((), dtype))

        @pl.when(place >= 0)
        def _() -> None:
            w = [theta_ref[neuron, pl.ds(*piece)] for piece in pieces]
            b = theta_ref[neuron, columns]

            def add(i: jax.Array, sums: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
                # the last tile begins early enough to be whole; the rows that it repeats count once
                first = (i * programs + program) * tile
                start = jnp.minimum(first, rows - tile)
                at = pl.ds(start, tile)
                x = [x_ref[place, at, pl.ds(*piece)].astype(dtype) for piece in pieces]
                z = b + sum(jnp.sum(part * of[None, :], axis=1) for part, of in zip(x, w, strict=True))
                both = weigh(jnp, pointwise, z, y_ref[place, at], weight_ref[place, at], folds)
                fresh = start + jnp.arange(tile, dtype=np.int32) >= first
                cost, residual = (jnp.where(fresh, part, jnp.zeros_like(part)) for part in both)
                slopes = [s + jnp.sum(part * residual[:, None], axis=0) for s, part in zip(sums[1], x, strict=True)]
                return sums[0] + cost, slopes, sums[2] + residual

            none = jnp.zeros(tile, dtype)
            start = none, [jnp.zeros(count, dtype) for _, count in pieces], none
            cost, slopes, bias = lax.fori_loop(np.int32(0), np.int32(-(-tiles // programs)), add, start)
            put(jnp.sum(cost), slopes, jnp.sum(bias))

    slopes, sums = pl.pallas_call(
        kernel,
        grid=(neurons, programs),
        out_shape=[Shape((neurons, programs, width), dtype) for width in (columns, 2)],
        compiler_params=triton.CompilerParams(num_warps=_power_of_two(min(4, tile * columns * size >> 12))),
        interpret=interpret,
    )(theta, X, y, weight, places)
    cost, bias = jnp.moveaxis(sums.sum(axis=1), -1, 0)
    return cost, jnp.concatenate([slopes.sum(axis=1), bias[:, None]], axis=1)


@lru_cache
def fusable(formula: Formula, dtype: str, device: jax.Device) -> bool:
    """Whether a kernel of the formula compiles for the device: tried once, on one neuron of two rows."""

    def sums(theta: jax.Array, X: jax.Array, y: jax.Array) -> Any:
        return fused_sums(formula.pointwise(jnp), theta, X, y, y, jnp.zeros(1, np.int32))

    unwarned()
    try:
        with jax.default_device(device):
            jax.jit(sums).lower(*(Shape(shape, dtype) for shape in ((1, 4), (1, 2, 3), (1, 2)))).compile()
    except Exception:  # noqa: BLE001  whatever it was, products say the same or say it better
        return False
    return True


def unwarned() -> None:
    """Before a kernel may be lowered: JAX then says that Triton's days are counted, which ends the user's program where
    warnings are errors. Filters that a block of `catch_warnings` put before this one, pytest's, are passed again."""
    said = "The Pallas Triton backend is deprecated"
    first = warnings.filters[0] if warnings.filters else None
    if first is None or first[0] != "ignore" or getattr(first[1], "pattern", None) != said:
        warnings.filterwarnings("ignore", said, DeprecationWarning)


def _powers_of_two(count: int) -> list[tuple[int, int]]:
    """Starts and lengths of the pieces that `count` columns are taken in."""
    pieces, start = [], 0
    while start < count:
        pieces.append((start, _power_of_two(count - start)))
        start += pieces[-1][1]
    return pieces


def _power_of_two(most: int) -> int:
    return 1 << (max(1, most).bit_length() - 1)
