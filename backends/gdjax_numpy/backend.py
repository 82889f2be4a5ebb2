"""NumPy: blocks of rows for shared samples, tiles of neurons for own samples."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from gdjax.expressions.fused import fused
from gdjax.formulas import Formula
from gdjax.machine.blas import one_blas_thread
from gdjax.machine.cores import cores
from gdjax.machine.threads import in_threads
from gdjax.protocol import Chunk
from gdjax.rule import Evaluate, Knobs, Rule, State, take_steps
from gdjax.samples import Samples, block_sums_by
from gdjax_numpy.ranges import shared_sums

TILE_BYTES = 1 << 22
"""The samples of a tile of neurons stay in the last cache for all steps of a chunk; smaller tiles lose their time
in calls: neurons of 500 by 16 took four times as long with 256 KiB."""


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
        """A read-only copy of `x`, floats in this dtype; an array of this dtype that is read-only is taken as it is."""
        x = np.asarray(x)
        dtype = np.dtype(self.dtype) if x.dtype.kind == "f" else x.dtype
        if x.dtype == dtype and not x.flags.writeable:
            return x
        kept = np.array(x, dtype)
        kept.flags.writeable = False  # so that it is not copied again
        return kept

    def to_numpy(self, x: Any) -> np.ndarray:
        """`x` itself."""
        return np.asarray(x)

    def cost_and_gradient(self, formula: Formula, theta: np.ndarray, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
        """See `gdjax.protocol.Backend`."""
        with one_blas_thread():
            if samples.shared:
                return samples.mean(*shared_sums(formula, theta, samples))
            X, y, weight = samples[:3]
            return samples.mean(*block_sums_by(np, fused(formula), theta, X, y, weight))

    def descend(
        self, formula: Formula, rule: Rule, samples: Samples, rows: np.ndarray, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        """See `gdjax.protocol.Backend`."""
        tile = len(rows) if samples.shared else _tile_neurons(samples.X, len(rows))

        def run(start: int) -> tuple[State, np.ndarray | None]:
            at = slice(start, start + tile)
            batches = chunk.batches
            if batches is not None and batches.shape[1] > 1:
                batches = batches[:, at]
            part = (samples.take(rows[at]), State(*(a[at] for a in state)), _take_knobs(knobs, at))
            return self._run(formula, rule, *part, chunk._replace(batches=batches))

        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            parts = list(in_threads(run, range(0, len(rows), tile)))
        joined = State(*(np.concatenate(columns) for columns in zip(*(s for s, _ in parts), strict=True)))
        trace = np.concatenate([t for _, t in parts if t is not None], axis=1) if chunk.trace else None
        return joined, trace

    def _run(
        self, formula: Formula, rule: Rule, samples: Samples, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        def evaluate(step: int) -> Evaluate:
            seen = samples if chunk.batches is None else samples.batch(np, chunk.batches[step])
            return partial(self.cost_and_gradient, formula, samples=seen)

        return take_steps(rule, evaluate, state, knobs, chunk.factors.astype(self.dtype), chunk.trace)


def _tile_neurons(X: np.ndarray, neurons: int) -> int:
    fit = max(1, TILE_BYTES // max(1, X[0].nbytes))
    return int(min(fit, -(-neurons // cores())))


def _take_knobs(knobs: Knobs, at: slice) -> Knobs:
    return Knobs(*(a if a is knobs.penalised else a[at] for a in knobs))
