"""Mini batches: rows in an order that depends on the seed and the epoch alone, so that any step can be resumed."""

from functools import lru_cache

import numpy as np


def batch_indices(lengths: np.ndarray, seeds: np.ndarray, size: int, first: int, steps: int) -> np.ndarray:
    """The rows (steps, A, B) int32 of the mini batches of steps `first` to `first + steps`, -1 where one is short.

    Each neuron walks its own rows 0 to length - 1, shuffled anew each epoch by (seed, epoch) and its length.
    A is 1 where all neurons have one length and one seed.
    """
    if len(set(zip(lengths.tolist(), seeds.tolist(), strict=True))) == 1:
        lengths, seeds = lengths[:1], seeds[:1]
    width = int(min(size, lengths.max()))
    out = np.full((steps, len(lengths), width), -1, np.int32)
    for k, (length, seed) in enumerate(zip(lengths.tolist(), seeds.tolist(), strict=True)):
        an_epoch = -(-length // size)
        for i in range(steps):
            epoch, position = divmod(first + i, an_epoch)
            rows = _shuffled(length, seed, epoch)[position * size : (position + 1) * size]
            out[i, k, : len(rows)] = rows
    return out


@lru_cache(maxsize=64)
def _shuffled(length: int, seed: int, epoch: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(length)
