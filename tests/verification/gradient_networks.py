"""A third set of bugs and correct gradients that the checker was not made with: layers, losses and rules of networks.

Their first score, untuned, stands in docs/verification.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import erf, sqrt
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gradient_bugs import Bug
from gradient_problems import SHAPES, example
from gradient_right import Right

Gradient = Callable[..., Any]


def drawn(seed: int, *shapes: tuple[int, ...]) -> Callable[[], tuple[Any, ...]]:
    def args():
        rng = np.random.default_rng(seed)
        return tuple(rng.normal(size=s) for s in shapes)

    return args


def sigmoid(z: Any) -> Any:
    t = np.exp(-np.abs(z))
    return np.where(z >= 0, 1, t) / (1 + t)


# Normalisations, back to their inputs


def layer_norm(X: Any, g: Any, Y: Any) -> Any:
    m = X.mean(axis=1, keepdims=True)
    v = ((X - m) ** 2).mean(axis=1, keepdims=True)
    return jnp.sum((g * (X - m) / jnp.sqrt(v + 1e-3) - Y) ** 2)


def of_layer_norm(spread: bool) -> Gradient:
    def gradient(X, g, Y):
        A = X - X.mean(axis=1, keepdims=True)
        inverse = 1 / np.sqrt((A**2).mean(axis=1, keepdims=True) + 1e-3)
        H = A * inverse
        E = 2 * (g * H - Y)
        D = E * g
        dX = D - D.mean(axis=1, keepdims=True)
        if spread:
            dX = dX - H * (D * H).mean(axis=1, keepdims=True)
        return inverse * dX, (E * H).sum(axis=0)

    return gradient


def batch_norm(X: Any, g: Any, c: Any, Y: Any) -> Any:
    H = (X - jnp.mean(X, axis=0)) * jax.lax.rsqrt(jnp.var(X, axis=0) + 1e-3)
    return jnp.mean((g * H + c - Y) ** 2)


def of_batch_norm(rows_less: int) -> Gradient:
    @jax.jit
    def gradient(X, g, c, Y):
        n = len(X)
        A = X - jnp.mean(X, axis=0)
        inverse = jax.lax.rsqrt(jnp.mean(A**2, axis=0) + 1e-3)
        H = A * inverse
        E = 2 * (g * H + c - Y) / Y.size
        dg = jnp.sum(E * H, axis=0)
        return g * inverse * (E - jnp.sum(E, axis=0) / n - H * dg / max(n - rows_less, 1)), dg

    return gradient


def rms_norm(X: Any, g: Any, Y: Any) -> Any:
    return jnp.sum((g * X * jax.lax.rsqrt(jnp.mean(X**2, axis=-1, keepdims=True) + 1e-2) - Y) ** 2)


class RMSNorm:
    """A layer that keeps in `forward` what `backward` needs."""

    def __init__(self, inside: bool) -> None:
        self.inside = inside

    def forward(self, X: Any, g: Any) -> Any:
        square = np.mean(X * X, axis=-1, keepdims=True)
        self.X, self.g, self.inverse = X, g, 1 / np.sqrt(square + 1e-2)
        return g * X * self.inverse

    def backward(self, E: Any) -> Any:
        D = E * self.g
        inner = (D * self.X).mean(axis=-1, keepdims=True)
        over = self.inverse**2 if self.inside else 1 / (1 / self.inverse**2 - 1e-2)
        return self.inverse * (D - self.X * inner * over), (E * self.X * self.inverse).sum(axis=0)

    def __call__(self, X: Any, g: Any, Y: Any) -> Any:
        return self.backward(2 * (self.forward(X, g) - Y))


# Attention with a causal mask


def attention(Q: Any, K: Any, V: Any, Y: Any) -> Any:
    S = Q @ K.T / jnp.sqrt(Q.shape[1])
    n = jnp.arange(len(Q))
    P = jax.nn.softmax(jnp.where(n[:, None] >= n, S, -jnp.inf), axis=-1)
    return jnp.sum((P @ V - Y) ** 2)


def of_attention(masked: bool) -> Gradient:
    def gradient(Q, K, V, Y):
        root = Q.dtype.type(np.sqrt(Q.shape[1]))
        S = Q @ K.T / root
        seen = np.tril(np.ones(S.shape, bool))
        if masked:
            S = np.where(seen, S, -np.inf)
        P = np.exp(S - S.max(axis=-1, keepdims=True))
        P = P / P.sum(axis=-1, keepdims=True)
        if not masked:
            P = P * seen
        dP = 2 * (P @ V - Y) @ V.T
        dS = P * (dP - (P * dP).sum(axis=-1, keepdims=True))
        return dS @ K / root, dS.T @ Q / root

    return gradient


# A gated recurrent unit, through time


def gru(W: Any, U: Any, X: Any, y: Any) -> Any:
    def step(h, row):
        x, t = row
        z, r = jax.nn.sigmoid(W[0] @ x + U[0] @ h), jax.nn.sigmoid(W[1] @ x + U[1] @ h)
        n = jnp.tanh(W[2] @ x + U[2] @ (r * h))
        h = (1 - z) * h + z * n
        return h, (jnp.sum(h) - t) ** 2

    return jnp.sum(jax.lax.scan(step, jnp.zeros(U.shape[1], U.dtype), (X, y))[1])


def of_gru(reset: bool) -> Gradient:
    def gradient(W, U, X, y):
        h, kept = np.zeros(U.shape[1], U.dtype), []
        for x in X:
            z, r = sigmoid(W[0] @ x + U[0] @ h), sigmoid(W[1] @ x + U[1] @ h)
            n = np.tanh(W[2] @ x + U[2] @ (r * h))
            kept.append((x, h, z, r, n))
            h = (1 - z) * h + z * n
        dW, dU, dh = np.zeros_like(W), np.zeros_like(U), np.zeros_like(h)
        for (x, before, z, r, n), t in zip(reversed(kept), y[::-1], strict=True):
            dh = dh + 2 * (h.sum() - t)
            dn = dh * z * (1 - n**2)
            dz = dh * (n - before) * z * (1 - z)
            dm = U[2].T @ dn
            dr = dm * before * r * (1 - r)
            for k, (d, source) in enumerate(((dz, before), (dr, before), (dn, r * before))):
                dW[k] += np.outer(d, x)
                dU[k] += np.outer(d, source)
            dh = dh * (1 - z) + U[0].T @ dz + U[1].T @ dr + (dm * r if reset else dm)
            h = before
        return dW, dU

    return gradient


# Losses: dice, focal, triplets, contrast


def dice(w: Any, b: Any, X: Any, y: Any) -> Any:
    p = jax.nn.sigmoid(X @ w + b)
    return 1 - (2 * jnp.sum(p * y) + 1) / (jnp.sum(p) + jnp.sum(y) + 1)


def of_dice(quotient: bool) -> Gradient:
    def gradient(w, b, X, y):
        p = sigmoid(X @ w + b)
        below = p.sum() + y.sum() + 1
        above = 2 * (p * y).sum() + 1
        d = (-2 * y / below + (above / below**2 if quotient else 0)) * p * (1 - p)
        return X.T @ d, d.sum()

    return gradient


def focal(w: Any, b: Any, X: Any, y: Any) -> Any:
    m = (2 * y - 1) * (X @ w + b)
    return -jnp.mean(jax.nn.sigmoid(-m) ** 2 * jax.nn.log_sigmoid(m))


def of_focal(modulated: bool) -> Gradient:
    @jax.jit
    def gradient(w, b, X, y):
        s = 2 * y - 1
        m = s * (X @ w + b)
        q = jax.nn.sigmoid(-m)
        d = -(q**3)
        if modulated:
            d = d + 2 * q**2 * jax.nn.sigmoid(m) * jax.nn.log_sigmoid(m)
        d = d * s / len(y)
        return X.T @ d, jnp.sum(d)

    return gradient


def triplets(W: Any, margin: Any, A: Any, P: Any, N: Any) -> Any:
    near, far = jnp.sum(((A - P) @ W) ** 2, axis=1), jnp.sum(((A - N) @ W) ** 2, axis=1)
    return jnp.mean(jnp.maximum(near - far + margin, 0))


def of_triplets(gate: Callable[[Any, Any], Any]) -> Gradient:
    def gradient(W, margin, A, P, N):
        near, far = A - P, A - N
        gap = ((near @ W) ** 2).sum(axis=1) - ((far @ W) ** 2).sum(axis=1)
        on = gate(gap, margin).astype(W.dtype)[:, None] / W.dtype.type(len(A))
        return 2 * ((on * near).T @ near - (on * far).T @ far) @ W, on.sum()

    return gradient


def contrast(A: Any, t: Any, B: Any) -> Any:
    unit = [M / jnp.linalg.norm(M, axis=1, keepdims=True) for M in (A, B)]
    S = unit[0] @ unit[1].T * jnp.exp(t)
    return jnp.mean(jax.nn.logsumexp(S, axis=1) - jnp.diag(S))


def of_contrast(projected: bool) -> Gradient:
    @jax.jit
    def gradient(A, t, B):
        length = jnp.sqrt(jnp.sum(A * A, axis=1, keepdims=True))
        U, V = A / length, B / jnp.sqrt(jnp.sum(B * B, axis=1, keepdims=True))
        S = jnp.exp(t) * (U @ V.T)
        d = (jax.nn.softmax(S, axis=1) - jnp.eye(len(A))) / len(A)
        dU = jnp.exp(t) * (d @ V)
        if projected:
            dU = dU - U * jnp.sum(dU * U, axis=1, keepdims=True)
        return dU / length, jnp.sum(d * S)

    return gradient


# Embeddings: a table looked up by repeated indices, lengths that differ, a table used twice


def lookup(E: Any, F: Any, rows: Any, columns: Any, y: Any) -> Any:
    return jnp.mean((jnp.sum(E[rows] * F[columns], axis=1) - y) ** 2)


def lookup_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(31)
    return (
        rng.normal(size=(4, 2)),
        rng.normal(size=(3, 2)),
        rng.integers(0, 4, 12),
        rng.integers(0, 3, 12),
        rng.normal(size=12),
    )


def of_lookup(repeats: bool) -> Gradient:
    def gradient(E, F, rows, columns, y):
        e = 2 * ((E[rows] * F[columns]).sum(axis=1) - y) / len(y)
        dE, dF = np.zeros_like(E), np.zeros_like(F)
        np.add.at(dF, columns, e[:, None] * E[rows])
        if repeats:
            np.add.at(dE, rows, e[:, None] * F[columns])
        else:
            dE[rows] += e[:, None] * F[columns]
        return dE, dF

    return gradient


def scattered(mode: str) -> Gradient:
    @jax.jit
    def gradient(E, F, rows, columns, y):
        e = 2 * (jnp.einsum("nk,nk->n", E[rows], F[columns]) - y) / len(y)
        by_row = getattr(jnp.zeros_like(E).at[rows], mode)(e[:, None] * F[columns])
        return by_row, jax.ops.segment_sum(e[:, None] * E[rows], columns, len(F))

    return gradient


def ragged(w: Any, b: Any, X: Any, lengths: Any, y: Any) -> Any:
    real = jnp.arange(X.shape[1]) < lengths[:, None]
    pooled = jnp.sum(X * real[:, :, None], axis=1) / jnp.maximum(lengths, 1)[:, None]
    return jnp.mean((pooled @ w + b - y) ** 2)


def ragged_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(32)
    return rng.normal(size=2), 0.25, rng.normal(size=(6, 4, 2)), rng.integers(0, 5, 6), rng.normal(size=6)


def of_ragged(padded: bool) -> Gradient:
    def gradient(w, b, X, lengths, y):
        pooled = np.zeros((len(y), X.shape[2]), X.dtype)
        for i, n in enumerate(lengths):
            if n > 0:
                pooled[i] = X[i, :n].sum(axis=0) / w.dtype.type(X.shape[1] if padded else n)
        e = 2 * (pooled @ w + b - y) / len(y)
        return e @ pooled, e.sum()

    return gradient


def tied(E: Any, s: Any, rows: Any, Y: Any) -> Any:
    """One table for the inputs and for the outputs."""
    return jnp.sum((s * E[rows] @ E.T - Y) ** 2)


def tied_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(33)
    return rng.normal(size=(3, 2)), 0.5, np.array([0, 2, 2, 1, 0]), rng.normal(size=(5, 3))


def of_tied(inputs: bool) -> Gradient:
    def gradient(E, s, rows, Y):
        D = 2 * (s * E[rows] @ E.T - Y)
        dE = s * D.T @ E[rows]
        if inputs:
            np.add.at(dE, rows, s * D @ E)
        return dE, (D * (E[rows] @ E.T)).sum()

    return gradient


# Convolutions, and a maximum over windows


def convolved(k: Any, b: Any, x: Any, y: Any) -> Any:
    return jnp.mean((jnp.convolve(x, k, mode="valid") + b - y) ** 2)


def convolved_args() -> tuple[Any, ...]:
    return (*(a := example(9, 3))[:2], a[3], example(7)[3])


def of_kernel(flip: bool) -> Gradient:
    def gradient(k, b, x, y):
        e = 2 * (np.convolve(x, k, mode="valid") + b - y) / len(y)
        g = np.correlate(x, e, mode="valid")
        return g[::-1].copy() if flip else g, e.sum()

    return gradient


def images(K: Any, b: Any, X: Any, Y: Any) -> Any:
    out = jax.lax.conv_general_dilated(X, K, (1, 1), "SAME") + b[:, None, None]
    return jnp.sum((jnp.maximum(out, 0) - Y) ** 2)


def of_images(gate: bool) -> Gradient:
    def gradient(K, b, X, Y):
        padded = np.pad(X, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
        out = np.einsum("nchwij,ocij->nohw", windows, K) + b[:, None, None]
        D = 2 * (np.maximum(out, 0) - Y)
        if gate:
            D = D * (out > 0)
        return np.einsum("nohw,nchwij->ocij", D, windows), D.sum(axis=(0, 2, 3))

    return gradient


def pooled(w: Any, b: Any, X: Any, y: Any) -> Any:
    """The maximum over time of one channel's responses."""
    return jnp.mean((jnp.max(X @ w, axis=1) + b - y) ** 2)


