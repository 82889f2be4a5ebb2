"""Checks of a backend's members, and of arrays on the way to it and back."""

import numpy as np

from gdjax.protocol import Backend
from gdjax.testing.registry import check, same_bits


@check("it has the members of the protocol")
def _members(backend: Backend) -> None:
    assert isinstance(backend, Backend), "lacks members of gdjax.protocol.Backend"
    assert isinstance(backend.name, str), "name must be a str"
    assert backend.name, "name must not be empty"
    assert backend.dtype in ("float32", "float64"), f"dtype {backend.dtype!r}"
    hash(backend)
    try:
        backend.dtype = backend.dtype  # type: ignore[misc]
    except (AttributeError, TypeError):
        return
    raise AssertionError("instances are not frozen: dtype can be assigned")


@check("asarray keeps the values and makes the dtype its own")
def _asarray(backend: Backend) -> None:
    for dtype in ("float32", "float64"):
        x = np.array([[1.5, -2.0, 0.0], [1e-3, 3e5, np.nan]], dtype)
        back = backend.to_numpy(backend.asarray(x))
        assert isinstance(back, np.ndarray), f"to_numpy gave {type(back).__name__}"
        same_bits(f"asarray of {dtype}", back, x.astype(backend.dtype))
    index = np.array([0, 2, 1], np.int32)
    np.testing.assert_array_equal(backend.to_numpy(backend.asarray(index)), index)
    fine = np.array([1 + 2.0**-40])
    if backend.dtype == "float64":
        same_bits("float64", backend.to_numpy(backend.asarray(fine)), fine)


@check("asarray never aliases the caller's memory")
def _no_alias(backend: Backend) -> None:
    for count in (1, 7, 4096, 1 << 18):
        for offset in range(0, 64, 16):
            raw = np.zeros(8 * count + 128, np.uint8)
            begin = -raw.ctypes.data % 64 + offset
            x = raw[begin : begin + count * np.dtype(backend.dtype).itemsize].view(backend.dtype)
            x[:] = 1
            for view in (x, x.reshape(1, -1), x[::-1]):
                held = backend.asarray(view)
                x[:] = 2
                seen = backend.to_numpy(held).max()
                x[:] = 1
                assert seen == 1, f"the caller's later write is seen: {count} numbers, {offset} bytes off alignment"
