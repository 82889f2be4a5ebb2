"""A table read: X, y, groups and weights, with the names and the encoding that predict needs again."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from gdjax.errors import DataError, UsageError, nearest
from gdjax.tables.encoding import Column, Missing, Place, Unseen, as_float, encode, keys, learn
from gdjax.tables.source import Cells, Numbers, Source, first_twice

__all__ = ["Table", "from_frame", "read"]

Names = str | Iterable[str] | None


@dataclass(frozen=True)
class Table:
    """What a fit takes.

    Attributes:
        X: (N, D), float32 where all columns are, else float64.
        y: (N,) the target; None where none was asked for.
        feature_names: D names.
        groups: (N,) keys, or a tuple of such arrays where several columns make the key; None without ``by``.
        sample_weight: (N,), or None.
        columns: how each column of the table became columns of X; ``read(..., columns=)`` does the same again.
        target, by: the names of the columns.
        rows: (N,) the table's rows that are in X, where some were dropped; else None.
    """

    X: npt.NDArray[np.floating[Any]]
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
        max_bytes: the most that is read; by default the machine's memory.

    Raises:
        FileError: no such file, or none of its kind.
        DataError: a bad cell, named by row and column; columns that are missing, or stand twice.
        UsageError: an argument that is none of those above.

    Row numbers in messages count from 0, as arrays do; lines are those of an editor.
    """
    return _table(_open(path, max_bytes), target, features, by, sample_weight, categorical, missing, columns, unseen)


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

    return _table(open_frame(frame), target, features, by, sample_weight, categorical, missing, columns, unseen)


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


def _table(
    source: Source,
    target: str | None,
    features: Names,
    by: Names,
    sample_weight: str | None,
    categorical: Names,
    missing: Missing | None,
    columns: Sequence[Column] | None,
    unseen: Unseen,
) -> Table:
    for name, given, known in (("missing", missing, get_args(Missing)), ("unseen", unseen, get_args(Unseen))):
        if given is not None and given not in known:
            raise UsageError(f"{name}={given!r}; {nearest(str(given), known)}")
    keyed = source.by if by is None else _names(by)
    weighted = sample_weight or source.sample_weight
    target = target or (source.target if columns is None else None)
    if target is None and columns is None:
        raise UsageError(f"{source.label}: no target; name y's column with target=; columns: {_listed(source.names)}")
    parts = [name for name in (target, *keyed, weighted) if name is not None]
    chosen = _features(source, features, columns, parts)
    coded = _names(categorical) or tuple(c.name for c in columns or () if c.levels is not None)
    _check_names(source, (*parts, *chosen, *coded))
    if target in chosen:
        raise UsageError(f"{source.label}: the target {target!r} is among the features; take it out of features=")

    def place(row: int, name: str) -> str:
        return f"{source.label}: {source.place(row)}, column {name!r}"

    policy: Missing = missing or ("keep" if keyed else "error")
    cells = source.load(list(dict.fromkeys((*parts, *chosen))), {*keyed, *coded})
    if not len(next(iter(cells.values())).missing):
        raise DataError(f"{source.label}: no rows")
    _check_values(cells, [n for n in (target, weighted) if n], chosen, keyed, policy, place)
    kept = _kept(cells) if policy == "drop" else None
    if kept is not None:
        cells = {name: column.take(kept) for name, column in cells.items()}
        if not len(kept):
            raise DataError(f"{source.label}: no row is without a missing value; leave out the columns that have them")
        rows = kept

        def place(row: int, name: str) -> str:
            return f"{source.label}: {source.place(int(rows[row]))}, column {name!r}"

    if columns is None:
        columns = [learn(name, cells[name], name in coded, policy, place) for name in chosen]
    encoded = [x for c in columns for x in encode(c, cells[c.name], policy, unseen, place)]
    names = tuple(feature for column in columns for feature in column.features)
    groups = tuple(keys(cells[name]) for name in keyed)
    return Table(
        X=np.column_stack([x.astype(np.result_type(*encoded), copy=False) for x in encoded]),
        y=None if target is None else as_float(_numbers(cells[target])),
        feature_names=names,
        groups=(groups[0] if len(groups) == 1 else groups) if groups else None,
        sample_weight=None if weighted is None else as_float(_numbers(cells[weighted])),
        columns=tuple(columns),
        target=target,
        by=keyed,
        rows=kept,
    )


def _names(given: Names) -> tuple[str, ...]:
    if given is None:
        return ()
    listed = [given] if isinstance(given, str) else list(given)
    return tuple(str(name) for name in listed if name != "")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:8])) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def _features(
    source: Source, features: Names, columns: Sequence[Column] | None, parts: Sequence[str]
) -> tuple[str, ...]:
    if columns is not None:
        return tuple(column.name for column in columns)
    if features is None:
        others = {*parts, source.target, *source.by, source.sample_weight}
        chosen = tuple(name for name in source.names if name not in others)
        if "" in chosen:
            raise DataError(f"{source.label}: header: a column has no name; name it, or the features (features=)")
    else:
        chosen = _names(features)
    twice = first_twice(chosen)
    if twice is not None:
        raise UsageError(f"features: {twice!r} stands twice; name it once")
    if not chosen:
        raise DataError(f"{source.label}: no features; the table needs a column besides {_listed(parts)}")
    return chosen


def _check_names(source: Source, wanted: Iterable[str]) -> None:
    known = set(source.names)
    for name in wanted:
        if name not in known:
            raise DataError(f"{source.label}: no column {name!r}; {nearest(name, source.names)}")


def _check_values(
    cells: dict[str, Cells],
    numeric: Sequence[str],
    chosen: Sequence[str],
    keyed: Sequence[str],
    policy: Missing,
    place: Place,
) -> None:
    for name in numeric:
        column = cells[name]
        if not isinstance(column, Numbers):
            row = int(np.argmin(column.missing))
            raise DataError(f"{place(row, name)}: {column.levels[column.codes[row]]!r} is not a number; code it as one")
    for name in (*numeric, *chosen):
        column = cells[name]
        if isinstance(column, Numbers) and policy != "keep" and column.values.dtype.kind == "f":
            infinite = np.isinf(column.values)
            if infinite.any():
                row = int(np.argmax(infinite))
                raise DataError(f"{place(row, name)}: {column.values[row]} is not finite; mend the cell")
    for name in (*keyed, *numeric):
        absent = cells[name].missing
        refused = policy in ("error", "mean") or (policy == "keep" and name in keyed)
        if refused and absent.any():
            row = int(np.argmax(absent))
            raise DataError(f"{place(row, name)}: a missing value; fill it, or pass missing='drop'")


def _kept(cells: dict[str, Cells]) -> npt.NDArray[np.intp] | None:
    absent = np.logical_or.reduce([column.missing for column in cells.values()])
    return np.flatnonzero(~absent) if absent.any() else None


def _numbers(cells: Cells) -> npt.NDArray[Any]:
    assert isinstance(cells, Numbers)
    return cells.values