def of_pooled(axis: int) -> Gradient:
    def gradient(w, b, X, y):
        z = X @ w
        top = np.argmax(z, axis=1) if axis else np.full(len(z), 0)
        rows = np.arange(len(z))
        e = 2 * (z.max(axis=1) + b - y) / len(y)
        return e @ X[rows, top], e.sum()

    return gradient


# Activations


def mean_of(f: Callable[[Any], Any]) -> Gradient:
    return lambda w, b, X, y: jnp.mean((f(X @ w + b) - y) ** 2)


gelu = mean_of(partial(jax.nn.gelu, approximate=False))
relu6 = mean_of(jax.nn.relu6)
swish = mean_of(jax.nn.swish)


def activated(f: Callable[[Any], Any], slope: Callable[[Any], Any]) -> Gradient:
    def gradient(w, b, X, y):
        z = X @ w + b
        d = (2 * (f(z) - y) * slope(z) / len(y)).astype(w.dtype)
        return X.T @ d, d.sum()

    return gradient


def gelu_tanh(z: Any) -> Any:
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def gelu_tanh_slope(z: Any) -> Any:
    t = np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3))
    return 0.5 * (1 + t) + 0.5 * z * (1 - t**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * z**2)


def normal_cdf(z: Any) -> Any:
    return np.array([0.5 * (1 + erf(v / sqrt(2))) for v in z])


