"""What a cell of a text file is: a number, a missing value, or text. Strict: 1_000 is none of them.

A column is numeric when one of its cells is a number; then any text in it is an error that names the cell. A column
without a number is text, unless a cell is a number in another spelling (1_000, 1,000, $5, 12%).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from gdjax.errors import DataError
from gdjax.tables.source import Cells, Numbers, Texts

__all__ = ["RawColumn", "finish", "numbers_or_none"]

_NUMBER = re.compile(r"\s*[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?\s*", re.ASCII)
_INFINITE = re.compile(r"\s*[+-]?inf(?:inity)?\s*", re.IGNORECASE | re.ASCII)
_ALMOST = re.compile(r"\s*[+-]?[$€£]?\s*\d[\d_,.' ]*(?:[eE][+-]?\d+)?%?\s*|\s*[+-]?0[xX][0-9a-fA-F]+\s*")
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none", "#n/a"})


@dataclass
class RawColumn:
    """A column while it is read: float arrays of numbers, and int64 arrays of indices into the texts met so far."""

    parts: list[npt.NDArray[Any]] = field(default_factory=list)
    levels: dict[str, int] = field(default_factory=dict)

    def add(self, cells: Sequence[str], as_text: bool) -> None:
        """Take the next cells, as numbers where all of them are and ``as_text`` is False."""
        numbers = None if as_text else numbers_or_none(cells)
        if numbers is None:
            codes = (self.levels.setdefault(cell, len(self.levels)) for cell in cells)
            numbers = np.fromiter(codes, np.int64, len(cells))
        self.parts.append(numbers)


def numbers_or_none(cells: Sequence[str]) -> npt.NDArray[Any] | None:
    """All of ``cells`` as finite numbers, or None: the quick test that most columns pass.

    >>> numbers_or_none(["1", " 2.5e3"])
    array([1.0e+00, 2.5e+03])
    >>> [numbers_or_none([cell]) for cell in ("1_000", "1e400", "nan", "")]
    [None, None, None, None]
    """
    joined = "".join(cells)
    if "_" in joined or not joined.isascii():  # float() takes 1_000, and digits of every script
        return None
    try:
        values = np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None
    return values if np.isfinite(values).all() else None


def finish(column: RawColumn, as_text: bool, place: Callable[[int], str]) -> Cells:
    """The column that ``column`` was read as; ``place(row)`` says where a cell stands.

    Raises:
        DataError: bytes that are not UTF-8, text in a numeric column, a number beyond float64 or in another spelling.
    """
    levels = tuple(column.levels)
    missing = [level.strip().lower() in _MISSING for level in levels]
    numeric = any(part.dtype.kind == "f" for part in column.parts) or any(map(_NUMBER.fullmatch, levels))
    if as_text or not (numeric or all(missing) or any(map(_ALMOST.fullmatch, levels))):
        _refuse_first(column, levels, [_garbled(level) for level in levels], place)
        codes = _join([part.astype(np.int64) for part in column.parts], np.int64)
        blank = np.array([not level.strip() for level in levels] or [False])
        return Texts(levels, np.where(blank[codes], -1, codes) if len(codes) else codes)
    wrong = [_wrong(level, absent) for level, absent in zip(levels, missing, strict=True)]
    _refuse_first(column, levels, wrong, place)
    values = np.array([_value(level) for level in levels])
    return Numbers(_join([p if p.dtype.kind == "f" else values[p] for p in column.parts], np.float64))


def _refuse_first(column: RawColumn, levels: Sequence[str], wrong: list[bool], place: Callable[[int], str]) -> None:
    if not any(wrong):
        return
    row = 0
    for part in column.parts:
        if part.dtype.kind == "i":
            bad = np.flatnonzero(np.array(wrong)[part])
            if len(bad):
                raise DataError(f"{place(row + int(bad[0]))}: {_complaint(levels[part[bad[0]]])}")
        row += len(part)


def _join(parts: list[npt.NDArray[Any]], dtype: Any) -> npt.NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _value(level: str) -> float:
    if _NUMBER.fullmatch(level):
        return float(level)
    if _INFINITE.fullmatch(level):
        return -math.inf if "-" in level else math.inf
    return math.nan


def _wrong(level: str, missing: bool) -> bool:
    if _NUMBER.fullmatch(level):
        return math.isinf(float(level))
    return not missing and not _INFINITE.fullmatch(level)


def _garbled(level: str) -> bool:
    return not level.isascii() and any("\udc80" <= c <= "\udcff" for c in level)


def _complaint(cell: str) -> str:
    shown = repr(cell if len(cell) <= 40 else cell[:37] + "...")
    if _garbled(cell):
        return f"{shown} is not UTF-8; save the file as UTF-8"
    if _NUMBER.fullmatch(cell):
        return f"{cell.strip()} is beyond float64 (largest 1.8e308); rescale the column"
    if _ALMOST.fullmatch(cell):
        return f"{shown} is not a plain number; write digits with a point, such as 1000.5"
    return f"{shown} is not a number; mend the cell, or name the column in categorical="
