"""A call by address, from one compiled program into another: both ends of it."""

from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import cfunc
from numba.core import types
from numba.np.numpy_support import from_dtype

from gdjax_numba.simd import intrinsic


def at_address(real: Any, **options: Any) -> Any:
    """The decorator that compiles `gdjax_numba.pointwise.pointwise`, for arrays of the dtype `real`."""
    kinds: Any = types
    value: Any = from_dtype(np.dtype(real))
    read = kinds.Array(value, 1, "C", readonly=True)
    return cfunc(kinds.UniTuple(value, 2)(read.copy(readonly=False), value, read, read), **options)


@intrinsic
def pointwise_at(typing_context: Any, address: Any, z: Any, bias: Any, y: Any, weight: Any) -> Any:
    """Calls what `at_address` compiled; `address` is an int64."""
    kinds: Any = types
    signature = kinds.UniTuple(z.dtype, 2)(kinds.int64, z, z.dtype, y, weight)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        # as numba's wrapper for C takes them: arrays by value, as it holds them
        values = [context.get_value_type(kind) for kind in (signature.return_type, *signature.args[1:])]
        kind = ir.FunctionType(values[0], values[1:])
        return builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), arguments[1:])

    return signature, emit
