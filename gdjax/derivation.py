"""The derivation, executable: every numbered equation with its value by hand, by autodiff, and the difference."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax import equations
from gdjax.errors import DataError, UsageError
from gdjax.neuron import Neuron
from gdjax.params import Params

LARGEST = 20_000_000
"""Numbers that dv/dw = diag(x) of all samples may hold: 160 MB."""


@dataclass(frozen=True)
class Equation:
    """One line of the derivation on the samples given.

    Attributes:
        number: the article's image number.
        text, latex: the formula.
        value: by hand; per sample where the formula is one sample's, with the samples first.
        oracle: the same by JAX, of the same shape.
        by: how the oracle has it: "jax.jacobian", or "jax" for a value that is no derivative.
        difference: the largest |value - oracle|; NaN where either is not finite.
        bound: what rounding alone, and XLA's flushing of subnormal numbers, may make of it.
        holds: whether the difference is within it.
    """

    number: int
    text: str
    latex: str
    value: np.ndarray = field(repr=False)
    oracle: np.ndarray = field(repr=False)
    by: str
    difference: float
    bound: float
    holds: bool


@dataclass(frozen=True)
class Derivation:
    """All 33 equations. Prints as text; `derivation[23]` gives the lines of equation 23.

    Attributes:
        neuron: the neuron.
        samples, features: N and D.
        equations: in order; a number may have several lines.
    """

    neuron: Neuron
    article: bool
    """Whether the formulas are the article's own, or what the chain rule makes of them for this neuron."""
    samples: int
    features: int
    equations: tuple[Equation, ...]

    @property
    def holds(self) -> bool:
        """Whether every equation agrees with JAX to rounding."""
        return all(e.holds for e in self.equations)

    @property
    def failed(self) -> tuple[int, ...]:
        """The numbers of the equations that do not hold."""
        return tuple(dict.fromkeys(e.number for e in self.equations if not e.holds))

    def __getitem__(self, number: int) -> tuple[Equation, ...]:
        """The lines of equation `number`."""
        found = tuple(e for e in self.equations if e.number == number)
        if not found:
            raise UsageError(f"no equation {number!r}: the derivation's are 1 to 33")
        return found

    def __iter__(self) -> Iterator[Equation]:
        return iter(self.equations)

    @property
    def title(self) -> str:
        """What is derived, on what, in one line."""
        formula = self.neuron.formula
        what = f"{formula.activation.name} neuron, {formula.loss.name}, N = {self.samples}, D = {self.features}"
        return what if self.article else f"{what} (the chain rule in place of the article's ReLU and squared error)"

    @property
    def verdict(self) -> str:
        """Whether it holds, in words."""
        worst = max(self.equations, key=lambda e: e.difference if np.isfinite(e.difference) else np.inf)
        if self.holds:
            return f"all 33 equations hold; largest difference {worst.difference:.2g}, in equation {worst.number}"
        return f"equations that do not hold: {', '.join(map(str, self.failed))}"

    def __str__(self) -> str:
        lines = [self.title, ""]
        for e in self.equations:
            mark = "" if e.holds else f"   DOES NOT HOLD: rounding allows {e.bound:.2g}"
            lines += [
                f"{e.number:>2}  {e.text}",
                f"      by hand  {_shown(e.value)}",
                f"      by jax   {_shown(e.oracle)}",
                f"      difference {e.difference:.2g}{mark}",
            ]
        return "\n".join([*lines, "", self.verdict])

    def to_latex(self) -> str:
        """The derivation as LaTeX (amsmath), each equation under its number with its value on the samples."""
        parts = [f"% {self.title}"]
        for e in self.equations:
            mark = "" if e.holds else r"\quad \textbf{does not hold}"
            parts.append(
                "\\begin{gather*}\n"
                f"  {e.latex} \\tag{{{e.number}}} \\\\\n"
                f"  {_latex_value(e.value)} \\qquad |\\Delta| = {_latex_number(e.difference)}{mark}\n"
                "\\end{gather*}"
            )
        return "\n".join(parts) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings; None for what is not finite."""
        formula = self.neuron.formula
        return {
            "activation": formula.activation.name,
            "loss": formula.loss.name,
            "article": self.article,
            "samples": self.samples,
            "features": self.features,
            "holds": self.holds,
            "failed": list(self.failed),
            "equations": [
                {
                    "number": e.number,
                    "formula": e.text,
                    "latex": e.latex,
                    "value": _plain(e.value),
                    "oracle": _plain(e.oracle),
                    "by": e.by,
                    "difference": _plain(e.difference),
                    "bound": _plain(e.bound),
                    "holds": e.holds,
                }
                for e in self.equations
            ],
        }

    def to_json(self) -> str:
        """`to_dict` as strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


