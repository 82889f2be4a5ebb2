"""What became of a neuron, and why, in words."""

from enum import Enum
from typing import NamedTuple

import numpy as np

PENDING = 0
NAMES = ("", "converged", "max_steps", "diverged", "dead", "too_few_rows", "bad_data")
CONVERGED, MAX_STEPS, DIVERGED, DEAD, TOO_FEW_ROWS, BAD_DATA = range(1, 7)
FAILED = (DIVERGED, DEAD, TOO_FEW_ROWS, BAD_DATA)

SEEDS = 3
"""Starts that a dead neuron is given before it is called dead."""


class Verdict(NamedTuple):
    """One neuron's status code and its reason."""

    code: int
    reason: str = ""


def condition_limit(tolerance: float, dtype: str) -> float:
    """The condition number over which no gradient can certify `tolerance`: tolerance / eps."""
    return tolerance / float(np.finfo(dtype).eps)


class Cause(Enum):
    """Why a condition number is over the limit, and what mends it."""

    ALIKE = "drop or combine near-collinear columns, add l2"
    HEAVY = "lower l2"
    SCALES = "pass standardize=True, as the columns differ in scale alone"


def not_certified(condition: float, tolerance: float, dtype: str, cause: Cause) -> str:
    """The reason of a neuron whose condition number is over the limit."""
    limit = condition_limit(tolerance, dtype)
    return (
        f"not certified: condition number {condition:.2g} is over {limit:.2g} (tolerance {tolerance:g} / eps of "
        f"{dtype}): {cause.value}, or raise tolerance"
    )


def stable_step(method: object, largest: float) -> float | None:
    """The largest stable learning rate on a quadratic of curvature L: 2 / L plain, 2 (1 + m) / L with momentum m = 0.9
    (Polyak, 1964), 4 / (3 L) for Nesterov's as its momentum nears 1; Adam has none."""
    factor = {"plain": 2.0, "momentum": 3.8, "nesterov": 4 / 3}.get(str(method))
    return factor / largest if factor is not None and largest > 0 else None


def diverged(step: int, rate: float, stable: float | None) -> str:
    """The reason of a neuron whose cost left all bounds; `stable`: the largest stable rate, if there is one."""
    # one below it diverges where a schedule raises it
    known = stable is not None and stable <= rate
    advice = f"the largest stable learning_rate is {stable:.4g}" if known else "lower learning_rate"
    return f"diverged at step {step} with learning_rate {rate:.4g}: {advice}; the best finite parameters are given back"


def swinging(steps: int, cost: float, least: float) -> str:
    """The reason of a neuron whose steps ended far above the least cost seen, where no rate is known to be stable."""
    return (
        f"at a cost of {cost:.2g} after {steps} steps, and of {least:.2g} before: lower learning_rate, or raise steps; "
        "the best parameters are given back"
    )


def overflows(dtype: str, given: bool) -> str:
    """The reason of a neuron whose first cost is no number of its dtype; `given`: whether its start was given."""
    remedy = "start nearer, by init" if given else "rescale y"
    wider = ", or take float64" if dtype == "float32" else ""
    return f"the cost overflows {dtype} where it starts: {remedy}{wider}; the starting parameters are given back"


def unfinished(tolerance: float, steps: int, reach: float, condition: float | None, stable: float | None) -> str:
    """The reason of a neuron that ran out of steps within `reach` of its optimum; 15 sqrt(condition) is what Nesterov's
    method needed on Longley and its like, None where that at the optimum is not known; `stable`: the largest stable
    rate, where the given one is far below."""
    about = 0.0 if condition is None else 15 * condition**0.5
    needs = f"; condition number {condition:.2g} needs about {about:.0f}" if about > steps else ""
    near = f" (within {reach:.1g})" if reach < 1 else ""  # as far as the optimum is from 0: no bound
    remedy = "raise steps" if stable is None else f"raise learning_rate, of which {stable:.4g} is the largest stable"
    return f"not within tolerance {tolerance:g} after {steps} steps{near}: {remedy}{needs}"


SEPARABLE = "separable: no finite optimum, add l2"
FLAT = "not certified: the gradient is at rounding level where the curve is flat: start elsewhere, by init or seed"
ROUNDING = "not certified: the gradient is at rounding level, and the tolerance asks for less"


NO_POSITIVE = "no positive y: the best ReLU is 0 everywhere"


ON_A_KINK = (
    "not certified: it rests on a kink, where a row of y < 0 stands at its gate: the gradient does not vanish there, "
    "and more steps do not help"
)
BEST_ON_VALIDATION = "the descent ended; given back are the parameters best on the validation set, not the optimum"
STUCK = "not certified: the backend's gradient vanishes where the formula's does not: check the backend"
SHUT = "no gate is open, so the gradient is 0: start elsewhere, by init, seed or a tolerance over 0"


def dead(attempts: int) -> str:
    """The reason of a ReLU that no start brought below the cost of a closed gate."""
    return f"dead after {attempts} seeds: no start brought the cost below that of a ReLU that is 0 everywhere"
