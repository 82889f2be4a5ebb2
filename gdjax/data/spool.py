"""A stream that is read many times: its first pass copies the blocks to a temporary file, the others read that.

Decoding a block, and turning its columns into rows, takes longer than a step on it. A copy of the finished block is
mapped, not read: while the system has it in its cache, that takes no time and no memory of its own.
"""

import logging
import mmap
import os
import shutil
import tempfile
import threading
import weakref
from collections.abc import Generator, Iterator
from contextlib import closing
from typing import Any, NamedTuple

import numpy as np

from gdjax.errors import FileError
from gdjax.files import physical_memory
from gdjax.stream import Block, Stream

_log = logging.getLogger(__name__)

ALIGNMENT = 64
"""Bytes: arrays that begin so are taken by XLA as they are."""


class _Part(NamedTuple):
    """Where an array stands in its block."""

    start: int
    shape: tuple[int, ...]
    dtype: np.dtype


def spooled(stream: Stream) -> Stream:
    """`stream`, from a copy after its first pass; itself where it is read as it is, or there is no room for a copy.

    The copy takes at most half of the space that is free, and must fit in the machine's memory: on a disk that is read
    anew at each pass it could be slower than its source. It is in the folder that TMPDIR names, or /var/tmp, which
    is no part of the memory as /tmp may be, or that of `tempfile`; it has no name, and is gone with the stream.
    """
    blocks = sum(map(len, stream.layout.pieces))
    size = stream.nbytes + stream.shape[0] * 3 * 8 + blocks * mmap.ALLOCATIONGRANULARITY
    try:
        room = min(physical_memory(), shutil.disk_usage(_folder()).free // 2)
    except OSError:
        return stream
    return stream if stream.direct or size > room else Spooled(stream)


def _folder() -> str:
    usual = "/var/tmp"
    return usual if "TMPDIR" not in os.environ and os.access(usual, os.W_OK) else tempfile.gettempdir()


class Spooled(Stream):
    """`source`, whose blocks are read from a copy once a pass has been all through it."""

    direct = True

    def __init__(self, source: Stream) -> None:
        self._source = source
        self.shape, self.dtype, self.features, self.layout = source.shape, source.dtype, source.features, source.layout
        self.heaviest = source.heaviest
        self._copy: _Copy | None = None
        self._room = True
        self._copying = threading.Lock()

    def blocks(self) -> Generator[Block]:
        """See `Stream.blocks`."""
        if self._copy is not None:
            yield from super().blocks()
            return
        copying = self._room and self._copying.acquire(blocking=False)
        try:
            with closing(self._source.blocks()) as blocks:
                copy = _Copy() if copying else None
                for block in blocks:
                    if copy is not None and not copy.add(block):
                        copy, self._room = None, False
                    yield block
            self._copy = copy or self._copy  # another pass may have ended meanwhile
        finally:
            if copying:
                self._copying.release()

    def piece(self, number: int) -> Iterator[Block]:
        """See `Stream.piece`."""
        if self._copy is None:
            return self._source.piece(number)
        first, last = self._firsts[number : number + 2]
        return map(self._copy.block, range(first, last))


class _Copy:
    """Blocks in a file, one after the other."""

    def __init__(self) -> None:
        self._file: Any = None
        self._parts: list[list[_Part]] = []
        self._ends = [0]

    def add(self, block: Block) -> bool:
        """Whether there was room for the next one."""
        end, parts = self._ends[-1], []
        try:
            if self._file is None:
                self._file = tempfile.TemporaryFile(dir=_folder(), buffering=0)  # noqa: SIM115 - closed with the copy
                weakref.finalize(self, self._file.close)
            for array in block:
                parts.append(_Part(end - self._ends[-1], array.shape, array.dtype))
                end += self._write(np.ascontiguousarray(array).reshape(-1).view(np.uint8))
                end += self._write(np.zeros(-end % ALIGNMENT, np.uint8))
            # a block without a row is mapped too
            end += self._write(np.zeros(mmap.ALLOCATIONGRANULARITY - end % mmap.ALLOCATIONGRANULARITY, np.uint8))
            self._mapped(self._ends[-1], end)  # not every file system can
        except OSError as error:
            _log.warning("the samples are decoded at each pass: no room for a copy of them (%s)", error)
            return False
        self._parts.append(parts)
        self._ends.append(end)
        return True

    def _write(self, data: np.ndarray) -> int:
        left = data.data
        while left:
            left = left[self._file.write(left) :]
        return data.nbytes

    def block(self, number: int) -> Block:
        """One of them, read-only."""
        try:
            memory = self._mapped(*self._ends[number : number + 2])
        except (OSError, ValueError) as error:
            raise FileError(f"the temporary copy of the samples cannot be read ({error}): start again") from error
        # what the system has not in its cache is read here, where the time is the reader's
        np.frombuffer(memory, np.uint8)[:: mmap.PAGESIZE].max()
        return Block(*(np.ndarray(shape, dtype, memory, start) for start, shape, dtype in self._parts[number]))

    def _mapped(self, start: int, end: int) -> mmap.mmap:
        """A part of the file, which nobody can cut short under it: it has no name."""
        return mmap.mmap(self._file.fileno(), end - start, access=mmap.ACCESS_READ, offset=start)
