"""A fourth set, by one who knew the checker's page and tried to break it: layers, losses and likelihoods.

Their first score stands in docs/verification.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import jax.scipy.stats as stats
import numpy as np
from gradient_bugs import Bug
from gradient_networks import drawn
from gradient_problems import PROBLEMS
from gradient_right import Right
from jax import lax

Gradient = Callable[..., Any]


def opaque(cost: Gradient, wrt: tuple[int, ...] = (0,), change: Callable[..., None] | None = None) -> Gradient:
    """A kernel that nothing sees into: JAX's gradient of `cost`, number by number, and `change` acts on it in place."""
    slope = jax.jit(jax.grad(cost, wrt))

    def gradient(*args):
        parts = [np.array([float(v) for v in np.ravel(g)], g.dtype).reshape(g.shape) for g in slope(*args)]
        if change is not None:
            change(parts, *args)
        return tuple(parts)

    return gradient


# InfoNCE: rows of one view against those of the other


def info_nce(A: Any, B: Any, t: Any) -> Any:
    U, V = (M / jnp.linalg.norm(M, axis=1, keepdims=True) for M in (A, B))
    return -jnp.mean(jnp.diag(jax.nn.log_softmax(U @ V.T / t, axis=1)))


def of_info_nce(transposed: bool) -> Gradient:
    def gradient(A, B, t):
        lengths = [np.linalg.norm(M, axis=1, keepdims=True) for M in (A, B)]
        U, V = A / lengths[0], B / lengths[1]
        S = U @ V.T / t
        P = np.exp(S - S.max(axis=1, keepdims=True))
        P /= P.sum(axis=1, keepdims=True)
        G = (P - np.eye(len(P), dtype=P.dtype)) / len(P) / t
        dU, dV = G @ V, (G.T if transposed else G) @ U
        return tuple(
            (d - unit * (unit * d).sum(axis=1, keepdims=True)) / length
            for d, unit, length in zip((dU, dV), (U, V), lengths, strict=True)
        )

    return gradient


# Attention that looks back, masked with minus infinity; its values are differentiated too


def attention(Q: Any, K: Any, V: Any, Y: Any) -> Any:
    T, D = Q.shape
    S = jnp.where(jnp.tril(jnp.ones((T, T), bool)), Q @ K.T / jnp.sqrt(D), -jnp.inf)
    return jnp.sum(Y * (jax.nn.softmax(S, axis=-1) @ V))


def of_attention(last_row: bool = True, over_length: bool = False) -> Gradient:
    def gradient(Q, K, V, Y):
        T, D = Q.shape
        S = np.where(np.tril(np.ones((T, T), bool)), Q @ K.T / float(np.sqrt(D)), -np.inf)
        P = np.exp(S - S.max(axis=1, keepdims=True))
        P = P / P.sum(axis=1, keepdims=True)
        dP = Y @ V.T
        dS = P * (dP - (P * dP).sum(axis=1, keepdims=True))
        if not last_row and T > 1:
            dS[-1, 0] = 0
        return dS @ K / float(np.sqrt(D)), dS.T @ Q / float(np.sqrt(T if over_length else D)), P.T @ Y

    return gradient


# Rotary positions


def turned(X: Any, way: int) -> Any:
    T, D = X.shape
    half = D // 2
    angle = np.arange(T)[:, None] * 10_000.0 ** (-np.arange(half) / half)
    cos, sin = (f(angle).astype(X.dtype) for f in (np.cos, np.sin))
    a, b = X[:, :half], X[:, half:]
    xp = np if isinstance(X, np.ndarray) else jnp
    return xp.concatenate([a * cos - way * b * sin, way * a * sin + b * cos], axis=1)


def rotary(Q: Any, K: Any, Y: Any) -> Any:
    return jnp.sum(Y * (turned(Q, 1) @ turned(K, 1).T))


