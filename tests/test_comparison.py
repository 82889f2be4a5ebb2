"""The cross-check finds what differs, and says that what agrees agrees."""

import json
from dataclasses import dataclass

import numpy as np
import pytest

import gdjax
from gdjax.comparison import compare
from gdjax.errors import UsageError
from gdjax_numpy import NumpyBackend

RNG = np.random.default_rng(0)
X = RNG.standard_normal((200, 3))
Y = np.maximum(0, X @ [1.0, -2.0, 0.5] + 1) + 0.1 * RNG.standard_normal(200)


@pytest.fixture(scope="module")
def comparison():
    return compare(gdjax.Neuron(), X, Y, backends=["numpy", "jax"], steps=1_000, tolerance=0)


def test_numpy_jax_and_autodiff_agree_after_1000_steps(comparison):
    assert [row.name for row in comparison] == ["numpy", "jax", "jax.grad"]
    assert comparison.reference == "jax.grad"
    assert comparison.agrees
    for row in comparison:
        assert row.run.steps == 1_000
        assert row.relative.max() <= 1e-10
        assert row.cost_relative <= 1e-10
        assert 0 < row.step < row.first_step


def test_ulp_and_relative_are_those_of_the_parameters(comparison):
    reference, row = comparison["jax.grad"].run, comparison["numpy"]
    apart = np.abs(row.run.weights - reference.weights)
    np.testing.assert_array_equal(row.ulp[:3], apart / np.spacing(np.abs(reference.weights)))
    np.testing.assert_array_equal(row.relative[:3], apart / np.abs(reference.weights))
    assert comparison.parameters == ("x0", "x1", "x2", "bias")


def test_text_and_json_hold_each_row(comparison):
    text = str(comparison)
    for word in ("numpy", "jax.grad", "reference", "a step", "first step", "they agree", "x2", "bias"):
        assert word in text
    told = json.loads(comparison.to_json(), parse_constant=pytest.fail)
    assert set(told["backends"]) == {"numpy", "jax", "jax.grad"}
    assert told["agrees"] is True
    assert len(told["backends"]["jax"]["ulp"]) == 4


@dataclass(frozen=True)
class Askew(NumpyBackend):
    """A gradient that is 1% too large in one column: a bug that still converges."""

    name = "askew"

    def cost_and_gradient(self, formula, theta, samples):
        cost, gradient = super().cost_and_gradient(formula, theta, samples)
        gradient = gradient.copy()
        gradient[:, 0] += 1e-3
        return cost, gradient


def test_a_backend_with_a_wrong_gradient_differs():
    found = compare(gdjax.Neuron("identity"), X, Y, backends=["numpy", Askew()], steps=200, method="plain")
    assert not found.agrees
    assert found.worst.name == "askew"
    assert found.parameters[int(np.argmax(found["askew"].relative))] == "x0"
    assert "THEY DIFFER" in str(found)


def test_a_wrong_slope_shows_against_autodiff():
    wrong = gdjax.activations.custom("softsign", lambda z: z / (1 + abs(z)), lambda z: 1 / (1 + abs(z)))
    options = {"steps": 50, "verify": False, "learning_rate": 0.1, "method": "plain"}
    found = compare(gdjax.Neuron(wrong), X, Y / 10, backends=["jax"], **options)
    assert found.reference == "jax.grad"
    assert not found.agrees


def test_fleets_and_float32_are_compared_too():
    found = compare(
        gdjax.Neuron("identity"), X.astype(np.float32), Y.astype(np.float32), groups=np.arange(200) % 5,
        backends=["numpy", "jax"], autodiff=False, steps=100,
    )  # fmt: skip
    assert found.dtype == "float32"
    assert found.reference == "numpy"
    assert found["jax"].relative.shape == (4,)
    assert found.agrees


def test_mini_batches_are_the_same_on_each():
    found = compare(
        gdjax.Neuron(), X, Y, backends=["numpy", "jax"], steps=100, batch_size=32, method="momentum", seed=3
    )
    assert found.agrees
    assert found["jax.grad"].run.steps == 100


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"backend": "numpy"}, "compare: it sets backend itself: pass backends="),
        ({"callback": print}, "compare: it sets callback itself: leave it out"),
        ({"backends": []}, "no backend is given"),
    ],
)
def test_what_compare_sets_itself_is_refused(given, message):
    with pytest.raises(UsageError, match=message):
        compare(gdjax.Neuron(), X, Y, **given)


def test_an_unknown_row_is_named(comparison):
    with pytest.raises(UsageError, match="no row 'torch'"):
        comparison["torch"]


def test_a_fleet_of_which_none_can_be_trained_is_compared_without_a_warning():
    X = np.arange(4.0)[:, None]
    found = compare(gdjax.Neuron(), X, X[:, 0], groups=np.arange(4), backends=["numpy"], autodiff=False, steps=5)
    assert json.loads(found.to_json())["backends"]["numpy"]["cost"] is None
    assert "4 too_few_rows" in str(found)
