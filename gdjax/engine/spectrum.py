"""Extreme eigenvalues of a Hessian: the largest sets the step, the smallest that is not 0 certifies the end."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

EPS = float(np.finfo(np.float64).eps)
AMBIGUOUS = 1e-10
"""Below this share of the largest, a Gram matrix cannot tell a null eigenvalue from a small one."""


class Spectrum(NamedTuple):
    """Extreme eigenvalues of S Hessians."""

    largest: np.ndarray
    """(S,) L"""
    smallest: np.ndarray
    """(S,) mu, the smallest that is not null; 0 where there is none or one is negative."""

    @property
    def condition(self) -> np.ndarray:
        """(S,) L / mu; inf where mu is 0."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.smallest > 0, self.largest / self.smallest, np.inf)


class Factor(NamedTuple):
    """A Hessian as A^T A, whose A (n, P) keeps the digits that squaring loses."""

    triangle: np.ndarray
    """(min(n, P), P) the R of A's QR: the same singular values."""
    rows: int
    """n"""


def spectrum(hessian: np.ndarray, free: np.ndarray, factor: Callable[[int], Factor | None]) -> Spectrum:
    """The spectrum of Hessians (S, P, P) over the free parameters (S, P).

    `factor(i)` gives the i-th Hessian's factor, or None where it has none: where small eigenvalues are in doubt, the
    singular values of A decide, null below max(n, P) eps s_max.
    """
    masked = hessian * (free[:, :, None] * free[:, None, :])
    values = np.linalg.eigvalsh(masked)
    largest = np.maximum(values[:, -1], 0.0)
    held = (free == 0).sum(axis=1)
    clear = (held == 0) & (values[:, 0] > AMBIGUOUS * largest)
    smallest = np.where(clear, values[:, 0], 0.0)
    for i in np.nonzero((largest > 0) & ~clear)[0]:
        # held parameters add exact zeros, which are not directions
        kept = _without_zeros(values[i], int(held[i]))
        if not len(kept):
            smallest[i] = largest[i]
        elif kept[0] > AMBIGUOUS * largest[i]:
            smallest[i] = kept[0]
        elif kept[0] < -1e-8 * largest[i]:
            smallest[i] = 0.0
        else:
            smallest[i] = _by_singular_values(factor(int(i)), free[i], kept, float(largest[i]))
    return Spectrum(largest, smallest)


def _without_zeros(values: np.ndarray, count: int) -> np.ndarray:
    if not count:
        return values
    return np.sort(values[np.argsort(np.abs(values))[count:]])


def _by_singular_values(factor: Factor | None, free: np.ndarray, kept: np.ndarray, largest: float) -> float:
    if factor is None:
        return max(float(kept[0]), EPS * largest)
    triangle = factor.triangle[:, free > 0]
    singular = np.linalg.svd(triangle, compute_uv=False)
    rounding = max(factor.rows, triangle.shape[1]) * EPS
    rank = int((singular > rounding * singular[0]).sum())
    if rank < len(singular):
        # a direction may be small only beside another's scale, as the bias is beside a huge l2: it is not null
        norms = np.linalg.norm(triangle, axis=0)
        alike = np.linalg.svd(triangle / np.where(norms > 0, norms, 1.0), compute_uv=False)
        rank = max(rank, int((alike > rounding * alike[0]).sum()))
    return float(singular[rank - 1] ** 2) if rank else 0.0


def power_iteration(apply: Callable[[np.ndarray], np.ndarray], size: int, iterations: int = 50) -> float:
    """An upper estimate of the largest eigenvalue where the matrix is too large to form: 1.1 times the Rayleigh
    quotient after `iterations` products."""
    v = np.random.default_rng(0).standard_normal(size)
    value = 0.0
    for _ in range(iterations):
        v /= max(float(np.linalg.norm(v)), np.finfo(float).tiny)
        product = apply(v)
        value, v = float(v @ product), product
    return 1.1 * value
