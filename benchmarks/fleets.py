"""Fleets against what a user would pick: vmap(jax.grad) in a fori_loop, a loop over scikit-learn, polars_ols.

    python benchmarks/fleets.py [lockstep | aircraft | million]

Each block alternates its contestants in one process and prints medians and ratios. Compilation is left out and stated.
"""

import itertools
import os
import resource
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from gdjax.formulas import Formula, activations, losses
from gdjax.protocol import Chunk
from gdjax.rule import Knobs, Rule, initial_state
from gdjax.samples import Samples

ROUNDS = 5


def alternate(contestants: dict[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, float]:
    """Median seconds of each, run in turns after one run of each to warm up."""
    for run in contestants.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - began)
    return {name: float(np.median(values)) for name, values in seconds.items()}


def table(seconds: dict[str, float], base: str) -> None:
    print("| way | seconds | times as fast as the first |\n| --- | --- | --- |")
    for name, value in seconds.items():
        print(f"| {name} | {value:.3f} | {seconds[base] / value:.2f} |")


def lockstep() -> None:
    """10,000 neurons of 500 by 16, 20 plain steps, float32, set-up left out."""
    count, rows, columns, steps, rate = 10_000, 500, 16, 20, np.float32(0.05)
    rng = np.random.default_rng(0)
    X = rng.standard_normal((count, rows, columns), dtype=np.float32)
    y = np.maximum(0, X @ rng.standard_normal((count, columns, 1), dtype=np.float32))[..., 0]
    theta = 0.1 * rng.standard_normal((count, columns + 1), dtype=np.float32)

    def cost(at, x, t):
        return ((jax.nn.relu(x @ at[:-1] + at[-1]) - t) ** 2).mean()

    gradient = jax.vmap(jax.grad(cost))

    @jax.jit
    def autodiff(at, x, t):
        return jax.lax.fori_loop(0, steps, lambda _, now: now - rate * gradient(now, x, t), at)

    device = jax.device_put((theta, X, y))
    results = {}

    def by_autodiff():
        results["vmap(jax.grad)"] = np.asarray(autodiff(*device))

    contestants: dict[str, Callable[[], object]] = {"vmap(jax.grad)": by_autodiff}
    formula = Formula(activations.relu, losses.squared_error)
    zeros, ones = np.zeros(count, np.float32), np.ones((count, columns + 1), np.float32)
    penalised = np.append(np.ones(columns), 0).astype(np.float32)
    knobs = Knobs(
        zeros, zeros, ones, penalised, zeros - 1, zeros, zeros + np.inf, zeros.astype(np.int32) + 10**6, 0 * ones, ones
    )
    rule = Rule("plain")
    chunk = Chunk(np.ones(steps))
    for name in [n for n in ("numpy", "jax", "numba") if gdjax.backends()[n]["installed"]]:
        backend = gdjax.backend(name, dtype="float32")
        held = [X, y, np.ones((count, rows), np.float32), np.full(count, rows, np.float32)]
        for array in held:
            array.flags.writeable = False
        samples = Samples(*map(backend.asarray, held))
        state = initial_state(np, rule, theta, np.full(count, rate))

        def run(backend=backend, samples=samples, state=state, name=name):
            results[name] = backend.descend(formula, rule, samples, np.arange(count), state, knobs, chunk)[0].iterate

        contestants[name] = run
    table(alternate(contestants), "vmap(jax.grad)")
    for name, got in results.items():
        np.testing.assert_allclose(got, results["vmap(jax.grad)"], rtol=2e-3, atol=2e-3, err_msg=name)


