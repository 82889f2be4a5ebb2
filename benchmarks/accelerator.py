"""The JAX backend on a GPU or TPU beside jax.grad: `python benchmarks/accelerator.py [--small]`.

Each table in one process, its contestants in turns, medians of five, all on JAX's default device and compiled before;
the floor is the device's own rate of reading. Rivals are asked for full float32 products too, as gdjax's are: JAX's
default on a GPU is TensorFloat-32. Needs the extra numba for the last table.
"""

import argparse
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np
import speed_workloads as workloads

import gdjax
from gdjax.cli import bench
from gdjax.samples import Samples

RELU = workloads.RELU
grad = jax.value_and_grad(workloads.jax_cost)


def medians(tasks: dict[str, Callable[[], Any]], repeats: int = 10) -> dict[str, float]:
    """Seconds a call, of calls that wait for the last one alone."""

    def several(task: Callable[[], Any]) -> None:
        for _ in range(repeats):
            found = task()
        jax.block_until_ready(found)

    found = bench.medians({name: partial(several, task) for name, task in tasks.items()}, 5)
    return {name: seconds / repeats for name, seconds in found.items()}


def table(title: str, head: str, rows: list[tuple[Any, ...]]) -> None:
    print(f"\n## {title}\n\n| {head} |\n|{' --- |' * (head.count('|') + 1)}")
    for row in rows:
        cells = (f"{cell:.3g}" if isinstance(cell, float) else str(cell) for cell in row)
        print(f"| {' | '.join(cells)} |", flush=True)


