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
from gdjax.tables.encoding import Place, as_float
from gdjax.tables.reading import Reading
from gdjax.tables.source import Cells, Numbers, Texts

__all__ = ["TableStream"]

Part: TypeAlias = tuple[dict[str, Cells], npt.NDArray[np.intp], Place]

WINDOW_BLOCKS = 4
"""Blocks that a shuffle mixes."""


class TableStream(Stream):
    """The rows of a table that a reading asks for.

    A first pass learns how the columns are made into X, and how many rows of each block count. y is 0 where the
    reading has no target.

    Raises:
        FileError, DataError: as `gdjax.tables.read`.
    """

    def __init__(self, reading: Reading, memory_limit: int) -> None:
        self._reading = reading
        assert reading.source.pieces is not None
        self._pieces = reading.source.pieces
        self._most = block_rows(len(reading.chosen), self._itemsize(), memory_limit)
        self._first_rows = [0, *accumulate(self._pieces.rows)]
        summary: dict[str, Summary] = {}
        counts: list[tuple[int, ...]] = []
        for number in range(len(self._pieces.rows)):
            rows = []
            for cells, row, _ in self._cells(number):
                rows.append(len(self._counted(cells, row)[1]))
                for name, column in cells.items():
                    summary.setdefault(name, Summary(name in reading.coded)).add(column)
            counts.append(tuple(rows))
        if not any(map(sum, counts)):
            raise DataError(f"{reading.source.label}: no row to train on")
        self.columns = reading.learnt(
            {name: summary[name].cells() for name in reading.chosen},
            lambda row, name: f"{reading.source.label}: column {name!r}",
        )
        self.features = tuple(feature for column in self.columns for feature in column.features)
        self.layout = Layout(tuple(counts), WINDOW_BLOCKS * self._most)
        self.dtype = next(self.piece(next(i for i, rows in enumerate(counts) if sum(rows)))).X.dtype
        self.shape = (sum(map(sum, counts)), len(self.features))

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

    def _itemsize(self) -> int:
        """Bytes of a number of X, by one row."""
        reading = self._reading
        piece = next((number for number, rows in enumerate(self._pieces.rows) if rows), None)
        if piece is None:
            return 8
        cells = next(self._pieces.read(piece, reading.chosen, reading.text, 1))
        dtypes = (as_float(c.values).dtype if isinstance(c, Numbers) else np.dtype(float) for c in cells.values())
        return np.result_type(*dtypes).itemsize

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
        if weight is None or (weight > 0).all():
            return cells, row
        wrong = ~(np.isfinite(weight) & (weight >= 0))
        if wrong.any():
            at = int(np.argmax(wrong))
            where = f"{self._reading.source.label}: {self._reading.source.place(int(row[at]))}"
            raise DataError(
                f"{where}, column {self._reading.weighted!r}: {weight[at]:g}: weights must be finite and >= 0"
            )
        kept = np.flatnonzero(weight > 0)
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
