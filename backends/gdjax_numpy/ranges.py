"""Fixed ranges of rows, shared out to threads and added up in order: the result does not depend on the threads."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from gdjax.expressions.fused import fused
from gdjax.formulas import Formula
from gdjax.machine.threads import in_threads
from gdjax.samples import Samples, block_sums_by, has_folds, of_sets

BLOCK_BYTES = 1 << 21
"""A block of rows and what is computed from it stay in cache; smaller ones cost more in calls than they save."""
RANGE_BYTES = 1 << 22
"""A range of fewer bytes of X costs more to hand to a thread than it gains."""
RANGES = 64
"""At most: enough to keep many cores busy to the end."""
NEURONS = 64
"""Neurons whose pre-activations of a block are held at once."""


def shared_sums(formula: Formula, theta: np.ndarray, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
    """The sums of weight * cost (K,) and weight * gradient (K, P) over shared samples; memory flat in N and K."""
    rows = len(samples.X)
    bytes_per_row = max(1, samples.X.shape[1]) * samples.X.itemsize
    length = max(-(-rows // RANGES), RANGE_BYTES // bytes_per_row, 1)
    ranges = [range(start, min(rows, start + length)) for start in range(0, rows, length)]
    parts = in_threads(lambda part: _range_sums(formula, theta, samples, part), ranges)
    cost, gradient = next(parts)
    for more_cost, more_gradient in parts:  # as they come, or they would be held for all ranges
        cost += more_cost
        gradient += more_gradient
    return cost, gradient


def _range_sums(formula: Formula, theta: np.ndarray, samples: Samples, part: range) -> tuple[np.ndarray, np.ndarray]:
    X, y, weight, _, fold = samples
    summed = fused(formula, has_folds(weight, fold))
    cost, gradient = np.zeros(len(theta), theta.dtype), np.zeros_like(theta)
    block = _block_rows(min(len(theta), NEURONS), X)
    tiles: Sequence[Any] = [slice(first, first + NEURONS) for first in range(0, len(theta), NEURONS)]
    if len(theta) == 1:  # as a vector: fewer and shorter calls, so that threads wait less for each other's
        tiles, its = [0], None if fold is None else fold[0]
        y, weight, fold = of_sets(y, its).reshape(-1), of_sets(weight, its).reshape(-1), None
    for start in range(part.start, part.stop, block):
        at = slice(start, min(part.stop, start + block))
        for some in tiles:
            folds = None if fold is None else fold[some]
            c, g = block_sums_by(np, summed, theta[some], X[at], y[..., at], weight[..., at], folds)
            cost[some] += c
            gradient[some] += g
    return cost, gradient


def _block_rows(neurons: int, X: np.ndarray) -> int:
    per_row = X.itemsize * (X.shape[1] + 8 * neurons)
    return max(64, BLOCK_BYTES // per_row // 64 * 64)
