"""One neuron on a large data set: of each block of rows the pre-activations, then their part of the gradient.

Both halves of the work ask memory for rows to come, each for every second one, so that it never idles.
"""

# ruff: noqa: F403, F405
from gdjax_numba.blocks import *
from gdjax_numba.head import *

# --- head ---

FIRST = (16 << 10) // np.dtype(real).itemsize
"""Elements of a block that is read twice: the first cache still holds them, beside what is on its way."""
AHEAD = (16 << 10) // np.dtype(real).itemsize
"""Elements that memory is asked for ahead of those that are read: it takes hundreds of cycles to answer."""


@walk
def one(formula: Any, X: Any, ys: Any, weights: Any, fold: Any, start: Any, stop: Any, thetas: Any, first: Any,
        count: Any, sums: Any) -> int:  # fmt: skip
    """A `gdjax_numba.indirect.walk_at` of the neuron `first`."""
    f = fold[first]
    y, weight, theta, out = ys[row_of(ys, f)], weights[row_of(weights, f)], thetas[first], sums[0]
    N, D = X.shape
    wide = padded(D)
    vectors = wide // LANES
    block = np.int64(ROWS)
    while block > 4 and block * wide > FIRST:
        block //= 2
    # beyond the four rows that are read together
    ahead = AHEAD if 4 * wide < AHEAD else 4 * wide
    # one array: each call of `np.empty` costs the compiler as much as a loop
    scratch = np.empty(block + (2 + block) * wide, real)
    w, gradient, by_row = scratch[:wide], scratch[wide : 2 * wide], scratch[2 * wide : (2 + block) * wide]
    z = scratch[(2 + block) * wide :]
    for j in range(wide):
        w[j] = theta[j] if j < D else real(0)
    out[:] = 0
    at = start
    while at < stop:
        gradient[:] = 0
        end = at + FLUSH * ROWS
        end = end if end < stop else stop
        while at < end:
            rows = block if block < end - at else end - at
            # rows are read to their end in vectors, and beyond: of the last ones a copy
            whole = rows == block and (at + block - 1) * D + wide <= N * D
            if whole:
                dots(X, at * D, D, w, 0, vectors, z, 0, block, ahead)
            else:
                for n in range(block):
                    for j in range(wide):
                        by_row[n * wide + j] = X[at + n, j] if n < rows and j < D else real(0)
                dots(by_row, 0, wide, w, 0, vectors, z, 0, block, ahead)
            for n in range(rows, block):
                z[n] = 0
            c, r = pointwise_at(formula, z[:rows], theta[D], y[at : at + rows], weight[at : at + rows])
            if whole:
                multiply_row(z, 0, X, at * D, D, block, gradient, 0, vectors, ahead)
            else:
                multiply_row(z, 0, by_row, 0, wide, block, gradient, 0, vectors, ahead)
            out[D + 1] += c
            out[D] += r
            at += rows
        for j in range(D):
            out[j] += gradient[j]
    return 0
