"""A table that is not held in memory: its rows are read, and made X and y, a block at a time."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import accumulate
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from gdjax.errors import DataError, FileError
from gdjax.stream import Block, Layout, Stream, ahead, block_rows
from gdjax.tables.encoding import Column, Place, present
from gdjax.tables.reading import Reading, width
from gdjax.tables.source import Cells, Numbers, Texts

__all__ = ["TableStream"]

Part: TypeAlias = tuple[dict[str, Cells], npt.NDArray[np.intp], Place]

WINDOW_BLOCKS = 4
"""Blocks that a shuffle mixes."""


class TableStream(Stream):
    """The rows of a table that a reading asks for.

    A first pass learns how the columns are made into X, and how many rows of each block count; another counts again
    where X is wider than the table. y is 0 where the reading has no target.

    Raises:
        FileError, DataError: as `gdjax.tables.read`.
    """

    def __init__(self, reading: Reading, memory_limit: int) -> None:
        self._reading = reading
        assert reading.source.pieces is not None
        self._pieces = reading.source.pieces
        self._first_rows = [0, *accumulate(self._pieces.rows)]
        if not self._first_rows[-1]:
            raise self._no_row()
        first = next(number for number, rows in enumerate(self._pieces.rows) if rows)
        row = next(self._pieces.read(first, reading.chosen, reading.text, 1))

        def most(columns: tuple[Column, ...]) -> int:
            return block_rows(width(columns), reading.dtype(columns, row).itemsize, memory_limit)

        self._most = most(reading.columns or tuple(map(Column, reading.chosen)))
        summary = {name: Summary(name in reading.coded) for name in reading.chosen}
        counts = self._counts(summary)
        if not any(map(sum, counts)):
            raise self._no_row()
        self.columns = reading.learnt(
            {name: each.cells() for name, each in summary.items()},
            lambda row, name: f"{reading.source.label}: column {name!r}",
        )
        if most(self.columns) < self._most:  # categories made X wider than the table: shorter blocks, counted anew
            self._most = most(self.columns)
            counts = self._counts({})
        self.features = tuple(feature for column in self.columns for feature in column.features)
        self.layout = Layout(counts, WINDOW_BLOCKS * self._most)
        self.dtype = reading.dtype(self.columns, row)
        self.shape = (sum(map(sum, counts)), len(self.features))

    def _no_row(self) -> DataError:
        return DataError(f"{self._reading.source.label}: no row to train on")

    def _counts(self, summary: dict[str, Summary]) -> tuple[tuple[int, ...], ...]:
        """How many rows of each block of each piece count, by a pass that adds all cells to `summary`."""
        counts = []
        self.heaviest = 0.0 if self._reading.weighted else 1.0
        for number in range(len(self._pieces.rows)):
            rows = []
            for cells, row, place in self._cells(number):
                rows.append(len(self._counted(cells, row)[1]))
                weight = self._reading.vector(self._reading.weighted, cells)
                if weight is not None:
                    self.heaviest = max(self.heaviest, float(weight.max(initial=0.0)))
                for name, column in summary.items():
                    if self._reading.policy == "error":
                        present(name, cells[name], place)
                    column.add(cells[name])
            counts.append(tuple(rows))
        return tuple(counts)

    def piece(self, number: int) -> Iterator[Block]:
        """See `gdjax.stream.Stream.piece`."""
        return map(self._block, self._parts(number))

    def blocks(self) -> Generator[Block]:
        """See `gdjax.stream.Stream.blocks`; one thread decodes while who asks makes the blocks."""

        def parts() -> Generator[Part]:
            for number in range(len(self.layout.pieces)):
                yield from self._parts(number)

        with closing(ahead(parts(), 1)) as decoded:
            yield from map(self._block, decoded)

    def _parts(self, number: int) -> Iterator[Part]:
        """What the blocks of a piece are made of: the cells of the rows that count, where they and a cell stand."""
        expected = self.layout.pieces[number]
        met = 0
        for every, all_rows, place in self._cells(number):
            cells, row = self._counted(every, all_rows)
            if met == len(expected) or len(row) != expected[met]:
                break
            met += 1
            yield cells, row, place
        if met != len(expected):
            raise FileError(f"{self._reading.source.label}: it changed while it was read: start again")

    def _block(self, part: Part) -> Block:
        cells, row, place = part
        reading = self._reading
        y, weight = reading.vector(reading.target, cells), reading.vector(reading.weighted, cells)
        return Block(
            reading.encoded(self.columns, cells, place),
            np.zeros(len(row)) if y is None else y,
            np.ones(len(row)) if weight is None else weight.astype(np.float64),
            row,
        )

    def _cells(self, number: int) -> Iterator[Part]:
        """The cells of the rows that are not dropped, block by block, the rows' numbers, and where a cell stands."""
        reading = self._reading
        first = self._first_rows[number]
        for every in self._pieces.read(number, reading.wanted, reading.text, self._most):
            count = len(next(iter(every.values())).missing)
            cells, kept, place = reading.checked(every, first)
            yield cells, first + (np.arange(count) if kept is None else kept), place
            first += count

    def _counted(
        self, cells: dict[str, Cells], row: npt.NDArray[np.intp]
    ) -> tuple[dict[str, Cells], npt.NDArray[np.intp]]:
        """Those of a weight over 0."""
        weight = self._reading.vector(self._reading.weighted, cells)
        if weight is None:
            return cells, row
        wrong = ~(np.isfinite(weight) & (weight >= 0))
        if wrong.any():
            at = int(np.argmax(wrong))
            where = f"{self._reading.source.label}: {self._reading.source.place(int(row[at]))}"
            raise DataError(
                f"{where}, column {self._reading.weighted!r}: {weight[at]:g}: weights must be finite and >= 0"
            )
        if weight.all():
            return cells, row
        kept = np.flatnonzero(weight)
        return {name: column.take(kept) for name, column in cells.items()}, row[kept]


class Summary:
    """What an encoding is learnt from, of a column met a block at a time: its levels, or its mean and its gaps."""

    def __init__(self, coded: bool) -> None:
        self._coded, self._missing = coded, False
        self._levels: dict[str, None] = {}
        self._values: set[float] = set()
        self._sum, self._count, self._text = 0.0, 0, False

    def add(self, cells: Cells) -> None:
        """The next cells of the column."""
        absent = cells.missing
        self._missing |= bool(absent.any())
        if isinstance(cells, Texts):
            self._text = True
            self._levels.update(dict.fromkeys(cells.levels[code] for code in np.unique(cells.codes[~absent])))
        elif self._coded:
            self._values.update(np.unique(cells.values[~absent]).tolist())
        else:
            self._sum += float(np.sum(cells.values, where=~absent, dtype=np.float64))
            self._count += int(np.count_nonzero(~absent))

    def cells(self) -> Cells:
        """A column that is learnt from as the whole one is."""
        if self._text:
            levels = tuple(self._levels)
            return Texts(levels, np.array([*range(len(levels)), *[-1] * self._missing], np.int64))
        if self._coded:
            return Numbers(np.array([*sorted(self._values), *[np.nan] * self._missing]))
        mean = [self._sum / self._count] if self._count else []
        return Numbers(np.array([*mean, *[np.nan] * (self._missing or not mean)]))


def streamed(reading: Reading, memory_limit: int) -> bool:
    """Whether a table can be read a block at a time, and must be to stay within the limit."""
    pieces = reading.source.pieces
    return pieces is not None and not reading.by and 8 * sum(pieces.rows) * len(reading.wanted) > memory_limit
