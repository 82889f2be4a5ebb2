"""Where descent starts."""

import numpy as np

from gdjax.formulas import Formula


def relu_start(q: np.ndarray, y: np.ndarray, weight: np.ndarray, thresholds: bool) -> tuple[np.ndarray, np.ndarray]:
    """The best neuron of the form a / b relu(q - theta) over all thresholds theta.

    q (S, N) is each row's projection on the direction sum_i s_i y_i x_i. With h = relu(q - theta), a = mean(y h) and
    b = mean(h^2), the cost of (a / b) h is C(0) - a^2 / b, so the largest a^2 / b over a > 0 starts below a dead neuron
    wherever one on this direction does. All N thresholds at once, by sorting and cumulative sums.

    Returns:
        gain (S,): a / b, 0 where no a is positive; threshold (S,), 0 where `thresholds` is False (no bias).
    """
    q = np.where(weight > 0, q, -np.inf)
    order = np.argsort(-q, axis=1)
    q_sorted = np.take_along_axis(q, order, axis=1)
    real = np.isfinite(q_sorted)
    q_sorted = np.where(real, q_sorted, 0.0)
    s = np.take_along_axis(weight, order, axis=1)
    sy = s * np.take_along_axis(y, order, axis=1)
    theta = np.zeros(len(q))
    if thresholds:
        # h at the threshold q_k sees the rows before k alone
        a = np.cumsum(sy * q_sorted, axis=1) - q_sorted * np.cumsum(sy, axis=1)
        b = (
            np.cumsum(s * q_sorted**2, axis=1)
            - 2 * q_sorted * np.cumsum(s * q_sorted, axis=1)
            + q_sorted**2 * np.cumsum(s, axis=1)
        )
        scale = np.max(np.abs(q_sorted), axis=1, keepdims=True) ** 2 * np.sum(s, axis=1, keepdims=True)
        score = np.where(real & (a > 0) & (b > 1e-12 * scale), a * (a / np.where(b > 0, b, 1.0)), -1.0)
        lowest = np.min(np.where(real, q_sorted, np.inf), axis=1)
        lowest = np.where(np.isfinite(lowest), lowest, 0.0)
        # one threshold under all rows: the gate open everywhere
        spread = q_sorted[:, 0] - lowest
        under = lowest - np.where(spread > 0, spread, 1.0)
        best = np.argmax(score, axis=1)
        at_rows = np.take_along_axis(score, best[:, None], axis=1)[:, 0]
        # halfway to the next row: at a row itself rounding would say whether its gate is open
        last = best + 1 >= real.sum(axis=1)
        after = np.where(last, 0, best + 1)
        following = np.where(last, under, np.take_along_axis(q_sorted, after[:, None], axis=1)[:, 0])
        theta = (np.take_along_axis(q_sorted, best[:, None], axis=1)[:, 0] + following) / 2
        theta = np.where(_score(q, y, weight, under)[0] > at_rows, under, theta)
    score_at, gain = _score(q, y, weight, theta)
    return np.where(score_at > 0, gain, 0.0), theta


def _score(q: np.ndarray, y: np.ndarray, weight: np.ndarray, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    h = np.where(weight > 0, np.maximum(q - theta[:, None], 0.0), 0.0)
    a, b = (weight * y * h).sum(axis=1), (weight * h * h).sum(axis=1)
    gain = np.where(b > 0, a / np.where(b > 0, b, 1.0), 0.0)
    return np.where(a > 0, a * gain, -1.0), gain


def bias_start(formula: Formula, y_mean: np.ndarray) -> np.ndarray:
    """The bias (S,) that fits the mean of y with all weights 0, where one exists; else 0."""
    name = formula.activation.name
    tiny = np.finfo(np.float64).tiny
    if name == "exp":
        return np.where(y_mean > 0, np.log(np.maximum(y_mean, tiny)), 0.0)
    if name == "sigmoid":
        inside = (y_mean > 0) & (y_mean < 1)
        p = np.where(inside, y_mean, 0.5)
        return np.log(p) - np.log1p(-p)
    if name in ("identity", "leaky_relu", "softplus"):
        return np.where(y_mean > 0, y_mean, 0.0) if name != "identity" else y_mean
    return np.zeros_like(y_mean)


def random_start(seed: int, attempt: int, size: int, spread: np.ndarray) -> np.ndarray:
    """Normal parameters (S, P) for each deviation of y in `spread` (S,), equal for equal seeds whatever S is."""
    draw = np.random.default_rng([seed, attempt]).standard_normal(size)
    return spread[:, None] * draw[None, :] / np.sqrt(size)
