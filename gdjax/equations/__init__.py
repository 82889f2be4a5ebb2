"""The 33 numbered equations of the derivation: each line's formula, its value by hand, and the same by JAX.

The numbers are the image numbers of Chi-Feng Wang, "Calculating Gradient Descent Manually" (2018), after Parr and
Howard, "The Matrix Calculus You Need For Deep Learning" (arXiv 1802.01528). The article's lines are those
of the ReLU under squared error. For any other activation and loss the same numbers hold what the chain rule makes of
them.

Hand and oracle share the bits of z = w.x + b, so that they never stand on two sides of a kink by rounding; from there
on the hand's side is NumPy and the derivation, the oracle's side `jax.jacobian` of values alone.

XLA on CPU flushes subnormal operands and results to 0, NumPy keeps them. So beside rounding, which is relative, each
operand and each intermediate may differ by up to the smallest normal number, times how far it moves the line's value.
"""

from gdjax.equations.article import article_cost
from gdjax.equations.general import general_cost
from gdjax.equations.neuron import neuron
from gdjax.equations.values import Hand, Line, Oracle, is_article, make_hand, make_oracle
from gdjax.formulas import Formula

__all__ = ["Line", "is_article", "make_hand", "make_oracle", "walk"]


def walk(hand: Hand, oracle: Oracle, formula: Formula, rate: float) -> list[Line]:
    """All lines of the derivation in the order of their numbers; one number may hold several."""
    cost = article_cost if is_article(formula) else general_cost
    lines = [*neuron(hand, oracle, formula), *cost(hand, oracle, formula, rate)]
    return sorted(lines, key=lambda line: line.number)
