"""A fourth set, by one who knew the checker's page and tried to break it: custom rules, of nests, options and values.

Their first score stands in docs/verification.md.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from gradient_networks import drawn
from gradient_rules import Rule, with_rule, with_tangent

W, B, X = drawn(151, (3, 2), (2,), (4, 3))()
x = drawn(152, (5,))()


# A layer whose parameters are a dict


def layer(p: Any, X: Any) -> Any:
    return jnp.tanh(X @ p["w"] + p["b"])


def layer_rule(reduced: Callable[..., Any], times: float = 1.0) -> Callable[..., Any]:
    def back(kept, g):
        y, p, X = kept
        d = g * (1 - y * y)
        return {"w": times * (X.T @ d), "b": reduced(d, axis=0)}, d @ p["w"].T

    return with_rule(layer, lambda y, p, X: (y, p, X), back)


def flat(f: Callable[..., Any]) -> Callable[..., Any]:
    return lambda w, b, X: f({"w": w, "b": b}, X)


# Options that are not differentiated


def with_option(f: Callable[..., Any], place: int, back: Callable[..., Any]) -> Callable[..., Any]:
    ruled = jax.custom_vjp(f, nondiff_argnums=(place,))
    ruled.defvjp(lambda *args: (f(*args), args[1 - place]), back)
    return ruled


def leaky(x: Any, a: Any) -> Any:
    return jnp.where(x > 0, x, a * x)


def power(n: Any, x: Any) -> Any:
    return x**n


# Outputs: several, normalised, and of another value than the function's


def product_and_sine(x: Any, y: Any) -> Any:
    return x * y, jnp.sin(x)


def log_softmax(x: Any) -> Any:
    return x - jax.scipy.special.logsumexp(x, -1, keepdims=True)


def exponentials(x: Any) -> Any:
    return jnp.sum(jnp.exp(x))


def twice_forward() -> Callable[..., Any]:
    ruled = jax.custom_vjp(exponentials)
    ruled.defvjp(lambda x: (2 * exponentials(x), x), lambda x, g: (g * jnp.exp(x),))
    return ruled


def factor(A: Any) -> Any:
    return jnp.linalg.cholesky(A @ A.T + jnp.eye(3))


def factor_back(kept: Any, g: Any) -> Any:
    """Murray's rule (2016), by inverses."""
    L, A = kept
    P = jnp.tril(L.T @ g)
    P = P - 0.5 * jnp.diag(jnp.diag(P))
    inverse = jnp.linalg.inv(L)
    S = inverse.T @ P @ inverse
    return ((S + S.T) @ A,)


def sinc(x: Any) -> Any:
    return jnp.where(x == 0, 1.0, jnp.sin(x) / jnp.where(x == 0, 1.0, x))


def sinc_tangent(at_zero: float) -> Callable[..., Any]:
    def tangent(primals, tangents):
        (x,), (t,) = primals, tangents
        safe = jnp.where(x == 0, 1.0, x)
        return jnp.where(x == 0, at_zero, (jnp.cos(safe) * safe - jnp.sin(safe)) / safe**2) * t

    return tangent


def keep(y: Any, *args: Any) -> Any:
    return args


LAYER = ({"w": W, "b": B}, X)
ROWS = ("D K", "K", "N D")
TWO = drawn(153, (3,), (3,))()
ADVERSARIAL_RULES = [
    Rule("layer_of_a_dict", layer_rule(jnp.sum), LAYER, None, True),
    Rule("layer_of_a_dict_bias_by_mean", layer_rule(jnp.mean), LAYER, None, False),
    Rule("layer_of_a_dict_seven_times", layer_rule(jnp.sum, 7.0), LAYER, None, False),
    Rule("layer_flat", flat(layer_rule(jnp.sum)), (W, B, X), ROWS, True),
    Rule("layer_flat_bias_by_mean", flat(layer_rule(jnp.mean)), (W, B, X), ROWS, False),
    Rule(
        "leaky_with_an_option",
        partial(lambda f, x: f(x, 0.1), with_option(leaky, 1, lambda a, x, g: (jnp.where(x > 0, g, a * g),))),
        x,
        None,
        True,
    ),
    Rule("power_of_an_option", with_option(power, 0, lambda n, x, g: (n * g * x ** (n - 1),)), (3, *x), None, True),
    Rule("power_without_option", with_option(power, 0, lambda n, x, g: (g * x ** (n - 1),)), (3, *x), None, False),
    Rule(
        "clips_the_cotangent",
        with_rule(lambda x: x * 1.0, keep, lambda kept, g: (jnp.clip(g, -1, 1),)),
        x,
        None,
        False,
    ),
    Rule(
        "two_outputs",
        with_rule(product_and_sine, keep, lambda k, g: (g[0] * k[1] + g[1] * jnp.cos(k[0]), g[0] * k[0])),
        TWO,
        None,
        True,
    ),
    Rule(
        "two_outputs_one_dropped",
        with_rule(product_and_sine, keep, lambda k, g: (g[0] * k[1], g[0] * k[0])),
        TWO,
        None,
        False,
    ),
    Rule(
        "log_softmax",
        with_rule(log_softmax, lambda y, x: y, lambda y, g: (g - jnp.exp(y) * g.sum(-1, keepdims=True),)),
        (X,),
        ("N K",),
        True,
    ),
    Rule(
        "log_softmax_of_cotangents_of_sum_one",
        with_rule(log_softmax, lambda y, x: y, lambda y, g: (g - jnp.exp(y),)),
        (X,),
        ("N K",),
        False,
    ),
    Rule("forward_of_twice_the_value", twice_forward(), x, None, False),
    Rule("cholesky", with_rule(factor, lambda y, A: (y, A), factor_back), drawn(154, (3, 3))(), None, True),
    Rule("sinc", with_tangent(sinc, sinc_tangent(0.0)), x, None, True),
    Rule("sinc_one_at_zero", with_tangent(sinc, sinc_tangent(1.0)), x, None, False),
]
