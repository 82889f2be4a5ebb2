"""Bad input, one row a case: what the file holds, and what its one-line answer says."""

from __future__ import annotations

import io
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pytest

from gdjax import tables
from gdjax.errors import DataError, FileError, GdjaxError, UsageError

GOOD = "a,b,y\n1,2,3\n4,5,6\n"
X, Y = np.arange(6.0).reshape(3, 2), np.arange(3.0)


def npy(array: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, np.asanyarray(array), **options)
    return out.getvalue()


def npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez(out, **arrays)
    return out.getvalue()


def lying_npy(shape: str, held: int = 8) -> bytes:
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(held)


def bomb() -> bytes:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("X.npy", "w", force_zip64=True) as file,
    ):
        file.write(lying_npy("(40000000, 1)", 0))
        for _ in range(40):
            file.write(bytes(8_000_000))
    return out.getvalue()


def lzma_npz() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("X.npy", npy(X))
    return out.getvalue()


CSV: dict[str, tuple[str | bytes, str]] = {
    "empty file": (b"", "empty file"),
    "blank lines": ("\n\n", "no header"),
    "header only": ("a,b,y\n", "a header and no row"),
    "numbers for a header": ("1,2,3\n4,5,6\n", "names the columns"),
    "duplicate column names": ("a,a,y\n1,2,3\n", "two columns are named 'a'"),
    "a column without a name": (",a,y\n0,1,2\n", "a column has no name"),
    "semicolons": ("a;b;y\n1;2;3\n", "export it with ',' between cells"),
    "tabs": ("a\tb\ty\n1\t2\t3\n", "name it .tsv"),
    "text in a numeric column": ("a,b,y\n1,2,3\n4,five,6\n", r"row 1 \(line 3\), column 'b': 'five' is not a number"),
    "text in the target": ("a,b,y\n1,2,hi\n4,5,there\n", r"row 0 \(line 2\), column 'y': 'hi' is not a number"),
    "short row": ("a,b,y\n1,2,3\n4,5\n", r"row 1 \(line 3\) has 2 cells and the header 3"),
    "long row": ("a,b,y\n1,2,3,4\n", r"row 0 \(line 2\) has 4 cells and the header 3"),
    "line after a cell of two lines": ('a,b,y\n"1\n",2,3\n4,x,6\n', r"row 1 \(line 4\), column 'b'"),
    "open quote": ('a,b,y\n1,2,"3\n4,5,6\n', "mend the quotes"),
    "text after a quote": ('a,b,y\n"1"2,2,3\n', "mend the quotes"),
    "empty cell": ("a,b,y\n1,2,3\n4,,6\n", r"row 1 \(line 3\), column 'b': a missing value; .*missing='drop'"),
    "blank cell": ("a,b,y\n1,2,3\n4,  ,6\n", r"row 1 \(line 3\), column 'b': a missing value"),
    "empty target": ("a,b,y\n1,2,3\n4,5,\n", r"row 1 \(line 3\), column 'y': a missing value"),
    "NaN": ("a,b,y\n1,nan,3\n4,5,6\n", r"row 0 \(line 2\), column 'b': a missing value"),
    "inf": ("a,b,y\n1,2,3\n4,-inf,6\n", r"row 1 \(line 3\), column 'b': -inf is not finite"),
    "1e400": ("a,b,y\n1e400,2,3\n4,5,6\n", r"row 0 \(line 2\), column 'a': 1e400 is beyond float64"),
    "1_000": ("a,b,y\n1_000,2,3\n4,5,6\n", r"row 0 \(line 2\), column 'a': '1_000' is not a plain number"),
    "1_000 throughout": ("a,b,y\n1_000,2,3\n1_000,5,6\n", "'1_000' is not a plain number"),
    "thousands": ('a,b,y\n"1,000",2,3\n4,5,6\n', "'1,000' is not a plain number"),
    "hexadecimal": ("a,b,y\n0x10,2,3\n4,5,6\n", "'0x10' is not a plain number"),
    "digits of another script": ("a,b,y\n١,2,3\n4,5,6\n", "is not a plain number"),
    "an empty column": ("a,b,y\n,2,3\n,5,6\n", "the column has no value"),
    "latin-1 in a cell": ("a,b,y\n1,é,3\n".encode("latin-1"), r"row 0 \(line 2\), column 'b': .* is not UTF-8"),
    "latin-1 in the header": ("a,é,y\n1,2,3\n".encode("latin-1"), "header: .* is not UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), "UTF-16 text; save it as UTF-8$"),
    "binary": (bytes(range(256)) * 10, "a binary file"),
    "zip": (npz(X=X, y=Y), "a zip archive; name an npz .npz, export a sheet as CSV in UTF-8$"),
    "npy": (npy(X), "a npy file"),
    "gzip": (b"\x1f\x8b\x08\0", "gzip; unpack it$"),
    "identifiers": ("a,b,y\n" + "".join(f"1,id-{i}x,3\n" for i in range(100)), "100 different ones; .*categorical="),
    "control characters": ("a,b,y\n1,2,3\n4,\x1b[31mred,6\n", r"\\x1b\[31mred"),
}


def garbled_feather() -> bytes:
    out = io.BytesIO()
    pa.feather.write_feather(pa.table({"y": [1.0, 2.0], "k": ["red", "red"]}), out, compression="uncompressed")
    return out.getvalue().replace(b"redred", b"red\xff\xfe\xfd")


def packed() -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, X=np.zeros((10_000, 1)))
    return out.getvalue()


