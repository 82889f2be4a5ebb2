"""The derivation's two columns, with respect to w and to b, and the lines that end both."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from gdjax.equations.values import Array, Hand, Line, Oracle, pre_activation, times


class Side(NamedTuple):
    """What differs between the derivation's two columns, with respect to w and to b."""

    name: str
    tex: str
    factor: np.ndarray
    """(N, D) the rows x_i^T, or (N,) ones."""
    row: str
    row_tex: str
    zero: str
    numbers: tuple[int, ...]
    du: Array
    """(N, D) or (N,) by JAX: the derivative of u."""
    gradient: Array
    """(D,) or () by JAX: the derivative of the cost."""
    engine: np.ndarray
    updated: np.ndarray
    point: np.ndarray


def sides(h: Hand, o: Oracle, u: Callable[[Array], Array]) -> tuple[Side, Side]:
    jax = o.jax
    z_of = partial(pre_activation, jax)

    def cost(w: Array, b: Array) -> Array:
        return o.loss(z_of(w, b, h.X), h.y).mean()

    def du(argument: int) -> Array:
        return jax.vmap(lambda x: jax.jacobian(lambda w, b: u(z_of(w, b, x)), argument)(h.w, h.b))(h.X)

    gradients = jax.jacobian(cost, (0, 1))(h.w, h.b)
    ones = np.ones(len(h.y))
    return (
        Side("w", "w", h.X, " x_i^T", r"\,x_i^T", "0^T", tuple(range(15, 25)), du(0), gradients[0], h.cost.weights,
              h.step.weights, h.w),
        Side("b", "b", ones, "", "", "0", (*range(26, 32), 31, 31, 32, 33), du(1), gradients[1], h.cost.bias,
              h.step.bias, h.b),
    )  # fmt: skip


def computed(
    s: Side, h: Hand, d: str, d_tex: str, rate: float, gradient: np.ndarray, scale: np.ndarray, gain: np.ndarray
) -> list[Line]:
    """The gradient as gdjax computes it, the update, and gdjax's own step."""
    text = f"{s.name}_(t+1) = {s.name}_t - eta {d}, eta = {rate:g}"
    latex = rf"{s.tex}_{{t+1}} = {s.tex}_t - \eta {d_tex}, \quad \eta = {rate:g}"
    size = np.abs(s.point) + rate * scale
    after = s.point - rate * s.gradient
    flushed, jump = (np.mean(np.abs(times(change, s.factor)), axis=0) for change in (h.flushed, h.jump))
    slack = flushed + jump
    step_gain = 1 + rate * gain
    return [
        Line(s.numbers[8], f"{d} as gdjax computes it", rf"{d_tex} \;\mathrm{{as\ computed}}", s.engine, s.gradient,
             "jax.jacobian", scale, slack, gain),
        Line(s.numbers[9], text, latex, s.point - rate * gradient, after, "jax.jacobian", size,
             rate * flushed, step_gain),
        Line(s.numbers[9], f"{s.name}_(t+1) after one plain step of gdjax",
             rf"{s.tex}_{{t+1}} \;\mathrm{{as\ computed}}", s.updated, after, "jax.jacobian", size, rate * slack,
             step_gain),
    ]  # fmt: skip
