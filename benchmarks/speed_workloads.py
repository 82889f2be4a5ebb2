"""The workloads of speed.py, one a process: `python benchmarks/speed_workloads.py NAME RESULT.json [--small]`."""

# %%
import ctypes
import json
import math
import os
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import gdjax
from gdjax.cli.bench import medians
from gdjax.protocol import Chunk
from gdjax.rule import EXHAUSTED, STATIONARY, Knobs, Rule, State, initial_state
from gdjax.samples import Samples

Task = Callable[[], Any]
Tasks = dict[str, Task]
BACKENDS = ("numba", "jax", "numpy")
RELU = gdjax.Neuron("relu").formula
LINEAR = gdjax.Neuron("identity").formula
MIB = 1 << 20


# %% What the machine can do at most
def reader(X: np.ndarray) -> Task:
    """Reads X once on all cores, in four streams a core, which was faster than one."""
    import numba

    @numba.njit(parallel=True, fastmath=True)
    def total(x: np.ndarray) -> float:
        parts = np.zeros(64)
        length = len(x) // 64
        quarter = length // 4
        for i in numba.prange(64):
            part = x[i * length : (i + 1) * length]
            held = np.float32(0)
            for j in range(quarter):
                held += part[j] + part[quarter + j] + part[2 * quarter + j] + part[3 * quarter + j]
            parts[i] = held
        return parts.sum()

    flat = X.reshape(-1)
    return lambda: total(flat)


def multipliers() -> tuple[Tasks, float]:
    """A matrix product by BLAS and by XLA, of which the faster is the floor, and its floating-point operations."""
    import jax

    a = np.ones((3072, 3072), np.float32)
    held, product = jax.device_put(a), jax.jit(lambda x: x @ x)
    return {"BLAS": lambda: a @ a, "XLA": lambda: jax.block_until_ready(product(held))}, 2 * 3072**3


def peak_beyond(task: Task) -> float:
    """MiB by which the process grows while the task runs, all that earlier runs have freed given back before.

    The median of seven: an allocator may keep what the run before has freed, and of any run in four XLA's takes 4.5 MiB
    more, whatever the number of rows.
    """
    return statistics.median(_peak_once(task) for _ in range(7))


def _peak_once(task: Task) -> float:
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is forgotten

    def now(what: str) -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith(what)).split()[1])

    before = now("VmRSS")
    task()
    return max(0, now("VmHWM") - before) / 1024


# %% The tasks
def samples_on(backend: Any, X: np.ndarray, y: np.ndarray) -> Samples:
    weight = np.ones((1, *y.shape) if y.ndim == 1 else y.shape, np.float32)
    for array in (X, y, weight):
        array.flags.writeable = False
    return Samples(*map(backend.asarray, (X, y, weight, weight.sum(axis=1))))


def gradient_of(name: str, X: np.ndarray, y: np.ndarray, theta: np.ndarray, **options: Any) -> Task:
    backend = gdjax.backend(name, dtype="float32") if not options else _jax(**options)
    samples, at = samples_on(backend, X, y), backend.asarray(theta)
    return lambda: [backend.to_numpy(a) for a in backend.cost_and_gradient(RELU, at, samples)]


def _jax(**options: Any) -> Any:
    from gdjax_jax import JaxBackend

    return JaxBackend("float32", **options)


def start_at(theta: np.ndarray) -> tuple[Rule, State, Knobs]:
    """The plain method at theta (K, P), a rate of 0.01, that never ends by itself."""
    count = len(theta)

    def each(value: float) -> np.ndarray:
        return np.full(count, value, np.float32)

    none, ones = np.zeros_like(theta), np.ones_like(theta)
    penalised = np.append(np.ones(theta.shape[1] - 1, np.float32), np.float32(0))
    limit = np.full(count, 2**30, np.int32)
    rule = Rule("plain")
    knobs = Knobs(each(0), each(0), ones, penalised, each(-1), each(1e-4), each(1e30), limit, none, ones)
    return rule, initial_state(np, rule, theta, each(0.01)), knobs


def descent_of(
    name: str, formula: Any, X: np.ndarray, y: np.ndarray, theta: np.ndarray, steps: int, chunk: int = 100
) -> Task:
    backend = gdjax.backend(name, dtype="float32")
    samples, rows = samples_on(backend, X, y), np.arange(len(theta))
    rule, start, knobs = start_at(theta)

    def run() -> Any:
        state = start
        for first in range(0, steps, chunk):
            factors = Chunk(np.ones(min(chunk, steps - first)))
            state, _ = backend.descend(formula, rule, samples, rows, state, knobs, factors)
        return state

    return run


