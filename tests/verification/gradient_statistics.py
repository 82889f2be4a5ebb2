"""A third set of bugs and correct gradients that the checker was not made with: likelihoods, penalties, filters.

Their first score, untuned, stands in docs/verification.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gradient_bugs import Bug
from gradient_problems import SHAPES, example
from gradient_right import Right, softmax_args

Gradient = Callable[..., Any]


def signs(rows: int = 20) -> tuple[Any, ...]:
    w, b, X, y = example(rows, labels="binary")
    return w, b, X, 2 * y - 1


def slopes(slope: Callable[..., Any]) -> Gradient:
    """The gradient of a mean over samples, from d loss / d z."""

    def gradient(w, b, X, *data):
        d = slope(np, X @ w + b, *data) / len(X)
        return X.T @ d, d.sum()

    return gradient


def jitted(slope: Callable[..., Any]) -> Gradient:
    @jax.jit
    def gradient(w, b, X, *data):
        d = slope(jnp, X @ w + b, *data) / len(X)
        return d @ X, d.sum()

    return gradient


# Multinomial logistic regression, its labels smoothed


def smoothed(W: Any, c: Any, X: Any, y: Any) -> Any:
    z = X @ W + c
    target = 0.9 * jax.nn.one_hot(y, z.shape[1]) + 0.1 / z.shape[1]
    return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(z, axis=1), axis=1))


def of_smoothed(others: int) -> Gradient:
    def gradient(W, c, X, y):
        z = X @ W + c
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p -= 0.1 / (z.shape[1] - others)
        p[np.arange(len(y)), y] -= 0.9
        p /= len(y)
        return X.T @ p, p.sum(axis=0)

    return gradient


# Generalised linear models


def tweedie(w: Any, b: Any, X: Any, y: Any) -> Any:
    mu = jnp.exp(X @ w + b)
    return jnp.mean(mu**0.5 / 0.5 + y * mu**-0.5 / 0.5)


def gamma(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = X @ w + b
    return jnp.mean(y * jnp.exp(-z) + z)


def exposed(w: Any, b: Any, X: Any, y: Any, t: Any) -> Any:
    z = X @ w + b + jnp.log(t)
    return jnp.mean(jnp.exp(z) - y * z)


def positive_args() -> tuple[Any, ...]:
    w, b, X, _ = example()
    return w, b, X, np.random.default_rng(11).gamma(2.0, size=len(X))


def exposed_args() -> tuple[Any, ...]:
    return (*example(labels="count"), np.random.default_rng(12).uniform(0.5, 4, 20))


def negative_binomial(w: Any, t: Any, X: Any, y: Any) -> Any:
    r, z = jnp.exp(t), X @ w
    gammaln = jax.scipy.special.gammaln
    return jnp.mean(gammaln(r) - gammaln(y + r) - r * t - y * z + (y + r) * jnp.log(r + jnp.exp(z)))


def of_dispersion(chain: bool) -> Gradient:
    @jax.jit
    def gradient(w, t, X, y):
        r, mu = jnp.exp(t), jnp.exp(X @ w)
        digamma = jax.scipy.special.digamma
        over = (y + r) / (r + mu)
        dr = jnp.mean(digamma(r) - digamma(y + r) - t - 1 + jnp.log(r + mu) + over)
        return X.T @ (mu * over - y) / len(y), dr * r if chain else dr

    return gradient


def probit(w: Any, b: Any, X: Any, y: Any) -> Any:
    return -jnp.mean(jax.scipy.stats.norm.logcdf(y * (X @ w + b)))


def mills_unsigned() -> Gradient:
    norm = jax.scipy.stats.norm
    return jitted(lambda xp, z, y: -jnp.exp(norm.logpdf(z) - norm.logcdf(y * z)))


# Margins and asymmetric losses


def logistic(w: Any, b: Any, X: Any, y: Any) -> Any:
    return jnp.mean(jax.nn.softplus(-y * (X @ w + b)))


def by_signs(binary: bool) -> Gradient:
    """y * y is 1 for labels -1 and 1, and used so."""
    return jitted(lambda xp, z, y: jax.nn.sigmoid(z) - (y if binary else (y + 1) / 2))


def squared_hinge(w: Any, b: Any, X: Any, y: Any) -> Any:
    return jnp.mean(jnp.maximum(0, 1 - y * (X @ w + b)) ** 2)


def expectile(w: Any, b: Any, X: Any, y: Any) -> Any:
    r = y - (X @ w + b)
    return jnp.mean(jnp.abs(0.8 - (r < 0)) * r**2)


def trimmed(w: Any, b: Any, X: Any, y: Any) -> Any:
    r = X @ w + b - y
    kept = (len(y) + 1) // 2
    return jnp.mean(jnp.sort(r**2)[:kept])


def of_trimmed(key: Callable[[Any], Any]) -> Gradient:
    def gradient(w, b, X, y):
        r = X @ w + b - y
        kept = np.argsort(key(r), kind="stable")[: (len(y) + 1) // 2]
        d = 2 * r[kept] / len(kept)
        return d @ X[kept], d.sum()

    return gradient


# Penalties


def ridge(w: Any, l2: Any, X: Any, y: Any) -> Any:
    """Its first weight is the intercept's."""
    return jnp.sum((X @ w - y) ** 2) + l2 * jnp.sum(w[1:] ** 2)


