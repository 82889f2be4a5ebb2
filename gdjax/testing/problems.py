"""Small problems whose numbers float32 holds too: shared and own samples, folds, targets, weights of 0."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from gdjax.formulas import Formula, activations, losses
from gdjax.protocol import Backend, Chunk
from gdjax.rule import Knobs, Rule, State, initial_state
from gdjax.samples import Samples

ARTICLE = Formula(activations.relu, losses.squared_error)

FORMULAS = (
    ARTICLE,
    Formula(activations.identity, losses.squared_error),
    Formula(activations.leaky_relu(0.25), losses.huber(0.5)),
    Formula(activations.identity, losses.absolute_error),
    Formula(activations.sigmoid, losses.log_loss),
    Formula(activations.exp, losses.poisson),
    Formula(activations.tanh, losses.squared_error),
    Formula(activations.softplus, losses.huber()),
    Formula(activations.sigmoid, losses.squared_error),
    Formula(activations.exp, losses.squared_error),
)

STEPS = 12

RULES = (
    Rule("plain"),
    Rule("momentum"),
    Rule("nesterov"),
    Rule("adam"),
    Rule("nesterov", sparse=True),
    Rule("plain", sparse=True, folded=True),
    Rule("nesterov", folded=True),
    Rule("nesterov", backtrack=True),
)


class Problem(NamedTuple):
    """K neurons, in NumPy float64 whose values float32 holds too."""

    theta: np.ndarray
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    fold: np.ndarray | None = None

    def __str__(self) -> str:
        folds = "" if self.fold is None else f", {len(self.weight)} folds"
        targets = f", {len(self.y)} targets" if self.shared and self.y.ndim == 2 else ""
        return f"{'shared' if self.shared else 'own'} samples {self.X.shape}{folds}{targets}"

    @property
    def shared(self) -> bool:
        return self.X.ndim == 2

    def of(self, neuron: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Parameters, X, y and weights of one neuron."""
        fold = 0 if self.fold is None else self.fold[neuron]
        if self.shared:
            y, weight = (a if a.ndim == 1 else a[fold % len(a)] for a in (self.y, self.weight))
            return self.theta[neuron], self.X, y, weight
        return self.theta[neuron], self.X[neuron], self.y[neuron], self.weight[neuron]

    def on(self, backend: Backend) -> Samples:
        """The samples on a backend, as the engine puts them there."""
        dtype = backend.dtype
        sets = len(self.y) if self.shared and self.y.ndim == 2 else len(self.weight)
        sums = np.broadcast_to(self.weight.sum(axis=1), sets)
        X, y, weight, total = (backend.asarray(a.astype(dtype)) for a in (self.X, self.y, self.weight, sums))
        fold = None if self.fold is None else backend.asarray(self.fold.astype(np.int32))
        return Samples(X, y, weight, total, fold)


def make_problem(
    formula: Formula,
    *,
    shared: bool,
    neurons: int = 5,
    rows: int = 37,
    folds: int = 1,
    targets: int | None = None,
    seed: int = 0,
) -> Problem:
    rng = np.random.default_rng([seed, shared, neurons, rows, folds])
    features = 3

    def draw(*shape: int) -> np.ndarray:
        return np.round(rng.standard_normal(shape) * 64) / 64

    X = draw(rows, features) if shared else draw(neurons, rows, features)
    y = draw(*X.shape[:-1]) if targets is None else draw(targets, rows)
    if formula.loss.domain == "binary":
        y = (y > 0).astype(float)
    elif formula.loss.domain == "nonnegative":
        y = np.round(np.abs(2 * y))
    weight = rng.integers(0, 4, (folds if shared else neurons, rows)).astype(float)
    weight[:, 0] = 1
    sets = max(folds, targets or 1)
    fold = None if sets == 1 else rng.integers(0, sets, neurons)
    return Problem(draw(neurons, features + 1) / 2, X, y, weight, fold)


def cases(formula: Formula) -> Iterator[Problem]:
    yield make_problem(formula, shared=True)
    yield make_problem(formula, shared=True, folds=3)
    yield make_problem(formula, shared=False)
    if formula != ARTICLE:
        return
    # one neuron, one row, and more neurons than a block may hold
    yield make_problem(formula, shared=True, neurons=1, rows=1)
    yield make_problem(formula, shared=False, neurons=1, rows=1)
    yield make_problem(formula, shared=False, neurons=67, rows=9)


def make_knobs(dtype: str, neurons: int, size: int, **given: Any) -> Knobs:
    one = np.ones(neurons, dtype)
    wide = np.ones((neurons, size), dtype)
    penalised = np.ones(size, dtype)
    penalised[-1] = 0
    fixed = Knobs(
        l1=0 * one,
        l2=0 * one,
        free=wide,
        penalised=penalised,
        threshold=-one,
        floor=one,
        ceiling=np.full(neurons, np.finfo(dtype).max),
        limit=np.full(neurons, np.iinfo(np.int32).max, np.int32),
        shift=0 * wide,
        scale=wide,
    )
    return fixed._replace(**{name: np.asarray(value) for name, value in given.items()})


def start(backend: Backend, rule: Rule, problem: Problem, rate: float = 0.05) -> State:
    theta = problem.theta.astype(backend.dtype)
    state = initial_state(np, rule, theta, np.full(len(theta), rate, backend.dtype))
    return State(*(np.array(a) for a in state))


def make_chunk(steps: int, **given: Any) -> Chunk:
    return Chunk(np.ones(steps), **given)


def setting(
    backend: Backend, rule: Rule, *, shared: bool, neurons: int = 5, folds: int = 1
) -> tuple[Problem, State, Knobs]:
    problem = make_problem(ARTICLE, shared=shared, neurons=neurons, folds=folds)
    size = problem.theta.shape[1]
    rng = np.random.default_rng(neurons)
    given: dict[str, Any] = {"l2": (0.1 * rng.random(neurons)).astype(backend.dtype)}
    if rule.sparse:
        given["l1"] = (0.1 * rng.random(neurons)).astype(backend.dtype)
    if rule.folded:
        given["shift"] = np.append(rng.random((neurons, size - 1)), np.zeros((neurons, 1)), axis=1).astype(
            backend.dtype
        )
        given["scale"] = np.append(1 + rng.random((neurons, size - 1)), np.ones((neurons, 1)), axis=1).astype(
            backend.dtype
        )
    free = np.ones((neurons, size), backend.dtype)
    free[0, 1] = 0
    knobs = make_knobs(backend.dtype, neurons, size, free=free, **given)
    return problem, start(backend, rule, problem), knobs
