"""What a backend is: six members, one more where there is autodiff, one where compiled programs can be kept."""

from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from gdjax.formulas import Formula
from gdjax.rule import Array, Knobs, Rule, State
from gdjax.samples import Samples


class Chunk(NamedTuple):
    """A chunk of steps to run: what may differ from one chunk to the next."""

    factors: np.ndarray
    """(steps,) the schedule's factor on the learning rate at each step."""
    batches: np.ndarray | None = None
    """(steps, 1 or A, B) int32 rows of each mini batch, -1 where it is short; None: the full batch."""
    trace: bool = False
    """Whether the cost at each step is wanted."""


@runtime_checkable
class Backend(Protocol):
    """An array backend. Instances are frozen and hashable: dtype and device are theirs."""

    @property
    def name(self) -> str:
        """The name it is registered under."""
        ...

    @property
    def xp(self) -> Any:
        """The array namespace that formulas are compiled over."""
        ...

    @property
    def dtype(self) -> str:
        """The dtype of the arithmetic, "float32" or "float64"."""
        ...

    def asarray(self, x: Any) -> Array:
        """`x` on the device: floats in `dtype`, integers and booleans in their own.

        A copy, unless `x` is an array of this backend already or nobody may write to it.
        """
        ...

    def to_numpy(self, x: Array) -> np.ndarray:
        """An array of this backend as a NumPy array."""
        ...

    def cost_and_gradient(self, formula: Formula, theta: Array, samples: Samples) -> tuple[Array, Array]:
        """The data's mean cost (K,) and its hand-derived gradient (K, P) at theta (K, P), without penalties.

        Of shared samples each neuron has the y and the weights of its set: see `gdjax.samples.Samples`.
        """
        ...

    def descend(
        self, formula: Formula, rule: Rule, samples: Samples, rows: np.ndarray, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        """Runs `chunk` on the neurons `rows` (A,) of `samples`, whose NumPy `state` and `knobs` have A rows.

        Returns the state after it, in NumPy, and the trace (steps, A) of costs where asked for. What one neuron gets
        must not depend, by a bit, on which others run beside it.
        """
        ...


@runtime_checkable
class SupportsGrad(Protocol):
    """A backend that has autodiff to hold the manual gradient against."""

    def grad(self, formula: Formula, theta: Array, samples: Samples) -> Array:
        """The gradient (K, P) by autodiff of the cost alone."""
        ...


@runtime_checkable
class KeepsPrograms(Protocol):
    """A backend that compiles, and can keep what it compiled for the next process when told where."""

    def keep_programs(self, folder: Path) -> None:
        """Keeps compiled programs in `folder`, for the whole process; the command line calls it, the library never."""
        ...
