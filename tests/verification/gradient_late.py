"""Bugs and correct gradients written after the checker, on costs it was not made with: how it does on the unseen.

Their first score, untuned, stands in docs/verification.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gradient_bugs import Bug
from gradient_problems import PROBLEMS, SHAPES, example
from gradient_right import Right

# A neuron with weight normalisation (Salimans and Kingma, 2016): direction v, length g


def normalised(v: Any, g: Any, X: Any, y: Any) -> Any:
    return jnp.mean((g * (X @ v) / jnp.sqrt(v @ v) - y) ** 2)


def of_direction(project: bool) -> Callable[..., Any]:
    def gradient(v, g, X, y):
        length = np.sqrt(np.einsum("d,d->", v, v))
        unit = v / length
        u = np.einsum("nd,d->n", X, unit)
        e = 2 * (g * u - y) / v.dtype.type(len(y))
        dg = np.einsum("n,n->", e, u)
        dv = np.einsum("n,nd->d", e, X)
        if project:
            dv = dv - dg * unit
        return g / length * dv, dg

    return gradient


# Attention pooling in one pass over the rows: the running maximum of a fused softmax (Milakov and Gimelshein, 2018)


def pooled(w: Any, t: Any, X: Any, y: Any) -> Any:
    return (jax.nn.softmax(X @ w) @ y - t) ** 2


def one_pass(rescale: bool) -> Callable[..., Any]:
    @jax.jit
    def gradient(w, t, X, y):
        def step(carry, row):
            top, mass, value, first, mixed = carry
            x, label = row
            z = x @ w
            new = jnp.maximum(top, z)
            shrink = jnp.exp(top - new)
            p = jnp.exp(z - new)
            kept = shrink if rescale else jnp.ones_like(shrink)
            return (
                new,
                mass * shrink + p,
                value * shrink + p * label,
                first * shrink + p * x,
                mixed * kept + p * label * x,
            ), None

        start = (X[0] @ w, 0 * t, 0 * t, 0 * w, 0 * w)
        (_, mass, value, first, mixed), _ = jax.lax.scan(step, start, (X, y))
        mean = value / mass
        return 2 * (mean - t) * (mixed / mass - mean * first / mass), -2 * (mean - t)

    return gradient


# A bilinear score, in the index notation of a paper


def bilinear(U: Any, b: Any, X: Any, Z: Any, y: Any) -> Any:
    return jnp.mean((jnp.einsum("nd,de,ne->n", X, U, Z) + b - y) ** 2)


def bilinear_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(4)
    return rng.normal(size=(2, 3)), 0.25, rng.normal(size=(9, 2)), rng.normal(size=(9, 3)), rng.normal(size=9)


def by_indices(out: str) -> Callable[..., Any]:
    def gradient(U, b, X, Z, y):
        e = np.einsum("nd,de,ne->n", X, U, Z) + b - y
        c = U.dtype.type(2 / len(y))
        return c * np.einsum(f"n,nd,ne->{out}", e, X, Z).reshape(U.shape), c * e.sum()

    return gradient


# A Huber neuron whose loss brings its own rule


def huber_by_rule(use_cotangent: bool) -> Callable[..., Any]:
    @jax.custom_vjp
    def huber(z, y):
        r = jnp.abs(z - y)
        return jnp.where(r <= 1, 0.5 * r * r, r - 0.5)

    def forward(z, y):
        return huber(z, y), z - y

    def backward(r, g):
        slope = jnp.clip(r, -1, 1)
        slope = slope * g if use_cotangent else slope / r.size**2
        return slope, -slope

    huber.defvjp(forward, backward)
    return jax.jit(jax.grad(lambda w, b, X, y: jnp.mean(huber(X @ w + b, y)), (0, 1)))


# Blocks of rows through one scratch buffer, all in place


def in_place(add: bool) -> Callable[..., Any]:
    def gradient(w, b, X, y):
        total, scratch = np.zeros_like(w), np.empty_like(w)
        bias = w.dtype.type(0)
        for start in range(0, len(y), 128):
            A = X[start : start + 128]
            e = A @ w
            e += b
            closed = e <= 0
            e -= y[start : start + 128]
            e[closed] = 0
            np.dot(e, A, out=scratch)
            if add:
                total += scratch
            else:
                total[...] = scratch
            bias += e.sum()
        total *= w.dtype.type(2 / len(y))
        bias *= w.dtype.type(2 / len(y))
        return total, bias

    return gradient


BILINEAR = {"cost": bilinear, "args": bilinear_args, "shapes": ("D E", "", "N D", "N E", "N")}
HUBER = {"cost": PROBLEMS["huber"].cost, "args": example}
LATE_BUGS = [
    Bug("late_direction_not_projected", None, lambda: of_direction(False), normalised),
    Bug("late_softmax_not_rescaled", "sum", lambda: one_pass(False), pooled, sized=True),
    Bug("late_bilinear_transposed", "sum", lambda: by_indices("ed"), sized=True, **BILINEAR),
    Bug("late_rule_ignores_cotangent", "factor", lambda: huber_by_rule(False), sized=True, **HUBER),
    Bug("late_block_overwrites", "sum", lambda: in_place(False), sized=True),
]
LATE_RIGHT = [
    Right("late_softmax_one_pass", one_pass(True), pooled),
    Right("late_direction", of_direction(True), normalised),
    Right("late_bilinear", by_indices("de"), **BILINEAR),
    Right("late_rule", huber_by_rule(True), shapes=SHAPES, **HUBER),
    Right("late_in_place", in_place(True)),
]