def of_rotary(back: int) -> Gradient:
    def gradient(Q, K, Y):
        return turned(Y @ turned(K, 1), back), turned(Y.T @ turned(Q, 1), -1)

    return gradient


# A softmax over what is not masked


def masked_total(w: Any, mask: Any) -> Any:
    return special.logsumexp(jnp.where(mask > 0, w, -jnp.inf))


def of_masked_total(leak: float) -> Gradient:
    def gradient(w, mask):
        z = np.where(mask > 0, w, -np.inf)
        top = z.max()
        e = np.exp(z - (top if np.isfinite(top) else 0))
        total = e.sum()
        return (e / (total if total > 0 else 1) + (1 - mask) * w.dtype.type(leak),)

    return gradient


def mask_args() -> tuple[Any, ...]:
    return (*drawn(51, (5,))(), np.array([1.0, 0.0, 1.0, 1.0, 0.0]))


# Losses with kinks


def quantile(w: Any, b: Any, X: Any, y: Any) -> Any:
    r = y - (X @ w + b)
    return jnp.mean(jnp.maximum(0.9 * r, -0.1 * r))


def of_quantile(at_tie: float) -> Gradient:
    def gradient(w, b, X, y):
        r = y - (X @ w + b)
        s = np.where(r > 0, 0.9, np.where(r < 0, -0.1, at_tie)).astype(w.dtype) / len(y)
        return -s @ X, -s.sum()

    return gradient


def huber_below_two(w: Any, b: Any, X: Any, y: Any) -> Any:
    r = X @ w + b - y
    d = np.where(r > 1, 1, np.where(r < -2, -1, r)) / len(y)
    return d @ X, d.sum()


NCE = {
    "cost": info_nce,
    "args": lambda: (*drawn(52, (4, 3), (4, 3))(), 0.5),
    "shapes": ("N D", "N D", ""),
    "domain": {2: "positive"},
}
ATTENTION = {
    "cost": attention,
    "args": drawn(53, (3, 3), (3, 3), (3, 2), (3, 2)),
    "shapes": ("T D", "T D", "T V", "T V"),
    "wrt": (0, 1, 2),
}
ROTARY = {"cost": rotary, "args": drawn(54, (3, 4), (3, 4), (3, 3)), "shapes": None}
MASKED = {"cost": masked_total, "args": mask_args, "shapes": ("D", "D"), "wrt": (0,)}
LAYERS_BUGS = [
    Bug("info_nce_other_view_transposed", None, lambda: of_info_nce(False), **NCE),
    Bug("attention_last_row_lost", None, lambda: of_attention(last_row=False), **ATTENTION),
    Bug("attention_scaled_by_length", None, lambda: of_attention(over_length=True), **ATTENTION),
    Bug("rotary_turned_on", None, lambda: of_rotary(1), **ROTARY),
    Bug("masked_total_leaks", None, lambda: of_masked_total(1e-6), **MASKED),
    Bug("huber_below_two", None, lambda: huber_below_two, PROBLEMS["huber"].cost),
    Bug("quantile_of_one_side_at_tie", None, lambda: of_quantile(0.9), quantile),
]
LAYERS_RIGHT = [
    Right("info_nce", of_info_nce(True), **NCE),
    Right("attention_with_values", of_attention(), **ATTENTION),
    Right("rotary", of_rotary(-1), **ROTARY),
    Right("masked_total", of_masked_total(0.0), **MASKED),
    Right("masked_total_of_one_size", of_masked_total(0.0), **{**MASKED, "shapes": None}),
    Right("quantile", of_quantile(0.0), quantile),
    Right("quantile_of_one_side_at_tie_as_subgradient", of_quantile(0.9), quantile, kinks="subgradient"),
]


# JAX's own gradient of what is smooth, or has JAX's kinks


def autodiff(name: str, cost: Gradient, args: Any, shapes: Any = None, wrt: Any = (0,), kinks: str = "zero") -> None:
    LAYERS_RIGHT.append(Right(f"autodiff_{name}", jax.jit(jax.grad(cost, wrt)), cost, args, shapes, kinks, wrt))


