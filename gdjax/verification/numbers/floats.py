"""Float dtypes, those that NumPy does not have among them: bfloat16, and what else JAX computes in."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported


def is_float(dtype: Any) -> bool:
    """Whether a dtype is one of real floats.

    >>> is_float(np.float32), is_float(np.int32)
    (True, False)
    """
    name = dtype.name if hasattr(dtype, "name") else np.dtype(dtype).name  # keys have one, and are no NumPy dtypes
    return "float" in name


def finfo(dtype: Any) -> Any:
    """As `numpy.finfo`, for any of them."""
    if np.dtype(dtype).kind == "f":
        return np.finfo(dtype)
    import jax.numpy as jnp

    return jnp.finfo(dtype)  # type: ignore[no-untyped-call]


def narrower(a: Any, b: Any) -> bool:
    """Whether both are of floats, and `a` has fewer digits than `b`.

    >>> narrower(np.float16, np.float32), narrower(np.float64, np.float32), narrower(np.float32, np.int64)
    (True, False, False)
    """
    return is_float(a) and is_float(b) and finfo(a).nmant < finfo(b).nmant


def of_bits(exponent: int, mantissa: int) -> Any:
    """The dtype of so many bits of exponent and of mantissa.

    Raises:
        NotSupported: there is none.
    """
    import jax.numpy as jnp

    for dtype in (jnp.float64, jnp.float32, jnp.bfloat16, jnp.float16):
        info = finfo(dtype)
        if (info.bits - info.nmant - 1, info.nmant) == (exponent, mantissa):
            return dtype
    raise NotSupported(f"reduce_precision to {exponent} and {mantissa} bits")
