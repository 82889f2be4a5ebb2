"""A slab: the neurons trained at one time and their samples, scaled, with the float64 passes that judge them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from gdjax.data.moments import DENSE, Moments, moments
from gdjax.data.rows import Blocks, Result, Rows, StreamedRows, by_parts
from gdjax.engine.spectrum import EPS, Factor, Spectrum, power_iteration, spectrum
from gdjax.engine.start import bias_start, random_start, relu_start
from gdjax.expressions.fused import fused
from gdjax.formulas import Formula
from gdjax.rule import fold as fold_theta
from gdjax.rule import unfold
from gdjax.samples import of_sets

COPY_BYTES = 1 << 26
"""Shared samples up to this size are copied to be scaled; larger ones are scaled by folding it into the parameters."""

MATRICES = 1 << 25
"""Numbers that the Hessians formed at one time have, at most: 256 MiB."""

FOLDABLE = {"float32": 8.0, "float64": 1e3}
"""The largest |mean| / deviation of a column at which folding loses no digit that matters."""


class Examination(NamedTuple):
    """A float64 look at A neurons where they stand."""

    cost: np.ndarray
    """(A,) the whole cost."""
    gradient: np.ndarray
    """(A, P) of the smooth part, held parameters 0."""
    noise: np.ndarray
    """(A,) the norm under which a gradient in the run's dtype is rounding."""
    open: np.ndarray
    """(A,) weighted share of rows with z > 0."""
    spectrum: Spectrum | None
    """Of the smooth part's Hessian, where asked for."""


