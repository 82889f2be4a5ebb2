"""A line of the derivation, and what its values are computed from: the hand's side, and the oracle's."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from gdjax.formulas import Formula, activations
from gdjax.params import Params
from gdjax.rule import Knobs, Rule, initial_state, make_advance
from gdjax.samples import Samples, block_sums

Array = Any


class Line(NamedTuple):
    """One line of the derivation: formula, value by hand, value by JAX, and how large the terms behind them are."""

    number: int
    text: str
    latex: str
    hand: Array
    oracle: Array
    by: str
    scale: Array
    """Rounding is measured against this: 0 where both sides must be equal to the bit."""
    slack: Array = 0.0
    """What is allowed beside it."""
    gain: Array = 1.0
    """How far a change of one operand or intermediate moves the value: what flushing is measured against."""


class Hand(NamedTuple):
    """What is computed by hand, in NumPy float64, on N samples of D features."""

    w: np.ndarray
    b: np.ndarray
    X: np.ndarray
    y: np.ndarray
    z: np.ndarray
    u: np.ndarray
    """(N,) outputs."""
    slope: np.ndarray
    """(N,) the activation's hand-derived slope at z."""
    residual: np.ndarray
    """(N,) the formula's hand-derived d loss / dz."""
    size: np.ndarray
    """(N,) |w|.|x| + |b|: what w.x + b is rounded against."""
    cost: Params
    """The gradient of the cost as gdjax computes it, by its own sums."""
    step: Params
    """The parameters after one plain step of gdjax's update rule."""
    jump: np.ndarray
    """(N,) what the engine's own rounding of z makes of the residual: more than rounding only beside a kink."""
    flushed: np.ndarray
    """(N,) what flushing y, the prediction and their difference makes of the residual: a jump only at a loss's kink."""


class Oracle(NamedTuple):
    """The same by JAX, from values alone."""

    jax: Any
    activation: Callable[[Array], Array]
    loss: Callable[[Array, Array], Array]
    """Of z and y."""


def is_article(formula: Formula) -> bool:
    """Whether the formula is the article's own: ReLU and squared error."""
    return (formula.activation.name, formula.loss.name) == ("relu", "squared_error")


def make_oracle(jax: Any, formula: Formula) -> Oracle:
    """JAX's own activation and loss where it has them with our slope at the kinks, else our values alone."""
    jnp = jax.numpy
    if is_article(formula):
        return Oracle(jax, jax.nn.relu, lambda z, y: (y - jax.nn.relu(z)) ** 2)
    activation = formula.activation(jnp)[0]
    if activations.BUILT_IN.get(formula.activation.name) == formula.activation:
        theirs = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh, "softplus": jax.nn.softplus}
        activation = theirs.get(formula.activation.name, activation)
    value = formula.loss(jnp)[0]
    if formula.loss.link is not None:
        return Oracle(jax, activation, value)
    return Oracle(jax, activation, lambda z, y: value(activation(z), y))


def pre_activation(jax: Any, w: Array, b: Array, x: Array) -> Array:
    """z = sum(w * x) + b over the last axis, by one primitive for one sample, for all, and under differentiation."""
    return jax.numpy.sum(jax.numpy.multiply(w, x), axis=-1) + b


def make_hand(jax: Any, formula: Formula, params: Params, X: np.ndarray, y: np.ndarray, rate: float) -> Hand:
    """The hand's side, from the formula's own value and slope."""
    w, b = np.asarray(params.weights), np.asarray(params.bias)
    z = np.array(pre_activation(jax, w, b, X))
    value, slope = formula.activation(np)
    gradient, step = _engine(formula, w, b, X, y, rate)
    residual = formula.pointwise(np).slope
    return Hand(
        w=w,
        b=b,
        X=X,
        y=y,
        z=z,
        u=value(z),
        slope=slope(z),
        residual=residual(z, y),
        size=np.abs(X) @ np.abs(w) + np.abs(b),
        cost=gradient,
        step=step,
        jump=np.abs(residual((w[None] @ X.T)[0] + b, y) - residual(z, y)),
        flushed=when_flushed(residual, z, y),
    )


def when_flushed(slope: Callable[[Array, Array], Array], at: np.ndarray, y: np.ndarray) -> np.ndarray:
    """How far a slope moves where y, the prediction and their difference are flushed: as one change of y, thrice."""
    step = 4 * np.finfo(float).tiny
    here = slope(at, y)
    return np.maximum(np.abs(slope(at, y + step) - here), np.abs(slope(at, y - step) - here))


def _engine(
    formula: Formula, w: np.ndarray, b: np.ndarray, X: np.ndarray, y: np.ndarray, rate: float
) -> tuple[Params, Params]:
    theta = np.append(w, b)[None]
    one = np.ones(1)
    samples = Samples(X, y, np.ones((1, len(y))), np.full(1, float(len(y))))

    def evaluate(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sums = block_sums(np, formula.pointwise(np), at, X, y, samples.weight)
        cost, gradient = samples.mean(*sums)
        return cost, gradient

    rule = Rule("plain")
    knobs = Knobs(
        l1=0 * one,
        l2=0 * one,
        free=np.ones_like(theta),
        penalised=np.append(np.ones_like(w), 0.0),
        threshold=-one,
        floor=one,
        ceiling=np.inf * one,
        limit=np.ones(1, np.int32),
        shift=np.zeros_like(theta),
        scale=np.ones_like(theta),
    )
    after = make_advance(np, rule)(initial_state(np, rule, theta, rate * one), knobs, evaluate, np.float64(1))
    gradient = evaluate(theta)[1][0]
    return Params(gradient[:-1], gradient[-1]), Params(after.point[0, :-1], after.point[0, -1])


def slope_scale_of(z: np.ndarray, value: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Autodiff of a saturating value cancels at the size of the value: 1 - tanh^2."""
    scale: np.ndarray = (1 + np.abs(z)) * np.abs(slope) + np.abs(value)
    return scale


def times(coefficient: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """(N,) times the rows (N, D), or times (N,)."""
    product: np.ndarray = like(coefficient, factor) * factor
    return product


def like(vector: np.ndarray, factor: np.ndarray) -> np.ndarray:
    return vector[:, None] if factor.ndim == 2 else vector
