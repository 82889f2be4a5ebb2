"""Plots show what the run holds, and their SVG is the same to the byte in another process."""

import hashlib
import itertools
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("matplotlib")

import gdjax
from gdjax.errors import UsageError
from gdjax.plots import svg
from gdjax.rates import learning_rates

RNG = np.random.default_rng(0)
X = RNG.standard_normal((300, 3)) * [1, 5, 0.2]
Y = np.maximum(0, X @ [1, 0.3, -4] + 1) + 0.1 * RNG.standard_normal(300)
KEYS = RNG.integers(0, 30, 300)


@pytest.fixture(scope="module")
def run():
    return gdjax.fit(gdjax.Neuron(), X, Y, backend="numpy")


@pytest.fixture(scope="module")
def fleet():
    y = Y.copy()
    y[KEYS == 3] = np.nan
    return gdjax.fit(gdjax.Neuron(), X, y, groups=KEYS, backend="numpy")


@pytest.fixture(scope="module")
def sweep():
    return gdjax.sweep(
        gdjax.Neuron(), X, Y, learning_rate=[0.001, 0.1, 50.0], l2=[0.0, 1.0], steps=50, backend="numpy", folds=3
    )


def test_cost_is_the_history(run):
    line = run.plot.cost().axes[0].lines[0]
    np.testing.assert_array_equal(line.get_ydata(), run.history)
    np.testing.assert_array_equal(line.get_xdata(), run.history_steps)


def test_residuals_are_those_of_predict(run):
    points = run.plot.residuals(X, Y).axes[0].collections[0].get_offsets()
    np.testing.assert_allclose(points[:, 1], Y - run.predict(X))


def test_landscape_ends_at_its_lowest_point(run):
    axes = run.plot.landscape(X, Y).axes[0]
    path, end = axes.lines[0], axes.lines[1]
    assert [float(end.get_xdata()[0]), float(end.get_ydata()[0])] == [0.0, 0.0]
    np.testing.assert_allclose([path.get_xdata()[-1], path.get_ydata()[-1]], 0, atol=1e-6)
    a = np.eye(4)
    found = run.plot._costs(np.append(run.weights, run.bias) + np.vstack([0 * a[:1], 0.01 * a, -0.01 * a]), X, Y)
    assert found.argmin() == 0
    assert found[0] == pytest.approx(run.cost, rel=1e-9)


def test_landscape_takes_directions(run):
    figure = run.plot.landscape(X, Y, directions=([1, 0, 0, 0], [0, 0, 0, 1]))
    assert figure.axes[0].get_xlabel() == "first direction"


def test_fleet_counts_every_status(fleet):
    bars = fleet.plot.fleet().axes[0].patches
    assert sum(b.get_width() for b in bars) == fleet.models == 30


@pytest.mark.parametrize("models", [3, 30, 200])
def test_counts_have_whole_ticks_that_do_not_overlap(models):
    groups = np.arange(2_000) % models
    x = RNG.standard_normal((2_000, 2))
    y = x[:, 0] + RNG.standard_normal(2_000)
    run = gdjax.fit(gdjax.Neuron("identity"), x, y, groups=groups, backend="numpy")
    fleet, rest = run.plot.fleet(), run.plot.residuals(x, y, groups)
    for figure, axis in [
        (fleet, fleet.axes[0].xaxis), (fleet, fleet.axes[1].yaxis), (fleet, fleet.axes[2].yaxis),
        (rest, rest.axes[1].xaxis),
    ]:  # fmt: skip
        figure.draw_without_rendering()
        ticks = axis.get_ticklocs()
        np.testing.assert_array_equal(ticks, np.round(ticks))
        boxes = [label.get_window_extent() for label in axis.get_ticklabels()]
        assert not any(a.overlaps(b) for a, b in itertools.pairwise(boxes))


@pytest.mark.parametrize(("noise", "scale"), [(0.01, "log"), (100.0, "linear")])
def test_cost_is_logarithmic_where_it_spans_a_decade(noise, scale):
    y = X @ [1, 0.3, -4] + noise * RNG.standard_normal(300)
    run = gdjax.fit(gdjax.Neuron("identity"), X, y, backend="numpy")
    assert (run.history[0] > 10 * run.history.min()) == (scale == "log")
    assert run.plot.cost().axes[0].get_yscale() == scale


