"""How the data is walked: blocks of rows for shared samples, whole runs in cache for each neuron's own.

`gdjax_numba.compiling` compiles this for each dtype, called `real`; `gdjax_numba.head` describes the names. A `formula`
is the address of `gdjax_numba.pointwise`. A `rule` is a `gdjax_numba.compiling.rule_table`, of the arrays of a `State`,
of which `phase` and `cost` are passed beside it.
"""

# ruff: noqa: F403, F405
from gdjax_numba.head import *

# --- head ---

LANES = 64 // np.dtype(real).itemsize
ROWS = 4 * LANES
"""Rows of a block: four vectors of them, so that a product with a block keeps its sums in registers."""
FLUSH = 4096 // ROWS
"""Blocks whose sums are added up in `real` before they go to float64."""
FIRST = (16 << 10) // np.dtype(real).itemsize
"""Elements of a block that is read twice: the first cache still holds them, beside what is on its way."""
AHEAD = (16 << 10) // np.dtype(real).itemsize
"""Elements that memory is asked for ahead of those that are read: it takes hundreds of cycles to answer."""
WALKS = ("one", "many")
"""Of shared samples: of one neuron, of several. A program is compiled for one of them."""
NEURONS = 64
"""Neurons that pass over the data together."""


@njit(**INNER)
def padded(count: Any) -> Any:
    """`count` columns rounded up to whole vectors."""
    return (count + LANES - 1) // LANES * LANES


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


# One neuron on a large data set: of each block of rows the pre-activations, then their part of the gradient. Both
# halves of the work ask memory for rows to come, each for every second one, so that it never idles.


@njit(**INNER)
def block_one(formula: Any, source: Any, at: Any, stride: Any, count: Any, y: Any, weight: Any, bias: Any, theta: Any,
              z: Any, gradient: Any) -> tuple[Any, Any]:  # fmt: skip
    """Adds the sums over `count` of len(z) rows, `stride` apart in `source`, which may be read past each row."""
    rows, vectors = len(z), len(theta) // LANES
    # beyond the four rows that are read together
    ahead = max(AHEAD, 4 * stride)
    dots(source, at, stride, theta, 0, vectors, z, 0, rows, ahead)
    for n in range(count, rows):
        z[n] = 0
    sums = pointwise_at(formula, z[:count], bias, y, weight)
    multiply_row(z, 0, source, at, stride, rows, gradient, 0, vectors, ahead)
    return sums


@njit(**INNER)
def range_one(formula: Any, X: Any, ys: Any, weights: Any, fold: Any, start: Any, stop: Any, thetas: Any, first: Any,
              count: Any, sums: Any) -> None:  # fmt: skip
    """The sums over rows [start, stop) of `count` neurons from `first`, here one, block by block: sums (count, P + 1),
    the gradient and the cost."""
    f = fold[first]
    y, weight, theta, out = ys[row_of(ys, f)], weights[row_of(weights, f)], thetas[first], sums[0]
    N, D = X.shape
    wide = padded(D)
    flat = X.reshape(-1)
    block = ROWS
    while block > 4 and block * wide > FIRST:
        block //= 2
    z = np.empty(block, real)
    w = np.zeros(wide, real)
    for j in range(D):
        w[j] = theta[j]
    gradient = np.empty(wide, real)
    by_row = np.empty(block * wide, real)
    out[:] = 0
    at = start
    while at < stop:
        gradient[:] = 0
        end = min(stop, at + FLUSH * ROWS)
        while at < end:
            rows = min(block, end - at)
            targets, shares = y[at : at + rows], weight[at : at + rows]
            if rows == block and (at + block - 1) * D + wide <= N * D:
                c, r = block_one(formula, flat, at * D, D, rows, targets, shares, theta[D], w, z, gradient)
            else:
                copy(X, at, rows, block, by_row)
                c, r = block_one(formula, by_row, 0, wide, rows, targets, shares, theta[D], w, z, gradient)
            out[D + 1] += c
            out[D] += r
            at += rows
        for j in range(D):
            out[j] += gradient[j]


@njit(**INNER)
def range_many(formula: Any, X: Any, y: Any, weight: Any, fold: Any, start: Any, stop: Any, theta: Any, first: Any,
               count: Any, out: Any) -> None:  # fmt: skip
    """The same of several neurons."""
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


@njit(**INNER, parallel=True)
def ranges(formula: Any, X: Any, y: Any, weight: Any, fold: Any, theta: Any, first: Any, count: Any, length: Any,
           partial: Any) -> None:  # fmt: skip
    """The sums over each range of `length` rows, in parallel: partial (ranges, count, P + 1)."""
    N = X.shape[0]
    for i in prange(partial.shape[0]):
        start = i * length
        stop = min(N, start + length)
        walk(formula, X, y, weight, fold, start, stop, theta, first, count, partial[i])