def of_gelu() -> Gradient:
    @jax.jit
    def gradient(w, b, X, y):
        z = X @ w + b
        cdf = 0.5 * jax.lax.erfc(-z / jnp.sqrt(2.0))
        d = 2 * (z * cdf - y) * (cdf + z * jnp.exp(-z * z / 2) / jnp.sqrt(2 * jnp.pi)) / len(y)
        return X.T @ d, jnp.sum(d)

    return gradient


# A two-layer perceptron as a class that caches; a low-rank adapter; a graph convolution


def perceptron(W: Any, v: Any, X: Any, y: Any) -> Any:
    return jnp.mean((jnp.maximum(X @ W, 0) @ v - y) ** 2)


class Perceptron:
    def __init__(self, stale: bool) -> None:
        self.stale, self.mask = stale, None

    def __call__(self, W: Any, v: Any, X: Any, y: Any) -> Any:
        Z = X @ W
        if self.mask is None or not self.stale or self.mask.shape != Z.shape:
            self.mask = Z > 0
        H = Z * self.mask
        e = 2 * (H @ v - y) / len(y)
        return X.T @ (np.outer(e, v) * self.mask), H.T @ e


def adapted(A: Any, B: Any, W: Any, X: Any, Y: Any) -> Any:
    return jnp.mean((X @ W + 4.0 / A.shape[1] * X @ A @ B - Y) ** 2)


