"""Tables over the memory limit: the stream of their rows is the table that was read at once."""

import os
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

import gdjax
from gdjax import Neuron, tables
from gdjax.cli import main
from gdjax.errors import DataError, FileError
from gdjax.stream import Block, Layout, Stream

LIMIT = 1 << 20
ROWS = 30_000


@pytest.fixture
def parquet(tmp_path):
    rng = np.random.default_rng(0)
    a = rng.normal(size=ROWS)
    columns = {
        "a": pyarrow.array(a, mask=rng.random(ROWS) < 0.1),
        "b": rng.integers(0, 9, ROWS),
        "carrier": pyarrow.array(rng.choice(["UA", "AA", "DL"], ROWS), mask=rng.random(ROWS) < 0.01),
        "zone": rng.integers(0, 4, ROWS),
        "w": rng.integers(0, 3, ROWS),
        "y": a + rng.normal(size=ROWS),
        "z": rng.normal(size=ROWS),
    }
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.table(columns), path, row_group_size=7_001)
    return path


@pytest.mark.parametrize("missing", ["drop", "mean"])
@pytest.mark.parametrize("weight", [None, "w"])
def test_a_stream_of_parquet_is_the_table(parquet, missing, weight):
    given = {"target": "y", "missing": missing, "categorical": ["zone"], "sample_weight": weight}
    streamed, held = tables.read(parquet, **given, memory_limit=LIMIT), tables.read(parquet, **given)
    blocks = list(streamed.X.read())
    assert len(blocks) > 10
    counted = np.ones(len(held.y), bool) if weight is None else held.sample_weight > 0
    assert streamed.feature_names == held.feature_names
    assert streamed.X.shape == (counted.sum(), held.X.shape[1])
    X = np.concatenate([block.X for block in blocks])
    filled = held.feature_names.index("a") if missing == "mean" else None
    for j in range(X.shape[1]):
        # the mean of a column by blocks is another sum
        np.testing.assert_allclose(X[:, j], held.X[counted, j], rtol=1e-12 if j == filled else 0, atol=0)
    assert np.concatenate([block.y for block in blocks]).tobytes() == held.y[counted].tobytes()
    rows = np.arange(ROWS) if held.rows is None else held.rows
    assert np.concatenate([block.row for block in blocks]).tolist() == rows[counted].tolist()
    if weight is not None:
        assert np.concatenate([block.weight for block in blocks]).tolist() == held.sample_weight[counted].tolist()