def explain(neuron: Neuron, params: Params, X: Any, y: Any, *, learning_rate: float = 0.1) -> Derivation:
    """Walks every equation of the derivation on the samples given.

    Each is evaluated as derived by hand, in NumPy, and by `jax.jacobian` of values alone, both in float64. For a neuron
    other than the article's, ReLU under squared error, the same numbers hold what the chain rule makes of them.

    Args:
        neuron: without penalties and with a bias, as the derivation has it.
        params: weights (D,) and bias ().
        X: (N, D), or one sample (D,).
        y: (N,), or one number.
        learning_rate: eta of the updates 24 and 33.

    Raises:
        UsageError: a neuron with a penalty or without a bias, or more samples than `dv/dw` fits in memory.
        DataError: shapes that do not fit, or a value that is not finite.

    >>> print(explain(Neuron(), Params([2.0, -1.0], 0.5), [[1.0, 1.0], [0.0, 3.0]], [1.0, 0.0])[23][0].value)
    [0.5 0.5]
    """
    if neuron.l1 or neuron.l2:
        raise UsageError("explain: the derivation has no penalty: pass a Neuron with l1 = l2 = 0")
    if not neuron.bias:
        raise UsageError("explain: the derivation has a bias: pass a Neuron with bias=True")
    eta = _finite("learning_rate", learning_rate, 0)
    rows, target = _finite("X", X), _finite("y", y)
    rows, target = np.atleast_2d(rows), np.atleast_1d(target)
    at = Params(_finite("weights", params.weights, 1), _finite("bias", params.bias, 0))
    if rows.ndim != 2 or target.shape != (len(rows),) or not rows.size:
        raise DataError(f"explain: X of shape {rows.shape} and y of shape {target.shape}: pass X (N, D) and y (N,)")
    if at.weights.shape != (rows.shape[1],):
        raise DataError(f"explain: {at.weights.size} weights for {rows.shape[1]} features: pass one weight a feature")
    if rows.size * rows.shape[1] > LARGEST:
        raise UsageError(
            f"explain: {len(rows)} samples of {rows.shape[1]} features make a dv/dw of {rows.size * rows.shape[1]:,} "
            f"numbers: pass at most {max(1, LARGEST // rows.shape[1] ** 2)} samples"
        )

    import jax

    formula = neuron.formula
    # NumPy's side may overflow where an equation then says so
    with (
        jax.enable_x64(True),
        jax.numpy_rank_promotion("allow"),
        jax.default_device(jax.devices("cpu")[0]),
        np.errstate(over="ignore", invalid="ignore"),
    ):
        hand = equations.make_hand(jax, formula, at, rows, target, float(eta))
        lines = equations.walk(hand, equations.make_oracle(jax, formula), formula, float(eta))
        checked = tuple(_check(line, rows.shape) for line in lines)
    return Derivation(neuron, equations.is_article(formula), rows.shape[0], rows.shape[1], checked)


def _check(line: equations.Line, shape: tuple[int, ...]) -> Equation:
    value, oracle = np.array(line.hand, float), np.array(line.oracle, float)
    if value.shape != oracle.shape:
        raise AssertionError(f"equation {line.number}: shapes {value.shape} by hand and {oracle.shape} by JAX")
    apart = np.abs(value - oracle)
    float64 = np.finfo(float)
    unit = float64.eps * np.broadcast_to(line.scale, value.shape) + float64.tiny * line.gain
    bound = (8 + sum(shape)) * unit + line.slack
    holds = bool(np.isfinite(value).all() and (apart <= bound).all())
    return Equation(
        line.number, line.text, line.latex, value, oracle, line.by, float(apart.max()), float(bound.max()), holds
    )


def _finite(name: str, given: Any, ndim: int | None = None) -> np.ndarray:
    try:
        array = np.asarray(given, float)
    except (TypeError, ValueError) as error:
        raise DataError(f"explain: {name} must be numbers") from error
    if ndim is not None and array.ndim != ndim:
        wanted = ("one number", "one number a feature")[ndim]
        raise DataError(f"explain: {name} has shape {array.shape}: pass {wanted}")
    if not np.isfinite(array).all():
        raise DataError(f"explain: {name} holds NaN or infinity: pass finite numbers")
    return array


def _shown(value: np.ndarray) -> str:
    # + 0.0: a minus zero means nothing here
    edge = 1 if value.ndim == 3 else 2
    text = np.array2string(
        value + 0.0, precision=6, threshold=12, edgeitems=edge, separator=", ", max_line_width=10_000
    )
    return " ".join(text.split())


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return [_plain(v) for v in value] if value.ndim else _plain(value.item())
    return value if np.isfinite(value) else None


def _latex_number(value: float) -> str:
    mantissa, e, exponent = f"{value:.6g}".partition("e")
    return rf"{mantissa} \times 10^{{{int(exponent)}}}" if e else mantissa


def _latex_value(value: np.ndarray) -> str:
    """A number, a row vector, or a matrix; of more than eight numbers a side, the shape alone."""
    if value.ndim == 0:
        return "= " + _latex_number(float(value))
    if value.ndim > 2 or max(value.shape) > 8:
        shape = r" \times ".join(map(str, value.shape))
        return rf"\in \mathbb{{R}}^{{{shape}}}"
    rows = [" & ".join(_latex_number(v) for v in row) for row in np.atleast_2d(value)]
    return r"= \begin{bmatrix} " + r" \\ ".join(rows) + r" \end{bmatrix}"
