"""One trace for every size: a jaxpr whose sizes are symbols, and the jaxpr that it is at some sizes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdjax.verification.inputs.sizes import Spec


class Symbolic:
    """`function`, traced with a symbol for each name in `spec`, the axes of each of its arguments.

    For functions that ask nothing of their shapes: JAX takes two sizes of other names for unequal wherever they are
    compared in Python.
    """

    def __init__(self, function: Callable[..., Any], spec: Spec, args: Sequence[Any]) -> None:
        import jax
        from jax import export

        names = sorted({axis for axes in spec for axis in axes if isinstance(axis, str)})
        self.spec = spec
        self.symbols: dict[str | int, Any] = dict(zip(names, export.symbolic_shape(", ".join(names)), strict=True))
        given: list[Any] = []
        for axes, arg in zip(spec, args, strict=True):
            shape = tuple(self.symbols.get(axis, axis) for axis in axes)
            given.append(jax.ShapeDtypeStruct(shape, np.asarray(arg).dtype))  # type: ignore[no-untyped-call]
        self.closed = jax.make_jaxpr(function)(*given)

    def at(self, args: Sequence[Any]) -> Any:
        """The closed jaxpr at the shapes of some arguments.

        Raises:
            ValueError: it computes with sizes.
        """
        sizes = {
            self.symbols[axis]: size
            for axes, arg in zip(self.spec, args, strict=True)
            for axis, size in zip(axes, np.shape(arg), strict=True)
            if isinstance(axis, str)
        }
        return _replaced(self.closed, sizes, type(next(iter(sizes))))


def _replaced(value: Any, sizes: dict[Any, int], symbol: type) -> Any:
    """A parameter, or a jaxpr, with the sizes in place of their symbols."""
    if isinstance(value, symbol):
        if value not in sizes:
            raise ValueError(f"a size that is computed: {value}")
        return sizes[value]
    if type(value) in (tuple, list):
        return type(value)(_replaced(v, sizes, symbol) for v in value)
    if not hasattr(value, "eqns"):
        return value
    if getattr(value, "jaxpr", value) is not value:
        return value.replace(jaxpr=_replaced(value.jaxpr, sizes, symbol))
    if any(eqn.primitive.name == "dim_as_value" for eqn in value.eqns):
        raise ValueError("a size that is a value")
    return value.replace(
        eqns=[eqn.replace(params={k: _replaced(v, sizes, symbol) for k, v in eqn.params.items()}) for eqn in value.eqns]
    )