def of_adapter(scaled: bool) -> Gradient:
    def gradient(A, B, W, X, Y):
        s = 4.0 / A.shape[1]
        E = 2 * (X @ W + s * (X @ A @ B) - Y) / Y.size
        return (s if scaled else 1) * (X.T @ E @ B.T), s * ((X @ A).T @ E)

    return gradient


def graph(W: Any, b: Any, X: Any, source: Any, target: Any, y: Any) -> Any:
    sent = jax.ops.segment_sum((X @ W)[source], target, len(X))
    return jnp.mean((jnp.sum(jnp.tanh(sent + b), axis=1) - y) ** 2)


def graph_args() -> tuple[Any, ...]:
    rng = np.random.default_rng(34)
    return (
        rng.normal(size=(2, 3)),
        rng.normal(size=3),
        rng.normal(size=(5, 2)),
        rng.integers(0, 5, 9),
        rng.integers(0, 5, 9),
        rng.normal(size=5),
    )


def of_graph(back: bool) -> Gradient:
    def gradient(W, b, X, source, target, y):
        sent = np.zeros((len(X), W.shape[1]), W.dtype)
        np.add.at(sent, target, (X @ W)[source])
        H = np.tanh(sent + b)
        D = (2 * (H.sum(axis=1) - y) / len(y))[:, None] * (1 - H**2)
        dZ = np.zeros_like(D)
        np.add.at(dZ, *((source, D[target]) if back else (target, D[source])))
        return X.T @ dZ, D.sum(axis=0)

    return gradient


