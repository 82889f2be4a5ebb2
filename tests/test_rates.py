"""A learning rate that is found, against the closed form of what a rate does to a quadratic."""

import numpy as np
import pytest

import gdjax
from gdjax import Neuron
from gdjax.errors import UsageError
from gdjax.rates import SHORT, learning_rates

rng = np.random.default_rng(0)
X = rng.standard_normal((300, 3)) @ [[1, 0.9, 0], [0, 1, 0], [0, 0, 0.2]]
Y = X @ [1, 0.3, -4] + rng.standard_normal(300)


def after(rates):
    """The cost of plain descent after 50 steps, by the eigenvalues of the standardised columns' Hessian."""
    A = np.column_stack([(X - X.mean(0)) / X.std(0), np.ones(300)])
    values, vectors = np.linalg.eigh(2 * A.T @ A / 300)
    best = np.linalg.lstsq(A, Y - Y.mean(), rcond=None)[0]
    left = vectors.T @ best * (1 - np.asarray(rates)[:, None] * values) ** SHORT
    return ((A @ best - Y + Y.mean()) ** 2).mean() + (values * left**2).sum(axis=1) / 2


def test_each_rate_costs_what_its_eigenvalues_say(backend_name):
    found = learning_rates(Neuron("identity"), X, Y, backend=backend_name, method="plain")
    sound = ~found.failed
    np.testing.assert_allclose(found.cost[sound], after(found.rate[sound]), rtol=1e-9)
    grid = np.geomspace(found.rate[0], found.rate[-1], 20_000)
    best = grid[np.argmin(after(grid))]
    assert found.best / found.ratio**2 < best < found.best * found.ratio**2


def test_a_fit_takes_the_rate_that_was_found(backend_name):
    found = learning_rates(Neuron("identity"), X, Y, backend=backend_name, method="plain")
    run = gdjax.fit(Neuron("identity"), X, Y, backend=backend_name, method="plain", learning_rate="find")
    assert float(run.learning_rate) == found.best
    assert run.status == "converged"


def test_groups_have_a_rate_each():
    with pytest.raises(UsageError, match="for one neuron"):
        gdjax.fit(Neuron(), X, Y, groups=np.arange(300) % 3, learning_rate="find", backend="numpy")


def test_where_no_rate_can_help_that_is_said():
    with pytest.raises(UsageError, match=r"none can be found, the neuron is not trained .*no positive y"):
        gdjax.fit(Neuron(), X, -np.abs(Y), learning_rate="find", backend="numpy")