def of_ridge(first: int) -> Gradient:
    def gradient(w, l2, X, y):
        g = 2 * X.T @ (X @ w - y)
        g[first:] += 2 * l2 * w[first:]
        return g, (w[first:] ** 2).sum()

    return gradient


def elastic(w: Any, b: Any, X: Any, y: Any, alpha: Any, ratio: Any) -> Any:
    fit = jnp.sum((y - X @ w - b) ** 2) / (2 * len(y))
    return fit + alpha * ratio * jnp.sum(jnp.abs(w)) + alpha * (1 - ratio) / 2 * jnp.sum(w**2)


def of_elastic(two: int) -> Gradient:
    def gradient(w, b, X, y, alpha, ratio):
        r = X @ w + b - y
        penalty = alpha * ratio * np.sign(w) + two * alpha * (1 - ratio) * w
        return X.T @ r / len(y) + penalty, r.mean()

    return gradient


def group_lasso(W: Any, c: Any, X: Any, Y: Any) -> Any:
    return jnp.mean((X @ W + c - Y) ** 2) + 0.25 * jnp.sum(jnp.sqrt(jnp.sum(W**2, axis=1)))


def group_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(13)
    return rng.normal(size=(3, 2)), rng.normal(size=2), rng.normal(size=(12, 3)), rng.normal(size=(12, 2))


def of_groups(axis: int) -> Gradient:
    def gradient(W, c, X, Y):
        E = 2 * (X @ W + c - Y) / Y.size
        length = np.sqrt((W * W).sum(axis=axis, keepdims=True))
        unit = np.divide(W, length, out=np.zeros_like(W), where=length > 0)
        return X.T @ E + W.dtype.type(0.25) * unit, E.sum(axis=0)

    return gradient


def total_variation(x: Any, l1: Any, y: Any) -> Any:
    return 0.5 * jnp.sum((x - y) ** 2) + l1 * jnp.sum(jnp.abs(x[1:] - x[:-1]))


def of_variation(turned: bool) -> Gradient:
    def gradient(x, l1, y):
        d = np.diff(x)
        g = x - y
        steps = l1 * np.sign(d)
        g[:-1] -= -steps if turned else steps
        g[1:] += -steps if turned else steps
        return g, np.abs(d).sum()

    return gradient


def smoother(x: Any, l2: Any, y: Any) -> Any:
    return np.sum((x - y) ** 2) + l2 * np.sum(np.diff(x, n=2) ** 2)


def of_smoother(middle: int) -> Gradient:
    def gradient(x, l2, y):
        d = np.diff(x, n=2)
        g = 2 * (x - y)
        g[:-2] += 2 * l2 * d
        g[1:-1] += middle * 2 * l2 * d
        g[2:] += 2 * l2 * d
        return g, (d * d).sum()

    return gradient


