"""Costs, their correct gradients in plain NumPy, and examples: what the mutation suite is built on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

SHAPES = ("D", "", "N D", "N")


def example(rows: int = 20, width: int = 3, labels: str = "real", seed: int = 0) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    y = {
        "real": rng.normal(size=rows),
        "binary": (rng.random(rows) > 0.5).astype(float),
        "count": rng.poisson(2.0, rows).astype(float),
        "integer": rng.integers(-3, 4, rows),
    }[labels]
    return (rng.normal(size=width), 0.5, rng.normal(size=(rows, width)), y)


@dataclass(frozen=True)
class Problem:
    """A cost in JAX and its gradient's slope d loss / d z in NumPy (`xp` is numpy or jax.numpy)."""

    name: str
    loss: Callable[[Any, Any, Any], Any]
    slope: Callable[[Any, Any, Any], Any]
    labels: str = "real"

    def cost(self, w: Any, b: Any, X: Any, y: Any) -> Any:
        return jnp.mean(self.loss(jnp, X @ w + b, y))

    def gradient(self, xp: Any) -> Callable[..., Any]:
        def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
            e = self.slope(xp, X @ w + b, y)
            return X.T @ e / X.shape[0], e.sum() / X.shape[0]

        return gradient

    @property
    def args(self) -> tuple[Any, ...]:
        return example(labels=self.labels)


def _relu(xp: Any, z: Any, y: Any) -> Any:
    return (y - xp.where(z > 0, z, 0)) ** 2


def _relu_slope(xp: Any, z: Any, y: Any) -> Any:
    return xp.where(z > 0, 2 * (z - y), 0)


def _leaky(xp: Any, z: Any, y: Any) -> Any:
    return (xp.where(z > 0, z, 0.01 * z) - y) ** 2


def _leaky_slope(xp: Any, z: Any, y: Any) -> Any:
    return 2 * (xp.where(z > 0, z, 0.01 * z) - y) * xp.where(z > 0, 1.0, 0.01).astype(z.dtype)


def _huber(xp: Any, z: Any, y: Any) -> Any:
    r = abs(z - y)
    return xp.where(r <= 1, 0.5 * r * r, r - 0.5)


def _log_loss(xp: Any, z: Any, y: Any) -> Any:
    return xp.maximum(z, 0) - y * z + xp.log1p(xp.exp(-abs(z)))


def _sigmoid(xp: Any, z: Any) -> Any:
    t = xp.exp(-abs(z))
    return xp.where(z >= 0, 1, t) / (1 + t)


def _pinball_free(xp: Any, z: Any, y: Any) -> Any:
    return abs(z - y)


PROBLEMS = {
    p.name: p
    for p in (
        Problem("relu", _relu, _relu_slope),
        Problem("identity", lambda xp, z, y: (z - y) ** 2, lambda xp, z, y: 2 * (z - y)),
        Problem("leaky_relu", _leaky, _leaky_slope),
        Problem("huber", _huber, lambda xp, z, y: xp.clip(z - y, -1, 1)),
        Problem("absolute", _pinball_free, lambda xp, z, y: xp.sign(z - y)),
        Problem(
            "relu_absolute",
            lambda xp, z, y: abs(xp.maximum(z, 0) - y),
            lambda xp, z, y: xp.where(z > 0, xp.sign(z - y), 0),
        ),
        Problem("log_loss", _log_loss, lambda xp, z, y: _sigmoid(xp, z) - y, "binary"),
        Problem("poisson", lambda xp, z, y: xp.exp(z) - y * z, lambda xp, z, y: xp.exp(z) - y, "count"),
        Problem(
            "tanh", lambda xp, z, y: (xp.tanh(z) - y) ** 2,
            lambda xp, z, y: 2 * (xp.tanh(z) - y) * (1 - xp.tanh(z) ** 2),
        ),
        Problem(
            "softplus",
            lambda xp, z, y: (xp.logaddexp(z, 0.0 * z) - y) ** 2,
            lambda xp, z, y: 2 * (xp.logaddexp(z, 0.0 * z) - y) * _sigmoid(xp, z),
        ),
        Problem("hinge", lambda xp, z, y: xp.maximum(0, 1 - (2 * y - 1) * z),
                lambda xp, z, y: xp.where((2 * y - 1) * z < 1, 1 - 2 * y, 0.0), "binary"),
    )
}  # fmt: skip

# The article's cost with sample weights and penalties


def weighted(w: Any, b: Any, X: Any, y: Any, s: Any) -> Any:
    return jnp.sum(s * (y - jax.nn.relu(X @ w + b)) ** 2) / jnp.sum(s)


def penalised(w: Any, b: Any, X: Any, y: Any, l2: Any, l1: Any) -> Any:
    return PROBLEMS["relu"].cost(w, b, X, y) + l2 * jnp.sum(w**2) + l1 * jnp.sum(jnp.abs(w))


WEIGHTED_SHAPES = (*SHAPES, "N")
PENALISED_SHAPES = (*SHAPES, "", "")


def weighted_args() -> tuple[Any, ...]:
    return (*example(), np.random.default_rng(1).uniform(0.5, 2.0, 20))


def penalised_args() -> tuple[Any, ...]:
    return (*example(), 0.1, 0.05)
