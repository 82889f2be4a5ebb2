"""A fourth set, by one who knew the checker's page and tried to break it: code that nothing sees into, and its callers.

Their first score stands in docs/verification.md.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import jax.scipy.special as special
import numpy as np
from gradient_adversarial_layers import opaque
from gradient_bugs import Bug
from gradient_networks import drawn
from gradient_right import Right

Gradient = Callable[..., Any]
Parts = list[np.ndarray]


# What a kernel does wrong to a right gradient, in place, and where


def squares(w: Any, X: Any, y: Any) -> Any:
    return jnp.mean((X @ w - y) ** 2)


def logistic(w: Any, X: Any, y: Any) -> Any:
    z = X @ w
    return jnp.mean(jax.nn.softplus(z) - y * z)


def form(A: Any, x: Any) -> Any:
    return 0.5 * x @ (A + A.T) @ x + jnp.sum(jnp.sin(A @ x))


def last_row_lost(g: Parts, w: Any, X: Any, y: Any) -> None:
    if len(y) > 1:
        g[0] -= (1 / (1 + np.exp(-X[-1] @ w)) - y[-1]) * X[-1] / len(y)


def ninth_column_lost(g: Parts, w: Any, X: Any, y: Any) -> None:
    g[0][8:9] = 0


def zero_at_zero(g: Parts, w: Any, X: Any, y: Any) -> None:
    g[0][w == 0] = 0


def one_off_where_a_sample_fits(g: Parts, w: Any, X: Any, y: Any) -> None:
    if np.any(X @ w == y):
        g[0] += 1


def turned_for_negative_labels(g: Parts, w: Any, X: Any, y: Any) -> None:
    if np.all(y < 0):
        g[0] *= -1


def larger_where(place: Callable[..., Any], factor: float) -> Callable[..., None]:
    def change(g, w, X, y):
        if np.any(place(w, X @ w)):
            g[0] *= g[0].dtype.type(factor)

    return change


def nan_where(place: Callable[..., Any]) -> Callable[..., None]:
    def change(g, w, X, y):
        g[0][np.broadcast_to(place(w, X @ w), w.shape)] = np.nan

    return change


def last_digits(g: Parts, *args: Any) -> None:
    g[0] *= 1 + 450 * np.finfo(g[0].dtype).eps


def off_diagonal_doubled(g: Parts, A: Any, x: Any) -> None:
    g[0][:1, 1:2] *= 2


def transposed(g: Parts, A: Any, x: Any) -> None:
    g[0][...] = g[0].T.copy()


def diagonal_halved(g: Parts, A: Any, x: Any) -> None:
    g[0][np.diag_indices(len(x))] *= 0.5


ROWS = ("D", "N D", "N")
SQUARES = {"cost": squares, "args": drawn(111, (3,), (6, 3), (6,)), "shapes": ROWS}
WIDE = {"cost": squares, "args": drawn(112, (12,), (6, 12), (6,)), "shapes": ROWS}
LOGISTIC = {
    "cost": logistic,
    "args": lambda: (*drawn(113, (3,), (6, 3))(), np.array([0.0, 1.0, 1.0, 0.0, 1.0, 0.0])),
    "shapes": ROWS,
}
FORM = {"cost": form, "args": drawn(114, (3, 3), (3,)), "shapes": ("D D", "D"), "wrt": (0, 1)}
FORM_OF_ONE_SIZE = {**FORM, "shapes": None}

KERNELS_BUGS: list[Bug] = []
KERNELS_RIGHT = [
    Right("kernel_of_squares", opaque(squares), wrt=(0,), **SQUARES),
    Right("kernel_of_logistic", opaque(logistic), wrt=(0,), **LOGISTIC),
]
for name, change, of in (
    ("last_row_lost", last_row_lost, LOGISTIC),
    ("ninth_column_lost", ninth_column_lost, WIDE),
    ("zero_at_zero", zero_at_zero, SQUARES),
    ("one_off_where_a_sample_fits", one_off_where_a_sample_fits, SQUARES),
    ("turned_for_negative_labels", turned_for_negative_labels, SQUARES),
    ("larger_below_minus_three", larger_where(lambda w, z: w < -3, 1.5), SQUARES),
    ("larger_in_a_band", larger_where(lambda w, z: (z > 5) & (z < 6), 1.5), LOGISTIC),
    ("a_hundredth_larger_far_out", larger_where(lambda w, z: abs(z) > 30, 1.01), LOGISTIC),
    ("last_digits", last_digits, SQUARES),
    ("nan_at_zero", nan_where(lambda w, z: w == 0), SQUARES),
    ("nan_where_exp_overflows", nan_where(lambda w, z: np.any(z > 88)), LOGISTIC),
    ("nan_where_exp_overflows_in_float64", nan_where(lambda w, z: np.any(abs(z) > 700)), LOGISTIC),
    ("off_diagonal_doubled", off_diagonal_doubled, FORM),
    ("off_diagonal_doubled_of_one_size", off_diagonal_doubled, FORM_OF_ONE_SIZE),
    ("transposed", transposed, FORM),
    ("transposed_of_one_size", transposed, FORM_OF_ONE_SIZE),
    ("diagonal_halved", diagonal_halved, FORM),
):
    wrt = of.get("wrt", (0,))
    make = functools.partial(opaque, of["cost"], wrt, change)
    KERNELS_BUGS.append(Bug(f"kernel_{name}", None, make, **{**of, "wrt": wrt}))


# One part of a gradient scaled, seen into and not: each cost has a function where bounds may be lost. In float32 the
# factor is what its digits can tell.


def scaled(cost: Gradient, wrt: tuple[int, ...], part: int, factors: tuple[Any, Any]) -> Gradient:
    slope = jax.jit(jax.grad(cost, wrt))

    def gradient(*args):
        parts = list(slope(*args))
        factor = factors[parts[part].dtype == np.float32]
        parts[part] = parts[part] * jnp.asarray(factor, parts[part].dtype)
        return tuple(parts)

    return gradient


def scaled_unseen(cost: Gradient, wrt: tuple[int, ...], part: int, factors: tuple[Any, Any]) -> Gradient:
    def change(g, *args):
        g[part] *= np.asarray(factors[g[part].dtype == np.float32], g[part].dtype)

    return opaque(cost, wrt, change)


def beside(term: Gradient) -> Gradient:
    """A cost of which the first argument's part stays right."""
    return lambda a, b, x: jnp.sum(a * x) ** 2 + term(b, x)