OPTIONS: dict[str, dict[str, Any]] = {"unpacks over the limit": {"max_bytes": 50_000}}


def lines() -> dict[str, tuple[str, bytes, dict[str, Any], str]]:
    cases: dict[str, tuple[str, bytes, dict[str, Any], str]] = {
        f"csv: {name}": ("t.csv", data.encode() if isinstance(data, str) else data, {"target": "y"}, says)
        for name, (data, says) in CSV.items()
    }
    good, gap = GOOD.encode(), b"a,b,y\n1,2,\n4,5,6\n"
    calls: dict[str, tuple[dict[str, Any], str]] = {
        "no such target": ({"target": "z"}, "no column 'z'; known: 'a', 'b', 'y'"),
        "no such feature": ({"target": "y", "features": ["A"]}, "no column 'A'; did you mean 'a'"),
        "no such group": ({"target": "y", "by": "B"}, "no column 'B'; did you mean 'b'"),
        "no target": ({}, "no target; name y's column with target=; columns: 'a', 'b', 'y'"),
        "target among the features": ({"target": "y", "features": ["a", "y"]}, "the target 'y' is among the features"),
        "feature twice": ({"target": "y", "features": ["a", "a"]}, "'a' stands twice"),
        "no features left": ({"target": "y", "by": ["a", "b"]}, "no features"),
        "unknown missing": ({"target": "y", "missing": "dropp"}, "missing='dropp'; did you mean 'drop'"),
        "unknown unseen": ({"target": "y", "unseen": "no"}, "unseen='no'; known: 'error', 'zero'"),
        "no mean for the target": ({"target": "y", "missing": "mean"}, "column 'y': a missing value"),
        "over the limit": ({"target": "y", "max_bytes": 5}, "more than the limit of 5"),
    }
    cases |= {
        f"call: {name}": ("t.csv", gap if "mean" in name else good, options, says)
        for name, (options, says) in calls.items()
    }
    arrays: dict[str, tuple[str, bytes, str]] = {
        "objects": ("t.npy", npy(np.array([[1, "a"]], object), allow_pickle=True), "Python objects"),
        "objects in npz": ("t.npz", npz(X=X, y=np.array([1, None, "a"], object)), "Python objects"),
        "pickle": ("t.npy", pickle.dumps(X), "not a npy array"),
        "lying header": ("t.npy", lying_npy("(1000000000000, 2)"), "16,000,000,000,000 bytes, and 8 follow"),
        "lying header, negative": ("t.npy", lying_npy("(-1, -1)"), "its header says"),
        "lying header, nested": ("t.npy", lying_npy("[" * 60), "header is broken"),
        "short": ("t.npy", npy(X)[:-8], "48 bytes, and 40 follow"),
        "long": ("t.npy", npy(X) + b"\0" * 8, "48 bytes, and 56 follow"),
        "empty npy": ("t.npy", b"", "not a npy array"),
        "one dimension": ("t.npy", npy(Y), r"of shape \(3,\); it must be numbers of shape \(N, D\)"),
        "complex": ("t.npy", npy(X + 1j), "cannot be used"),
        "no target in npy": ("t.npy", npy(X), "no target"),
        "no array in npz": ("t.npz", npz(), "no arrays"),
        "broken npz": ("t.npz", npz(X=X, y=Y)[:-30], "a broken npz"),
        "not a zip": ("t.npz", b"hello", "a broken npz"),
        "flipped bit": ("t.npz", npz(X=X, y=Y).replace(Y.tobytes(), (Y + 1).tobytes()), "a broken npz .*CRC"),
        "lzma": ("t.npz", lzma_npz(), "packed in a way"),
        "zip bomb": ("t.npz", bomb(), "zip bomb"),
        "unpacks over the limit": ("t.npz", packed(), "unpacks to 80,128 bytes, more than the limit of 50,000"),
        "no y": ("t.npz", npz(X=X), "no target"),
        "x for X": ("t.npz", npz(x=X, y=Y), "no key 'X' but 'x'"),
        "lengths": ("t.npz", npz(X=X, y=Y[:2]), "'y' has 2 rows and 'x0' has 3"),
        "X of one dimension": ("t.npz", npz(X=Y, y=Y), r"'X': float64 of shape \(3,\)"),
        "y of two dimensions": ("t.npz", npz(X=X, y=X), r"'y': shape \(3, 2\)"),
        "features and X": ("t.npz", npz(X=X, y=Y, features=["a"]), "1 features for the 2 columns of X"),
        "a feature named y": ("t.npz", npz(X=X, y=Y, features=["a", "y"]), "two columns are named 'y'"),
        "N = 0": ("t.npz", npz(X=X[:0], y=Y[:0]), "no rows"),
        "NaN in npz": ("t.npz", npz(X=np.where(X == 3, np.nan, X), y=Y), "row 1, column 'x1': a missing value"),
        "inf in npz": ("t.npz", npz(X=X, y=np.array([0, 0, np.inf])), "row 2, column 'y': inf is not finite"),
        "text in y": ("t.npz", npz(X=X, y=np.array(["a", "b", "c"])), "row 0, column 'y': 'a' is not a number"),
        "no parquet": ("t.parquet", b"PAR1" + bytes(50) + b"PAR1", "cannot be read as its ending says"),
        "empty parquet": ("t.parquet", b"", "cannot be read as its ending says"),
        "text that is not UTF-8": ("t.feather", garbled_feather(), "cannot be read as its ending says"),
        "no feather": ("t.feather", b"ARROW1" + bytes(100) + b"ARROW1", "cannot be read as its ending says"),
    }
    return cases | {
        f"file: {name}": (file, data, OPTIONS.get(name, {"target": "y"} if file == "t.feather" else {}), says)
        for name, (file, data, says) in arrays.items()
    }


