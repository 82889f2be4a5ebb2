"""Learning-rate schedules: a base rate times a factor of the step."""

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gdjax.errors import UsageError

Rate = float | str
"""A positive number, in the columns that the descent sees, or "auto"."""


@dataclass(frozen=True)
class Schedule:
    """The rate at step t is `rate * factor(t)`.

    Args:
        rate: a positive number, or "auto" for the one the curvature gives.
        factor: t (steps,) int -> (steps,) factors; None for 1 throughout.
        describe: what the factor is, for messages and files.
    """

    rate: Rate = "auto"
    factor: Callable[[np.ndarray], np.ndarray] | None = None
    describe: str = "constant"

    def factors(self, first: int, steps: int) -> np.ndarray:
        """The factors (steps,) from step `first` on."""
        if self.factor is None:
            return np.ones(steps)
        return np.asarray(self.factor(np.arange(first, first + steps)), np.float64)

    @property
    def call(self) -> str | None:
        """The call of this module that makes it; None of a factor of one's own.

        >>> cosine(0.1, steps=4).call
        'cosine(0.1, steps=4, floor=0.0)'
        """
        rate = repr(self.rate if isinstance(self.rate, str) else float(self.rate))
        if self.factor is None:
            return f"constant({rate})"
        own = getattr(self.factor, "__module__", None) != __name__
        return None if own else self.describe.replace("(", f"({rate}, ", 1)


def constant(rate: Rate = "auto") -> Schedule:
    """The same rate at every step.

    Args:
        rate: > 0, in the columns that the descent sees, or "auto".
    """
    return Schedule(rate)


def step(rate: Rate = "auto", *, every: int, decay: float = 0.5) -> Schedule:
    """The rate multiplied by `decay` after each `every` steps.

    Raises:
        UsageError: `every` is not positive.

    >>> step(1.0, every=2).factors(0, 5)
    array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """
    _positive("every", every)
    return Schedule(rate, lambda t: decay ** (t // every), f"step(every={every}, decay={decay})")


def cosine(rate: Rate = "auto", *, steps: int, floor: float = 0.0) -> Schedule:
    """Half a cosine from 1 to `floor` over `steps` steps (Loshchilov and Hutter, 2017), `floor` after.

    Raises:
        UsageError: `steps` is not positive.

    >>> cosine(1.0, steps=4).factors(0, 5).round(2)
    array([1.  , 0.85, 0.5 , 0.15, 0.  ])
    """
    _positive("steps", steps)

    def factor(t: np.ndarray) -> np.ndarray:
        part = np.minimum(t, steps) / steps
        return floor + (1 - floor) * 0.5 * (1 + np.cos(np.pi * part))

    return Schedule(rate, factor, f"cosine(steps={steps}, floor={floor})")


def inverse(rate: Rate = "auto", *, half: float) -> Schedule:
    """The factor 1 / (1 + t / half): half the rate after `half` steps (Robbins and Monro, 1951).

    Raises:
        UsageError: `half` is not positive.

    >>> inverse(1.0, half=2).factors(0, 3).round(2)
    array([1.  , 0.67, 0.5 ])
    """
    _positive("half", half)
    return Schedule(rate, lambda t: 1 / (1 + t / half), f"inverse(half={half})")


def called(text: str) -> Schedule:
    """The schedule of a `Schedule.call`.

    Raises:
        ValueError: it is none.
    """
    try:
        call: Any = ast.parse(text, mode="eval").body
        make = {each.__name__: each for each in (constant, step, cosine, inverse)}[call.func.id]
        named = {each.arg: ast.literal_eval(each.value) for each in call.keywords}
        return make(*map(ast.literal_eval, call.args), **named)
    except (AttributeError, LookupError, MemoryError, RecursionError, SyntaxError, TypeError) as error:
        raise ValueError(f"no schedule: {text!r}") from error


def for_kinks(schedule: Schedule) -> Schedule:
    """The schedule of a loss with kinks: an automatic constant rate would circle the optimum, so it falls as 1 / t."""
    automatic = schedule.factor is None and isinstance(schedule.rate, str)
    return inverse(half=50) if automatic else schedule


def as_schedule(given: object) -> Schedule:
    """A number, "auto" or a `Schedule`, as a `Schedule`.

    Raises:
        UsageError: anything else.
    """
    schedule = given if isinstance(given, Schedule) else Schedule(given)  # type: ignore[arg-type]
    rate = schedule.rate
    if isinstance(rate, str):
        if rate == "auto":
            return schedule
    elif not isinstance(rate, bool):
        try:
            if 0 < float(rate) < float("inf"):
                return schedule
        except (TypeError, ValueError):
            pass
    raise UsageError(f'learning_rate = {rate!r} must be a positive number, "auto" or a gdjax.schedules schedule')


def _positive(name: str, value: float) -> None:
    if not value > 0:
        raise UsageError(f"schedule: {name} = {value!r} must be positive")
