"""A table read: X, y, groups and weights, with the names and the encoding that predict needs again."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from gdjax.errors import DataError
from gdjax.tables.encoding import Column, Missing, Unseen, keys
from gdjax.tables.reading import Names, Reading
from gdjax.tables.source import Source
from gdjax.tables.stream import TableStream, streamed

__all__ = ["Table", "from_frame", "read"]


@dataclass(frozen=True)
class Table:
    """What a fit takes.

    Attributes:
        X: (N, D), float32 where all columns are, else float64; or a stream, which brings its y and weights.
        y: (N,) the target; None where none was asked for, and with a stream.
        feature_names: D names.
        groups: (N,) keys, or a tuple of such arrays where several columns make the key; None without ``by``.
        sample_weight: (N,), or None.
        columns: how each column of the table became columns of X; ``read(..., columns=)`` does the same again.
        target, by: the names of the columns.
        rows: (N,) the table's rows that are in X, where some were dropped; else None.
    """

    X: Any
    y: npt.NDArray[Any] | None
    feature_names: tuple[str, ...]
    groups: npt.NDArray[Any] | tuple[npt.NDArray[Any], ...] | None
    sample_weight: npt.NDArray[Any] | None
    columns: tuple[Column, ...]
    target: str | None
    by: tuple[str, ...]
    rows: npt.NDArray[np.intp] | None = None

    @property
    def recipe(self) -> dict[str, Any]:
        """What reads other tables like this one, as JSON holds it: {"target", "by", "columns"}."""
        columns = [column.to_json() for column in self.columns]
        return {"target": self.target, "by": list(self.by), "columns": columns}


def read(
    path: str | os.PathLike[str],
    *,
    target: str | None = None,
    features: Names = None,
    by: Names = None,
    sample_weight: str | None = None,
    categorical: Names = None,
    missing: Missing | None = None,
    columns: Sequence[Column] | None = None,
    unseen: Unseen = "error",
    max_bytes: int | None = None,
    memory_limit: int | None = None,
) -> Table:
    """Read a file as a table: .csv, .tsv, .npz, .npy, .parquet, .feather.

    Args:
        path: the file; its ending says what it is.
        target: the column of y. A npz with X and y has one, ``y``, as it has ``groups`` and ``sample_weight``.
        features: the columns of X; by default all that are nothing else.
        by: the column, or columns, whose values make the groups.
        sample_weight: the column of weights.
        categorical: columns that hold categories though they look like numbers, or though they have many levels.
        missing: what becomes of an empty cell or NaN: "error"; "drop", the row with it; "mean", of the column, and an
            indicator column; "keep", as NaN, for fleets, where it fails its own group alone. By default "keep" with
            groups, else "error".
        columns: those of the table of a fit; then X is made as it was there, and ``target`` may be left out.
        unseen: what becomes of a category that was not there at fit: "error", or "zero" in all of its columns.
        max_bytes: the most that is read at once; by default the machine's memory.
        memory_limit: bytes over which the numbers of a Parquet or npy file are not held in memory: X is then a
            `gdjax.stream.Stream`, which `gdjax.fit` reads a block at a time, y among them. None: they always are.

    Raises:
        FileError: no such file, or none of its kind.
        DataError: a bad cell, named by row and column; columns that are missing, or stand twice.
        UsageError: an argument that is none of those above.

    Row numbers in messages count from 0, as arrays do; lines are those of an editor.
    """
    reading = Reading.of(
        _open(path, max_bytes), target, features, by, sample_weight, categorical, missing, columns, unseen
    )
    if memory_limit is not None and streamed(reading, memory_limit):
        return _streamed(reading, memory_limit)
    return _table(reading)


def from_frame(
    frame: Any,
    *,
    target: str | None = None,
    features: Names = None,
    by: Names = None,
    sample_weight: str | None = None,
    categorical: Names = None,
    missing: Missing | None = None,
    columns: Sequence[Column] | None = None,
    unseen: Unseen = "error",
) -> Table:
    """A pandas, Polars or Arrow table; the arguments and errors are those of :func:`read`."""
    from gdjax.tables.frames import open_frame

    return _table(
        Reading.of(open_frame(frame), target, features, by, sample_weight, categorical, missing, columns, unseen)
    )


def _open(path: str | os.PathLike[str], max_bytes: int | None) -> Source:
    ending = os.path.splitext(path)[1].lower()
    if ending == ".npz":
        from gdjax.tables.numpy_file import open_npz

        return open_npz(path, max_bytes)
    if ending == ".npy":
        from gdjax.tables.numpy_file import open_npy

        return open_npy(path, max_bytes)
    if ending in (".parquet", ".pq"):
        from gdjax.tables.frames import open_parquet

        return open_parquet(path, max_bytes)
    if ending in (".feather", ".arrow", ".ipc"):
        from gdjax.tables.frames import open_feather

        return open_feather(path, max_bytes)
    from gdjax.tables.csv_file import open_csv

    return open_csv(path, max_bytes)


def _table(reading: Reading) -> Table:
    cells = reading.source.load(reading.wanted, reading.text)
    if not len(next(iter(cells.values())).missing):
        raise DataError(f"{reading.source.label}: no rows")
    cells, rows, place = reading.checked(cells)
    if rows is not None and not len(rows):
        raise DataError(
            f"{reading.source.label}: no row is without a missing value; leave out the columns that have them"
        )
    columns = reading.learnt(cells, place)
    groups = tuple(keys(cells[name]) for name in reading.by)
    return Table(
        X=reading.encoded(columns, cells, place),
        y=reading.vector(reading.target, cells),
        feature_names=tuple(feature for column in columns for feature in column.features),
        groups=(groups[0] if len(groups) == 1 else groups) if groups else None,
        sample_weight=reading.vector(reading.weighted, cells),
        columns=columns,
        target=reading.target,
        by=reading.by,
        rows=rows,
    )


def _streamed(reading: Reading, memory_limit: int) -> Table:
    stream = TableStream(reading, memory_limit)
    return Table(stream, None, stream.features, None, None, stream.columns, reading.target, ())
