"""Samples over the memory limit: read at each step, and trained on as if they were in memory."""

import mmap
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from fractions import Fraction
from operator import mul
from types import SimpleNamespace

import numpy as np
import pytest

import gdjax
from gdjax import Neuron
from gdjax.data.batches import batch_indices
from gdjax.data.moments import moments
from gdjax.data.rows import Rows, StreamedRows
from gdjax.data.spool import spooled
from gdjax.engine.streaming import Streaming
from gdjax.errors import DataError, UsageError
from gdjax.stream import ArrayStream, Layout, Stream, ahead

LIMIT = 1 << 20  # the least there is: blocks of 2,048 rows by 4


def data(rows=50_001, columns=4, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(3.0, 2.0, size=(rows, columns))
    return X, X @ np.arange(1.0, columns + 1) - 2 + rng.normal(size=rows)


@pytest.fixture
def passes(monkeypatch):
    """The passes over a stream since the test began."""
    seen = []
    for name in ("read", "map"):
        of_all = getattr(Stream, name)
        monkeypatch.setattr(Stream, name, lambda *given, of_all=of_all: seen.append(given) or of_all(*given))
    return seen


def test_a_streamed_fit_is_least_squares(backend_name, passes):
    X, y = data()
    weight = np.random.default_rng(1).integers(0, 3, len(y))
    run = gdjax.fit(Neuron("identity"), X, y, sample_weight=weight, memory_limit=LIMIT, backend=backend_name)
    root = np.sqrt(weight)[:, None]
    exact = np.linalg.lstsq(root * np.column_stack([X, np.ones(len(X))]), root[:, 0] * y, rcond=None)[0]
    assert run.status == "converged"
    np.testing.assert_allclose(np.append(run.weights, run.bias), exact, rtol=1e-8)
    assert run.rows == np.count_nonzero(weight)
    assert run.steps < len(passes) < run.steps + 10  # a step is a pass


@pytest.mark.parametrize("activation", ["identity", "relu"])
def test_what_is_read_before_the_first_step(passes, monkeypatch, activation):
    """Faults, a copy and moments in one pass; the curvature at the start, and what no model costs; a ReLU's start."""
    X, y = data()
    before = []
    descend = Streaming.descend
    monkeypatch.setattr(Streaming, "descend", lambda self, *given: before.append(len(passes)) or descend(self, *given))
    gdjax.fit(Neuron(activation), X, np.maximum(y, 0), memory_limit=LIMIT, steps=1, backend="numpy")
    assert before == [3 + (activation == "relu")]


def test_moments_of_blocks_are_exact():
    """Far from 0, in integers, beside rational arithmetic."""
    rng = np.random.default_rng(0)
    X = 2**30 + rng.integers(-9, 9, (20_000, 2)) + np.arange(20_000)[:, None] // 1000  # blocks differ
    y, weight = X @ [1, -2] + rng.integers(-3, 3, 20_000), rng.integers(0, 3, 20_000)
    found = moments(
        StreamedRows(ArrayStream(X.astype(float), y.astype(float), weight.astype(float), ("a", "b"), LIMIT))
    )
    columns = [X[:, 0].tolist(), X[:, 1].tolist(), y.tolist()]
    total = sum(weight.tolist())
    means = [Fraction(sum(map(mul, weight.tolist(), column)), total) for column in columns]

    def covariance(i, j):
        products = map(mul, columns[i], columns[j])
        return Fraction(sum(map(mul, weight.tolist(), products)), total) - means[i] * means[j]

    exact = np.array([[float(covariance(i, j)) for j in range(3)] for i in range(3)])
    assert found.total == [total]
    np.testing.assert_allclose([*found.mean[0], *found.y_mean], list(map(float, means)), rtol=1e-15)
    np.testing.assert_allclose(found.covariance[0], exact[:2, :2], rtol=1e-12)
    np.testing.assert_allclose(found.variance[0], exact.diagonal()[:2], rtol=1e-12)
    np.testing.assert_allclose(found.y_covariance[0], exact[2, :2], rtol=1e-12)
    np.testing.assert_allclose(found.y_variance, exact[2, 2], rtol=1e-12)
    assert not found.constant.any()
    assert not found.y_positive.any()


def test_moments_are_about_a_row_that_counts(monkeypatch):
    """A fold may leave out the first blocks, and they may be far away."""
    monkeypatch.setattr("gdjax.data.rows.BLOCK_ELEMENTS", 64)
    X = np.where(np.arange(200) < 100, 1e8, 0.1)[:, None]
    weight = np.array([X[:, 0] < 1, X[:, 0] > 1], float)
    for samples in (Rows(X, X[:, 0], weight), Rows(X[None].repeat(2, 0), X[:, 0][None].repeat(2, 0), weight)):
        found = moments(samples)
        assert found.mean.tolist() == [[0.1], [1e8]]
        assert found.variance.tolist() == [[0], [0]]
        assert found.y_mean.tolist() == [0.1, 1e8]
        assert found.y_variance.tolist() == [0, 0]
        assert found.constant.all()


def test_a_streamed_relu_is_the_one_in_memory(backend_name):
    X, y = data()
    y = np.maximum(y, 0)
    streamed = gdjax.fit(Neuron(), X, y, memory_limit=LIMIT, backend=backend_name)
    held = gdjax.fit(Neuron(), X, y, backend=backend_name)
    np.testing.assert_allclose(streamed.weights, held.weights, rtol=1e-7)
    assert streamed.cost == pytest.approx(held.cost, rel=1e-12)
    assert streamed.r2 == pytest.approx(held.r2, rel=1e-12)


def test_a_mapped_file_in_float32_far_from_its_mean(tmp_path, backend_name, passes):
    X, y = data(rows=100_001)
    np.save(tmp_path / "X.npy", (X + 1e4).astype(np.float32))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    run = gdjax.fit(Neuron("identity"), mapped, y.astype(np.float32), memory_limit=LIMIT, backend=backend_name)
    seen = np.asarray(mapped, np.float64)
    exact = np.linalg.lstsq(seen - seen.mean(axis=0), y - y.mean(), rcond=None)[0]
    assert passes
    assert run.dtype == "float32"
    np.testing.assert_allclose(run.weights, exact, rtol=1e-3)


def test_a_sweep_streams_too_and_folds_do_not(passes):
    X, y = data()
    run = gdjax.sweep(Neuron("identity"), X, y, l2=[0.0, 1.0], memory_limit=LIMIT, backend="numpy")
    assert passes
    for weights, l2 in zip(run.weights, run.swept["l2"], strict=True):
        centred = (X - X.mean(axis=0)) / X.std(axis=0)
        matrix = centred.T @ centred / len(X) + l2 * np.eye(4)
        exact = np.linalg.solve(matrix, centred.T @ (y - y.mean()) / len(X)) / X.std(axis=0)
        np.testing.assert_allclose(weights, exact, rtol=1e-8)
    stream = ArrayStream(X, y, None, ("a", "b", "c", "d"), LIMIT)
    with pytest.raises(UsageError, match="folds: they need their samples in memory"):
        gdjax.sweep(Neuron("identity"), stream, None, folds=3, backend="numpy")


@pytest.mark.parametrize("batch_size", [None, 700])
def test_a_streamed_run_that_was_ended_goes_on_bit_for_bit(tmp_path, backend_name, batch_size):
    X, y = data()
    given = {
        "batch_size": batch_size,
        "steps": 200 if batch_size else 30,
        "tolerance": 0.0,
        "memory_limit": LIMIT,
        "backend": backend_name,
    }
    whole = gdjax.fit(Neuron("identity"), X, y, **given)
    path = tmp_path / "c"
    ended = gdjax.fit(Neuron("identity"), X, y, checkpoint=path, callback=lambda event: True, **given)
    assert 0 < ended.steps < whole.steps
    rest = gdjax.fit(Neuron("identity"), X, y, checkpoint=path, **given)
    assert rest.weights.tobytes() == whole.weights.tobytes()
    y[-1] += 1
    with pytest.raises(UsageError, match="samples has other values"):
        gdjax.fit(Neuron("identity"), X, y, checkpoint=path, **given)


def test_a_shuffle_of_a_stream_walks_each_row_once_an_epoch():
    layout = Layout(((5, 5, 2), (5,), (5, 5, 5), (0,), (1,)), window=11)
    rows = sum(map(sum, layout.pieces))
    size = 4
    epoch = -(-rows // size)

    def walked(seed, first, steps):
        return batch_indices(np.array([rows]), np.array([seed]), size, first, steps, layout)[:, 0]

    orders = set()
    for seed in range(3):
        for start in (0, epoch, 5 * epoch):
            batches = walked(seed, start, epoch)
            met = batches[batches >= 0]
            assert sorted(met.tolist()) == list(range(rows))
            orders.add(tuple(met.tolist()))
            for at in range(epoch):  # any step alone
                assert walked(seed, start + at, 1)[0].tolist() == batches[at].tolist()
    assert len(orders) == 9


def test_where_a_row_comes_in_an_epoch_is_even():
    layout = Layout(tuple((50,) for _ in range(20)), window=200)
    places = np.zeros((400, 1000))
    for epoch in range(400):
        order = batch_indices(np.array([1000]), np.array([0]), 1000, epoch, 1, layout)[0, 0]
        places[epoch, order] = np.arange(1000)
    # 400 draws of a uniform place: the mean of each row within five standard errors
    assert abs(places.mean(axis=0) - 499.5).max() < 5 * 1000 / np.sqrt(12 * 400)


def test_rows_are_taken_from_any_window():
    X, y = data(rows=20_000)
    stream = ArrayStream(X, y, None, tuple("abcd"), LIMIT)
    rng = np.random.default_rng(0)
    for _ in range(20):
        index = rng.choice(20_000, 300)
        block = stream.take(index)
        assert block.X.tobytes() == X[index].tobytes()
        assert block.y.tobytes() == y[index].tobytes()
        assert block.row.tolist() == index.tolist()


def test_a_fault_is_named_by_its_row():
    X, y = data()
    X[40_000, 2] = np.nan
    with pytest.raises(DataError, match=r"^NaN in column 'x2' at row 40000: "):
        gdjax.fit(Neuron(), X, y, memory_limit=LIMIT, backend="numpy")
    for name, value in (("y", y), ("sample_weight", np.ones(len(y)))):
        stream = ArrayStream(X, y, None, tuple("abcd"), LIMIT)
        with pytest.raises(DataError, match=f"{name}: a stream of samples brings its own"):
            gdjax.fit(Neuron(), stream, **{"y": None, name: value}, backend="numpy")


def test_an_error_of_the_reader_is_raised_where_its_block_was_awaited():
    def blocks():
        yield 1
        raise OSError("gone")

    read = ahead(blocks())
    assert next(read) == 1
    with pytest.raises(OSError, match="gone"):
        next(read)


class Counted(ArrayStream):
    """A stream that must be decoded, as far as anybody can tell; it counts the pieces that were."""

    direct = False
    read_pieces = 0

    def piece(self, number):
        self.read_pieces += 1
        return super().piece(number)


def counted(dtype=np.float64):
    X, y = data()
    weight = np.random.default_rng(1).integers(0, 3, len(y)).astype(np.float64)
    weight[1024:2048] = 0  # in the layout, a block without a row
    return Counted(X.astype(dtype), y.astype(np.float32), weight, tuple("abcd"), LIMIT)


def assert_same(blocks, others):
    for block, other in zip(blocks, others, strict=True):
        for part, twin in zip(block, other, strict=True):
            assert part.dtype == twin.dtype
            np.testing.assert_array_equal(part, twin)


@pytest.mark.parametrize("dtype", [np.float64, ">f4"])
def test_a_second_pass_reads_the_copy_of_the_first(tmp_path, monkeypatch, dtype):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    stream = counted(dtype)
    pieces = len(stream.layout.pieces)
    copied = spooled(stream)
    next(copied.read())  # a pass that was left is no copy
    assert_same(copied.read(), counted(dtype).read())
    seen = stream.read_pieces
    assert seen >= pieces
    assert_same(copied.read(), counted(dtype).read())
    index = np.random.default_rng(2).permutation(len(stream))[:999]
    assert_same([copied.take(index)], [counted(dtype).take(index)])
    assert stream.read_pieces == seen
    assert os.name == "nt" or not list(tmp_path.iterdir())  # nothing that a killed process would leave
    assert spooled(copied) is copied


@pytest.mark.parametrize(
    "train",
    [
        lambda stream: gdjax.fit(Neuron("identity"), stream, None, backend="numpy"),
        lambda stream: gdjax.fit(Neuron("identity"), stream, None, learning_rate="find", steps=2, backend="numpy"),
        lambda stream: gdjax.sweep(Neuron("identity"), stream, None, l2=[0.0, 1.0], steps=2, backend="numpy"),
        lambda stream: gdjax.compare(Neuron("identity"), stream, None, backends=["numpy"], autodiff=False, steps=2),
    ],
    ids=["fit", "find", "sweep", "compare"],
)
def test_a_fit_decodes_a_stream_once(train):
    stream = counted()
    train(stream)
    assert stream.read_pieces == len(stream.layout.pieces)


def test_where_there_is_no_room_each_pass_decodes(monkeypatch):
    stream = counted()
    held = gdjax.fit(Neuron("identity"), stream, None, steps=5, backend="numpy")
    # -B: no bytecode, which such a disk would cut
    full = subprocess.run([sys.executable, "-B", "-c", FULL], capture_output=True, text=True, check=True)
    assert full.stdout.split() == [repr(float(w)) for w in held.weights]
    assert full.stderr.count("no room for a copy") == 1
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    assert spooled(stream) is stream
    X, y = data(rows=1_000)
    short = Counted(X, y, None, tuple("abcd"), 1 << 13)  # 125 blocks of 8 rows, each from a page's begin
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=2 * 125 * mmap.PAGESIZE))
    assert spooled(short) is short