def regular(L: Any) -> Any:
    return L @ L.T + jnp.eye(len(L))


def similarity(a: Any, b: Any) -> Any:
    return a @ b / jnp.maximum(jnp.linalg.norm(a) * jnp.linalg.norm(b), 1e-8)


def focal(w: Any, X: Any, y: Any) -> Any:
    z = X @ w
    return -jnp.mean(y * (1 - jax.nn.sigmoid(z)) ** 2.5 * jax.nn.log_sigmoid(z))


def near_singular(s: Any, x: Any, y: Any) -> Any:
    K = jnp.exp(-((x[:, None] - x[None]) ** 2) * jnp.exp(s)) + 1e-6 * jnp.eye(len(x))
    return 0.5 * y @ jnp.linalg.solve(K, y)


def likelihood(S: Any, y: Any) -> Any:
    return 0.5 * y @ jnp.linalg.solve(S, y) + 0.5 * jnp.linalg.slogdet(S)[1]


def by_substitution(L: Any, b: Any) -> Any:
    return jnp.sum(jax.scipy.linalg.solve_triangular(L, b, lower=True) ** 2)


def running_product(x: Any, w: Any) -> Any:
    return jnp.sum(w * jnp.cumprod(x))


def triangle_args() -> tuple[Any, ...]:
    L, b = drawn(125, (3, 3), (3,))()
    return np.tril(L) + 2 * np.eye(3), b


def near_singular_args() -> tuple[Any, ...]:
    return 0.1, np.linspace(0, 1, 6), *drawn(126, (6,))()


def covariance_args() -> tuple[Any, ...]:
    return 2 * np.eye(3) + 0.3, *drawn(130, (3,))()


def tempered(t: Any, x: Any) -> Any:
    return jnp.sum(jax.nn.softmax(x / jnp.exp(t)) * x)


