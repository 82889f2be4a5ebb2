"""A second set of bugs and correct gradients that the checker was not made with, on losses and layers of other fields.

Their first score, untuned, stands in docs/verification.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gradient_bugs import Bug
from gradient_right import Right

Gradient = Callable[..., Any]


def mean_of(loss: Callable[[Any, Any], Any]) -> Gradient:
    return lambda w, b, X, y: jnp.mean(loss(X @ w + b, y))


def by_slope(slope: Callable[[Any, Any, Any], Any]) -> Gradient:
    def gradient(w, b, X, y):
        d = slope(np, X @ w + b, y) / w.dtype.type(len(y))
        return d @ X, d.sum()

    return gradient


def jitted(slope: Callable[[Any, Any, Any], Any]) -> Gradient:
    @jax.jit
    def gradient(w, b, X, y):
        d = slope(jnp, X @ w + b, y)
        return jnp.mean(d[:, None] * X, axis=0), jnp.mean(d)

    return gradient


# Robust, quantile and smooth losses

student = mean_of(lambda z, y: jnp.log1p((z - y) ** 2 / 4))
pinball = mean_of(lambda z, y: jnp.maximum(0.25 * (y - z), -0.75 * (y - z)))
log_cosh = mean_of(lambda z, y: jnp.abs(z - y) + jnp.log1p(jnp.exp(-2 * jnp.abs(z - y))) - jnp.log(2.0))
elu = mean_of(lambda z, y: (jax.nn.elu(z) - y) ** 2)


def student_slope(freedom: float) -> Any:
    return lambda xp, z, y: 2 * (z - y) / (freedom + (z - y) ** 2)


def pinball_slope(over: float, under: float) -> Any:
    return lambda xp, z, y: xp.where(z > y, over, xp.where(z < y, -under, 0.0)).astype(z.dtype)


def elu_slope(one: float) -> Any:
    def slope(xp, z, y):
        tail = xp.expm1(xp.minimum(z, 0))
        return 2 * (xp.where(z > 0, z, tail) - y) * xp.where(z > 0, 1, tail + one)

    return slope


# A cosine similarity


def cosine(w: Any, b: Any, X: Any, y: Any) -> Any:
    return jnp.mean((X @ w / (jnp.linalg.norm(X, axis=1) * jnp.linalg.norm(w)) + b - y) ** 2)


def of_cosine(turn: bool) -> Gradient:
    def gradient(w, b, X, y):
        length = np.linalg.norm(w)
        rows = X / np.linalg.norm(X, axis=1)[:, None] / length
        c = rows @ w
        e = 2 * (c + b - y) / w.dtype.type(len(y))
        across = rows - (c[:, None] * w / length**2 if turn else 0)
        return across.T @ e, e.sum()

    return gradient


# Matrix factorisation of what was observed


def factorised(U: Any, V: Any, R: Any, M: Any) -> Any:
    return jnp.sum(M * (U @ V.T - R) ** 2) / jnp.sum(M)


def factorised_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(6)
    M = (rng.random((5, 4)) < 0.7).astype(float)
    return rng.normal(size=(5, 2)), rng.normal(size=(4, 2)), rng.normal(size=(5, 4)), M


def of_factors(observed: bool) -> Gradient:
    def gradient(U, V, R, M):
        E = M * (np.einsum("nk,pk->np", U, V) - R)
        E *= U.dtype.type(2) / (M.sum() if observed else U.dtype.type(M.size))
        return E @ V, E.T @ U

    return gradient


# Cox's partial likelihood, rows by time


def cox(w: Any, b: Any, X: Any, d: Any) -> Any:
    z = b * (X @ w)
    return -jnp.mean(d * (z - jnp.log(jnp.cumsum(jnp.exp(z)[::-1])[::-1])))


def cox_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(8)
    return rng.normal(size=2), 0.75, rng.normal(size=(9, 2)), (rng.random(9) < 0.6).astype(float)


def of_risk_sets(own: bool) -> Gradient:
    def gradient(w, b, X, d):
        score = X @ w
        p = np.exp(b * score)
        at_risk = np.cumsum(p[::-1])[::-1]
        hazard = np.cumsum(d / at_risk)
        if not own:
            hazard = hazard - d / at_risk
        g = (p * hazard - d) / w.dtype.type(len(d))
        return b * (g @ X), g @ score

    return gradient


# A layer normalisation's scale and shift


def normed(g: Any, c: Any, X: Any, y: Any) -> Any:
    h = (X - X.mean(1, keepdims=True)) / jnp.sqrt(X.var(1, keepdims=True) + 1e-5)
    return jnp.mean(((h * g + c).sum(1) - y) ** 2)


def normed_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(9)
    return rng.normal(size=3), rng.normal(size=3), rng.normal(size=(8, 3)), rng.normal(size=8)


def of_layer(epsilon: float) -> Gradient:
    @jax.jit
    def gradient(g, c, X, y):
        mean = jnp.einsum("nd->n", X)[:, None] / X.shape[1]
        variance = jnp.mean((X - mean) ** 2, axis=1, keepdims=True)
        h = (X - mean) * jax.lax.rsqrt(variance + epsilon)
        e = 2 * (h @ g + jnp.sum(c) - y) / X.shape[0]
        return h.T @ e, jnp.full_like(c, jnp.sum(e))

    return gradient


# A radial basis function


def radial(c: Any, a: Any, X: Any, y: Any) -> Any:
    return jnp.mean((a * jnp.exp(-jnp.sum((X - c) ** 2, axis=1)) - y) ** 2)


def of_centre(two: float) -> Gradient:
    def gradient(c, a, X, y):
        away = X - c
        k = np.exp(-np.einsum("nd,nd->n", away, away))
        e = 2 / c.dtype.type(len(y)) * (a * k - y) * k
        return c.dtype.type(two) * a * (e @ away), e.sum()

    return gradient


FACTORS = {"cost": factorised, "args": factorised_args, "shapes": ("N K", "P K", "N P", "N P")}
COX = {"cost": cox, "args": cox_args}
LAYER = {"cost": normed, "args": normed_args, "shapes": ("D", "D", "N D", "N")}
UNSEEN_BUGS = [
    Bug("unseen_student_freedom", "residual", lambda: by_slope(student_slope(3.0)), student),
    Bug("unseen_pinball_turned", "residual", lambda: by_slope(pinball_slope(0.25, 0.75)), pinball),
    Bug("unseen_log_cosh_clipped", "residual", lambda: by_slope(lambda xp, z, y: xp.clip(z - y, -1, 1)), log_cosh),
    Bug("unseen_elu_without_one", "gate", lambda: jitted(elu_slope(0.0)), elu),
    Bug("unseen_cosine_not_turned", None, lambda: of_cosine(False), cosine),
    Bug("unseen_factors_of_all", None, lambda: of_factors(False), **FACTORS),
    Bug("unseen_risk_set_without_own", None, lambda: of_risk_sets(False), **COX),
    Bug("unseen_layer_epsilon", None, lambda: of_layer(1e-6), **LAYER),
    Bug("unseen_centre_without_two", None, lambda: of_centre(1.0), radial),
]
UNSEEN_RIGHT = [
    Right("unseen_student", by_slope(student_slope(4.0)), student),
    Right("unseen_pinball", by_slope(pinball_slope(0.75, 0.25)), pinball),
    Right("unseen_log_cosh", jitted(lambda xp, z, y: xp.tanh(z - y)), log_cosh),
    Right("unseen_elu", jitted(elu_slope(1.0)), elu),
    Right("unseen_cosine", of_cosine(True), cosine),
    Right("unseen_factors", of_factors(True), **FACTORS),
    Right("unseen_risk_set", of_risk_sets(True), **COX),
    Right("unseen_layer", of_layer(1e-5), **LAYER),
    Right("unseen_centre", of_centre(2.0), radial),
]
