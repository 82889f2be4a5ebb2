"""Readers against what made the files: csv, numpy, pandas, Polars and pyarrow."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gdjax import tables
from gdjax.errors import DataError, GdjaxError
from gdjax.tables import Column
from gdjax.tables.csv_arrow import read_clean
from gdjax.tables.csv_file import open_csv

FRAME = {
    "a": [1.5, -2.0, 3.25, 0.0],
    "n": [1, 2, 3, 4],
    "kind": ["red", "blue", "red", "green"],
    "y": [0.0, 1.0, 2.0, 3.0],
    "key": ["N2", "N1", "N2", "N1"],
}
ENCODED = np.array([[1.5, 1, 0, 0, 1], [-2, 2, 1, 0, 0], [3.25, 3, 0, 0, 1], [0, 4, 0, 1, 0]])
NAMES = ("a", "n", "kind=blue", "kind=green", "kind=red")


def written(ending: str, folder: Path) -> Any:
    path = folder / f"t.{ending}"
    if ending == "csv":
        pd.DataFrame(FRAME).to_csv(path, index=False)
    elif ending == "tsv":
        pd.DataFrame(FRAME).to_csv(path, index=False, sep="\t")
    elif ending == "npz":
        np.savez(path, **{name: np.array(cells) for name, cells in FRAME.items()})
    elif ending == "parquet":
        pa.parquet.write_table(pa.table(FRAME), path)
    elif ending == "feather":
        pa.feather.write_feather(pa.table(FRAME), path)
    elif ending == "npy":
        np.save(
            path,
            pd.DataFrame(FRAME)
            .astype({"kind": "U9", "key": "U9"})
            .to_records(index=False)
            .astype([("a", "f8"), ("n", "i8"), ("kind", "U9"), ("y", "f8"), ("key", "U9")]),
        )
    else:
        return {
            "pandas": pd.DataFrame(FRAME),
            "pandas categorical": pd.DataFrame(FRAME).astype({"kind": "category"}),
            "polars": pl.DataFrame(FRAME),
            "polars lazy": pl.LazyFrame(FRAME),
            "polars categorical": pl.DataFrame(FRAME).with_columns(pl.col("kind").cast(pl.Categorical)),
            "polars enum": pl.DataFrame(FRAME).with_columns(pl.col("kind").cast(pl.Enum(["red", "green", "blue"]))),
            "pyarrow": pa.table(FRAME),
        }[ending]
    return path


FILES = ["csv", "tsv", "npz", "npy", "parquet", "feather"]
FRAMES = ["pandas", "pandas categorical", "polars", "polars lazy", "polars categorical", "polars enum", "pyarrow"]


@pytest.mark.parametrize("kind", FILES + FRAMES)
def test_all_sources_give_the_same_table(kind: str, tmp_path: Path) -> None:
    source = written(kind, tmp_path)
    read = tables.read if isinstance(source, Path) else tables.from_frame
    table = read(source, target="y", by="key")
    np.testing.assert_array_equal(table.X, ENCODED)
    np.testing.assert_array_equal(table.y, FRAME["y"])
    assert table.X.dtype == np.float64
    assert table.feature_names == NAMES
    assert isinstance(table.groups, np.ndarray)
    assert table.groups.tolist() == FRAME["key"]


cells = (
    st.floats(allow_nan=False).map(repr)
    | st.integers().map(str)
    | st.sampled_from(
        ["1e400", "1_0", "nan", "", " 1 ", "+.5", "1.", "\t2", "x", "é", "0x1", "1e-400", "7\x0b", '"', "Inf", "NA"]
    )
    | st.text(max_size=5)
)


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.lists(cells, min_size=2, max_size=2), min_size=1, max_size=5), quoting=st.sampled_from([0, 1]))
@example(rows=[["1", "2"]], quoting=1)
def test_pyarrow_and_the_standard_library_read_the_same(rows: list[list[str]], quoting: int, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    with path.open("w", newline="", encoding="utf-8", errors="surrogatepass") as file:
        csv.writer(file, quoting=quoting).writerows([["a", "b"], *rows])
    compare_readers(path)


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.text('1a,"\n\r\t .e-', max_size=20) | st.binary(max_size=20).map(lambda b: b.decode("latin-1")))
@example(data='1,"2"\n"3",4')
@example(data='"1\n2",3')
@example(data="1,2\n\n  \n3,4")
@example(data='1,2\n3,"4')  # pyarrow lets a quote stay open at the end
@example(data='1,p\n3,"x"y')  # and takes text after one that was closed
def test_they_do_on_files_that_are_no_tables_too(data: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b\n" + data.encode("latin-1"))
    compare_readers(path)


def compare_readers(path: Path) -> None:
    """Whatever pyarrow's walk accepts, the other gives bit for bit."""

    def columns() -> Any:
        try:
            return open_csv(path).load(["a", "b"], [])
        except GdjaxError as error:
            return str(error)

    quick = columns()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gdjax.tables.csv_arrow.read_clean", lambda *_: None)
        strict = columns()
    if isinstance(quick, str) or isinstance(strict, str):
        assert quick == strict
        return
    for name in quick:
        assert type(quick[name]) is type(strict[name])
        for field in vars(quick[name]):
            one, other = getattr(quick[name], field), getattr(strict[name], field)
            assert one == other if isinstance(one, tuple) else one.tobytes() == other.tobytes()