@pytest.mark.parametrize("known", [False, True])
def test_a_block_has_the_columns_of_x_within_its_bytes(tmp_path, known):
    """A category of 300 levels beside float32 numbers: a row of X takes 100 times as much as one of the table."""
    rng, rows = np.random.default_rng(0), 12_000  # over the limit, in blocks of 3
    columns = {"a": rng.normal(size=rows).astype(np.float32), "level": rng.integers(0, 300, rows).astype(np.float32)}
    path = tmp_path / "t.parquet"
    table = pyarrow.table({**columns, "y": columns["a"]})
    table = table.set_column(1, "level", pyarrow.array(columns["level"], mask=rng.random(rows) < 0.1))
    pyarrow.parquet.write_table(table, path, row_group_size=2_001)
    held = tables.read(path, target="y", categorical=["level"], missing="drop")
    given = {"columns": held.columns} if known else {"categorical": ["level"]}
    stream = tables.read(path, target="y", missing="drop", memory_limit=LIMIT // 4, **given).X
    blocks = list(stream.read())
    assert stream.dtype == np.float64
    assert LIMIT // 4 // 128 < max(block.X.nbytes for block in blocks) <= LIMIT // 4 // 32
    assert [len(block.y) for block in blocks] == [length for piece in stream.layout.pieces for length in piece]
    assert np.concatenate([block.X for block in blocks]).tobytes() == held.X.tobytes()


def test_a_run_on_a_stream_predicts_the_table(parquet, tmp_path):
    given = {"target": "y", "missing": "drop", "features": ["a", "z", "carrier"]}
    streamed, held = tables.read(parquet, **given, memory_limit=1 << 19), tables.read(parquet, **given)
    run = gdjax.fit(Neuron("identity", l2=1e-3), streamed.X, streamed.y, backend="numpy")
    assert run.feature_names == held.feature_names
    other = gdjax.fit(Neuron("identity", l2=1e-3), held.X, held.y, features=held.feature_names, backend="numpy")
    np.testing.assert_allclose(run.predict(held.X), other.predict(held.X), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(run.predict(streamed.X), run.predict(held.X), rtol=1e-12, atol=1e-12)
    with pytest.raises(DataError, match="X: columns z: the run has a, z, carrier=AA"):
        run.predict(tables.read(parquet, target="y", features=["z"], memory_limit=LIMIT // 4).X)


def test_the_command_line_fits_and_predicts_in_blocks(parquet, tmp_path, capsys):
    def gdjax_command(*arguments):
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        assert not left.value.code
        return capsys.readouterr().out

    run, limit = tmp_path / "run", ["--missing", "drop", "--memory-limit", LIMIT]
    given = ["--target", "y", "--activation", "identity", "--backend", "numpy", "-q", "-o", run]
    gdjax_command("fit", parquet, *given, *limit)
    streamed = gdjax_command("predict", run, parquet, *limit)
    held = gdjax_command("predict", run, parquet, *limit[:2])
    assert len(streamed.splitlines()) == len(held.splitlines()) < ROWS
    for one, other in zip(streamed.splitlines()[1:], held.splitlines()[1:], strict=True):
        (row, value), (row_held, value_held) = one.split(","), other.split(",")
        assert row == row_held
        assert float(value) == pytest.approx(float(value_held), rel=1e-12)


def test_mini_batches_of_row_groups(parquet):
    """Exact data: whatever the order, the noiseless line is found."""
    table = pyarrow.parquet.read_table(parquet, columns=["b", "z"])
    b, z = (table.column(name).to_numpy() for name in ("b", "z"))
    exact = table.append_column("y", pyarrow.array(2 * b - 3 * z + 1))
    pyarrow.parquet.write_table(exact, parquet, row_group_size=7_001)
    streamed = tables.read(parquet, target="y", memory_limit=1 << 19)
    assert not isinstance(streamed.X, np.ndarray)
    run = gdjax.fit(Neuron("identity"), streamed.X, streamed.y, batch_size=100, steps=1500, backend="numpy")
    np.testing.assert_allclose([*run.weights, run.bias], [2, -3, 1], rtol=1e-6)


def test_a_row_group_without_a_row_is_none(parquet, backend_name):
    table = pyarrow.parquet.read_table(parquet, columns=["b", "z", "y"])
    with pyarrow.parquet.ParquetWriter(parquet, table.schema) as file:
        for part in (table[:9_000], table[:0], table[9_000:]):
            file.write_table(part)
    assert 0 in [pyarrow.parquet.ParquetFile(parquet).metadata.row_group(i).num_rows for i in range(3)]
    streamed = tables.read(parquet, target="y", memory_limit=1 << 19)
    run = gdjax.fit(Neuron("identity"), streamed.X, streamed.y, backend=backend_name)
    b, z, y = (table.column(name).to_numpy() for name in ("b", "z", "y"))
    exact = np.linalg.lstsq(np.column_stack([b, z, np.ones(ROWS)]), y, rcond=None)[0]
    np.testing.assert_allclose([*run.weights, run.bias], exact, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("source", ["parquet", "own"])
def test_weights_of_a_stream_are_shares(tmp_path, backend_name, source, dtype):
    """Times a power of two they make the same run, to the bit, though their sums overflow or are no normal numbers."""
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=ROWS).astype(dtype) for name in ("a", "b", "y")}
    share = rng.integers(0, 4, ROWS).astype(float)
    X, y = np.column_stack([columns["a"], columns["b"]]), columns["y"]

    def run(size):
        if source == "own":
            stream = Halves(X, y, size * share)
        else:
            path = tmp_path / "t.parquet"
            pyarrow.parquet.write_table(pyarrow.table({**columns, "w": size * share}), path, row_group_size=7_001)
            stream = tables.read(path, target="y", sample_weight="w", memory_limit=LIMIT // 2).X
        return gdjax.fit(Neuron("identity"), stream, None, backend=backend_name)

    plain = run(1.0)
    root = np.sqrt(share)
    exact = np.linalg.lstsq(root[:, None] * np.column_stack([X, np.ones(ROWS)]), root * y, rcond=None)[0]
    np.testing.assert_allclose([*plain.weights, plain.bias], exact, rtol=0, atol=1e-4 if dtype == "float32" else 1e-9)
    for exponent in (1016, 130, -130, -1060):
        other = run(2.0**exponent)
        assert other.status == "converged"
        assert [*other.weights, other.bias, other.cost, other.r2] == [*plain.weights, plain.bias, plain.cost, plain.r2]


class Halves(Stream):
    """A source of one's own, of a piece and two blocks, whose heaviest row is in the second."""

    features = ("a", "b")

    def __init__(self, X, y, weight):
        kept = np.flatnonzero(weight)
        self._rows = kept[np.argsort(weight[kept], kind="stable")]
        self._arrays, self.shape, self.dtype = (X, y, weight), (len(kept), 2), X.dtype
        half = len(kept) // 2
        self.layout = Layout(((half, len(kept) - half),), len(kept))

    def piece(self, number):
        at = 0
        for count in self.layout.pieces[number]:
            rows = self._rows[at : at + count]
            yield Block(*(array[rows] for array in self._arrays), rows)
            at += count


def test_small_row_groups_are_read_together(tmp_path):
    """Ten rows each: to open one takes longer than to read a thousand, and a step would be as many blocks."""
    X = np.random.default_rng(0).normal(size=(ROWS, 5))
    path = tmp_path / "t.parquet"
    table = pyarrow.table([*X.T], names=["a", "b", "c", "d", "y"])
    pyarrow.parquet.write_table(table, path, row_group_size=10)
    stream = tables.read(path, target="y", memory_limit=LIMIT).X
    assert [sum(piece) for piece in stream.layout.pieces] == [8_190, 8_190, 8_190, 5_430]
    assert sum(map(len, stream.layout.pieces)) < 40
    assert np.concatenate([block.X for block in stream.read()]).tobytes() == X[:, :4].tobytes()
    index = np.random.default_rng(1).permutation(ROWS)[:500]
    assert stream.take(index).y.tobytes() == X[index, 4].tobytes()


@pytest.mark.parametrize("kind", ["plain", "structured"])
def test_a_stream_of_npy_is_the_table(tmp_path, kind):
    X = np.random.default_rng(0).normal(size=(200_000, 3)).astype(">f4")
    path = tmp_path / "t.npy"
    np.save(path, X if kind == "plain" else X.view([("x0", ">f4"), ("x1", ">f4"), ("x2", ">f4")])[:, 0])
    stream = tables.read(path, target="x2", memory_limit=LIMIT).X
    assert stream.dtype == np.float32
    blocks = list(stream.read())
    assert np.concatenate([block.X for block in blocks]).tolist() == X[:, :2].tolist()
    index = np.random.default_rng(1).choice(200_000, 500)
    assert stream.take(index).y.tolist() == X[index, 2].tolist()


def test_what_is_wrong_is_named_by_its_row(parquet):
    with pytest.raises(DataError, match=rf"{re.escape(str(parquet))}: row \d+, column 'a': a missing value"):
        tables.read(parquet, target="y", memory_limit=LIMIT)
    table = pyarrow.parquet.read_table(parquet)
    late = table.column("z").to_numpy().copy()
    late[ROWS - 1] = np.nan
    pyarrow.parquet.write_table(table.set_column(6, "z", pyarrow.array(late)), parquet, row_group_size=7_001)
    with pytest.raises(DataError, match=f"row {ROWS - 1}, column 'z': a missing value"):
        tables.read(parquet, target="y", features=["z"], memory_limit=1 << 18)
    wrong = table.column("w").to_numpy() + 1.0
    for value in (-1, np.inf):
        wrong[20_123] = value
        pyarrow.parquet.write_table(table.set_column(4, "w", pyarrow.array(wrong)), parquet, row_group_size=7_001)
        with pytest.raises(DataError, match=rf"row 20123, column 'w': {value}: weights must be finite and >= 0"):
            tables.read(parquet, target="y", features=["z"], sample_weight="w", missing="keep", memory_limit=1 << 19)


def test_a_file_that_changes_under_a_run_is_what_it_was(parquet, tmp_path):
    given = {"target": "y", "features": ["b", "z"], "memory_limit": 1 << 19}
    untouched = gdjax.fit(Neuron("identity"), tables.read(parquet, **given).X, None, backend="numpy")
    stream = tables.read(parquet, **given).X
    changed = gdjax.fit(
        Neuron("identity"), stream, None, callback=lambda event: parquet.write_bytes(b""), backend="numpy"
    )
    assert changed.weights.tolist() == untouched.weights.tolist()


def test_without_a_copy_a_file_that_changes_under_a_run_ends_it(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    path = tmp_path / "t.npy"
    array = np.random.default_rng(0).normal(size=(100_000, 3))
    np.save(path, array)
    stream = tables.read(path, target="x2", memory_limit=LIMIT).X

    def cut(event):
        os.truncate(path, os.path.getsize(path) - 8)

    with pytest.raises(FileError) as caught:
        gdjax.fit(Neuron("identity"), stream, None, tolerance=0.0, callback=cut, backend="numpy")
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_a_parquet_that_changes_before_a_run_ends_it(parquet):
    given = {"target": "y", "features": ["b", "z"], "memory_limit": 1 << 19}
    stream = tables.read(parquet, **given).X
    pyarrow.parquet.write_table(pyarrow.parquet.read_table(parquet)[:20_000], parquet, row_group_size=7_001)
    with pytest.raises(FileError, match="it changed while it was read"):
        gdjax.fit(Neuron("identity"), stream, None, backend="numpy")
