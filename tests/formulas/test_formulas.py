"""The formulas against mpmath, exact rationals and autodiff."""

import math
from dataclasses import replace
from fractions import Fraction

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from gdjax import Neuron, UsageError, activations, losses
from gdjax.expressions.fused import fused
from gdjax.formulas import Formula
from gdjax.samples import weigh

Z = np.array([-1e4, -800.0, -37.0, -2.5, -1.0, -(2.0**-20), 0.0, 2.0**-20, 0.3, 1.0, 2.5, 37.0, 700.0])

EXACT = {
    "identity": lambda z: z,
    "relu": lambda z: max(z, mpmath.mpf(0)),
    "leaky_relu": lambda z: z if z > 0 else z * mpmath.mpf(0.01),
    "sigmoid": lambda z: 1 / (1 + mpmath.exp(-z)),
    "tanh": mpmath.tanh,
    "softplus": lambda z: mpmath.log(1 + mpmath.exp(z)),
    "exp": mpmath.exp,
}

LOSSES = {
    "squared_error": lambda p, y: (p - y) ** 2,
    "absolute_error": lambda p, y: abs(p - y),
    "huber": lambda p, y: (p - y) ** 2 / 2 if abs(p - y) <= 1 else abs(p - y) - mpmath.mpf(1) / 2,
    "log_loss": lambda p, y: -y * mpmath.log(p) - (1 - y) * mpmath.log(1 - p),
    "poisson": lambda mu, y: mu - y * mpmath.log(mu),
}

PAIRS = [(a, loss) for a in EXACT for loss in LOSSES if losses.BUILT_IN[loss].link in (None, a)]


def ulps(got: np.ndarray, exact: list) -> float:
    with mpmath.workdps(60):
        return max(
            float(abs(mpmath.mpf(float(g)) - e) / mpmath.mpf(float(np.spacing(abs(float(e))))))
            for g, e in zip(got, exact)
        )


@pytest.mark.parametrize("name", EXACT)
def test_value_and_slope_to_a_few_ulp_of_the_exact_ones(name):
    value, slope = activations.BUILT_IN[name](np)
    with mpmath.workdps(4_500 if name in ("softplus", "sigmoid") else 60):  # exp(-1e4) is 1e-4343
        assert ulps(value(Z), [EXACT[name](mpmath.mpf(float(z))) for z in Z]) <= 4
    with mpmath.workdps(60):
        away = [z for z in Z if z != 0]
        slopes = [
            mpmath.diff(EXACT[name], mpmath.mpf(float(z)), h=mpmath.mpf(2) ** -200) if abs(z) < 100 else None
            for z in away
        ]
        kept = [i for i, s in enumerate(slopes) if s is not None]
        assert ulps(slope(np.array(away))[kept], [slopes[i] for i in kept]) <= 6


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_cost_against_mpmath(activation, loss):
    pointwise = Neuron(activation, loss).pointwise(np)
    z = Z[np.abs(Z) < 30]
    for y in (0.0, 1.0):
        with mpmath.workdps(60):
            exact = [LOSSES[loss](EXACT[activation](mpmath.mpf(float(v))), mpmath.mpf(y)) for v in z]
        targets = np.full_like(z, y)
        for got in (pointwise.cost(z, targets), pointwise.both(z, targets)[0]):
            np.testing.assert_allclose(got, [float(e) for e in exact], rtol=2e-14, atol=1e-15)


@pytest.mark.parametrize(("activation", "loss"), PAIRS)
def test_slope_is_that_of_autodiff_ties_apart(activation, loss):
    formula = Neuron(activation, loss).formula
    z = np.array([-3.0, -0.7, 0.0, 0.4, 2.9], np.float32)
    y = np.array([1.0, 0.0, 1.25 if formula.loss.domain == "real" else 1.0, 0.0, 1.0], np.float32)
    pointwise = formula.pointwise(jnp)
    auto = jax.vmap(jax.grad(pointwise.cost))(z, y)
    for manual in (pointwise.slope(z, y), pointwise.both(z, y)[1]):
        np.testing.assert_allclose(manual, auto, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["log_loss", "poisson"])
def test_losses_of_the_pre_activation_are_finite_far_out(loss):
    activation = losses.BUILT_IN[loss].link
    pointwise = Neuron(activation, loss).pointwise(np)
    z = np.array([-1e4, 1e4]) if loss == "log_loss" else np.array([-1e4])
    for y in (0.0, 1.0):
        assert np.isfinite(pointwise.cost(z, np.full_like(z, y))).all()
        assert np.isfinite(pointwise.slope(z, np.full_like(z, y))).all()
    if loss == "log_loss":
        assert pointwise.cost(z, np.array([1.0, 0.0])).tolist() == [1e4, 1e4]


