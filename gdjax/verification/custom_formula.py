"""A user's own formula: tried and verified before anything is trained, and named where it raises in training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from traceback import walk_tb
from types import FrameType
from typing import Any

import numpy as np

from gdjax.errors import GdjaxError, UsageError
from gdjax.formulas import activations, losses
from gdjax.machine.containment import contained
from gdjax.neuron import Neuron


def is_custom(neuron: Neuron) -> bool:
    """Whether the activation or the loss is not one of the library's."""
    formula = neuron.formula
    known_activations = {part.build for part in activations.BUILT_IN.values()}
    known_losses = {part.build for part in losses.BUILT_IN.values()}
    return formula.activation.build not in known_activations or formula.loss.build not in known_losses


def trust(neuron: Neuron, verify: bool) -> None:
    """Calls the formula on a small array and, with `verify`, proves its slopes, all within the limits of `contained`.

    Raises:
        UsageError: it raises, exits, does not end, fills the memory, or returns anything but real numbers in the shape
            of what it was given, or a single one.
        VerificationError: a slope is wrong.
    """
    _try_once(neuron)
    if not verify:
        return
    from gdjax.verification import verify_formula

    activation, loss = _names(neuron)
    what = f"the verification of {activation} with {loss}"
    try:
        report = contained(what, lambda: verify_formula(neuron), "verify=False trains without it")
    except SystemExit as error:
        raise UsageError(f"{what} raised {error!r}") from error
    # an inconclusive check is no proof against a formula
    report.raise_if_failed(strict=False)


@contextmanager
def blamed(neuron: Neuron) -> Iterator[None]:
    """Meanwhile, what one of the user's functions raises becomes a `UsageError` that names it."""
    try:
        yield
    except (Exception, SystemExit) as error:
        found = None if isinstance(error, GdjaxError | MemoryError) else _raiser(neuron, error)
        if found is None:
            raise
        name, frame = found
        first = str(error).strip().partition("\n")[0]
        arguments = [frame.f_locals.get(n) for n in frame.f_code.co_varnames[: frame.f_code.co_argcount]]
        compiling = any(not isinstance(a, np.ndarray | np.generic) for a in arguments)
        hint = "; to be compiled, write it with operators and the namespace that its build(xp) receives"
        raise UsageError(f"{name} raised {type(error).__name__}: {first}{hint if compiling else ''}") from error


def _raiser(neuron: Neuron, error: BaseException) -> tuple[str, FrameType] | None:
    """Which of the user's functions is in the traceback, and its frame."""
    if not is_custom(neuron):
        return None
    activation, loss = _names(neuron)
    codes: dict[Any, str] = {}
    for name, part in ((activation, neuron.formula.activation), (loss, neuron.formula.loss)):
        value, slope = part(np)
        functions = {name: part.build, f"{name}: its value": value, f"{name}: its slope": slope}
        codes |= {f.__code__: words for words, f in functions.items() if hasattr(f, "__code__")}
    frames = [frame for frame, _ in walk_tb(error.__traceback__) if frame.f_code in codes]
    return (codes[frames[-1].f_code], frames[-1]) if frames else None


def _names(neuron: Neuron) -> tuple[str, str]:
    formula = neuron.formula
    return f"activation {formula.activation.name!r}", f"loss {formula.loss.name!r}"


def _try_once(neuron: Neuron) -> None:
    formula = neuron.formula
    z, y = np.linspace(-1.0, 1.0, 6).reshape(2, 3), np.tile([0.0, 1.0, 1.0], (2, 1))
    activation, loss = _names(neuron)
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
        return contained(name, lambda: function(*arguments), "it was called with 6 numbers")
    except UsageError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{name} raised {error!r}") from error