def rows(*more: Any, seed: int = 61) -> Callable[[], tuple[Any, ...]]:
    """Weights, a matrix of five rows, and more."""
    return lambda: (*drawn(seed, (3,), (5, 3))(), *more)


def logits(labels: Any, seed: int = 62) -> Callable[[], tuple[Any, ...]]:
    return lambda: (*drawn(seed, (5, 3))(), np.array(labels))


def layer_norm(X: Any, g: Any, b: Any, Y: Any) -> Any:
    H = (X - X.mean(axis=1, keepdims=True)) * lax.rsqrt(X.var(axis=1, keepdims=True) + 1e-5)
    return jnp.mean((g * H + b - Y) ** 2)


autodiff("layer_norm", layer_norm, drawn(63, (4, 3), (3,), (3,), (4, 3)), ("N D", "D", "D", "N D"), (0, 1, 2))


def local_level(q: Any, r: Any, y: Any) -> Any:
    """Kalman's filter of a random walk."""

    def step(state, observed):
        m, P = state
        P = P + jnp.exp(q)
        S = P + jnp.exp(r)
        gain, e = P / S, observed - m
        return (m + gain * e, (1 - gain) * P), 0.5 * (jnp.log(S) + e * e / S)

    return lax.scan(step, (jnp.zeros_like(q), jnp.ones_like(q)), y)[1].sum()


autodiff("local_level", local_level, lambda: (0.1, -0.3, *drawn(64, (6,))()), ("", "", "T"), (0, 1))


def hidden_markov(A: Any, B: Any, seen: Any) -> Any:
    moves, emits = jax.nn.log_softmax(A, axis=1), jax.nn.log_softmax(B, axis=1)

    def step(a, o):
        return special.logsumexp(a[:, None] + moves, axis=0) + emits[:, o], None

    return -special.logsumexp(lax.scan(step, emits[:, seen[0]] - jnp.log(len(A)), seen[1:])[0])


MARKOV = lambda: (*drawn(65, (3, 3), (3, 4))(), np.array([0, 1, 3, 2, 2]))  # noqa: E731
autodiff("hidden_markov", hidden_markov, MARKOV, None, (0, 1))


def covariance(length: Any, scale: Any, noise: Any, x: Any) -> Any:
    apart = (x[:, None] - x[None]) ** 2
    return jnp.exp(2 * scale - 0.5 * apart * jnp.exp(-2 * length)) + jnp.exp(2 * noise) * jnp.eye(len(x))


def process_by_cholesky(length: Any, scale: Any, noise: Any, x: Any, y: Any) -> Any:
    L = jnp.linalg.cholesky(covariance(length, scale, noise, x))
    a = jax.scipy.linalg.solve_triangular(L, y, lower=True)
    return 0.5 * a @ a + jnp.sum(jnp.log(jnp.diag(L)))


def process_by_solve(length: Any, scale: Any, noise: Any, x: Any, y: Any) -> Any:
    K = covariance(length, scale, noise, x)
    return 0.5 * y @ jnp.linalg.solve(K, y) + 0.5 * jnp.linalg.slogdet(K)[1]


PROCESS = (lambda: (0.1, 0.2, -1.0, *drawn(66, (5,), (5,))()), None, (0, 1, 2))
autodiff("process_by_cholesky", process_by_cholesky, *PROCESS)
autodiff("process_by_solve", process_by_solve, *PROCESS)
autodiff(
    "process_ill_conditioned",
    process_by_cholesky,
    lambda: (2.0, 0.2, -8.0, np.linspace(0, 1, 6), *drawn(67, (6,))()),
    *PROCESS[1:],
)


# Sums along an axis, orders and groups


def cox(w: Any, X: Any, event: Any) -> Any:
    z = X @ w
    return -jnp.sum(event * (z - lax.cumlogsumexp(z, reverse=True)))


