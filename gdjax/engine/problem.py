"""What is to be trained: K neurons, their penalties, rates, seeds and folds, and the slabs they are trained in."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gdjax.data.checked import Data
from gdjax.data.groups import padded_length
from gdjax.data.rows import Rows, StreamedRows, by_parts
from gdjax.engine.slab import Slab, make_slab
from gdjax.neuron import Neuron


class Cut(NamedTuple):
    """Neurons to be trained at one time."""

    neurons: np.ndarray
    """(A,) their places in the run."""
    rows: int = 0
    """Rows that each one's own samples are padded to; 0 where samples are shared."""

    def parts(self, count: int) -> list["Cut"]:
        """Itself in at most `count` parts of about one size."""
        return [Cut(part, self.rows) for part in np.array_split(self.neurons, min(count, len(self.neurons)))]


@dataclass(frozen=True)
class Problem:
    """K neurons and their data."""

    neuron: Neuron
    data: Data
    dtype: str
    standardize: bool
    l1: np.ndarray
    """(K,)"""
    l2: np.ndarray
    rate: np.ndarray
    """(K,) learning rates, NaN for the automatic one."""
    seed: np.ndarray
    """(K,) int"""
    fold: np.ndarray
    """(K,) each neuron's set of shared samples: a row of `weight`, or a target."""
    weight: np.ndarray | None
    """(F, N) the folds' weights on shared samples; None: the data's own."""
    memory_limit: int
    """Bytes"""

    @property
    def count(self) -> int:
        """K"""
        return len(self.l1)

    @property
    def size(self) -> int:
        """P: the weights and the bias."""
        return self.data.X.shape[1] + 1

    def cuts(self, pending: np.ndarray) -> Iterator[Cut]:
        """What the neurons of which `pending` (K,) is true are trained in, one after the other.

        Shared samples make one slab. Groups are bucketed by padded length and cut to the memory limit; cuts depend on
        the problem alone, so that a resumed run meets the same slabs.
        """
        if self.data.groups is None:
            if pending.any():
                yield Cut(np.arange(self.count))
            return
        length = self.data.groups.length
        padded = padded_length(length)
        itemsize = 8 * (self.size + 2)
        for rows in np.unique(padded[length > 0]):
            members = np.nonzero((padded == rows) & (length > 0))[0]
            # float64 passes hold a few copies of a slab
            each = max(1, int(self.memory_limit // 32 // (rows * itemsize)))
            # a power of two, as slabs are padded to one
            each = 1 << (each.bit_length() - 1)
            for start in range(0, len(members), each):
                neurons = members[start : start + each]
                if pending[neurons].any():
                    yield Cut(neurons, int(rows))

    def slab(self, cut: Cut) -> Slab:
        """The slab of a cut."""
        if self.data.groups is not None:
            return self._pack(cut.neurons, cut.rows)
        return self._slab(cut.neurons, self.data.samples(self.weight), self.fold[cut.neurons])

    def _pack(self, neurons: np.ndarray, rows: int) -> Slab:
        """Own samples of the groups `neurons`, padded; and the slab padded to a power of two of them, so that the
        number of shapes a backend compiles stays small."""
        groups = self.data.groups
        assert groups is not None
        count = 1 << max(0, (len(neurons) - 1).bit_length())
        start = np.zeros(count, np.intp)
        length = np.zeros(count, np.intp)
        start[: len(neurons)], length[: len(neurons)] = groups.start[neurons], groups.length[neurons]
        bad = np.zeros(count, bool)
        bad[: len(neurons)] = np.isin(neurons, list(self.data.bad))
        X, y, weight = self.data.X, self.data.y, self.data.weight
        shape = (count, rows)
        packed = Rows(np.empty((*shape, X.shape[1]), X.dtype), np.empty(shape, y.dtype), np.empty(shape))

        def fill(part: slice) -> None:
            place = np.arange(rows)
            real = place < length[part, None]
            at = groups.order[np.where(real, start[part, None] + place, 0)]
            packed.weight[part] = np.where(real, weight[at], 0.0)
            real &= ~bad[part, None]
            packed.X[part] = X[at]
            packed.X[part][~real] = 0
            packed.y[part] = np.where(real, y[at], 0)

        by_parts(packed, fill, count)
        return self._slab(neurons, packed, np.arange(count))

    def _slab(self, neurons: np.ndarray, samples: Rows | StreamedRows, fold: np.ndarray) -> Slab:
        # the padding's neurons repeat the first one's penalties
        which = np.concatenate([neurons, np.repeat(neurons[:1], len(fold) - len(neurons))])
        return make_slab(
            neurons,
            samples,
            fold,
            self.neuron.formula,
            self.l1[which],
            self.l2[which],
            bias=self.neuron.bias,
            standardize=self.standardize,
            dtype=self.dtype,
        )