# Control flow in the cost: a loop that runs as long as its data says, a branch on a norm, a choice among three


def decayed(a: Any, c: Any, n: Any, y: Any) -> Any:
    def more(carry):
        return carry[0] < n

    def step(carry):
        i, x = carry
        return i + 1, a * x + c

    # A while loop has no reverse mode in JAX: here a hand-derived gradient is what there is.
    return (jax.lax.while_loop(more, step, (0 * n, y))[1] - 1) ** 2


def of_decayed(constant: bool) -> Gradient:
    def gradient(a, c, n, y):
        x, da, dc = y, 0 * y, 0 * y
        for _ in range(int(n)):
            x, da, dc = a * x + c, a * da + x, a * dc + 1
        e = 2 * (x - 1)
        return e * da, e * (dc if constant else a**n)

    return gradient


def guarded(w: Any, b: Any, X: Any, y: Any) -> Any:
    r = X @ w + b - y
    square = r @ r
    return jax.lax.cond(square > 4, lambda: 4 * jnp.sqrt(square) - 4, lambda: square)


def of_guarded(two: float) -> Gradient:
    def gradient(w, b, X, y):
        r = X @ w + b - y
        square = r @ r
        d = w.dtype.type(two) * r / np.sqrt(square) if square > 4 else 2 * r
        return X.T @ d, d.sum()

    return gradient


def switched(w: Any, b: Any, X: Any, kind: Any, y: Any) -> Any:
    def one(x, k, t):
        z = x @ w + b
        return (jax.lax.switch(k, (lambda z: z, jnp.tanh, jnp.exp), z) - t) ** 2

    return jnp.mean(jax.vmap(one)(X, kind, y))


def switched_args() -> tuple[Any, ...]:
    w, b, X, y = example(12)
    return w, b, X, np.random.default_rng(35).integers(0, 3, 12), y


