"""Mini batches: rows in an order that depends on the seed and the epoch alone, so that any step can be resumed."""

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from gdjax.stream import Layout


def batch_indices(
    lengths: np.ndarray, seeds: np.ndarray, size: int, first: int, steps: int, layout: Layout | None = None
) -> np.ndarray:
    """The rows (steps, A, B) int32 of the mini batches of steps `first` to `first + steps`, -1 where one is short.

    Each neuron walks its own rows 0 to length - 1, shuffled anew each epoch by (seed, epoch) and its length; the rows
    of a stream, by its layout too. A is 1 where all neurons have one length and one seed.
    """
    if len(set(zip(lengths.tolist(), seeds.tolist(), strict=True))) == 1:
        lengths, seeds = lengths[:1], seeds[:1]
    width = int(min(size, lengths.max()))
    out = np.full((steps, len(lengths), width), -1, np.int32)
    for k, (length, seed) in enumerate(zip(lengths.tolist(), seeds.tolist(), strict=True)):
        an_epoch = -(-length // size)
        for i in range(steps):
            epoch, position = divmod(first + i, an_epoch)
            part = slice(position * size, (position + 1) * size)
            rows = _shuffled(length, seed, epoch)[part] if layout is None else _streamed(layout, seed, epoch, part)
            out[i, k, : len(rows)] = rows
    return out


@lru_cache(maxsize=64)
def _shuffled(length: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(length)


def _streamed(layout: Layout, seed: int, epoch: int, part: slice) -> np.ndarray:
    """The places `part` in the order of an epoch: pieces shuffled, then the rows of one window after the other."""
    bounds, window = _windows(layout, seed, epoch)
    rows = []
    for j in range(int(np.searchsorted(bounds, part.start, side="right")) - 1, len(bounds) - 1):
        if bounds[j] >= part.stop:
            break
        rows.append(window(j)[max(0, part.start - bounds[j]) : part.stop - bounds[j]])
    return np.concatenate(rows)


@lru_cache(maxsize=2)
def _windows(layout: Layout, seed: int, epoch: int) -> tuple[np.ndarray, Callable[[int], np.ndarray]]:
    """Where the windows of an epoch start and end in its order, and the shuffled rows of each."""
    starts, firsts = layout.starts, layout.firsts
    windows: list[list[int]] = [[]]
    held = 0
    for piece in np.random.default_rng([seed, epoch]).permutation(len(layout.pieces)).tolist():
        for block in range(firsts[piece], firsts[piece + 1]):
            rows = int(starts[block + 1] - starts[block])
            if windows[-1] and held + rows > layout.window:
                windows.append([])
                held = 0
            windows[-1].append(block)
            held += rows
    sizes = [sum(int(starts[b + 1] - starts[b]) for b in blocks) for blocks in windows]

    @lru_cache(maxsize=2)
    def window(j: int) -> np.ndarray:
        rows = np.concatenate([np.arange(starts[b], starts[b + 1]) for b in windows[j]])
        return np.random.default_rng([seed, epoch, 1 + j]).permutation(rows)

    return np.cumsum([0, *sizes]), window