FULL = f"""
import logging, resource, sys
sys.path.insert(0, {os.path.dirname(__file__)!r})
import gdjax
from test_streams import counted

logging.basicConfig()
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, -1))  # a disk that is full after a MiB
print(*map(float, gdjax.fit(gdjax.Neuron("identity"), counted(), None, steps=5, backend="numpy").weights))
"""


def test_a_reader_ends_with_who_reads():
    before = threading.active_count()
    read = ahead(i for i in range(1000))
    assert [next(read), next(read)] == [0, 1]
    read.close()
    assert threading.active_count() == before


def test_work_on_blocks_is_in_order_and_ends_with_who_asked_for_it():
    X, y = data()
    stream = ArrayStream(X, y, None, tuple("abcd"), LIMIT)
    before = threading.active_count()
    assert list(stream.map(lambda block: block.row[0])) == list(range(0, len(X), 1024))
    left = stream.map(lambda block: block.row[0])
    assert [next(left), next(left)] == [0, 1024]
    left.close()
    with np.errstate(divide="raise"), pytest.raises(FloatingPointError):  # the state of warnings goes along
        list(stream.map(lambda block: np.ones(1) / np.zeros(1)))
    assert threading.active_count() == before


@pytest.mark.skipif(sys.platform != "linux", reason="VmRSS, and a malloc that keeps what a thread freed: glibc's")
@pytest.mark.parametrize("reads", ["ahead(work(block) for block in [None])", "Stream.map(One(), work)"])
def test_what_a_thread_freed_goes_back_to_the_system(reads):
    """128 MiB in pieces that malloc keeps, since one beyond them is still held."""
    code = FREED.replace("READS", reads)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 32