@pytest.mark.parametrize("name", activations.BUILT_IN)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dtype_and_nan_are_kept(name, dtype):
    for function in activations.BUILT_IN[name](np):
        got = function(np.array([np.nan, -1.0, 0.0, 1.0], dtype))
        assert got.dtype == dtype
    assert np.isnan(activations.BUILT_IN[name](np)[0](np.array([np.nan], dtype)))[0]


def test_the_gate_is_shut_at_zero():
    slope = activations.relu(np)[1]
    assert slope(np.array([-0.0, 0.0, 5e-324, -5e-324])).tolist() == [0.0, 0.0, 1.0, 0.0]


def test_relu_gradient_in_rationals():
    # the chain rule of the text, run on exact rationals by hand
    pointwise = Neuron().pointwise(np)
    for z, y in [(Fraction(3, 8), Fraction(5, 4)), (Fraction(-1, 2), Fraction(7, 8)), (Fraction(0), Fraction(1))]:
        exact = 2 * (z - y) if z > 0 else Fraction(0)
        assert Fraction(float(pointwise.slope(np.array([float(z)]), np.array([float(y)]))[0])) == exact


def test_by_value():
    assert losses.huber(0.5) == losses.huber(0.5) != losses.huber(0.6)
    assert hash(activations.leaky_relu(0.1)) == hash(activations.leaky_relu(0.1))
    assert Neuron(loss=losses.huber(2.0)).formula == Formula(activations.relu, losses.huber(2.0))
    cost = Neuron("identity", losses.huber(0.5)).pointwise(np).cost(np.array([0.25, 3.0]), np.zeros(2))
    assert cost.tolist() == [0.03125, 0.5 * (3 - 0.25)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"activation": "rellu"}, "did you mean 'relu'"),
        ({"activation": 3}, "unknown activation 3"),
        ({"loss": "mse"}, "unknown loss 'mse'"),
        ({"loss": "log_loss"}, "pass activation='sigmoid'"),
        ({"loss": "poisson", "activation": "relu"}, "pass activation='exp'"),
        ({"l2": -1.0}, "l2 = -1.0"),
        ({"l1": float("nan")}, "l1 = nan"),
        ({"l2": True}, "l2 = True"),
        ({"l2": "x"}, "l2 = 'x'"),
    ],
)
def test_a_wrong_neuron_is_refused(arguments, words):
    with pytest.raises(UsageError, match=words):
        Neuron(**arguments)


def _numbers(dtype, seed):
    found = np.random.default_rng(seed).standard_normal((5, 1000)).astype(dtype)
    found[:, :6] = [np.nan, -np.nan, np.inf, -np.inf, -0.0, np.finfo(dtype).smallest_subnormal]
    return found


def _written_by_users(xp):
    """Texts with every way to choose, over truths, numbers and arrays."""
    return {
        "select": lambda z: xp.where(xp.abs(z) < 1, z * z, 2 * z - 1),
        "a number or an array": lambda z: xp.where(z > 0.5, 0.25, z),
        "an array or a number": lambda z: xp.where(z > 0.5, z, 0.25),
        "numbers": lambda z: xp.where(z > 0, xp.ones_like(z), 0.3) + xp.where(z > 1, 0, xp.ones_like(z)),
        "truths": lambda z: (z > 0) * z + (z > 1) * xp.ones_like(z) + (xp.ones_like(z) * (z < 2)) ** 2,
        "both": lambda z: xp.where((z > 0) & (z < 1), z > 0.5, z),
        "not": lambda z: xp.where(~(z > 0) | xp.isnan(z), -z, z**2),
        "chosen by numbers": lambda z: (
            xp.where(xp.maximum(z, 0), z, 2 * z - 1) + xp.where(xp.logical_and(xp.floor(z), z < 2), xp.ones_like(z), 0)
        ),
        "not the maximum": lambda z: xp.where(z >= 0.5, z, 0.5) + xp.where(z > 0.5, 0.5, z) + xp.where(z >= 0, 0, z),
        "maximum": lambda z: xp.maximum(z, 0.5) + xp.where(z <= 0.5, 0.5, z) + xp.where(z < 0.5, 0.5, z),
        "absolute": lambda z: xp.where(z < 0, -z, z) + xp.where(z < 1, -z, z) + xp.where(z <= 0, -z, z),
        "powers": lambda z: z**2 + z**3 + (z * z) ** 0.5 + z**1 + 1 / (2 + z * z),
        "a constant": lambda z: 0 * xp.ones_like(z) + 2,
        "itself": lambda z: z,
        "functions": lambda z: xp.exp(-xp.abs(z)) + xp.log1p(xp.abs(z)) + xp.tanh(z) + xp.sign(z) + xp.sqrt(xp.abs(z)),
    }


