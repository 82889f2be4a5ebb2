"""Samples too many to hold: read a block at a time, by a thread that reads ahead of who computes."""

import hashlib
import queue
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from contextvars import copy_context
from functools import cached_property
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np

from gdjax.machine.memory import give_back

Item = TypeVar("Item")

AHEAD = 2
"""Blocks read and not yet used; and worked on at a time."""

BLOCK_BYTES = 1 << 24
"""X of a block, at most; smaller under a small memory limit."""


class Block(NamedTuple):
    """Rows beside each other, none of weight 0."""

    X: np.ndarray
    """(n, D)"""
    y: np.ndarray
    """(n,)"""
    weight: np.ndarray
    """(n,) float64"""
    row: np.ndarray
    """(n,) where they stand at the source."""


class Layout(NamedTuple):
    """How the rows of a stream lie: what a shuffle that reads in order is made of. Hashable."""

    pieces: tuple[tuple[int, ...], ...]
    """Rows of each block, piece by piece: pieces can be read in any order, the blocks of one only from its first on."""
    window: int
    """Rows that a shuffle may hold at a time."""

    @property
    def starts(self) -> np.ndarray:
        """The row at which each block starts, and N."""
        return np.cumsum([0, *chain.from_iterable(self.pieces)])

    @property
    def firsts(self) -> np.ndarray:
        """The first block of each piece, and the number of blocks."""
        return np.cumsum([0, *map(len, self.pieces)])

    @property
    def longest(self) -> int:
        """Rows of the longest block."""
        return max(chain.from_iterable(self.pieces))


