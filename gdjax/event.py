"""What the engine tells between chunks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Event:
    """The run at the edge of a chunk."""

    step: int
    """Steps taken by the neurons now running."""
    steps: int
    """Steps they may take."""
    models: int
    """K"""
    counts: dict[str, int]
    """Status name -> neurons that ended so."""
    running: int
    """Neurons now running; the rest of K waits or is done."""
    cost: float
    """Mean cost of the neurons of the chunk."""
    learning_rate: float
    """Their mean rate at the last step."""
    seconds: float
    """Since the run began."""


Callback = Callable[[Event], Any]
"""Called between chunks. True, returned, ends the run there, with a checkpoint where one is kept."""


def ends(answer: Any) -> bool:
    """Whether what a callback returned ends the run: True, or NumPy's, which a comparison of its numbers gives."""
    return isinstance(answer, bool | np.bool_) and bool(answer)
