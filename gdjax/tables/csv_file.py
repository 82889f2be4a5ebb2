"""CSV: UTF-8, one header line, comma (in .tsv tab) between cells, strict numbers.

Two walks of one grammar. pyarrow, where installed, reads a file that is clean; whatever it stumbles over is read again
by the standard library, which alone decides what is an error and says where. So both give the same columns.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Callable, Collection, Generator, Sequence
from itertools import islice

from gdjax.errors import DataError, FileError
from gdjax.files import open_regular
from gdjax.tables.cells import RawColumn, finish, numbers_or_none
from gdjax.tables.source import Cells, Source, first_twice

__all__ = ["open_csv"]

_CHUNK = 1 << 15  # rows that are converted at a time
_COLUMNS = 100_000
_MAGIC = {
    b"PK\x03\x04": "a zip archive; name an npz .npz, export a sheet as CSV in UTF-8",
    b"\x93NUMPY": "a npy file",
    b"PAR1": "a Parquet file",
    b"ARROW1": "a Feather file",
    b"\x1f\x8b": "compressed by gzip; unpack it",
    b"\x89HDF": "an HDF5 file; export it as CSV in UTF-8",
    b"SQLite": "an SQLite data base; export it as CSV in UTF-8",
    b"\xff\xfe": "UTF-16 text; save it as UTF-8",
    b"\xfe\xff": "UTF-16 text; save it as UTF-8",
}


def open_csv(path: str | os.PathLike[str], max_bytes: int | None = None) -> Source:
    """The CSV file at ``path``, its header read and checked.

    Raises:
        FileError: no such file, or not a text file.
        DataError: no header, or column names that do not work.
    """
    table = _Csv(os.fspath(path), "\t" if str(path).lower().endswith(".tsv") else ",", max_bytes)
    with open_regular(path, max_bytes) as (file, size):
        if size == 0:
            raise DataError(f"{path}: empty file; its first line must name the columns")
        _check_text(table.label, file.read(1 << 16))
    with_header = table.records()
    header, line = next(with_header, ([], 0))
    first_row, _ = next(with_header, ([], 0))
    with_header.close()
    names = tuple(name.strip() for name in header)
    _check_header(table, names)
    if not first_row:
        raise DataError(f"{path}: a header and no row under it")

    def load(wanted: Sequence[str], text: Collection[str]) -> dict[str, Cells]:
        at = {names.index(name): name in text for name in wanted}
        columns = None
        if line == 1 and len(first_row) == len(names):
            from gdjax.tables.csv_arrow import read_clean

            numeric = {i for i, as_text in at.items() if not as_text and numbers_or_none([first_row[i]]) is not None}
            columns = read_clean(table.path, table.delimiter, len(names), list(at), numeric, max_bytes)
        if columns is None:
            columns = table.read(len(names), at)

        def place(name: str) -> Callable[[int], str]:
            return lambda row: f"{path}: {table.place(row)}, column {name!r}"

        return {names[i]: finish(column, at[i], place(names[i])) for i, column in columns.items()}

    return Source(table.label, names, load, table.place)


class _Csv:
    """The file as the standard library walks it."""

    def __init__(self, path: str, delimiter: str, max_bytes: int | None) -> None:
        self.path, self.delimiter, self.max_bytes = path, delimiter, max_bytes
        self.label = str(path)

    def records(self) -> Generator[tuple[list[str], int]]:
        """The records that are not blank, the header the first, each with the number of its last line."""
        with open_regular(self.path, self.max_bytes) as (file, _):
            text = io.TextIOWrapper(file, "utf-8-sig", errors="surrogateescape", newline="")
            reader = csv.reader(text, delimiter=self.delimiter, strict=True)
            try:
                for record in reader:
                    if record:
                        yield record, reader.line_num
            except csv.Error as error:
                raise DataError(f"{self.label}: line {reader.line_num}: {error}; mend the quotes there") from error

    def place(self, row: int) -> str:
        """Where row ``row`` stands: its number from 0, and the line that an editor shows."""
        for _, line in islice(self.records(), row + 1, row + 2):
            return f"row {row} (line {line})"
        return f"row {row}"

    def read(self, width: int, at: dict[int, bool]) -> dict[int, RawColumn]:
        """The columns at these places, those marked as text, a chunk of rows at a time."""
        columns = {i: RawColumn() for i in at}
        rows, start = self.records(), 0
        next(rows)
        while chunk := list(islice(rows, _CHUNK)):
            for index, (record, line) in enumerate(chunk):
                if len(record) != width:
                    raise DataError(
                        f"{self.label}: row {start + index} (line {line}) has {len(record)} cells and the header "
                        f"{width}; mend the line, or put cells with a comma in quotes"
                    )
            for i, column in columns.items():
                column.add([record[i] for record, _ in chunk], at[i])
            start += len(chunk)
        return columns


def _check_text(label: str, head: bytes) -> None:
    for magic, what in _MAGIC.items():
        if head.startswith(magic):
            remedy = "" if ";" in what else "; give it the ending that says so"
            raise FileError(f"{label}: not CSV but {what}{remedy}")
    if b"\0" in head:
        raise FileError(f"{label}: a binary file, not CSV; export it as CSV in UTF-8")


def _check_header(table: _Csv, names: tuple[str, ...]) -> None:
    if not names:
        raise DataError(f"{table.label}: no header; the first line must name the columns")
    if len(names) > _COLUMNS:
        raise DataError(f"{table.label}: {len(names):,} columns, more than {_COLUMNS:,}; use npy or Parquet")
    garbled = next((name for name in names if any("\udc80" <= c <= "\udcff" for c in name)), None)
    if garbled is not None:
        raise DataError(f"{table.label}: header: {garbled!r} is not UTF-8; save the file as UTF-8")
    twice = first_twice(names)
    if twice is not None:
        raise DataError(f"{table.label}: header: two columns are named {twice!r}; rename one")
    if numbers_or_none(names) is not None:
        raise DataError(f"{table.label}: the first line is numbers; put a line that names the columns above it")
    other = next((d for d in ";\t|" if len(names) == 1 and d in names[0]), None)
    if other is not None:
        hint = "name it .tsv" if other == "\t" else "export it with ',' between cells and '.' in numbers"
        raise DataError(f"{table.label}: cells are divided by {other!r}, not {table.delimiter!r}; {hint}")
