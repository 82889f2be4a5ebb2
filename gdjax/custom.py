"""A user's own formula, tried once before anything is trained: whether it gives one real number for each z."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gdjax.errors import UsageError
from gdjax.formulas import activations, losses
from gdjax.neuron import Neuron


def is_custom(neuron: Neuron) -> bool:
    """Whether the activation or the loss is not one of the library's."""
    formula = neuron.formula
    known_activations = {part.build for part in activations.BUILT_IN.values()}
    known_losses = {part.build for part in losses.BUILT_IN.values()}
    return formula.activation.build not in known_activations or formula.loss.build not in known_losses


def try_once(neuron: Neuron) -> None:
    """Calls the formula on a small array.

    Raises:
        UsageError: it raises, or returns anything but real numbers in the shape of what it was given, or a single one.
    """
    formula = neuron.formula
    z, y = np.linspace(-1.0, 1.0, 6).reshape(2, 3), np.tile([0.0, 1.0, 1.0], (2, 1))
    activation, loss = f"activation {formula.activation.name!r}", f"loss {formula.loss.name!r}"
    with np.errstate(all="ignore"):
        value, slope = _called(activation, formula.activation.build, np, *formula.activation.parameters)
        _check(f"{activation}: its value", value, z)
        _check(f"{activation}: its slope", slope, z)
        pointwise = _called(loss, neuron.pointwise, np)
        _check(f"{loss}: its value", pointwise.cost, z, y)
        _check(f"{loss}: its slope", pointwise.slope, z, y)


def _check(name: str, function: Callable[..., Any], z: np.ndarray, *y: np.ndarray) -> None:
    found = np.asarray(_called(name, function, z, *y))
    if found.dtype.kind not in "biuf" or found.shape not in ((), z.shape):
        raise UsageError(f"{name} is {found.dtype} {found.shape} for z {z.shape}: return one real number for each z")


def _called(name: str, function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except Exception as error:
        raise UsageError(f"{name} raised {error!r}") from error