@dataclass(frozen=True)
class Slab:
    """A neurons on shared samples, X (N, D), or each on its own, X (A, n, D), padded with rows of weight 0.

    A parameter theta of the descent is that of the columns (x - shift) / scale of the raw x, and of
    (X - inner_shift) / inner_scale of this slab's X.
    """

    neurons: np.ndarray
    """(A,) their places in the run."""
    samples: Rows | StreamedRows
    fold: np.ndarray
    """(A,) each neuron's set of y and weights."""
    shift: np.ndarray
    scale: np.ndarray
    inner_shift: np.ndarray
    inner_scale: np.ndarray
    folded: bool
    y_shift: np.ndarray
    """(A,) what was taken from y, and goes back to the bias."""
    free: np.ndarray
    """(A, P)"""
    moments: Moments
    """of each set."""
    formula: Formula
    l1: np.ndarray
    l2: np.ndarray
    standardized: bool

    @property
    def shared(self) -> bool:
        """Whether all neurons see the same rows."""
        return self.samples.shared

    @property
    def total(self) -> np.ndarray:
        """(F,) sums of the weights, 1 where there are none."""
        return np.where(self.moments.total > 0, self.moments.total, 1.0)

    @property
    def penalised(self) -> np.ndarray:
        """(P,) 1 for weights, 0 for the bias."""
        mask = np.ones(self.free.shape[1])
        mask[-1] = 0
        return mask

    def inner(self, theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Parameters of this slab's X."""
        return fold_theta(np, theta, self.inner_shift[rows], self.inner_scale[rows])

    def raw(self, theta: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Parameters in the user's units."""
        out = fold_theta(np, theta, self.shift[rows], self.scale[rows])
        out[:, -1] += self.y_shift[rows]
        return out * np.where(self.penalised > 0, self.free[rows], 1.0)

    def from_raw(self, raw: np.ndarray) -> np.ndarray:
        """The descent's parameters (A, P) of the user's."""
        theta = raw * self.scale
        theta[:, -1] = raw[:, -1] + (raw * self.shift).sum(axis=1) - self.y_shift
        return theta * self.free

    def blocks_of(self, row: int) -> Blocks:
        """X (n, D), y (n,) and weight (n,) of one neuron, block by block, in float64."""
        for x, y, weight in self.samples.of(np.array([row])).blocks():
            if self.shared:
                y, weight = of_sets(y, self.fold[[row]]), of_sets(weight, self.fold[[row]])
            yield x if self.shared else x[0], y if y.ndim == 1 else y[0], weight[0]

    def dead_cost(self) -> np.ndarray:
        """(A,) the cost of a neuron whose prediction is 0, under squared error or any other loss."""
        pointwise = self.formula.pointwise(np)

        def of_part(at: slice) -> np.ndarray:
            samples = self.samples.of(at)
            cost = np.zeros(samples.sets)
            for _, y, weight in samples.blocks():
                y = np.broadcast_to(y, np.broadcast_shapes(y.shape, weight.shape))
                cost += (pointwise.cost(np.zeros_like(y), y) * weight).sum(axis=-1)
            return cost

        return (np.concatenate(by_parts(self.samples, of_part, self.samples.sets)) / self.total)[self.fold]

    def examine(self, rows: np.ndarray, theta: np.ndarray, *, hessian: bool = False, eps: float = 0.0) -> Examination:
        """Cost, gradient and curvature of the neurons `rows` (A',) at theta (A', P), in float64, by the one formula."""
        with np.errstate(over="ignore", invalid="ignore"):
            seen = self._by_parts(lambda at: self._examine(rows[at], theta[at], hessian, eps), len(rows), hessian)
        cost, gradient, noise, opened = (np.concatenate(part) for part in zip(*(s[:-1] for s in seen), strict=True))
        spectra = [s.spectrum for s in seen if s.spectrum is not None]
        return Examination(cost, gradient, noise, opened, _joined(spectra) if spectra else None)

    def _by_parts(self, work: Callable[[slice], Result], count: int, hessian: bool) -> list[Result]:
        """`by_parts`, those of own rows or whose Hessians are formed at one time."""
        size = self.free.shape[1]
        most = max(1, MATRICES // size**2) if hessian and size <= DENSE else None
        return by_parts(self.samples, work, count, most)

    def _examine(self, rows: np.ndarray, theta: np.ndarray, hessian: bool, eps: float) -> Examination:
        theta = np.asarray(theta, np.float64)
        inner = self.inner(theta, rows)
        pointwise, weighed = self.formula.pointwise(np), fused(self.formula, folds=True)
        size = theta.shape[1]
        count = len(rows)
        cost, noise, opened = np.zeros(count), np.zeros(count), np.zeros(count)
        gradient = np.zeros((count, size))
        matrix = np.zeros((count, size, size)) if hessian and size <= DENSE else None
        for x, t, s in self.samples.of(rows).blocks(count):
            if self.shared:
                t, s = of_sets(t, self.fold[rows]), of_sets(s, self.fold[rows])
            w, b = inner[:, :-1], inner[:, -1:]
            z = (w @ x.T if self.shared else np.matmul(x, w[:, :, None])[:, :, 0]) + b
            part, residual, _ = weighed(z, t, s)
            cost += part
            opened += (s * (z > 0)).sum(axis=1)
            augmented = np.concatenate([x, np.ones((*x.shape[:-1], 1))], axis=-1)
            if self.shared:
                gradient += residual @ augmented
                noise += np.abs(residual) @ np.sqrt((augmented**2).sum(axis=-1))
            else:
                gradient += np.matmul(residual[:, None, :], augmented)[:, 0]
                noise += (np.abs(residual) * np.sqrt((augmented**2).sum(axis=-1))).sum(axis=1)
            if matrix is not None:
                h = np.where(s > 0, s * second_derivative(pointwise.slope, z, t), 0.0)
                if self.shared:
                    for k in range(count):
                        matrix[k] += (augmented * h[k][:, None]).T @ augmented
                else:
                    matrix += np.matmul((augmented * h[:, :, None]).transpose(0, 2, 1), augmented)
        total = self.total[self.fold[rows]]
        cost, noise, opened = cost / total, noise / total, opened / total
        gradient = unfold(gradient / total[:, None], self.inner_shift[rows], self.inner_scale[rows])
        weights = theta * self.penalised
        l1, l2 = self.l1[rows], self.l2[rows]
        cost = cost + l2 * (weights**2).sum(axis=1) + l1 * np.abs(weights).sum(axis=1)
        gradient = (gradient + 2 * l2[:, None] * weights) * self.free[rows]
        found = None
        if matrix is not None:
            change = self._change(rows)
            matrix = np.matmul(change.transpose(0, 2, 1), np.matmul(matrix / total[:, None, None], change))
            matrix[:, np.arange(size), np.arange(size)] += 2 * l2[:, None] * self.penalised
            found = self._spectrum(rows, theta, gradient, matrix)
        return Examination(cost, gradient, eps * noise, opened, found)

    def _change(self, rows: np.ndarray) -> np.ndarray:
        """(A', P, P) the map from the descent's parameters to those of this slab's X."""
        size = self.free.shape[1]
        change = np.zeros((len(rows), size, size))
        change[:, np.arange(size), np.arange(size)] = 1 / self.inner_scale[rows]
        change[:, -1, :] -= self.inner_shift[rows] / self.inner_scale[rows]
        return change

    def _spectrum(self, rows: np.ndarray, theta: np.ndarray, gradient: np.ndarray, matrix: np.ndarray) -> Spectrum:
        """With l1, over the bias and the weights on the support or nearly active."""
        l1 = self.l1[rows][:, None]
        active = (theta != 0) | (np.abs(gradient) >= l1 * (1 - 1e-3)) | (self.penalised == 0)
        free = self.free[rows] * np.where(l1 > 0, active, True)
        finite = np.isfinite(matrix).all(axis=(1, 2))
        matrix = np.where(finite[:, None, None], matrix, 0.0)
        return spectrum(matrix, free, lambda i: self._factor(int(rows[i]), theta[i]))

    def _factor(self, row: int, theta: np.ndarray) -> Factor:
        """A triangle R with R^T R one neuron's Hessian, in the descent's columns: that of QR, block by block."""
        at, fold = np.array([row]), int(self.fold[row])
        inner, slope = self.inner(theta[None], at)[0], self.formula.pointwise(np).slope
        ridge = np.diag(np.sqrt(2 * self.l2[row] * self.penalised))
        triangle = ridge[self.penalised * self.l2[row] > 0]
        count = len(triangle)
        for x, y, weight in self.blocks_of(row):
            x = np.concatenate([x, np.ones((len(x), 1))], axis=1)
            h = second_derivative(slope, x @ inner, y)
            h = np.where(weight > 0, weight * np.maximum(h, 0.0), 0.0) / self.total[fold]
            x = np.sqrt(h)[:, None] * (x - self.inner_shift[row]) / self.inner_scale[row]
            triangle, count = np.linalg.qr(np.concatenate([triangle, x]), mode="r"), count + len(x)
        return Factor(triangle, count)

    def bound(self) -> Spectrum:
        """The spectrum of the curvature bound: all gates open, l2 included. A bound of 1 where the formula has none."""
        size = self.free.shape[1]
        if size > DENSE:
            curvature = self.formula.curvature_bound or 1.0
            # sets of one weight see the same X
            each = [curvature * self._largest(f) for f in range(self.samples.weights)]
            largest = np.broadcast_to(each, self.samples.sets)[self.fold]
            return Spectrum(largest + 2 * self.l2, 2 * self.l2 if (self.l2 > 0).all() else np.zeros(len(self.fold)))
        return _joined(self._by_parts(self._bound, len(self.neurons), True))

    def _bound(self, at: slice) -> Spectrum:
        size, m, fold, scale = self.free.shape[1], self.moments, self.fold[at], self.scale[at]
        matrix = np.zeros((len(fold), size, size))
        matrix[:, :-1, :-1] = m.covariance[fold]
        matrix[:, -1, -1] = 1.0
        if not (self.standardized and self.free[:, -1].all()):
            mean = m.mean[fold]
            matrix[:, :-1, :-1] += mean[:, :, None] * mean[:, None, :]
            matrix[:, -1, :-1] = matrix[:, :-1, -1] = mean
        matrix /= scale[:, :, None] * scale[:, None, :]
        matrix *= self.formula.curvature_bound or 1.0
        matrix[:, np.arange(size), np.arange(size)] += 2 * self.l2[at, None] * self.penalised

        def factor(i: int) -> Factor | None:
            return self._factor(at.start + i, np.zeros(size)) if self.formula.quadratic else None

        return spectrum(matrix, self.free[at], factor)

    def alikeness(self, fold: int) -> float:
        """How alike the columns of a set are, whatever their scales: the condition number of what standardised columns
        make, null directions left out; inf where it is too large to form."""
        row, size = int(np.argmax(self.fold == fold)), self.free.shape[1]
        if size > DENSE:
            return float("inf")
        shift, scale = self.inner_shift[row, :-1], self.inner_scale[row, :-1]
        if not self.standardized:
            mean, variance = self.moments.mean[fold], self.moments.variance[fold]
            biased = bool(self.free[row, -1])
            shift, scale = (mean if biased else 0 * mean), np.sqrt(variance + (0 if biased else mean**2))
        kept = (self.free[row, :-1] > 0) & (scale > 0) & ~self.moments.constant[fold]
        triangle: Any = np.zeros((0, int(kept.sum())))
        count = 0
        for x, _, weight in self.blocks_of(row):
            x = np.sqrt(weight)[:, None] * ((x - shift)[:, kept] / scale[kept])
            triangle, count = np.linalg.qr(np.concatenate([triangle, x]), mode="r"), count + len(x)
        singular = np.linalg.svd(triangle, compute_uv=False)
        singular = singular[singular > max(count, size) * EPS * singular.max(initial=0.0)]
        return float((singular[0] / singular[-1]) ** 2) if len(singular) else 1.0

    def _largest(self, f: int) -> float:
        row = int(np.argmax(self.fold == f))
        scale, shift, free = self.inner_scale[row], self.inner_shift[row], self.free[row]

        def apply(v: np.ndarray) -> np.ndarray:
            v = v * free
            inner = fold_theta(np, v[None], shift[None], scale[None])[0]
            out = np.zeros_like(v)
            for x, _, s in self.blocks_of(row):
                r = (x @ inner[:-1] + inner[-1]) * s
                out += np.concatenate([r @ x, [r.sum()]])
            return np.asarray(unfold(out / self.total[f], shift, scale) * free)

        return power_iteration(apply, len(free))

    def start(self, rows: np.ndarray, seeds: np.ndarray, attempt: int) -> np.ndarray:
        """Where the neurons `rows` start: at seed 0 and the first attempt by construction, else at random."""
        theta = np.zeros((len(rows), self.free.shape[1]))
        fold = self.fold[rows]
        gated = self.formula.activation.name in ("relu", "leaky_relu")
        for seed in np.unique(seeds):
            at = np.nonzero(seeds == seed)[0]
            constructed = seed == 0 and attempt == 0
            if gated:
                theta[at] = self._gated_start(rows[at], None if constructed else (int(seed), attempt))
                if constructed:
                    theta[at] = self._or_the_mean(rows[at], theta[at])
            elif constructed:
                theta[at, -1] = bias_start(self.formula, self.moments.y_mean[fold[at]] - self.y_shift[rows[at]])
            else:
                spread = np.sqrt(self.moments.y_variance[fold[at]] + self.moments.y_mean[fold[at]] ** 2)
                theta[at] = random_start(int(seed), attempt, theta.shape[1], spread)
        return theta * self.free[rows]

    def _gated_start(self, rows: np.ndarray, draw: tuple[int, int] | None) -> np.ndarray:
        """`relu_start` along the direction of least squares' first step, or along a random one: below the cost of a
        shut gate wherever the direction has a positive part."""
        fold = self.fold[rows]
        if self.shared:
            # neurons of one fold share their start
            first, back = np.unique(fold, return_index=True)[1], np.unique(fold, return_inverse=True)[1]
            if len(first) < len(rows):
                return self._gated_start(rows[first], draw)[back]
        deviation = np.sqrt(self.moments.y_variance[fold])
        if draw is None:
            theta, gain = self._along(rows, self._first_step(rows))
            draw = (0, 0)
        else:
            theta, gain = self._along(rows, random_start(*draw, self.free.shape[1], np.ones(len(rows))))
        for sign in (1.0, -1.0):
            lost = np.nonzero(gain <= 0)[0]
            if len(lost):
                direction = sign * random_start(*draw, self.free.shape[1], np.ones(len(lost)))
                theta[lost], gain[lost] = self._along(rows[lost], direction)
        lost = np.nonzero(gain <= 0)[0]
        theta[lost] = random_start(*draw, theta.shape[1], deviation[lost])
        return theta

    def _or_the_mean(self, rows: np.ndarray, theta: np.ndarray) -> np.ndarray:
        """`theta` (A', P), or, where it costs less beside an l2 that outweighs the data, the mean of y for all rows.

        A penalty's curvature allows steps so small that the bias would not arrive in thousands of them.
        """
        fold, m = self.fold[rows], self.moments
        apart = (m.mean[fold] - self.shift[rows, :-1]) ** 2
        trace = 1 + ((m.variance[fold] + apart) / self.scale[rows, :-1] ** 2).sum(axis=1)
        mean = m.y_mean[fold] - self.y_shift[rows]
        heavy = 2 * self.l2[rows] > (self.formula.curvature_bound or 1.0) * trace
        at = np.flatnonzero(heavy & (mean > 0) & (self.free[rows, -1] > 0))
        if len(at):
            level = np.zeros((len(at), theta.shape[1]))
            level[:, -1] = mean[at]
            less = self.examine(rows[at], level).cost < self.examine(rows[at], theta[at]).cost
            theta[at[less]] = level[less]
        return theta

    def _first_step(self, rows: np.ndarray) -> np.ndarray:
        """(A', P) sum_i s_i y_i x_i over the total, in the descent's columns, the bias 0."""
        fold, m = self.fold[rows], self.moments
        direction = np.zeros((len(rows), self.free.shape[1]))
        direction[:, :-1] = m.y_covariance[fold] + m.y_mean[fold, None] * (m.mean[fold] - self.shift[rows, :-1])
        return direction / self.scale[rows]

    def _along(self, rows: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The best start along `direction` (A', P), and its gain (A',)."""
        theta, gain = zip(*self._by_parts(lambda at: self._along_of(rows[at], direction[at]), len(rows), False))
        return np.concatenate(theta), np.concatenate(gain)

    def _along_of(self, rows: np.ndarray, direction: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sample = self.samples.of(rows).sample()
        fold = self.fold[rows] if self.shared else None
        direction = direction * self.free[rows] * self.penalised
        inner = self.inner(direction, rows)
        w, b = inner[:, :-1], inner[:, -1:]
        parts = [(w @ x.T if self.shared else np.matmul(x, w[:, :, None])[:, :, 0]) + b for x, _, _ in sample.blocks()]
        q = np.concatenate(parts, axis=1)
        targets, weights = (
            np.broadcast_to(of_sets(part, fold), q.shape).astype(np.float64) for part in (sample.y, sample.weight)
        )
        gain, threshold = relu_start(q, targets, weights, bool(self.free[:, -1].all()))
        theta = direction * gain[:, None]
        theta[:, -1] = -gain * threshold
        return theta, gain


def _joined(parts: list[Spectrum]) -> Spectrum:
    return Spectrum(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def second_derivative(slope: object, z: np.ndarray, y: np.ndarray) -> np.ndarray:
    """d2 cost / dz2 by a difference of the slope on the side away from 0, so that no kink at 0 is crossed."""
    step = 1e-6 * (1 + np.abs(z))
    away = np.where(z > 0, step, -step)
    return (slope(z + away, y) - slope(z, y)) / away  # type: ignore[operator]


def make_slab(
    neurons: np.ndarray,
    samples: Rows | StreamedRows,
    fold: np.ndarray,
    formula: Formula,
    l1: np.ndarray,
    l2: np.ndarray,
    *,
    bias: bool,
    standardize: bool,
    dtype: str,
) -> Slab:
    """A slab of raw samples, scaled: by a copy where it is small or not foldable, else folded into the parameters."""
    found = moments(samples)
    datasets, columns = found.mean.shape
    shift = np.zeros((datasets, columns + 1))
    scale = np.ones((datasets, columns + 1))
    free = np.ones((datasets, columns + 1))
    y_shift = np.zeros(datasets)
    if standardize:
        if bias:
            shift[:, :-1] = found.mean
            scale[:, :-1] = np.sqrt(found.variance)
            free[:, :-1] = ~found.constant
        else:
            # no bias to take up a shift: the root mean square alone
            scale[:, :-1] = np.sqrt(found.variance + found.mean**2)
            free[:, :-1] = scale[:, :-1] > 0
        held = free == 0
        scale[held] = 1.0
        if bias and formula.shift_invariant:
            y_shift = np.full(datasets, found.y_mean.mean()) if samples.one_y else found.y_mean.copy()
    if not bias:
        free[:, -1] = 0
    samples = samples.moved(y_shift)
    inner_shift, inner_scale, folded = shift.copy(), scale.copy(), False
    if not standardize:
        inner_shift, inner_scale = np.zeros_like(shift), np.ones_like(scale)
    elif not samples.shared:
        samples = samples.scaled(shift[:, :-1], scale[:, :-1], dtype)
        inner_shift, inner_scale = np.zeros_like(shift), np.ones_like(scale)
    else:
        ratio = float(np.max(np.abs(shift) / scale, initial=0.0))
        if samples.nbytes <= COPY_BYTES or ratio > FOLDABLE[dtype] or not samples.foldable:
            common, width = shift.mean(axis=0), scale.mean(axis=0)
            samples = samples.scaled(common[:-1], width[:-1], dtype)
            inner_shift, inner_scale = (shift - common) / width, scale / width
            inner_scale[:, -1] = 1.0
        folded = bool(inner_shift.any() or (inner_scale != 1).any())
    return Slab(
        neurons=neurons,
        samples=samples.astype(dtype),
        fold=fold,
        shift=shift[fold],
        scale=scale[fold],
        inner_shift=inner_shift[fold],
        inner_scale=inner_scale[fold],
        folded=folded,
        y_shift=y_shift[fold],
        free=free[fold],
        moments=found,
        formula=formula,
        l1=l1,
        l2=l2,
        standardized=standardize,
    )