def jax_cost(theta: Any, X: Any, y: Any) -> Any:
    import jax

    return ((jax.nn.relu(X @ theta[:-1] + theta[-1]) - y) ** 2).mean()


def by_autodiff(X: np.ndarray, y: np.ndarray, theta: np.ndarray, many: bool) -> Task:
    import jax

    held, target, at = jax.device_put(X), jax.device_put(y), jax.device_put(theta if many else theta[0])
    one = jax.value_and_grad(jax_cost)
    function = jax.jit(jax.vmap(one, (0, None, None)) if many else one)
    return lambda: jax.block_until_ready(function(at, held, target))


def table_of(N: int, D: int, K: int = 1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.random((N, D), dtype=np.float32)
    theta = np.full((1, D + 1), 0.01, np.float32) if K == 1 else rng.normal(size=(K, D + 1)).astype(np.float32) / 8
    return X, X[:, 0].copy(), theta


# %% The workloads
def large(small: bool) -> dict[str, Any]:
    """One large data set, one neuron: X must be read once."""
    N, D = (1 << 18 if small else 1 << 22), 128
    X, y, theta = table_of(N, D)
    tasks: Tasks = {"floor: read X once": reader(X)}
    for name in BACKENDS:
        tasks[name] = gradient_of(name, X, y, theta)
    tasks["jit(jax.value_and_grad)"] = by_autodiff(X, y, theta, False)

    def textbook() -> Any:
        z = X @ theta[0, :-1] + theta[0, -1]
        residual = 2 * (np.maximum(z, 0) - y) * (z > 0)
        return residual @ X / N, residual.mean()

    tasks["textbook NumPy"] = textbook
    try:
        import torch

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # X is read-only
            x, t = torch.from_numpy(X), torch.from_numpy(y)
        w, b = torch.full((D,), 0.01, requires_grad=True), torch.tensor(0.01, requires_grad=True)

        def by_torch() -> Any:
            w.grad = b.grad = None
            ((torch.relu(x @ w + b) - t) ** 2).mean().backward()

        tasks["torch autograd"] = by_torch
    except ImportError:
        pass
    seconds = medians(tasks, 5)
    memory = {name: peak_beyond(tasks[name]) for name in BACKENDS}
    return {"seconds": seconds, "memory": memory, "bytes": X.nbytes, "operations": 4 * N * D}


def devices(small: bool) -> dict[str, Any]:
    """The same on two host devices of one process."""
    import jax

    X, y, theta = table_of(1 << 18 if small else 1 << 22, 128)
    tasks: Tasks = {f"jax, {len(jax.devices())} host devices": gradient_of("jax", X, y, theta)}
    tasks["jit(jax.value_and_grad)"] = by_autodiff(X, y, theta, False)
    return {"seconds": medians(tasks, 5)}


def sweep(small: bool) -> dict[str, Any]:
    """1,024 neurons on one data set: two matrix products."""
    N, D, K = (1 << 14 if small else 1 << 18), 64, 1024
    X, y, theta = table_of(4 * N, D, K)
    products, work = multipliers()
    tasks: Tasks = dict(products)
    for name in BACKENDS:
        tasks[name] = gradient_of(name, X[:N], y[:N], theta)
    tasks["vmap(jax.value_and_grad)"] = by_autodiff(X[:N], y[:N], theta, True)
    seconds = medians(tasks, 5)
    floor = min(seconds.pop(name) for name in products)
    seconds["floor: a matrix product"] = floor * 4 * N * D * K / work
    memory, longer = {}, {}
    for name in BACKENDS:
        memory[name] = peak_beyond(tasks[name])
        task = gradient_of(name, X, y, theta)
        if name == "jax":
            task()  # compiles
        longer[name] = peak_beyond(task)
    return {
        "seconds": seconds,
        "memory": memory,
        "memory at 4 N": longer,
        "operations": 4 * N * D * K,
        "bytes": 4 * N * D,
    }


def fleet(small: bool) -> dict[str, Any]:
    """10,000 neurons of 500 by 16 each: 20 steps with set-up, and without, from chunks of 40 and 20 steps."""
    import jax

    K, N, D = (500 if small else 10_000), 500, 16
    rng = np.random.default_rng(0)
    X = rng.random((K, N, D), dtype=np.float32)
    y, theta = X[..., 0].copy(), np.full((K, D + 1), 0.01, np.float32)
    held, target, at = jax.device_put(X), jax.device_put(y), jax.device_put(theta)
    grad = jax.vmap(jax.grad(jax_cost))

    @jax.jit
    def lockstep(at: Any, X: Any, y: Any) -> Any:
        return jax.lax.fori_loop(0, 20, lambda _, now: now - 0.01 * grad(now, X, y), at)

    rival = "vmap(jax.grad) in fori_loop"
    tasks: Tasks = {rival: lambda: jax.block_until_ready(lockstep(at, held, target))}
    for name in BACKENDS:
        for steps in (20, 40):
            tasks[f"{name} {steps}"] = descent_of(name, RELU, X, y, theta, steps)
    found = medians(tasks, 5)
    seconds = {rival: found[rival]}
    for name in BACKENDS:
        seconds[name] = found[f"{name} 40"] - found[f"{name} 20"]
        seconds[f"{name}, set-up included"] = found[f"{name} 20"]
    return {"seconds": seconds}


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
    for name in BACKENDS:
        tasks[name] = descent_of(name, LINEAR, X, y, theta, steps)
    return {"seconds": medians(tasks, 5)}


START = """
import numpy as np, gdjax
rng = np.random.default_rng(0)
X = rng.random((1000, 8)); y = X @ rng.random(8)
backend = gdjax.backend({name!r})
from gdjax.caching import keep_programs
keep_programs(backend)
gdjax.fit(gdjax.Neuron("identity"), X, y, backend=backend)
"""


def start(small: bool) -> dict[str, Any]:
    """From the start of a process to the result of a fit of 1,000 by 8, caches warm, as the command line keeps them."""

    def process(name: str) -> Task:
        return lambda: subprocess.run([sys.executable, "-c", START.format(name=name)], check=True)

    return {"seconds": medians({name: process(name) for name in BACKENDS}, 5)}


def host(small: bool) -> dict[str, Any]:
    """What a chunk costs the host: the engine around a backend that takes no time, and a dispatch of no step."""
    from gdjax_numpy import NumpyBackend

    chunks = 20 if small else 200
    rng = np.random.default_rng(0)
    X = rng.random((256, 128), dtype=np.float32)
    y, theta = X[:, 0].copy(), np.full((1, 129), 0.01, np.float32)

    class Idle(NumpyBackend):
        """Takes its steps in no time."""

        def descend(
            self, formula: Any, rule: Any, samples: Any, rows: Any, state: Any, knobs: Any, chunk: Any
        ) -> tuple[State, np.ndarray | None]:
            step = state.step + len(chunk.factors)
            phase = np.where(step >= knobs.limit, EXHAUSTED, state.phase).astype(np.int32)
            return state._replace(step=step, phase=phase), None

    def engine(count: int) -> Task:
        backend = Idle("float32")
        return lambda: gdjax.fit(gdjax.Neuron(), X, y, backend=backend, steps=100 * count, tolerance=0)

    tasks: Tasks = {"1": engine(1), "more": engine(1 + chunks)}
    rule, state, knobs = start_at(theta)
    still = state._replace(phase=np.full_like(state.phase, STATIONARY))
    for name in BACKENDS:
        backend = gdjax.backend(name, dtype="float32")
        samples = samples_on(backend, X, y)

        def dispatches(backend: Any = backend, samples: Samples = samples) -> None:
            for _ in range(chunks):
                backend.descend(RELU, rule, samples, np.arange(1), still, knobs, Chunk(np.ones(100)))

        tasks[name] = dispatches
    found = medians(tasks, 7)
    return {
        "engine": (found["more"] - found["1"]) / chunks,
        "dispatch": {name: found[name] / chunks for name in BACKENDS},
    }


def shapes(small: bool) -> dict[str, Any]:
    """One gradient of neighbouring shapes of about the same size: seconds a byte of X, y and weight."""
    size = (1 if small else 64) * MIB
    found: dict[str, dict[str, float]] = {}
    tasks: Tasks = {}
    sizes = {}
    for label, D, extra, order in (
        ("8", 8, 0, "C"), ("7", 7, 0, "C"), ("32", 32, 0, "C"), ("33", 33, 0, "C"), ("128", 128, 0, "C"),
        ("128, N + 13", 128, 13, "C"), ("128, Fortran", 128, 0, "F"), ("500", 500, 0, "C"), ("512", 512, 0, "C"),
    ):  # fmt: skip
        N = (size // (4 * D)) // 4096 * 4096 + extra if not small else size // (4 * D) + extra
        X, y, theta = table_of(N, D)
        X = np.asarray(X, order=order)  # type: ignore[call-overload]
        for name in BACKENDS:
            tasks[f"{name}|{label}"] = gradient_of(name, X, y, theta)
            sizes[f"{name}|{label}"] = X.nbytes + 2 * y.nbytes
    for key, seconds in medians(tasks, 7).items():
        name, label = key.split("|")
        found.setdefault(label, {})[name] = seconds / sizes[key]
    neighbours = [("7", "8"), ("33", "32"), ("500", "512"), ("128, N + 13", "128"), ("128, Fortran", "128")]
    return {"seconds a byte": found, "neighbours": neighbours}


def scaling(small: bool) -> dict[str, Any]:
    """Seconds and memory against N, D, K and steps, each over three decades, and the slopes of their logarithms."""
    found: dict[str, Any] = {}
    factors = (1, 10, 100) if small else (1, 10, 100, 1000)
    for what in ("N", "D", "K", "steps"):
        tasks: Tasks = {}
        for factor in factors:
            N = {"N": 4_000 * factor, "D": 4_000, "K": 20_000, "steps": 500}[what]
            D = 4 * factor if what == "D" else 16
            X, y, theta = table_of(N, D, factor if what == "K" else 1)
            for name in BACKENDS:
                tasks[f"{name}|{factor}"] = (
                    descent_of(name, RELU, X, y, theta, 100 * factor)
                    if what == "steps"
                    else gradient_of(name, X, y, theta)
                )
        seconds = medians(tasks, 3)
        memory = {key: peak_beyond(task) for key, task in tasks.items()}
        for name in BACKENDS:
            times = [seconds[f"{name}|{f}"] for f in factors]
            logs = np.log(times)
            found.setdefault(name, {})[what] = {
                "slope": float(np.polyfit(np.log(factors), logs, 1)[0]),
                "last decade": float((logs[-1] - logs[-2]) / math.log(factors[-1] / factors[-2])),
                "seconds": times,
                "MiB": [memory[f"{name}|{f}"] for f in factors],
            }
    return {"found": found}


def narrow(small: bool) -> dict[str, Any]:
    """X in 16 bits with float32 arithmetic, on jax: time, and the gradient's relative error against float64."""
    import ml_dtypes

    X, y, theta = table_of(1 << 14 if small else 1 << 20, 128)
    exact = X.astype(np.float64)
    z = exact @ theta[0, :-1].astype(np.float64) + float(theta[0, -1])
    residual = 2 * (np.maximum(z, 0) - y) * (z > 0)
    wanted = np.append(residual @ exact, residual.sum()) / len(X)
    tasks: Tasks = {"float32": gradient_of("jax", X, y, theta)}
    for dtype in (np.float16, ml_dtypes.bfloat16):
        tasks[np.dtype(dtype).name] = gradient_of("jax", X.astype(dtype), y, theta, narrow=True)
    error = {
        name: float(np.linalg.norm(task()[1][0].astype(np.float64) - wanted) / np.linalg.norm(wanted))
        for name, task in tasks.items()
    }
    return {"seconds": medians(tasks, 5), "error": error}


WORKLOADS = {w.__name__: w for w in (large, devices, sweep, fleet, diabetes, start, host, shapes, scaling, narrow)}


def machine() -> dict[str, Any]:
    """What was measured on."""
    import platform
    from importlib.metadata import PackageNotFoundError, version

    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    flags = next((line for line in lines if line.startswith("flags")), "")
    versions = {}
    for package in ("numpy", "numba", "jax", "optax", "torch"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "processor": model or platform.processor(),
        "vectors": next((v for v in ("avx512f", "avx2") if v in flags), ""),
        "cores": len(os.sched_getaffinity(0)),
        "versions": versions,
    }


if __name__ == "__main__":
    result = WORKLOADS[sys.argv[1]]("--small" in sys.argv)
    Path(sys.argv[2]).write_text(json.dumps({**result, "machine": machine()}))