def gradients(rows: int) -> None:
    """One neuron on one data set: X must be read once."""
    found = []
    for N, D, dtype in (
        (rows, 128, "float32"), (rows // 2, 128, "float64"), (rows * 8, 16, "float32"), (rows * 4, 33, "float32"),
        (rows // 4, 500, "float32"), (rows + 13, 128, "float32"),
    ):  # fmt: skip
        X, y, theta = (a.astype(dtype) for a in workloads.table_of(N, D))
        with jax.enable_x64(dtype == "float64"):
            backend = gdjax.backend("jax", dtype=dtype)
            weight = np.ones((1, N), dtype)
            samples, at = Samples(*map(backend.asarray, (X, y, weight, weight.sum(1)))), backend.asarray(theta)
            read, by_grad = jax.jit(lambda x: (x * x).sum(axis=0)), jax.jit(grad)
            tasks: dict[str, Callable[[], Any]] = {
                "floor": partial(read, samples.X),
                "gdjax": partial(backend.cost_and_gradient, RELU, at, samples),
                "jax.grad": partial(by_grad, at[0], samples.X, samples.y),
            }
            seconds = medians(tasks)
        ms = [1e3 * seconds[name] for name in ("floor", "gdjax", "jax.grad")]
        found.append((f"{N:,} x {D}", dtype, *ms, ms[0] / ms[1], ms[2] / ms[1]))
    times = "read X once, ms | gdjax, ms | jit(jax.value_and_grad), ms"
    table("One neuron, one gradient", f"rows by columns | dtype | {times} | share of the floor | times as fast", found)


def sweep(rows: int) -> None:
    """1,024 neurons on one data set: two matrix products."""
    X, y, theta = workloads.table_of(rows, 64, 1024)
    backend = gdjax.backend("jax", dtype="float32")
    samples, at = workloads.samples_on(backend, X, y), backend.asarray(theta)
    many = jax.vmap(grad, (0, None, None))
    tasks: dict[str, Callable[[], Any]] = {"gdjax": partial(backend.cost_and_gradient, RELU, at, samples)}
    for precision in ("highest", "default"):
        with jax.default_matmul_precision(precision):
            compiled = jax.jit(many).lower(at, samples.X, samples.y).compile()
        tasks[f"vmap(jax.value_and_grad), precision {precision}"] = partial(compiled, at, samples.X, samples.y)
    seconds = medians(tasks, 3)
    found = [(name, 1e3 * taken, taken / seconds["gdjax"]) for name, taken in seconds.items()]
    table(f"1,024 neurons on {rows:,} rows by 64", "way | ms | gdjax times as fast", found)


def fleet(count: int) -> None:
    """Neurons of 500 by 16 each, plain steps: one step, from runs of 20 and 100."""
    rng = np.random.default_rng(0)
    X = rng.random((count, 500, 16), dtype=np.float32)
    y, theta = X[..., 0].copy(), np.full((count, 17), 0.01, np.float32)
    held, target, at = jax.device_put(X), jax.device_put(y), jax.device_put(theta)
    every = jax.vmap(jax.grad(workloads.jax_cost))
    tasks: dict[str, Callable[[], Any]] = {}
    for steps in (20, 100):
        loop = jax.jit(
            lambda a, x, t, steps=steps: jax.lax.fori_loop(0, steps, lambda _, now: now - 0.01 * every(now, x, t), a)
        )
        tasks[f"jax.grad {steps}"] = partial(loop, at, held, target)
        tasks[f"gdjax {steps}"] = workloads.descent_of("jax", RELU, X, y, theta, steps)
    seconds = medians(tasks, 1)
    step = {k: (seconds[f"{k} 100"] - seconds[f"{k} 20"]) / 80 for k in ("gdjax", "jax.grad")}
    names = {"gdjax": "gdjax", "jax.grad": "vmap(jax.grad) in fori_loop"}
    rows = [(names[k], 1e3 * step[k], 1e3 * seconds[f"{k} 100"], step[k] / step["gdjax"]) for k in step]
    head = "way | ms a step | ms for 100 with set-up | gdjax times as fast a step"
    table(f"{count:,} neurons of 500 by 16", head, rows)


def steps(small: bool) -> None:
    """Plain steps of one neuron on few rows, where the device waits for the host."""
    import optax

    solver, count, found = optax.sgd(0.01), 200, []

    @jax.jit
    def step(at: Any, state: Any, X: Any, y: Any) -> Any:
        change, state = solver.update(jax.grad(workloads.jax_cost)(at, X, y), state)
        return optax.apply_updates(at, change), state

    def by_optax(at: Any, X: Any, y: Any) -> Any:
        state = solver.init(at)
        for _ in range(count):
            at, state = step(at, state, X, y)
        return at

    for N, D in ((442, 10),) if small else ((442, 10), (10_000, 16), (100_000, 16), (1_000_000, 32)):
        X, y, theta = workloads.table_of(N, D)
        loop = partial(by_optax, *map(jax.device_put, (theta[0], X, y)))
        tasks = {"gdjax": workloads.descent_of("jax", RELU, X, y, theta, count), "optax": loop}
        seconds = medians(tasks, 1)
        us = [1e6 * seconds[name] / count for name in ("gdjax", "optax")]
        found.append((f"{N:,} x {D}", *us, us[1] / us[0]))
    head = "rows by columns | gdjax, us | a Python loop over a jitted optax step, us | times as fast"
    table("Steps of one neuron", head, found)


def fits(small: bool) -> None:
    """Whole fits, from arrays in the host's memory to the certified result, beside numba on all of the host's cores."""
    rng = np.random.default_rng(0)
    count, rows = (1_000, 1 << 14) if small else (100_000, 1 << 21)
    X = rng.standard_normal((count * 50, 8), dtype=np.float32)
    z = np.einsum("kij,kj->ki", X.reshape(count, 50, 8), rng.standard_normal((count, 8), dtype=np.float32)).ravel()
    y = np.maximum(0, z + 0.5 + 0.1 * rng.standard_normal(count * 50, dtype=np.float32))
    wide = rng.random((rows, 64), dtype=np.float32)
    target = np.maximum(wide @ rng.normal(size=64).astype(np.float32), 0)
    work = {
        f"{count:,} neurons of 50 by 8": (X, y, np.repeat(np.arange(count, dtype=np.int32), 50)),
        f"one neuron on {rows:,} by 64": (wide, target, None),
    }
    found = []
    for name, (data, wanted, groups) in work.items():
        taken = []
        for which in ("jax", "numba"):
            backend = gdjax.backend(which, dtype="float32")
            for _ in range(2):  # the first compiles
                began = time.perf_counter()
                run = gdjax.fit(gdjax.Neuron(), data, wanted, groups=groups, backend=backend)
                seconds = time.perf_counter() - began
            taken += [seconds, str(run.counts() if groups is not None else run.status)]
        found.append((name, *taken))
    table("Whole fits", "problem | jax, s | its result | numba, s | its result", found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a fraction of the data: does it run, not how fast")
    small = parser.parse_args().small
    print(f"jax {jax.__version__} on {jax.devices()[0].device_kind}, numpy {np.__version__}")
    gradients(1 << 14 if small else 1 << 22)
    sweep(1 << 12 if small else 1 << 18)
    fleet(200 if small else 10_000)
    steps(small)
    fits(small)