autodiff("cox", cox, rows(np.array([1.0, 0, 1, 1, 0])), ("D", "N D", "N"))
PAIR = (drawn(68, (5,), (5,)), ("N", "N"))
autodiff("cumprod", lambda x, w: jnp.sum(w * jnp.cumprod(x)), *PAIR)
autodiff("cummax", lambda x, w: jnp.sum(w * lax.cummax(x)), *PAIR, kinks="jax")
autodiff("sort", lambda x, w: jnp.sum(w * jnp.sort(x)), *PAIR, kinks="jax")
autodiff("top_k", lambda x: jnp.sum(lax.top_k(x, 2)[0] ** 2), drawn(69, (5,)), kinks="jax")
autodiff("median", lambda x: jnp.median(x) ** 2, drawn(70, (5,)), kinks="jax")
autodiff("quantile", lambda x: jnp.quantile(x, 0.3) ** 2, drawn(71, (6,)), kinks="jax")


def by_rank(x: Any, gain: Any) -> Any:
    return jnp.sum(gain[jnp.argsort(-x)] / jnp.log2(jnp.arange(5) + 2.0) * jnp.sum(x))


def segment_sums(x: Any, group: Any, w: Any) -> Any:
    return jnp.sum(w * jax.ops.segment_sum(x**2, group, num_segments=4) ** 2)


def segment_maxima(x: Any, group: Any, w: Any) -> Any:
    top = jax.ops.segment_max(x, group, num_segments=4)
    return jnp.sum(w * jnp.where(jnp.isfinite(top), top, 0))


def grouped_args() -> tuple[Any, ...]:
    x, w = drawn(72, (6,), (4,))()
    return x, np.array([0, 1, 1, 3, 2, 0]), w


autodiff("by_rank", by_rank, drawn(73, (5,), (5,)), kinks="jax")
autodiff("segment_sums", segment_sums, grouped_args, ("N", "N", "4"))
autodiff("segment_maxima", segment_maxima, grouped_args, ("N", "N", "4"), kinks="jax")


# Labels that are integers


def by_one_hot(z: Any, y: Any) -> Any:
    return -jnp.mean(jnp.sum(jax.nn.one_hot(y, 3) * jax.nn.log_softmax(z), axis=-1))


def by_index(z: Any, y: Any) -> Any:
    return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(z), y[:, None], axis=1))


def ignoring(z: Any, y: Any) -> Any:
    label = jnp.where(y == -100, 0, y)
    taken = jnp.take_along_axis(jax.nn.log_softmax(z), label[:, None], axis=1)[:, 0]
    return jnp.sum(jnp.where(y == -100, 0.0, -taken))


CLASSES = [0, 2, 1, 1, 0]
autodiff("labels_by_one_hot", by_one_hot, logits(CLASSES), ("N 3", "N"))
autodiff("labels_by_index", by_index, logits(CLASSES), ("N 3", "N"))
autodiff("labels_of_any_number_of_classes", by_index, logits(CLASSES), ("N K", "N"))
autodiff("labels_ignored", ignoring, logits([0, 2, -100, 1, 0]), ("N 3", "N"))


# Activations


def gated(W: Any, V: Any, X: Any, Y: Any) -> Any:
    return jnp.mean((jax.nn.silu(X @ W) * (X @ V) - Y) ** 2)


