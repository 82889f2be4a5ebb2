"""Eight threads that fit at once, on one backend or on all, get what one alone gets, to the bit."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax import Neuron, Params

THREADS = 8


def fit_one(backend: str, seed: int) -> list[bytes]:
    """A full batch, mini batches, a fleet and a gradient of one thread's own data.

    In odd threads in float32, where the dtype could leak from one thread into another: JAX knows float64 in a scope.
    """
    rng = np.random.default_rng(seed)
    dtype = np.float32 if seed % 2 and backend == "jax" else np.float64
    X = rng.normal(size=(128, 3)).astype(dtype)
    y = np.maximum(X @ np.array([1.0, -2.0, 0.5], dtype) + 0.1 * rng.normal(size=128), 0).astype(dtype)
    options: dict[str, Any] = {"backend": backend, "steps": 300, "tolerance": 0.0}
    runs = [
        gdjax.fit(Neuron(), X, y, **options),
        gdjax.fit(Neuron(), X, y, batch_size=48, seed=seed, **options),
        gdjax.fit(Neuron(), X, y, groups=np.repeat(np.arange(8), 16), **options),
    ]
    cost, gradient = gdjax.cost_and_gradient(Neuron(), Params(X[0], 0.5), X, y, backend=backend)
    out = [np.asarray(a) for run in runs for a in (run.weights, run.bias, run.cost, run.history)]
    out += [np.asarray(cost), np.asarray(gradient.weights), np.asarray(gradient.bias)]
    assert all(a.dtype == dtype for a in out[-3:])
    return [a.tobytes() for a in out]


def at_once(calls: list[Callable[[], Any]]) -> list[Any]:
    """What each call gives, all of them started together."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[], Any]) -> Any:
        barrier.wait()
        return call()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(run, calls))


def test_eight_threads_on_one_backend(backend_name: str) -> None:
    alone = [fit_one(backend_name, seed) for seed in range(THREADS)]
    together = at_once([lambda seed=seed: fit_one(backend_name, seed) for seed in range(THREADS)])
    assert together == alone


def test_the_first_use_of_jax_may_be_in_eight_threads() -> None:
    check_first_use("jax")


@pytest.mark.slow
def test_the_first_use_of_each_backend_may_be_in_eight_threads(backend_name: str) -> None:
    check_first_use(backend_name)


def check_first_use(backend_name: str) -> None:
    """Nothing of this formula was compiled before."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)
    neuron = Neuron("tanh", gdjax.losses.huber(0.75))
    together = at_once([lambda: gdjax.fit(neuron, X, y, backend=backend_name, steps=200) for _ in range(THREADS)])
    assert len({run.weights.tobytes() for run in together}) == 1
    assert together[0].weights.tobytes() == gdjax.fit(neuron, X, y, backend=backend_name, steps=200).weights.tobytes()


def test_all_backends_at_once() -> None:
    names = [name for name, row in gdjax.backends().items() if row["installed"]]
    alone = {name: fit_one(name, 2) for name in names}
    calls = [(names * THREADS)[i] for i in range(THREADS)]
    together = at_once([lambda name=name: fit_one(name, 2) for name in calls])
    assert together == [alone[name] for name in calls]
