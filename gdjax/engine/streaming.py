"""A backend whose samples are a stream: the rule takes its steps on the host, each block's sums are a backend's."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdjax.data.rows import StreamedRows
from gdjax.errors import DataError
from gdjax.formulas import Formula
from gdjax.protocol import Chunk
from gdjax.rule import Array, Evaluate, Knobs, Rule, State, take_steps
from gdjax.samples import Samples
from gdjax.stream import Block
from gdjax.wrapped import Wrapped


@dataclass(frozen=True)
class Streaming(Wrapped):
    """`inner`, for samples that are read at each step; what it computes at a block is added up in float64."""

    def cost_and_gradient(self, formula: Formula, theta: Array, samples: Any) -> tuple[np.ndarray, np.ndarray]:
        """See `gdjax.protocol.Backend`; `samples` are `StreamedRows`."""
        cost, gradient, total = np.zeros(len(theta)), np.zeros(theta.shape), 0.0
        most = samples.stream.layout.longest
        on_device = self.inner.asarray(theta)

        def means(block: Block) -> tuple[float, Any]:
            part, weight = self._held(samples, block, min(most, 1 << max(0, len(block.y) - 1).bit_length()))
            return weight, self._means(formula, on_device, part) if weight else None

        for weight, found in samples.stream.map(means):
            if weight:
                cost += weight * found[0]
                gradient += weight * found[1]
                total += weight
        return (cost / total).astype(self.dtype), (gradient / total).astype(self.dtype)

    def descend(
        self, formula: Formula, rule: Rule, samples: Any, rows: np.ndarray, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        """See `gdjax.protocol.Backend`; `samples` are `StreamedRows`."""

        def evaluate(step: int) -> Evaluate:
            if chunk.batches is None:
                return lambda theta: self.cost_and_gradient(formula, theta, seen)
            if chunk.batches.shape[1] > 1:
                raise DataError("mini batches of a stream: its neurons must share one seed")
            index = chunk.batches[step, 0]
            batch, _ = self._held(seen, seen.stream.take(index[index >= 0]), len(index))

            def on_batch(theta: Array) -> tuple[Array, Array]:
                c, g = self._means(formula, self.inner.asarray(theta), batch)
                return c.astype(self.dtype), g.astype(self.dtype)

            return on_batch

        seen = samples.take(rows)
        return take_steps(rule, evaluate, state, knobs, chunk.factors.astype(self.dtype), chunk.trace)

    def _held(self, samples: StreamedRows, block: Block, rows: int) -> tuple[Samples, float]:
        """A block on the backend, padded to `rows` with rows of weight 0, and its weight."""
        X, y, weight = samples.seen(block.X, block.y, block.weight, self.dtype)
        total = float(weight.sum(dtype=np.float64))
        X, y, weight = (_padded(a, rows) for a in (X, y, weight))
        y = np.ascontiguousarray(y.T)
        parts = [a.view() for a in (X, y, weight[None], np.full(samples.sets, total, self.dtype))]
        for part in parts:
            part.flags.writeable = False  # so that it is not copied: nobody writes to a block
        if samples.fold is not None:
            parts.append(samples.fold)
        return Samples(*map(self.inner.asarray, parts)), total

    def _means(self, formula: Formula, theta: Array, samples: Samples) -> tuple[np.ndarray, np.ndarray]:
        """The means of a block in float64."""
        cost, gradient = self.inner.cost_and_gradient(formula, theta, samples)
        return self.inner.to_numpy(cost).astype(np.float64), self.inner.to_numpy(gradient).astype(np.float64)


def _padded(a: np.ndarray, rows: int) -> np.ndarray:
    return a if len(a) == rows else np.concatenate([a, np.zeros((rows - len(a), *a.shape[1:]), a.dtype)])
