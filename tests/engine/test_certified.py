"""Values that others certified or solved: NIST, scikit-learn, statsmodels."""

import numpy as np
import pytest
from sklearn import linear_model
from sklearn.datasets import load_breast_cancer, load_diabetes

import gdjax
from gdjax import Neuron

NORRIS = np.array([-0.262323073774029, 1.00211681802045])
LONGLEY = np.array([-3482258.63459582, 15.0618722713733, -0.0358191792925910, -2.02022980381683])
LONGLEY = np.append(LONGLEY, [-1.03322686717359, -0.0511041056535807, 1829.15146461355])


def digits(got, certified):
    with np.errstate(divide="ignore"):
        return float(np.min(-np.log10(np.abs(got - certified) / np.abs(certified))))


def cost(neuron, run, X, y, *, l1=0.0, l2=0.0):
    """The cost in the columns that the descent sees, at anybody's parameters."""
    weights, bias = run
    scaled = weights * X.std(axis=0)
    z = X @ weights + bias
    return float(neuron.pointwise(np).cost(z, y).mean() + l2 * (scaled**2).sum() + l1 * np.abs(scaled).sum())


def test_norris_to_nine_digits(backend_name, root):
    table = np.loadtxt(root / "tests" / "data" / "norris.csv", delimiter=",", skiprows=1)
    run = gdjax.fit(Neuron("identity"), table[:, 1:], table[:, 0], backend=backend_name)
    assert run.status == "converged"
    assert digits(np.append(run.bias, run.weights), NORRIS) >= 9
    assert run.r2 == pytest.approx(0.999993745883712, abs=1e-13)


def test_longley_to_eight_digits(backend_name):
    from statsmodels.datasets import longley

    data = longley.load_pandas()
    run = gdjax.fit(Neuron("identity"), data.exog, data.endog, backend=backend_name)
    assert run.status == "converged"
    assert run.feature_names[0] == "GNPDEFL"
    assert digits(np.append(run.bias, run.weights), LONGLEY) >= 8


@pytest.mark.parametrize("degree", [2, 5, 10])
@pytest.mark.parametrize("rows", [21, 82])
def test_converged_is_never_said_of_wrong_digits(backend_name, degree, rows):
    # raw powers, as in NIST's Wampler and Filip: the exact coefficients are all 1
    x = np.linspace(0, 20, rows) if rows == 21 else np.linspace(-9, -3, rows)
    X = x[:, None] ** np.arange(1, degree + 1)
    run = gdjax.fit(Neuron("identity"), X, 1 + X.sum(axis=1), backend=backend_name, steps=3_000)
    if run.status == "converged":
        assert digits(run.weights, np.ones(degree)) >= 4
    else:
        assert run.status == "max_steps"
        assert run.reason
    if degree == 10:
        assert "not certified: condition number" in run.reason


@pytest.mark.parametrize(
    ("penalties", "solver"),
    [
        ({}, lambda n: linear_model.LinearRegression()),
        ({"l2": 0.1}, lambda n: linear_model.Ridge(alpha=0.1 * n, tol=1e-14)),
        ({"l1": 2.0}, lambda n: linear_model.Lasso(alpha=1.0, tol=1e-14, max_iter=100_000)),
    ],
)
def test_least_squares_of_scikit_learn(backend_name, penalties, solver):
    X, y = load_diabetes(return_X_y=True)
    neuron = Neuron("identity", **penalties)
    run = gdjax.fit(neuron, X, y, backend=backend_name)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    model = solver(len(y)).fit(scaled, y)
    weights = model.coef_ / X.std(axis=0)
    theirs = (weights, model.intercept_ - X.mean(axis=0) @ weights)
    assert run.status == "converged"
    assert run.cost == pytest.approx(cost(neuron, theirs, X, y, **penalties), rel=1e-12)
    np.testing.assert_allclose(run.weights, weights, rtol=1e-6, atol=1e-6 * np.abs(weights).max())
    assert ((run.weights == 0) == (weights == 0)).all()


def test_poisson_regression_of_scikit_learn_and_randhie(backend_name):
    from statsmodels.datasets import randhie

    data = randhie.load_pandas()
    X, y = data.exog.to_numpy(float), data.endog.to_numpy(float)
    neuron = Neuron("exp", "poisson")
    run = gdjax.fit(neuron, X, y, backend=backend_name)
    assert run.status == "converged"
    z = X @ run.weights + run.bias
    from scipy.special import gammaln

    assert float((y * z - np.exp(z) - gammaln(y + 1)).sum()) == pytest.approx(-62419.588549, rel=1e-9)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    model = linear_model.PoissonRegressor(alpha=0, tol=1e-10, max_iter=10_000).fit(scaled, y)
    weights = model.coef_ / X.std(axis=0)
    theirs = (weights, model.intercept_ - X.mean(axis=0) @ weights)
    assert run.cost == pytest.approx(cost(neuron, theirs, X, y), rel=1e-6)


