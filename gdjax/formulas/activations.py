"""Activations: each a value beside its hand-derived slope, written once over any array namespace.

`build(xp, *parameters)` returns the pair `(value(z), slope(z))`. Branches are chosen so that NaN stays NaN, that
nothing overflows where the result is finite, and that autodiff of the value meets the stated slope at z = 0.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Array = Any
Unary = Callable[[Array], Array]


@dataclass(frozen=True)
class Activation:
    """An activation function of the pre-activation z and its derivative.

    Attributes:
        name: the name users pass.
        build: `build(xp, *parameters) -> (value, slope)`, both elementwise on arrays of the namespace `xp`.
        parameters: numbers handed to `build`, so that equal activations hash alike.
        kinks: the z at which the derivative jumps; the slope there is the one of the left side.
        slope_bound: the largest |slope|, or None where it is unbounded; scales the automatic learning rate.
        piecewise_linear: whether the slope is constant between kinks, so that curvature bounds are exact.
    """

    name: str
    build: Callable[..., tuple[Unary, Unary]]
    parameters: tuple[float, ...] = ()
    kinks: tuple[float, ...] = ()
    slope_bound: float | None = None
    piecewise_linear: bool = False

    def __call__(self, xp: Any) -> tuple[Unary, Unary]:
        """The pair (value, slope) over the namespace `xp`."""
        return self.build(xp, *self.parameters)


def _identity(xp: Any) -> tuple[Unary, Unary]:
    """value z; slope 1."""

    def value(z: Array) -> Array:
        return z

    def slope(z: Array) -> Array:
        return xp.ones_like(z)

    return value, slope


def _relu(xp: Any) -> tuple[Unary, Unary]:
    """value max(0, z); slope 0 where z <= 0 and 1 where z > 0."""

    def value(z: Array) -> Array:
        return xp.where(z <= 0, 0, z)

    def slope(z: Array) -> Array:
        return xp.where(z > 0, xp.ones_like(z), 0)

    return value, slope


def _leaky_relu(xp: Any, leak: float) -> tuple[Unary, Unary]:
    """value leak z where z <= 0, else z; slope leak where z <= 0, else 1."""

    def value(z: Array) -> Array:
        return xp.where(z <= 0, leak * z, z)

    def slope(z: Array) -> Array:
        return xp.where(z > 0, xp.ones_like(z), leak)

    return value, slope


def _sigmoid(xp: Any) -> tuple[Unary, Unary]:
    """value 1 / (1 + exp(-z)); slope t / (1 + t)^2 with t = exp(-|z|), which does not cancel."""

    def value(z: Array) -> Array:
        t = xp.exp(-xp.where(z < 0, -z, z))
        return xp.where(z < 0, t, 1) / (1 + t)

    def slope(z: Array) -> Array:
        t = xp.exp(-xp.where(z < 0, -z, z))
        return t / ((1 + t) * (1 + t))

    return value, slope


def _tanh(xp: Any) -> tuple[Unary, Unary]:
    """value tanh z; slope 1 - tanh(z)^2 = 4 t / (1 + t)^2 with t = exp(-2|z|), which does not cancel."""

    def value(z: Array) -> Array:
        return xp.tanh(z)

    def slope(z: Array) -> Array:
        t = xp.exp(-2 * xp.where(z < 0, -z, z))
        return 4 * t / ((1 + t) * (1 + t))

    return value, slope


def _softplus(xp: Any) -> tuple[Unary, Unary]:
    """value log(1 + exp(z)) = max(0, z) + log1p(exp(-|z|)); slope the sigmoid of z."""
    sigmoid, _ = _sigmoid(xp)

    def value(z: Array) -> Array:
        return xp.where(z < 0, 0, z) + xp.log1p(xp.exp(-xp.where(z < 0, -z, z)))

    return value, sigmoid


def _exp(xp: Any) -> tuple[Unary, Unary]:
    """value exp(z); slope exp(z)."""

    def value(z: Array) -> Array:
        return xp.exp(z)

    return value, value


identity = Activation("identity", _identity, slope_bound=1.0, piecewise_linear=True)
relu = Activation("relu", _relu, kinks=(0.0,), slope_bound=1.0, piecewise_linear=True)
sigmoid = Activation("sigmoid", _sigmoid, slope_bound=0.25)
tanh = Activation("tanh", _tanh, slope_bound=1.0)
softplus = Activation("softplus", _softplus, slope_bound=1.0)
exp = Activation("exp", _exp)


def leaky_relu(leak: float = 0.01) -> Activation:
    """The ReLU that lets `leak` times z through where z <= 0.

    >>> leaky_relu(0.2).parameters
    (0.2,)
    """
    return Activation("leaky_relu", _leaky_relu, (float(leak),), (0.0,), max(1.0, abs(leak)), True)


def custom(name: str, value: Unary, slope: Unary, kinks: tuple[float, ...] = ()) -> Activation:
    """A user's own activation: a value and its slope, both elementwise functions of z.

    Args:
        name: for messages and pages.
        value, slope: array -> array of the same shape and dtype.
        kinks: the z at which the slope jumps.

    They must depend on z alone, since backends read them once and keep what they read, and run on the arrays of the
    backend that trains them: operators and array methods run on all;
    `gdjax.Activation(name, build)` receives the namespace instead. `gdjax.fit` verifies the slope first.
    """
    return Activation(name, _Pair(value, slope), kinks=tuple(kinks))


@dataclass(frozen=True)
class _Pair:
    """A builder that ignores the namespace: equal functions make equal builders."""

    value: Callable[..., Array]
    slope: Callable[..., Array]

    def __call__(self, xp: Any) -> tuple[Callable[..., Array], Callable[..., Array]]:
        return self.value, self.slope


BUILT_IN = {a.name: a for a in (identity, relu, leaky_relu(), sigmoid, tanh, softplus, exp)}