def of_switched(own: bool) -> Gradient:
    def gradient(w, b, X, kind, y):
        z = X @ w + b
        k = np.clip(kind, 0, 2)
        tanh, e = np.tanh(z), np.exp(np.where(k == 2, z, 0))
        value = np.choose(k, [z, tanh, e])
        slope = np.choose(k, [np.ones_like(z), 1 - tanh**2, e if own else np.ones_like(z)])
        d = 2 * (value - y) * slope / len(y)
        return X.T @ d, d.sum()

    return gradient


LAYER = {"cost": layer_norm, "args": drawn(21, (4, 3), (3,), (4, 3)), "shapes": ("N D", "D", "N D")}
BATCH = {"cost": batch_norm, "args": drawn(22, (6, 2), (2,), (2,), (6, 2)), "shapes": ("N D", "D", "D", "N D")}
RMS = {"cost": rms_norm, "args": drawn(23, (4, 3), (3,), (4, 3)), "shapes": ("N D", "D", "N D")}
ATTENTION = {
    "cost": attention,
    "args": drawn(24, (4, 2), (4, 2), (4, 3), (4, 3)),
    "shapes": ("T D", "T D", "T V", "T V"),
}
GRU = {"cost": gru, "args": drawn(25, (3, 2, 2), (3, 2, 2), (5, 2), (5,)), "shapes": ("3 H D", "3 H H", "T D", "T")}
DICE = {"cost": dice, "args": lambda: example(labels="binary")}
FOCAL = {"cost": focal, "args": lambda: example(labels="binary")}
TRIPLETS = {
    "cost": triplets,
    "args": lambda: (drawn(26, (3, 2))()[0], 0.5, *drawn(27, (8, 3), (8, 3), (8, 3))()),
    "shapes": ("D K", "", "N D", "N D", "N D"),
}
CONTRAST = {
    "cost": contrast,
    "args": lambda: (drawn(28, (5, 3))()[0], 0.5, drawn(29, (5, 3))()[0]),
    "shapes": ("N D", "", "N D"),
}
LOOKUP = {"cost": lookup, "args": lookup_args, "shapes": ("4 K", "3 K", "N", "N", "N")}
RAGGED = {"cost": ragged, "args": ragged_args, "shapes": ("D", "", "N 4 D", "N", "N")}
TIED = {"cost": tied, "args": tied_args, "shapes": ("3 D", "", "N", "N 3")}
CONVOLVED = {"cost": convolved, "args": convolved_args, "shapes": None}
IMAGES = {"cost": images, "args": drawn(30, (2, 2, 3, 3), (2,), (2, 2, 4, 4), (2, 2, 4, 4)), "shapes": None}
POOLED = {
    "cost": pooled,
    "args": lambda: (*example()[:2], *drawn(36, (6, 4, 3), (6,))()),
    "shapes": ("D", "", "N T D", "N"),
    "kinks": "subgradient",
}
PERCEPTRON = {"cost": perceptron, "args": drawn(37, (3, 2), (2,), (9, 3), (9,)), "shapes": ("D H", "H", "N D", "N")}
ADAPTER = {
    "cost": adapted,
    "args": drawn(38, (3, 2), (2, 2), (3, 2), (6, 3), (6, 2)),
    "shapes": ("D R", "R K", "D K", "N D", "N K"),
}
GRAPH = {"cost": graph, "args": graph_args, "shapes": ("D K", "K", "5 D", "M", "M", "5")}
DECAYED = {"cost": decayed, "args": lambda: (0.75, 0.5, 3, 1.5), "shapes": ("", "", "", "")}
SWITCHED = {"cost": switched, "args": switched_args, "shapes": ("D", "", "N D", "N", "N")}
ACTIVATED = {"args": example, "shapes": SHAPES}


def relu6_slope(top: float) -> Callable[[Any], Any]:
    return lambda z: (z > 0) & (z < top)


