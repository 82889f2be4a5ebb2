"""Data frames (pandas, Polars, Arrow) through narwhals, and the files that hold them: Parquet and Feather."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import numpy as np

from gdjax.errors import DataError, FileError, UsageError
from gdjax.files import open_regular, physical_memory
from gdjax.tables.source import Cells, Numbers, Pieces, Source, Texts, first_twice, row_of_array

__all__ = ["open_feather", "open_frame", "open_parquet"]

_BUFFER = 1 << 16
"""Bytes: a page larger than that is read past it."""
_PIECE = 1 << 13
"""Rows: smaller row groups are read together, each would take longer to open than to read."""

_TEXT = ("string", "large_string", "string_view")
"""Arrow's types of text; a dictionary may be of anything."""


def open_frame(frame: Any) -> Source:
    """A pandas, Polars or Arrow table.

    Raises:
        UsageError: no such table, or narwhals is not installed.
        DataError: column names that stand twice.
    """
    narwhals = _needed("narwhals", f"frame: a {type(frame).__name__}")
    try:
        table = narwhals.from_native(frame)
        table = table.collect() if isinstance(table, narwhals.LazyFrame) else table
        names = tuple(map(str, table.columns))
    except (TypeError, narwhals.exceptions.NarwhalsError, ValueError) as error:
        if isinstance(error, TypeError):
            raise UsageError(f"{type(frame).__name__} is not a table; pass a pandas, Polars or Arrow one") from error
        raise DataError(f"frame: {' '.join(str(error).split())}; rename one") from error
    return _source("frame", names, lambda wanted: table[:, [names.index(name) for name in wanted]])


def open_parquet(path: str | os.PathLike[str], max_bytes: int | None = None) -> Source:
    """The Parquet file at ``path``; only the columns that are asked for are read."""
    label, parquet = str(path), _needed("pyarrow.parquet", f"{path}: Parquet")
    _needed("narwhals", f"{path}: Parquet")
    with _reading(label, path, sys.maxsize) as file:
        opened = parquet.ParquetFile(file)
        names, known, state = tuple(opened.schema_arrow.names), opened.metadata, _state(path)
        rows = known.num_rows
        pieces = _joined([known.row_group(i).num_rows for i in range(known.num_row_groups)])
    lengths = tuple(sum(known.row_group(i).num_rows for i in piece) for piece in pieces)

    def table(wanted: Sequence[str]) -> Any:
        _check_size(label, rows, len(wanted), max_bytes)
        with _reading(label, path, max_bytes) as file:
            return _checked(parquet.ParquetFile(file).read(list(wanted)), label)

    def parts(piece: int, wanted: Sequence[str], most: int) -> Iterator[Any]:
        with _reading(label, path, sys.maxsize) as file:
            # what a file of many row groups says of itself takes long to read; one that has changed says it anew
            said = known if _state(path) == state else None
            # a column of a row group is read through a buffer: a row group may be larger than the memory
            opened = parquet.ParquetFile(file, metadata=said, buffer_size=_BUFFER, pre_buffer=False)
            yield from opened.iter_batches(most, row_groups=list(pieces[piece]), columns=list(wanted))
        _give_back()

    return _source(label, names, table, _pieces(label, lengths, parts))