# Weights that are a softmax of logits, and a softmax's temperature


def logit_weighted(w: Any, t: Any, X: Any, y: Any) -> Any:
    return jnp.sum(jax.nn.softmax(t) * (X @ w - y) ** 2)


def of_logits(centred: bool) -> Gradient:
    def gradient(w, t, X, y):
        s = np.exp(t - t.max())
        s = s / s.sum()
        r = X @ w - y
        total = s @ r**2 if centred else 0
        return 2 * X.T @ (s * r), s * (r**2 - total)

    return gradient


def tempered(z: Any, t: Any) -> Any:
    return t * jax.nn.logsumexp(z / t)


def of_temperature(entropy: bool) -> Gradient:
    def gradient(z, t):
        u = z / t
        top = u.max()
        e = np.exp(u - top)
        p = e / e.sum()
        value = top + np.log(e.sum())
        return p, value - p @ u if entropy else value

    return gradient


# A pairwise ranking loss (RankNet), and least squares of running sums


def ranked(w: Any, a: Any, X: Any, y: Any) -> Any:
    s = X @ w
    gap = a * (s[:, None] - s)
    return jnp.sum(jnp.where(y[:, None] > y, jax.nn.softplus(-gap), 0))


def of_pairs(losers: bool) -> Gradient:
    def gradient(w, a, X, y):
        s = X @ w
        gap = s[:, None] - s
        e = np.exp(-np.abs(a * gap))
        d = np.where(y[:, None] > y, -np.where(a * gap > 0, e, 1) / (1 + e), 0)
        ds = d.sum(axis=1) - (d.sum(axis=0) if losers else 0)
        return a * (X.T @ ds), (d * gap).sum()

    return gradient


def running(x: Any, c: Any, y: Any) -> Any:
    return jnp.mean((jnp.cumsum(x) + c - y) ** 2)


def of_running(backwards: bool) -> Gradient:
    def gradient(x, c, y):
        e = 2 * (np.cumsum(x) + c - y) / len(y)
        return np.cumsum(e[::-1])[::-1] if backwards else np.cumsum(e), e.sum()

    return gradient


# A variational bound: KL of a diagonal normal, and an observation that it reconstructs


def bound(m: Any, v: Any, noise: Any, x: Any) -> Any:
    z = m + jnp.exp(0.5 * v) * noise
    return 0.5 * jnp.sum((z - x) ** 2) - 0.5 * jnp.sum(1 + v - m**2 - jnp.exp(v))


def of_bound(half: float) -> Gradient:
    def gradient(m, v, noise, x):
        scaled = np.exp(0.5 * v) * noise
        e = m + scaled - x
        return e + m, half * e * scaled + 0.5 * (np.exp(v) - 1)

    return gradient


# A Gaussian process: log length and log noise by marginal likelihood


def marginal(t: Any, s: Any, X: Any, y: Any) -> Any:
    away = jnp.sum((X[:, None] - X) ** 2, axis=2)
    K = jnp.exp(-0.5 * away * jnp.exp(-2 * t)) + (jnp.exp(2 * s) + 0.01) * jnp.eye(len(y))
    L = jnp.linalg.cholesky(K)
    u = jax.scipy.linalg.solve_triangular(L, y, lower=True)
    return 0.5 * u @ u + jnp.sum(jnp.log(jnp.diag(L)))


def process_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(14)
    return 0.25, -0.5, rng.normal(size=(6, 2)), rng.normal(size=6)


def of_process(half: float) -> Gradient:
    def gradient(t, s, X, y):
        away = ((X[:, None] - X) ** 2).sum(axis=2)
        k = np.exp(-0.5 * away * np.exp(-2 * t))
        inverse = np.linalg.inv(k + (np.exp(2 * s) + 0.01) * np.eye(len(y), dtype=y.dtype))
        a = inverse @ y
        outer = half * (inverse - np.outer(a, a))
        return (outer * k * away).sum() * np.exp(-2 * t), 2 * np.exp(2 * s) * np.trace(outer)

    return gradient


