"""Several neurons on shared samples: products with blocks of rows."""

# ruff: noqa: F403, F405
from gdjax_numba.blocks import *
from gdjax_numba.head import *

# --- head ---


@njit(**INNER)
def multiply(A: Any, a0: Any, a_row: Any, B: Any, b0: Any, b_row: Any, count: Any, C: Any, c0: Any, c_row: Any,
             rows: Any, columns: Any) -> None:  # fmt: skip
    """C += A B for `rows` by `columns`, a multiple of LANES, of C; offsets and strides as for `panel`."""
    m = 0
    while m < rows:
        at, to = a0 + m * a_row, c0 + m * c_row
        tall = m + TALL <= rows
        v = 0
        while v < columns:
            if tall and v + WIDE * LANES <= columns:
                panel(A, at, a_row, B, b0 + v, b_row, count, C, to + v, c_row, TALL, WIDE)
                v += WIDE * LANES
            elif tall:
                panel(A, at, a_row, B, b0 + v, b_row, count, C, to + v, c_row, TALL, 1)
                v += LANES
            else:
                panel(A, at, a_row, B, b0 + v, b_row, count, C, to + v, c_row, 1, 1)
                v += LANES
        m += TALL if tall else 1


@walk
def many(formula: Any, X: Any, y: Any, weight: Any, fold: Any, start: Any, stop: Any, theta: Any, first: Any,
         count: Any, out: Any) -> int:  # fmt: skip
    """A `gdjax_numba.indirect.walk_at`."""
    D = X.shape[1]
    wide = padded(D)
    by_feature = np.empty(ROWS * wide, real)
    by_row = np.empty(ROWS * wide, real)
    weights = np.empty(count * D, real)
    for k in range(count):
        for j in range(D):
            weights[k * D + j] = theta[first + k, j]
    z = np.empty(count * ROWS, real)
    targets = np.empty(ROWS, real)
    shares = np.empty(ROWS, real)
    gradient = np.empty(count * wide, real)
    out[:] = 0
    blocks = 0
    gradient[:] = 0
    for at in range(start, stop, ROWS):
        rows = min(ROWS, stop - at)
        copy(X, at, rows, ROWS, by_row)
        turn(wide, by_feature, by_row)
        z[:] = 0
        multiply(weights, 0, D, by_feature, 0, ROWS, D, z, 0, ROWS, count, ROWS)
        target, share = -1, -1
        for k in range(count):
            t, s = row_of(y, fold[first + k]), row_of(weight, fold[first + k])
            if t != target:
                for n in range(ROWS):
                    targets[n] = y[t, at + n] if n < rows else real(0)
                target = t
            if s != share:
                for n in range(ROWS):
                    shares[n] = weight[s, at + n] if n < rows else real(0)
                share = s
            c, r = pointwise_at(formula, z[k * ROWS : (k + 1) * ROWS], theta[first + k, D], targets, shares)
            out[k, D + 1] += c
            out[k, D] += r
        multiply(z, 0, ROWS, by_row, 0, wide, ROWS, gradient, 0, wide, count, wide)
        blocks += 1
        if blocks == FLUSH or at + ROWS >= stop:
            for k in range(count):
                for j in range(D):
                    out[k, j] += gradient[k * wide + j]
            gradient[:] = 0
            blocks = 0
    return 0
