"""The caller's process and arrays are left as they were."""

from __future__ import annotations

import logging
import os
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import threadpoolctl

import gdjax
from gdjax import Neuron, Params

rng = np.random.default_rng(9)
X = rng.normal([0.0, 1.0, 2.0], size=(60, 3))
Y = np.maximum(X @ [1.0, -2.0, 0.5] + 0.1 * rng.normal(size=60), 0)
WEIGHT = rng.integers(0, 3, 60).astype(float)
KEYS = np.repeat(np.arange(4), 15)


def everything(backend: str, folder: Path) -> None:
    """One call of each kind, some of which fail."""
    gdjax.cost_and_gradient(Neuron(), Params(np.ones(3), 0.5), X, Y, backend=backend)
    run = gdjax.fit(Neuron(), X, Y, sample_weight=WEIGHT, backend=backend, checkpoint=folder / "c")
    narrow = np.float64 if backend == "numba" else np.float32  # which numba would compile for seconds
    gdjax.fit(Neuron(), X.astype(narrow), Y.astype(narrow), backend=backend, batch_size=7, steps=100)
    gdjax.fit(Neuron(), X, Y, groups=KEYS, backend=backend, seed=3)
    gdjax.fit(Neuron("identity"), X, Y, learning_rate=1e6, backend=backend, steps=200)  # diverges
    gdjax.sweep(Neuron(), X, Y, l2=[0.0, 1.0], backend=backend)
    run.predict(X)
    run.save(folder / "run")
    gdjax.load(folder / "run")
    for bad in (X[:, :0], X[:5], np.full_like(X, np.nan), np.full_like(X, 1e200)):
        with pytest.raises(gdjax.errors.GdjaxError):
            gdjax.fit(Neuron(), bad, Y, backend=backend)


def state() -> dict[str, Any]:
    """What of a process a library may not change."""
    held: dict[str, Any] = {
        "np.random": repr(np.random.get_state()),  # noqa: NPY002 - the global one is what is looked at
        "random": random.getstate(),
        "np.errstate": np.geterr(),
        "print options": np.get_printoptions(),
        "warnings": list(warnings.filters),
        "showwarning": warnings.showwarning,
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "signals": {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM, signal.SIGXFSZ)},
        "BLAS threads": [(p["filepath"], p["num_threads"]) for p in threadpoolctl.threadpool_info()],
        "excepthook": (sys.excepthook, threading.excepthook),
        "logging": (logging.root.level, list(logging.root.handlers), logging.getLogger("gdjax").handlers),
        "recursion": sys.getrecursionlimit(),
        "umask": _umask(),
    }
    if "jax" in sys.modules:
        import jax

        held["jax"] = dict(jax.config.values)
    if "numba" in sys.modules:
        import numba

        held["numba"] = (numba.get_num_threads(), numba.config.THREADING_LAYER)
    return held


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_nothing_global_is_changed(backend_name: str, tmp_path: Path) -> None:
    gdjax.backend(backend_name)  # what an import does is its framework's
    everything(backend_name, tmp_path)
    for file in tmp_path.iterdir():
        file.unlink()
    before = state()
    everything(backend_name, tmp_path)
    after = state()
    assert {name: (before[name], after[name]) for name in before if before[name] != after[name]} == {}


def test_a_caller_s_x64_does_not_change_what_it_gives(tmp_path: Path) -> None:
    import jax

    default = gdjax.fit(Neuron(), X, Y, backend="jax")
    with jax.enable_x64(not jax.config.jax_enable_x64):
        other = gdjax.fit(Neuron(), X, Y, backend="jax")
    assert default.dtype == other.dtype == "float64"
    assert default.weights.tobytes() == other.weights.tobytes()


STRICT: dict[str, Callable[[], gdjax.Run]] = {
    "one": lambda: gdjax.fit(Neuron(l1=0.01), X, Y, method="adam", backend="jax", steps=100),
    "fleet": lambda: gdjax.fit(Neuron(), X, Y, groups=KEYS, sample_weight=WEIGHT, backend="jax", steps=100),
}


@pytest.mark.parametrize("call", STRICT)
def test_a_caller_may_have_jax_strict(call: str) -> None:
    import jax

    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        strict = STRICT[call]()
        gdjax.cost_and_gradient(Neuron(), Params(np.ones(3), 0.5), X, Y, backend="jax")
    assert strict.weights.tobytes() == STRICT[call]().weights.tobytes()


def test_a_caller_who_has_jax_strict_may_walk_the_derivation() -> None:
    import jax

    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        assert gdjax.explain(Neuron(), Params(np.ones(3), 0.5), X[:3], Y[:3]).holds


def strided() -> Iterator[tuple[str, np.ndarray]]:
    """X in every layout there is: all equal X."""
    wide = np.full((120, 6), np.nan)
    wide[::2, ::2] = X
    yield "every other", wide[::2, ::2]
    yield "turned", np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
    yield "Fortran", np.asfortranarray(X)
    yield "transposed", np.ascontiguousarray(X.T).T
    yield "big-endian", X.astype(">f8")
    records = np.zeros(60, dtype=[("pad", "i1"), ("x", "f8", 3)])
    records["x"] = X
    yield "unaligned", records["x"]
    held = X.copy()
    held.flags.writeable = False
    yield "read-only", held
    yield "list", X.tolist()
    yield "matrix", X.view(type("Sub", (np.ndarray,), {}))


