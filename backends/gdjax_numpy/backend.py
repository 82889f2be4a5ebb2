"""NumPy: blocks of rows for shared samples, tiles of neurons for own samples."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdjax.formulas import Formula
from gdjax.protocol import Chunk
from gdjax.rule import RUNNING, Knobs, Rule, State, make_advance
from gdjax.samples import Samples, block_sums

BLOCK_BYTES = 1 << 18
"""A block of rows and what is computed from it stay in a core's L2 cache."""


@dataclass(frozen=True)
class NumpyBackend:
    """Plain NumPy on the CPU.

    Args:
        dtype: "float32" or "float64".
        device: "cpu" or None.
    """

    dtype: str = "float64"
    device: str | None = None

    name = "numpy"
    devices = ("cpu",)
    dtypes = ("float32", "float64")

    @property
    def xp(self) -> Any:
        """NumPy itself."""
        return np

    def asarray(self, x: Any) -> np.ndarray:
        """A copy of `x` in this dtype; an array of this dtype that is read-only is taken as it is."""
        x = np.asarray(x)
        if x.dtype.kind == "f" and x.dtype != self.dtype:
            return x.astype(self.dtype)
        return x if not x.flags.writeable else x.copy()

    def to_numpy(self, x: Any) -> np.ndarray:
        """`x` itself."""
        return np.asarray(x)

    def cost_and_gradient(self, formula: Formula, theta: np.ndarray, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
        """See `gdjax.protocol.Backend`."""
        X, y, weight, _, fold = samples
        pointwise = formula.pointwise(np)
        rows = X.shape[-2]
        block = rows if X.ndim == 3 else _block_rows(theta.shape[0], X)
        cost: Any = 0
        gradient: Any = 0
        for start in range(0, rows, block):
            at = slice(start, start + block)
            c, g = block_sums(np, pointwise, theta, X[..., at, :], y[..., at], weight[..., at], fold)
            cost, gradient = cost + c, gradient + g
        return samples.mean(cost, gradient)

    def descend(
        self, formula: Formula, rule: Rule, samples: Samples, rows: np.ndarray, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        """See `gdjax.protocol.Backend`."""
        tile = len(rows) if samples.shared else _tile_neurons(samples.X)
        parts = []
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            for start in range(0, len(rows), tile):
                at = slice(start, start + tile)
                batches = chunk.batches
                if batches is not None and batches.shape[1] > 1:
                    batches = batches[:, at]
                part = (samples.take(rows[at]), State(*(a[at] for a in state)), _take_knobs(knobs, at))
                parts.append(self._run(formula, rule, *part, chunk._replace(batches=batches)))
        joined = State(*(np.concatenate(columns) for columns in zip(*(s for s, _ in parts), strict=True)))
        trace = np.concatenate([t for _, t in parts if t is not None], axis=1) if chunk.trace else None
        return joined, trace

    def _run(
        self, formula: Formula, rule: Rule, samples: Samples, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        advance = make_advance(np, rule)
        factors = chunk.factors.astype(self.dtype)
        trace = np.full((len(factors), len(state.phase)), np.nan, self.dtype) if chunk.trace else None
        for i, factor in enumerate(factors):
            if not (state.phase == RUNNING).any():
                break
            seen = samples if chunk.batches is None else samples.batch(np, chunk.batches[i])
            state = advance(state, knobs, lambda theta, seen=seen: self.cost_and_gradient(formula, theta, seen), factor)
            if trace is not None:
                trace[i] = state.cost
        return state, trace


def _block_rows(neurons: int, X: np.ndarray) -> int:
    per_row = X.itemsize * (X.shape[1] + 3 * neurons)
    return max(64, BLOCK_BYTES // per_row // 64 * 64)


def _tile_neurons(X: np.ndarray) -> int:
    return int(max(1, BLOCK_BYTES // max(1, X[0].nbytes)))


def _take_knobs(knobs: Knobs, at: slice) -> Knobs:
    return Knobs(*(a if a is knobs.penalised else a[at] for a in knobs))
