"""A backend whose samples are a stream: the rule takes its steps on the host, each block's sums are a backend's."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdjax.errors import DataError
from gdjax.formulas import Formula
from gdjax.protocol import Chunk
from gdjax.rows import StreamedRows
from gdjax.rule import Array, Evaluate, Knobs, Rule, State, take_steps
from gdjax.samples import Samples
from gdjax.wrapped import Wrapped


@dataclass(frozen=True)
class Streaming(Wrapped):
    """`inner`, for samples that are read at each step; what it computes at a block is added up in float64."""

    def cost_and_gradient(self, formula: Formula, theta: Array, samples: Any) -> tuple[np.ndarray, np.ndarray]:
        """See `gdjax.protocol.Backend`; `samples` are `StreamedRows`."""
        cost, gradient, total = np.zeros(len(theta)), np.zeros(theta.shape), 0.0
        most = samples.stream.layout.longest
        for block in samples.stream.read():
            if not len(block.y):
                continue
            padded = min(most, 1 << (len(block.y) - 1).bit_length())
            c, g, weight = self._sums(formula, theta, samples, block.X, block.y, block.weight, padded)
            cost += weight * c
            gradient += weight * g
            total += weight
        return (cost / total).astype(self.dtype), (gradient / total).astype(self.dtype)

    def descend(
        self, formula: Formula, rule: Rule, samples: Any, rows: np.ndarray, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        """See `gdjax.protocol.Backend`; `samples` are `StreamedRows`."""

        def evaluate(step: int) -> Evaluate:
            if chunk.batches is None:
                return lambda theta: self.cost_and_gradient(formula, theta, samples)
            if chunk.batches.shape[1] > 1:
                raise DataError("mini batches of a stream: its neurons must share one seed")
            index = chunk.batches[step, 0]
            block = samples.stream.take(index[index >= 0])

            def on_batch(theta: Array) -> tuple[Array, Array]:
                c, g, _ = self._sums(formula, theta, samples, block.X, block.y, block.weight, len(index))
                return c.astype(self.dtype), g.astype(self.dtype)

            return on_batch

        return take_steps(rule, evaluate, state, knobs, chunk.factors.astype(self.dtype), chunk.trace)

    def _sums(
        self,
        formula: Formula,
        theta: np.ndarray,
        samples: StreamedRows,
        X: np.ndarray,
        y: np.ndarray,
        weight: np.ndarray,
        rows: int,
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """The means of a block, padded to `rows` with rows of weight 0, and its weight, in float64."""
        X, y, weight = samples.seen(X, y, weight, self.dtype)
        total = float(weight.sum(dtype=np.float64))
        X, y, weight = (_padded(a, rows) for a in (X, y, weight))
        sums = np.array([total], self.dtype)
        parts = [a.view() for a in (X, y, weight[None], sums)]
        for part in parts:
            part.flags.writeable = False  # so that it is not copied: nobody writes to a block
        on_device = Samples(*map(self.inner.asarray, parts))
        cost, gradient = self.inner.cost_and_gradient(formula, theta, on_device)
        return self.inner.to_numpy(cost).astype(np.float64), self.inner.to_numpy(gradient).astype(np.float64), total


def _padded(a: np.ndarray, rows: int) -> np.ndarray:
    return a if len(a) == rows else np.concatenate([a, np.zeros((rows - len(a), *a.shape[1:]), a.dtype)])
