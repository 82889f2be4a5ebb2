"""A clean CSV file, by pyarrow: several threads, no Python object a cell."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from gdjax.files import open_regular
from gdjax.tables.cells import Pieces

__all__ = ["read_clean"]


def read_clean(
    path: str | os.PathLike[str],
    delimiter: str,
    width: int,
    wanted: Sequence[int],
    numeric: Collection[int],
    max_bytes: int | None,
) -> dict[int, Pieces] | None:
    """The columns ``wanted`` of a file whose header is line 1, those in ``numeric`` as numbers.

    None where pyarrow is not installed or the file is in any way unusual: then the standard library must read it.
    """
    if importlib.util.find_spec("pyarrow") is None:
        return None
    import pyarrow
    from pyarrow import csv

    names = [str(i) for i in range(width)]
    with open_regular(path, max_bytes) as (file, size):
        if not _plain(np.memmap(file, np.uint8, "r") if size else np.zeros(0, np.uint8), ord(delimiter)):
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
    columns = {i: _pieces(table.column(str(i))) for i in wanted}
    return None if any(column is None for column in columns.values()) else {i: c for i, c in columns.items() if c}


def _plain(data: npt.NDArray[np.uint8], delimiter: int) -> bool:
    """Whether each quote opens or closes a whole cell of one line: where the two readers cannot differ."""
    if (data == 0).any():
        return False
    quotes = np.flatnonzero(data == ord('"'))
    if not len(quotes):
        return True
    if len(quotes) % 2:
        return False
    edges = np.array([delimiter, ord("\n"), ord("\r")])
    before, after = data[quotes[::2] - 1], data[(quotes[1::2] + 1).clip(max=len(data) - 1)]
    opens = np.isin(before, edges) | (quotes[::2] == 0)
    closes = np.isin(after, edges) | (quotes[1::2] == len(data) - 1)
    ends = np.flatnonzero((data == ord("\n")) | (data == ord("\r")))
    inside = np.searchsorted(ends, quotes[::2]) != np.searchsorted(ends, quotes[1::2])
    return bool(opens.all() and closes.all() and not inside.any())


def _pieces(column: Any) -> Pieces | None:
    import pyarrow

    if pyarrow.types.is_floating(column.type):
        values = column.to_numpy()
        return Pieces([values]) if np.isfinite(values).all() else None
    coded = column.combine_chunks().dictionary_encode()
    if isinstance(coded, pyarrow.ChunkedArray):
        coded = coded.combine_chunks()
    levels = {level: i for i, level in enumerate(coded.dictionary.to_pylist())}
    return Pieces([coded.indices.to_numpy().astype(np.int64)], levels)
