"""A clean CSV file, by pyarrow: several threads, no Python object a cell."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Sequence
from typing import Any, BinaryIO

import numpy as np

from gdjax.files import open_regular
from gdjax.tables.cells import RawColumn

__all__ = ["read_clean"]

_BLOCK = 1 << 22


def read_clean(
    path: str | os.PathLike[str],
    delimiter: str,
    width: int,
    wanted: Sequence[int],
    numeric: Collection[int],
    max_bytes: int | None,
) -> dict[int, RawColumn] | None:
    """The columns ``wanted`` of a file whose header is line 1, those in ``numeric`` as numbers.

    None where pyarrow is not installed or the file is in any way unusual: then the standard library must read it.
    """
    if importlib.util.find_spec("pyarrow") is None:
        return None
    import pyarrow
    from pyarrow import csv

    names = [str(i) for i in range(width)]
    with open_regular(path, max_bytes) as (file, _):
        if not _plain(file, ord(delimiter)):
            return None
        file.seek(0)
        types = {str(i): pyarrow.float64() if i in numeric else pyarrow.string() for i in wanted}
        try:
            table = csv.read_csv(
                file,
                read_options=csv.ReadOptions(skip_rows=1, column_names=names),
                parse_options=csv.ParseOptions(delimiter=delimiter),
                convert_options=csv.ConvertOptions(
                    column_types=types, include_columns=list(types), null_values=[], strings_can_be_null=False
                ),
            )
        except (pyarrow.ArrowException, ValueError, MemoryError):
            return None
    columns = {i: _raw_column(table.column(str(i))) for i in wanted}
    return None if any(column is None for column in columns.values()) else {i: c for i, c in columns.items() if c}


def _plain(file: BinaryIO, delimiter: int) -> bool:
    """Whether each quote opens or closes a whole cell of one line: where the two readers cannot differ.

    A block at a time, and not by memory map: a file that shrinks would end the process (SIGBUS).
    """
    edges = np.array([delimiter, ord("\n"), ord("\r")])
    neighbours, lines, count, last = [], [], 0, b"\n"
    block = file.read(_BLOCK)
    while block:
        following = file.read(_BLOCK)
        data = np.frombuffer(last + block + (following[:1] or b"\n"), np.uint8)
        inner = data[1:-1]
        if (inner == 0).any():
            return False
        quotes = np.flatnonzero(inner == ord('"'))
        if len(quotes):
            ends = np.flatnonzero((inner == ord("\n")) | (inner == ord("\r")))
            neighbours.append(np.isin(np.stack([data[quotes], data[quotes + 2]]), edges))
            lines.append(count + np.searchsorted(ends, quotes))
            count += len(ends)
        else:
            count += int(np.isin(inner, edges[1:]).sum())
        last, block = block[-1:], following
    if not lines:
        return True
    at, line = np.concatenate(neighbours, axis=1), np.concatenate(lines)
    if len(line) % 2:
        return False
    opens, closes = at[0, ::2], at[1, 1::2]
    return bool(opens.all() and closes.all() and (line[::2] == line[1::2]).all())


def _raw_column(column: Any) -> RawColumn | None:
    import pyarrow

    if pyarrow.types.is_floating(column.type):
        values = column.to_numpy()
        return RawColumn([values]) if np.isfinite(values).all() else None
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pyarrow.ChunkedArray):
        coded = coded.combine_chunks()
    levels = {level: i for i, level in enumerate(coded.dictionary.to_pylist())}
    return RawColumn([coded.indices.to_numpy().astype(np.int64)], levels)