NETWORKS_BUGS = [
    Bug("layer_norm_spread_held", None, lambda: of_layer_norm(False), **LAYER),
    Bug("batch_norm_rows_less_one", None, lambda: of_batch_norm(1), **BATCH),
    Bug("rms_norm_epsilon_lost", None, lambda: RMSNorm(False), **RMS),
    Bug("attention_masked_late", None, lambda: of_attention(False), **ATTENTION),
    Bug("gru_reset_not_passed", None, lambda: of_gru(False), **GRU),
    Bug("dice_denominator_held", None, lambda: of_dice(False), **DICE),
    Bug("focal_modulation_held", None, lambda: of_focal(False), **FOCAL),
    Bug("triplets_gate_without_margin", None, lambda: of_triplets(lambda gap, margin: gap > 0), **TRIPLETS),
    Bug("contrast_not_projected", None, lambda: of_contrast(False), **CONTRAST),
    Bug("lookup_repeats_lost", None, lambda: of_lookup(False), **LOOKUP),
    Bug("lookup_set_for_add", None, lambda: scattered("set"), **LOOKUP),
    Bug("ragged_over_padding", None, lambda: of_ragged(True), **RAGGED),
    Bug("tied_one_side", None, lambda: of_tied(False), **TIED),
    Bug("kernel_not_flipped", None, lambda: of_kernel(False), **CONVOLVED),
    Bug("images_without_gate", None, lambda: of_images(False), **IMAGES),
    Bug("pooled_first_in_time", None, lambda: of_pooled(0), **POOLED),
    Bug("gelu_by_tanh", None, lambda: activated(gelu_tanh, gelu_tanh_slope), gelu),
    Bug("relu6_open_above", None, lambda: activated(lambda z: np.clip(z, 0, 6), relu6_slope(np.inf)), relu6),
    Bug("swish_without_product", None, lambda: activated(lambda z: z * sigmoid(z), sigmoid), swish),
    Bug("perceptron_stale_mask", None, lambda: Perceptron(True), **PERCEPTRON),
    Bug("adapter_without_scale", None, lambda: of_adapter(False), **ADAPTER),
    Bug("graph_edges_forwards", None, lambda: of_graph(False), **GRAPH),
    Bug("decay_without_sum", None, lambda: of_decayed(False), **DECAYED),
    Bug("guard_slope_halved", None, lambda: of_guarded(2.0), guarded),
    Bug("switch_slope_of_another", None, lambda: of_switched(False), **SWITCHED),
]
NETWORKS_RIGHT = [
    Right("layer_norm", of_layer_norm(True), **LAYER),
    Right("batch_norm", of_batch_norm(0), **BATCH),
    Right("rms_norm", RMSNorm(True), **RMS),
    Right("attention", of_attention(True), **ATTENTION),
    Right("gru", of_gru(True), **GRU),
    Right("dice", of_dice(True), **DICE),
    Right("focal", of_focal(True), **FOCAL),
    Right("triplets", of_triplets(lambda gap, margin: gap + margin > 0), **TRIPLETS),
    Right("contrast", of_contrast(True), **CONTRAST),
    Right("lookup", of_lookup(True), **LOOKUP),
    Right("lookup_scattered", scattered("add"), **LOOKUP),
    Right("ragged", of_ragged(False), **RAGGED),
    Right("tied", of_tied(True), **TIED),
    Right("kernel_flipped", of_kernel(True), **CONVOLVED),
    Right("images", of_images(True), **IMAGES),
    Right("pooled", of_pooled(1), **POOLED),
    Right("gelu", of_gelu(), gelu),
    Right(
        "gelu_by_erf",
        activated(lambda z: z * normal_cdf(z), lambda z: normal_cdf(z) + z * np.exp(-z * z / 2) / sqrt(2 * np.pi)),
        gelu,
    ),
    Right("relu6", activated(lambda z: np.clip(z, 0, 6), relu6_slope(6.0)), relu6),
    Right("swish", activated(lambda z: z * sigmoid(z), lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z)))), swish),
    Right("perceptron", Perceptron(False), **PERCEPTRON),
    Right("adapter", of_adapter(True), **ADAPTER),
    Right("graph", of_graph(True), **GRAPH),
    Right("decay", of_decayed(True), **DECAYED),
    Right("guard", of_guarded(4.0), guarded),
    Right("switch", of_switched(True), **SWITCHED),
]
