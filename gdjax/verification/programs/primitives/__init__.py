"""Rules of the primitives: each in terms of a number system's few operations, so one text serves all of them."""

# each registers its rules
from gdjax.verification.programs.primitives import (  # noqa: F401
    choices,
    elementwise,
    integers,
    linear_algebra,
    moves,
    reductions,
    windows,
)
from gdjax.verification.programs.primitives.registry import MIXING, RULES, SIDELESS, number, truth

__all__ = ["MIXING", "RULES", "SIDELESS", "number", "truth"]