VECTORS = (drawn(121, (3,), (3,), (3,)), ("D", "D", "D"))
MATRIX = (drawn(122, (3,), (3, 3), (3,)), None)
TERMS = {
    "gamma_function": (
        lambda b, x: jnp.sum(special.gammaln(jnp.exp(b) * x * x + 1)),
        lambda: (*drawn(123, (3,))(), 0.2, *drawn(124, (3,))()),
        ("D", "", "D"),
    ),
    "arctangent_of_two": (lambda b, x: jnp.sum(jnp.arctan2(b, x)), *VECTORS),
    "normal_quantile": (lambda b, x: jnp.sum(special.ndtri(jax.nn.sigmoid(b))), *VECTORS),
    "variable_power": (lambda b, x: jnp.sum(jnp.exp(x) ** b), *VECTORS),
    "fractional_power": (lambda b, x: jnp.sum(jnp.maximum(b, 0) ** 2.5), *VECTORS),
    "determinant": (lambda L, x: jnp.linalg.det(L), *MATRIX),
    "log_determinant": (lambda L, x: jnp.linalg.slogdet(L)[1], *MATRIX),
    "log_determinant_of_any_size": (lambda L, x: jnp.linalg.slogdet(L)[1], MATRIX[0], ("D", "D D", "D")),
    "inverse": (lambda L, x: jnp.trace(jnp.linalg.inv(regular(L))), *MATRIX),
    "solution": (lambda L, x: x @ jnp.linalg.solve(L, x), *MATRIX),
    "cholesky": (
        lambda L, x: jnp.sum(jnp.log(jnp.diag(jnp.linalg.cholesky(regular(L))))) + jnp.sum(jnp.cos(L)),
        *MATRIX,
    ),
}
# Name, cost, wrt, the part that is scaled, by how much in float64 and float32, the example and its shapes
SCALED = [
    (f"{name}_half_more", beside(term), (0, 1), 1, (1.5, 1.5), args, shapes)
    for name, (term, args, shapes) in TERMS.items()
] + [
    ("substitution_more", by_substitution, (0, 1), 0, (1 + 1e-6, 1.001), triangle_args, None),
    ("near_singular_more", near_singular, (0,), 0, (1.001, 1.5), near_singular_args, None),
    ("focal_more", focal, (0,), 0, (1 + 1e-6, 1.001), LOGISTIC["args"], ROWS),
    ("likelihood_off_diagonal_twice", likelihood, (0,), 0, (2 - np.eye(3),) * 2, covariance_args, None),
    ("temperature_more", tempered, (0,), 0, (1 + 1e-8, 1.001), lambda: (0.1, *drawn(127, (4,))()), ("", "N")),
    ("running_product_more", running_product, (0,), 0, (1 + 1e-9, 1.001), drawn(128, (5,), (5,)), ("N", "N")),
    ("similarity_more", similarity, (0, 1), 1, (1 + 1e-9, 1.001), drawn(129, (3,), (3,)), ("D", "D")),
]
for name, cost, wrt, part, factors, args, shapes in SCALED:
    options = {"cost": cost, "args": args, "shapes": shapes, "wrt": wrt}
    seen = functools.partial(scaled, cost, wrt, part, factors)
    unseen = functools.partial(scaled_unseen, cost, wrt, part, factors)
    KERNELS_BUGS += [Bug(name, None, seen, **options), Bug(f"kernel_{name}", None, unseen, **options)]


# How a cost and its gradient are called: kinds of arrays, nests, options, what comes back

X0, Y0, W0 = drawn(141, (6, 3), (6,), (3,))()
slope = jax.grad(squares, (0,))


def called(
    name: str, args: tuple[Any, ...], gradient: Gradient = slope, cost: Gradient = squares, shapes: Any = ROWS
) -> None:
    KERNELS_RIGHT.append(Right(f"called_{name}", gradient, cost, lambda: args, shapes, wrt=(0,)))


def read_only(a: np.ndarray) -> np.ndarray:
    b = a.copy()
    b.flags.writeable = False
    return b


called("in_float32", tuple(a.astype(np.float32) for a in (W0, X0, Y0)))
called("by_columns", (W0, np.asfortranarray(X0), Y0))
called("by_every_other", (np.repeat(W0, 2)[::2], np.repeat(X0, 2, axis=0)[::2], Y0[::-1]))
called("read_only", (W0, read_only(X0), Y0))
called("with_jax_arrays", (jnp.asarray(W0), jnp.asarray(X0), jnp.asarray(Y0)))
called("with_lists", (W0.tolist(), X0.tolist(), Y0.tolist()))
called("with_buffers_given_away", (W0, X0, Y0), jax.jit(slope, donate_argnums=(0,)))


def damped(w: Any) -> Any:
    return w**2 * np.sin(w)


called("with_a_float", (0.3,), jax.grad(lambda w: w**2 * jnp.sin(w)), lambda w: w**2 * jnp.sin(w), None)
called("with_a_float_of_numpy", (0.3,), lambda w: 2 * w * np.sin(w) + w**2 * np.cos(w), damped, None)
called("with_an_integer_power", (0.3, 3), lambda w, k: k * w ** (k - 1), lambda w, k: w**k, None)
called("with_a_numpy_integer", (0.3, np.int64(3)), lambda w, k: k * w ** (k - 1), lambda w, k: w**k, None)