FREED = """
from gdjax.stream import Stream, ahead

def resident():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmRSS")) >> 10

class One(Stream):
    def piece(self, number):
        pass

    def blocks(self):
        yield None

def work(block):
    pieces = [b"x" * (1 << 16) for _ in range(2048)]
    return b"y" * (1 << 16)

before = resident()
held = list(READS)
print(resident() - before)
"""


def test_what_needs_arrays_says_so():
    X, y = data(rows=100)
    stream = ArrayStream(X, y, None, tuple("abcd"), LIMIT)
    run = gdjax.fit(Neuron("identity"), stream, None, backend="numpy")
    for refused in (
        lambda: gdjax.cost_and_gradient(Neuron(), gdjax.Params(np.zeros(4), 0.0), stream, None),
        lambda: gdjax.fit(Neuron(), X, y, validation=(stream, None), backend="numpy"),
        lambda: run.plot.residuals(stream, None),
    ):
        with pytest.raises(DataError, match="X: a stream of samples is for fit, sweep, compare and predict alone"):
            refused()
    with pytest.raises(DataError, match="groups: they need their samples in memory"):
        gdjax.fit(Neuron(), stream, None, groups=np.zeros(100), backend="numpy")


def test_null_directions_of_a_stream_are_certified_too(backend_name):
    """All levels of a category beside a bias: least squares of least norm says what is predicted."""
    X, y = data(rows=20_001)
    level = np.eye(3)[np.random.default_rng(1).integers(0, 3, len(y))]
    wide = np.column_stack([X, level])
    y = y + level @ [1.0, -2.0, 4.0]
    run = gdjax.fit(Neuron("identity"), wide, y, memory_limit=LIMIT, backend=backend_name)
    augmented = np.column_stack([wide, np.ones(len(y))])
    exact = augmented @ np.linalg.lstsq(augmented, y, rcond=None)[0]
    assert run.status == "converged"
    assert run.cost == pytest.approx(((exact - y) ** 2).mean(), rel=1e-12)
    np.testing.assert_allclose(run.predict(wide[:100]), exact[:100], rtol=1e-7, atol=1e-7)
    gated = gdjax.fit(Neuron(), wide, np.maximum(y, 0), memory_limit=LIMIT, backend=backend_name)
    assert gated.status == "converged"
