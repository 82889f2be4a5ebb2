"""A fourth set, by one who knew the checker's page and tried to break it: costs in NumPy that it might read as others.

Their first score stands in docs/verification.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.special
from gradient_bugs import Bug
from gradient_networks import drawn
from gradient_right import Right

Gradient = Callable[..., Any]
NUMPY_BUGS: list[Bug] = []
NUMPY_RIGHT: list[Right] = []
# Of no symmetry, so that a turned or forgotten axis shows. Of 32 bits, since JAX 0.10.2 mixes up what it made of
# constants of 64 bits once a process has asked for both dtypes.
C = np.arange(9, dtype=np.float32).reshape(3, 3)
V = np.arange(1, 6, dtype=np.float32)


def right(name: str, cost: Gradient, gradient: Gradient, args: Any, shapes: Any = None, **more: Any) -> None:
    NUMPY_RIGHT.append(Right(f"numpy_{name}", gradient, cost, args, shapes, **{"wrt": (0,), **more}))


def wrong(name: str, cost: Gradient, gradient: Gradient, args: Any, shapes: Any = None, **more: Any) -> None:
    NUMPY_BUGS.append(Bug(f"numpy_{name}", None, lambda: gradient, cost, args, shapes, **{"wrt": (0,), **more}))


def like(twin: Gradient, wrt: tuple[int, ...]) -> Gradient:
    """The gradient of a cost in JAX."""
    slope = jax.jit(jax.grad(twin, wrt))
    return lambda *args: tuple(np.asarray(g) for g in slope(*args))


def twins(
    name: str,
    cost: Gradient,
    same: Gradient,
    other: Gradient | None,
    args: Any,
    wrt: tuple[int, ...] = (0,),
    kinks: str = "zero",
) -> None:
    """`same` is the cost in JAX, `other` what it might be taken for."""
    right(name, cost, like(same, wrt), args, wrt=wrt, kinks=kinks)
    if other is not None:
        wrong(f"{name}_misread", cost, like(other, wrt), args, wrt=wrt, kinks=kinks)


SERIES = (drawn(171, (5,)),)
SQUARE = drawn(172, (3, 3))
PAIR = (drawn(173, (3,), (3,)), ("D", "D"))


# Arguments by name


def clipped(w: Any, x: Any) -> Any:
    return np.sum(np.clip(w * x, a_min=-1, a_max=1) ** 2)


right("clip_by_name", clipped, lambda w, x: (np.where(abs(w * x) < 1, 2 * w * x * x, 0),), *PAIR)
wrong("clip_by_name_ignored", clipped, lambda w, x: (2 * w * x * x,), *PAIR)


def normalised(X: Any, Y: Any) -> Any:
    centred = X - np.mean(X, axis=1, keepdims=True)
    return np.sum((centred / np.sqrt(np.var(X, axis=1, keepdims=True) + 1e-5) - Y) ** 2)


def of_normalised(X: Any, Y: Any) -> Any:
    A = X - X.mean(1, keepdims=True)
    s = np.sqrt((A**2).mean(1, keepdims=True) + 1e-5)
    H = A / s
    E = 2 * (H - Y)
    return ((E - E.mean(1, keepdims=True) - H * (E * H).mean(1, keepdims=True)) / s,)


def standardised(X: Any, Y: Any) -> Any:
    return np.sum(((X - X.mean(axis=1, keepdims=True)) / (X.std(axis=1, keepdims=True) + 1e-5) - Y) ** 2)


def of_standardised(X: Any, Y: Any) -> Any:
    A = X - X.mean(1, keepdims=True)
    s = X.std(1, keepdims=True)
    E = 2 * (A / (s + 1e-5) - Y)
    d = E / (s + 1e-5) - (E * A).sum(1, keepdims=True) / (s + 1e-5) ** 2 * A / (X.shape[1] * s)
    return (d - d.mean(1, keepdims=True),)


right("variance_kept_dimensions", normalised, of_normalised, drawn(174, (4, 3), (4, 3)), ("N D", "N D"))
right("variance_kept_dimensions_square", normalised, of_normalised, drawn(175, (3, 3), (3, 3)))
right("deviation_kept_dimensions", standardised, of_standardised, drawn(176, (4, 3), (4, 3)), ("N D", "N D"))


def inner(A: Any, B: Any) -> Any:
    return np.sum(np.inner(A, B) * C)


def of_inner(A: Any, B: Any) -> Any:
    return C @ B, C.T @ A


def of_product(A: Any, B: Any) -> Any:
    return C @ B.T, A.T @ C


MATRICES = drawn(177, (3, 3), (3, 3))
right("inner", inner, of_inner, MATRICES, wrt=(0, 1))
wrong("inner_as_product", inner, of_product, MATRICES, wrt=(0, 1))
twins(
    "prod_kept_dimensions",
    lambda X: np.sum(C * X * np.prod(X, axis=1, keepdims=True)),
    lambda X: jnp.sum(C * X * jnp.prod(X, axis=1, keepdims=True)),
    lambda X: jnp.sum(C * X * jnp.prod(X, axis=1)),
    SQUARE,
)
twins(
    "prod_of_method_kept_dimensions",
    lambda X: np.sum(C * np.exp(X).prod(axis=1, keepdims=True) * X),
    lambda X: jnp.sum(C * jnp.exp(X).prod(axis=1, keepdims=True) * X),
    lambda X: jnp.sum(C * jnp.exp(X).prod(axis=1) * X),
    SQUARE,
)
twins(
    "average_kept_dimensions",
    lambda X: np.sum(C * (X - np.average(X, axis=1, keepdims=True)) ** 2),
    lambda X: jnp.sum(C * (X - jnp.mean(X, axis=1, keepdims=True)) ** 2),
    lambda X: jnp.sum(C * (X - jnp.mean(X, axis=1)) ** 2),
    SQUARE,
)
twins(
    "any_kept_dimensions",
    lambda X: np.sum(C * X**2 * np.any(X > 0, axis=1, keepdims=True)),
    lambda X: jnp.sum(C * X**2 * jnp.any(X > 0, axis=1, keepdims=True)),
    None,
    SQUARE,
)
twins(
    "any_of_method_kept_dimensions",
    lambda X: np.sum(C * np.exp(X) * (X > 0).any(axis=1, keepdims=True)),
    lambda X: jnp.sum(C * jnp.exp(X) * (X > 0).any(axis=1, keepdims=True)),
    lambda X: jnp.sum(C * jnp.exp(X) * (X > 0).any(axis=1)),
    SQUARE,
)
twins(
    "count_kept_dimensions",
    lambda X: np.sum(C * X**2 * np.count_nonzero(X > 0, axis=1, keepdims=True)),
    lambda X: jnp.sum(C * X**2 * jnp.sum(X > 0, axis=1, keepdims=True)),
    None,
    SQUARE,
)
twins(
    "maximum_with_initial",
    lambda X: np.sum(X.max(axis=1, initial=0.0) ** 2),
    lambda X: jnp.sum(jnp.maximum(X.max(axis=1), 0) ** 2),
    lambda X: jnp.sum(X.max(axis=1) ** 2),
    drawn(178, (4, 3)),
    kinks="subgradient",
)
twins(
    "maximum_over_both_axes",
    lambda X: np.exp(np.max(X, axis=(0, 1))),
    lambda X: jnp.exp(jnp.max(X)),
    None,
    drawn(179, (2, 3)),
    kinks="subgradient",
)
twins(
    "variance_of_less_one",
    lambda X: np.sum(np.exp(np.var(X, axis=0, ddof=1))),
    lambda X: jnp.sum(jnp.exp(jnp.var(X, axis=0, ddof=1))),
    lambda X: jnp.sum(jnp.exp(jnp.var(X, axis=0))),
    drawn(180, (4, 2)),
)
twins(
    "rounded_to_tenths",
    lambda w: np.sum(np.exp(w) * np.round(w, 1)),
    lambda w: jnp.sum(jnp.exp(w) * jax.lax.stop_gradient(jnp.round(w, 1))),
    lambda w: jnp.sum(jnp.exp(w) * jax.lax.stop_gradient(jnp.round(w))),
    drawn(182, (4,)),
)
for name, cost in (
    ("reshape", lambda A: np.sum(np.exp(A).reshape(-1, order="F") * np.arange(9.0))),
    ("ravel", lambda A: np.sum(np.ravel(np.exp(A), order="F") * np.arange(9.0))),
):
    twins(
        f"{name}_by_columns",
        cost,
        lambda A: jnp.sum(jnp.exp(A).T.reshape(-1) * jnp.arange(9.0)),
        lambda A: jnp.sum(jnp.exp(A).reshape(-1) * jnp.arange(9.0)),
        SQUARE,
    )


# Norms


def spectral(A: Any, B: Any) -> Any:
    return np.linalg.norm(A - B, ord=2, axis=(0, 1)) ** 2


wrong("spectral_norm_as_frobenius", spectral, lambda A, B: (2 * (A - B), -2 * (A - B)), MATRICES, wrt=(0, 1))
twins(
    "norm_of_sums",
    lambda A: np.sum(np.exp(np.linalg.norm(A, ord=1, axis=1))),
    lambda A: jnp.sum(jnp.exp(jnp.abs(A).sum(axis=1))),
    lambda A: jnp.sum(jnp.exp(jnp.linalg.norm(A, axis=1))),
    SQUARE,
    kinks="subgradient",
)
twins(
    "norm_of_the_largest",
    lambda a: np.exp(np.linalg.norm(a, np.inf)),
    lambda a: jnp.exp(jnp.abs(a).max()),
    lambda a: jnp.exp(jnp.linalg.norm(a)),
    drawn(184, (3,)),
    kinks="subgradient",
)
twins(
    "cholesky_diagonal",
    lambda A: np.sum(np.log(np.diag(np.linalg.cholesky(A @ A.T + np.eye(3))))),
    lambda A: 0.5 * jnp.linalg.slogdet(A @ A.T + jnp.eye(3))[1],
    None,
    SQUARE,
)


# Integers and remainders

COUNTS = (lambda: (*drawn(185, (4,))(), np.array([0, -1, -4, 3])),)
twins(
    "integer_division",
    lambda w, y: np.sum(np.exp(w) * (y // 2)),
    lambda w, y: jnp.sum(jnp.exp(w) * (y // 2)),
    lambda w, y: jnp.sum(jnp.exp(w) * (y / 2)),
    *COUNTS,
)
twins(
    "integer_remainder",
    lambda w, y: np.sum(np.exp(w) * (y % 3)),
    lambda w, y: jnp.sum(jnp.exp(w) * (y % 3)),
    lambda w, y: jnp.sum(jnp.exp(w) * jnp.fmod(y, 3)),
    *COUNTS,
)
twins(
    "remainder",
    lambda w, x: np.sum(np.exp(w) * np.mod(w, 3)),
    lambda w, x: jnp.sum(jnp.exp(w) * jnp.mod(w, 3)),
    lambda w, x: jnp.sum(jnp.exp(w) * jnp.fmod(w, 3)),
    drawn(186, (4,), (4,)),
)
twins(
    "remainder_squared",
    lambda w, x: np.sum(x * (w % 1.0) ** 2),
    lambda w, x: jnp.sum(x * (w % 1.0) ** 2),
    lambda w, x: jnp.sum(x * jnp.fmod(w, 1.0) ** 2),
    drawn(187, (4,), (4,)),
)
twins("negative_power", lambda w: np.sum(np.exp(w) ** -2.0), lambda w: jnp.sum(jnp.exp(-2 * w)), None, *SERIES)


# NaN


def absolute(w: Any, x: Any) -> Any:
    return np.sum(np.abs(w) * x)


def by_quotient(w: Any, x: Any) -> Any:
    with np.errstate(all="ignore"):
        return (x * np.nan_to_num(w / np.abs(w)),)


right("nan_to_num_of_a_sign", absolute, by_quotient, *PAIR)
right(
    "nan_to_num_of_entropy",
    lambda p: np.sum(np.nan_to_num(p * np.log(p))),
    lambda p: (np.log(p) + 1,),
    lambda: (np.array([0.2, 0.3, 0.5]),),
    ("D",),
    domain={0: "positive"},
)
twins("fmax_of_nan", lambda w: np.sum(np.exp(np.fmax(w, np.nan))), lambda w: jnp.sum(jnp.exp(w)), None, *SERIES)


# Products of arrays

twins(
    "dot_of_three_axes",
    lambda A, B: np.sum(np.exp(0.1 * np.dot(A, B))),
    lambda A, B: jnp.sum(jnp.exp(0.1 * jnp.dot(A, B))),
    None,
    drawn(188, (2, 2, 2), (2, 2)),
    (0, 1),
)
twins(
    "tensordot_of_axes",
    lambda A, B: np.sum(np.exp(np.tensordot(A, B, axes=([-1], [0])))),
    lambda A, B: jnp.sum(jnp.exp(A @ B)),
    lambda A, B: jnp.sum(jnp.exp(A.T @ B)),
    drawn(189, (3, 3), (3, 3)),
    (0, 1),
)
BATCH = (drawn(190, (2, 2, 3), (2, 3, 2)), (0, 1))
twins(
    "einsum_of_batches",
    lambda A, B: np.sum(np.exp(np.einsum("bij,bjk->bik", A, B))),
    lambda A, B: jnp.sum(jnp.exp(A @ B)),
    None,
    *BATCH,
)
twins("product_of_batches", lambda A, B: np.sum(np.exp(A @ B)), lambda A, B: jnp.sum(jnp.exp(A @ B)), None, *BATCH)
twins(
    "kron",
    lambda A: np.sum(np.exp(np.kron(A, np.eye(2)))),
    lambda A: 2 * jnp.sum(jnp.exp(A)),
    None,
    drawn(191, (2, 2)),
)


# Orders, and what is taken, put and counted

twins(
    "cumsum_of_rows",
    lambda A: np.sum(np.cumsum(np.exp(A)) * np.arange(9.0)),
    lambda A: jnp.sum(jnp.cumsum(jnp.exp(A)) * jnp.arange(9.0)),
    lambda A: jnp.sum(jnp.cumsum(jnp.exp(A), axis=0).ravel() * jnp.arange(9.0)),
    SQUARE,
)
twins(
    "cumsum_in_an_exponent",
    lambda x: np.sum(V * np.exp(np.cumsum(x))),
    lambda x: jnp.sum(V * jnp.exp(jnp.cumsum(x))),
    None,
    *SERIES,
)
twins(
    "split_by_columns",
    lambda A: sum(k * np.sum(np.exp(part)) for k, part in enumerate(np.split(A, 3, axis=1))),
    lambda A: jnp.sum(jnp.exp(A) * jnp.arange(3.0)),
    lambda A: jnp.sum(jnp.exp(A) * jnp.arange(3.0)[:, None]),
    SQUARE,
)
twins(
    "take_twice",
    lambda w, i: np.sum(np.take(np.exp(w), i) ** 2),
    lambda w, i: jnp.sum(jnp.exp(w)[i] ** 2),
    lambda w, i: jnp.sum(jnp.exp(w)[jnp.unique(i, size=2)] ** 2),
    lambda: (*drawn(192, (3,))(), np.array([0, 2, 2])),
)


def first_put_to_zero(w: Any) -> Any:
    v = np.exp(w)
    v[0] = 0.0
    return np.sum(v * np.arange(1.0, 4.0))


twins(
    "put_in_place",
    first_put_to_zero,
    lambda w: jnp.sum(jnp.exp(w[1:]) * jnp.arange(2.0, 4.0)),
    lambda w: jnp.sum(jnp.exp(w) * jnp.arange(1.0, 4.0)),
    drawn(193, (3,)),
)
ORDERS = {"args": drawn(197, (5,)), "kinks": "subgradient"}
twins(
    "argsort_as_index",
    lambda x: np.sum(V * np.exp(x)[np.argsort(x)]),
    lambda x: jnp.sum(V * jnp.exp(jnp.sort(x))),
    lambda x: jnp.sum(V * jnp.exp(x)),
    **ORDERS,
)
twins(
    "sort_of_exponentials",
    lambda x: np.sum(V * np.sort(np.exp(x))),
    lambda x: jnp.sum(V * jnp.sort(jnp.exp(x))),
    lambda x: jnp.sum(V * jnp.exp(x)),
    **ORDERS,
)
twins(
    "median",
    lambda x: np.exp(np.median(x)),
    lambda x: jnp.exp(jnp.median(x)),
    lambda x: jnp.exp(jnp.mean(x)),
    **ORDERS,
)
right(
    "median_of_one_entry",
    lambda x: np.exp(np.median(x)),
    lambda x: ((np.arange(5) == np.argsort(x)[2]) * np.exp(np.median(x)),),
    **ORDERS,
)
twins(
    "peak_to_peak",
    lambda x: np.exp(np.ptp(x)),
    lambda x: jnp.exp(jnp.max(x) - jnp.min(x)),
    lambda x: jnp.exp(jnp.max(x)),
    **ORDERS,
)
twins(
    "triangle",
    lambda A: np.sum(np.exp(np.tril(A))),
    lambda A: jnp.sum(jnp.exp(jnp.tril(A))),
    lambda A: jnp.sum(jnp.tril(jnp.exp(A), -1)),
    SQUARE,
)


# Functions of SciPy, and in pieces


def in_pieces(x: Any) -> Any:
    return np.sum(np.piecewise(x, [x > 1, x < -1], [lambda t: 2 * t - 1, lambda t: -2 * t - 1, lambda t: t * t]))


def by_selection(x: Any) -> Any:
    return np.sum(np.select([x > 1, x < -1], [2 * x - 1, -2 * x - 1], x * x))


right("piecewise", in_pieces, lambda x: (np.clip(2 * x, -2, 2),), *SERIES)
right("select", by_selection, lambda x: (np.clip(2 * x, -2, 2),), *SERIES)
twins("hypot", lambda x: np.sum(np.hypot(x, V)), lambda x: jnp.sum(jnp.sqrt(x * x + V * V)), None, *SERIES)
twins(
    "expit",
    lambda x: np.sum(V * scipy.special.expit(x)),
    lambda x: jnp.sum(V * jax.nn.sigmoid(x)),
    None,
    *SERIES,
)
twins(
    "gammaln",
    lambda x: np.sum(scipy.special.gammaln(1 + np.exp(x))),
    lambda x: jnp.sum(jax.scipy.special.gammaln(1 + jnp.exp(x))),
    None,
    *SERIES,
)
twins(
    "logaddexp_reduced",
    lambda x: np.logaddexp.reduce(V * x),
    lambda x: jax.scipy.special.logsumexp(V * x),
    None,
    *SERIES,
)


# Cross-entropies by labels, and rows of a table

LABELLED = (lambda: (*drawn(194, (4, 3))(), np.array([0, 2, 1, 1])), ("N 3", "N"))


def cross_entropy(z: Any, y: Any) -> Any:
    return -np.mean((z - np.log(np.exp(z).sum(1, keepdims=True)))[np.arange(len(y)), y])


def in_place(everywhere: bool) -> Gradient:
    def gradient(z, y):
        P = np.exp(z - z.max(1, keepdims=True))
        P /= P.sum(1, keepdims=True)
        P[slice(None) if everywhere else np.arange(len(y)), y] -= 1
        P /= len(y)
        return (P,)

    return gradient


right("cross_entropy_in_place", cross_entropy, in_place(False), *LABELLED)
wrong("cross_entropy_in_place_of_all_rows", cross_entropy, in_place(True), *LABELLED)


def looked_up(w: Any, i: Any, x: Any) -> Any:
    return np.sum((np.exp(w)[i] * x) ** 2)


def adding(w: Any, i: Any, x: Any) -> Any:
    g = np.zeros_like(w)
    np.add.at(g, i, 2 * (np.exp(w)[i] * x) ** 2)
    return (g,)


def putting(w: Any, i: Any, x: Any) -> Any:
    g = np.zeros_like(w)
    g[i] += 2 * (np.exp(w)[i] * x) ** 2
    return (g,)


def table() -> tuple[Any, ...]:
    w, x = drawn(195, (4,), (5,))()
    return w, np.array([0, 3, 3, 1, 2]), x


right("rows_of_a_table", looked_up, adding, table, ("V", "N", "N"))
right("rows_of_a_table_of_four", looked_up, adding, table, ("4", "N", "N"))
wrong("rows_of_a_table_repeats_lost", looked_up, putting, table, ("V", "N", "N"))


def neighbours(x: Any) -> Any:
    return sum(np.exp(x[i] * x[i - 1]) for i in range(1, len(x)))


def of_neighbours(x: Any) -> Any:
    g = np.zeros_like(x)
    for i in range(1, len(x)):
        e = np.exp(x[i] * x[i - 1])
        g[i] += x[i - 1] * e
        g[i - 1] += x[i] * e
    return (g,)


right("loop_over_neighbours", neighbours, of_neighbours, drawn(196, (5,)), ("D",))
