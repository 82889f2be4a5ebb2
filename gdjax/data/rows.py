"""The rows that a slab's passes see: in memory, or read a block at a time."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np

from gdjax.data.arrays import floating
from gdjax.machine.blas import THIN
from gdjax.machine.threads import in_threads
from gdjax.protocol import Backend
from gdjax.samples import Samples
from gdjax.stream import Layout, Stream

BLOCK_ELEMENTS = 1 << 21
"""Numbers in a block of X that a pass holds in float64: 16 MiB."""

CACHED = 1 << 17
"""Numbers of X that a pass looks at together, of a stream's block or of own rows: what it makes of them stays in a
core's cache."""

AT_ONCE = 4
"""Parts that threads look at, at most: 16 of them on as many cores took as long as two. A part is some hundred calls,
which wait for the interpreter's lock and for fresh memory."""

SAMPLED = 1 << 16
"""Rows of a stream that a start is chosen by, at most."""

Blocks = Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Rows:
    """In memory: X (N, D) under F sets of y and weight, or each neuron's own, X (K, N, D), y and weight (K, N).

    Of shared rows y is (N,) and weight (1, N) where all sets have the same, else (F, N).
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    @property
    def shared(self) -> bool:
        """Whether all neurons see the same rows."""
        return self.X.ndim == 2

    @property
    def sets(self) -> int:
        """F, or K."""
        return len(self.weight) if self.one_y else max(len(self.weight), len(self.y))

    @property
    def weights(self) -> int:
        """Those that differ: 1 where all sets have the same, or F; K."""
        return len(self.weight)

    @property
    def one_y(self) -> bool:
        """Whether all sets have the same y."""
        return self.y.ndim == 1

    @property
    def length(self) -> np.ndarray:
        """(F,) or (K,) rows to walk in mini batches: all where they are shared."""
        return np.full(self.sets, len(self.X)) if self.shared else self.counted

    @cached_property
    def counted(self) -> np.ndarray:
        """(F,) or (K,) rows of a weight over 0."""
        return np.broadcast_to((self.weight > 0).sum(axis=1), self.sets)

    @property
    def foldable(self) -> bool:
        """Whether a backend can take X as it is."""
        return floating(self.X.dtype)

    @property
    def nbytes(self) -> int:
        """Of X."""
        return self.X.nbytes

    layout = None

    def of(self, neurons: np.ndarray | slice) -> "Rows":
        """The neurons' own rows; all where they are shared."""
        return self if self.shared else Rows(self.X[neurons], self.y[neurons], self.weight[neurons])

    def blocks(self, beside: int = 0) -> Blocks:
        """X, y and weight of n rows as they are held, in float64.

        `beside` numbers a row are made of what is shared: where they are many, a block is shorter. Own rows are in
        blocks by a neuron's own shape alone, whoever is beside it: pass those of few neurons, `by_parts`.
        """
        rows, columns = self.X.shape[-2:]
        if self.shared:
            step = BLOCK_ELEMENTS // (columns + beside + (0 if self.one_y else len(self.y)))
        else:
            # a matrix of columns by columns is made of each block: one of fewer rows would cost more than they do
            step = min(BLOCK_ELEMENTS // columns, max(CACHED // columns, columns))
        for start in range(0, rows, max(1, step)):
            at = slice(start, start + max(1, step))
            yield (
                np.asarray(self.X[..., at, :], np.float64),
                np.asarray(self.y[..., at], np.float64),
                np.asarray(self.weight[..., at], np.float64),
            )

    def one(self, neuron: int, of_set: int, most: int) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
        """A neuron's X, y and weight as they are; None where X has more than `most` numbers."""
        X = self.X if self.shared else self.X[neuron]
        if X.size > most:
            return None
        y = self.y if self.one_y else self.y[of_set]
        return X, y, self.weight[of_set % self.weights]

    def sample(self) -> "Rows":
        """Rows to choose a start by: all."""
        return self

    def moved(self, y_shift: np.ndarray) -> "Rows":
        """y less `y_shift` (S,), which is one number where all sets have the same y."""
        if not y_shift.any():
            return self
        y = np.asarray(self.y, np.float64)
        return replace(self, y=y - (y_shift[0] if self.one_y else y_shift[:, None]))

    def scaled(self, shift: np.ndarray, scale: np.ndarray, dtype: str) -> "Rows":
        """Each column (x - shift) / scale, shift and scale (D,), or (K, D) for own rows; 0 where a row is padding."""
        if self.shared:
            parts = [((x - shift) / scale).astype(dtype) for x, _, _ in self.blocks()]
            return replace(self, X=np.concatenate(parts))
        X = np.empty(self.X.shape, dtype)

        def fill(at: slice) -> None:
            end = 0
            for x, _, weight in self.of(at).blocks():
                start, end = end, end + x.shape[1]
                X[at, start:end] = np.where(weight[:, :, None] > 0, (x - shift[at, None]) / scale[at, None], 0.0)

        by_parts(self, fill, len(X))
        return replace(self, X=X)

    def astype(self, dtype: str) -> "Rows":
        """X and y in `dtype`; X of 16 bits as it is, for a backend may keep it so."""
        narrow = floating(self.X.dtype) and self.X.dtype.itemsize == 2
        return Rows(self.X if narrow else self.X.astype(dtype, copy=False), self.y.astype(dtype), self.weight)

    def on(self, backend: Backend, total: np.ndarray, fold: np.ndarray | None) -> Samples:
        """The samples on a backend."""
        # NumPy takes JAX's bfloat16 for no float: a backend that does not keep it need not know it
        keeps = self.X.dtype.kind == "f" or getattr(backend, "narrow", False)
        held = (
            self.X if keeps else self.X.astype(backend.dtype),
            self.y,
            self.weight.astype(backend.dtype),
            total.astype(backend.dtype),
        )
        for array in held[1:]:
            array.flags.writeable = False  # so that it is not copied again
        X, y, weight, total = (backend.asarray(array) for array in held)
        return Samples(X, y, weight, total, None if fold is None else backend.asarray(fold))


@dataclass(frozen=True)
class StreamedRows:
    """Read at each pass, shared by all neurons: the members are those of `Rows`."""

    stream: Stream
    sets: int = 1
    """F, of which each has a column of the stream's y (N, F); 1 where that is (N,)."""
    y_shift: float | np.ndarray = 0.0
    shift: np.ndarray | None = None
    scale: np.ndarray | None = None
    fold: np.ndarray | None = None

    shared = True
    weights = 1
    foldable = True

    @property
    def one_y(self) -> bool:
        return self.sets == 1

    @property
    def length(self) -> np.ndarray:
        return np.full(self.sets, self.stream.shape[0])

    counted = length

    @property
    def nbytes(self) -> int:
        return self.stream.nbytes

    @property
    def layout(self) -> Layout:
        return self.stream.layout

    def of(self, neurons: np.ndarray | slice) -> "StreamedRows":
        return self

    def blocks(self, beside: int = 0) -> Blocks:
        columns = self.stream.shape[1]
        step = max(1, min(CACHED // columns, BLOCK_ELEMENTS // (columns + beside + self.sets - 1)))
        for block in self.stream.read():
            for start in range(0, len(block.y), step):
                at = slice(start, start + step)
                x, y, weight = self.seen(block.X[at], block.y[at], block.weight[at], np.float64)
                yield x, y.T, weight[None]

    def seen(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray, dtype: np.typing.DTypeLike
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What was read, shifted and scaled in float64, in `dtype`."""
        if self.shift is not None:
            X = X - self.shift
            X /= self.scale  # in place: fresh memory of this size takes longer than the division
        y = y.astype(np.float64) - self.y_shift
        return X.astype(dtype, copy=False), y.astype(dtype, copy=False), weight.astype(dtype, copy=False)

    def one(self, neuron: int, of_set: int, most: int) -> None:
        return None

    @cached_property
    def _sample(self) -> Rows:
        rows, columns = self.stream.shape
        step = -(-rows // max(1, min(SAMPLED, BLOCK_ELEMENTS // columns)))
        parts, at = [], 0
        for x, y, weight in self.blocks():
            some = slice(-at % step, None, step)
            # copied: a view would hold its whole block
            parts.append((x[some].copy(), y[..., some].copy(), weight[:, some].copy()))
            at += len(x)
        return Rows(*(np.concatenate(part, axis=axis) for part, axis in zip(zip(*parts), (0, -1, -1), strict=True)))

    def sample(self) -> Rows:
        """At most `SAMPLED` rows, evenly spread."""
        return self._sample

    def moved(self, y_shift: np.ndarray) -> "StreamedRows":
        return replace(self, y_shift=float(y_shift[0]) if self.one_y else y_shift)

    def scaled(self, shift: np.ndarray, scale: np.ndarray, dtype: str) -> "StreamedRows":
        return replace(self, shift=shift, scale=scale)

    def astype(self, dtype: str) -> "StreamedRows":
        return self

    def take(self, rows: np.ndarray) -> "StreamedRows":
        """Those of the neurons `rows`, as `Samples.take`."""
        return self if self.fold is None else replace(self, fold=self.fold[rows])

    def on(self, backend: Backend, total: np.ndarray, fold: np.ndarray | None) -> "StreamedRows":
        return replace(self, fold=fold)


def by_parts(
    samples: Rows | StreamedRows, work: Callable[[slice], Result], count: int, most: int | None = None
) -> list[Result]:
    """`work` of parts, at most `most` neurons each, of `count` neurons; of own rows as many as stay in a core's cache.

    Parts of own rows go to threads; but where one neuron's matrix of columns by columns and rows are large, BLAS has
    threads of its own. Which, a neuron's shape says alone: its last bits may be BLAS's way.
    """
    step = max(1, count if most is None else most)
    if isinstance(samples, StreamedRows) or samples.shared:
        threaded = False
    else:
        rows, columns = samples.X.shape[1:]
        each = rows * columns + columns**2
        step = max(1, min(step, CACHED // each))
        threaded = columns < THIN or each <= CACHED
    parts = [slice(start, min(count, start + step)) for start in range(0, max(1, count), step)]
    return list(in_threads(work, parts, AT_ONCE) if threaded else map(work, parts))
