"""Correct gradients, in many spellings, that a checker must not alarm on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gradient_problems import (
    PENALISED_SHAPES,
    PROBLEMS,
    SHAPES,
    WEIGHTED_SHAPES,
    example,
    penalised,
    penalised_args,
    weighted,
    weighted_args,
)

RELU = PROBLEMS["relu"].cost


@dataclass(frozen=True)
class Right:
    name: str
    gradient: Callable[..., Any]
    cost: Callable[..., Any] = RELU
    args: Callable[[], tuple[Any, ...]] = example
    shapes: tuple[str, ...] | None = SHAPES
    kinks: str = "zero"
    wrt: tuple[int, ...] = (0, 1)
    domain: dict[int, str] | None = None


RIGHT: list[Right] = []


def right(**options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        RIGHT.append(Right(function.__name__, function, **options))
        return function

    return register


# Every problem, by hand in NumPy, in JAX, jitted, and by autodiff itself
for problem in PROBLEMS.values():
    common = {"cost": problem.cost, "args": lambda p=problem: p.args}
    RIGHT.append(Right(f"{problem.name}_numpy", problem.gradient(np), **common))
    RIGHT.append(Right(f"{problem.name}_jax", jax.jit(problem.gradient(jnp)), **common))
    if problem.name not in ("relu_absolute", "hinge", "huber", "absolute", "log_loss"):
        RIGHT.append(Right(f"{problem.name}_autodiff", jax.jit(jax.grad(problem.cost, (0, 1))), **common))


def errors(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = X @ w + b
    return np.where(z > 0, z - y, 0)


@right()
def residual_first(w, b, X, y):
    v = y - np.maximum(0, X @ w + b)
    v = np.where(X @ w + b > 0, v, 0)
    return -(2 / len(y)) * (X.T @ v), -(2 / len(y)) * v.sum()


@right()
def mask_product(w, b, X, y):
    z = X @ w + b
    e = (z > 0) * (z - y)
    return (2 * e) @ X / len(y), (2 * e).mean()


@right()
def einsum(w, b, X, y):
    e = errors(w, b, X, y)
    return 2 * np.einsum("n,nd->d", e, X) / len(y), 2 * np.einsum("n->", e) / len(y)


@right()
def outer_mean(w, b, X, y):
    e = errors(w, b, X, y)
    return (2 * e[:, None] * X).mean(0), (2 * e).mean()


@right()
def loop(w, b, X, y):
    gw, gb = np.zeros_like(w), w.dtype.type(0)
    for x, t in zip(X, y, strict=True):
        z = x @ w + b
        if z > 0:
            gw += 2 * (z - t) * x
            gb += 2 * (z - t)
    return gw / w.dtype.type(len(y)), gb / w.dtype.type(len(y))


@right()
def blocked(w, b, X, y):
    gw, gb = np.zeros_like(w), w.dtype.type(0)
    for start in range(0, len(y), 64):
        rows = slice(start, start + 64)
        e = errors(w, b, X[rows], y[rows])
        gw += X[rows].T @ e
        gb += e.sum()
    c = w.dtype.type(2 / len(y))
    return c * gw, c * gb


@right()
def padded_blocks(w, b, X, y):
    n = -len(y) % 32
    A = np.concatenate([X, np.zeros((n, X.shape[1]), X.dtype)]).reshape(-1, 32, X.shape[1])
    t = np.concatenate([y, np.zeros(n, y.dtype)]).reshape(-1, 32)
    real = (np.arange(len(y) + n) < len(y)).reshape(-1, 32)
    z = A @ w + b
    e = np.where((z > 0) & real, z - t, 0)
    c = w.dtype.type(2 / len(y))
    return c * np.einsum("kn,knd->d", e, A), c * e.sum()


@right(cost=PROBLEMS["identity"].cost)
def gram(w, b, X, y):
    A = np.concatenate([X, np.ones((len(y), 1), X.dtype)], 1)
    g = A.T @ A @ np.append(w, b) - A.T @ y
    g = g * w.dtype.type(2 / len(y))
    return g[:-1], g[-1]


@right()
def gram_of_open_rows(w, b, X, y):
    A = np.concatenate([X, np.ones((len(y), 1), X.dtype)], 1)
    G = A * (X @ w + b > 0)[:, None]
    g = 2 * (G.T @ (A @ np.append(w, b)) - G.T @ y) / w.dtype.type(len(y))
    return g[:-1], g[-1]


@right()
def sequential(w, b, X, y):
    e = errors(w, b, X, y)
    gw, gb = np.zeros_like(w), w.dtype.type(0)
    for x, r in zip(X, e, strict=True):
        gw = gw + r * x
        gb = gb + r
    return 2 * gw / w.dtype.type(len(y)), 2 * gb / w.dtype.type(len(y))


@right(args=lambda: example(5000), shapes=None)
def sequential_five_thousand(w, b, X, y):
    e = errors(w, b, X, y)
    return 2 * np.cumsum(X * e[:, None], 0)[-1] / w.dtype.type(len(y)), 2 * np.cumsum(e)[-1] / w.dtype.type(len(y))


@right(args=lambda: example(5000))
def fused_five_thousand(w, b, X, y):
    e = errors(w, b, X, y)
    return w.dtype.type(2 / len(y)) * (e @ X), w.dtype.type(2 / len(y)) * e.sum()


@right()
def running_mean(w, b, X, y):
    e = errors(w, b, X, y)
    gw, gb = np.zeros_like(w), w.dtype.type(0)
    for i in range(len(y)):
        gw = gw + (2 * e[i] * X[i] - gw) / w.dtype.type(i + 1)
        gb = gb + (2 * e[i] - gb) / w.dtype.type(i + 1)
    return gw, gb


@right()
def pairwise(w, b, X, y):
    rows = list(2 * X * errors(w, b, X, y)[:, None])
    biases = list(2 * errors(w, b, X, y))
    while len(rows) > 1:
        rows = [sum(rows[i : i + 2][1:], rows[i]) for i in range(0, len(rows), 2)]
        biases = [sum(biases[i : i + 2][1:], biases[i]) for i in range(0, len(biases), 2)]
    return rows[0] / w.dtype.type(len(y)), biases[0] / w.dtype.type(len(y))


@right()
def float64_inside(w, b, X, y):
    gw, gb = (np.asarray(g) for g in PROBLEMS["relu"].gradient(np)(*(a.astype(np.float64) for a in (w, b, X, y))))
    return gw.astype(w.dtype), gb.astype(w.dtype)


@right()
def scaled_root(w, b, X, y):
    root = w.dtype.type(1 / np.sqrt(len(y)))
    e = errors(w, b, X, y) * root
    return 2 * (X * root).T @ e, 2 * (e * root).sum()


@right(args=lambda: example(labels="integer"))
def integer_labels(w, b, X, y):
    e = errors(w, b, X, y)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@right(args=lambda: example(1, 1))
def one_by_one(w, b, X, y):
    e = errors(w, b, X, y)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@right(args=lambda: (np.zeros(3), 0.0, np.eye(3), np.ones(3)))
def starts_at_the_kink(w, b, X, y):
    e = errors(w, b, X, y)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@right(args=lambda: (np.zeros(2), -5.0, np.array([[1.0, 2.0], [3.0, 4.0]]), np.ones(2)), shapes=None)
def all_dead(w, b, X, y):
    e = errors(w, b, X, y)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@right(args=lambda: (np.array([1e-9, 2e-9]), 1e-8, 1e9 * np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1e3, -1e3])))
def extreme_scales(w, b, X, y):
    e = errors(w, b, X, y)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@right(args=lambda: (np.array([1.0, -1.0]), 0.0, 1e6 + example(20, 2)[2], example()[3]))
def big_offset(w, b, X, y):
    e = errors(w, b, X, y)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@right(kinks="jax", cost=lambda w, b, X, y: jnp.mean((y - jnp.maximum(0, X @ w + b)) ** 2))
def half_at_zero_as_jax(w, b, X, y):
    z = X @ w + b
    e = (z - y) * np.heaviside(z, 0.5).astype(z.dtype) - 0
    e = np.where(z == 0, -y / 2, e)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@right(kinks="subgradient")
def open_at_zero_as_subgradient(w, b, X, y):
    z = X @ w + b
    e = np.where(z >= 0, z - y, 0)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@right(kinks="subgradient", cost=PROBLEMS["absolute"].cost)
def absolute_one_at_zero_as_subgradient(w, b, X, y):
    e = np.where(X @ w + b >= y, 1, -1).astype(w.dtype)
    return X.T @ e / w.dtype.type(len(y)), e.sum() / w.dtype.type(len(y))


# Scans, maps and rules of JAX's own


@jax.jit
def _scan(w, b, X, y):
    def step(carry, row):
        x, t = row
        z = x @ w + b
        e = jnp.where(z > 0, z - t, 0)
        return (carry[0] + e * x, carry[1] + e), None

    (gw, gb), _ = jax.lax.scan(step, (jnp.zeros_like(w), jnp.zeros_like(b)), (X, y))
    return 2 * gw / len(y), 2 * gb / len(y)


@jax.jit
def _vmap(w, b, X, y):
    def one(x, t):
        z = x @ w + b
        e = jnp.where(z > 0, 2 * (z - t), 0)
        return e * x, e

    gw, gb = jax.vmap(one)(X, y)
    return gw.mean(0), gb.mean()


@jax.jit
def _loop(w, b, X, y):
    def step(i, carry):
        z = X[i] @ w + b
        e = jnp.where(z > 0, z - y[i], 0)
        return carry[0] + e * X[i], carry[1] + e

    gw, gb = jax.lax.fori_loop(0, len(y), step, (jnp.zeros_like(w), jnp.zeros_like(b)))
    return 2 * gw / len(y), 2 * gb / len(y)


@jax.jit
def _segments(w, b, X, y):
    z = X @ w + b
    e = jnp.where(z > 0, z - y, 0)
    total = jax.ops.segment_sum(X * e[:, None], jnp.zeros(len(y), jnp.int32), 1)[0]
    return 2 * total / len(y), 2 * e.sum() / len(y)


@jax.jit
def _vjp(w, b, X, y):
    z = X @ w + b
    _, back = jax.vjp(lambda z: jnp.mean((y - jax.nn.relu(z)) ** 2), z)
    (e,) = back(jnp.ones((), w.dtype))
    return X.T @ e, e.sum()


@jax.jit
def _cond(w, b, X, y):
    def one(x, t):
        z = x @ w + b
        e = jax.lax.cond(z > 0, lambda: 2 * (z - t), lambda: jnp.zeros_like(z))
        return e * x, e

    gw, gb = jax.lax.map(lambda row: one(*row), (X, y))
    return gw.mean(0), gb.mean()


for name, gradient in (("scan", _scan), ("vmap", _vmap), ("fori_loop", _loop), ("segment_sum", _segments),
                       ("vjp", _vjp),
                       ("cond_in_map", _cond)):  # fmt: skip
    RIGHT.append(Right(f"jax_{name}", gradient))
RIGHT.append(Right("forward_mode", jax.jit(jax.jacfwd(RELU, (0, 1)))))


# Weights and penalties


@right(cost=weighted, args=weighted_args, shapes=WEIGHTED_SHAPES)
def weights_last(w, b, X, y, s):
    e = s * errors(w, b, X, y)
    return 2 * (X.T @ e) / s.sum(), 2 * e.sum() / s.sum()


@right(cost=weighted, args=weighted_args, shapes=WEIGHTED_SHAPES)
def weights_first(w, b, X, y, s):
    e = (s / s.sum()) * errors(w, b, X, y)
    return 2 * (X.T @ e), 2 * e.sum()


@right(cost=weighted, args=weighted_args, shapes=WEIGHTED_SHAPES)
def weights_in_rows(w, b, X, y, s):
    e = errors(w, b, X, y)
    return 2 * np.average(X * e[:, None], 0, np.broadcast_to(s[:, None], X.shape)), 2 * np.average(e, weights=s)


RIGHT.append(Right("weights_autodiff", jax.jit(jax.grad(weighted, (0, 1))), weighted, weighted_args, WEIGHTED_SHAPES))


@right(cost=penalised, args=penalised_args, shapes=PENALISED_SHAPES)
def penalties(w, b, X, y, l2, l1):
    e = errors(w, b, X, y)
    return 2 * (X.T @ e) / w.dtype.type(len(y)) + 2 * l2 * w + l1 * np.sign(w), 2 * e.sum() / w.dtype.type(len(y))


@right(cost=penalised, args=penalised_args, shapes=PENALISED_SHAPES)
def penalties_first(w, b, X, y, l2, l1):
    n = w.dtype.type(len(y))
    e = errors(w, b, X, y)
    return 2 * (l2 * n * w + X.T @ e) / n + l1 * np.sign(w), 2 * e.sum() / n


# Costs of other kinds


def softmax_cost(W, c, X, y):
    z = X @ W + c
    return jnp.mean(jax.nn.logsumexp(z, axis=1) - jnp.take_along_axis(z, y[:, None], 1)[:, 0])


def softmax_args():
    rng = np.random.default_rng(2)
    return rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=(20, 3)), rng.integers(0, 4, 20)


@right(cost=softmax_cost, args=softmax_args, shapes=("D 4", "4", "N D", "N"))
def softmax(W, c, X, y):
    z = X @ W + c
    p = np.exp(z - z.max(1, keepdims=True))
    p = p / p.sum(1, keepdims=True)
    p[np.arange(len(y)), y] -= 1
    return X.T @ p / w_type(W, len(y)), p.sum(0) / w_type(W, len(y))


def w_type(W, n):
    return W.dtype.type(n)


def gaussian_cost(m, s, y):
    return jnp.mean(0.5 * ((y - m) / s) ** 2 + jnp.log(s))


@right(cost=gaussian_cost, args=lambda: (0.3, 1.5, np.random.default_rng(3).normal(size=9)), shapes=("", "", "N"))
def gaussian(m, s, y):
    r = (y - m) / s
    return -r.mean() / s, (1 - (r * r).mean()) / s


def rosenbrock(x):
    return jnp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@right(cost=rosenbrock, args=lambda: (np.array([0.5, -1.0, 2.0, 0.25]),), shapes=None, wrt=(0,))
def rosenbrock_gradient(x):
    g = np.zeros_like(x)
    d = x[1:] - x[:-1] ** 2
    g[:-1] = -400 * x[:-1] * d - 2 * (1 - x[:-1])
    g[1:] += 200 * d
    return (g,)


def numpy_cost(w, b, X, y):
    return np.mean((y - np.maximum(0, X @ w + b)) ** 2)


@right(cost=numpy_cost)
def numpy_cost_and_loop(w, b, X, y):
    return loop(w, b, X, y)


@right(cost=numpy_cost)
def numpy_cost_and_jax(w, b, X, y):
    return _vmap(w, b, X, y)