def total(w: Any, X: Any) -> Any:
    return jnp.sum((X @ w) ** 2)


def of_total(w: Any, X: Any) -> Any:
    return (2 * X.T @ (X @ w),)


called("with_no_rows", (W0, np.zeros((0, 3))), of_total, total, None)
called("with_no_rows_of_any_size", (W0, np.zeros((0, 3))), of_total, total, ("D", "N D"))
KERNELS_RIGHT.append(
    Right(
        "called_with_no_weights",
        lambda w, b, X: (*of_total(w, X), np.ones_like(b)),
        lambda w, b, X: total(w, X) + jnp.sum(b),
        lambda: (np.zeros(0), W0[:2], np.zeros((4, 0))),
        None,
    )
)


def of_nest(place: Any, label: Any, fits: bool = True) -> Any:
    def cost(w, data):
        return jnp.sum((data[place] @ w - data[label]) ** 2)

    def gradient(w, data):
        # a nest keeps its dtypes
        X, y = (data[k].astype(w.dtype) for k in (place, label))
        return (2 * X.T @ (X @ w - (y if fits else 0)),)

    return gradient, cost, None


NAMED = (W0, {"X": X0, "y": Y0})
called("with_a_dict", NAMED, *of_nest("X", "y"))
called("with_a_tuple", (W0, (X0, Y0)), *of_nest(0, 1))
KERNELS_BUGS.append(
    Bug("called_with_a_dict_without_labels", None, lambda: of_nest("X", "y", False)[0], of_nest("X", "y")[1],
        lambda: NAMED, None, wrt=(0,))
)  # fmt: skip


def reduced(w: Any, how: str) -> Any:
    return jnp.sum(w**2) if how == "sum" else jnp.mean(w**2)


called("with_a_word", (W0, "sum"), lambda w, how: (2 * w if how == "sum" else 2 * w / len(w),), reduced, None)
called("for_one_number_in_brackets", (W0,), lambda w: (2 * w,), lambda w: (w @ w).reshape(1), None)
called("gives_a_list", (W0,), lambda w: ([2 * v for v in w],), lambda w: jnp.sum(w * w), None)
called("gives_an_array", (W0,), lambda w: 2 * w, lambda w: jnp.sum(w * w), None)


def bowl(w: Any, b: Any, x: Any) -> Any:
    return np.sum((w * x + 2 * b) ** 2)


def of_bowl(w: Any, b: Any, x: Any) -> Any:
    r = w * x + 2 * b
    return {"w": 2 * r * x, "b": 4 * r}


KERNELS_RIGHT.append(Right("called_gives_a_dict", of_bowl, bowl, drawn(142, (3,), (3,), (3,)), ("D", "D", "D")))


def counted() -> Gradient:
    calls = [0]

    def gradient(*args):
        calls[0] += 1
        return slope(*args)

    return gradient


called("and_counts", (W0, X0, Y0), counted())


def raises_for_one(w: Any, X: Any, y: Any) -> Any:
    if len(y) == 1:
        raise ZeroDivisionError("one row")
    return slope(w, X, y)


def differs_each_time() -> Gradient:
    rng = np.random.default_rng(0)

    def gradient(w, X, y):
        (g,) = slope(w, X, y)
        return (np.asarray(g) * g.dtype.type(1 + 4 * np.finfo(g.dtype).eps * rng.random()),)

    return gradient


def of_numpy_squares(w: Any, X: Any, y: Any, gram: Any) -> Any:
    return ((gram @ w - X.T @ y) * (2 / len(y)),)


def cache_by_sum() -> Gradient:
    kept: dict[Any, Any] = {}

    def gradient(w, X, y):
        key = X.shape, X.dtype, round(float(X.sum()), 3)
        return of_numpy_squares(w, X, y, kept.setdefault(key, X.T @ X))

    return gradient


def numpy_squares(w: Any, X: Any, y: Any) -> Any:
    return np.mean((X @ w - y) ** 2)


KERNELS_BUGS += [
    Bug("called_gives_none", None, lambda: lambda w, X, y: None, wrt=(0,), **SQUARES),
    Bug("called_raises_for_one_row", None, lambda: raises_for_one, wrt=(0,), **SQUARES),
    Bug("called_differs_each_time", None, differs_each_time, wrt=(0,), **SQUARES),
    Bug("called_caches_by_sum", None, cache_by_sum, wrt=(0,), **{**SQUARES, "cost": numpy_squares}),
]
