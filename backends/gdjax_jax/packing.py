"""Many small arrays as two, of reals and of integers: a dispatch takes time for each array that it hands over."""

from collections.abc import Sequence
from typing import Any, NamedTuple

Array = Any
Layout = tuple[tuple[int, int | None], ...]
"""For each array (A,) or (A, W): 0 for reals, 1 for integers; and W, or None."""


class Packed(NamedTuple):
    """Rows of A neurons."""

    real: Array
    """(A, R)"""
    whole: Array
    """(A, I) int32"""


def layout_of(arrays: Sequence[Array]) -> Layout:
    """What `unpack` has to know; hashable."""
    return tuple((int(a.dtype.kind == "i"), None if a.ndim == 1 else a.shape[1]) for a in arrays)


def pack(xp: Any, layout: Layout, arrays: Sequence[Array]) -> Packed:
    """Arrays (A,) or (A, W) side by side."""
    columns: tuple[list[Array], list[Array]] = ([], [])
    for a, (whole, width) in zip(arrays, layout, strict=True):
        columns[whole].append(a[:, None] if width is None else a)
    return Packed(*(xp.concatenate(part, axis=1) for part in columns))


def unpack(packed: Packed, layout: Layout) -> list[Array]:
    """The arrays again, views where they are NumPy's."""
    at = [0, 0]
    found = []
    for whole, width in layout:
        first = at[whole]
        at[whole] += 1 if width is None else width
        found.append(packed[whole][:, first] if width is None else packed[whole][:, first : at[whole]])
    return found