def test_sweep_stars_the_best_and_leaves_the_diverged_blank(sweep):
    axes = sweep.plot.sweep().axes[0]
    grid = axes.collections[0].get_array()
    assert grid.shape == (3, 2)
    assert np.ma.getmaskarray(grid)[2].all()
    best = sweep.best()
    star = axes.lines[-1]
    place = (float(star.get_xdata()[0]) - 0.5, float(star.get_ydata()[0]) - 0.5)
    assert [0.0, 1.0][int(place[0])] == sweep.swept["l2"][best]
    assert [0.001, 0.1, 50.0][int(place[1])] == sweep.swept["swept_rate"][best]


@pytest.mark.parametrize("method", ["plain", "momentum"])
def test_the_largest_stable_rate_meets_the_theory(method):
    # identity and squared error: the bound is exact, 2 / L and 3.8 / L
    y = X @ [1, 0.3, -4] + RNG.standard_normal(300)
    run = gdjax.fit(gdjax.Neuron("identity"), X, y, backend="numpy", method=method, steps=200)
    found = learning_rates(gdjax.Neuron("identity"), X, y, backend="numpy", method=method)
    standard = np.column_stack([(X - X.mean(0)) / X.std(0), np.ones(300)])
    largest = 2 * np.linalg.eigvalsh(standard.T @ standard / 300)[-1]
    assert found.theory == pytest.approx((2 if method == "plain" else 3.8) / largest, rel=1e-6)
    assert found.theory / found.ratio**4 < found.stable < found.theory * found.ratio**8
    assert len(found.rate) == 64
    assert run.plot.learning_rate(X, y).axes[0].get_xscale() == "log"


def test_svg_is_equal_to_the_byte_elsewhere(run):
    code = (
        "import numpy as np, gdjax, hashlib; from gdjax.plots import svg\n"
        "rng = np.random.default_rng(0)\n"
        "X = rng.standard_normal((300, 3)) * [1, 5, 0.2]\n"
        "y = np.maximum(0, X @ [1, 0.3, -4] + 1) + 0.1 * rng.standard_normal(300)\n"
        "run = gdjax.fit(gdjax.Neuron(), X, y, backend='numpy')\n"
        "print(hashlib.sha256((svg(run.plot.cost(), 'a') + svg(run.plot.residuals(X, y), 'b')).encode()).hexdigest())"
    )
    told = {
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        for _ in range(2)
    }
    assert len(told) == 1
    here = svg(run.plot.cost(), "a") + svg(run.plot.residuals(X, Y), "b")
    assert told.pop().strip() == hashlib.sha256(here.encode()).hexdigest()


def test_svg_asks_for_nothing_and_has_ids_of_its_own(run, sweep):
    first, second = svg(run.plot.cost(), "a"), svg(sweep.plot.sweep(), "b")
    for text in (first, second):
        assert "<script" not in text
        assert not re.findall(r'(?:href|src)="(?!#|data:)', text)
        assert "currentColor" in text
        assert "<text" in text
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in (first, second)]
    assert not ids[0] & ids[1]
    for text in (first, second):
        names = re.findall(r'\bid="([^"]+)"', text)
        assert len(names) == len(set(names))
        assert {n[1:] for n in re.findall(r'href="(#[^"]+)"', text)} <= set(names)
        assert set(re.findall(r"url\(#([^)]+)\)", text)) <= set(names)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda run, fleet: run.plot.fleet(), "this run is one neuron"),
        (lambda run, fleet: run.plot.sweep(), "this run is no sweep"),
        (lambda run, fleet: fleet.plot.landscape(X, Y), "it is of one neuron"),
        (lambda run, fleet: fleet.plot.learning_rate(X, Y), "it is of one neuron"),
    ],
)
def test_a_plot_that_does_not_fit_the_run_says_which_does(run, fleet, call, message):
    with pytest.raises(UsageError, match=message), warnings.catch_warnings():
        call(run, fleet)
