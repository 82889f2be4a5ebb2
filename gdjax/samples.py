"""Samples on a backend, and the sums over a block of them that every backend adds up."""

from collections.abc import Callable
from typing import Any, NamedTuple

from gdjax.formulas import Pointwise

Array = Any

Summed = Callable[[Array, Array, Array], tuple[Array, Array, Array]]
"""(z, y, weight) -> sums of weight * cost (K,); weight * d cost / dz (K, N); its sums (K,)."""


class Samples(NamedTuple):
    """The data of K neurons, shared by all or each neuron's own, padded with rows of weight 0.

    Shared: X (N, D) under F sets of targets and weights; fold (K,) is each neuron's set, or None where F = 1.
    y (N,) where all sets have the same, else (F, N); weight (1, N) where they have, else (F, N); total (F,).
    Own: X (K, N, D), y (K, N), weight (K, N), total (K,), fold None.
    """

    X: Array
    y: Array
    weight: Array
    total: Array
    """Sums of the weights; a cost is a mean over it."""
    fold: Array | None = None

    @property
    def shared(self) -> bool:
        """Whether all neurons see the same rows."""
        return bool(self.X.ndim == 2)

    def take(self, rows: Array) -> "Samples":
        """The samples of the neurons `rows` (A,), in that order."""
        if not self.shared:
            return Samples(self.X[rows], self.y[rows], self.weight[rows], self.total[rows])
        return self if self.fold is None else self._replace(fold=self.fold[rows])

    def batch(self, xp: Any, index: Array) -> "Samples":
        """A mini batch: `index` (1 or K, B) of rows, -1 where the batch is short."""
        kept = index >= 0
        index = xp.where(kept, index, xp.zeros_like(index))
        if self.shared and index.shape[0] == 1:
            X, y, weight = self.X[index[0]], self.y[..., index[0]], self.weight[:, index[0]]
        elif self.shared:
            X = self.X[index]
            y, weight = (_rows_of_sets(part, self.fold, index) for part in (self.y, self.weight))
        else:
            neuron = xp.arange(index.shape[0])[:, None]
            X, y, weight = self.X[neuron, index], self.y[neuron, index], self.weight[neuron, index]
        weight = xp.where(kept, weight, xp.zeros_like(weight))
        total = xp.sum(weight, axis=-1)
        if X.ndim == 2:
            total = xp.broadcast_to(total, self.total.shape)
        return Samples(
            X, y, weight, xp.where(total > 0, total, xp.ones_like(total)), self.fold if X.ndim == 2 else None
        )

    def mean(self, cost: Array, gradient: Array) -> tuple[Array, Array]:
        """Sums over all rows as means: divided once, at the end, so that exact sums stay exact."""
        total = self.total if self.fold is None else self.total[self.fold]
        return cost / total, gradient / total[:, None]


def block_sums(
    xp: Any,
    pointwise: Pointwise,
    theta: Array,
    X: Array,
    y: Array,
    weight: Array,
    fold: Array | None = None,
    matmul: Callable[[Array, Array], Array] | None = None,
) -> tuple[Array, Array]:
    """The sums of a block of rows: weight * cost (K,), and weight * d cost / d theta (K, P).

    Equations 23 and 32 of the derivation for any formula: with r_i = weight_i d cost_i / dz_i the weights' part is
    sum_i r_i x_i and the bias' part sum_i r_i. Shapes are those of `Samples`; `matmul` is a backend's own way to do
    what `xp.matmul` does.
    """
    return block_sums_by(xp, plainly(xp, pointwise, has_folds(weight, fold)), theta, X, y, weight, fold, matmul)


def block_sums_by(
    xp: Any,
    summed: Summed,
    theta: Array,
    X: Array,
    y: Array,
    weight: Array,
    fold: Array | None = None,
    matmul: Callable[[Array, Array], Array] | None = None,
) -> tuple[Array, Array]:
    """`block_sums` where a backend has a way of its own to do what `plainly` does.

    Of one neuron, with theta (P,) and y and weight (n,), they are without K.
    """
    dot = matmul or xp.matmul
    w, b = theta[..., :-1], theta[..., -1:]
    shared = X.ndim == 2
    z = dot(w, X.T) if shared else dot(X, w[:, :, None])[:, :, 0]
    z += b
    cost, residual, slope = summed(z, of_sets(y, fold), of_sets(weight, fold))
    slopes = dot(residual, X) if shared else dot(residual[:, None, :], X)[:, 0, :]
    return cost, xp.concat((slopes, slope[..., None]), axis=-1)


def weighted(
    xp: Any, pointwise: Pointwise, z: Array, y: Array, weight: Array, fold: Array | None
) -> tuple[Array, Array]:
    """weight * cost and weight * d cost / dz of each row, (K, N), at its pre-activation z."""
    return weigh(xp, pointwise, z, of_sets(y, fold), of_sets(weight, fold), has_folds(weight, fold))


def weigh(xp: Any, pointwise: Pointwise, z: Array, y: Array, weight: Array, folds: bool) -> tuple[Array, Array]:
    """The same of neurons with y and weight of their own; `folds` where rows of weight 0 may be of another fold."""
    cost, residual = pointwise.both(z, y)
    if folds:
        # a row of another fold may be infinite under these parameters: 0 * inf would be NaN
        inside = weight > 0
        cost = xp.where(inside, cost * weight, xp.zeros_like(cost))
        residual = xp.where(inside, residual * weight, xp.zeros_like(residual))
    else:
        cost, residual = cost * weight, residual * weight
    _, cost, residual = xp.broadcast_arrays(z, cost, residual)  # a user's slope may be one number
    return cost, residual


def plainly(xp: Any, pointwise: Pointwise, folds: bool = False) -> Summed:
    """`weigh` and its sums over rows."""

    def summed(z: Array, y: Array, weight: Array) -> tuple[Array, Array, Array]:
        cost, residual = weigh(xp, pointwise, z, y, weight, folds)
        return xp.sum(cost, axis=-1), residual, xp.sum(residual, axis=-1)

    return summed


def has_folds(weight: Array, fold: Array | None) -> bool:
    """Whether a neuron may have a row of weight 0 that is of another's fold."""
    return fold is not None and weight.shape[0] > 1


def of_sets(part: Array, fold: Array | None) -> Array:
    """y or weight of neurons whose sets are `fold` (K,): (K, n), or `part` itself where one is for all."""
    return part if fold is None or part.ndim == 1 or part.shape[0] == 1 else part[fold]


def _rows_of_sets(part: Array, fold: Array | None, index: Array) -> Array:
    """The same of the rows `index` (K, n), each neuron's own."""
    if part.ndim == 1:
        return part[index]
    return part[0, index] if fold is None or part.shape[0] == 1 else part[fold[:, None], index]
