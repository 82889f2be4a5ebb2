"""What is to be read of a source: which columns play which part, and what becomes of missing and unseen values."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from gdjax.errors import DataError, UsageError, nearest
from gdjax.tables.encoding import Column, Missing, Place, Unseen, as_float, encode, learn
from gdjax.tables.source import Cells, Numbers, Source, first_twice

__all__ = ["Names", "Reading", "width"]

Names = str | Iterable[str] | None
Table = dict[str, Cells]


@dataclass(frozen=True)
class Reading:
    """The arguments of `gdjax.tables.read`, checked against the columns that there are."""

    source: Source
    target: str | None
    by: tuple[str, ...]
    weighted: str | None
    chosen: tuple[str, ...]
    coded: tuple[str, ...]
    policy: Missing
    unseen: Unseen
    columns: tuple[Column, ...] | None
    """How X is made of the columns, where it is known before they are read."""

    @classmethod
    def of(
        cls,
        source: Source,
        target: str | None,
        features: Names,
        by: Names,
        sample_weight: str | None,
        categorical: Names,
        missing: Missing | None,
        columns: Sequence[Column] | None,
        unseen: Unseen,
    ) -> Reading:
        """See `gdjax.tables.read`.

        Raises:
            UsageError, DataError: as there.
        """
        for name, given, known in (("missing", missing, get_args(Missing)), ("unseen", unseen, get_args(Unseen))):
            if given is not None and given not in known:
                raise UsageError(f"{name}={given!r}; {nearest(str(given), known)}")
        keyed = source.by if by is None else _names(by)
        weighted = _name(sample_weight) or source.sample_weight
        target = _name(target) or (source.target if columns is None else None)
        if target is None and columns is None:
            listed = _listed(source.names)
            raise UsageError(f"{source.label}: no target; name y's column with target=; columns: {listed}")
        parts = [name for name in (target, *keyed, weighted) if name is not None]
        chosen = _features(source, features, columns, parts)
        coded = _names(categorical) or tuple(c.name for c in columns or () if c.levels is not None)
        _check_names(source, (*parts, *chosen, *coded))
        if target in chosen:
            raise UsageError(f"{source.label}: the target {target!r} is among the features; take it out of features=")
        policy: Missing = missing or ("keep" if keyed else "error")
        return cls(
            source, target, keyed, weighted, chosen, coded, policy, unseen, None if columns is None else tuple(columns)
        )

    @property
    def wanted(self) -> list[str]:
        """The columns to read."""
        parts = [name for name in (self.target, *self.by, self.weighted) if name is not None]
        return list(dict.fromkeys((*parts, *self.chosen)))

    @property
    def text(self) -> set[str]:
        """Those of them that are text whatever they look like."""
        return {*self.by, *self.coded}

    def checked(self, cells: Table, first: int = 0) -> tuple[Table, npt.NDArray[np.intp] | None, Place]:
        """The cells without the rows that are dropped, those that are kept (None for all), and where a cell stands.

        `first` is the row of the source that the cells begin at.
        """
        source = self.source

        def place(row: int, name: str) -> str:
            return f"{source.label}: {source.place(first + row)}, column {name!r}"

        numeric = [name for name in (self.target, self.weighted) if name]
        _check_values(cells, numeric, self.chosen, self.by, self.policy, place)
        kept = _kept(cells) if self.policy == "drop" else None
        if kept is None:
            return cells, None, place
        return (
            {name: column.take(kept) for name, column in cells.items()},
            kept,
            lambda row, name: place(int(kept[row]), name),
        )

    def learnt(self, cells: Table, place: Place) -> tuple[Column, ...]:
        """How X is made of the columns, learnt from cells where it is not known."""
        if self.columns is not None:
            return self.columns
        columns = tuple(learn(name, cells[name], name in self.coded, self.policy, place) for name in self.chosen)
        twice = first_twice([feature for column in columns for feature in column.features])
        if twice is not None:
            raise DataError(f"{self.source.label}: two features are named {twice!r}; rename a column")
        return columns

    def encoded(self, columns: Sequence[Column], cells: Table, place: Place) -> npt.NDArray[np.floating[Any]]:
        """X (n, D), float32 where all columns are, else float64."""
        X = np.empty((len(next(iter(cells.values())).missing), width(columns)), self.dtype(columns, cells))
        start = 0
        for column in columns:
            end = start + len(column.features)
            encode(column, cells[column.name], self.policy, self.unseen, place, X[:, start:end])
            start = end
        return X

    def dtype(self, columns: Iterable[Column], cells: Table) -> np.dtype[np.floating[Any]]:
        """That of X."""
        numbers = (cells[c.name] if c.levels is None and not c.indicator else None for c in columns)
        kinds = (as_float(each.values[:0]).dtype if isinstance(each, Numbers) else np.dtype(float) for each in numbers)
        return np.result_type(*kinds)

    def vector(self, name: str | None, cells: Table) -> npt.NDArray[np.floating[Any]] | None:
        """A column of numbers, float32 or float64."""
        if name is None:
            return None
        column = cells[name]
        assert isinstance(column, Numbers)
        return as_float(column.values)


def width(columns: Iterable[Column]) -> int:
    """Columns of X."""
    return sum(len(column.features) for column in columns)


def _names(given: Names) -> tuple[str, ...]:
    if given is None:
        return ()
    listed = [given] if isinstance(given, str) or not isinstance(given, Iterable) else given
    return tuple(str(name) for name in listed if name != "")


def _name(given: Any) -> str | None:
    """A frame's column may be named by a number."""
    return None if given is None else str(given)


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
    if features is not None and not chosen:
        raise UsageError("features: none is named; name one, or leave it out for all other columns")
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
        if isinstance(column, Numbers) and policy != "keep" and not column.finite:
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
