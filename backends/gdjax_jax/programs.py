"""The XLA programs of the JAX backend: cost and gradient, `jax.grad`, and a chunk of steps."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh

from gdjax.formulas import Formula
from gdjax.protocol import Chunk
from gdjax.rule import RUNNING, STATIONARY, Evaluate, Knobs, Rule, State, make_advance
from gdjax.samples import Samples, block_sums
from gdjax_jax.compiling import WIDE, compiled
from gdjax_jax.lone import barrier, matmul
from gdjax_jax.packing import Layout, Packed, layout_of, pack, unpack
from gdjax_jax.scope import scope
from gdjax_jax.sums import evaluate, evaluator, mesh_of
from gdjax_jax.walks import CPU, Walk, tile_neurons, walk_for

STEPS = 100
"""Steps that a program has room for; how many it takes is traced."""

QUICK_SHARED, QUICK_OWN = 1 << 16, 1 << 20
"""Bytes of X that programs compiled quickly go through as fast: a tile of a fleet is in cache in any case."""

cost_and_gradient = compiled(
    evaluate,
    neurons=lambda formula, theta, samples, *rest: len(theta) if samples.shared else 1,
    most=QUICK_SHARED,
    asked=WIDE,
    static_argnums=(0, 3, 4),
)


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
    walk: Walk | None = None,
    places: jax.Array | None = None,
) -> tuple[State, jax.Array | None]:
    """A chunk of steps of neurons in lockstep, the first `count` of them, ended early where none is running.

    Whether any is, is looked at every `walk.stride` steps, which the number of factors is a multiple of. With `places`,
    as `evaluate` has them, the samples of neurons that are not running are not read.
    """
    last = len(factors) if count is None else count
    advance = make_advance(jnp, rule)
    costs = jnp.full((len(factors), len(state.phase)), jnp.nan, factors.dtype) if trace else None
    if batches is None:
        on_all = evaluator(formula, state.point, samples, mesh, walk)
    carried = _together(state, knobs) if samples.shared else _apart(state, knobs)

    def unfinished(carry: tuple[Any, Any, Any]) -> jax.Array:
        i, now, _ = carry
        return (i < last) & (carried.state(now).phase == RUNNING).any()

    def step(carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        i, now, seen_costs = carry
        before = carried.state(now)
        on_these: Evaluate
        if batches is not None:
            on_these = partial(evaluate, formula, samples=samples.batch(jnp, batches[i]), walk=walk)
        elif places is not None:
            read = jnp.where(before.phase == RUNNING, places, -1)
            on_these = partial(evaluate, formula, samples=samples, walk=walk, places=read)
        else:
            on_these = on_all
        after = advance(before, carried.knobs(), on_these, factors[i])
        if seen_costs is not None:
            seen_costs = seen_costs.at[i].set(after.cost)
        return i + 1, carried.of(after), seen_costs

    stride = 1 if walk is None else walk.stride

    def stretch(carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        def within(_: Any, carry: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
            i, now, _ = carry
            i, after, seen_costs = step(carry)
            return i, jax.tree.map(partial(jnp.where, i <= last), after, now), seen_costs

        return lax.fori_loop(0, stride, within, carry)

    _, end, costs = lax.while_loop(
        unfinished, step if stride == 1 else stretch, (jnp.int32(0), carried.of(state), costs)
    )
    return carried.state(end), costs


PER_NEURON = tuple(name for name in Knobs._fields if name != "penalised")


class Carried(NamedTuple):
    """What a loop over steps carries."""

    of: Callable[[State], Any]
    """A state as it is carried."""
    state: Callable[[Any], State]
    """And back."""
    knobs: Callable[[], Knobs]
    """The knobs, asked for within a step."""


def _apart(state: State, knobs: Knobs) -> Carried:
    """Each array by itself: neighbours in memory are neighbours in a tile of neurons."""
    return Carried(of=lambda after: after, state=lambda now: now, knobs=lambda: knobs)


def _together(state: State, knobs: Knobs) -> Carried:
    """Two arrays: XLA on CPU starts a kernel for each that is carried, and hands them to other threads where more
    than eight could start, which takes longer than a step on few rows."""
    own = [getattr(knobs, name) for name in PER_NEURON]
    layout, fixed = layout_of(state), layout_of(own)
    held = barrier(pack(jnp, fixed, own))  # or XLA would unpack it ahead of the loop
    return Carried(
        of=lambda after: pack(jnp, layout, after),
        state=lambda now: State(*unpack(now, layout)),
        knobs=lambda: Knobs(penalised=knobs.penalised, **dict(zip(PER_NEURON, unpack(held, fixed), strict=True))),
    )


class Plan(NamedTuple):
    """What a chunk is compiled for."""

    formula: Formula
    rule: Rule
    trace: bool
    state: Layout
    knobs: Layout
    mesh: Mesh | None = None
    walk: Walk | None = None


class Given(NamedTuple):
    """What the steps of a chunk share."""

    penalised: Any
    factors: Any
    count: Any
    """() how many of `factors` count."""


@partial(
    compiled,
    neurons=lambda plan, samples, fold, state, *rest: len(state.real),
    most=QUICK_SHARED,
    asked=WIDE,
    static_argnums=0,
    donate_argnums=3,
)
def chunk_shared(
    plan: Plan, samples: Samples, fold: Any, state: Packed, knobs: Packed, given: Given, batches: jax.Array | None
) -> tuple[Packed, jax.Array | None]:
    """A chunk on shared samples: one lockstep of all neurons, whose folds are rows of `samples.fold`, if any."""
    return _packed_steps(plan, samples.take(fold), state, knobs, given, batches)


@partial(compiled, neurons=lambda *arguments: 1, most=QUICK_OWN, static_argnums=0, donate_argnums=4)
def chunk_own(
    plan: Plan,
    samples: Samples,
    tiles: jax.Array,
    rows: jax.Array,
    state: Packed,
    knobs: Packed,
    given: Given,
    batches: jax.Array | None,
) -> tuple[Packed, jax.Array | None]:
    """A chunk on own samples: the first `tiles` tiles of `rows` (M, T), all else with the same two leading axes.

    Each tile runs all its steps while its data is in cache, and its fixed shape keeps what a neuron gets independent,
    to the bit, of who runs beside it. The number of tiles is traced: a fleet that thins out compiles nothing anew.
    """
    shape = (len(rows), len(given.factors), rows.shape[1])
    costs = jnp.full(shape, jnp.nan, given.factors.dtype) if plan.trace else None
    in_place = batches is None and plan.walk is not None and plan.walk.fused

    def tile(i: jax.Array, carry: tuple[Packed, jax.Array | None]) -> tuple[Packed, jax.Array | None]:
        at, now, held, index = jax.tree.map(lambda x: x[i], (rows, carry[0], knobs, batches))
        if index is not None:
            index = jnp.moveaxis(index, 0, 1)
        if in_place:
            after = _packed_steps(plan, samples._replace(total=samples.total[at]), now, held, given, None, at)
        else:
            after = _packed_steps(plan, samples.take(at), now, held, given, index)
        return jax.tree.map(lambda whole, part: whole.at[i].set(part), carry, after)

    return lax.fori_loop(0, tiles, tile, (Packed(*map(jnp.asarray, state)), costs))  # NumPy without jit


def _packed_steps(
    plan: Plan,
    samples: Samples,
    state: Packed,
    knobs: Packed,
    given: Given,
    batches: jax.Array | None,
    places: jax.Array | None = None,
) -> tuple[Packed, jax.Array | None]:
    before = State(*unpack(state, plan.state))
    own = dict(zip(PER_NEURON, unpack(knobs, plan.knobs), strict=True))
    held = Knobs(penalised=given.penalised, **own)
    end = (given.factors, batches, given.count, plan.mesh, plan.walk, places)
    after, costs = steps(plan.formula, plan.rule, plan.trace, samples, before, held, *end)
    return pack(jnp, plan.state, after), costs


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
    own = [getattr(knobs, name) for name in PER_NEURON]
    walk = walk_for(formula, samples.X, dtype)
    plan = Plan(formula, rule, chunk.trace, layout_of(state), layout_of(own), None, walk)
    half = 0
    # without jit there is no program to share, and threads would not know that it is off
    if not samples.shared and not jax.config.jax_disable_jit:  # type: ignore[attr-defined]
        tile = tile_neurons(samples.X, walk)
        width = None if chunk.batches is None else chunk.batches.shape[2]
        program = (plan, samples.X.shape, dtype, width, -(-len(chunk.factors) // STEPS))
        if program in _seen and len(rows) > tile and walk == CPU:
            half = -(-len(rows) // (2 * tile)) * tile
        _seen.add(program)
    now, held = pack(np, plan.state, state), pack(np, plan.knobs, own)
    if not half:
        after, costs = _dispatch(plan, samples, rows, now, held, knobs.penalised, chunk, dtype)
        return State(*unpack(after, plan.state)), costs

    def part(at: slice) -> tuple[Packed, np.ndarray | None]:
        batches = None if chunk.batches is None else chunk.batches[:, at]
        some = chunk._replace(batches=batches)
        first, fixed = Packed(*(a[at] for a in now)), Packed(*(a[at] for a in held))
        with scope(dtype):  # a thread has a context of its own
            return _dispatch(plan, samples, rows[at], first, fixed, knobs.penalised, some, dtype)

    with ThreadPoolExecutor(2) as pool:
        (first, some), (second, others) = pool.map(part, (slice(0, half), slice(half, None)))
    joined = Packed(*(np.concatenate(pair) for pair in zip(first, second, strict=True)))
    costs = None if some is None or others is None else np.concatenate([some, others], axis=1)
    return State(*unpack(joined, plan.state)), costs


def _dispatch(
    plan: Plan,
    samples: Samples,
    rows: np.ndarray,
    state: Packed,
    knobs: Packed,
    penalised: np.ndarray,
    chunk: Chunk,
    dtype: str,
) -> tuple[Packed, np.ndarray | None]:
    """One dispatch of a chunk.

    Neurons are padded with dummies that do not run: shared samples to a power of two of them, own samples to the
    slab's tiles, and steps to a whole `STEPS` of them, so that few shapes are compiled.
    """
    taken, count = len(chunk.factors), len(rows)
    factors = np.zeros(-(-taken // STEPS) * STEPS, dtype)
    factors[:taken] = chunk.factors
    given = Given(penalised, factors, np.int32(taken))
    batches = chunk.batches
    if batches is not None:
        batches = np.pad(batches, ((0, len(factors) - taken), (0, 0), (0, 0)))
    tile = 1 if samples.shared else tile_neurons(samples.X, plan.walk)
    size = 1 << (count - 1).bit_length() if samples.shared else -(-len(samples.X) // tile) * tile

    def padded(x: np.ndarray) -> np.ndarray:
        return x if size == count else np.concatenate([x, np.repeat(x[-1:], size - count, axis=0)])

    state, knobs = Packed(*map(padded, state)), Packed(*map(padded, knobs))
    if size > count:
        State(*unpack(state, plan.state)).phase[count:] = STATIONARY
    if samples.shared:
        if batches is not None and batches.shape[1] > 1:
            batches = np.moveaxis(padded(np.moveaxis(batches, 1, 0)), 0, 1)
        fold = None if samples.fold is None else padded(rows)
        plan = plan._replace(mesh=None if batches is not None else mesh_of(samples.X))
        after, costs = chunk_shared(plan, samples, fold, state, knobs, given, batches)
        found = Packed(*map(np.asarray, after))
    else:

        def tiled(x: np.ndarray) -> np.ndarray:
            return x.reshape(size // tile, tile, *x.shape[1:])

        batches = None if batches is None else tiled(padded(np.moveaxis(batches, 0, 1)))
        split = jax.tree.map(tiled, (padded(rows), state, knobs))
        after, costs = chunk_own(plan, samples, np.int32(-(-count // tile)), *split, given, batches)
        found = Packed(*(np.asarray(a).reshape(size, -1) for a in after))
        costs = None if costs is None else np.moveaxis(np.asarray(costs), 1, 0).reshape(len(factors), size)
    found = Packed(*(a[:count] for a in found))
    return found, None if costs is None else np.asarray(costs)[:taken, :count]
