"""The XLA programs of the JAX backend: cost and gradient, `jax.grad`, and a chunk of steps."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from gdjax.formulas import Formula
from gdjax.protocol import Chunk
from gdjax.rule import RUNNING, STATIONARY, Knobs, Rule, State, make_advance
from gdjax.samples import Samples, block_sums
from gdjax_jax.sums import evaluate, matmul, mesh_of

TILE_BYTES = 1 << 18
"""A tile of neurons and their samples stay in cache for a whole chunk of steps."""

STEPS = 100
"""Steps that a program has room for; how many it takes is traced."""

cost_and_gradient = jax.jit(evaluate, static_argnums=(0, 3))


@partial(jax.jit, static_argnums=0)
def grad(formula: Formula, theta: jax.Array, samples: Samples) -> jax.Array:
    """The gradient (K, P) by `jax.grad`: that of the costs' sum, since neurons are independent."""
    X, y, weight, _, fold = samples

    def cost(at: jax.Array) -> jax.Array:
        sums = block_sums(jnp, formula.pointwise(jnp), at, X.astype(at.dtype), y, weight, fold, matmul)
        return samples.mean(*sums)[0].sum()

    return jax.grad(cost)(theta)


def steps(
    formula: Formula,
    rule: Rule,
    trace: bool,
    samples: Samples,
    state: State,
    knobs: Knobs,
    factors: jax.Array,
    batches: jax.Array | None,
    count: jax.Array | None = None,
    mesh: Mesh | None = None,
) -> tuple[State, jax.Array | None]:
    """A chunk of steps of neurons in lockstep, the first `count` of them, ended early where none is running."""
    last = len(factors) if count is None else count
    advance = make_advance(jnp, rule)
    costs = jnp.full((len(factors), len(state.phase)), jnp.nan, factors.dtype) if trace else None

    def unfinished(carry: tuple[Any, State, Any]) -> jax.Array:
        i, now, _ = carry
        return (i < last) & (now.phase == RUNNING).any()

    def step(carry: tuple[Any, State, Any]) -> tuple[Any, State, Any]:
        i, now, seen_costs = carry
        seen = samples if batches is None else samples.batch(jnp, batches[i])
        now = advance(now, knobs, lambda theta: evaluate(formula, theta, seen, mesh), factors[i])
        if seen_costs is not None:
            seen_costs = seen_costs.at[i].set(now.cost)
        return i + 1, now, seen_costs

    _, state, costs = lax.while_loop(unfinished, step, (jnp.int32(0), state, costs))
    return state, costs


@partial(jax.jit, static_argnums=(0, 1, 2, 9), donate_argnums=4)
def chunk_shared(
    formula: Formula,
    rule: Rule,
    trace: bool,
    samples: Samples,
    state: State,
    knobs: Knobs,
    factors: jax.Array,
    batches: jax.Array | None,
    count: jax.Array,
    mesh: Mesh | None,
) -> tuple[State, jax.Array | None]:
    """A chunk on shared samples: one lockstep of all neurons."""
    return steps(formula, rule, trace, samples, state, knobs, factors, batches, count, mesh)


@partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=6)
def chunk_own(
    formula: Formula,
    rule: Rule,
    trace: bool,
    samples: Samples,
    tiles: jax.Array,
    rows: jax.Array,
    state: State,
    knobs: Knobs,
    factors: jax.Array,
    batches: jax.Array | None,
    count: jax.Array,
) -> tuple[State, jax.Array | None]:
    """A chunk on own samples: the first `tiles` tiles of `rows` (M, T), all else with the same two leading axes.

    Each tile runs all its steps while its data is in cache, and its fixed shape keeps what a neuron gets independent,
    to the bit, of who runs beside it. The number of tiles is traced: a fleet that thins out compiles nothing anew.
    """
    held = knobs._replace(penalised=jnp.broadcast_to(knobs.penalised, (len(rows), *knobs.penalised.shape)))
    costs = jnp.full((len(rows), len(factors), rows.shape[1]), jnp.nan, factors.dtype) if trace else None

    def tile(i: jax.Array, carry: tuple[State, jax.Array | None]) -> tuple[State, jax.Array | None]:
        at, now, knob, index = jax.tree.map(lambda x: x[i], (rows, carry[0], held, batches))
        if index is not None:
            index = jnp.moveaxis(index, 0, 1)
        after = steps(formula, rule, trace, samples.take(at), now, knob, factors, index, count)
        return jax.tree.map(lambda whole, part: whole.at[i].set(part), carry, after)

    return lax.fori_loop(0, tiles, tile, (state, costs))


_seen: set[Any] = set()
"""Programs of fleets that were dispatched once: the second time they are compiled, and threads may share them."""


