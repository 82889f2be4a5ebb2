"""Custom rules that the checker was not made with: as their authors write them, right and wrong, for `verify_vjp`.

Their first score, untuned, stands in docs/verification.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


@dataclass(frozen=True)
class Rule:
    name: str
    f: Callable[..., Any]
    args: tuple[Any, ...]
    shapes: tuple[str, ...] | None
    right: bool


def with_rule(f: Callable[..., Any], keep: Callable[..., Any], back: Callable[..., Any]) -> Callable[..., Any]:
    ruled = jax.custom_vjp(f)
    ruled.defvjp(lambda *args: (f(*args), keep(f(*args), *args)), back)
    return ruled


def with_tangent(f: Callable[..., Any], tangent: Callable[..., Any]) -> Callable[..., Any]:
    ruled = jax.custom_jvp(f)
    ruled.defjvp(lambda primals, tangents: (f(*primals), tangent(primals, tangents)))
    return ruled


x, z = np.random.default_rng(41).normal(size=5), np.random.default_rng(42).normal(size=(4, 3))


def total(x):
    top = jnp.max(x)
    return top + jnp.log(jnp.sum(jnp.exp(x - top)))


def rows(x):
    return jax.nn.softmax(x, axis=-1)


def unit(x):
    return x / jnp.sqrt(1e-3 + jnp.sum(x * x))


def dense(W, X):
    return X @ W


def root(x):
    """Newton's steps, unrolled."""
    a = 1 + x * x
    y = a
    for _ in range(40):
        y = 0.5 * (y + a / y)
    return y


def smooth(x):
    return jnp.logaddexp(x, 0.0)


def blocks(W, X):
    """A checkpointed block: two layers, and a scan over them."""

    def step(h, _):
        return jnp.tanh(h @ W), None

    return jax.lax.scan(jax.checkpoint(step), X, None, length=2)[0]


def blocks_back(kept, g):
    W, X = kept
    first = jnp.tanh(X @ W)
    second = jnp.tanh(first @ W)
    d2 = g * (1 - second**2)
    d1 = (d2 @ W.T) * (1 - first**2)
    return first.T @ d2 + X.T @ d1, d1 @ W.T


def blocks_once(kept, g):
    W, X = kept
    first = jnp.tanh(X @ W)
    second = jnp.tanh(first @ W)
    d2 = g * (1 - second**2)
    d1 = (d2 @ W.T) * (1 - first**2)
    return first.T @ d2, d1 @ W.T


WX = (np.random.default_rng(43).normal(size=(3, 2)), z)
WW = (np.random.default_rng(44).normal(size=(3, 3)), z)
RULES = [
    Rule(
        "logsumexp", with_rule(total, lambda y, x: (y, x), lambda k, g: (g * jnp.exp(k[1] - k[0]),)), (x,), ("N",), True
    ),
    Rule(
        "logsumexp_without_cotangent",
        with_rule(total, lambda y, x: (y, x), lambda k, g: (jnp.exp(k[1] - k[0]),)),
        (x,),
        ("N",),
        False,
    ),
    Rule(
        "softmax_from_its_output",
        with_rule(rows, lambda y, x: y, lambda y, g: (y * (g - jnp.sum(g * y, -1, keepdims=True)),)),
        (z,),
        ("N D",),
        True,
    ),
    Rule("softmax_diagonal", with_rule(rows, lambda y, x: y, lambda y, g: (g * y * (1 - y),)), (z,), ("N D",), False),
    Rule(
        "softmax_summed_over_rows",
        with_rule(rows, lambda y, x: y, lambda y, g: (y * (g - jnp.sum(g * y)),)),
        (z,),
        ("N D",),
        False,
    ),
    Rule(
        "unit",
        with_rule(
            unit,
            lambda y, x: (y, jnp.sqrt(1e-3 + jnp.sum(x * x))),
            lambda k, g: ((g - k[0] * jnp.sum(k[0] * g)) / k[1],),
        ),
        (x,),
        ("N",),
        True,
    ),
    Rule(
        "unit_keeps_its_input",
        with_rule(
            unit,
            lambda y, x: (x, jnp.sqrt(1e-3 + jnp.sum(x * x))),
            lambda k, g: ((g - k[0] * jnp.sum(k[0] * g)) / k[1],),
        ),
        (x,),
        ("N",),
        False,
    ),
    Rule(
        "dense",
        with_rule(dense, lambda y, W, X: (W, X), lambda k, g: (k[1].T @ g, g @ k[0].T)),
        WX,
        ("D K", "N D"),
        True,
    ),
    Rule(
        "dense_cotangent_clipped",
        with_rule(
            dense, lambda y, W, X: (W, X), lambda k, g: (k[1].T @ jnp.clip(g, -1, 1), jnp.clip(g, -1, 1) @ k[0].T)
        ),
        WX,
        ("D K", "N D"),
        False,
    ),
    Rule("root_implicit", with_rule(root, lambda y, x: (y, x), lambda k, g: (g * k[1] / k[0],)), (x,), ("N",), True),
    Rule("root_half", with_rule(root, lambda y, x: (y, x), lambda k, g: (0.5 * g / k[0],)), (x,), ("N",), False),
    Rule("rounding_straight_through", with_tangent(jnp.round, lambda p, t: t[0]), (x,), ("N",), False),
    Rule("softplus_tangent", with_tangent(smooth, lambda p, t: jax.nn.sigmoid(p[0]) * t[0]), (x,), ("N",), True),
    Rule(
        "softplus_tangent_of_its_output",
        with_tangent(smooth, lambda p, t: jax.nn.sigmoid(smooth(p[0])) * t[0]),
        (x,),
        ("N",),
        False,
    ),
    Rule("blocks", with_rule(blocks, lambda y, W, X: (W, X), blocks_back), WW, ("D D", "N D"), True),
    Rule(
        "blocks_shared_weights_once", with_rule(blocks, lambda y, W, X: (W, X), blocks_once), WW, ("D D", "N D"), False
    ),
]
