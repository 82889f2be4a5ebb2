"""Speed side by side with what a user would pick instead: `python benchmarks/speed.py [WORKLOAD ...] [--small]`.

Every workload takes turns with its rivals and with the machine's floor in one process; medians; ratios. float32.
Needs the extras numba, test, and torch. `--write` puts table and plot into docs/speed.md and docs/speed.svg.
"""

# %%
import argparse
import json
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

for _name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
    os.environ.pop(_name, None)  # they slow NumPy down

import numpy as np

import gdjax
from gdjax.cli.bench import medians
from gdjax.protocol import Chunk
from gdjax.rule import Knobs, Rule, initial_state
from gdjax.samples import Samples

Tasks = dict[str, Callable[[], Any]]
ROOT = Path(__file__).resolve().parent.parent
RELU = gdjax.Neuron("relu").formula
LINEAR = gdjax.Neuron("identity").formula


# %% What the machine can do at most
def reader(X: np.ndarray) -> Callable[[], float]:
    """Reads X once on all cores."""
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def total(x: np.ndarray) -> float:
        parts = np.zeros(64)
        length = len(x) // 64
        for i in numba.prange(64):
            for start in range(i * length, (i + 1) * length, 8192):
                block = x[start : min(start + 8192, (i + 1) * length)]
                held = np.float32(0)
                for j in range(len(block)):
                    held += block[j]
                parts[i] += held
        return parts.sum()

    flat = X.reshape(-1)
    return lambda: total(flat)


def multiplier() -> tuple[Callable[[], Any], float]:
    """A matrix product by BLAS, and its floating-point operations."""
    a = np.ones((3072, 3072), np.float32)
    return lambda: a @ a, 2 * 3072**3


def peak_beyond(task: Callable[[], Any]) -> int:
    """Bytes by which the process grew while the task ran, looked at every millisecond."""
    page = os.sysconf("SC_PAGE_SIZE")

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    before = most = resident()
    done = threading.Event()

    def watch() -> None:
        nonlocal most
        while not done.wait(0.001):
            most = max(most, resident())

    watcher = threading.Thread(target=watch)
    watcher.start()
    task()
    done.set()
    watcher.join()
    return most - before


# %% The tasks
def samples_on(backend: Any, X: np.ndarray, y: np.ndarray) -> Samples:
    weight = np.ones((1, *y.shape) if y.ndim == 1 else y.shape, np.float32)
    for array in (X, y, weight):
        array.flags.writeable = False
    return Samples(*map(backend.asarray, (X, y, weight, weight.sum(axis=1))))


def gradient_of(name: str, X: np.ndarray, y: np.ndarray, theta: np.ndarray) -> Callable[[], Any]:
    backend = gdjax.backend(name, dtype="float32")
    samples, at = samples_on(backend, X, y), backend.asarray(theta)
    return lambda: [backend.to_numpy(a) for a in backend.cost_and_gradient(RELU, at, samples)]


def descent_of(
    name: str, formula: Any, X: np.ndarray, y: np.ndarray, theta: np.ndarray, steps: int
) -> Callable[[], Any]:
    backend = gdjax.backend(name, dtype="float32")
    samples, count = samples_on(backend, X, y), len(theta)

    def each(value: float) -> np.ndarray:
        return np.full(count, value, np.float32)

    rule = Rule("plain")
    none, ones = np.zeros_like(theta), np.ones_like(theta)
    penalised = np.append(np.ones(theta.shape[1] - 1, np.float32), np.float32(0))
    limit = np.full(count, 2**30, np.int32)
    knobs = Knobs(each(0), each(0), ones, penalised, each(-1), each(1e-4), each(1e30), limit, none, ones)

    def run() -> Any:
        state = initial_state(np, rule, theta, each(0.01))
        for _ in range(0, steps, 100):
            chunk = Chunk(np.ones(min(steps, 100)))
            state, _ = backend.descend(formula, rule, samples, np.arange(count), state, knobs, chunk)
        return state

    return run


def jax_cost(theta: Any, X: Any, y: Any) -> Any:
    import jax

    return ((jax.nn.relu(X @ theta[:-1] + theta[-1]) - y) ** 2).mean()


