"""The cost of one sample as a function of its pre-activation z, and its derivative by the chain rule."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from gdjax.formulas.activations import Activation, Array
from gdjax.formulas.losses import Loss


class Pointwise(NamedTuple):
    """Elementwise functions over one namespace."""

    predict: Callable[[Array], Array]
    """predict(z): the activation's value."""
    cost: Callable[[Array, Array], Array]
    """cost(z, y): the loss of one sample."""
    slope: Callable[[Array, Array], Array]
    """slope(z, y): d cost / dz."""
    both: Callable[[Array, Array], tuple[Array, Array]]
    """both(z, y): cost and slope from one prediction, for namespaces that compute at once and would predict twice."""


@dataclass(frozen=True)
class Formula:
    """An activation and a loss: all that a backend compiles. Penalties and rates are traced values, not part of it."""

    activation: Activation
    loss: Loss

    def pointwise(self, xp: Any) -> Pointwise:
        """The chain rule d cost / dz = (d loss / d p)(d p / dz), gated per sample by the activation's slope."""
        activate, activation_slope = self.activation(xp)
        loss, loss_slope = self.loss(xp)
        if self.loss.link is not None:
            return Pointwise(activate, loss, loss_slope, lambda z, y: (loss(z, y), loss_slope(z, y)))

        def both(z: Array, y: Array) -> tuple[Array, Array]:
            p = activate(z)
            return loss(p, y), loss_slope(p, y) * activation_slope(z)

        def cost(z: Array, y: Array) -> Array:
            return loss(activate(z), y)

        def slope(z: Array, y: Array) -> Array:
            return loss_slope(activate(z), y) * activation_slope(z)

        return Pointwise(activate, cost, slope, both)

    @property
    def curvature_bound(self) -> float | None:
        """A bound on d2 cost / dz2 between kinks (Gauss-Newton where the activation is not linear), or None."""
        curvature = self.loss.curvature_bound
        if self.loss.link is not None or curvature is None:
            return curvature
        slope = self.activation.slope_bound
        return None if slope is None else curvature * slope * slope

    @property
    def bound_holds(self) -> bool:
        """Whether 1 / (curvature_bound * lambda_max) is a step that never raises the cost: else backtrack."""
        exact = self.loss.link is not None or self.activation.piecewise_linear
        return self.curvature_bound is not None and exact

    @property
    def quadratic(self) -> bool:
        """Whether the Hessian is the same everywhere."""
        return self.activation.name == "identity" and self.loss.name == "squared_error"

    @property
    def bends(self) -> bool:
        """Whether the second derivative changes between kinks, so that far from the optimum the cost may be flat."""
        return not (self.activation.piecewise_linear and self.loss.name == "squared_error")

    @property
    def shift_invariant(self) -> bool:
        """Whether adding a constant to y adds it to the bias, so that y may be centred."""
        return self.activation.name == "identity" and self.loss.shift_invariant

    @property
    def can_die(self) -> bool:
        """Whether a closed gate lets no gradient through: the ReLU's way to die."""
        return self.activation.name == "relu"
