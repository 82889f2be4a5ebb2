"""Weighted moments of samples, in float64, one block of rows at a time: what scaling and curvature are made of."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gdjax.rows import Blocks, Rows, StreamedRows


class Moments(NamedTuple):
    """Moments of S data sets: own samples (S = K), or the sets of shared ones (S = F)."""

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


def moments(samples: Rows | StreamedRows) -> Moments:
    """The moments of own samples (S = K), or of shared ones in each of their sets (S = F).

    Taken about the first row, so that a constant column has variance 0 exactly; two passes, so that the covariance does
    not cancel.
    """
    pivot, y_pivot = samples.first()
    if not samples.shared:
        return _moments(samples.blocks, pivot, y_pivot)

    def under(f: slice) -> Callable[[], Blocks]:
        return lambda: ((x[None], y[None] if samples.one_y else y[f], weight[f]) for x, y, weight in samples.blocks())

    if len(pivot) == 1:
        # one weight: what is of X is one for all sets
        found = _moments(under(slice(None)), pivot, y_pivot)
        return Moments(*(np.broadcast_to(part, (samples.sets, *part.shape[1:])) for part in found))
    each = [_moments(under(f), pivot[f], y_pivot[f]) for f in (slice(f, f + 1) for f in range(samples.sets))]
    return Moments(*(np.concatenate(parts) for parts in zip(*each, strict=True)))


def _moments(blocks: Callable[[], Blocks], pivot: np.ndarray, y_pivot: np.ndarray) -> Moments:
    """`pivot` has one row, or as many as `y_pivot`."""
    total = np.zeros(len(pivot))
    sums = np.zeros(pivot.shape)
    y_sum = np.zeros(len(y_pivot))
    for x, t, s in blocks():
        total += s.sum(axis=-1)
        sums += np.matmul(s[:, None, :], x - pivot[:, None])[:, 0]
        y_sum += ((t - y_pivot[:, None]) * s).sum(axis=-1)
    safe = np.where(total > 0, total, 1.0)
    offset, y_offset = sums / safe[:, None], y_sum / safe

    columns = pivot.shape[-1]
    dense = columns <= DENSE
    second = np.zeros((len(total), columns, columns if dense else 0))
    variance = np.zeros(pivot.shape)
    y_variance = np.zeros(len(y_pivot))
    for x, t, s in blocks():
        x = (x - pivot[:, None]) - offset[:, None]
        weighted = x * s[:, :, None]
        if dense:
            second += np.matmul(weighted.transpose(0, 2, 1), x)
        variance += (weighted * x).sum(axis=1)
        y_variance += (((t - y_pivot[:, None]) - y_offset[:, None]) ** 2 * s).sum(axis=-1)
    variance /= safe[:, None]
    return Moments(
        total=total,
        mean=pivot + offset,
        covariance=second / safe[:, None, None],
        variance=variance,
        # under fold weights the pivot may lie outside: what is left then is rounding
        constant=variance <= (16 * np.finfo(np.float64).eps * offset) ** 2,
        y_mean=y_pivot + y_offset,
        y_variance=y_variance / safe,
    )
