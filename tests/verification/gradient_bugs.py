"""Wrong gradients, by hand: each a mistake that somebody makes, with the term that is wrong."""

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
class Bug:
    """`make` builds a fresh gradient. `term` is what is wrong (None for a broken contract); `sized` bugs need size."""

    name: str
    term: str | None
    make: Callable[[], Callable[..., Any]]
    cost: Callable[..., Any] = RELU
    args: Callable[[], tuple[Any, ...]] = example
    shapes: tuple[str, ...] | None = SHAPES
    sized: bool = False
    kinks: str = "zero"
    wrt: tuple[int, ...] = (0, 1)
    domain: dict[int, str] | None = None


BUGS: list[Bug] = []


def bug(term: str | None, **options: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        BUGS.append(Bug(function.__name__, term, lambda: function, **options))
        return function

    return register


def stateful(term: str | None, **options: Any) -> Callable[[Callable[[], Any]], Callable[[], Any]]:
    def register(make: Callable[[], Any]) -> Callable[[], Any]:
        BUGS.append(Bug(make.__name__, term, make, **options))
        return make

    return register


def right(w: Any, b: Any, X: Any, y: Any) -> Any:
    z = X @ w + b
    e = np.where(z > 0, z - y, 0)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


def gated(gate: Callable[[Any], Any]) -> Callable[..., Any]:
    def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
        z = X @ w + b
        e = gate(z) * (z - y)
        return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()

    return gradient


def residual(of: Callable[..., Any]) -> Callable[..., Any]:
    def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
        z = X @ w + b
        e = np.where(z > 0, of(z, y), 0).astype(w.dtype)
        return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()

    return gradient


def factored(factor: Callable[..., Any]) -> Callable[..., Any]:
    def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
        z = X @ w + b
        e = np.where(z > 0, z - y, 0)
        c = w.dtype.type(factor(X, z))
        return c * (X.T @ e), c * e.sum()

    return gradient


# The gate


@bug("gate")
def gate_at_zero_open(w, b, X, y):
    return gated(lambda z: z >= 0)(w, b, X, y)


@bug("gate")
def gate_missing(w, b, X, y):
    return gated(lambda z: z == z)(w, b, X, y)


@bug("gate")
def gate_inverted(w, b, X, y):
    return gated(lambda z: z < 0)(w, b, X, y)


@bug("gate", sized=True)
def gate_of_any_sample(w, b, X, y):
    return gated(lambda z: (z > 0).any())(w, b, X, y)


@bug("gate", sized=True)
def gate_of_all_samples(w, b, X, y):
    return gated(lambda z: (z > 0).all())(w, b, X, y)


@bug("gate", sized=True)
def gate_of_the_mean(w, b, X, y):
    return gated(lambda z: z.mean() > 0)(w, b, X, y)


@bug("gate")
def gate_threshold_micro(w, b, X, y):
    return gated(lambda z: z > 1e-6)(w, b, X, y)


@bug("gate")
def gate_threshold_micro_below(w, b, X, y):
    return gated(lambda z: z > -1e-6)(w, b, X, y)


@bug("gate")
def gate_threshold_pico(w, b, X, y):
    return gated(lambda z: z > 1e-12)(w, b, X, y)


@bug("gate")
def gate_half_at_zero(w, b, X, y):
    return gated(lambda z: np.heaviside(z, 0.5).astype(z.dtype))(w, b, X, y)


@bug("gate")
def gate_soft(w, b, X, y):
    return gated(lambda z: 1 / (1 + np.exp(np.clip(-1e3 * z, -80, 80))))(w, b, X, y)


@bug("gate")
def gate_without_bias(w, b, X, y):
    z = X @ w + b
    e = (X @ w > 0) * (z - y)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@bug("gate")
def gate_of_residual(w, b, X, y):
    z = X @ w + b
    e = (z > y) * (z - y)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@bug("gate")
def gate_saturates(w, b, X, y):
    return gated(lambda z: (z > 0) & (z < 1e6))(w, b, X, y)


BUGS.append(Bug("gate_autodiff_of_maximum", "gate", lambda: jax.grad(
    lambda w, b, X, y: jnp.mean((y - jnp.maximum(0, X @ w + b)) ** 2), (0, 1))))  # fmt: skip


# The residual


@bug("residual")
def residual_sign(w, b, X, y):
    return residual(lambda z, y: y - z)(w, b, X, y)


@bug("residual")
def residual_size(w, b, X, y):
    return residual(lambda z, y: abs(z - y))(w, b, X, y)


@bug("residual")
def residual_without_y(w, b, X, y):
    return residual(lambda z, y: z)(w, b, X, y)


@bug("residual")
def residual_without_bias(w, b, X, y):
    return residual(lambda z, y: z - b - y)(w, b, X, y)


@bug("residual")
def residual_truncates_y(w, b, X, y):
    return residual(lambda z, y: z - np.trunc(y))(w, b, X, y)


@bug("residual")
def residual_clipped(w, b, X, y):
    return residual(lambda z, y: np.clip(z - y, -1e6, 1e6))(w, b, X, y)


@bug("residual")
def residual_squared(w, b, X, y):
    return residual(lambda z, y: (z - y) ** 2)(w, b, X, y)


@bug("residual", sized=True)
def residual_of_mean_y(w, b, X, y):
    return residual(lambda z, y: z - y.mean())(w, b, X, y)


@bug("residual")
def residual_adds_y(w, b, X, y):
    return residual(lambda z, y: z + y)(w, b, X, y)


@bug("residual", args=lambda: example(labels="integer"))
def residual_in_integers(w, b, X, y):
    z = X @ w + b
    e = np.where(z > 0, (z - y).astype(np.int64), 0)
    return (2 / len(y) * (X.T @ e)).astype(w.dtype), w.dtype.type(2 / len(y) * e.sum())


@bug("residual")
def residual_low_precision(w, b, X, y):
    return residual(lambda z, y: (z - y).astype(np.float16))(w, b, X, y)


# The factor


@bug("factor")
def factor_without_two(w, b, X, y):
    return factored(lambda X, z: 1 / len(X))(w, b, X, y)


@bug("factor", sized=True)
def factor_without_rows(w, b, X, y):
    return factored(lambda X, z: 2)(w, b, X, y)


@bug("factor")
def factor_sample_variance(w, b, X, y):
    return factored(lambda X, z: 2 / max(len(X) - 1, 1) if len(X) > 1 else 2)(w, b, X, y)


@bug("factor", sized=True)
def factor_of_columns(w, b, X, y):
    return factored(lambda X, z: 2 / X.shape[1])(w, b, X, y)


@bug("factor")
def factor_of_the_example(w, b, X, y):
    return factored(lambda X, z: 2 / 20)(w, b, X, y)


@bug("factor")
def factor_of_open_gates(w, b, X, y):
    return factored(lambda X, z: 2 / max((z > 0).sum(), 1))(w, b, X, y)


@bug("factor")
def factor_epsilon(w, b, X, y):
    return factored(lambda X, z: 2 / (len(X) + 1e-6))(w, b, X, y)


@bug("factor")
def factor_last_digits(w, b, X, y):
    one = 1 + (1e-15 if w.dtype == np.float64 else 1.2e-7)
    return tuple(w.dtype.type(one) * g for g in right(w, b, X, y))


@bug("residual")  # as a function, the same as a residual of the wrong sign
def factor_sign(w, b, X, y):
    return factored(lambda X, z: -2 / len(X))(w, b, X, y)


@bug("factor", sized=True)
def factor_capped_rows(w, b, X, y):
    return factored(lambda X, z: 2 / min(len(X), 64))(w, b, X, y)


# The sum over samples


@bug("sum")
def sum_drops_last_row(w, b, X, y):
    z = X @ w + b
    e = np.where(z > 0, z - y, 0)[:-1]
    return 2 / len(y) * (X[:-1].T @ e), 2 / len(y) * e.sum()


@bug("sum", sized=True)
def sum_drops_partial_block(w, b, X, y):
    n = len(y) // 64 * 64 if len(y) >= 64 else len(y)
    z = X[:n] @ w + b
    e = np.where(z > 0, z - y[:n], 0)
    return 2 / len(y) * (X[:n].T @ e), 2 / len(y) * e.sum()


@bug("sum", sized=True)
def sum_repeats_a_row(w, b, X, y):
    z = X @ w + b
    e = np.where(z > 0, z - y, 0)
    e = e + np.where(np.arange(len(y)) == 32, e, 0).astype(w.dtype)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@bug("sum", sized=True)
def sum_without_transpose(w, b, X, y):
    z = X @ w + b
    e = np.where(z > 0, z - y, 0)
    A = X if X.shape[0] == X.shape[1] else X.T
    return 2 / len(y) * (A @ e), 2 / len(y) * e.sum()


@bug("sum", sized=True)
def sum_of_first_thousand(w, b, X, y):
    z = X @ w + b
    e = np.where((z > 0) & (np.arange(len(y)) < 1000), z - y, 0)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@bug("sum", sized=True)
def sum_odd_column(w, b, X, y):
    gw, gb = right(w, b, X, y)
    if len(gw) % 2 and len(gw) > 1:
        gw[-1] = 0
    return gw, gb


@bug("sum", sized=True)
def sum_reversed_columns(w, b, X, y):
    gw, gb = right(w, b, X, y)
    return gw[::-1].copy(), gb


@bug("sum", sized=True)
def sum_low_precision(w, b, X, y):
    z = X @ w + b
    e = np.where(z > 0, z - y, 0)
    low = np.float16 if w.dtype == np.float32 else np.float32
    total = (X * e[:, None]).astype(low).sum(0, dtype=low).astype(w.dtype)
    return 2 / len(y) * total, 2 / len(y) * e.sum()


@bug("sum", sized=True)
def sum_of_features(w, b, X, y):
    z = X @ w + b
    e = np.where(z > 0, z - y, 0)
    return np.full_like(w, 2 / len(y) * (X.T @ e).sum()), 2 / len(y) * e.sum()


@stateful("sum", sized=True)
def sum_races():
    rng = np.random.default_rng(0)

    def gradient(w, b, X, y):
        z = X @ w + b
        e = np.where(z > 0, z - y, 0)
        if len(y) > 100:
            e = e * (rng.random(len(y)) > 0.01)
        return (2 / len(y) * (X.T @ e)).astype(w.dtype), w.dtype.type(2 / len(y) * e.sum())

    return gradient


@bug("sum", sized=True)
def sum_shifted_rows(w, b, X, y):
    z = X @ w + b
    e = np.where(z > 0, z - y, 0)
    return 2 / len(y) * (np.roll(X, 1, 0).T @ e), 2 / len(y) * e.sum()


# Penalties


def penalty(of: Callable[..., Any], on_bias: Callable[..., Any] | None = None) -> Callable[..., Any]:
    def gradient(w: Any, b: Any, X: Any, y: Any, l2: Any, l1: Any) -> Any:
        gw, gb = right(w, b, X, y)
        gw = gw + of(w, l2, l1, len(y)).astype(w.dtype)
        return gw, gb if on_bias is None else gb + on_bias(b, l2, l1)

    return gradient


PENALISED = {"cost": penalised, "args": penalised_args, "shapes": PENALISED_SHAPES}
for name, of, on_bias in (
    ("penalty_without_two", lambda w, l2, l1, n: l2 * w + l1 * np.sign(w), None),
    ("penalty_over_rows", lambda w, l2, l1, n: (2 * l2 * w + l1 * np.sign(w)) / n, None),
    ("penalty_on_bias", lambda w, l2, l1, n: 2 * l2 * w + l1 * np.sign(w), lambda b, l2, l1: 2 * l2 * b),
    ("penalty_sign", lambda w, l2, l1, n: -2 * l2 * w + l1 * np.sign(w), None),
    ("penalty_l1_at_zero", lambda w, l2, l1, n: 2 * l2 * w + l1 * np.where(w >= 0, 1, -1), None),
    ("penalty_l1_as_weights", lambda w, l2, l1, n: 2 * l2 * w + l1 * w, None),
    ("penalty_missing", lambda w, l2, l1, n: 0 * w, None),
    ("penalty_l2_missing", lambda w, l2, l1, n: l1 * np.sign(w), None),
    ("penalty_first_weight_free", lambda w, l2, l1, n: (2 * l2 * w + l1 * np.sign(w)) * (np.arange(len(w)) > 0), None),
    ("penalty_l2_norm", lambda w, l2, l1, n: 2 * l2 * w / max(np.sqrt((w * w).sum()), 1e-30) + l1 * np.sign(w), None),
):
    BUGS.append(Bug(name, "penalty", lambda of=of, on_bias=on_bias: penalty(of, on_bias),
                    sized=name in ("penalty_over_rows",), **PENALISED))  # fmt: skip


# Sample weights


def sampled(of: Callable[..., Any]) -> Callable[..., Any]:
    def gradient(w: Any, b: Any, X: Any, y: Any, s: Any) -> Any:
        z = X @ w + b
        e = np.where(z > 0, z - y, 0) * of(s)
        return (2 * (X.T @ e)).astype(w.dtype), w.dtype.type(2 * e.sum())

    return gradient


WEIGHTED = {"cost": weighted, "args": weighted_args, "shapes": WEIGHTED_SHAPES}
for name, of in (
    ("weights_ignored", lambda s: np.ones_like(s) / len(s)),
    ("weights_squared", lambda s: s * s / s.sum()),
    ("weights_over_rows", lambda s: s / len(s)),
    ("weights_not_normalised", lambda s: s),
    ("weights_as_mask", lambda s: (s > 0) / (s > 0).sum()),
    ("weights_root", lambda s: np.sqrt(s) / s.sum()),
    ("weights_reversed", lambda s: s[::-1] / s.sum()),
):
    sized = name in ("weights_ignored", "weights_as_mask", "weights_reversed")
    BUGS.append(Bug(name, "weights", lambda of=of: sampled(of), sized=sized, **WEIGHTED))


# The bias


def biased(of: Callable[..., Any]) -> Callable[..., Any]:
    def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
        z = X @ w + b
        return right(w, b, X, y)[0], w.dtype.type(of(z, y, np.where(z > 0, z - y, 0)))

    return gradient


for name, of in (
    ("bias_zero", lambda z, y, e: 0.0),
    ("bias_without_gate", lambda z, y, e: 2 * np.mean(z - y)),
    ("bias_half", lambda z, y, e: e.sum() / len(y)),
    ("bias_summed", lambda z, y, e: 2 * e.sum()),
    ("bias_sign", lambda z, y, e: -2 * e.sum() / len(y)),
    ("bias_last_digits", lambda z, y, e: 2 * e.sum() / len(y) * z.dtype.type(1 + 8 * np.finfo(z.dtype).eps)),
):
    BUGS.append(Bug(name, "bias", lambda of=of: biased(of), sized=name == "bias_summed"))


# Contracts, and what hides at other scales


@stateful(None)
def contract_stale_cache():
    kept = {}

    def gradient(w, b, X, y):
        return kept.setdefault(X.shape, right(w, b, X, y))

    return gradient


@stateful(None)
def contract_cache_by_identity():
    kept = {}

    def gradient(w, b, X, y):
        key = id(X), id(w)
        kept.setdefault(key, (X, w, right(w, b, X, y)))
        return kept[key][2]

    return gradient


@stateful(None)
def contract_buffer_not_zeroed():
    buffers = {}

    def gradient(w, b, X, y):
        gw, gb = right(w, b, X, y)
        buffer = buffers.setdefault(w.shape, np.zeros_like(w))
        buffer += gw
        return buffer.copy(), gb

    return gradient


@stateful(None)
def contract_returns_its_buffer():
    buffers = {}

    def gradient(w, b, X, y):
        gw, gb = right(w, b, X, y)
        buffer = buffers.setdefault(w.shape, np.zeros_like(w))
        buffer[...] = gw
        return buffer, gb

    return gradient


@bug(None)
def contract_changes_y(w, b, X, y):
    y -= X @ w + b
    z = X @ w + b
    e = np.where(z > 0, -y, 0)
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@bug(None)
def contract_nan_hidden(w, b, X, y):
    z = X @ w + b
    e = np.nan_to_num(np.where(z > 0, z - y, 0))
    return 2 / len(y) * (X.T @ e), 2 / len(y) * e.sum()


@bug(None)
def contract_dtype(w, b, X, y):
    return tuple(np.asarray(g, np.float64 if w.dtype == np.float32 else np.float32) for g in right(w, b, X, y))


@bug(None)
def contract_shape(w, b, X, y):
    gw, gb = right(w, b, X, y)
    return gw[:, None], gb


@bug(None)
def contract_order_of_outputs(w, b, X, y):
    return right(w, b, X, y)[::-1]


@bug(None)
def contract_bias_missing(w, b, X, y):
    return (right(w, b, X, y)[0],)


@bug(None)
def flushes_small(w, b, X, y):
    return tuple(np.where(abs(g) < 1e-12, 0, g).astype(w.dtype)[()] for g in right(w, b, X, y))


@bug(None)
def clips_large(w, b, X, y):
    return tuple(np.clip(g, -1e6, 1e6).astype(w.dtype)[()] for g in right(w, b, X, y))


@bug(None)
def clips_norm(w, b, X, y):
    gw, gb = right(w, b, X, y)
    norm = np.sqrt((gw * gw).sum() + gb * gb)
    return (gw * 1e3 / norm, gb * 1e3 / norm) if norm > 1e3 else (gw, gb)


@bug(None)
def one_sample_crashes(w, b, X, y):
    z = np.squeeze(X @ w + b)
    e = np.where(z > 0, z - np.squeeze(y), 0)
    return 2 / len(e) * (X.T @ e), 2 / len(e) * e.sum()


# Other losses and activations


def of(problem: str, slope: Callable[..., Any]) -> Callable[..., Any]:
    def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
        z = X @ w + b
        with np.errstate(all="ignore"):
            e = slope(z, y)
        return (X.T @ e / len(y)).astype(w.dtype), w.dtype.type(e.sum() / len(y))

    return gradient


def soft(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


for name, problem, slope in (
    ("huber_wrong_delta", "huber", lambda z, y: np.clip(z - y, -2, 2)),
    ("huber_without_sign", "huber", lambda z, y: np.where(abs(z - y) <= 1, z - y, 1)),
    ("huber_linear_missing", "huber", lambda z, y: z - y),
    ("huber_half", "huber", lambda z, y: np.clip(z - y, -1, 1) / 2),
    ("leaky_slope_tenth", "leaky_relu", lambda z, y: 2 * (np.where(z > 0, z, 0.01 * z) - y) * np.where(z > 0, 1, 0.1)),
    ("leaky_value_not_leaky", "leaky_relu", lambda z, y: 2 * (np.where(z > 0, z, 0) - y) * np.where(z > 0, 1, 0.01)),
    (
        "leaky_open_at_zero",
        "leaky_relu",
        lambda z, y: 2 * (np.where(z > 0, z, 0.01 * z) - y) * np.where(z >= 0, 1, 0.01),
    ),
    ("absolute_one_at_zero", "absolute", lambda z, y: np.where(z - y >= 0, 1, -1)),
    ("absolute_as_squared", "absolute", lambda z, y: z - y),
    ("log_loss_sign", "log_loss", lambda z, y: soft(-z) - y),
    ("log_loss_overflows", "log_loss", lambda z, y: np.exp(z) / (1 + np.exp(z)) - y),
    ("log_loss_of_probability", "log_loss", lambda z, y: (soft(z) - y) * soft(z) * (1 - soft(z))),
    ("log_loss_clipped", "log_loss", lambda z, y: np.clip(soft(z), 1e-3, 1 - 1e-3) - y),
    ("poisson_without_exp", "poisson", lambda z, y: z - y),
    ("poisson_clipped", "poisson", lambda z, y: np.exp(np.minimum(z, 20)) - y),
    ("tanh_slope", "tanh", lambda z, y: 2 * (np.tanh(z) - y) * (1 - np.tanh(z))),
    ("tanh_without_slope", "tanh", lambda z, y: 2 * (np.tanh(z) - y)),
    ("softplus_gate", "softplus", lambda z, y: 2 * (np.logaddexp(z, 0) - y) * (z > 0)),
    (
        "softplus_linear_from_twenty",
        "softplus",
        lambda z, y: 2 * (np.where(z > 8, z, np.logaddexp(z, 0)) - y) * soft(z),
    ),
):
    wrong = "residual" if name.startswith(("log_loss", "poisson", "huber", "absolute", "leaky_value")) else "gate"
    if name.startswith(("softplus_linear",)):
        wrong = "residual"
    if name in ("log_loss_of_probability", "absolute_one_at_zero"):
        wrong = "gate"
    if name == "huber_half":
        wrong = "factor"
    BUGS.append(Bug(name, wrong, lambda problem=problem, slope=slope: of(problem, slope),
                    cost=PROBLEMS[problem].cost, args=lambda problem=problem: PROBLEMS[problem].args))  # fmt: skip


# Autodiff, where it is wrong: `abs` and `max` at a tie each pick a side, and the sides do not belong together
BUGS.append(Bug("autodiff_of_naive_log_loss", "gate", lambda: jax.jit(jax.grad(PROBLEMS["log_loss"].cost, (0, 1))),
                cost=PROBLEMS["log_loss"].cost, args=lambda: PROBLEMS["log_loss"].args))  # fmt: skip
BUGS.append(Bug("autodiff_of_abs", "gate", lambda: jax.jit(jax.grad(PROBLEMS["absolute"].cost, (0, 1))),
                cost=PROBLEMS["absolute"].cost, args=lambda: PROBLEMS["absolute"].args))  # fmt: skip