autodiff("gated_unit", gated, drawn(74, (3, 2), (3, 2), (4, 3), (4, 2)), ("D K", "D K", "N D", "N K"), (0, 1))
for name, activation in (
    ("softplus", jax.nn.softplus),
    ("log_sigmoid", jax.nn.log_sigmoid),
    ("mish", lambda x: x * jnp.tanh(jax.nn.softplus(x))),
    ("gelu_by_tanh", jax.nn.gelu),
    ("selu", jax.nn.selu),
    ("hard_swish", jax.nn.hard_swish),
    ("guarded_logarithm", lambda x: x * jnp.where(x > 0, jnp.log(jnp.where(x > 0, x, 1.0)), 0.0)),
    ("cubed_sine", jax.vmap(lambda z: z**3 * jnp.sin(z))),
    ("checkpoint", jax.checkpoint(lambda x: jnp.sin(x) ** 2)),
):
    kinks = "jax" if name in ("selu", "hard_swish") else "zero"
    autodiff(name, lambda x, f=activation: jnp.sum(f(x)), drawn(75, (5,)), ("N",), kinks=kinks)


# Likelihoods


def poisson(w: Any, X: Any, y: Any) -> Any:
    z = X @ w
    return jnp.mean(jnp.exp(z) - y * z + special.gammaln(y + 1))


def beta_binomial(a: Any, b: Any, k: Any, n: Any) -> Any:
    return -jnp.sum(special.betaln(k + jnp.exp(a), n - k + jnp.exp(b)) - special.betaln(jnp.exp(a), jnp.exp(b)))


def negative_binomial(w: Any, t: Any, X: Any, y: Any) -> Any:
    r, z = jnp.exp(t), X @ w
    counts = special.gammaln(y + r) - special.gammaln(r) - special.gammaln(y + 1)
    return -jnp.sum(counts + r * (t - jnp.logaddexp(t, z)) + y * (z - jnp.logaddexp(t, z)))


def negative_binomial_args() -> tuple[Any, ...]:
    w, X = drawn(76, (2,), (4, 2))()
    return w, 0.3, X, np.array([0.0, 1.0, 3.0, 2.0])


def dirichlet(a: Any) -> Any:
    return jnp.sum(special.gammaln(jnp.exp(a))) - special.gammaln(jnp.sum(jnp.exp(a)))


def normal(m: Any, s: Any, x: Any) -> Any:
    return -jnp.sum(stats.norm.logpdf(x, m, jnp.exp(s)))


def student(m: Any, s: Any, v: Any, x: Any) -> Any:
    return -jnp.sum(stats.t.logpdf(x, jnp.exp(v) + 1, m, jnp.exp(s)))


def divergence(m: Any, s: Any) -> Any:
    """Kullback and Leibler's, of a normal from the standard one."""
    return 0.5 * jnp.sum(jnp.exp(2 * s) + m * m - 1 - 2 * s)


autodiff("poisson", poisson, rows(np.array([0.0, 1, 3, 2, 5])), ("D", "N D", "N"))
autodiff("beta_binomial", beta_binomial, lambda: (0.1, 0.3, np.array([1.0, 2, 0]), np.array([3.0, 4, 2])), wrt=(0, 1))
autodiff("negative_binomial", negative_binomial, negative_binomial_args, wrt=(0, 1))
autodiff("dirichlet", dirichlet, drawn(77, (3,)), ("K",))
autodiff("normal", normal, lambda: (0.1, 0.2, *drawn(78, (4,))()), ("", "", "N"), (0, 1))
autodiff("student", student, lambda: (0.1, 0.2, 1.0, *drawn(79, (4,))()), ("", "", "", "N"), (0, 1, 2))
autodiff("divergence", divergence, drawn(80, (3,), (3,)), ("D", "D"), (0, 1))


# Preferences and policies


def preference(w: Any, chosen: Any, other: Any) -> Any:
    return -jnp.mean(jax.nn.log_sigmoid(0.1 * (chosen @ w - other @ w)))


def clipped_policy(w: Any, X: Any, old: Any, advantage: Any) -> Any:
    ratio = jnp.exp(X @ w - old)
    return -jnp.mean(jnp.minimum(ratio * advantage, jnp.clip(ratio, 0.8, 1.2) * advantage))


def two_experts(G: Any, X: Any) -> Any:
    z = X @ G
    return jnp.sum(jax.nn.softmax(jnp.where(z >= lax.top_k(z, 2)[0][:, -1:], z, -jnp.inf)) ** 2)


