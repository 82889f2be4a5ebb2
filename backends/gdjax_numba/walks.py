"""How the data is walked: blocks of rows for shared samples, whole runs in cache for each neuron's own.

`gdjax_numba.compiling` compiles this for each dtype, called `real`; `gdjax_numba.head` describes the names. A `formula`
is the address of `gdjax_numba.pointwise`. A `rule` is a `gdjax_numba.compiling.rule_table`, of the arrays of a `State`,
of which `phase` and `cost` are passed beside it.
"""

# ruff: noqa: F403, F405
from gdjax_numba.blocks import *
from gdjax_numba.head import *

# --- head ---


def over_ranges(walk: Any, formula: Any, X: Any, y: Any, weight: Any, fold: Any, theta: Any, first: Any, count: Any,
                length: Any, partial: Any) -> None:  # fmt: skip
    """The sums over each range of `length` rows, of `count` neurons from `first`: partial (ranges, >= count, P + 1)."""
    N = X.shape[0]
    for i in prange(partial.shape[0]):
        start, stop = i * length, (i + 1) * length
        walk_at(walk, formula, X, y, weight, fold, start, stop if stop < N else N, theta, first, count, partial[i])


ranges = njit(**ENTRY, parallel=True)(over_ranges)
"""On all cores."""
ranges_alone = njit(**ENTRY)(over_ranges)
"""On the caller's; it compiles in half of the time."""


@njit(**INNER)
def evaluate_streamed(walk: Any, formula: Any, X: Any, y: Any, weight: Any, total: Any, fold: Any, theta: Any,
                      costs: Any, gradients: Any, length: Any, partial: Any) -> None:  # fmt: skip
    """Mean cost (A,) and gradient (A, P) of A neurons on shared samples, memory flat in N and A."""
    (A, P), group = theta.shape, partial.shape[1]
    for first in range(0, A, group):
        count = min(group, A - first)
        ranges(walk, formula, X, y, weight, fold, theta, first, count, length, partial)
        for k in range(count):
            mass = total[fold[first + k]]
            for j in range(P + 1):
                value = 0.0
                # in order: threads do not show in the result
                for i in range(partial.shape[0]):
                    value += partial[i, k, j]
                if j < P:
                    gradients[first + k, j] = value / mass
                else:
                    costs[first + k] = value / mass


@njit(**ENTRY)
def descend_streamed(walk: Any, formula: Any, rule: Any, X: Any, y: Any, weight: Any, total: Any, fold: Any, phase: Any,
                     cost: Any, factors: Any, trace: Any, length: Any, partial: Any) -> None:  # fmt: skip
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
            evaluate_streamed(
                walk, formula, X, y, weight, total, fold, theta, costs[call], gradients[call], length, partial
            )
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