CASES = lines()


# A CSV file is read in two ways, with the same answer.
WAYS = [(case, True) for case in CASES] + [(case, False) for case in CASES if CASES[case][0].endswith("csv")]


@pytest.mark.parametrize(("case", "with_pyarrow"), WAYS)
def test_bad_input_is_answered_in_a_line(
    case: str, with_pyarrow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, data, options, says = CASES[case]
    if not with_pyarrow:
        hide_pyarrow(monkeypatch)
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(GdjaxError, match=says) as caught:
        tables.read(path, **options)
    message = str(caught.value)
    assert message.isprintable()
    assert type(caught.value) in (DataError, FileError, UsageError)
    assert len(message) < 350


def hide_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find: Callable[..., Any] = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "pyarrow" else find(name, *rest)
    )


@pytest.mark.parametrize("ending", ["csv", "npz", "npy", "parquet", "feather"])
def test_places_that_hold_no_table(ending: str, tmp_path: Path) -> None:
    (tmp_path / f"table.{ending}").touch()
    folder, pipe = tmp_path / f"folder.{ending}", tmp_path / f"pipe.{ending}"
    folder.mkdir()
    os.mkfifo(pipe)
    for path, says in [
        (tmp_path / f"tabel.{ending}", f"no such file; did you mean 'table.{ending}'"),
        (folder, "a folder"),
        (pipe, "not a regular file"),
        (tmp_path / f"a\0b.{ending}", "embedded null"),
    ]:
        with pytest.raises(FileError, match=says):
            tables.read(path, target="y")