@njit(**ENTRY)
def evaluate_streamed(formula: Any, X: Any, y: Any, weight: Any, total: Any, fold: Any, theta: Any, costs: Any,
                      gradients: Any) -> None:  # fmt: skip
    """Mean cost (A,) and gradient (A, P) of A neurons on shared samples, memory flat in N and A."""
    N, D = X.shape
    A = theta.shape[0]
    # ranges depend on N alone, and their sums are added in order: threads do not show in the result
    length = max(4096, (N + 64 * ROWS - 1) // (64 * ROWS) * ROWS)
    partial = np.empty(((N + length - 1) // length, min(A, NEURONS), D + 2))
    for first in range(0, A, NEURONS):
        count = min(NEURONS, A - first)
        part = partial[:, :count]
        ranges(formula, X, y, weight, fold, theta, first, count, length, part)
        for k in range(count):
            mass = total[fold[first + k]]
            for j in range(D + 2):
                value = 0.0
                for i in range(partial.shape[0]):
                    value += part[i, k, j]
                if j <= D:
                    gradients[first + k, j] = value / mass
                else:
                    costs[first + k] = value / mass


@njit(**ENTRY)
def descend_streamed(formula: Any, rule: Any, X: Any, y: Any, weight: Any, total: Any, fold: Any, phase: Any, cost: Any,
                     factors: Any, trace: Any) -> None:  # fmt: skip
    """A chunk of steps of A neurons in lockstep over shared samples; changes the state in place."""
    A, P, calls = len(phase), X.shape[1] + 1, rule[2]
    theta = np.empty((A, P), real)
    costs = np.empty((calls, A), real)
    gradients = np.empty((calls, A, P), real)
    for i in range(len(factors)):
        running = False
        for k in range(A):
            running |= phase[k] == RUNNING
        if not running:
            break
        for call in range(calls):
            for k in range(A):
                rule_at(rule[0], call, k, k, rule, factors[i], theta, costs, gradients)
            evaluate_streamed(formula, X, y, weight, total, fold, theta, costs[call], gradients[call])
        for k in range(A):
            rule_at(rule[1], 0, k, k, rule, factors[i], theta, costs, gradients)
            if len(trace):
                trace[i, k] = cost[k]


# Many neurons, each with samples that fit in a core's cache: one after the other runs all its steps there.


@njit(**INNER)
def evaluate_resident(formula: Any, D: Any, by_feature: Any, by_row: Any, y: Any, weight: Any, mass: Any, z: Any,
                      theta: Any, sums: Any, gradient: Any) -> Any:  # fmt: skip
    """Mean cost, returned, and gradient (P,) of one neuron on packed samples."""
    wide = padded(D)
    for n in range(len(z)):
        z[n] = 0
    for q in range(len(z) // ROWS):
        panel(theta, 0, 0, by_feature, q * ROWS * wide, ROWS, D, z, q * ROWS, 0, 1, 4)
    cost_sum, slope_sum = pointwise_at(formula, z, theta[D], y, weight)
    for j in range(wide):
        sums[j] = 0
    multiply_row(z, 0, by_row, 0, wide, len(z), sums, 0, wide // LANES, None)
    for j in range(D):
        gradient[j] = sums[j] / mass
    gradient[D] = slope_sum / mass
    return cost_sum / mass


@njit(**INNER)
def load_all(X: Any, y: Any, weight: Any, by_feature: Any, by_row: Any, targets: Any, shares: Any) -> None:
    """Packs all rows of one neuron, rows of weight 0 after the last."""
    N, D = X.shape
    wide = padded(D)
    for start in range(0, N, ROWS):
        copy(X, start, min(ROWS, N - start), ROWS, by_row[start * wide :])
        turn(wide, by_feature[start * wide :], by_row[start * wide :])
    for n in range(len(targets)):
        targets[n] = y[n] if n < N else real(0)
        shares[n] = weight[n] if n < N else real(0)


@njit(**INNER)
def load_batch(X: Any, y: Any, weight: Any, index: Any, by_feature: Any, by_row: Any, targets: Any, shares: Any) -> Any:
    """Packs the rows `index` of one neuron, -1 where there is none; returns the sum of their weights, or 1."""
    D = X.shape[1]
    wide = padded(D)
    mass = 0.0
    for n in range(len(targets)):
        row = index[n] if n < len(index) else -1
        for j in range(wide):
            by_row[n * wide + j] = X[row, j] if row >= 0 and j < D else real(0)
        targets[n] = y[row] if row >= 0 else real(0)
        shares[n] = weight[row] if row >= 0 else real(0)
        mass += shares[n]
    for n in range(0, len(targets), ROWS):
        turn(wide, by_feature[n * wide :], by_row[n * wide :])
    return mass if mass > 0 else 1.0


@njit(**ENTRY)
def descend_tile(part: Any, tile: Any, formula: Any, rule: Any, X: Any, y: Any, weight: Any, total: Any, rows: Any,
                 fold: Any, phase: Any, cost: Any, factors: Any, batches: Any, trace: Any) -> None:  # fmt: skip
    """A chunk of steps of the `part`-th `tile` of A neurons, each for itself; changes the state in place.

    X (G, N, D), y and weight (F, N) or (1, N), total (F,); neuron k takes X[rows[k]] and the rest of set fold[k].
    batches (steps, 1 or A, B), empty for full batches.
    """
    A, calls = len(phase), rule[2]
    N, D = X.shape[1:]
    length = batches.shape[2] if len(batches) else N
    blocks = (length + ROWS - 1) // ROWS
    by_feature = np.empty(blocks * ROWS * padded(D), real)
    by_row = np.empty(blocks * ROWS * padded(D), real)
    targets = np.empty(blocks * ROWS, real)
    shares = np.empty(blocks * ROWS, real)
    z = np.empty(blocks * ROWS, real)
    sums = np.empty(padded(D), real)
    theta = np.empty((1, D + 1), real)
    costs = np.empty((calls, 1), real)
    gradients = np.empty((calls, 1, D + 1), real)
    loaded = -1
    for k in range(part * tile, min(A, part * tile + tile)):
        t, s = row_of(y, fold[k]), row_of(weight, fold[k])
        mass = total[fold[k]]
        if len(batches) == 0 and loaded != rows[k]:
            load_all(X[rows[k]], y[t], weight[s], by_feature, by_row, targets, shares)
            loaded = rows[k]
        elif len(batches) == 0:
            for n in range(N):
                targets[n] = y[t, n]
                shares[n] = weight[s, n]
        for i in range(len(factors)):
            running = phase[k] == RUNNING
            if not running and len(trace) == 0:
                break
            if running and len(batches):
                index = batches[i, min(k, batches.shape[1] - 1)]
                mass = load_batch(X[rows[k]], y[t], weight[s], index, by_feature, by_row, targets, shares)
            for call in range(calls if running else 0):
                rule_at(rule[0], call, k, 0, rule, factors[i], theta, costs, gradients)
                costs[call, 0] = evaluate_resident(formula, D, by_feature, by_row, targets, shares, mass, z, theta[0],
                                                   sums, gradients[call, 0])  # fmt: skip
            if running:
                rule_at(rule[1], 0, k, 0, rule, factors[i], theta, costs, gradients)
            if len(trace):
                trace[i, k] = cost[k]


@njit(**ENTRY, parallel=True)
def descend_resident(tile: Any, formula: Any, rule: Any, X: Any, y: Any, weight: Any, total: Any, rows: Any, fold: Any,
                     phase: Any, cost: Any, factors: Any, batches: Any, trace: Any) -> None:  # fmt: skip
    """All tiles, in parallel."""
    for part in prange((len(rows) + tile - 1) // tile):
        descend_tile(np.int64(part), tile, formula, rule, X, y, weight, total, rows, fold, phase, cost, factors,
                     batches, trace)  # fmt: skip


@njit(**ENTRY, parallel=True)
def evaluate_own(formula: Any, X: Any, y: Any, weight: Any, total: Any, theta: Any, costs: Any,
                 gradients: Any) -> None:  # fmt: skip
    """Mean cost (K,) and gradient (K, P) of K neurons, each on its own samples."""
    K, N, D = X.shape
    blocks = (N + ROWS - 1) // ROWS
    for k in prange(K):
        by_feature = np.empty(blocks * ROWS * padded(D), real)
        by_row = np.empty(blocks * ROWS * padded(D), real)
        targets = np.empty(blocks * ROWS, real)
        shares = np.empty(blocks * ROWS, real)
        load_all(X[k], y[k], weight[k], by_feature, by_row, targets, shares)
        costs[k] = evaluate_resident(formula, D, by_feature, by_row, targets, shares, total[k],
                                     np.empty(blocks * ROWS, real), theta[k], np.empty(padded(D), real),
                                     gradients[k])  # fmt: skip
