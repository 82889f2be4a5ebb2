"""Costs, gradients and fits of data of any shape, dtype, weight, order and size, against rationals and closed forms."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

import gdjax
from gdjax import Neuron, Params
from gdjax.errors import DataError

QUICK = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
SHAPES = [(1, 1), (2, 1), (3, 2), (7, 3), (64, 2), (65, 2)]  # few, since XLA compiles for each

DTYPES = ["float64", "float32", "float16", "int64", "int8", "uint16", "bool"]


def read_only(a: np.ndarray) -> np.ndarray:
    held = a.copy()
    held.flags.writeable = False
    return held


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "rows": np.ascontiguousarray,
    "columns": np.asfortranarray,
    "every other": lambda a: np.repeat(a, 2, axis=0)[::2],
    "backwards": lambda a: a[::-1].copy()[::-1],
    "columns backwards": lambda a: a[..., ::-1].copy()[..., ::-1],
    "read-only": read_only,
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
}


@st.composite
def problems(draw: st.DrawFn) -> dict[str, Any]:
    """Data with ties, zeros, and values that differ by orders of magnitude."""
    rows, columns = draw(st.sampled_from(SHAPES))
    dtype = draw(st.sampled_from(DTYPES))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    sizes = {"float64": [1.0, 1e-3, 1e60, 1e-60, 1e-310], "float32": [1.0, 1e-3, 1e6], "float16": [1.0, 1e-3, 100.0]}
    raw = rng.normal(size=(rows, columns)) * draw(st.sampled_from(sizes.get(dtype, [2.0, 100.0])))
    raw[rng.random(raw.shape) < 0.2] = 0
    X = (np.abs(raw) if dtype in ("uint16", "bool") else raw).astype(dtype)
    weight = None
    if draw(st.booleans()):
        weight = rng.choice([0.0, 0.5, 1.0, 3.0], size=rows).astype(
            draw(st.sampled_from(["float64", "float32", "int8"]))
        )
        weight[int(rng.integers(rows))] = 1
    theta = rng.normal(size=columns + 1)
    theta[rng.random(columns + 1) < 0.2] = 0
    y = (rng.normal(size=rows) * draw(st.sampled_from([1.0, 1e3]))).round(2).astype(draw(st.sampled_from(DTYPES[:4])))
    layout = draw(st.sampled_from(list(LAYOUTS)))
    return {
        "X": LAYOUTS[layout](X),
        "y": LAYOUTS[layout](y),
        "weight": None if weight is None else LAYOUTS[layout](weight),
        "w": theta[:-1],
        "b": float(theta[-1]),
        "l2": draw(st.sampled_from([0.0, 0.25])),
    }


def exact(
    activation: str, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, w: np.ndarray, b: float, l2: float
) -> tuple[list[Fraction], list[Fraction]]:
    """Cost and gradient of the squared error in rationals, and the size that the rounding of each is measured by."""
    rows = [[*(Fraction(float(v)) for v in row), Fraction(1)] for row in X]
    targets, theta = [Fraction(float(v)) for v in y], [*(Fraction(float(v)) for v in w), Fraction(b)]
    s = [Fraction(float(v)) for v in (np.ones(len(y)) if weight is None else weight)]
    total = sum(s)
    true, scale = [Fraction(0)] * (len(theta) + 1), [Fraction(0)] * (len(theta) + 1)
    for row, t, si in zip(rows, targets, s, strict=True):
        terms = [a * c for a, c in zip(row, theta, strict=True)]
        z = sum(terms)
        gate = activation == "identity" or z > 0
        e = (z if gate else Fraction(0)) - t
        size = sum(map(abs, terms)) + abs(t)
        true = [a + si / total * c for a, c in zip(true, [e * e, *(gate * 2 * e * v for v in row)], strict=True)]
        scale = [a + si / total * c for a, c in zip(scale, [size**2, *(2 * size * abs(v) for v in row)], strict=True)]
    penalised = [*theta[:-1], Fraction(0)]
    penalty = [Fraction(l2) * c for c in (sum(v * v for v in penalised), *(2 * v for v in penalised))]
    return (
        [a + c for a, c in zip(true, penalty, strict=True)],
        [a + abs(c) for a, c in zip(scale, penalty, strict=True)],
    )


@QUICK
@given(data=problems(), activation=st.sampled_from(["relu", "identity"]))
def test_cost_and_gradient_are_the_exact_ones_to_rounding(
    backend_name: str, data: dict[str, Any], activation: str
) -> None:
    X, y, w, b = data["X"], data["y"], data["w"], data["b"]
    narrow = X.dtype.kind == "f" and X.dtype.itemsize <= 4
    kind = np.finfo(np.float32 if narrow else np.float64)
    eps = float(kind.eps)
    if narrow:
        w, b, y = w.astype(np.float32), float(np.float32(b)), y.astype(np.float32)
    z = X.astype(np.float64) @ w.astype(np.float64) + b
    rounding = 4 * eps * len(w) * (np.abs(X.astype(np.float64)) @ np.abs(w.astype(np.float64)) + abs(b))
    # else rounding decides whether a gate is open; at z = 0 itself, all terms being 0, it is shut
    assume(activation == "identity" or ((np.abs(z) > rounding) | (rounding == 0)).all())
    cost, gradient = gdjax.cost_and_gradient(
        Neuron(activation, l2=data["l2"]), Params(w, b), X, y, sample_weight=data["weight"], backend=backend_name
    )
    found = [float(cost), *np.asarray(gradient.weights).tolist(), float(gradient.bias)]
    for got, true, scale in zip(found, *exact(activation, X, y, data["weight"], w, b, data["l2"]), strict=True):
        # what is below the smallest normal number may be 0
        bound = (float(scale) * eps + 4 * float(kind.tiny)) * (len(X) + len(w) + 10)
        assert abs(Fraction(got) - true) <= bound, (got, float(true), bound)


@QUICK
@given(data=problems())
def test_a_row_of_weight_two_is_as_if_twice_and_of_zero_as_if_absent(data: dict[str, Any]) -> None:
    X, y = data["X"].astype(np.float64), data["y"].astype(np.float64)
    assume(np.abs(X).max() < 1e3)  # the rate is fixed
    count = np.random.default_rng(len(y)).integers(0, 3, len(y))
    count[0] = 2
    spoiled, spoiled_y = X.copy(), y.copy()
    spoiled[count == 0], spoiled_y[count == 0] = np.nan, np.inf
    # numpy alone: the shapes are any
    options: dict[str, Any] = {
        "backend": "numpy",
        "standardize": False,
        "method": "plain",
        "learning_rate": 1e-5,
        "steps": 5,
    }
    one = gdjax.fit(Neuron("identity"), spoiled, spoiled_y, sample_weight=count.astype(float), **options)
    two = gdjax.fit(Neuron("identity"), np.repeat(X, count, axis=0), np.repeat(y, count), **options)
    np.testing.assert_allclose(one.weights, two.weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(one.cost, two.cost, rtol=1e-9)


@settings(max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), scale=st.sampled_from([1e-6, 1.0, 1e6]), shift=st.sampled_from([0.0, 1e3]))
def test_converged_fits_are_least_squares(backend_name: str, seed: int, scale: float, shift: float) -> None:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(64, 2)) * [1.0, scale] + shift * scale * np.array([0.0, 1.0])
    y = X @ [1.0, 1 / scale] + rng.normal(size=64)
    weight = rng.integers(1, 4, 64).astype(float)  # none is 0: a row less is another shape to compile
    run = gdjax.fit(Neuron("identity"), X, y, sample_weight=weight, backend=backend_name)
    assert run.status == "converged", run.reason
    root = np.sqrt(weight)[:, None]
    columns = np.column_stack([X - X.mean(axis=0), np.ones(64)])
    best = np.linalg.lstsq(columns * root, y * root[:, 0], rcond=None)[0]
    np.testing.assert_allclose(run.weights, best[:-1], rtol=1e-6)


@settings(max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32 - 1), keys=st.sampled_from(["ints", "text", "tuples", "mixed"]))
def test_each_group_is_least_squares_of_its_own_rows(backend_name: str, seed: int, keys: str) -> None:
    rng = np.random.default_rng(seed)
    code = rng.permutation(np.repeat(np.arange(6), [4, 5, 8, 13, 16, 2]))
    X = rng.normal(size=(48, 2)) + code[:, None]
    y = X @ [1.0, -1.0] + rng.normal(size=48)
    names: list[Any] = {
        "ints": [-3, 0, 2, 7, 9, 2**40],
        "text": ["", "a", "b c", "é", "\n", "z" * 50],
        "tuples": [("a", 1), ("a", 2), ("b", 0), ("c", 9), ("d", 4), ("e", -1)],
        "mixed": [1, "1", 2.5, None, ("x", 1), "y"],
    }[keys]
    given_keys = np.empty(48, object)
    given_keys[:] = [names[c] for c in code]
    run = gdjax.fit(
        Neuron("identity"), X, y, groups=given_keys.tolist() if keys == "tuples" else given_keys, backend=backend_name
    )
    assert run.groups is not None
    assert run.models == 6
    found = {key: k for k, key in enumerate(run.groups.tolist())}
    for c, name in enumerate(names):
        k, mine = found[name], code == c
        if mine.sum() < 3:
            assert run.status[k] == "too_few_rows"
            continue
        best = np.linalg.lstsq(np.column_stack([X[mine], np.ones(mine.sum())]), y[mine], rcond=None)[0]
        if run.status[k] == "converged":
            np.testing.assert_allclose([*run.weights[k], run.bias[k]], best, rtol=1e-6, atol=1e-6)
        else:
            assert "condition" in run.reason[k]
    assert (np.asarray(run.status) == "converged").sum() >= 4


HUGE = [1e300, -1e300, 1e155, np.finfo(np.float64).max, np.inf, -np.inf, np.nan]


@pytest.mark.parametrize("value", HUGE)
@pytest.mark.parametrize("place", ["X", "y"])
def test_what_overflows_is_named_and_never_trained_on(value: float, place: str, backend_name: str) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(6, 2)), rng.normal(size=6)
    two_X, two_y = np.vstack([X, X]), np.concatenate([y, y])
    (two_X[:, 1] if place == "X" else two_y)[3] = value
    with pytest.raises(DataError, match="row 3"):
        gdjax.fit(Neuron(), two_X, two_y, backend=backend_name)
    fleet = gdjax.fit(Neuron("identity"), two_X, two_y, groups=[0] * 6 + [1] * 6, backend=backend_name)
    assert fleet.status[0] == "bad_data"
    assert "row 3" in fleet.reason[0]
    alone = gdjax.fit(Neuron("identity"), X, y, backend=backend_name)
    np.testing.assert_allclose(fleet.weights[1], alone.weights, rtol=1e-6)


@pytest.mark.parametrize("scale", [1e-160, 1e-30, 1e30, 1e140])
def test_tiny_and_huge_units_are_only_units(scale: float, backend_name: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    y = X @ [2.0, -1.0] + 3 + 0.1 * rng.normal(size=50)
    best = np.linalg.lstsq(np.column_stack([X, np.ones(50)]), y, rcond=None)[0]
    run = gdjax.fit(Neuron("identity"), X * scale, y, backend=backend_name)
    assert run.status == "converged", run.reason
    np.testing.assert_allclose(run.weights * scale, best[:-1], rtol=1e-8)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("exponent", [1020, 120, -130, -1000])
def test_weights_near_the_ends_of_a_dtype_are_only_shares(exponent: int, dtype: str, backend_name: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2)).astype(dtype)
    y = np.maximum(X @ np.array([2.0, -1.0], dtype) + 1, 0) + rng.random(60).astype(dtype)
    weight, groups = 1 + rng.random(60), np.arange(60) // 30
    extreme, params = np.ldexp(weight, exponent), Params(np.array([1.0, 2.0]), 0.5)
    assert np.isfinite(extreme).all()
    assert (extreme > 0).all()
    with np.errstate(all="raise", under="ignore"):
        for given in ({}, {"groups": groups}):
            runs = [
                gdjax.fit(Neuron(), X, y, sample_weight=w, backend=backend_name, **given) for w in (weight, extreme)
            ]
            np.testing.assert_array_equal(runs[0].weights, runs[1].weights)
            np.testing.assert_array_equal(runs[0].status, runs[1].status)
        own = np.where(groups == 1, extreme, weight)  # a group whose rows are all long ago, say
        fleet = gdjax.fit(Neuron(), X, y, sample_weight=own, groups=groups, backend=backend_name)
        np.testing.assert_array_equal(fleet.weights, runs[0].weights)
        costs = [
            gdjax.cost_and_gradient(Neuron(), params, X, y, sample_weight=w, backend=backend_name)[0]
            for w in (weight, extreme)
        ]
    assert np.asarray(costs[0]) == np.asarray(costs[1])


@pytest.mark.parametrize("scale", [1e100, 1e140])
def test_a_start_of_huge_targets_does_not_overflow(scale: float, backend_name: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    y = np.maximum(X @ [2.0, -1.0] + 1, 0) + rng.random(50)
    # a power of two, so that it is a change of units to the bit
    unit = 2.0 ** round(np.log2(scale))
    run, other = (gdjax.fit(Neuron(), X, y * u, backend=backend_name) for u in (1.0, unit))
    assert other.status == run.status == "converged", other.reason
    np.testing.assert_allclose(other.weights / unit, run.weights, rtol=1e-8)


EMPTY: list[tuple[Any, Any]] = [
    (np.zeros((0, 2)), np.zeros(0)),
    (np.zeros((3, 0)), np.zeros(3)),
    (np.zeros(3), np.zeros(3)),
    (np.zeros((3, 2, 1)), np.zeros(3)),
    (np.zeros((3, 2)), np.zeros((3, 1))),
    (np.zeros((3, 2)), np.zeros(2)),
    ([[1, 2], [3]], [1, 2]),
    (np.array([["a"]]), np.zeros(1)),
    (np.zeros((2, 1), complex), np.zeros(2)),
    (np.array([[None], [1.0]]), np.zeros(2)),
    (np.zeros((2, 1), "M8[s]"), np.zeros(2)),
    ("text", np.zeros(2)),
    (None, None),
]


@pytest.mark.parametrize(("X", "y"), EMPTY)
def test_what_is_no_data_is_an_error_of_one_line(X: Any, y: Any) -> None:
    with pytest.raises(DataError) as caught:
        gdjax.fit(Neuron(), X, y, backend="numpy")
    assert "\n" not in str(caught.value)