def aircraft() -> None:
    """Air time on distance, a line an aircraft, 4,037 of them: least squares, so that closed forms can play too."""
    from sklearn.linear_model import LinearRegression, SGDRegressor

    data = np.load(Path(__file__).parent.parent / "examples" / "data" / "flights.npz")
    X, y, keys = data["X"].astype(float), data["y"].astype(float), data["groups"]
    order = np.argsort(keys, kind="stable")
    X, y, keys = X[order], y[order], keys[order]
    starts = np.append(np.nonzero(np.append(True, keys[1:] != keys[:-1]))[0], len(keys))
    groups = [(X[a:b], y[a:b]) for a, b in itertools.pairwise(starts) if b - a >= X.shape[1] + 1]
    scaled = [((x - x.mean(0)) / np.where(x.std(0) > 0, x.std(0), 1), t) for x, t in groups]
    neuron = gdjax.Neuron("identity")
    excess: dict[str, float] = {}
    best = np.array([((t - LinearRegression().fit(x, t).predict(x)) ** 2).mean() for x, t in scaled])

    def sgd():
        costs = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for x, t in scaled:
                model = SGDRegressor(penalty=None, tol=1e-5, max_iter=2_000, random_state=0).fit(x, t)
                costs.append(((t - model.predict(x)) ** 2).mean())
        excess["scikit-learn SGDRegressor, a loop"] = float(np.sum(costs) / best.sum() - 1)

    def closed():
        for x, t in scaled:
            LinearRegression().fit(x, t)

    def ours(backend):
        run = gdjax.fit(neuron, X, y, groups=keys, backend=backend)
        cost = run.cost[np.isfinite(run.cost)]
        excess[f"gdjax {backend}, to 1e-9"] = float(cost.sum() / best.sum() - 1)

    contestants: dict[str, Callable[[], object]] = {
        "scikit-learn SGDRegressor, a loop": sgd,
        "scikit-learn LinearRegression, a loop": closed,
    }
    for name in [n for n in ("numpy", "jax", "numba") if gdjax.backends()[n]["installed"]]:
        contestants[f"gdjax {name}, to 1e-9"] = lambda name=name: ours(name)
    try:
        import polars as pl
        import polars_ols as pls
    except ImportError:
        print("polars_ols is not installed: left out")
    else:
        frame = pl.DataFrame({"y": y, "key": keys, **{f"x{j}": X[:, j] for j in range(X.shape[1])}})
        fit = pls.compute_least_squares(
            pl.col("y"), *(pl.col(f"x{j}") for j in range(X.shape[1])), add_intercept=True, mode="coefficients"
        )
        contestants["polars_ols"] = lambda: frame.group_by("key").agg(fit)
    table(alternate(contestants, 3), "scikit-learn SGDRegressor, a loop")
    print("excess of all mean squared errors over the least:", {k: f"{v:.1e}" for k, v in excess.items()})


def million(count: int = 1_000_000, backend: str = "numba") -> None:
    """A million ReLU neurons of 50 by 8, float32, from nothing to the table."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((count * 50, 8), dtype=np.float32)
    w = rng.standard_normal((count, 8), dtype=np.float32)
    z = np.concatenate(
        [
            np.einsum("kij,kj->ki", X.reshape(count, 50, 8)[a : a + 9_999], w[a : a + 9_999])
            for a in range(0, count, 9_999)
        ]
    )
    y = np.maximum(0, z.ravel() + 0.5 + 0.1 * rng.standard_normal(count * 50, dtype=np.float32))
    keys = np.repeat(np.arange(count, dtype=np.int32), 50)
    del z
    began = time.perf_counter()
    run = gdjax.fit(gdjax.Neuron(), X, y, groups=keys, backend=backend)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)
    data = (X.nbytes + y.nbytes + keys.nbytes) / (1 << 30)
    print(f"{run}\n{seconds:.0f} s, peak {peak:.2f} GiB of which the data {data:.2f}")


if __name__ == "__main__":
    which = sys.argv[1:] or ["lockstep", "aircraft", "million"]
    print(f"jax {jax.__version__}, numpy {np.__version__}, {jnp.zeros(0).device}, {os.cpu_count()} cores")
    for name in which:
        job, *arguments = name.split(":")
        print(f"\n{name}")
        {"lockstep": lockstep, "aircraft": aircraft, "million": million}[job](
            *(int(a) if a.isdigit() else a for a in arguments)
        )