def large(small: bool) -> dict[str, Any]:
    """One large data set, one neuron: X must be read once."""
    import jax

    N, D = (1 << 20 if small else 1 << 22), 128
    rng = np.random.default_rng(0)
    X = rng.random((N, D), dtype=np.float32)
    y, theta = X[:, 0].copy(), np.full((1, D + 1), 0.01, np.float32)
    tasks: Tasks = {"floor: read X once": reader(X)}
    for name in ("numba", "jax", "numpy"):
        tasks[name] = gradient_of(name, X, y, theta)
    held, target, at = jax.device_put(X), jax.device_put(y), jax.device_put(theta[0])
    autodiff = jax.jit(jax.value_and_grad(jax_cost))
    tasks["jit(jax.value_and_grad)"] = lambda: jax.block_until_ready(autodiff(at, held, target))

    def textbook() -> Any:
        z = X @ theta[0, :-1] + theta[0, -1]
        residual = 2 * (np.maximum(z, 0) - y) * (z > 0)
        return residual @ X / N, residual.mean()

    tasks["textbook NumPy"] = textbook
    try:
        import torch

        x, t = torch.from_numpy(X), torch.from_numpy(y)
        w = torch.full((D,), 0.01, requires_grad=True)

        def by_torch() -> Any:
            w.grad = None
            ((torch.relu(x @ w + 0.01) - t) ** 2).mean().backward()

        tasks["torch autograd"] = by_torch
    except ImportError:
        pass
    seconds = medians(tasks, 5)
    memory = {name: peak_beyond(tasks[name]) / 2**20 for name in ("numba", "jax", "numpy")}
    return {"seconds": seconds, "peak MiB beyond X": memory, "bytes": X.nbytes, "shape": [N, D]}


def sweep(small: bool) -> dict[str, Any]:
    """1,024 neurons on one data set: two matrix products."""
    import jax

    N, D, K = (1 << 15 if small else 1 << 18), 64, 1024
    rng = np.random.default_rng(0)
    X = rng.random((N, D), dtype=np.float32)
    y, theta = X[:, 0].copy(), rng.normal(size=(K, D + 1)).astype(np.float32) / 8
    multiply, work = multiplier()
    tasks: Tasks = {"floor: a matrix product": multiply}
    for name in ("numba", "jax", "numpy"):
        tasks[name] = gradient_of(name, X, y, theta)
    held, target, at = jax.device_put(X), jax.device_put(y), jax.device_put(theta)
    autodiff = jax.jit(jax.vmap(jax.value_and_grad(jax_cost), (0, None, None)))
    tasks["vmap(jax.value_and_grad)"] = lambda: jax.block_until_ready(autodiff(at, held, target))
    seconds = medians(tasks, 3 if small else 5)
    seconds["floor: a matrix product"] *= 4 * N * D * K / work
    memory = {name: peak_beyond(tasks[name]) / 2**20 for name in ("numba", "jax", "numpy")}
    return {"seconds": seconds, "peak MiB beyond X": memory, "operations": 4 * N * D * K, "shape": [N, D, K]}


def fleet(small: bool) -> dict[str, Any]:
    """10,000 neurons of 500 by 16 each, 20 steps; a chunk of 120 less one of 100, so that set-up is left out."""
    import jax

    K, N, D = (1000 if small else 10_000), 500, 16
    rng = np.random.default_rng(0)
    X = rng.random((K, N, D), dtype=np.float32)
    y, theta = X[..., 0].copy(), np.full((K, D + 1), 0.01, np.float32)
    held, target, at = jax.device_put(X), jax.device_put(y), jax.device_put(theta)
    grad = jax.vmap(jax.grad(jax_cost))

    @jax.jit
    def lockstep(at: Any, X: Any, y: Any) -> Any:
        return jax.lax.fori_loop(0, 20, lambda _, now: now - 0.01 * grad(now, X, y), at)

    tasks: Tasks = {"vmap(jax.grad) in fori_loop": lambda: jax.block_until_ready(lockstep(at, held, target))}
    for name in ("numba", "jax", "numpy"):
        tasks[name] = descent_of(name, RELU, X, y, theta, 20)
    seconds = medians(tasks, 5)
    return {"seconds": seconds, "operations": 20 * 4 * K * N * D, "shape": [K, N, D]}