class Stream(ABC):
    """N samples at a source that is read again for each pass over them.

    Attributes:
        shape: (N, D), N the rows of a weight over 0.
        dtype: of X.
        features: D names.
        layout: how the rows lie.
        direct: whether blocks are read as they lie at the source, so that a copy of them would be read no faster.
        heaviest: the largest weight; None where it is not known, and a fit looks for it by a pass more.
    """

    ndim = 2
    direct = False
    heaviest: float | None = None
    shape: tuple[int, int]
    dtype: np.dtype
    features: tuple[str, ...]
    layout: Layout

    @abstractmethod
    def piece(self, number: int) -> Iterator[Block]:
        """The blocks of one piece, in order, of the rows that `layout` says.

        Raises:
            FileError: the source cannot be read, or is not what it was.
            DataError: a value that cannot be used.
        """

    @property
    def nbytes(self) -> int:
        """Bytes that X would take in memory."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def blocks(self) -> Generator[Block]:
        """All blocks in order, one pass, each read when it is asked for."""
        for number in range(len(self.layout.pieces)):
            yield from self.piece(number)

    def read(self) -> Generator[Block]:
        """All blocks in order, one pass; the next ones are read by a thread meanwhile."""
        return ahead(self.blocks())

    def map(self, work: Callable[[Block], Item]) -> Generator[Item]:
        """`work` of all blocks in order, one pass; threads work on `AHEAD` of them at a time."""
        waiting: deque[Future[Item]] = deque()
        with closing(self.blocks()) as blocks, ThreadPoolExecutor(AHEAD, "gdjax reader") as pool:
            try:
                for block in blocks:
                    # each in a context like this one: NumPy's state of warnings is part of it
                    waiting.append(pool.submit(copy_context().run, work, block))
                    if len(waiting) > AHEAD:
                        yield waiting.popleft().result()
                while waiting:
                    yield waiting.popleft().result()
            finally:
                pool.shutdown(cancel_futures=True)
                give_back()

    def fingerprint(self) -> bytes:
        """A hash of what a run sees of the samples, by a pass over them: the values, and how a shuffle has them."""
        hashes = [hashlib.blake2b(digest_size=16) for _ in range(3)]
        for block in self.read():
            for digest, part in zip(hashes, block[:3], strict=True):
                digest.update(np.ascontiguousarray(part).data)
        return b"".join(digest.digest() for digest in hashes) + repr(self.layout).encode()

    def take(self, index: np.ndarray) -> Block:
        """The rows `index` (n,), in that order. Blocks met before stay, up to two windows of them."""
        which = np.searchsorted(self._starts, index, side="right") - 1
        needed = np.unique(which)
        held = {int(b): self._held(int(b)) for b in needed}
        first = held[int(needed[0])]
        out = Block(*(np.empty((len(index), *part.shape[1:]), part.dtype) for part in first))
        for b, block in held.items():
            at = which == b
            for target, source in zip(out, block, strict=True):
                target[at] = source[index[at] - self._starts[b]]
        self._forget(held)
        return out

    def _held(self, number: int) -> Block:
        if number not in self._cache:
            piece = int(np.searchsorted(self._firsts, number, side="right")) - 1
            if self._open is None or self._open[0] != piece or self._open[1] > number:
                self._open = (piece, int(self._firsts[piece]), self.piece(piece))
            _, at, blocks = self._open
            # those passed on the way are of the same window, as a rule
            for i in range(at, number + 1):
                self._cache[i] = next(blocks)
            self._open = (piece, number + 1, blocks)
        self._cache.move_to_end(number)
        return self._cache[number]

    def _forget(self, needed: dict[int, Block]) -> None:
        rows = sum(len(block.y) for block in self._cache.values())
        for number in list(self._cache):
            if rows <= 2 * self.layout.window or number in needed:
                return
            rows -= len(self._cache.pop(number).y)

    @cached_property
    def _cache(self) -> OrderedDict[int, Block]:
        return OrderedDict()

    @cached_property
    def _starts(self) -> np.ndarray:
        return self.layout.starts

    @cached_property
    def _firsts(self) -> np.ndarray:
        return self.layout.firsts

    _open: tuple[int, int, Iterator[Block]] | None = None


def block_rows(columns: int, itemsize: int, memory_limit: int) -> int:
    """Rows of a block: a power of two, so that few shapes are compiled; a block is a 32nd of the limit at most."""
    rows = min(BLOCK_BYTES, memory_limit // 32) // max(1, columns * itemsize)
    return 1 << max(0, int(rows).bit_length() - 1)


class ArrayStream(Stream):
    """Arrays that are too large to be copied, such as those that `numpy.load(path, mmap_mode="r")` maps.

    `gdjax.fit` makes one of X over its memory limit.

    Args:
        X: (N, D) real numbers.
        y: (N,)
        weight: (N,) float64 >= 0, or None for 1 each; rows of weight 0 are left out.
        features: D names.
        memory_limit: bytes; a block takes a 32nd of it at most.
    """

    direct = True

    def __init__(
        self, X: np.ndarray, y: np.ndarray, weight: np.ndarray | None, features: tuple[str, ...], memory_limit: int
    ) -> None:
        self._arrays, self.features = (X, y, weight), features
        self.dtype, self._block = X.dtype, block_rows(X.shape[1], X.itemsize, memory_limit)
        self.heaviest = 1.0 if weight is None else float(weight.max(initial=0.0))
        starts = range(0, len(X), self._block)
        if weight is None:
            rows = [min(self._block, len(X) - start) for start in starts]
        else:
            rows = [int(np.count_nonzero(weight[start : start + self._block])) for start in starts]
        self.shape = (sum(rows), X.shape[1])
        self.layout = Layout(tuple((count,) for count in rows), 4 * self._block)

    def piece(self, number: int) -> Iterator[Block]:
        """See `Stream.piece`."""
        X, y, weight = self._arrays
        at = slice(number * self._block, (number + 1) * self._block)
        row = np.arange(at.start, min(at.stop, len(X)))
        s = np.ones(len(row)) if weight is None else weight[at]
        block = Block(np.asarray(X[at]), np.asarray(y[at]), s, row)
        yield block if weight is None or (s > 0).all() else Block(*(part[s > 0] for part in block))


class CheckedStream(Stream):
    """`source` under weights times 2^`exponent`; its blocks go through `check`, which raises, until a pass has been all
    through it."""

    def __init__(self, source: Stream, check: Callable[[Block], None], exponent: int) -> None:
        self._source, self._check, self._exponent = source, check, exponent
        self._clean = False
        self.shape, self.dtype, self.features, self.layout = source.shape, source.dtype, source.features, source.layout
        self.direct = source.direct

    def blocks(self) -> Generator[Block]:
        """See `Stream.blocks`."""
        with closing(self._source.blocks()) as blocks:
            for block in blocks:
                if not self._clean:
                    self._check(block)
                yield self._weighed(block)
        self._clean = True

    def piece(self, number: int) -> Iterator[Block]:
        """See `Stream.piece`."""
        return map(self._weighed, self._source.piece(number))

    def _weighed(self, block: Block) -> Block:
        return block._replace(weight=np.ldexp(block.weight, self._exponent)) if self._exponent else block


def ahead(items: Generator[Item], depth: int = AHEAD) -> Generator[Item]:
    """`items`, made by a thread of its own that is up to `depth` of them ahead; an error is raised in its place."""
    ready: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(depth)
    ended = threading.Event()

    def put(entry: tuple[Item | None, BaseException | None]) -> bool:
        while not ended.is_set():
            try:
                ready.put(entry, timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def fill() -> None:
        try:
            with closing(items):
                for item in items:
                    if not put((item, None)):
                        return
            put((None, StopIteration()))
        except BaseException as error:  # noqa: BLE001 - it is raised where the item was awaited
            put((None, error))

    thread = threading.Thread(target=fill, name="gdjax reader", daemon=True)
    thread.start()
    try:
        while True:
            item, error = ready.get()
            if isinstance(error, StopIteration):
                return
            if error is not None:
                raise error
            assert item is not None
            yield item
    finally:
        ended.set()
        thread.join()
        give_back()
