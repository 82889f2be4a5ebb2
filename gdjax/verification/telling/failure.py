"""A failure, told: the first wrong component, the wrong term, and a small counterexample as code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from gdjax.verification.check import Check
from gdjax.verification.judge import Observation
from gdjax.verification.numbers import exact as ex
from gdjax.verification.telling.blame import term
from gdjax.verification.telling.report import Component
from gdjax.verification.telling.shrink import code, shrunk

_MOST_COMPONENTS = 64


@dataclass(frozen=True)
class Failure:
    message: str
    where: str
    component: str
    term: str | None
    code: str
    components: tuple[Component, ...]

    @staticmethod
    def of(check: Check, failures: Sequence[Observation], digits: Observation | None) -> Failure:
        """Tell the smallest failure; `digits` is one that shows in the last digits only."""
        smallest = digits or shrunk(check, min(failures, key=_size))
        wrong = smallest.last if digits is not None else smallest.wrong
        components, first = components_of(check, smallest, wrong)
        kinds = "in exact arithmetic" if smallest.formula else "in floats"
        inputs = len({id(o.case) for o in failures})
        message = f"the gradient is wrong ({kinds}) at {inputs} of the inputs tried"
        if all(not np.isfinite(out[bad]).any() for out, bad in zip(smallest.outputs, wrong, strict=True)):
            message += ": it overflows or divides by zero where the exact one is finite"
        if digits is not None:
            message = "the gradient is wrong in the last digits where every correct formula is exact"
        return Failure(
            message,
            smallest.case.label,
            first,
            term(check, failures, digits is not None),
            code(check, smallest),
            tuple(components),
        )


def named_entry(argument: int, name: str, index: Sequence[int]) -> str:
    """An entry of the gradient, as reports call it."""
    suffix = "".join(f"[{i}]" for i in index)
    return f"gradient[{argument}]{suffix} (d cost / d {name}{suffix})"


def _size(observation: Observation) -> tuple[int, int, int]:
    total = observation.case.count
    return (total, int(observation.case.sampled), int(observation.formula))


def components_of(check: Check, observation: Observation, wrong: Sequence[Any]) -> tuple[list[Component], str]:
    """The entries of the gradient at an input, and the first that is wrong."""
    found: list[Component] = []
    first = ""
    for k, place in enumerate(check.cases.wrt):
        out, close = observation.outputs[k], observation.exact[k]
        fractions = ex.to_fractions(observation.answer.gradient[k])
        for index in np.ndindex(close.shape):
            name = named_entry(k, check.names[place], index)
            bad = bool(wrong[k][index])
            if bad and not first:
                first = name
            if len(found) < _MOST_COMPONENTS or (bad and not any(c.wrong for c in found)):
                found.append(
                    Component(
                        name, float(out[index]), _text(fractions[index], float(close[index])), float(close[index]),
                        _ulp(float(observation.error[k][index]), float(close[index]), check.cases.dtype), bad,
                    )
                )  # fmt: skip
    return found, first


def _text(value: Any, close: float) -> str:
    """The exact value where it is short, else its float: Python spells no integer of thousands of digits."""
    if isinstance(value, Fraction) and value.numerator.bit_length() + value.denominator.bit_length() > 140:
        return repr(close)
    text = str(value)
    return text if len(text) <= 40 else repr(close)


def _ulp(error: float, exact: float, dtype: Any) -> float:
    with np.errstate(all="ignore"):
        return float(error / np.spacing(np.abs(dtype(exact))))