def diabetes(small: bool) -> dict[str, Any]:
    """442 rows by 10, many steps."""
    import jax
    import optax
    from sklearn.datasets import load_diabetes

    steps = 1000 if small else 10_000
    X, y = (a.astype(np.float32) for a in load_diabetes(return_X_y=True))
    X, y = np.ascontiguousarray((X - X.mean(0)) / X.std(0)), (y - y.mean()) / y.std()
    theta = np.zeros((1, 11), np.float32)
    solver = optax.sgd(0.01)

    @jax.jit
    def step(at: Any, state: Any) -> Any:
        gradient = jax.grad(lambda t: ((X @ t[:-1] + t[-1] - y) ** 2).mean())(at)
        change, state = solver.update(gradient, state)
        return optax.apply_updates(at, change), state

    def by_optax() -> Any:
        at = jax.device_put(theta[0])
        state = solver.init(at)
        for _ in range(steps):
            at, state = step(at, state)
        return jax.block_until_ready(at)

    tasks: Tasks = {"a Python loop over a jitted optax step": by_optax}
    for name in ("numba", "jax", "numpy"):
        tasks[name] = descent_of(name, LINEAR, X, y, theta, steps)
    return {"seconds": medians(tasks, 5), "steps": steps, "shape": list(X.shape)}


START = """
import numpy as np, gdjax
rng = np.random.default_rng(0)
X = rng.random((1000, 8)); y = X @ rng.random(8)
gdjax.fit(gdjax.Neuron("identity"), X, y, backend={name!r})
"""


def start(small: bool) -> dict[str, Any]:
    """From the start of a process to the result of a fit of 1,000 by 8, caches warm."""
    cache = ROOT / ".benchmarks" / "jax"
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(cache),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def process(name: str) -> Callable[[], Any]:
        return lambda: subprocess.run([sys.executable, "-c", START.format(name=name)], env=environment, check=True)

    return {"seconds": medians({name: process(name) for name in ("numpy", "numba", "jax")}, 3 if small else 5)}


def scaling(small: bool) -> dict[str, Any]:
    """Seconds against N, D, K and steps, over three decades each, and the slope of their logarithms."""
    slopes = {}
    rng = np.random.default_rng(0)
    for name in ("numba", "jax", "numpy"):
        for what in ("N", "D", "K", "steps"):
            points = []
            for size in (1, 10, 100) if small else (1, 10, 100, 1000):
                N = 4000 * size if what == "N" else 20_000
                D = 4 * size if what == "D" else 16
                K = size if what == "K" else 1
                X, theta = rng.random((N, D), dtype=np.float32), np.full((K, D + 1), 0.01, np.float32)
                steps = 3 * size if what == "steps" else 1
                task = (
                    descent_of(name, RELU, X[:2000].copy(), X[:2000, 0].copy(), theta, 100 * steps)
                    if what == "steps"
                    else gradient_of(name, X, X[:, 0].copy(), theta)
                )
                points.append((size, medians({"": task}, 3)[""]))
            logs = np.log(points)
            slopes[f"{name} {what}"] = float(np.polyfit(logs[1:, 0], logs[1:, 1], 1)[0])
    return {"slopes": slopes}


WORKLOADS = {w.__name__: w for w in (large, sweep, fleet, diabetes, start, scaling)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("workloads", nargs="*", choices=[[], *WORKLOADS], default=[])
    parser.add_argument("--small", action="store_true", help="an eighth of the data: does it run, not how fast")
    parser.add_argument("-o", "--output", type=Path, help="a JSON file that gathers the results")
    given = parser.parse_args()
    found = json.loads(given.output.read_text()) if given.output and given.output.exists() else {}
    for name in given.workloads or WORKLOADS:
        load = os.getloadavg()[0]
        result = WORKLOADS[name](given.small)
        found[name] = {**result, "load before": load, "machine": platform.processor() or platform.machine()}
        print(name, json.dumps(found[name], indent=1), flush=True)
        if given.output:
            given.output.write_text(json.dumps(found, indent=1) + "\n")
        time.sleep(1)


if __name__ == "__main__":
    main()
