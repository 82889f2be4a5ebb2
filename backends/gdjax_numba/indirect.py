"""Calls by address, from one compiled program into another: both ends of them."""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import cfunc
from numba.core import cgutils, types
from numba.np.numpy_support import from_dtype

from gdjax_numba.simd import intrinsic

kinds: Any = types
"""numba's types have none for type checkers."""


def formula_at_address(real: Any, **options: Any) -> Any:
    """The decorator that compiles a formula for `pointwise_at`: (z, bias, y, weight) -> (real, real)."""
    value = from_dtype(np.dtype(real))
    read = kinds.Array(value, 1, "C", readonly=True)
    return cfunc(kinds.UniTuple(value, 2)(read.copy(readonly=False), value, read, read), **options)


def rule_at_address(real: Any, **options: Any) -> Any:
    """The decorator that compiles a part of a rule for `rule_at`."""
    value = from_dtype(np.dtype(real))
    table = kinds.Array(kinds.int64, 1, "C", readonly=True)
    arrays = [kinds.Array(value, axes, "C") for axes in (2, 2, 3)]
    return cfunc(kinds.int64(kinds.int64, kinds.int64, kinds.int64, table, value, *arrays), **options)


def walk_at_address(real: Any, **options: Any) -> Any:
    """The decorator that compiles a walk over a range of shared samples for `walk_at`."""
    index, value = kinds.int64, from_dtype(np.dtype(real))
    rows, fold = (kinds.Array(kind, axes, "C", readonly=True) for kind, axes in ((value, 2), (index, 1)))
    out = kinds.Array(kinds.float64, 2, "C")
    return cfunc(index(index, rows, rows, rows, fold, index, index, rows, index, index, out), **options)


def _call(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
    # as numba's wrapper for C takes them: arrays by value, as it holds them
    values = [context.get_value_type(kind) for kind in (signature.return_type, *signature.args[1:])]
    kind = ir.FunctionType(values[0], values[1:])
    return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])


@intrinsic
def pointwise_at(context: Any, address: Any, z: Any, bias: Any, y: Any, weight: Any) -> Any:
    """Calls the formula at an address: see `gdjax_numba.pointwise`."""
    return kinds.UniTuple(z.dtype, 2)(kinds.int64, z, z.dtype, y, weight), _call


@intrinsic
def rule_at(
    context: Any,
    address: Any,
    call: Any,
    k: Any,
    q: Any,
    rule: Any,
    factor: Any,
    theta: Any,
    costs: Any,
    gradients: Any,
) -> Any:
    """Calls a part of the rule: see `gdjax_numba.compiling.rule_table`."""
    index = kinds.int64
    return index(index, index, index, index, rule, factor, theta, costs, gradients), _call


@intrinsic
def walk_at(
    context: Any,
    address: Any,
    formula: Any,
    X: Any,
    y: Any,
    weight: Any,
    fold: Any,
    start: Any,
    stop: Any,
    theta: Any,
    first: Any,
    count: Any,
    out: Any,
) -> Any:
    """Calls a walk, `gdjax_numba.one` or `gdjax_numba.many`: the sums over rows [start, stop) of `count` neurons from
    `first`, in out (at least count, P + 1), the gradient and the cost."""
    index = kinds.int64
    return index(index, index, X, y, weight, fold, index, index, theta, index, index, out), _call


@intrinsic
def pointer(context: Any, address: Any) -> Any:
    """An int64 as a pointer, for `carray`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return kinds.voidptr(kinds.int64), emit
