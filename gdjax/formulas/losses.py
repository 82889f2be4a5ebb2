"""Losses: each a value beside its hand-derived slope, written once over any array namespace.

`build(xp, *parameters)` returns `(value(p, y), slope(p, y))` with the slope taken in the prediction p. A loss that is
exact only from the pre-activation names the activation that it belongs to in `link`, and its pair takes (z, y).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gdjax.errors import UsageError
from gdjax.formulas.activations import Array, _Pair, exp, sigmoid, softplus

Binary = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Loss:
    """A loss of one sample and its derivative.

    Attributes:
        name: the name users pass.
        build: `build(xp, *parameters) -> (value, slope)`, both elementwise.
        parameters: numbers handed to `build`, so that equal losses hash alike.
        link: the name of the activation whose pre-activation z the pair takes in place of the prediction, or None.
        domain: what y must be: "real", "binary" (0 or 1) or "nonnegative".
        curvature_bound: the largest second derivative in the pair's first argument; None where unbounded or unknown.
        smooth: whether the slope is continuous.
        shift_invariant: whether the loss depends on p - y alone.
    """

    name: str
    build: Callable[..., tuple[Binary, Binary]]
    parameters: tuple[float, ...] = ()
    link: str | None = None
    domain: str = "real"
    curvature_bound: float | None = None
    smooth: bool = True
    shift_invariant: bool = False

    def __call__(self, xp: Any) -> tuple[Binary, Binary]:
        """The pair (value, slope) over the namespace `xp`."""
        return self.build(xp, *self.parameters)


def _squared_error(xp: Any) -> tuple[Binary, Binary]:
    """value (p - y)^2; slope 2 (p - y)."""

    def value(p: Array, y: Array) -> Array:
        e = p - y
        return e * e

    def slope(p: Array, y: Array) -> Array:
        return 2 * (p - y)

    return value, slope


def _absolute_error(xp: Any) -> tuple[Binary, Binary]:
    """value |p - y|; slope sign(p - y), 0 at 0."""

    def value(p: Array, y: Array) -> Array:
        return xp.abs(p - y)

    def slope(p: Array, y: Array) -> Array:
        return xp.sign(p - y)

    return value, slope


def _huber(xp: Any, delta: float) -> tuple[Binary, Binary]:
    """value e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2), e = p - y; slope e clipped to +-delta.

    Huber, 1964.
    """

    def value(p: Array, y: Array) -> Array:
        e = p - y
        size = xp.abs(e)
        return xp.where(size <= delta, 0.5 * e * e, delta * (size - 0.5 * delta))

    def slope(p: Array, y: Array) -> Array:
        e = p - y
        return xp.where(xp.abs(e) <= delta, e, delta * xp.sign(e))

    return value, slope


def _log_loss(xp: Any) -> tuple[Binary, Binary]:
    """value -y log p - (1 - y) log(1 - p) = softplus(m), m = (1 - 2y) z, p = sigmoid(z); slope (1 - 2y) sigmoid(m)."""
    value_of_margin, slope_of_margin = softplus(xp)

    def value(z: Array, y: Array) -> Array:
        return value_of_margin((1 - 2 * y) * z)

    def slope(z: Array, y: Array) -> Array:
        sign = 1 - 2 * y
        return sign * slope_of_margin(sign * z)

    return value, slope


def _poisson(xp: Any) -> tuple[Binary, Binary]:
    """value mu - y log mu = exp(z) - y z, mu = exp(z); slope exp(z) - y."""

    def value(z: Array, y: Array) -> Array:
        return xp.exp(z) - y * z

    def slope(z: Array, y: Array) -> Array:
        return xp.exp(z) - y

    return value, slope


squared_error = Loss("squared_error", _squared_error, curvature_bound=2.0, shift_invariant=True)
absolute_error = Loss("absolute_error", _absolute_error, smooth=False, shift_invariant=True)
log_loss = Loss("log_loss", _log_loss, link=sigmoid.name, domain="binary", curvature_bound=0.25)
poisson = Loss("poisson", _poisson, link=exp.name, domain="nonnegative")


def huber(delta: float = 1.0) -> Loss:
    """Squared near 0, linear beyond `delta` > 0 (in the unit of y). Huber, 1964.

    Raises:
        UsageError: `delta` is no positive number.

    >>> huber(0.5).parameters
    (0.5,)
    """
    if not 0 < delta < float("inf"):
        raise UsageError(f"huber: delta = {delta!r} must be a positive number")
    return Loss("huber", _huber, (float(delta),), curvature_bound=1.0, shift_invariant=True)


def custom(name: str, value: Binary, slope: Binary, domain: str = "real") -> Loss:
    """A user's own loss: a value and its slope in the prediction, both elementwise functions of (prediction, y).

    Args:
        name: for messages and pages.
        value, slope: two arrays of one shape and dtype -> one such array.
        domain: what y must be: "real", "binary" (0 or 1) or "nonnegative".
    """
    return Loss(name, _Pair(value, slope), domain=domain)


BUILT_IN = {loss.name: loss for loss in (squared_error, absolute_error, huber(), log_loss, poisson)}
