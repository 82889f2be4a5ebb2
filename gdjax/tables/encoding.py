"""Columns of a table as columns of X: numbers as they are, categories one column a level, missing values as asked."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from gdjax.errors import DataError, nearest
from gdjax.tables.source import Cells, Numbers, Texts

__all__ = ["Column", "Missing", "Unseen", "as_float", "encode", "keys", "learn", "present"]

Missing: TypeAlias = Literal["error", "drop", "mean", "keep"]
Unseen: TypeAlias = Literal["error", "zero"]
Place: TypeAlias = Callable[[int, str], str]
_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,17}")
_LEVELS = 64  # of a text column that nobody called categorical


@dataclass(frozen=True)
class Column:
    """How one column of the table became columns of X.

    ``levels`` is None for numbers. ``fill`` replaces a missing number; ``indicator`` adds a column that is 1 where the
    cell was missing.
    """

    name: str
    levels: tuple[str, ...] | None = None
    fill: float | None = None
    indicator: bool = False

    @property
    def features(self) -> tuple[str, ...]:
        """The names of its columns in X.

        >>> Column("carrier", ("AA", "UA"), indicator=True).features
        ('carrier=AA', 'carrier=UA', 'carrier is missing')
        """
        own = (self.name,) if self.levels is None else tuple(f"{self.name}={level}" for level in self.levels)
        return own + ((f"{self.name} is missing",) if self.indicator else ())

    def to_json(self) -> dict[str, Any]:
        """A dict that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Column:
        """The column that :meth:`to_json` wrote."""
        levels = value["levels"]
        return cls(value["name"], None if levels is None else tuple(levels), value["fill"], bool(value["indicator"]))


def learn(name: str, cells: Cells, categorical: bool, missing: Missing, place: Place) -> Column:
    """How to encode ``cells``, learnt from them.

    Raises:
        DataError: text with too many levels to be taken for categories, or a column without a value.
    """
    absent = cells.missing
    if absent.all():
        raise DataError(f"{place(0, name)}: the column has no value; leave it out (features=)")
    indicator = missing == "mean" and bool(absent.any())
    if isinstance(cells, Texts) or categorical:
        levels = _levels(cells)
        if len(levels) > _LEVELS and not categorical:
            first = cells.levels[0] if isinstance(cells, Texts) else levels[0]
            raise DataError(
                f"{place(0, name)}: {first!r} is text, and the column has {len(levels):,} different ones; "
                "name it in categorical= to have a feature for each, or leave it out (features=)"
            )
        return Column(name, levels, indicator=indicator)
    finite = cells.values[~absent]
    return Column(name, fill=float(np.mean(finite, dtype=np.float64)) if indicator else None, indicator=indicator)


def encode(
    column: Column, cells: Cells, missing: Missing, unseen: Unseen, place: Place, out: npt.NDArray[np.floating[Any]]
) -> None:
    """Writes the columns of X, in the order of ``column.features``, to ``out``, (N, their number).

    Raises:
        DataError: a missing value where none may be, a number where a category was, or a level that was not trained.
    """
    absent = cells.missing
    if column.indicator:
        out[:, -1] = absent
    elif missing != "keep":
        present(column.name, cells, place)
    if column.levels is None:
        if isinstance(cells, Texts):
            row = int(np.argmin(absent))
            text = cells.levels[cells.codes[row]]
            raise DataError(f"{place(row, column.name)}: {text!r} is not a number, and the column was numeric at fit")
        out[:, 0] = cells.values
        if column.fill is not None:
            out[absent, 0] = as_float(cells.values).dtype.type(column.fill)
        return
    names, codes = _coded(cells)
    trained = {level: i for i, level in enumerate(column.levels)}
    known = np.array([trained.get(name, -1) for name in names] or [-1])
    at = np.where(absent, -1, known[codes])
    if unseen == "error" and (new := (at < 0) & ~absent).any():
        row = int(np.argmax(new))
        level = names[codes[row]]
        raise DataError(
            f"{place(row, column.name)}: the level {level!r} was not there at fit; {nearest(level, column.levels)} "
            "(or pass unseen='zero' for none of them)"
        )
    hot = out[:, : len(column.levels)]
    hot[:] = 0
    found = np.flatnonzero(at >= 0)
    hot[found, at[found]] = 1
    if missing == "keep" and not column.indicator:
        hot[absent] = np.nan


def present(name: str, cells: Cells, place: Place) -> None:
    """Refuses a missing value.

    Raises:
        DataError: at the first one.
    """
    absent = cells.missing
    if absent.any():
        where = place(int(np.argmax(absent)), name)
        raise DataError(f"{where}: a missing value; fill it, or pass missing='drop', or at fit missing='mean'")


def as_float(values: npt.NDArray[Any]) -> npt.NDArray[np.floating[Any]]:
    """float32 and float64 as they are, anything else as float64."""
    return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)


def _coded(cells: Cells) -> tuple[Sequence[str], npt.NDArray[np.int64]]:
    if isinstance(cells, Texts):
        return cells.levels, cells.codes
    values, codes = np.unique(cells.values, return_inverse=True)
    return [_plain(value) for value in values.tolist()], codes.astype(np.int64)


def _levels(cells: Cells) -> tuple[str, ...]:
    if isinstance(cells, Texts):
        levels = [cells.levels[code] for code in np.unique(cells.codes[cells.codes >= 0])]
        return tuple(sorted(levels, key=int if all(map(_INTEGER.fullmatch, levels)) else str))
    return tuple(_plain(value) for value in np.unique(cells.values[~cells.missing]).tolist())


def _plain(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def keys(cells: Cells) -> npt.NDArray[Any]:
    """The keys of groups, (N,): integers where all are written as such (a zip code 01234 is not), else as they are."""
    if isinstance(cells, Numbers):
        return cells.values
    if all(_INTEGER.fullmatch(level) for level in cells.levels):
        return np.array([int(level) for level in cells.levels], np.int64)[cells.codes]
    longest = max(map(len, cells.levels), default=1)
    return np.array(cells.levels, np.str_ if longest <= 64 else object)[cells.codes]