# A Gaussian graphical model, and a determinant


def graphical(S: Any, c: Any, A: Any) -> Any:
    return jnp.trace(S @ A) - jnp.linalg.slogdet(S + c * jnp.eye(len(S)))[1]


def graphical_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(15)
    B = rng.normal(size=(3, 3))
    return B @ B.T + np.eye(3), 0.5, rng.normal(size=(3, 3))


def of_precision(turn: bool) -> Gradient:
    @jax.jit
    def gradient(S, c, A):
        inverse = jnp.linalg.inv(S + c * jnp.eye(len(S)))
        return (A.T if turn else A) - inverse.T, -jnp.trace(inverse)

    return gradient


# A Kalman filter of an autoregression seen through noise


def filtered(a: Any, q: Any, y: Any) -> Any:
    def step(carry, seen):
        m, P = carry
        m, P = a * m, a * a * P + jnp.exp(q)
        S, e = P + 1, seen - m
        return (m + P / S * e, P / S), 0.5 * (jnp.log(S) + e * e / S)

    return jnp.sum(jax.lax.scan(step, (jnp.zeros_like(a), jnp.ones_like(a)), y)[1])


def of_filter(variance: bool) -> Gradient:
    """Sensitivities carried forward beside the filter."""

    def gradient(a, q, y):
        one = y.dtype.type(1)
        m, P = 0 * one, one
        dm, dP = np.zeros(2, y.dtype), np.zeros(2, y.dtype)
        g = np.zeros(2, y.dtype)
        in_a, in_q = np.array([1, 0], y.dtype), np.array([0, 1], y.dtype)
        for seen in y:
            dm, dP = a * dm + m * in_a, a * a * dP + np.exp(q) * in_q + (2 * a * P * in_a if variance else 0)
            m, P = a * m, a * a * P + np.exp(q)
            S, e = P + 1, seen - m
            g += 0.5 * (dP / S - e * e * dP / S**2) - e * dm / S
            gain, dgain = P / S, dP / S**2
            dm = dm + dgain * e - gain * dm
            m, P, dP = m + gain * e, gain, dgain
        return g[0], g[1]

    return gradient


# A linear-chain CRF, by the forward algorithm


def chain(U: Any, A: Any, y: Any) -> Any:
    def step(alpha, u):
        return u + jax.nn.logsumexp(alpha[:, None] + A, axis=0), None

    last, _ = jax.lax.scan(step, U[0], U[1:])
    score = jnp.sum(U[jnp.arange(len(y)), y]) + jnp.sum(A[y[:-1], y[1:]])
    return jax.nn.logsumexp(last) - score


def chain_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(16)
    return rng.normal(size=(7, 3)), rng.normal(size=(3, 3)), np.array([0, 1, 2, 0, 1, 1, 0])


def _logsumexp(a: Any, axis: int) -> Any:
    top = a.max(axis=axis, keepdims=True)
    return np.log(np.exp(a - top).sum(axis=axis)) + top.squeeze(axis)


def of_chain(repeats: bool) -> Gradient:
    """Forward and backward messages; the transitions seen are counted."""

    def gradient(U, A, y):
        T = len(y)
        alpha, beta = np.zeros_like(U), np.zeros_like(U)
        alpha[0] = U[0]
        for t in range(1, T):
            alpha[t] = U[t] + _logsumexp(alpha[t - 1][:, None] + A, 0)
        for t in range(T - 2, -1, -1):
            beta[t] = _logsumexp(A + U[t + 1] + beta[t + 1], 1)
        logZ = _logsumexp(alpha[-1], 0)
        dU = np.exp(alpha + beta - logZ)
        dU[np.arange(T), y] -= 1
        dA = np.zeros_like(A)
        for t in range(1, T):
            dA += np.exp(alpha[t - 1][:, None] + A + U[t] + beta[t] - logZ)
        if repeats:
            np.subtract.at(dA, (y[:-1], y[1:]), 1)
        else:
            dA[y[:-1], y[1:]] -= 1
        return dU, dA

    return gradient


