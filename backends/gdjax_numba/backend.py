"""numba: fused loops over the data, compiled for this CPU and run on all its cores."""

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdjax.errors import BackendError
from gdjax.formulas import Formula
from gdjax.protocol import Chunk
from gdjax.rule import Knobs, Rule, State
from gdjax.samples import Samples
from gdjax_numba.compiling import formula_address, program, rule_table, walk_address
from gdjax_numba.keeping import ready

RESIDENT_BYTES = 1 << 19
"""Samples up to this size stay in a core's cache while a neuron runs all its steps on them."""
OWN_BYTES = 1 << 23
"""A neuron's own samples over this size are walked by all cores at once, not by one."""
ALONE_BYTES = 1 << 24
"""X of one look up to this size, counted once a neuron, is walked by one core: before OpenMP's threads sleep they spin
for longer than that takes, on cores that whoever reads the next block of a stream waits for."""
NEURONS = 64
"""Neurons that pass over shared samples together."""

_threads = threading.Lock()
"""numba's pools of threads take one parallel loop at a time; the others wait, as they would for the cores."""


@dataclass(frozen=True)
class NumbaBackend:
    """NumPy arrays and loops compiled by numba on the CPU.

    Args:
        dtype: "float32" or "float64".
        device: "cpu" or None.

    Raises:
        BackendError: another dtype or device.
    """

    dtype: str = "float64"
    device: str | None = None

    name = "numba"
    devices = ("cpu",)
    dtypes = ("float32", "float64")

    def __post_init__(self) -> None:
        if self.dtype not in self.dtypes:
            raise BackendError(f"backend 'numba': no dtype {self.dtype!r}: pass one of {', '.join(self.dtypes)}")
        if self.device not in (None, *self.devices):
            raise BackendError(f"backend 'numba': no device {self.device!r}: pass 'cpu' or None")

    @property
    def xp(self) -> Any:
        """NumPy itself."""
        return np

    def asarray(self, x: Any) -> np.ndarray:
        """A read-only copy of `x`, floats in this dtype, row by row in memory; what is so already is taken as it is."""
        x = np.asarray(x)
        dtype = self.dtype if x.dtype.kind == "f" else x.dtype
        if x.dtype == dtype and x.flags.c_contiguous and not x.flags.writeable:
            return x
        return _held(np.array(x, dtype, order="C"))

    def to_numpy(self, x: Any) -> np.ndarray:
        """`x` itself."""
        return np.asarray(x)

    def cost_and_gradient(self, formula: Formula, theta: Any, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
        """See `gdjax.protocol.Backend`."""
        theta = self._held(theta)
        costs, gradients = np.empty(len(theta), self.dtype), np.empty(theta.shape, self.dtype)
        X, y, weight, total = map(self._held, samples[:4])
        at = formula_address(formula, self.dtype)
        if samples.shared:
            fold = _index(np.zeros(len(theta)) if samples.fold is None else samples.fold)
            data = (walk_address(self.dtype, len(theta) == 1), at, X, np.atleast_2d(y), weight, fold, theta)
            compiled, (length, partial) = program(self.dtype), self._ranges(X, len(theta))
            ranges = compiled.ranges_alone if X.nbytes * len(theta) <= ALONE_BYTES else compiled.ranges
            for first in range(0, len(theta), NEURONS):
                here = slice(first, first + NEURONS)
                count = len(theta[here])
                _call(ranges, *data, first, count, length, partial)
                sums = partial[:, :count].sum(0) / total[fold[here], None]
                gradients[here], costs[here] = sums[:, :-1], sums[:, -1]
        else:
            _call(program(self.dtype).evaluate_own, at, X, y, weight, total, theta, costs, gradients)
        return costs, gradients

    def descend(
        self, formula: Formula, rule: Rule, samples: Samples, rows: np.ndarray, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        """See `gdjax.protocol.Backend`."""
        state = State(*(np.array(a, self._kind(a), order="C") for a in state))
        knobs = Knobs(*(_index(a, np.int32) if a.dtype.kind == "i" else self._held(a) for a in knobs))
        factors = self._held(chunk.factors)
        trace = np.full((len(factors) if chunk.trace else 0, len(rows)), np.nan, self.dtype)
        X, y, weight, total = map(self._held, samples[:4])
        if samples.shared:
            y = np.atleast_2d(y)
            fold = _index(np.zeros(len(rows)) if samples.fold is None else samples.fold[rows])
            own = _index(np.zeros(len(rows)))
        else:
            fold = own = _index(rows)
        batches = np.zeros((0, 1, 1)) if chunk.batches is None else chunk.batches
        at, compiled = formula_address(formula, self.dtype), program(self.dtype)
        streamed = compiled.descend_streamed
        if chunk.batches is not None or X.nbytes // (1 if samples.shared else len(X)) <= self._cached(samples):
            if samples.shared:
                X = X[None]
            tile = max(1, min(16, (len(rows) + 63) // 64))
            data = (at, rule_table(rule, state, knobs), X, y, weight, total, own, fold, state.phase, state.cost)
            rest = (factors, _index(batches, np.int32), trace)
            if len(rows) <= tile:  # threads would only be waited for
                _call(compiled.descend_tile, 0, tile, *data, *rest)
            else:
                _call(compiled.descend_resident, tile, *data, *rest)
        elif samples.shared:
            walk, table = walk_address(self.dtype, len(rows) == 1), rule_table(rule, state, knobs)
            end = (state.phase, state.cost, factors, trace)
            _call(streamed, walk, at, table, X, y, weight, total, fold, *end, *self._ranges(X, len(rows)))
        else:
            walk, none = walk_address(self.dtype, True), _index(np.zeros(1))
            for k, row in enumerate(rows):
                here, its = slice(k, k + 1), slice(row, row + 1)
                now = State(*(a[here] for a in state))
                held = Knobs(*(a if a is knobs.penalised else a[here] for a in knobs))
                table, one = rule_table(rule, now, held), np.ascontiguousarray(trace[:, here])
                end = (now.phase, now.cost, factors, one)
                alone, ranges = (X[row], y[its], weight[its], total[its], none), self._ranges(X[row], 1)
                _call(streamed, walk, at, table, *alone, *end, *ranges)
                trace[:, here] = one
        return state, trace if chunk.trace else None

    def _ranges(self, X: np.ndarray, neurons: int) -> tuple[int, np.ndarray]:
        """Rows of a range of X, each one thread's, which depend on len(X) alone, and where their sums go."""
        N, D = X.shape
        rows = program(self.dtype).ROWS
        length = max(4096, -(-N // (64 * rows)) * rows)
        return length, np.empty((-(-N // length), min(neurons, NEURONS), D + 2))

    def _kind(self, x: np.ndarray) -> Any:
        return self.dtype if x.dtype.kind == "f" else np.int32

    def _held(self, x: Any) -> np.ndarray:
        return _held(np.ascontiguousarray(x, self.dtype))

    def _cached(self, samples: Samples) -> int:
        return RESIDENT_BYTES if samples.shared else OWN_BYTES


def _call(function: Any, *arguments: Any) -> None:
    """Calls a compiled function once no other thread does; what is compiled first keeps no thread waiting."""
    ready(function, *arguments)
    with _threads:
        function(*arguments)


def _held(x: np.ndarray) -> np.ndarray:
    """A read-only view: one type of array, so that nothing is compiled twice."""
    x = x.view()
    x.flags.writeable = False
    return x


def _index(x: Any, dtype: Any = np.int64) -> np.ndarray:
    return _held(np.ascontiguousarray(x, dtype))
