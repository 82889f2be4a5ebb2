"""Products of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import NotSupported
from gdjax.verification.programs.duck import Duck, lift
from gdjax.verification.programs.functions.methods import reduce
from gdjax.verification.programs.functions.registry import function_of_numpy
from gdjax.verification.programs.functions.shapes import placed
from gdjax.verification.programs.interpreter import Walk


@function_of_numpy(np.dot)
def _dot(walk: Walk, a: Any, b: Any) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    return a * b if not (a.ndim and b.ndim) else _contracted(walk, a, b, -1, max(b.ndim - 2, 0))


@function_of_numpy(np.inner)
def _inner(walk: Walk, a: Any, b: Any) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    return a * b if not (a.ndim and b.ndim) else _contracted(walk, a, b, -1, -1)


@function_of_numpy(np.vdot)
def _vdot(walk: Walk, a: Any, b: Any) -> Duck:
    return _contracted(walk, lift(walk, a).ravel(), lift(walk, b).ravel(), 0, 0)


@function_of_numpy(np.outer)
def _outer(walk: Walk, a: Any, b: Any) -> Duck:
    return lift(walk, a).ravel()[:, None] * lift(walk, b).ravel()[None, :]


@function_of_numpy(np.tensordot)
def _tensordot(walk: Walk, a: Any, b: Any, axes: Any = 2) -> Duck:
    a, b = lift(walk, a), lift(walk, b)
    if np.ndim(axes) == 0:
        return _contracted(walk, a, b, tuple(range(a.ndim - axes, a.ndim)), tuple(range(axes)))
    return _contracted(walk, a, b, *axes)


def _contracted(walk: Walk, a: Duck, b: Duck, left: Any, right: Any) -> Duck:
    """Sums of products over some axes of each."""
    ends = [
        tuple(range(array.ndim)[i] for i in (axes if np.ndim(axes) else (axes,)))
        for array, axes in ((a, left), (b, right))
    ]
    if [a.shape[i] for i in ends[0]] != [b.shape[i] for i in ends[1]]:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not fit")
    return Duck(walk, walk.apply("dot_general", {"dimension_numbers": (tuple(ends), ((), ()))}, a.sides, b.sides))


@function_of_numpy(np.matmul)
def _matmul(walk: Walk, x1: Any, x2: Any) -> Any:
    a, b = lift(walk, x1), lift(walk, x2)
    if not (a.ndim and b.ndim):
        raise ValueError("numpy.matmul of a scalar")
    if a.ndim <= 2 and b.ndim <= 2:
        return _contracted(walk, a, b, -1, max(b.ndim - 2, 0))
    left: Any = a[None, :] if a.ndim == 1 else a
    right: Any = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left, right = (np.broadcast_to(array, batch + array.shape[-2:]) for array in (left, right))
    if left.shape[-1] != right.shape[-2]:
        raise ValueError(f"shapes {a.shape} and {b.shape} do not fit")
    axes, last = tuple(range(len(batch))), len(batch)
    numbers = (((last + 1,), (last,)), (axes, axes))
    found = Duck(walk, walk.apply("dot_general", {"dimension_numbers": numbers}, left.sides, right.sides))
    gone = [*([-2] if a.ndim == 1 else []), *([-1] if b.ndim == 1 else [])]
    return np.squeeze(found, tuple(gone)) if gone else found


@function_of_numpy(np.einsum)
def _einsum(walk: Walk, operands: Any) -> Any:
    subscripts, *given = operands
    if not isinstance(subscripts, str):
        raise NotSupported("numpy.einsum without letters")
    arrays = [lift(walk, array) for array in given]
    inputs, arrow, output = subscripts.replace(" ", "").partition("->")
    terms = inputs.split(",")
    # an ellipsis is as many letters of no alphabet, from the last
    more = max(
        array.ndim - len(t.replace("...", "")) if "..." in t else 0 for t, array in zip(terms, arrays, strict=True)
    )
    many = "".join(map(chr, range(0x100, 0x100 + more)))
    if not arrow:
        plain = inputs.replace("...", "").replace(",", "")
        output = many + "".join(sorted(c for c in set(plain) if plain.count(c) == 1))
    output = output.replace("...", many)
    for i, (term, array) in enumerate(zip(terms, arrays, strict=True)):
        if "..." in term:
            own = array.ndim - len(term.replace("...", ""))
            terms[i] = term.replace("...", many[more - own :])
    letters = output + "".join(sorted(set("".join(terms)) - set(output)))
    product: Any = 1.0
    for term, array in zip(terms, arrays, strict=True):
        moved: Any = array
        for c in set(term):
            while term.count(c) > 1:  # the diagonal of both axes comes last
                first, second = [i for i, other in enumerate(term) if other == c][:2]
                moved = np.diagonal(moved, 0, first, second)
                term = term[:first] + term[first + 1 : second] + term[second + 1 :] + c
        moved = moved.transpose([term.index(c) for c in letters if c in term])
        product = product * moved[tuple(slice(None) if c in term else None for c in letters)]
    axes = tuple(range(len(output), len(letters)))
    return reduce(walk, np.add, product, axis=axes) if axes else product


@function_of_numpy(np.convolve)
def _convolve(walk: Walk, a: Any, v: Any, mode: Any = "full") -> Any:
    a, v = lift(walk, a), lift(walk, v)
    if len(v) > len(a):
        a, v = v, a
    n, m = len(a), len(v)
    # row k of the matrix has v[k - i] in column i
    places = np.arange(n + m - 1)[:, None] - np.arange(n)
    matrix = placed(walk, v, np.where((places >= 0) & (places < m), places, -1))
    whole: Any = _contracted(walk, matrix, a, 1, 0)
    if mode == "full":
        return whole
    if mode not in ("same", "valid"):
        raise NotSupported(f"numpy.convolve with mode={mode}")
    first = (m - 1) // 2 if mode == "same" else m - 1
    return whole[first : first + (n if mode == "same" else n - m + 1)]


@function_of_numpy(np.correlate)
def _correlate(walk: Walk, a: Any, v: Any, mode: Any = "valid") -> Any:
    a, v = lift(walk, a), lift(walk, v)
    found = _convolve(walk, a, v[::-1], mode)
    if mode == "same" and len(a) < len(v) and len(a) % 2 == 0:  # NumPy correlates the other way, and turns it
        found = _convolve(walk, a, v[::-1], "full")[len(a) // 2 :][: len(v)]
    return found


@function_of_numpy(np.cross)
def _cross(walk: Walk, a: Any, b: Any) -> Any:
    a, b = lift(walk, a), lift(walk, b)
    if {a.shape[-1], b.shape[-1]} != {3}:
        raise NotSupported("numpy.cross of vectors in two dimensions")
    a0, a1, a2, b0, b1, b2 = (x[..., i] for x in (a, b) for i in range(3))
    return np.stack([a1 * b2 - a2 * b1, a2 * b0 - a0 * b2, a0 * b1 - a1 * b0], -1)


@function_of_numpy(np.linalg.multi_dot)
def _multi_dot(walk: Walk, arrays: Any) -> Any:
    first, *others = (lift(walk, a) for a in arrays)
    for other in others:
        first = _dot(walk, first, other)
    return first


@function_of_numpy(np.linalg.matrix_power)
def _matrix_power(walk: Walk, a: Any, n: Any) -> Any:
    a = lift(walk, a)
    base: Any = np.linalg.inv(a) if n < 0 else a
    found: Any = np.broadcast_to(lift(walk, np.eye(a.shape[-1])), a.shape)
    for _ in range(abs(n)):
        found = _matmul(walk, found, base)
    return found


@function_of_numpy(np.polyval)
def _polyval(walk: Walk, p: Any, x: Any) -> Any:
    """The highest power first."""
    p, x = lift(walk, p), lift(walk, x)
    found: Any = np.zeros_like(x)
    for coefficient in p:
        found = found * x + coefficient
    return found


@function_of_numpy(np.vander)
def _vander(walk: Walk, x: Any, N: Any = None, increasing: Any = False) -> Any:
    x = lift(walk, x)
    powers: list[Any] = [np.ones_like(x)]
    for _ in range((len(x) if N is None else N) - 1):
        powers.append(powers[-1] * x)
    return np.stack(powers if increasing else powers[::-1], 1)


@function_of_numpy(np.kron)
def _kron(walk: Walk, a: Any, b: Any) -> Any:
    a, b = lift(walk, a), lift(walk, b)
    rank = max(a.ndim, b.ndim)
    first, second = ((1,) * (rank - x.ndim) + x.shape for x in (a, b))
    left = a.reshape([n for size in first for n in (size, 1)])
    right = b.reshape([n for size in second for n in (1, size)])
    return (left * right).reshape([n * m for n, m in zip(first, second, strict=True)])
