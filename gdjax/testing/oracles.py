"""What is right: costs and gradients in rational or 400-bit arithmetic, steps in plain NumPy, a neuron at a time."""

import dataclasses
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np

from gdjax.formulas import Formula
from gdjax.protocol import Chunk
from gdjax.rule import Knobs, Rule, State, make_advance
from gdjax.testing.problems import Problem

EXACT = mpmath.MPContext()
EXACT.prec = 400


def exact(formula: Formula, problem: Problem, neuron: int) -> tuple[Any, list[Any], float, np.ndarray]:
    """The mean cost and gradient of one neuron in rational or 400-bit arithmetic, and what each is rounded against."""
    theta, X, y, weight = problem.of(neuron)
    rational = formula.activation.name in ("identity", "relu", "leaky_relu")
    number: Any = Fraction if rational else EXACT.mpf
    w = [number(float(v)) for v in theta]
    used = [i for i in range(len(X)) if weight[i]]
    total = sum((number(float(weight[i])) for i in used), number(0))
    cost, gradient = number(0), [number(0)] * len(w)
    cost_size, size = 0.0, np.zeros(len(w))
    for i in used:
        s = number(float(weight[i]))
        x = [*(number(float(v)) for v in X[i]), number(1)]
        t = number(float(y[i]))
        terms = [a * b for a, b in zip(w, x, strict=True)]
        loss, r, p, dp = _sample(formula, sum(terms, number(0)), t)
        cost += s * loss
        gradient = [g + s * r * v for g, v in zip(gradient, x, strict=True)]
        # rounding in z, p and p - y moves the residual by about this many units in the last place
        lost = (len(w) + 4) * (1 + float(sum(map(abs, terms))) + abs(float(p)) + abs(float(t))) * (1 + abs(float(dp)))
        lost *= 1 + abs(float(dp)) if formula.loss.link is None else 1
        lost += (len(used) + 4) * abs(float(r))
        cost_size += float(s) * (lost * (1 + abs(float(r))) + len(used) * abs(float(loss)))
        size += float(s) * lost * np.abs([float(v) for v in x])
    return cost / total, [g / total for g in gradient], cost_size / float(total), size / float(total)


def _sample(formula: Formula, z: Any, y: Any) -> tuple[Any, Any, Any, Any]:
    """loss, d loss / dz, prediction and d prediction / dz of one sample, each from its textbook formula."""
    m, name = EXACT, formula.activation.name
    one = type(y)(1) if not isinstance(y, Fraction) else Fraction(1)
    if name == "identity":
        p, dp = z, one
    elif name == "relu":
        p, dp = (z, one) if z > 0 else (0 * z, 0 * one)
    elif name == "leaky_relu":
        leak = Fraction(formula.activation.parameters[0])
        p, dp = (z, one) if z > 0 else (leak * z, leak)
    elif name == "sigmoid":
        p = 1 / (1 + m.exp(-z))
        dp = p * (1 - p)
    elif name == "tanh":
        p = m.tanh(z)
        dp = 1 - p * p
    elif name == "softplus":
        p, dp = m.log(1 + m.exp(z)), 1 / (1 + m.exp(-z))
    else:
        p = dp = m.exp(z)
    e, kind = p - y, formula.loss.name
    if kind == "squared_error":
        return e * e, 2 * e * dp, p, dp
    if kind == "absolute_error":
        return abs(e), (e > 0) * dp - (e < 0) * dp, p, dp
    if kind == "log_loss":
        return -y * m.log(p) - (1 - y) * m.log(1 - p), e, p, dp
    if kind == "poisson":
        return p - y * z, e, p, dp
    delta = type(e)(formula.loss.parameters[0])
    if abs(e) <= delta:
        return e * e / 2, e * dp, p, dp
    return delta * (abs(e) - delta / 2), (delta if e > 0 else -delta) * dp, p, dp


def reference(rule: Rule, formula: Formula, problem: Problem, state: State, knobs: Knobs, chunk: Chunk) -> State:
    """The chunk in plain NumPy float64, each neuron by itself."""
    advance = make_advance(np, rule)
    parts = []
    for k in range(len(problem.theta)):
        _, X, y, weight = problem.of(k)
        now = State(*(a[k : k + 1].astype(float if a.dtype.kind == "f" else a.dtype) for a in state))
        knob = Knobs(*(a if a is knobs.penalised else a[k : k + 1] for a in knobs))
        for i, factor in enumerate(chunk.factors):
            kept = np.arange(len(X))
            if chunk.batches is not None:
                index = chunk.batches[i][0 if chunk.batches.shape[1] == 1 else k]
                kept = index[index >= 0]
            now = advance(now, knob, _Evaluate(formula, X[kept], y[kept], weight[kept]), factor)
        parts.append(now)
    return State(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


@dataclasses.dataclass(frozen=True)
class _Evaluate:
    formula: Formula
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray

    def __call__(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        pointwise = self.formula.pointwise(np)
        z = self.X @ theta[0, :-1] + theta[0, -1]
        total = self.weight.sum() or 1.0
        r = pointwise.slope(z, self.y) * self.weight / total
        cost = (pointwise.cost(z, self.y) * self.weight).sum() / total
        return np.array([cost]), np.append(r @ self.X, r.sum())[None]
