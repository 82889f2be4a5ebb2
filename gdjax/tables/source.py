"""What every reader gives: named columns, each of numbers or of text, and where a row stands in the source."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Cells", "Numbers", "Pieces", "Source", "Texts", "first_twice", "from_array", "row_of_array"]


@dataclass(frozen=True)
class Numbers:
    """A column of numbers, (N,) bool, integer or float; NaN where a cell is missing."""

    values: npt.NDArray[Any]

    @cached_property
    def finite(self) -> bool:
        """Whether all are numbers: asked for each block that is read, and most often so."""
        if self.values.dtype.kind != "f":
            return True
        with np.errstate(over="ignore", invalid="ignore"):
            # a sum is finite only if all are, and several times as fast
            return bool(np.isfinite(self.values.sum())) or bool(np.isfinite(self.values).all())

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """(N,) whether a cell is missing."""
        return np.zeros(len(self.values), bool) if self.finite else np.isnan(self.values)

    def take(self, rows: npt.NDArray[np.intp]) -> Numbers:
        """These rows."""
        return Numbers(self.values[rows])


@dataclass(frozen=True)
class Texts:
    """A column of text: its different values in order of first appearance, and each row's index, -1 where missing."""

    levels: tuple[str, ...]
    codes: npt.NDArray[np.int64]

    @property
    def missing(self) -> npt.NDArray[np.bool_]:
        """(N,) whether a cell is missing."""
        return self.codes < 0

    def take(self, rows: npt.NDArray[np.intp]) -> Texts:
        """These rows."""
        return Texts(self.levels, self.codes[rows])


Cells: TypeAlias = Numbers | Texts


@dataclass(frozen=True)
class Pieces:
    """How a table is read in parts: ``read(piece, names, text, most)`` gives at most ``most`` rows at a time."""

    rows: tuple[int, ...]
    """Rows of each piece; any piece can be read, from its first row on."""
    read: Callable[[int, Sequence[str], Collection[str], int], Iterator[dict[str, Cells]]]


@dataclass(frozen=True)
class Source:
    """A table that is open: ``load(names, text)`` reads these columns, those in ``text`` as text.

    ``target``, ``by`` and ``sample_weight`` are the columns that play these parts where the caller names none;
    ``pieces`` is None where the table can only be read whole.
    """

    label: str
    names: tuple[str, ...]
    load: Callable[[Sequence[str], Collection[str]], dict[str, Cells]]
    place: Callable[[int], str]
    target: str | None = None
    by: tuple[str, ...] = ()
    sample_weight: str | None = None
    pieces: Pieces | None = None


def first_twice(names: Sequence[str]) -> str | None:
    """The first name that stands twice.

    >>> first_twice(["a", "b", "a"])
    'a'
    """
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def row_of_array(row: int) -> str:
    """Rows of arrays and frames are counted from 0, as their owners count them."""
    return f"row {row}"


def from_array(values: npt.NDArray[Any]) -> Cells:
    """A column from a one-dimensional array of numbers or text."""
    if values.dtype.kind not in "US":
        return Numbers(values)
    text = np.char.decode(values, "utf-8") if values.dtype.kind == "S" else values
    levels, first, codes = np.unique(text, return_index=True, return_inverse=True)
    order = np.argsort(first)  # np.unique sorts; first appearance is what the other readers give
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    names = tuple(levels[order].tolist())
    codes = rank[codes].astype(np.int64)
    if "" in names:
        codes[codes == names.index("")] = -1
    return Texts(names, codes)
