"""Parts of a fleet and their threads: what they give hangs on neither, nor on who is beside a neuron, to the bit."""

import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

import gdjax
from gdjax import Neuron
from gdjax.data.moments import moments
from gdjax.data.rows import Rows, by_parts
from gdjax.engine.slab import make_slab
from gdjax.machine.threads import in_threads

FOUND = ("weights", "bias", "cost", "r2", "condition", "steps", "status")


def fleet(lengths, columns, seed=0, labels=False):
    rng = np.random.default_rng(seed)
    key = np.repeat(np.arange(len(lengths)), lengths)
    X = rng.normal(size=(len(key), columns)) * np.linspace(0.1, 10, columns) + np.arange(columns)
    truth = rng.normal(size=(len(lengths), columns)) / np.linspace(0.1, 10, columns)
    y = np.maximum((X * truth[key]).sum(axis=1) + 1, 0) + 0.3 * rng.normal(size=len(key))
    return X, (y > 0.5 if labels else y), key


def own(neurons, rows, columns):
    rng = np.random.default_rng(1)
    X = rng.normal(size=(neurons, rows, columns))
    return Rows(X, np.maximum(X[..., 0], 0) + rng.random((neurons, rows)), rng.integers(0, 3, (neurons, rows)) / 2)


@pytest.fixture
def set_to(monkeypatch):
    """Sets the threads, and the numbers of a part and of a block."""

    def change(threads, cached, block=1 << 21):
        monkeypatch.setattr("gdjax.machine.threads.cores", lambda: threads)
        monkeypatch.setattr("gdjax.data.rows.CACHED", cached)
        monkeypatch.setattr("gdjax.data.rows.BLOCK_ELEMENTS", block)

    return change


@pytest.mark.parametrize(
    "neuron",
    [Neuron(), Neuron("sigmoid", "log_loss", l2=0.01), Neuron("softplus", "huber", l1=0.01)],
    ids=lambda neuron: neuron.activation,
)
def test_neither_threads_nor_parts_change_a_bit(set_to, neuron, backend_name):
    X, y, key = fleet([40, 13, 16, 119, 25, 60] * 6, 3, labels=neuron.loss == "log_loss")
    given = {"groups": key, "backend": backend_name, "steps": 200}
    set_to(1, 1 << 21)  # a bucket in one part
    whole = gdjax.fit(neuron, X, y, **given)
    assert (whole.status == "converged").any()
    for threads, cached in [(1, 384), (2, 1_000), (3, 384), (3, 1 << 21)]:  # 384: the longest neuron
        set_to(threads, cached)
        parts = gdjax.fit(neuron, X, y, **given)
        for name in FOUND:
            assert getattr(parts, name).tobytes() == getattr(whole, name).tobytes(), (name, threads, cached)


def test_who_is_beside_a_neuron_does_not_show_in_its_blocks(set_to, backend_name):
    """Of 119 rows, in blocks of fewer."""
    lengths = np.array([119, 40, 119, 100] * 9)
    X, y, key = fleet(lengths, 3)
    set_to(2, 100, 1_000)
    whole = gdjax.fit(Neuron(), X, y, groups=key, backend=backend_name)
    for some in (np.arange(0, 36, 3), np.arange(5), [2]):
        at = np.isin(key, some)
        few = gdjax.fit(Neuron(), X[at], y[at], groups=key[at], backend=backend_name)
        for name in FOUND:
            assert np.array_equal(getattr(few, name), getattr(whole, name)[some]), (name, some)


@pytest.mark.parametrize("columns", [1, 3, 70])
def test_moments_of_each_part_are_those_of_all(set_to, columns):
    samples = own(21, 128, columns)
    set_to(1, 1 << 21)
    whole = moments(samples)
    for threads, neurons in [(1, 1), (2, 1), (3, 4), (2, 20)]:
        set_to(threads, neurons * (128 * columns + columns**2))
        for name, part in moments(samples)._asdict().items():
            assert part.tobytes() == getattr(whole, name).tobytes(), (name, threads, neurons)


def test_parts_of_own_rows_run_at_once(set_to):
    set_to(2, 1)
    both = threading.Barrier(2, timeout=20)
    assert len(by_parts(own(6, 4, 2), lambda at: both.wait(), 6)) == 6


@pytest.mark.parametrize("shape", [(2, 65_536, 16), (4_096, 64, 8)], ids=["few", "many"])
def test_a_pass_holds_a_few_parts_alone(set_to, shape):
    """Not a block of 16 MiB for each thread, of long neurons neither."""
    neurons, columns = shape[0], shape[2]
    samples = own(*shape)
    none = np.zeros(neurons)
    given = {"bias": True, "standardize": False, "dtype": "float64"}
    slab = make_slab(np.arange(neurons), samples, np.arange(neurons), Neuron().formula, none, none, **given)
    set_to(2, 1 << 17)
    at = np.arange(neurons)
    passes = [
        lambda: moments(samples),
        lambda: slab.examine(at, np.ones((neurons, columns + 1)), hessian=True),
        slab.dead_cost,
        slab.bound,
    ]
    for one in passes:
        tracemalloc.start()
        found = one()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert found is not None
        assert peak < 24 << 20, peak / 2**20


def test_a_part_that_raises_leaves_none_running():
    ended = []

    def work(i):
        if i == 0:
            raise MemoryError
        time.sleep(0.05)
        ended.append(i)

    with pytest.raises(MemoryError):
        list(in_threads(work, range(64), most=2))
    seen = len(ended)
    time.sleep(0.2)
    assert len(ended) == seen < 63


def test_the_caller_s_answer_to_floating_point_errors_holds_in_threads():
    called = []
    with np.errstate(all="call", call=lambda kind, _: called.append(kind)):
        found = list(in_threads(lambda x: np.float64(x) / np.zeros(1), [1.0, 2.0, 3.0]))
    assert np.isinf(found).all()
    assert called == ["divide by zero"] * 3


def test_a_thread_that_outlives_the_main_one_fits(tmp_path):
    (tmp_path / "late.py").write_text(
        "import threading, time\n"
        "import numpy as np\n"
        "import gdjax\n"
        "rng = np.random.default_rng(0)\n"
        "X = rng.normal(size=(40_000, 8))\n"
        "y, groups = np.maximum(X[:, 0], 0), np.repeat(np.arange(400), 100)\n"
        "def fit():\n"
        "    return gdjax.fit(gdjax.Neuron(), X, y, groups=groups, steps=20, backend='numpy')\n"
        "def late():\n"
        "    threading.main_thread().join()\n"
        "    print(len(fit().status))\n"
        "fit()\n"
        "threading.Thread(target=late).start()\n"
    )
    done = subprocess.run(
        [sys.executable, tmp_path / "late.py"], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.stdout.strip() == "400", done.stderr