# A radial basis network, a rate of reaction, a bearing, a growth curve by Euler's steps


def kernels(C: Any, a: Any, X: Any, y: Any) -> Any:
    away = jnp.sum(X**2, axis=1)[:, None] - 2 * X @ C.T + jnp.sum(C**2, axis=1)
    return jnp.sum((jnp.exp(-0.5 * away) @ a - y) ** 2)


def kernels_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(17)
    return rng.normal(size=(4, 2)), rng.normal(size=4), rng.normal(size=(9, 2)), rng.normal(size=9)


def of_kernels(moved: bool) -> Gradient:
    @jax.jit
    def gradient(C, a, X, y):
        away = X[:, None] - C
        k = jnp.exp(-0.5 * jnp.sum(away**2, axis=2))
        e = 2 * (k @ a - y)
        pull = (e[:, None] * k) * a
        dC = jnp.einsum("nm,nmd->md", pull, away) if moved else pull.T @ X
        return dC, k.T @ e

    return gradient


def reaction(V: Any, K: Any, s: Any, v: Any) -> Any:
    return np.mean((V * s / (K + s) - v) ** 2)


def reaction_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(18)
    return 2.0, 0.75, rng.uniform(0.1, 4, 8), rng.uniform(0, 2, 8)


def of_reaction(power: int) -> Gradient:
    def gradient(V, K, s, v):
        share = s / (K + s)
        e = 2 * (V * share - v) / len(s)
        return (e * share).sum(), -(e * V * s / (K + s) ** power).sum()

    return gradient


def bearing(p: Any, c: Any, A: Any, t: Any) -> Any:
    r = jnp.arctan2(p[1] - A[:, 1], p[0] - A[:, 0]) + c - t
    return jnp.mean(1 - jnp.cos(r))


def bearing_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(19)
    return rng.normal(size=2), 0.125, rng.normal(size=(6, 2)), rng.uniform(-3, 3, 6)


def of_bearing(turn: int) -> Gradient:
    def gradient(p, c, A, t):
        dx, dy = p[0] - A[:, 0], p[1] - A[:, 1]
        e = np.sin(np.arctan2(dy, dx) + c - t) / len(t)
        square = dx**2 + dy**2
        return np.array([-turn * (e * dy / square).sum(), turn * (e * dx / square).sum()], p.dtype), e.sum()

    return gradient


def growth(r: Any, k: Any, y: Any) -> Any:
    def step(x, seen):
        x = x + 0.125 * r * x * (1 - x / k)
        return x, (x - seen) ** 2

    return jnp.sum(jax.lax.scan(step, jnp.full_like(r, 0.5), y)[1])


def of_growth(before: bool) -> Gradient:
    """The adjoint, backwards over the states that the forward sweep kept."""

    def gradient(r, k, y):
        x = [y.dtype.type(0.5)]
        for _ in y:
            x.append(x[-1] + 0.125 * r * x[-1] * (1 - x[-1] / k))
        lam = gr = gk = y.dtype.type(0)
        for t in range(len(y), 0, -1):
            lam = lam + 2 * (x[t] - y[t - 1])
            at = x[t - 1] if before else x[t]
            gr = gr + lam * 0.125 * at * (1 - at / k)
            gk = gk + lam * 0.125 * r * at**2 / k**2
            lam = lam * (1 + 0.125 * r * (1 - 2 * at / k))
        return gr, gk

    return gradient


# Phase retrieval: intensities of a discrete Fourier transform


def intensities(x: Any, c: Any, y: Any) -> Any:
    return jnp.mean((c * jnp.abs(jnp.fft.fft(x)) ** 2 - y) ** 2)


def intensities_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(20)
    return rng.normal(size=8), 0.25, rng.uniform(0, 4, 8)


def of_phases(two: float) -> Gradient:
    def gradient(x, c, y):
        n = np.arange(len(x))
        turn = 2 * np.pi * np.outer(n, n) / len(x)
        cos, sin = np.cos(turn).astype(x.dtype), np.sin(turn).astype(x.dtype)
        re, im = cos @ x, sin @ x
        power = re**2 + im**2
        e = 2 * (c * power - y) / len(y)
        return two * c * (cos @ (e * re) + sin @ (e * im)), e @ power

    return gradient


