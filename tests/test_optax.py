"""Our methods are optax's over 1,000 steps, and optax's own run as methods of ours."""

import warnings
from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest

pytest.importorskip("optax")

import optax

import gdjax
from gdjax.discovery import backend as find_backend
from gdjax.errors import UsageError
from gdjax.formulas import Formula, activations, losses
from gdjax.optax import Transformation
from gdjax.protocol import Chunk
from gdjax.rule import Knobs, Rule, State, initial_state
from gdjax.samples import Samples

RNG = np.random.default_rng(0)
X = RNG.standard_normal((120, 4))
Y = np.maximum(0, X @ [1.0, -2.0, 0.5, 0.0] + 0.5) + 0.3 * RNG.standard_normal(120)
START = RNG.standard_normal((3, 5))
STEPS = 1_000

# rates so small that none is at the optimum after all steps: there all methods agree
OURS = {
    "plain": (lambda rate: optax.sgd(rate), 1e-3),
    "momentum": (lambda rate: optax.sgd(rate, momentum=0.9), 1e-4),
    "adam": (lambda rate: optax.adam(rate, b1=0.9, b2=0.999, eps=1e-8), 1e-3),
}


def by_optax(transformation, steps: int = STEPS) -> list[np.ndarray]:
    """optax's loop from each start alone, with the gradient of `jax.grad` of a cost written out here."""

    def cost(at):
        return jnp.mean((Y - jax.nn.relu(jnp.sum(X * at[:-1], axis=1) + at[-1])) ** 2)

    def step(carry, _):
        at, state = carry
        updates, state = transformation.update(jax.grad(cost)(at), state, at)
        return (optax.apply_updates(at, updates), state), None

    with jax.enable_x64(True):
        loop = jax.jit(lambda at: jax.lax.scan(step, (at, transformation.init(at)), None, length=steps)[0][0])
        return [np.asarray(loop(jnp.asarray(theta))) for theta in START]


def knobs(neurons: int) -> Knobs:
    one, wide = np.ones(neurons), np.ones((neurons, 5))
    return Knobs(
        l1=0 * one, l2=0 * one, free=wide, penalised=np.array([1.0, 1, 1, 1, 0]), threshold=-one, floor=one,
        ceiling=1e30 * one, limit=np.full(neurons, 10**6, np.int32), shift=0 * wide, scale=wide,
    )  # fmt: skip


def descend(backend, rule: Rule, rate: float, steps: int = STEPS) -> State:
    samples = Samples(*map(backend.asarray, (X, Y, np.ones((1, 120)), np.full(1, 120.0))))
    state = State(*map(np.array, initial_state(np, rule, START.copy(), np.full(3, rate))))
    formula = Formula(activations.relu, losses.squared_error)
    return backend.descend(formula, rule, samples, np.arange(3), state, knobs(3), Chunk(np.ones(steps)))[0]


@cache
def theirs(method: str) -> list[np.ndarray]:
    make, rate = OURS[method]
    return by_optax(make(rate))


@pytest.mark.parametrize("method", OURS)
def test_ours_are_optax_over_1000_steps(backend_name, method):
    after = descend(find_backend(backend_name, "float64"), Rule(method), OURS[method][1])
    assert (after.step == STEPS).all()
    np.testing.assert_allclose(after.point, theirs(method), rtol=1e-10, atol=1e-12)


TRANSFORMATIONS = {
    "sgd": lambda: optax.sgd(0.05),
    "adam": lambda: optax.adam(0.02),
    "adamw": lambda: optax.adamw(0.02, weight_decay=0.01),
    "rmsprop": lambda: optax.rmsprop(0.01, momentum=0.9),
    "lion": lambda: optax.lion(0.001),
    "clipped, decaying": lambda: optax.chain(
        optax.clip_by_global_norm(0.5), optax.sgd(optax.cosine_decay_schedule(0.1, 500))
    ),
}


@pytest.mark.parametrize("name", TRANSFORMATIONS)
def test_a_transformation_is_optax_s_own_loop(name):
    """Neurons side by side, each as if alone: clipping by the norm would mix them."""
    given = TRANSFORMATIONS[name]()
    # rmsprop circles its optimum: one ulp at the start of optax's own loop is 2e-5 after 300 steps, 3e-16 after 100
    steps = 100 if name == "rmsprop" else 300
    after = descend(find_backend("jax", "float64"), Rule(Transformation(given)), 1.0, steps)
    np.testing.assert_allclose(after.point, by_optax(given, steps), rtol=1e-9, atol=1e-11)


def test_fit_takes_one_and_certifies_its_end():
    run = gdjax.fit(gdjax.Neuron("identity"), X, Y, method=optax.sgd(0.3, momentum=0.5), backend="jax")
    theirs = gdjax.fit(gdjax.Neuron("identity"), X, Y, backend="jax")
    assert run.status == theirs.status == "converged"
    np.testing.assert_allclose(run.weights, theirs.weights, rtol=1e-8)


def test_it_goes_on_where_it_ended():
    given = {"method": optax.adam(0.05), "tolerance": 0, "backend": "jax"}
    whole = gdjax.fit(gdjax.Neuron(), X, Y, steps=250, **given)
    part = gdjax.fit(gdjax.Neuron(), X, Y, steps=130, **given)
    np.testing.assert_array_equal(part.continue_(X, Y, steps=250).weights, whole.weights)


def test_fleets_and_float32_run_it_too():
    keys = np.arange(120) % 3
    run = gdjax.fit(
        gdjax.Neuron("identity"), X.astype(np.float32), Y.astype(np.float32), groups=keys, backend="jax",
        method=optax.adam(0.05), steps=3_000,
    )  # fmt: skip
    exact = gdjax.fit(gdjax.Neuron("identity"), X, Y, groups=keys, backend="numpy")
    np.testing.assert_allclose(run.weights, exact.weights, atol=2e-3)


def test_weight_decay_leaves_held_parameters_alone():
    held = np.column_stack([X, np.full(120, 7.0)])
    run = gdjax.fit(
        gdjax.Neuron("identity"), held, Y, method=optax.adamw(0.05, weight_decay=0.1), steps=200, backend="jax"
    )
    assert run.weights[4] == 0


@pytest.mark.parametrize(
    ("neuron", "given", "message"),
    [
        (gdjax.Neuron(), {"backend": "numpy", "method": optax.sgd(0.1)}, "needs a backend of JAX arrays"),
        (gdjax.Neuron(l1=0.1), {"backend": "jax", "method": optax.sgd(0.1)}, "l1 needs a proximal step"),
        (gdjax.Neuron(), {"backend": "jax", "method": 3}, "must be a name or an optax.GradientTransformation"),
    ],
)
def test_where_it_cannot_run_it_says_so(neuron, given, message):
    with pytest.raises(UsageError, match=message), warnings.catch_warnings():
        gdjax.fit(neuron, X, Y, **given)
