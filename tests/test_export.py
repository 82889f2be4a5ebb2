"""The JAX backend's programs lower for every platform with no device: step, chunk, fleet, vmapped batch of runs."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.formulas import Formula, activations, losses
from gdjax.rule import Knobs, Rule, initial_state
from gdjax.samples import Samples
from gdjax_jax import programs

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
FORMULA = Formula(activations.relu, losses.squared_error)
K, N, D, STEPS = 8, 64, 3, 10


def shared() -> Samples:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, D)).astype(np.float32)
    y = np.maximum(0, X @ np.ones(D, np.float32))
    return Samples(X, y, np.ones((1, N), np.float32), np.full(1, N, np.float32))


def own() -> Samples:
    rng = np.random.default_rng(1)
    X = rng.standard_normal((K, N, D)).astype(np.float32)
    return Samples(X, np.maximum(0, X.sum(-1)), np.ones((K, N), np.float32), np.full(K, N, np.float32))


def knobs(neurons: int) -> Knobs:
    one, wide = np.ones(neurons, np.float32), np.ones((neurons, D + 1), np.float32)
    return Knobs(
        l1=0 * one, l2=0 * one, free=wide, penalised=np.append(np.ones(D, np.float32), np.float32(0)), threshold=-one,
        floor=one, ceiling=1e30 * one, limit=np.full(neurons, 10_000, np.int32), shift=0 * wide, scale=wide,
    )  # fmt: skip


def start(rule: Rule, neurons: int, rate: float = 0.1):
    theta = np.random.default_rng(2).standard_normal((neurons, D + 1)).astype(np.float32)
    return initial_state(np, rule, theta, np.full(neurons, rate, np.float32))


def lowered(function, *arguments) -> jax.export.Exported:
    """The function exported for all platforms at once; the module text is asserted on, not only that there is one."""
    exported = jax.export.export(jax.jit(function), platforms=PLATFORMS)(*arguments)
    assert exported.platforms == PLATFORMS
    assert "dot_general" in exported.mlir_module()
    return exported


def leaves_equal(a, b) -> None:
    for left, right in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


def test_cost_and_gradient_lower():
    theta = np.ones((K, D + 1), np.float32)
    exported = lowered(partial(programs.evaluate, FORMULA), theta, shared())
    leaves_equal(exported.call(theta, shared()), programs.cost_and_gradient(FORMULA, theta, shared()))


@pytest.mark.parametrize("method", ["plain", "momentum", "nesterov", "adam"])
@pytest.mark.parametrize("steps", [1, STEPS])
def test_a_step_and_a_chunk_lower(method, steps):
    rule = Rule(method)
    run = partial(programs.steps, FORMULA, rule, True)
    arguments = (shared(), start(rule, K), knobs(K), np.ones(steps, np.float32), None)
    exported = lowered(run, *arguments)
    assert "while" in exported.mlir_module()
    leaves_equal(exported.call(*arguments), jax.jit(run)(*arguments))


def test_mini_batches_lower():
    rule = Rule("plain")
    batches = np.random.default_rng(0).integers(0, N, (STEPS, 1, 16)).astype(np.int32)
    lowered(
        partial(programs.steps, FORMULA, rule, False),
        shared(),
        start(rule, K),
        knobs(K),
        np.ones(STEPS, np.float32),
        batches,
    )


def test_a_fleet_on_its_own_samples_lowers():
    rule = Rule("nesterov")
    lowered(
        partial(programs.steps, FORMULA, rule, False), own(), start(rule, K), knobs(K), np.ones(STEPS, np.float32), None
    )


def test_a_vmapped_batch_of_runs_lowers():
    """One program, a run for each of 16 learning rates, of K neurons each."""
    rule = Rule("plain")
    samples, fixed, factors = jax.tree.map(jnp.asarray, (shared(), knobs(K), np.ones(STEPS, np.float32)))
    theta = start(rule, K).point

    def run(rate):
        state = initial_state(jnp, rule, jnp.asarray(theta), jnp.full(K, rate, jnp.float32))
        return programs.steps(FORMULA, rule, False, samples, state, fixed, factors, None)[0].point

    rates = np.geomspace(1e-3, 0.3, 16).astype(np.float32)
    exported = lowered(jax.vmap(run), rates)
    points = np.asarray(exported.call(rates))
    assert points.shape == (16, K, D + 1)
    alone = np.stack([np.asarray(jax.jit(run)(rate)) for rate in rates[[0, 15]]])
    np.testing.assert_allclose(points[[0, 15]], alone, rtol=2e-6, atol=2e-6)


def test_any_number_of_samples_lowers_once():
    (n,) = jax.export.symbolic_shape("n")
    theta = np.ones((K, D + 1), np.float32)

    def shape(*dimensions):
        return jax.ShapeDtypeStruct(dimensions, np.float32)

    abstract = Samples(shape(n, D), shape(n), shape(1, n), shape(1))
    exported = lowered(partial(programs.evaluate, FORMULA), shape(K, D + 1), abstract)
    leaves_equal(exported.call(theta, shared()), programs.cost_and_gradient(FORMULA, theta, shared()))


def test_products_are_lowered_at_the_highest_precision():
    """On accelerators the default is a shortened float32: 3e-4 off instead of 3e-7."""
    text = lowered(partial(programs.evaluate, FORMULA), np.ones((K, D + 1), np.float32), shared()).mlir_module()
    products = [line for line in text.splitlines() if "stablehlo.dot_general" in line]
    assert products
    assert all("HIGHEST" in line for line in products)


def test_float64_lowers_with_x64_in_scope():
    with jax.enable_x64(True):
        samples = jax.tree.map(lambda a: np.asarray(a, np.float64), shared())
        exported = lowered(partial(programs.evaluate, FORMULA), np.ones((K, D + 1)), samples)
    assert [str(a.dtype) for a in exported.out_avals] == ["float64", "float64"]
    assert not jax.config.jax_enable_x64
