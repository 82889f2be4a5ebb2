"""Memory that runs out: the slab is halved, that is said, and the run goes on to the same result, to the bit."""

from __future__ import annotations

import dataclasses
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax import Neuron
from gdjax.errors import BackendError

LIMITED = """
import json, logging, resource, sys
import numpy as np
import gdjax

class Heard(logging.Handler):
    def emit(self, record):
        heard.append(record.getMessage())

heard = []
logging.getLogger("gdjax").addHandler(Heard())
rng = np.random.default_rng(0)
groups, rows, columns = 512, 1024, 9
keys = np.repeat(np.arange(groups), rows)
X = rng.normal(size=(groups * rows, columns))
y = np.maximum(X @ rng.normal(size=columns) + rng.normal(size=groups * rows), 0)

def fit(n):
    at = slice(0, n * rows)
    return gdjax.fit(gdjax.Neuron(), X[at], y[at], groups=keys[at], backend=sys.argv[1], steps=200)

fit(2)  # imports, compiles, starts threads
whole = fit(groups)
assert not heard, heard
taken = int(next(line for line in open("/proc/self/status") if line.startswith("VmSize")).split()[1]) * 1024
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
# the fit's X, the slab's and the scaled one are 36 MiB each: more than malloc keeps for later when it is freed
resource.setrlimit(resource.RLIMIT_AS, (taken + (96 << 20), hard))
try:
    part = fit(groups)
finally:
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
same = all(getattr(part, n).tobytes() == getattr(whole, n).tobytes() for n in ("weights", "bias", "cost", "steps"))
print(json.dumps({"heard": heard, "same": same, "counts": part.counts()}))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_AS binds on Linux")
@pytest.mark.parametrize("backend", ["numpy", "numba"])  # XLA's compiler ends the process where a malloc fails
def test_less_memory_halves_the_slab(backend: str) -> None:
    done = subprocess.run([sys.executable, "-c", LIMITED, backend], capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert "out of memory with 512 neurons at a time, going on with half as many" in told["heard"][0]
    assert told["same"]
    assert told["counts"] == {"converged": 512}


def xla_error() -> Exception:
    """What XLA raises when memory runs out, raised by XLA."""
    import jax

    with pytest.raises(Exception, match="RESOURCE_EXHAUSTED") as caught:
        jax.numpy.zeros(1 << 52, "int8").block_until_ready()
    return caught.value


ERRORS = {
    "numpy": lambda: MemoryError(),
    "jax": xla_error,
    "numba": lambda: MemoryError("Unable to allocate 9.00 MiB"),
}


@dataclasses.dataclass(frozen=True)
class Small:
    """A backend on a device of little memory, with room for some numbers of X; `late`, it fails when it is to train."""

    inner: Any
    room: int
    error: Exception
    late: bool

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def __hash__(self) -> int:
        return id(self)

    def asarray(self, x: Any) -> Any:
        if not self.late and np.ndim(x) == 3 and np.size(x) > self.room:
            raise self.error
        return self.inner.asarray(x)

    def descend(self, formula: Any, rule: Any, samples: Any, rows: Any, *rest: Any) -> Any:
        if self.late and samples.X.size > self.room:
            raise self.error
        return self.inner.descend(formula, rule, samples, rows, *rest)


rng = np.random.default_rng(3)
KEYS = np.repeat(np.arange(24), 16)
X = rng.normal(size=(24 * 16, 2))
Y = np.maximum(X @ [1.0, -1.0] + rng.normal(size=len(X)), 0)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("options", [{}, {"batch_size": 5, "steps": 150}], ids=["full", "mini"])
def test_each_backend_s_own_error_halves_the_slab(
    late: bool, options: dict[str, Any], backend_name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    inner = gdjax.backend(backend_name)
    # 8 groups of 16 rows and 2 columns
    small = Small(inner, 8 * 16 * 2, ERRORS.get(backend_name, lambda: MemoryError())(), late)
    whole = gdjax.fit(Neuron(), X, Y, groups=KEYS, backend=inner, **options)
    with caplog.at_level(logging.WARNING, "gdjax"):
        parts = gdjax.fit(Neuron(), X, Y, groups=KEYS, backend=small, checkpoint=tmp_path / "c", **options)
    assert [r.getMessage().split(",")[0] for r in caplog.records] == [
        "out of memory with 24 neurons at a time",
        "out of memory with 12 neurons at a time",
    ]
    for name in ("weights", "bias", "cost", "steps", "status"):
        assert getattr(parts, name).tolist() == getattr(whole, name).tolist(), name


def test_one_neuron_that_does_not_fit_is_an_error_that_says_so() -> None:
    small = Small(gdjax.backend("numpy"), 3, MemoryError(), False)
    with pytest.raises(BackendError, match="out of memory: the samples of one neuron") as caught:
        gdjax.fit(Neuron(), X, Y, groups=KEYS, backend=small)
    assert "\n" not in str(caught.value)


def test_an_error_of_another_kind_is_not_swallowed() -> None:
    small = Small(gdjax.backend("numpy"), 3, RuntimeError("a bug"), False)
    with pytest.raises(RuntimeError, match="a bug"):
        gdjax.fit(Neuron(), X, Y, groups=KEYS, backend=small)


def test_a_callback_s_own_memory_error_is_its_own() -> None:
    def failing(event: Any) -> None:
        raise MemoryError("the callback's")

    with pytest.raises(MemoryError, match="the callback's"):
        gdjax.fit(Neuron(), X, Y, groups=KEYS, backend="numpy", callback=failing)


@pytest.mark.parametrize("call", range(4))
def test_it_may_run_out_in_any_look_at_the_neurons(call: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from gdjax.engine.slab import Slab

    options: dict[str, Any] = {"groups": KEYS, "backend": "numpy", "seed": 1, "standardize": False, "steps": 300}
    far = np.abs(X) + 5  # random starts are dead in about half of all seeds, so that neurons are started anew
    whole = gdjax.fit(Neuron(), far, Y, **options)
    examine, calls = Slab.examine, iter(range(10_000))

    def failing(self: Any, *args: Any, **kwargs: Any) -> Any:
        if next(calls) == call:
            raise MemoryError
        return examine(self, *args, **kwargs)

    monkeypatch.setattr(Slab, "examine", failing)
    parts = gdjax.fit(Neuron(), far, Y, **options)
    assert next(calls) > call
    for name in ("weights", "bias", "cost", "steps", "status"):
        assert getattr(parts, name).tolist() == getattr(whole, name).tolist(), name


COPIED = """
import sys
import numpy as np
import gdjax

def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])

backend = gdjax.backend(sys.argv[1], dtype="float32")
backend.asarray(np.ones((1 << 19, 3)))  # imports, and takes what it takes
x = np.ones((1 << 20, 32), sys.argv[2])
before = peak()
held = backend.asarray(x)
backend.to_numpy(held)  # waits for it
print((peak() - before) * 1024 / (4 * x.size), held.shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="VmHWM is Linux's")
@pytest.mark.parametrize("given", ["float32", "float64"])
def test_data_is_copied_once(given: str, backend_name: str) -> None:
    run = [sys.executable, "-c", COPIED, backend_name, given]
    copies, shape = subprocess.run(run, capture_output=True, text=True, check=True).stdout.split(maxsplit=1)
    assert shape == "(1048576, 32)\n"
    assert 0.5 < float(copies) < 1.25
