"""The neuron: which cost is to be minimised."""

import math
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from gdjax.errors import UsageError
from gdjax.formulas import Activation, Formula, Loss, Pointwise, activations, losses

LARGEST_PENALTY = 1e30


@dataclass(frozen=True)
class Neuron:
    """One neuron, activation(w.x + b), its loss and penalties; frozen and hashable.

    Its cost on N samples with weights s is C = sum_i s_i loss_i / sum_i s_i + l2 sum_j w_j^2 + l1 sum_j |w_j|.

    Args:
        activation: "relu", "identity", "leaky_relu", "sigmoid", "tanh", "softplus", "exp", or an `Activation`.
        loss: "squared_error", "absolute_error", "huber", "log_loss" (y in {0, 1}, activation sigmoid),
            "poisson" (y >= 0, activation exp), or a `Loss`.
        l2, l1: penalties, from 0 to 1e30, never on the bias.
        bias: whether there is a bias; without one it is 0.

    Raises:
        UsageError: an unknown name, a penalty that is no number >= 0, or a loss without its activation.

    >>> Neuron()
    Neuron(activation='relu', loss='squared_error', l2=0.0, l1=0.0, bias=True)
    """

    activation: str | Activation = "relu"
    loss: str | Loss = "squared_error"
    l2: float = 0.0
    l1: float = 0.0
    bias: bool = True

    def __post_init__(self) -> None:
        formula = self.formula
        link = formula.loss.link
        if link is not None and formula.activation.name != link:
            raise UsageError(
                f"loss {formula.loss.name!r} goes with activation {link!r}, not {formula.activation.name!r}: "
                f"pass activation={link!r}"
            )
        for name in ("l2", "l1"):
            check_penalty(name, getattr(self, name))

    @property
    def formula(self) -> Formula:
        """The activation and the loss, looked up: what backends compile."""
        return Formula(
            _lookup("activation", self.activation, Activation, activations.BUILT_IN),
            _lookup("loss", self.loss, Loss, losses.BUILT_IN),
        )

    def pointwise(self, xp: Any) -> Pointwise:
        """`predict(z)`, `cost(z, y)` and `slope(z, y)` of one sample over the namespace `xp`."""
        return self.formula.pointwise(xp)


def check_penalty(name: str, value: Any) -> float:
    """`value` as a finite number >= 0, or a `UsageError` that names it."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number < math.inf:
        raise UsageError(f"{name} = {value!r} must be a finite number >= 0")
    if number > LARGEST_PENALTY:
        raise UsageError(f"{name} = {value!r} must be <= {LARGEST_PENALTY:g}: what it weighs overflows")
    return number


def _lookup(what: str, given: Any, kind: type, table: dict[str, Any]) -> Any:
    if isinstance(given, kind):
        return given
    if isinstance(given, str) and given in table:
        return table[given]
    near = get_close_matches(str(given), table, 1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown {what} {given!r}: {hint}known are {', '.join(table)}, or pass a gdjax.{kind.__name__}")