def _texts():
    built_in = [(f"{a}, {loss}", lambda a=a, loss=loss: Neuron(a, loss).formula) for a, loss in PAIRS]
    own = [(name, lambda name=name: Formula(_activation(name), losses.squared_error)) for name in _written_by_users(np)]
    cubed = losses.custom("cubed", lambda p, y: (p - y) * (p - y), lambda p, y: 3 * ((p - y) * (p - y)) - p)
    larger = losses.custom("larger", lambda p, y: np.where(p <= y, y, p), lambda p, y: np.where(p < np.nan, np.nan, p))
    return [
        *built_in,
        *own,
        ("a slope from the cost", lambda: Formula(activations.identity, cubed)),
        ("the larger of two", lambda: Formula(activations.identity, larger)),
    ]


def _activation(name):
    return activations.Activation(name, lambda xp: (_written_by_users(xp)[name],) * 2)


@pytest.mark.parametrize("folds", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("text", "formula"), _texts(), ids=[name for name, _ in _texts()])
def test_a_fused_formula_is_its_text_to_the_bit(text, formula, dtype, folds):
    seen = []
    formula = formula()
    traced = replace(formula, activation=replace(formula.activation, build=_spied(formula.activation.build, seen)))
    z, y = _numbers(dtype, 0), np.linspace(0, 1, 1000, dtype=dtype).round()
    y[700] = np.nan
    weight = np.random.default_rng(2).integers(0, 3, (1, 1000)).astype(dtype)
    before = z.tobytes(), y.tobytes(), weight.tobytes()
    with np.errstate(all="ignore"):
        cost, residual, slope = fused(traced, folds)(z, y, weight)
        wanted_cost, wanted = weigh(np, formula.pointwise(np), z, y, weight, folds)
        assert np not in seen, "evaluated as it is written"
        np.testing.assert_array_equal(residual, wanted)
        assert (residual.dtype, residual.shape) == (dtype, z.shape)
        finite = np.isfinite(wanted_cost).all(axis=0) & np.isfinite(wanted).all(axis=0)
        assert before == (z.tobytes(), y.tobytes(), weight.tobytes())
        some = [np.ascontiguousarray(a[..., finite]) for a in (z, y, weight)]
        cost, residual, slope = fused(traced, folds)(*some)
        for found, parts in ((cost, wanted_cost), (slope, wanted)):
            exact = np.array([math.fsum(row) for row in parts[:, finite].tolist()])
            most = np.abs(parts[:, finite].astype(float)).sum(axis=1)
            assert (np.abs(found - exact) <= 1000 * np.finfo(dtype).eps * most).all()


def _spied(build, seen):
    def spy(xp, *parameters):
        seen.append(xp)
        return build(xp, *parameters)

    return spy


def test_what_cannot_be_traced_is_evaluated_as_it_is_written():
    def value(z):
        return np.cumsum(np.ones(z.shape), axis=-1) * z if z.ndim else z

    custom = Formula(activations.custom("no expression", value, value), losses.squared_error)
    z, y, weight = _numbers(np.float64, 0)[:, 6:], np.ones(994), np.full((1, 994), 2.0)
    cost, residual, slope = fused(custom)(z, y, weight)
    p = np.arange(1, 995) * z
    np.testing.assert_allclose(residual, 2 * 2 * (p - 1) * p)
    np.testing.assert_allclose(cost, (2 * (p - 1) ** 2).sum(axis=1))
    np.testing.assert_allclose(slope, (4 * (p - 1) * p).sum(axis=1))


def test_what_is_too_deep_to_be_written_out_is_evaluated_as_it_is_written():
    def value(z):
        found = z
        for _ in range(2000):
            found = found / 2 + z
        return found

    deep = Formula(activations.custom("deep", value, value), losses.squared_error)
    z, y, weight = np.linspace(-1, 1, 6).reshape(2, 3), np.ones(3), np.ones((1, 3))
    _, residual, _ = fused(deep)(z, y, weight)
    np.testing.assert_allclose(residual, 2 * (2 * z - 1) * 2 * z)


def test_a_cost_of_millions_of_rows_keeps_its_digits():
    rng = np.random.default_rng(0)
    z, y, weight = (rng.random((1, 4_000_000), np.float32) for _ in range(3))
    cost, _, _ = fused(Neuron("relu").formula)(z, y[0], weight)
    exact = math.fsum((weight.astype(float) * (z.astype(float) - y) ** 2)[0])
    assert abs(cost[0] / exact - 1) < 1e-6