def test_a_clean_file_is_read_by_pyarrow(tmp_path: Path, example_data: Path) -> None:
    path = example_data / "three_aircraft.csv"
    assert read_clean(path, ",", 7, [0, 1], {1}, None) is not None
    table = tables.read(path, target="delay", by="tailnum")
    frame = pd.read_csv(path)
    np.testing.assert_array_equal(table.X, frame.drop(columns=["tailnum", "delay"]).to_numpy(float))
    assert isinstance(table.groups, np.ndarray)
    assert table.groups.tolist() == frame.tailnum.tolist()


def test_the_data_that_ships_by_its_columns(example_data: Path) -> None:
    table = tables.read(example_data / "air_time.npz")
    with np.load(example_data / "air_time.npz") as raw:
        np.testing.assert_array_equal(table.X, raw["X"])
        np.testing.assert_array_equal(table.y, raw["y"])
        np.testing.assert_array_equal(table.groups, raw["groups"])
    assert table.feature_names == ("distance",)
    alone = tables.read(example_data / "air_time.npz", by="")
    assert alone.groups is None
    assert alone.feature_names == ("distance",)
    flights = tables.read(example_data / "flights.npz", target="previous_delay", features="distance", by="hour")
    assert flights.feature_names == ("distance",)
    assert (flights.target, flights.by) == ("previous_delay", ("hour",))


def test_float32_stays_and_integers_become_float64(tmp_path: Path) -> None:
    for dtype, expected in [("f4", "f4"), ("f2", "f8"), ("i2", "f8"), ("?", "f8"), (">f4", "f4")]:
        np.savez(tmp_path / "t.npz", X=np.ones((2, 2), dtype), y=np.zeros(2, dtype))
        table = tables.read(tmp_path / "t.npz")
        assert table.X.dtype == np.dtype(expected)
        assert (table.X == 1).all()


def test_fortran_order_is_read_right(tmp_path: Path) -> None:
    X = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    np.save(tmp_path / "t.npy", X)
    table = tables.read(tmp_path / "t.npy", target="x2")
    np.testing.assert_array_equal(table.X, X[:, :2])
    np.testing.assert_array_equal(table.y, X[:, 2])


MISSING = "a,kind,y,w\n1,red,1,1\n,blue,2,1\n3,,3,2\nNA,red,4,0\n"


