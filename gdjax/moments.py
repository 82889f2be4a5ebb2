"""Weighted moments of samples, in float64, one block of rows at a time: what scaling and curvature are made of."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

BLOCK_ELEMENTS = 1 << 21
"""Numbers in a block of X that a pass holds in float64: 16 MiB."""


class Moments(NamedTuple):
    """Moments of S data sets: own samples (S = K), or the folds of shared ones (S = F)."""

    total: np.ndarray
    """(S,) sum of weights."""
    mean: np.ndarray
    """(S, D) weighted means of the columns."""
    covariance: np.ndarray
    """(S, D, D) weighted, divided by the total; (S, D, 0) with `variance` alone where D is over `DENSE`."""
    variance: np.ndarray
    """(S, D)"""
    constant: np.ndarray
    """(S, D) whether a column has one value."""
    y_mean: np.ndarray
    """(S,)"""
    y_variance: np.ndarray
    """(S,)"""


DENSE = 2_048
"""Columns up to which a matrix D by D is formed."""


def blocks(X: np.ndarray, *others: np.ndarray) -> Iterator[tuple[np.ndarray, ...]]:
    """Blocks of rows of X (..., N, D) in float64 and of arrays (..., N) beside it."""
    per_row = max(1, X.size // max(1, X.shape[-2]))
    step = max(1, BLOCK_ELEMENTS // per_row)
    for start in range(0, X.shape[-2], step):
        at = slice(start, start + step)
        yield (
            np.asarray(X[..., at, :], np.float64),
            *(np.asarray(other[..., at], np.float64) for other in others),
        )


def moments(X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Moments:
    """The moments of own samples X (S, N, D), or of shared X (N, D) under the weights (S, N).

    Taken about the first row, so that a constant column has variance 0 exactly; two passes, so that the covariance does
    not cancel.
    """
    if X.ndim == 2:
        each = [_moments(X[None], y[None], row[None]) for row in weight]
        return Moments(*(np.concatenate(parts) for parts in zip(*each, strict=True)))
    return _moments(X, y, weight)


def _moments(X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> Moments:
    first = np.argmax(weight > 0, axis=-1)
    pivot = np.take_along_axis(X, first[:, None, None], axis=1)[:, 0].astype(np.float64)
    y_pivot = np.take_along_axis(y, first[:, None], axis=1).astype(np.float64)
    total = weight.sum(axis=-1, dtype=np.float64)
    safe = np.where(total > 0, total, 1.0)
    sums = np.zeros(pivot.shape)
    y_sum = np.zeros(len(total))
    for x, t, s in blocks(X, y, weight):
        sums += np.matmul(s[:, None, :], x - pivot[:, None])[:, 0]
        y_sum += ((t - y_pivot) * s).sum(axis=-1)
    offset, y_offset = sums / safe[:, None], y_sum / safe

    columns = X.shape[-1]
    dense = columns <= DENSE
    second = np.zeros((len(total), columns, columns if dense else 0))
    variance = np.zeros(pivot.shape)
    y_variance = np.zeros(len(total))
    mean = pivot + offset
    for x, t, s in blocks(X, y, weight):
        x = (x - pivot[:, None]) - offset[:, None]
        weighted = x * s[:, :, None]
        if dense:
            second += np.matmul(weighted.transpose(0, 2, 1), x)
        variance += (weighted * x).sum(axis=1)
        y_variance += (((t - y_pivot) - y_offset[:, None]) ** 2 * s).sum(axis=-1)
    variance /= safe[:, None]
    return Moments(
        total=total,
        mean=mean,
        covariance=second / safe[:, None, None],
        variance=variance,
        # under fold weights the pivot may lie outside: what is left then is rounding
        constant=variance <= (16 * np.finfo(np.float64).eps * offset) ** 2,
        y_mean=y_pivot[:, 0] + y_offset,
        y_variance=y_variance / safe,
    )
