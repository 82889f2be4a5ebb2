"""Weighted moments of samples, in float64, block by block: what scaling, curvature and a start are made of."""

from collections.abc import Iterable
from itertools import chain
from typing import NamedTuple

import numpy as np

from gdjax.data.rows import Rows, StreamedRows, by_parts

Parts = Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]


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
    y_covariance: np.ndarray
    """(S, D) of each column with y."""
    y_positive: np.ndarray
    """(S,) whether a y is over 0."""


DENSE = 2_048
"""Columns up to which a matrix D by D is formed."""


def moments(samples: Rows | StreamedRows) -> Moments:
    """The moments of own samples (S = K), or of shared ones in each of their sets (S = F), by one pass."""
    if not samples.shared:
        own = by_parts(samples, lambda at: _moments(samples.of(at).blocks()), samples.sets)
        return Moments(*(np.concatenate(parts) for parts in zip(*own, strict=True)))

    def under(f: slice) -> Parts:
        return ((x[None], y[None] if samples.one_y else y[f], weight[f]) for x, y, weight in samples.blocks())

    if samples.weights == 1:
        # one weight: what is of X is one for all sets
        found = _moments(under(slice(None)))
        return Moments(*(np.broadcast_to(part, (samples.sets, *part.shape[1:])) for part in found))
    each = [_moments(under(slice(f, f + 1))) for f in range(samples.sets)]
    return Moments(*(np.concatenate(parts) for parts in zip(*each, strict=True)))


def _moments(parts: Parts) -> Moments:
    """Of X (W, n, D), y (S, n) and weight (W, n) at a time, W one or S.

    Taken about the first row that counts, so that a constant column has variance 0 exactly.
    """
    parts = iter(parts)
    first = x, t, s = next(parts)
    columns = x.shape[-1]
    dense = columns <= DENSE
    pivot, y_pivot = np.zeros((len(x), 1, columns)), np.zeros((len(t), 1))
    total, mean, y_mean = np.zeros(len(x)), np.zeros((len(x), columns)), np.zeros(len(t))
    second = np.zeros((len(x), columns, columns if dense else 0))
    variance, y_variance = np.zeros(mean.shape), np.zeros(len(t))
    y_covariance, y_positive = np.zeros((len(t), columns)), np.zeros(len(t), bool)
    for x, t, s in chain([first], parts):
        unmet = (total == 0)[:, None]
        if unmet.any():
            at = np.argmax(s > 0, axis=1)[:, None]
            pivot = np.where(unmet[:, None], np.take_along_axis(x, at[:, :, None], axis=1), pivot)
            here = np.take_along_axis(t, np.broadcast_to(at, (len(t), 1)), axis=1)
            y_pivot = np.where(unmet, here, y_pivot)
        y_positive |= ((s > 0) & (t > 0)).any(axis=1)
        mass = s.sum(axis=1)
        safe = np.where(mass > 0, mass, 1.0)
        x, t = x - pivot, t - y_pivot
        apart = np.matmul(s[:, None, :], x)[:, 0] / safe[:, None]
        y_apart = (t * s).sum(axis=1) / safe
        x -= apart[:, None]
        t -= y_apart[:, None]
        weighted = x * s[:, :, None]
        # from the means so far to those of this part, and what of it falls to each side
        apart -= mean
        y_apart -= y_mean
        total, share, between = grown(total, mass)
        if dense:
            second += np.matmul(weighted.transpose(0, 2, 1), x)
            second += between[:, None, None] * (apart[:, :, None] * apart[:, None, :])
        variance += (weighted * x).sum(axis=1) + between[:, None] * apart**2
        y_variance += (t**2 * s).sum(axis=1) + between * y_apart**2
        y_covariance += t @ weighted[0] if len(weighted) == 1 else np.matmul(t[:, None], weighted)[:, 0]
        y_covariance += between[:, None] * apart * y_apart[:, None]
        mean += share[:, None] * apart
        y_mean += share * y_apart
    safe = np.where(total > 0, total, 1.0)
    variance /= safe[:, None]
    return Moments(
        total=total,
        mean=pivot[:, 0] + mean,
        covariance=second / safe[:, None, None],
        variance=variance,
        # under fold weights the pivot may lie outside: what is left then is rounding
        constant=variance <= (16 * np.finfo(np.float64).eps * mean) ** 2,
        y_mean=y_pivot[:, 0] + y_mean,
        y_variance=y_variance / safe,
        y_covariance=y_covariance / safe[:, None],
        y_positive=y_positive,
    )


def grown(total: np.ndarray, mass: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What a part of weight `mass` (S,) does to moments of weight `total`: (total, share, between).

    The mean moves by share times what the part's is apart from it. The sum of products about the mean grows by the
    part's own, about its own mean, and by between times the product of what the means are apart, so that nothing
    cancels (Chan, Golub and LeVeque, 1983).
    """
    after = total + mass
    share = mass / np.where(after > 0, after, 1.0)
    return after, share, share * total