SMOOTHED = {"cost": smoothed, "args": softmax_args, "shapes": ("D 4", "4", "N D", "N")}
POSITIVE = {"args": positive_args, "shapes": SHAPES}
EXPOSED = {"cost": exposed, "args": exposed_args, "shapes": (*SHAPES, "N")}
NEGATIVE = {"cost": negative_binomial, "args": lambda: example(labels="count")}
RIDGE = {"cost": ridge, "args": example}
ELASTIC = {"cost": elastic, "args": lambda: (*example(), 0.5, 0.25), "shapes": (*SHAPES, "", "")}
GROUPS = {"cost": group_lasso, "args": group_args, "shapes": ("D K", "K", "N D", "N K")}
SERIES = {"args": lambda: (*example(8)[3:], 0.5, example(8, seed=1)[3]), "shapes": ("N", "", "N")}
LOGITS = {
    "cost": logit_weighted,
    "args": lambda: (*(a := example())[:1], a[3], *a[2:]),
    "shapes": ("D", "N", "N D", "N"),
}
TEMPERED = {"cost": tempered, "args": lambda: (example(6)[3], 0.75), "shapes": ("N", "")}
RANKED = {"cost": ranked, "args": lambda: example(8)}
BOUND = {"cost": bound, "args": lambda: tuple(example(5, seed=k)[3] for k in range(4)), "shapes": ("N",) * 4}
PROCESS = {"cost": marginal, "args": process_args, "shapes": ("", "", "N D", "N")}
GRAPHICAL = {"cost": graphical, "args": graphical_args, "shapes": ("D D", "", "D D")}
FILTER = {"cost": filtered, "args": lambda: (0.75, -0.5, example(8)[3]), "shapes": ("", "", "N")}
CHAIN = {"cost": chain, "args": chain_args, "shapes": ("T 3", "3 3", "T")}
KERNELS = {"cost": kernels, "args": kernels_args, "shapes": ("M D", "M", "N D", "N")}
REACTION = {"cost": reaction, "args": reaction_args, "shapes": ("", "", "N", "N")}
BEARING = {"cost": bearing, "args": bearing_args, "shapes": ("2", "", "N 2", "N")}
GROWTH = {"cost": growth, "args": lambda: (0.75, 2.0, example(8)[3]), "shapes": ("", "", "N")}
PHASES = {"cost": intensities, "args": intensities_args, "shapes": ("N", "", "N")}


def tweedie_slope(chain_rule: bool) -> Any:
    def slope(xp, z, y):
        mu = xp.exp(z)
        return mu**0.5 - y * mu**-0.5 if chain_rule else mu**-0.5 - y * mu**-1.5

    return slope


def hinge_slope(margin: int) -> Any:
    return lambda xp, z, y: xp.where(y * z < margin, -2 * y * (1 - y * z), 0)


def expectile_slope(tau: float) -> Any:
    return lambda xp, z, y: (2 * (z - y) * xp.where(y < z, 1 - tau, tau)).astype(z.dtype)


