"""Descent: how to move."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gdjax.engine.slab import Slab
from gdjax.rule import Method
from gdjax.schedules import Schedule

CHUNK = 100
"""Steps that run as one program on the device."""

STREAMED_CHUNK = 10
"""The same where each step reads all samples anew: the time to the next edge, where a run can be ended, is short."""


@dataclass(frozen=True)
class Descent:
    """How to move."""

    method: str | Method
    schedule: Schedule
    steps: int
    batch_size: int | None
    tolerance: float
    patience: int | None


@dataclass(frozen=True)
class Validation:
    """Costs on samples that are not trained on: `cost(slab, rows, raw) -> (A,)`, NaN of a neuron that has none."""

    cost: Callable[[Slab, np.ndarray, np.ndarray], np.ndarray]