def test_missing_values_are_dropped_as_asked(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(MISSING)
    table = tables.read(tmp_path / "t.csv", target="y", sample_weight="w", missing="drop")
    assert table.feature_names == ("a", "kind=red")
    assert table.X.tolist() == [[1, 1]]
    assert table.rows is not None
    assert table.rows.tolist() == [0]


def test_missing_values_are_the_mean_with_an_indicator(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(MISSING)
    table = tables.read(tmp_path / "t.csv", target="y", sample_weight="w", missing="mean")
    assert table.feature_names == ("a", "a is missing", "kind=blue", "kind=red", "kind is missing")
    assert table.X.tolist() == [[1, 0, 0, 1, 0], [2, 1, 1, 0, 0], [3, 0, 0, 0, 1], [2, 1, 0, 1, 0]]
    assert table.sample_weight is not None
    assert table.sample_weight.tolist() == [1, 1, 2, 0]


def test_a_fleet_keeps_missing_values_for_its_groups_to_fail_on(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,k,y\n1,g,1\n,g,inf\n3,h,3\n")
    table = tables.read(tmp_path / "t.csv", target="y", by="k")
    np.testing.assert_array_equal(table.X, [[1], [np.nan], [3]])
    np.testing.assert_array_equal(table.y, [1, np.inf, 3])


@pytest.mark.parametrize("missing", ["error", "mean"])
def test_the_encoding_is_done_again_at_predict(missing: Any, tmp_path: Path) -> None:
    fitted, new = tmp_path / "fit.csv", tmp_path / "new.csv"
    fitted.write_text("a,kind,y\n1,red,1\n5,blue,2\n" + (",red,3\n" if missing == "mean" else ""))
    columns = tables.read(fitted, target="y", missing=missing).columns
    columns = tuple(Column.from_json(column.to_json()) for column in columns)
    new.write_text("extra,kind,a\n9,blue,7\n")
    table = tables.read(new, columns=columns)
    assert table.y is None
    assert table.X.tolist() == ([[7, 0, 1, 0]] if missing == "mean" else [[7, 1, 0]])
    new.write_text("kind,a\nblue,7\ngreen,7\n")
    with pytest.raises(DataError, match=r"row 1 \(line 3\), column 'kind': the level 'green' was not there"):
        tables.read(new, columns=columns)
    assert tables.read(new, columns=columns, unseen="zero").X[1, -2:].tolist() == [0, 0]
    new.write_text("kind,b\nblue,7\n")
    with pytest.raises(DataError, match="no column 'a'"):
        tables.read(new, columns=columns)


def test_numbers_as_categories_when_asked(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("zip,y\n9,1\n10,2\n9,3\n")
    table = tables.read(tmp_path / "t.csv", target="y", categorical="zip")
    assert table.feature_names == ("zip=9", "zip=10")
    assert tables.read(tmp_path / "t.csv", columns=table.columns).X.tolist() == [[1, 0], [0, 1], [1, 0]]


def test_keys_are_integers_only_where_written_so(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("zip,n,a,y\n01234,10,1,1\n99999,-9,2,2\n")
    table = tables.read(tmp_path / "t.csv", target="y", by=["zip", "n"])
    assert isinstance(table.groups, tuple)
    assert [keys.tolist() for keys in table.groups] == [["01234", "99999"], [10, -9]]


def test_nulls_of_frames_are_missing() -> None:
    for frame in (
        pd.DataFrame({"a": [1, None], "y": [1, 2]}),
        pd.DataFrame({"a": pd.array([1, None], "Int64"), "y": [1, 2]}),
        pl.DataFrame({"a": [1, None], "y": [1, 2]}),
        pa.table({"a": [1, None], "y": [1, 2]}),
    ):
        with pytest.raises(DataError, match="row 1, column 'a': a missing value"):
            tables.from_frame(frame, target="y")
        assert tables.from_frame(frame, target="y", missing="drop").X.tolist() == [[1]]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"k": ["b", None, "a"], "y": [1.0, 2.0, 3.0]}),
        pl.DataFrame({"k": ["b", float("nan"), "a"], "y": [1.0, 2.0, 3.0]}, schema_overrides={"k": pl.Object}),
        pa.table({"k": ["b", None, "a"], "y": [1.0, 2.0, 3.0]}),
        pa.table({"k": pa.DictionaryArray.from_arrays([1, 2, 0], ["a", "b", " ", "never"]), "y": [1.0, 2.0, 3.0]}),
        *(
            pd.DataFrame({"k": pd.Series(["b", gap, "a"], dtype=dtype), "y": [1.0, 2.0, 3.0]})
            for gap, dtype in [(None, object), (float("nan"), object), (pd.NA, object), (pd.NA, "string"), (" ", "str")]
        ),
    ],
    ids=["polars", "polars object", "arrow", "arrow dictionary", "None", "NaN", "NA", "NA of string", "blank"],
)
def test_a_category_without_a_value_is_no_level(frame: Any) -> None:
    table = tables.from_frame(frame, target="y", missing="mean")
    assert table.feature_names == ("k=a", "k=b", "k is missing")
    assert table.X.tolist() == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


@pytest.mark.parametrize("name", [str, int])
def test_columns_may_be_named_by_numbers(name: Callable[[int], Any]) -> None:
    frame = pd.DataFrame(np.arange(8, dtype="f4").reshape(2, 4))
    table = tables.from_frame(frame, target=name(0), by=name(3), sample_weight=name(2))
    assert table.feature_names == ("1",)
    assert table.X.dtype == np.float32
    np.testing.assert_array_equal(table.X, [[1], [5]])
    np.testing.assert_array_equal(table.y, [0, 4])
    np.testing.assert_array_equal(table.groups, [3, 7])
    np.testing.assert_array_equal(table.sample_weight, [2, 6])


@pytest.mark.parametrize("kind", ["pandas", "polars", "arrow", "parquet"])
def test_keys_beside_a_gap_keep_all_their_digits(kind: str, tmp_path: Path) -> None:
    whole = pa.table({"id": [2**53, None, 2**53 + 1, -7], "a": [1.0, 2.0, 3.0, 4.0], "y": [1.0, 2.0, 3.0, 4.0]})
    given: dict[str, Any] = {"target": "y", "by": "id", "missing": "drop"}
    if kind == "parquet":
        pyarrow.parquet.write_table(whole, tmp_path / "t.parquet")
        table = tables.read(tmp_path / "t.parquet", **given)
    else:
        frames = {
            "pandas": whole.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get),
            "polars": pl.from_arrow(whole),
            "arrow": whole,
        }
        table = tables.from_frame(frames[kind], **given)
    assert isinstance(table.groups, np.ndarray)
    assert table.groups.tolist() == [2**53, 2**53 + 1, -7]