LAYOUTS = dict(strided())


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("standardize", [True, False])
def test_the_layout_of_memory_does_not_matter(layout: str, standardize: bool, backend_name: str) -> None:
    options: dict[str, Any] = {"backend": backend_name, "standardize": standardize, "steps": 200}
    expected = gdjax.fit(Neuron(), X, Y, **options)
    y = np.repeat(Y, 3)[::3][::-1][::-1]
    assert gdjax.fit(Neuron(), LAYOUTS[layout], y, **options).weights.tobytes() == expected.weights.tobytes()
    params = Params(np.array([9.0, 1.0, 9.0, -2.0, 9.0, 0.5])[1::2], 0.25)
    cost, gradient = gdjax.cost_and_gradient(Neuron(), params, LAYOUTS[layout], y, backend=backend_name)
    plain = gdjax.cost_and_gradient(Neuron(), Params([1.0, -2.0, 0.5], 0.25), X, Y, backend=backend_name)
    assert float(cost) == float(plain[0])
    assert np.asarray(gradient.weights).tolist() == np.asarray(plain[1].weights).tolist()


CALLS: dict[str, Callable[..., Any]] = {
    "fit": lambda x, y, w, b: gdjax.fit(Neuron(), x, y, sample_weight=w, backend=b, steps=100),
    "raw": lambda x, y, w, b: gdjax.fit(Neuron(), x, y, backend=b, steps=100, standardize=False),
    "groups": lambda x, y, w, b: gdjax.fit(Neuron(), x, y, groups=KEYS, sample_weight=w, backend=b, steps=100),
    "sweep": lambda x, y, w, b: gdjax.sweep(Neuron(), x, y, l2=[0.0, 0.1], folds=2, backend=b, steps=100),
    "validation": lambda x, y, w, b: gdjax.fit(Neuron(), x, y, validation=(x, y), backend=b, steps=100),
    "gradient": lambda x, y, w, b: gdjax.cost_and_gradient(
        Neuron(), Params(x[0], y[0]), x, y, sample_weight=w, backend=b
    ),
}


def arrays_of(value: Any) -> list[np.ndarray]:
    if isinstance(value, gdjax.Run):
        assert value.state is not None
        return [*(a for a in vars(value).values() if isinstance(a, np.ndarray)), *value.state.arrays().values()]
    return [np.asarray(part) for part in (value[0], *value[1])]


@pytest.mark.parametrize("call", CALLS)
def test_the_caller_s_arrays_are_neither_written_nor_kept(call: str, backend_name: str) -> None:
    given = [X.copy(), Y.copy(), WEIGHT.copy()]
    before = [a.tobytes() for a in given]
    result = CALLS[call](*given, backend_name)
    assert [a.tobytes() for a in given] == before
    assert all(a.flags.writeable for a in given)
    held = arrays_of(result)
    assert not any(np.shares_memory(a, b) for a in given for b in held)
    kept = [a.tobytes() for a in held]
    for a in given:
        a[:] = np.nan
    assert [a.tobytes() for a in held] == kept


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize("writeable", [True, False])
def test_what_a_caller_writes_while_it_runs_changes_nothing(
    standardize: bool, writeable: bool, backend_name: str
) -> None:
    options: dict[str, Any] = {"backend": backend_name, "standardize": standardize, "tolerance": 0.0, "steps": 300}
    expected = gdjax.fit(Neuron(), X, Y, validation=(X, Y), **options)
    x, y = X.copy(), Y.copy()
    views = x.view(), y.view()
    for view in views:
        view.flags.writeable = writeable

    def write(event: Any) -> None:
        x[:], y[:] = 1e9, -1e9

    run = gdjax.fit(Neuron(), *views, validation=views, callback=write, **options)
    assert run.weights.tobytes() == expected.weights.tobytes()
    assert run.r2 == expected.r2


@pytest.mark.parametrize("call", ["debug_nans", "debug_infs", "transfer_guard"])
def test_a_caller_may_debug_jax(call: str) -> None:
    """Of diverging and poisoned neurons, whose NaN and infinities the engine judges by itself."""
    import jax

    wild = {"learning_rate": 100.0, "steps": 500, "backend": "jax"}
    poisoned = np.where(np.arange(len(Y)) == 0, np.nan, Y)

    def runs() -> list[gdjax.Run]:
        return [
            gdjax.fit(Neuron(), X, Y, backend="jax"),
            gdjax.fit(Neuron("identity"), X, Y, **wild),
            gdjax.fit(Neuron(), X, poisoned, groups=KEYS, backend="jax"),
            gdjax.sweep(Neuron(), X, Y, l2=[0.0, 0.1], folds=3, backend="jax"),
        ]

    settings = {
        "debug_nans": lambda: jax.debug_nans(True),
        "debug_infs": lambda: jax.debug_infs(True),
        "transfer_guard": lambda: jax.transfer_guard("disallow"),
    }
    with settings[call]():
        strict = runs()
        gdjax.cost_and_gradient(Neuron(), Params(np.ones(3), 0.5), X, Y, backend="jax")
    assert strict[1].status == "diverged"
    for one, other in zip(strict, runs(), strict=True):
        np.testing.assert_array_equal(one.weights, other.weights)
        np.testing.assert_array_equal(one.status, other.status)
