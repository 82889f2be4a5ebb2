"""Rules of what slides a window over an array: convolutions, and the pooling of windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Arithmetic, NotSupported, moved
from gdjax.verification.numbers.exact import Array
from gdjax.verification.programs.primitives.moves import scattered
from gdjax.verification.programs.primitives.reductions import extreme
from gdjax.verification.programs.primitives.registry import Value, number, rule


def placed(
    shape: Sequence[int],
    window: Sequence[int],
    strides: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int] | None = None,
    window_dilation: Sequence[int] | None = None,
) -> Array:
    """Which entry of the flattened array each place of each window holds, -1 where none: windows first."""
    rank = len(shape)
    index = np.arange(math.prod(shape)).reshape(shape)
    for axis in range(rank):
        apart = 1 if dilation is None else dilation[axis]
        reach = 1 if window_dilation is None else window_dilation[axis]
        low, high = padding[axis]
        length = (max(shape[axis] - 1, 0) * apart + 1 if shape[axis] else 0) + low + high
        line = np.full(max(length, 0), -1)
        for i in range(shape[axis]):
            if 0 <= low + i * apart < length:
                line[low + i * apart] = i
        count = max((length - (window[axis] - 1) * reach - 1) // strides[axis] + 1, 0)
        at = line[strides[axis] * np.arange(count)[:, None] + reach * np.arange(window[axis])]
        # the axis of windows stays where it was, the axis within them goes last
        taken = np.where(_spread(at, axis, index.ndim) < 0, -1, np.take(index, np.maximum(at, 0), axis))
        index = np.moveaxis(taken, axis + 1, -1)
    return np.asarray(index)


def _spread(at: Array, axis: int, rank: int) -> Array:
    return at.reshape(*(1,) * axis, *at.shape, *(1,) * (rank - axis - 1))


def _filled(A: Arithmetic, a: Value, index: Array) -> Value:
    """Entries, 0 at -1."""
    return A.take(A.concat([moved(A, a, np.ravel), A.const(np.zeros(1))], 0), index)


@rule("conv_general_dilated")
def _convolution(A: Arithmetic, p: dict[str, Any], a: Value, kernel: Value) -> Value:
    a, kernel, dims = number(A, a), number(A, kernel), p["dimension_numbers"]
    a = moved(A, a, lambda x: np.transpose(x, dims.lhs_spec))
    kernel = moved(A, kernel, lambda x: np.transpose(x, dims.rhs_spec))
    (batch, channels, *_), (outs, ins, *window) = A.shape(a), A.shape(kernel)
    index = placed(
        A.shape(a), (1, 1, *window), (1, 1, *p["window_strides"]), ((0, 0), (0, 0), *p["padding"]),
        (1, 1, *p["lhs_dilation"]), (1, 1, *p["rhs_dilation"]),
    )  # fmt: skip
    spatial = index.shape[2 : 2 + len(window)]
    groups, parts = p["feature_group_count"], p["batch_group_count"]
    rows = batch // parts * math.prod(spatial)
    index = index.reshape(parts, batch // parts, groups, channels // groups, math.prod(spatial), math.prod(window))
    index = index.transpose(0, 2, 1, 4, 3, 5).reshape(parts * groups, rows, ins * math.prod(window))
    many = parts * groups
    right = moved(A, kernel, lambda x: np.swapaxes(x.reshape(many, outs // many, -1), 1, 2))
    product = A.matmul(_filled(A, a, index), right)
    order = np.argsort(dims.out_spec)

    def arranged(x: Array) -> Array:
        x = x.reshape(many, batch // parts, *spatial, outs // many)
        x = np.moveaxis(np.moveaxis(x, -1, 1), (0, 1), (1, 2))
        return np.transpose(x.reshape(batch // parts, outs, *spatial), order)

    return moved(A, product, arranged)


def _windows(p: dict[str, Any], shape: Sequence[int]) -> Array:
    """The entries of each window, in one last axis."""
    index = placed(
        shape, p["window_dimensions"], p["window_strides"], p["padding"],
        p.get("base_dilation"), p.get("window_dilation"),
    )  # fmt: skip
    return index.reshape(*index.shape[: len(shape)], -1)


def _real_ones(index: Array) -> Array:
    """Padding replaced by the first real entry of its window."""
    real = index >= 0
    if not real.any(axis=-1).all():
        raise NotSupported("a window that is all padding")
    first = np.take_along_axis(index, np.argmax(real, axis=-1)[..., None], -1)
    return np.where(real, index, first)


@rule("reduce_window_sum")
def _window_sum(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a = number(A, a)
    index = _windows(p, A.shape(a))
    return A.sum(_filled(A, a, index), (index.ndim - 1,))


@rule("reduce_window_max", "reduce_window_min")
def _window_extreme(A: Arithmetic, p: dict[str, Any], a: Value) -> Value:
    a = number(A, a)
    index = _real_ones(_windows(p, A.shape(a)))
    return extreme(A, "gt" if p["name"] == "reduce_window_max" else "lt", A.take(a, index), (index.ndim - 1,))


@rule("select_and_scatter_add")
def _pooled_back(A: Arithmetic, p: dict[str, Any], source: Value, a: Value) -> Value:
    """Each window's number goes to its first largest (or smallest) entry."""
    a, source = number(A, a), number(A, source)
    index = _real_ones(_windows(p, A.shape(a)))
    entries = A.take(a, index)
    order = A.order(A.neg(entries) if p["select_prim"].name == "ge" else entries, index.ndim - 1)
    goes = np.take_along_axis(index, np.asarray(order)[..., :1], -1).reshape(-1)
    return scattered(A, A.const(np.zeros(A.shape(a))), source, goes)