STATISTICS_BUGS = [
    Bug("smoothing_over_the_others", None, lambda: of_smoothed(1), **SMOOTHED),
    Bug("tweedie_without_the_link", None, lambda: slopes(tweedie_slope(False)), tweedie, **POSITIVE),
    Bug("gamma_squared_mean", None, lambda: jitted(lambda xp, z, y: 1 - y * xp.exp(-2 * z)), gamma, **POSITIVE),
    Bug("exposure_as_a_rate", None, lambda: slopes(lambda xp, z, y, t: xp.exp(z) - y / t), **EXPOSED),
    Bug("dispersion_without_chain", None, lambda: of_dispersion(False), **NEGATIVE),
    Bug("logistic_of_signs_as_binary", None, lambda: by_signs(True), logistic, signs),
    Bug("probit_sign_once", None, mills_unsigned, probit, signs),
    Bug("hinge_margin_zero", None, lambda: jitted(hinge_slope(0)), squared_hinge, signs),
    Bug("expectile_turned", None, lambda: slopes(expectile_slope(0.2)), expectile),
    Bug("trimmed_by_signed_residual", None, lambda: of_trimmed(lambda r: r), trimmed, kinks="subgradient"),
    Bug("ridge_on_the_intercept", None, lambda: of_ridge(0), **RIDGE),
    Bug("elastic_net_without_half", None, lambda: of_elastic(2), **ELASTIC),
    Bug("group_lasso_by_columns", None, lambda: of_groups(0), **GROUPS),
    Bug("variation_adjoint_sign", None, lambda: of_variation(True), total_variation, **SERIES),
    Bug("smoother_second_difference", None, lambda: of_smoother(-1), smoother, **SERIES),
    Bug("weights_of_logits_not_centred", None, lambda: of_logits(False), **LOGITS),
    Bug("temperature_without_entropy", None, lambda: of_temperature(False), **TEMPERED),
    Bug("pairs_without_losers", None, lambda: of_pairs(False), **RANKED),
    Bug("running_sum_forwards", None, lambda: of_running(False), running, **SERIES),
    Bug("bound_without_half", None, lambda: of_bound(1.0), **BOUND),
    Bug("process_without_half", None, lambda: of_process(1.0), **PROCESS),
    Bug("precision_not_transposed", None, lambda: of_precision(False), **GRAPHICAL),
    Bug("filter_variance_held", None, lambda: of_filter(False), **FILTER),
    Bug("chain_transitions_once", None, lambda: of_chain(False), **CHAIN),
    Bug("kernel_pull_not_relative", None, lambda: of_kernels(False), **KERNELS),
    Bug("reaction_without_square", None, lambda: of_reaction(1), **REACTION),
    Bug("bearing_turned", None, lambda: of_bearing(-1), **BEARING),
    Bug("growth_adjoint_a_step_late", None, lambda: of_growth(False), **GROWTH),
]
STATISTICS_RIGHT = [
    Right("smoothing", of_smoothed(0), **SMOOTHED),
    Right("tweedie", slopes(tweedie_slope(True)), tweedie, **POSITIVE),
    Right("tweedie_jax", jitted(tweedie_slope(True)), tweedie, **POSITIVE),
    Right("gamma", jitted(lambda xp, z, y: 1 - y * xp.exp(-z)), gamma, **POSITIVE),
    Right("dispersion", of_dispersion(True), **NEGATIVE),
    Right("exposure", slopes(lambda xp, z, y, t: t * xp.exp(z) - y), **EXPOSED),
    Right("logistic_of_signs", by_signs(False), logistic, signs),
    Right("squared_hinge", jitted(hinge_slope(1)), squared_hinge, signs),
    Right("expectile", slopes(expectile_slope(0.8)), expectile),
    Right("trimmed", of_trimmed(lambda r: r**2), trimmed, kinks="subgradient"),
    Right("ridge", of_ridge(1), **RIDGE),
    Right("elastic_net", of_elastic(1), **ELASTIC),
    Right("group_lasso", of_groups(1), **GROUPS),
    Right("variation", of_variation(False), total_variation, **SERIES),
    Right("smoother", of_smoother(-2), smoother, **SERIES),
    Right("weights_of_logits", of_logits(True), **LOGITS),
    Right("pairs", of_pairs(True), **RANKED),
    Right("temperature", of_temperature(True), **TEMPERED),
    Right("running_sum", of_running(True), running, **SERIES),
    Right("bound", of_bound(0.5), **BOUND),
    Right("process", of_process(0.5), **PROCESS),
    Right("precision", of_precision(True), **GRAPHICAL),
    Right("filter", of_filter(True), **FILTER),
    Right("chain", of_chain(True), **CHAIN),
    Right("kernels", of_kernels(True), **KERNELS),
    Right("reaction", of_reaction(2), **REACTION),
    Right("bearing", of_bearing(1), **BEARING),
    Right("growth", of_growth(True), **GROWTH),
]
