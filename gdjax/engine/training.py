"""A slab in a run: what the trainer and the judge both look at."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gdjax import status as st
from gdjax.data.rows import Rows
from gdjax.engine.descent import CHUNK, STREAMED_CHUNK, Descent, Validation
from gdjax.engine.problem import Problem
from gdjax.engine.slab import Slab
from gdjax.engine.spectrum import Spectrum
from gdjax.rule import Rule
from gdjax.runs.state import RunState

LEFT = 1e6
"""How many times over its level a cost has left all bounds."""


@dataclass(frozen=True)
class Training:
    """One slab being trained. All that must outlive it goes to the run's state."""

    problem: Problem
    descent: Descent
    run: RunState
    slab: Slab
    validation: Validation | None
    given: bool
    """Whether the start was given by the user."""

    @property
    def whole(self) -> bool:
        """Whether each step sees all rows."""
        return self.descent.batch_size is None

    @property
    def certifies(self) -> bool:
        """Whether a gradient can certify the end."""
        return self.whole and self.descent.tolerance > 0 and self.slab.formula.loss.smooth

    @property
    def chunk(self) -> int:
        """Steps from one edge to the next; edges depend on steps alone."""
        return CHUNK if isinstance(self.slab.samples, Rows) or not self.whole else STREAMED_CHUNK

    @cached_property
    def automatic(self) -> np.ndarray:
        """(A,) whether a neuron's rate is ours to choose."""
        return np.isnan(self.problem.rate[self.slab.neurons])

    @cached_property
    def rule(self) -> Rule:
        """The update rule."""
        slab, method = self.slab, self.descent.method
        bounded = slab.formula.bound_holds or not slab.formula.loss.smooth or not self.automatic.any()
        return Rule(
            method=method,
            backtrack=self.whole and method in ("plain", "nesterov") and not bounded,
            sparse=bool((slab.l1 > 0).any()),
            folded=slab.folded,
        )

    @cached_property
    def bound(self) -> Spectrum:
        """The spectrum of the curvature bound."""
        return self.slab.bound()

    @cached_property
    def deviation(self) -> np.ndarray:
        """(A,) of y."""
        return np.asarray(np.sqrt(self.slab.moments.y_variance[self.slab.fold]))

    @cached_property
    def dead_cost(self) -> np.ndarray:
        """(A,) the cost of a pre-activation that is 0."""
        return self.slab.dead_cost()

    @cached_property
    def no_model(self) -> np.ndarray:
        """(A,) what no model at all costs, twice: more, after steps at a given rate, is divergence where it went up."""
        return 2 * np.maximum(self.dead_cost, self.deviation**2)

    def waiting(self) -> np.ndarray:
        """(A',) the slab's neurons that have not ended."""
        return np.nonzero(self.run.status[self.slab.neurons] == st.PENDING)[0]

    def given_back(self, neurons: np.ndarray) -> np.ndarray:
        """The last iterate; the best on the validation set, or of a loss with kinks, where there is one."""
        run = self.run
        if self.validation is not None:
            known = np.isfinite(run.best_validation[neurons])[:, None]
            return np.where(known, run.best_theta[neurons], run.state.iterate[neurons])
        if not self.slab.formula.loss.smooth:
            return run.state.best[neurons].astype(np.float64)
        return run.state.iterate[neurons].astype(np.float64)