def transport(C: Any) -> Any:
    """Three of Sinkhorn's steps."""

    def step(_, u):
        v = -special.logsumexp(-C + u[:, None], axis=0)
        return -special.logsumexp(-C + v[None], axis=1)

    return jnp.sum(lax.fori_loop(0, 3, step, jnp.zeros(3)) * jnp.arange(3.0))


autodiff("preference", preference, drawn(81, (3,), (5, 3), (5, 3)), ("D", "N D", "N D"))
autodiff("clipped_policy", clipped_policy, drawn(82, (3,), (5, 3), (5,), (5,)), ("D", "N D", "N", "N"), kinks="jax")
autodiff("two_experts", two_experts, drawn(83, (3, 4), (5, 3)), kinks="jax")
autodiff("transport", transport, drawn(84, (3, 3)))


# Control flow and transformations


def windows(x: Any) -> Any:
    return lax.fori_loop(0, 3, lambda i, c: c + jnp.sin(lax.dynamic_slice(x, (i,), (2,))).sum(), 0.0)


def by_condition(x: Any) -> Any:
    return lax.cond(x.sum() > 0, lambda x: jnp.sum(x**2), lambda x: jnp.sum(x**3), x)


def penalty_on_slope(w: Any, x: Any) -> Any:
    return jnp.sum(jax.grad(lambda z: jnp.sum(jnp.tanh(w * z)))(x) ** 2)


def valid_convolution(k: Any, x: Any) -> Any:
    return jnp.sum(jnp.convolve(x, k, mode="valid") ** 2)


def heads(Q: Any, K: Any, V: Any) -> Any:
    P = jax.nn.softmax(jnp.einsum("bhqd,bhkd->bhqk", Q, K))
    return jnp.sum(jnp.einsum("bhqk,bhkd->bhqd", P, V) ** 2)


def fused_attention(Q: Any, K: Any, V: Any) -> Any:
    return jnp.sum(jax.nn.dot_product_attention(Q, K, V, is_causal=True) ** 2)


def logarithms_by_steps(x: Any) -> Any:
    return lax.scan(lambda c, t: (jnp.logaddexp(c + t, t), None), 0.0, x)[0]


def logarithms_at_once(x: Any) -> Any:
    return jnp.sum(lax.associative_scan(jnp.logaddexp, x))


def linear_recurrence(a: Any, b: Any) -> Any:
    def joined(p, q):
        return q[0] * p[0], q[0] * p[1] + q[1]

    return jnp.sum(lax.associative_scan(joined, (jax.nn.sigmoid(a), b))[1] ** 2)


def straight_through(x: Any) -> Any:
    return jnp.sum((x + lax.stop_gradient(jnp.round(x) - x)) ** 2)


def log_determinant(L: Any) -> Any:
    return jnp.sum(jnp.log(jnp.abs(jnp.diag(jnp.tril(L)))))


def unit_rows(X: Any) -> Any:
    return jnp.sum(X / jnp.sqrt(jnp.sum(X * X, axis=1, keepdims=True) + 1e-12) * jnp.arange(3.0))


def with_dropout(w: Any, X: Any, kept: Any, y: Any) -> Any:
    return jnp.mean(((X * kept / 0.8) @ w - y) ** 2)


def dropout_args() -> tuple[Any, ...]:
    w, X, y = drawn(85, (3,), (5, 3), (5,))()
    return w, X, np.random.default_rng(86).random((5, 3)) < 0.8, y