def _state(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """What changes with a file."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _joined(rows: Sequence[int]) -> list[range]:
    """Row groups of ``rows``, neighbours together up to `_PIECE` of them."""
    pieces: list[range] = []
    held = 0
    for i, count in enumerate(rows):
        if pieces and held + count <= _PIECE:
            pieces[-1] = range(pieces[-1].start, i + 1)
            held += count
        else:
            pieces.append(range(i, i + 1))
            held = count
    return pieces


def open_feather(path: str | os.PathLike[str], max_bytes: int | None = None) -> Source:
    """The Feather (Arrow IPC) file at ``path``."""
    label, ipc = str(path), _needed("pyarrow.ipc", f"{path}: Feather")
    _needed("narwhals", f"{path}: Feather")
    with _reading(label, path, max_bytes) as file:
        schema = ipc.open_file(file, options=ipc.IpcReadOptions(ensure_native_endian=False)).schema
        names = tuple(schema.names)
        # all else being equal, the order of bytes is not
        if not schema.equals(_needed("pyarrow", label).schema(list(schema))):
            raise FileError(f"{label}: of another byte order than this machine, or damaged; write it again")

    def table(wanted: Sequence[str]) -> Any:
        with _reading(label, path, max_bytes) as file:
            keep = [names.index(name) for name in wanted]
            opened = ipc.open_file(file, options=ipc.IpcReadOptions(included_fields=keep))
            _check_size(label, opened.count_rows(), len(wanted), max_bytes)
            return _checked(opened.read_all().select(list(wanted)), label)

    return _source(label, names, table)


def _pieces(label: str, rows: tuple[int, ...], parts: Callable[[int, Sequence[str], int], Iterator[Any]]) -> Pieces:
    import pyarrow

    def read(piece: int, wanted: Sequence[str], text: Collection[str], most: int) -> Iterator[dict[str, Cells]]:
        for batch in parts(piece, wanted, most):
            # numbers without a gap need no frame, which takes as long to make as a block to read
            plain = {name: batch.column(name) for name in wanted if _plain(batch.column(name))}
            others = [name for name in wanted if name not in plain]
            cells: dict[str, Cells] = {name: Numbers(column.to_numpy()) for name, column in plain.items()}
            if others:
                table = _checked(pyarrow.Table.from_batches([batch]).select(others), label)
                cells |= _all_cells(label, others, table)
            yield {name: cells[name] for name in wanted}

    return Pieces(rows, read)


def _plain(column: Any) -> bool:
    import pyarrow

    numbers = pyarrow.types.is_floating(column.type) or pyarrow.types.is_integer(column.type)
    return numbers and not column.null_count


def _source(
    label: str, names: tuple[str, ...], select: Callable[[Sequence[str]], Any], pieces: Pieces | None = None
) -> Source:
    twice = first_twice(names)
    if twice is not None:
        raise DataError(f"{label}: two columns are named {twice!r}; rename one")

    def load(wanted: Sequence[str], text: Collection[str]) -> dict[str, Cells]:
        return _all_cells(label, wanted, select(wanted), text)

    return Source(label, names, load, row_of_array, pieces=pieces)


def _all_cells(label: str, wanted: Sequence[str], table: Any, text: Collection[str] = ()) -> dict[str, Cells]:
    columns = zip(wanted, table.iter_columns(), strict=True)
    return {name: _cells(column, f"{label}: column {name!r}", name in text) for name, column in columns}


def _cells(column: Any, where: str, as_text: bool) -> Cells:
    narwhals = _needed("narwhals", where)
    kind = column.dtype
    if as_text and kind.is_integer() and column.null_count():
        # a float beside the gaps could not tell 2^53 from 2^53 + 1, two keys
        return _texts(column.cast(narwhals.String), where)
    if kind.is_numeric() or kind == narwhals.Boolean:
        if not kind.is_float():
            integers = kind.is_integer() and not column.null_count()
            column = column if integers else column.cast(narwhals.Float64)
        absent = np.asarray(column.is_null().to_numpy(), bool) if column.null_count() else None
        values = np.asarray(column.to_numpy() if absent is None else column.fill_null(0).to_numpy())
        if values.dtype.kind == "O":
            values = values.astype(np.float64)
        if absent is not None:
            values = np.where(absent, np.nan, values)
        return Numbers(values)
    if kind in (narwhals.String, narwhals.Categorical, narwhals.Object) or isinstance(kind, narwhals.Enum):
        return _texts(column, where)
    raise DataError(f"{where} is of type {kind}; convert it to numbers or text")


def _texts(column: Any, where: str) -> Texts:
    arrow, native = sys.modules.get("pyarrow"), column.to_native()
    if arrow is not None and isinstance(native, arrow.ChunkedArray):
        kind = native.type.value_type if arrow.types.is_dictionary(native.type) else native.type
        if str(kind) in _TEXT:
            return _arrow_texts(native)
    levels: dict[str, int] = {}
    codes = np.empty(len(column), np.int64)
    for row, (cell, absent) in enumerate(zip(column.to_list(), column.is_null().to_list(), strict=True)):
        if not absent and isinstance(cell, str) and cell.strip():
            codes[row] = levels.setdefault(cell, len(levels))
        elif absent or isinstance(cell, str) or cell != cell:
            codes[row] = -1
        else:
            raise DataError(f"{where}, {row_of_array(row)}: {cell!r} is a {type(cell).__name__}; convert it to text")
    return Texts(tuple(levels), codes)


def _arrow_texts(column: Any) -> Texts:
    """The same of an Arrow column, coded by Arrow: no Python object a cell."""
    import pyarrow

    coded = column.cast(pyarrow.large_string()).combine_chunks().dictionary_encode()
    names = coded.dictionary.to_pylist()
    told = [i for i, name in enumerate(names) if name.strip()]
    codes = np.full(len(names) + 1, -1)
    codes[told] = np.arange(len(told))
    return Texts(tuple(names[i] for i in told), codes[coded.indices.fill_null(-1).to_numpy()])


@contextmanager
def _reading(label: str, path: str | os.PathLike[str], max_bytes: int | None) -> Iterator[Any]:
    import pyarrow

    with open_regular(path, max_bytes):
        try:
            with pyarrow.OSFile(os.fspath(path)) as opened:  # unlike Python's file, read without Python's lock
                yield opened
        except (DataError, FileError):
            raise
        except (pyarrow.ArrowException, OSError, ValueError, KeyError, MemoryError, SystemError) as error:
            text = " ".join(str(error).split())[:120]
            raise FileError(f"{label}: cannot be read as its ending says ({text}); write it again") from error


def _give_back() -> None:
    """What Arrow's pool keeps of the memory that was freed, tens of MiB, goes to the system."""
    import pyarrow

    pyarrow.default_memory_pool().release_unused()


def _checked(table: Any, label: str) -> Any:
    """The Arrow table, after its offsets and its text were checked: a damaged file is not to be read beyond its end."""
    table.validate(full=True)
    return _needed("narwhals", label).from_native(table)


def _check_size(label: str, rows: int, columns: int, max_bytes: int | None) -> None:
    limit, size = physical_memory() if max_bytes is None else max_bytes, 8 * rows * columns
    if size > limit:
        raise FileError(f"{label}: {size:,} bytes of numbers, more than the limit of {limit:,}; raise max_bytes=")


def _needed(module: str, what: str) -> ModuleType:
    """The module, which ``what`` cannot be read without."""
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        raise UsageError(f"{what} needs {package}, which is not installed: pip install 'gdjax[data]'") from error