def test_logistic_regression_of_scikit_learn(backend_name):
    X, y = load_breast_cancer(return_X_y=True)
    neuron = Neuron("sigmoid", "log_loss", l2=0.01)
    run = gdjax.fit(neuron, X, y, backend=backend_name)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    model = linear_model.LogisticRegression(C=1 / (2 * 0.01 * len(y)), tol=1e-12, max_iter=10_000).fit(scaled, y)
    weights = model.coef_[0] / X.std(axis=0)
    theirs = (weights, model.intercept_[0] - X.mean(axis=0) @ weights)
    assert run.status == "converged"
    assert run.cost == pytest.approx(cost(neuron, theirs, X, y, l2=0.01), rel=1e-6)


def test_the_median_regression_of_statsmodels(backend_name):
    from statsmodels.regression.quantile_regression import QuantReg

    X, y = load_diabetes(return_X_y=True)
    columns = np.c_[X, np.ones(len(y))]
    best = np.abs(y - columns @ QuantReg(y, columns).fit(q=0.5, max_iter=5_000).params).mean()
    run = gdjax.fit(Neuron("identity", "absolute_error"), X, y, backend=backend_name)
    assert run.cost == pytest.approx(best, rel=1e-5)
    assert run.reason.startswith("absolute_error has no curvature to certify by")


def test_separable_data_has_no_optimum_and_says_so(backend_name):
    X, y = load_breast_cancer(return_X_y=True)
    run = gdjax.fit(Neuron("sigmoid", "log_loss"), X, y, backend=backend_name, steps=500)
    assert (run.status, run.reason) == ("max_steps", "separable: no finite optimum, add l2")


def test_backends_agree_after_a_thousand_steps(backend_name, example_data):
    data = np.load(example_data / "flights.npz")
    X, y = data["X"][:5_000].astype(float), data["y"][:5_000].astype(float)
    with np.errstate(all="ignore"):
        ours, numpy = (
            gdjax.fit(Neuron(), X, y, backend=name, steps=1_000, tolerance=0, seed=1)
            for name in (backend_name, "numpy")
        )
    assert ours.steps == numpy.steps == 1_000
    np.testing.assert_allclose(ours.weights, numpy.weights, rtol=1e-10)
    assert ours.bias == pytest.approx(numpy.bias, rel=1e-10)


@pytest.mark.parametrize("seed", range(2))
def test_the_distance_to_the_teacher_falls_at_every_step(backend_name, seed):
    # Yehudai and Shamir, 2020: Gaussian inputs, realizable, a small start
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((4_000, 20))
    teacher = rng.standard_normal(20)
    teacher /= np.linalg.norm(teacher)
    y = np.maximum(0, X @ teacher)
    start = 0.1 * rng.standard_normal(20) / np.sqrt(20)
    neuron = Neuron(bias=False)
    now, distances = gdjax.Params(start, 0.0), [np.linalg.norm(start - teacher)]
    options = {"method": "plain", "learning_rate": 0.2, "standardize": False, "tolerance": 0, "backend": backend_name}
    while distances[-1] > 1e-6:
        run = gdjax.fit(neuron, X, y, steps=1, init=now, **options)
        now = gdjax.Params(run.weights, run.bias)
        distances.append(np.linalg.norm(run.weights - teacher))
        assert distances[-1] < distances[-2]
        assert len(distances) < 1_000


def test_one_plain_step_is_the_articles_update_to_the_last_bit(backend_name):
    # dyadic numbers and N a power of two: a straight computation is exact
    rng = np.random.default_rng(0)
    X = rng.integers(-8, 9, (64, 3)) / 8
    y = rng.integers(-8, 9, 64) / 4
    w, b, eta = np.array([0.5, -0.25, 1.0]), 0.125, 0.25
    z = X @ w + b
    error = np.where(z > 0, z - y, 0.0)
    expected = w - eta * (2 / 64) * (error[:, None] * X).sum(axis=0), b - eta * (2 / 64) * error.sum()
    run = gdjax.fit(
        Neuron(), X, y, backend=backend_name, method="plain", learning_rate=eta, standardize=False, steps=1,
        init=gdjax.Params(w, b), tolerance=0,
    )  # fmt: skip
    assert run.weights.tolist() == expected[0].tolist()
    assert run.bias == expected[1]
    assert (run.status, run.steps) == ("max_steps", 1)