def test_two_features_of_one_name_are_named() -> None:
    frame = pd.DataFrame({"c": ["A", "B"], "c=A": [1, 2], "y": [1, 2]})
    with pytest.raises(DataError, match="frame: two features are named 'c=A'; rename a column"):
        tables.from_frame(frame, target="y")


def test_columns_of_one_name_are_refused() -> None:
    X = np.ones((2, 3))
    for frame in (pd.DataFrame(X, columns=list("aay")), pa.table([*X.T], list("aay"))):
        with pytest.raises(DataError, match=r"'a' 2 times; rename one"):
            tables.from_frame(frame, target="y")


def test_frames_of_other_things_are_refused() -> None:
    dates = pd.DataFrame({"a": pd.to_datetime(["2020-01-01"]), "y": [1.0]})
    with pytest.raises(DataError, match="column 'a' is of type Datetime"):
        tables.from_frame(dates, target="y")
    with pytest.raises(DataError, match=r"row 0: .* is a list"):
        tables.from_frame(pd.DataFrame({"a": [[1]], "y": [1.0]}), target="y")
    for cell, kind in ((1.5, "float"), (b"\xff", "bytes")):
        coded = pa.table({"a": pa.array([cell]).dictionary_encode(), "y": [1.0]})
        with pytest.raises(DataError, match=rf"row 0: .* is a {kind}; convert it to text"):
            tables.from_frame(coded, target="y")
    with pytest.raises(GdjaxError, match="list is not a table"):
        tables.from_frame([1, 2], target="y")


@pytest.mark.parametrize(
    ("missing", "file", "said"),
    [
        ("pyarrow.parquet", "t.parquet", "t.parquet: Parquet needs pyarrow"),
        ("pyarrow.ipc", "t.feather", "t.feather: Feather needs pyarrow"),
        ("narwhals", "t.parquet", "t.parquet: Parquet needs narwhals"),
        ("narwhals", "t.feather", "t.feather: Feather needs narwhals"),
        ("narwhals", None, "frame: a DataFrame needs narwhals"),
    ],
)
def test_without_the_extra_the_remedy_is_named(
    missing: str, file: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = pd.DataFrame({"a": [1.0, 2.0], "y": [1.0, 2.0]})
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_feather(tmp_path / "t.feather")
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(GdjaxError) as caught:
        tables.from_frame(frame, target="y") if file is None else tables.read(tmp_path / file, target="y")
    place = "" if file is None else f"{tmp_path}/"
    assert str(caught.value) == f"{place}{said}, which is not installed: pip install 'gdjax[data]'"


def test_reading_leaves_the_csv_module_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,y\n1,1\n")
    before = csv.field_size_limit()
    tables.read(tmp_path / "t.csv", target="y")
    assert csv.field_size_limit() == before