def run(
    formula: Formula,
    rule: Rule,
    samples: Samples,
    rows: np.ndarray,
    state: State,
    knobs: Knobs,
    chunk: Chunk,
    dtype: str,
) -> tuple[State, np.ndarray | None]:
    """A chunk; NumPy in, NumPy out. A fleet on CPU goes out in two halves at once: XLA runs a loop over tiles on one
    core, and tiles of a fixed shape do not see in which half they are."""
    half = 0
    # without jit there is no program to share, and threads would not know that it is off
    if not samples.shared and not jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        tile = tile_neurons(samples.X)
        width = None if chunk.batches is None else chunk.batches.shape[2]
        program = (formula, rule, chunk.trace, samples.X.shape, dtype, width, -(-len(chunk.factors) // STEPS))
        if program in _seen and len(rows) > tile and {d.platform for d in samples.X.devices()} == {"cpu"}:
            half = -(-len(rows) // (2 * tile)) * tile
        _seen.add(program)
    if not half:
        return _dispatch(formula, rule, samples, rows, state, knobs, chunk, dtype)

    def part(at: slice) -> tuple[State, np.ndarray | None]:
        own = Knobs(*(k if k is knobs.penalised else k[at] for k in knobs))
        batches = None if chunk.batches is None else chunk.batches[:, at]
        with jax.enable_x64(dtype == "float64"):  # a thread has a context of its own
            now = State(*(a[at] for a in state))
            return _dispatch(formula, rule, samples, rows[at], now, own, chunk._replace(batches=batches), dtype)

    with ThreadPoolExecutor(2) as pool:
        (first, some), (second, others) = pool.map(part, (slice(0, half), slice(half, None)))
    joined = State(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
    costs = None if some is None or others is None else np.concatenate([some, others], axis=1)
    return joined, costs


def _dispatch(
    formula: Formula,
    rule: Rule,
    samples: Samples,
    rows: np.ndarray,
    state: State,
    knobs: Knobs,
    chunk: Chunk,
    dtype: str,
) -> tuple[State, np.ndarray | None]:
    """One dispatch of a chunk.

    Neurons are padded with dummies that do not run: shared samples to a power of two of them, own samples to the
    slab's tiles, and steps to a whole `STEPS` of them, so that few shapes are compiled.
    """
    taken = len(chunk.factors)
    idle = -taken % STEPS
    factors = np.pad(chunk.factors.astype(dtype), (0, idle))
    steps_taken = np.int32(taken)
    count = len(rows)
    tile = 1 if samples.shared else tile_neurons(samples.X)
    if samples.shared:
        size = 1 << (count - 1).bit_length()
    else:
        size = -(-len(samples.X) // tile) * tile

    def padded(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.repeat(x[-1:], size - count, axis=0)])

    state = jax.tree.map(padded, state)
    state.phase[count:] = STATIONARY
    knobs = Knobs(*(k if k is knobs.penalised else padded(k) for k in knobs))
    batches = chunk.batches
    if batches is not None:
        batches = np.pad(batches, ((0, idle), (0, 0), (0, 0)))
    if samples.shared:
        if batches is not None and batches.shape[1] > 1:
            batches = np.moveaxis(padded(np.moveaxis(batches, 1, 0)), 0, 1)
        held = samples.take(padded(rows))
        mesh = None if batches is not None else mesh_of(samples.X)
        after, costs = chunk_shared(
            formula, rule, chunk.trace, held, jax.device_put(state), knobs, factors, batches, steps_taken, mesh
        )
    else:

        def tiled(x: np.ndarray) -> np.ndarray:
            return x.reshape(size // tile, tile, *x.shape[1:])

        split = jax.device_put(jax.tree.map(tiled, state))
        knobs = Knobs(*(k if k is knobs.penalised else tiled(k) for k in knobs))
        batches = None if batches is None else tiled(padded(np.moveaxis(batches, 0, 1)))
        tiles = np.int32(-(-count // tile))
        after, costs = chunk_own(
            formula, rule, chunk.trace, samples, tiles, tiled(padded(rows)), split, knobs, factors, batches, steps_taken
        )
        after = jax.tree.map(lambda x: np.asarray(x).reshape(size, *x.shape[2:]), after)
        costs = None if costs is None else np.moveaxis(np.asarray(costs), 1, 0).reshape(len(factors), size)
    return jax.tree.map(lambda x: np.asarray(x)[:count], after), None if costs is None else np.asarray(costs)[
        :taken, :count
    ]


def tile_neurons(X: Any) -> int:
    """How many neurons a tile holds: by the bytes of one neuron's samples alone."""
    each = X.shape[1] * X.shape[2] * X.dtype.itemsize
    fit = TILE_BYTES // max(1, each)
    return 1 << min(6, max(0, fit.bit_length() - 1))
