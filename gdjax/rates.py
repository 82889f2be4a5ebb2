"""Learning rates tried: many at once, each for a few steps."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from gdjax import status as st
from gdjax.errors import UsageError
from gdjax.neuron import Neuron
from gdjax.sweeping import sweep

RATES = 64

SHORT = 50
"""Steps of the short runs that judge a learning rate."""


@dataclass(frozen=True)
class LearningRates:
    """A short run at each of 64 rates.

    Attributes:
        rate, cost: (64,) the rates, in the columns that the descent sees, and the costs after 50 steps.
        failed: (64,) bool, whether it diverged, died, or ended above the cost it began at.
        stable: the largest rate under every one that failed, or None.
        theory: the bound of `gdjax.status.stable_step`, or None where there is none.
    """

    rate: np.ndarray
    cost: np.ndarray
    failed: np.ndarray
    stable: float | None
    theory: float | None

    @property
    def ratio(self) -> float:
        """Half the distance between two rates, as a factor."""
        return float(np.sqrt(self.rate[1] / self.rate[0]))

    @property
    def best(self) -> float:
        """The rate of least cost among those that did not fail.

        Raises:
            UsageError: all failed.
        """
        cost = np.where(self.failed, np.inf, self.cost)
        if not np.isfinite(cost).any():
            raise UsageError('learning_rate: of 64 rates none lowered the cost in 50 steps: pass a number, or "auto"')
        return float(self.rate[np.argmin(cost)])


def learning_rates(
    neuron: Neuron,
    X: Any,
    y: Any,
    *,
    backend: Any,
    dtype: str | None = None,
    seed: int = 0,
    **given: Any,
) -> LearningRates:
    """64 rates around the automatic one, trained together for 50 steps each.

    Args:
        neuron: the formula and its penalties.
        X: (N, D)
        y: (N,)
        backend, dtype, seed, given: as in `gdjax.fit`.

    Raises:
        UsageError: the neuron cannot be trained at any rate, such as a ReLU without a positive y.
    """
    shared = {"backend": backend, "dtype": dtype, "seed": seed, "tolerance": 0.0, "verify": False, **given}
    method = str(given.get("method", "nesterov"))
    probe = sweep(neuron, X, y, steps=1, **shared)
    automatic = float(np.asarray(probe.learning_rate)[0])
    if not np.isfinite(automatic):
        raise UsageError(f"learning_rate: none can be found, the neuron is not trained ({probe.reason[0]})")
    largest = 1 / automatic if method in ("plain", "nesterov") else 0.1 / automatic if method == "momentum" else 0.0
    rates = np.geomspace(1e-3, 1e2, RATES) * automatic
    swept = sweep(neuron, X, y, learning_rate=rates, steps=SHORT, **shared)
    cost = np.asarray(swept.cost, float)
    begun = float(np.nanmax(probe.history))
    failed = np.isin(swept.status, ["diverged", "dead"]) | ~(cost <= begun)
    before = np.nonzero(failed)[0]
    stable = rates[before[0] - 1] if len(before) and before[0] else (rates[-1] if not len(before) else None)
    exact = neuron.formula.bound_holds and given.get("batch_size") is None
    theory = st.stable_step(method, largest) if exact and largest else None
    return LearningRates(rates, cost, failed, None if stable is None else float(stable), theory)
