"""Blocks of rows, and what each walk does with them: `gdjax_numba.compiling` puts this before a walk."""

# ruff: noqa: F403, F405
from gdjax_numba.head import *

# --- head ---

LANES = 64 // np.dtype(real).itemsize
ROWS = 4 * LANES
"""Rows of a block: four vectors of them, so that a product with a block keeps its sums in registers."""
FLUSH = 4096 // ROWS
"""Blocks whose sums are added up in `real` before they go to float64."""


@njit(**INNER)
def padded(count: Any) -> Any:
    """`count` columns rounded up to whole vectors."""
    return (count + LANES - 1) // LANES * LANES


@njit(**INNER)
def copy(X: Any, start: Any, count: Any, rows: Any, by_row: Any) -> None:
    """Copies `count` <= `rows` rows of X (N, D) to by_row (rows, padded), with zeros around."""
    D = X.shape[1]
    wide = padded(D)
    for n in range(count):
        for j in range(D):
            by_row[n * wide + j] = X[start + n, j]
        for j in range(D, wide):
            by_row[n * wide + j] = 0
    for i in range(count * wide, rows * wide):
        by_row[i] = 0


@njit(**INNER)
def turn(wide: Any, by_feature: Any, by_row: Any) -> None:
    """by_row (ROWS, wide) transposed."""
    for n in range(0, ROWS, LANES):
        for j in range(0, wide, LANES):
            transpose(by_row, n * wide + j, wide, by_feature, j * ROWS + n, ROWS)


# Of shared samples y and weight are (F, N), a row for each set, or (1, N) where all sets have the same.


@njit(**INNER)
def row_of(part: Any, f: Any) -> Any:
    """The row of y or weight that set f has."""
    return f if f < part.shape[0] else 0