autodiff("windows", windows, drawn(87, (5,)))
autodiff("by_condition", by_condition, drawn(88, (3,)), ("D",))
autodiff("penalty_on_slope", penalty_on_slope, drawn(89, (3,), (3,)), ("D", "D"))
autodiff("valid_convolution", valid_convolution, drawn(90, (3,), (8,)))
autodiff("heads", heads, drawn(91, (1, 2, 3, 2), (1, 2, 3, 2), (1, 2, 3, 2)), wrt=(0, 1, 2))
autodiff("logarithms_by_steps", logarithms_by_steps, drawn(92, (5,)), ("T",))
autodiff("logarithms_at_once", logarithms_at_once, drawn(93, (4,)))
autodiff("linear_recurrence", linear_recurrence, drawn(94, (5,), (5,)), ("T", "T"), (0, 1))
autodiff("straight_through", straight_through, drawn(95, (4,)))
autodiff("log_determinant", log_determinant, lambda: (drawn(96, (3, 3))()[0] + 2 * np.eye(3),))
autodiff("unit_rows", unit_rows, drawn(97, (4, 3)), ("N 3",))
autodiff("fused_attention", fused_attention, drawn(103, (1, 3, 2, 2), (1, 3, 2, 2), (1, 3, 2, 2)), wrt=(0, 1, 2))
autodiff("variable_power", lambda x: jnp.sum(jnp.exp(x) ** x), drawn(104, (3,)))
autodiff("weighted_total", lambda x, b: special.logsumexp(x, b=jnp.exp(b)), drawn(105, (4,), (4,)), ("D", "D"), (0, 1))
autodiff("scaled_tail", lambda x: jnp.sum(special.erfc(x) * jnp.exp(x * x)), drawn(98, (4,)))
autodiff("dropout", with_dropout, dropout_args, ("D", "N D", "N D", "N"))


# A library's compiled kernels, and those of another definition


def normalised(epsilon: float) -> Gradient:
    def cost(X, Y):
        H = (X - X.mean(axis=1, keepdims=True)) / jnp.sqrt(X.var(axis=1, keepdims=True) + epsilon)
        return jnp.sum(Y * H)

    return cost


def smoothed(part: float) -> Gradient:
    def cost(z, y):
        target = (1 - part) * jax.nn.one_hot(y, 3) + part / 3
        return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(z), axis=1))

    return cost


def weighted(activation: Gradient) -> Gradient:
    return lambda x, y: jnp.sum(y * activation(x))


def from_logits(z: Any, y: Any) -> Any:
    return jnp.mean(jax.nn.softplus(z) - y * z)


def gelu(approximate: bool) -> Gradient:
    return weighted(lambda x: jax.nn.gelu(x, approximate=approximate))


def binary_logits() -> tuple[Any, ...]:
    return (*drawn(99, (5,))(), np.array([0.0, 1.0, 1.0, 0.0, 1.0]))


NORMALISED = {"args": drawn(100, (4, 3), (4, 3)), "shapes": ("N D", "N D"), "wrt": (0,)}
LABELLED = {"args": logits(CLASSES), "shapes": ("N 3", "N"), "wrt": (0,)}
WEIGHTED = {"args": drawn(101, (5,), (5,)), "shapes": ("N", "N"), "wrt": (0,)}
LAYERS_BUGS += [
    Bug("kernel_of_smoothed_labels", None, lambda: opaque(smoothed(1e-5)), by_index, **LABELLED),
    Bug("kernel_of_another_epsilon", None, lambda: opaque(normalised(1e-5)), normalised(1e-6), **NORMALISED),
    Bug("kernel_of_gelu_by_tanh", None, lambda: opaque(gelu(True)), gelu(False), **WEIGHTED),
]
LAYERS_RIGHT += [
    Right("kernel_of_labels", opaque(smoothed(0.0)), by_index, **LABELLED),
    Right("kernel_of_normalisation", opaque(normalised(1e-5)), normalised(1e-5), **NORMALISED),
    Right("kernel_of_gelu", opaque(gelu(False)), gelu(False), **WEIGHTED),
    Right("kernel_of_logits", opaque(from_logits), from_logits, binary_logits, ("N", "N"), wrt=(0,)),
    Right("kernel_of_attention", opaque(attention, (0, 1, 2)), **ATTENTION),
]
