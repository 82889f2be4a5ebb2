"""Activations and losses, each a value beside its slope, and the formula that the chain rule makes of them."""

from gdjax.formulas import activations, losses
from gdjax.formulas.activations import Activation
from gdjax.formulas.formula import Formula, Pointwise
from gdjax.formulas.losses import Loss

__all__ = ["Activation", "Formula", "Loss", "Pointwise", "activations", "losses"]
