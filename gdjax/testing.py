"""The conformance suite: what every backend must do, a stranger's too.

    import gdjax
    gdjax.testing.check_backend("mine")

Costs and gradients are held against rational arithmetic (400-bit numbers where a formula is transcendental), steps
against the equations, and what must be equal to the bit is compared to the bit. To run it without compilation, call it
within the framework's own switch, `jax.disable_jit()` for instance.
"""

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, NamedTuple

import mpmath
import numpy as np

from gdjax.discovery import backend as find_backend
from gdjax.formulas import Formula, activations, losses
from gdjax.protocol import Backend, Chunk, SupportsGrad
from gdjax.rule import DIVERGED, EXHAUSTED, RUNNING, STATIONARY, Knobs, Rule, State, initial_state, make_advance
from gdjax.samples import Samples

Check = Callable[[Backend], None]

EXACT = mpmath.MPContext()
EXACT.prec = 400

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


def check_backend(backend: str | Backend, *, only: str | None = None) -> tuple[str, ...]:
    """Runs every check on a backend: in float32 and float64 by name, in its own dtype as an instance.

    Args:
        backend: a registered name, or an instance, which need not be registered.
        only: the name of the one check to run.

    Returns:
        The names of the checks that passed.

    Raises:
        AssertionError: names every check that failed, the dtype, and what was seen.

    >>> len(check_backend("numpy", only="the slope is 0 where z = 0"))
    2
    """
    instances = (
        [find_backend(backend, dtype) for dtype in ("float32", "float64")] if isinstance(backend, str) else [backend]
    )
    passed, failed = [], []
    for instance in instances:
        for name, check in CHECKS.items():
            if only not in (None, name):
                continue
            label = f"{name} [{getattr(instance, 'dtype', '?')}]"
            try:
                check(instance)
            # whatever a backend raises is a check that failed
            except Exception as error:  # noqa: BLE001
                lines = str(error).strip().splitlines() or [""]
                failed.append(f"{label}: {type(error).__name__}: {' '.join(line.strip() for line in lines)[:400]}")
            else:
                passed.append(label)
    if failed:
        ran = len(passed) + len(failed)
        raise AssertionError(f"{len(failed)} of {ran} checks failed on backend {backend!r}:\n" + "\n".join(failed))
    if not passed:
        raise AssertionError(f"no check is named {only!r}")
    return tuple(passed)


CHECKS: dict[str, Check] = {}
"""Name -> check, in the order they run."""


def _check(name: str) -> Callable[[Check], Check]:
    def register(check: Check) -> Check:
        CHECKS[name] = check
        return check

    return register


# Data


class Problem(NamedTuple):
    """K neurons, in NumPy float64 whose values float32 holds too."""

    theta: np.ndarray
    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    fold: np.ndarray | None = None

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


def _problem(
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


def _cases(formula: Formula) -> Iterator[Problem]:
    yield _problem(formula, shared=True)
    yield _problem(formula, shared=True, folds=3)
    yield _problem(formula, shared=False)
    if formula != ARTICLE:
        return
    # one neuron, one row, and more neurons than a block may hold
    yield _problem(formula, shared=True, neurons=1, rows=1)
    yield _problem(formula, shared=False, neurons=1, rows=1)
    yield _problem(formula, shared=False, neurons=67, rows=9)


def _knobs(dtype: str, neurons: int, size: int, **given: Any) -> Knobs:
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


def _start(backend: Backend, rule: Rule, problem: Problem, rate: float = 0.05) -> State:
    theta = problem.theta.astype(backend.dtype)
    state = initial_state(np, rule, theta, np.full(len(theta), rate, backend.dtype))
    return State(*(np.array(a) for a in state))


def _chunk(steps: int, **given: Any) -> Chunk:
    return Chunk(np.ones(steps), **given)


# Oracles


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


def _held(name: str, found: Any, wanted: Any, allowed: Any) -> None:
    apart = np.abs(
        np.array([float(type(w)(float(f)) - w) for f, w in zip(np.ravel(found), np.ravel(wanted), strict=True)])
    )
    limit = np.ravel(allowed)
    worst = int(np.argmax(np.where(np.isfinite(apart), apart - limit, np.inf)))
    if not apart[worst] <= limit[worst]:
        raise AssertionError(
            f"{name}: {float(np.ravel(found)[worst])!r} where {float(np.ravel(wanted)[worst])!r} is right "
            f"to {limit[worst]:.2g}"
        )


def _same_bits(name: str, a: Any, b: Any) -> None:
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape or a.dtype != b.dtype:
        raise AssertionError(f"{name}: {a.dtype}{a.shape} and {b.dtype}{b.shape}")
    if not np.array_equal(a, b, equal_nan=a.dtype.kind == "f"):
        apart = np.nanmax(np.abs(a.astype(float) - b.astype(float)))
        raise AssertionError(f"{name}: not equal to the bit, {apart:.2g} apart")


def _same_state(name: str, a: State, b: State) -> None:
    for field, left, right in zip(State._fields, a, b, strict=True):
        _same_bits(f"{name}: {field}", left, right)


def _reference(rule: Rule, formula: Formula, problem: Problem, state: State, knobs: Knobs, chunk: Chunk) -> State:
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


# Checks


@_check("it has the members of the protocol")
def _members(backend: Backend) -> None:
    assert isinstance(backend, Backend), "lacks members of gdjax.protocol.Backend"
    assert isinstance(backend.name, str), "name must be a str"
    assert backend.name, "name must not be empty"
    assert backend.dtype in ("float32", "float64"), f"dtype {backend.dtype!r}"
    hash(backend)
    try:
        backend.dtype = backend.dtype  # type: ignore[misc]
    except (AttributeError, TypeError):
        return
    raise AssertionError("instances are not frozen: dtype can be assigned")


@_check("asarray keeps the values and makes the dtype its own")
def _asarray(backend: Backend) -> None:
    for dtype in ("float32", "float64"):
        x = np.array([[1.5, -2.0, 0.0], [1e-3, 3e5, np.nan]], dtype)
        back = backend.to_numpy(backend.asarray(x))
        assert isinstance(back, np.ndarray), f"to_numpy gave {type(back).__name__}"
        _same_bits(f"asarray of {dtype}", back, x.astype(backend.dtype))
    index = np.array([0, 2, 1], np.int32)
    np.testing.assert_array_equal(backend.to_numpy(backend.asarray(index)), index)
    fine = np.array([1 + 2.0**-40])
    if backend.dtype == "float64":
        _same_bits("float64", backend.to_numpy(backend.asarray(fine)), fine)


@_check("asarray never aliases the caller's memory")
def _no_alias(backend: Backend) -> None:
    for count in (1, 7, 4096):
        for offset in range(0, 64, 16):
            raw = np.zeros(8 * count + 128, np.uint8)
            begin = -raw.ctypes.data % 64 + offset
            x = raw[begin : begin + count * np.dtype(backend.dtype).itemsize].view(backend.dtype)
            x[:] = 1
            for view in (x, x.reshape(1, -1), x[::-1]):
                held = backend.asarray(view)
                x[:] = 2
                seen = backend.to_numpy(held).max()
                x[:] = 1
                assert seen == 1, f"the caller's later write is seen: {count} numbers, {offset} bytes off alignment"


@_check("cost and gradient are what rational arithmetic says")
def _exact(backend: Backend) -> None:
    eps = float(np.finfo(backend.dtype).eps)
    for formula in FORMULAS:
        for problem in _cases(formula):
            got = backend.cost_and_gradient(formula, backend.asarray(problem.theta), problem.on(backend))
            cost, gradient = map(backend.to_numpy, got)
            where = f"{formula.activation.name}, {formula.loss.name}, {_where(problem)}"
            assert cost.dtype == gradient.dtype == np.dtype(backend.dtype), f"{where}: results in {cost.dtype}"
            assert cost.shape == (len(problem.theta),), f"{where}: cost of shape {cost.shape}"
            assert gradient.shape == problem.theta.shape, f"{where}: gradient of shape {gradient.shape}"
            for k in range(min(len(cost), 8)):
                c, g, cost_size, size = exact(formula, problem, k)
                _held(f"cost: {where}", cost[k], [c], eps * cost_size)
                _held(f"gradient: {where}", gradient[k], g, eps * size)


def _where(problem: Problem) -> str:
    folds = "" if problem.fold is None else f", {len(problem.weight)} folds"
    targets = f", {len(problem.y)} targets" if problem.shared and problem.y.ndim == 2 else ""
    return f"{'shared' if problem.shared else 'own'} samples {problem.X.shape}{folds}{targets}"


@_check("products are not shortened")
def _full_precision(backend: Backend) -> None:
    # 2049 and 4095 do not fit the 10 bits of a shortened float32; every sum here is exact in a full one
    X = np.array([[2049.0, 1.0], [4095.0, -1.0], [2051.0, 3.0], [1.0, 2053.0]])
    theta = np.array([[1.0, 2.0, 3.0]])
    y = X @ theta[0, :2] + 3 - np.array([1.0, -1.0, 2.0, 1.0])
    for problem in (Problem(theta, X, y, np.ones((1, 4))), Problem(theta, X[None], y[None], np.ones((1, 4)))):
        got = backend.cost_and_gradient(ARTICLE, backend.asarray(theta), problem.on(backend))
        cost, gradient = map(backend.to_numpy, got)
        wanted = 2 * np.array([1.0, -1.0, 2.0, 1.0]) @ np.column_stack([X, np.ones(4)]) / 4
        np.testing.assert_array_equal(cost, [7 / 4])
        np.testing.assert_array_equal(gradient[0], wanted)


@_check("the slope is 0 where z = 0")
def _kink(backend: Backend) -> None:
    X = np.array([[1.0, -1.0], [2.0, -2.0], [0.0, 0.0]])
    problem = Problem(np.array([[1.0, 1.0, 0.0]]), X, np.full(3, 5.0), np.ones((1, 3)))
    own = Problem(problem.theta, X[None], problem.y[None], problem.weight)
    for p in (problem, own):
        samples = p.on(backend)
        cost, gradient = backend.cost_and_gradient(ARTICLE, backend.asarray(p.theta), samples)
        np.testing.assert_array_equal(backend.to_numpy(cost), [25.0])
        np.testing.assert_array_equal(backend.to_numpy(gradient), [[0.0, 0.0, 0.0]])
        state = _start(backend, Rule("plain"), p, rate=1.0)
        after, _ = backend.descend(
            ARTICLE, Rule("plain"), samples, np.array([0]), state, _knobs(backend.dtype, 1, 3), _chunk(3)
        )
        np.testing.assert_array_equal(after.point, p.theta)


@_check("NaN and infinity in the data are not hidden")
def _nan(backend: Backend) -> None:
    for formula in FORMULAS:
        for shared in (True, False):
            clean = _problem(formula, shared=shared)
            for place in ("X", "y", "theta"):
                array = getattr(clean, place).copy()
                array[..., 0] = np.nan
                problem = clean._replace(**{place: array})
                got = backend.cost_and_gradient(formula, backend.asarray(problem.theta), problem.on(backend))
                cost, gradient = map(backend.to_numpy, got)
                where = f"NaN in {place}: {formula.activation.name}, {formula.loss.name}, {_where(problem)}"
                assert np.isnan(cost).all(), f"{where}: cost {cost}"
                slope_sees = not (place == "X" and formula.activation.name in ("relu", "leaky_relu"))
                if slope_sees and formula.loss.name != "absolute_error":
                    assert np.isnan(gradient).any(axis=1).all(), f"{where}: gradient {gradient}"


@_check("weight 0 is an absent row, weight 2 two rows")
def _weights(backend: Backend) -> None:
    eps = float(np.finfo(backend.dtype).eps)
    for formula in FORMULAS[:5]:
        weighted = _problem(formula, shared=True)
        count = weighted.weight[0].astype(int)
        plain = Problem(
            weighted.theta,
            np.repeat(weighted.X, count, axis=0),
            np.repeat(weighted.y, count),
            np.ones((1, count.sum())),
        )
        results = []
        for problem in (weighted, plain):
            got = backend.cost_and_gradient(formula, backend.asarray(problem.theta), problem.on(backend))
            results.append(np.concatenate([backend.to_numpy(got[0])[:, None], backend.to_numpy(got[1])], axis=1))
        np.testing.assert_allclose(results[0], results[1], rtol=200 * eps, atol=200 * eps)


@_check("a row outside a fold may overflow")
def _folds_apart(backend: Backend) -> None:
    problem = _problem(FORMULAS[1], shared=True, folds=2, neurons=4)
    weight = np.ones_like(problem.weight)
    weight[0, 3] = 0
    X = problem.X.copy()
    X[3] = np.finfo(backend.dtype).max / 2
    theta = 1 + np.abs(problem.theta)
    problem = Problem(theta, X, problem.y, weight, np.array([0, 1, 0, 1]))
    with np.errstate(over="ignore", invalid="ignore"):
        got = backend.cost_and_gradient(FORMULAS[1], backend.asarray(theta), problem.on(backend))
    cost, gradient = map(backend.to_numpy, got)
    assert np.isfinite(cost[[0, 2]]).all(), f"cost {cost}"
    assert np.isfinite(gradient[[0, 2]]).all(), "gradient of the fold without the row is not finite"
    assert not np.isfinite(cost[[1, 3]]).any(), "cost of the fold with the row is finite"


@_check("each neuron has the y and the weights of its set")
def _sets(backend: Backend) -> None:
    eps = float(np.finfo(backend.dtype).eps)
    tolerance = {"float32": 2e-4, "float64": 1e-11}[backend.dtype]
    rule, rng = Rule("nesterov"), np.random.default_rng(7)
    for folds in (1, 3):
        fold = np.array([2, 0, 1, 1, 2])
        problem = _problem(ARTICLE, shared=True, folds=folds, targets=3)._replace(fold=fold)
        samples, rows = problem.on(backend), np.array([4, 0, 3, 1])
        got = backend.cost_and_gradient(ARTICLE, backend.asarray(problem.theta), samples)
        cost, gradient = map(backend.to_numpy, got)
        for k in range(len(cost)):
            c, g, cost_size, size = exact(ARTICLE, problem, k)
            _held(f"cost: {_where(problem)}", cost[k], [c], eps * cost_size)
            _held(f"gradient: {_where(problem)}", gradient[k], g, eps * size)
        some = problem._replace(theta=problem.theta[rows], fold=fold[rows])
        state, knobs = _start(backend, rule, some), _knobs(backend.dtype, len(rows), problem.theta.shape[1])
        for each in (None, 1, len(rows)):
            batches = None if each is None else rng.integers(0, len(problem.X), (STEPS, each, 8)).astype(np.int32)
            chunk = _chunk(STEPS, batches=batches)
            after, _ = backend.descend(ARTICLE, rule, samples, rows, state, knobs, chunk)
            wanted = _reference(rule, ARTICLE, some, state, knobs, chunk)
            where = f"{_where(problem)}, {'all rows' if each is None else f'{each} mini batches a step'}"
            np.testing.assert_allclose(after.point, wanted.point, rtol=tolerance, atol=tolerance, err_msg=where)


@_check("one plain step is equations 24 and 33 to the bit")
def _one_step(backend: Backend) -> None:
    # integers and powers of two: nothing rounds, in float32 either
    w, b, eta = [2, -1], 1, Fraction(1, 4)
    X, y = [[1, 1], [0, 1], [-1, 2], [3, 0]], [1, 2, 3, -4]
    z = [sum(i * j for i, j in zip(w, row, strict=True)) + b for row in X]
    opened = [i for i in range(4) if z[i] > 0]
    dw = [Fraction(2, 4) * sum((z[i] - y[i]) * X[i][j] for i in opened) for j in range(2)]
    db = Fraction(2, 4) * sum(z[i] - y[i] for i in opened)
    wanted = [float(v) for v in (*(w[j] - eta * dw[j] for j in range(2)), b - eta * db)]
    theta = np.array([[*w, b]], float)
    shared = Problem(theta, np.array(X, float), np.array(y, float), np.ones((1, 4)))
    for problem in (shared, Problem(theta, shared.X[None], shared.y[None], shared.weight)):
        state = _start(backend, Rule("plain"), problem, rate=float(eta))
        after, trace = backend.descend(
            ARTICLE,
            Rule("plain"),
            problem.on(backend),
            np.array([0]),
            state,
            _knobs(backend.dtype, 1, 3),
            _chunk(1, trace=True),
        )
        np.testing.assert_array_equal(after.point[0], wanted)
        np.testing.assert_array_equal(after.step, [1])
        cost = sum((Fraction(max(0, z[i]) - y[i])) ** 2 for i in range(4)) / 4
        assert trace is not None
        np.testing.assert_array_equal(np.asarray(trace), [[float(cost)]])


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


def _setting(
    backend: Backend, rule: Rule, *, shared: bool, neurons: int = 5, folds: int = 1
) -> tuple[Problem, State, Knobs]:
    problem = _problem(ARTICLE, shared=shared, neurons=neurons, folds=folds)
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
    knobs = _knobs(backend.dtype, neurons, size, free=free, **given)
    return problem, _start(backend, rule, problem), knobs


@_check("every rule's steps are those of the rule in plain NumPy")
def _rules(backend: Backend) -> None:
    tolerance = {"float32": 2e-4, "float64": 1e-11}[backend.dtype]
    for rule in RULES:
        folded = ((True, 3),) if rule == Rule("nesterov") else ()
        for shared, folds in ((True, 1), (False, 1), *folded):
            problem, state, knobs = _setting(backend, rule, shared=shared, folds=folds)
            chunk = Chunk(np.linspace(1, 0.5, STEPS))
            rows = np.arange(len(problem.theta))
            after, _ = backend.descend(ARTICLE, rule, problem.on(backend), rows, state, knobs, chunk)
            wanted = _reference(rule, ARTICLE, problem, state, knobs, chunk)
            for field, found, right in zip(State._fields, after, wanted, strict=True):
                np.testing.assert_allclose(
                    found, right, rtol=tolerance, atol=tolerance, err_msg=f"{field}: {rule}, {_where(problem)}"
                )


@_check("mini batches see their rows alone")
def _batches(backend: Backend) -> None:
    tolerance = {"float32": 2e-4, "float64": 1e-11}[backend.dtype]
    rng = np.random.default_rng(5)
    for shared, each, folds in ((True, False, 1), (True, True, 1), (True, True, 2), (False, True, 1)):
        rule = Rule("momentum")
        problem, state, knobs = _setting(backend, rule, shared=shared, folds=folds)
        neurons = len(problem.theta)
        batches = rng.integers(0, problem.X.shape[-2], (12, neurons if each else 1, 8)).astype(np.int32)
        batches[3, :, 5:] = -1
        chunk = Chunk(np.ones(12), batches)
        after, _ = backend.descend(ARTICLE, rule, problem.on(backend), np.arange(neurons), state, knobs, chunk)
        wanted = _reference(rule, ARTICLE, problem, state, knobs, chunk)
        np.testing.assert_allclose(after.point, wanted.point, rtol=tolerance, atol=tolerance, err_msg=_where(problem))


@_check("chunks split anywhere give the same state to the bit")
def _splits(backend: Backend) -> None:
    for rule in RULES[:4]:
        for shared in (True, False):
            problem, state, knobs = _setting(backend, rule, shared=shared)
            samples, rows = problem.on(backend), np.arange(len(problem.theta))
            factors = np.linspace(1, 0.5, STEPS)
            whole, _ = backend.descend(ARTICLE, rule, samples, rows, state, knobs, Chunk(factors))
            # one rule in each place, the others in half: where chunks are compiled, each length is a program
            for edge in (1, 5, 6) if rule.method == "nesterov" else (6,):
                now = state
                for part in (factors[:edge], factors[edge:]):
                    now, _ = backend.descend(ARTICLE, rule, samples, rows, now, knobs, Chunk(part))
                _same_state(f"{rule}, {_where(problem)}, split at {edge}", now, whole)


@_check("a neuron gets the same bits whoever runs beside it")
def _neighbours(backend: Backend) -> None:
    for rule in (Rule("nesterov"), Rule("adam")):
        problem, state, knobs = _setting(backend, rule, shared=False, neurons=70)
        poisoned = problem._replace(X=problem.X.copy())
        poisoned.X[10] = np.nan
        chunk, count = _chunk(25), len(problem.theta)
        everyone = np.arange(count)
        together = backend.descend(ARTICLE, rule, problem.on(backend), everyone, state, knobs, chunk)[0]

        def subset(
            rows: np.ndarray, p: Problem, s: State = state, k: Knobs = knobs, r: Rule = rule, c: Chunk = chunk
        ) -> State:
            part = State(*(a[rows] for a in s))
            knob = Knobs(*(a if a is k.penalised else a[rows] for a in k))
            return backend.descend(ARTICLE, r, p.on(backend), rows, part, knob, c)[0]

        for rows in (np.array([3]), np.arange(count)[::-1], np.arange(0, count, 3)):
            _same_state(
                f"{rule.method}: {len(rows)} of {count}", subset(rows, problem), State(*(a[rows] for a in together))
            )
        healthy = np.delete(everyone, 10)
        beside = subset(everyone, poisoned)
        _same_state(
            f"{rule.method}: beside a poisoned one",
            State(*(a[healthy] for a in beside)),
            State(*(a[healthy] for a in together)),
        )
        assert beside.phase[10] == DIVERGED, "a neuron whose data are NaN is not DIVERGED"


@_check("each ends as it should: stationary, diverged, out of steps")
def _endings(backend: Backend) -> None:
    rule = Rule("plain")
    problem, state, knobs = _setting(backend, rule, shared=False, neurons=4)
    rate = state.rate.copy()
    rate[1] = 1e6
    limit = np.array([2**30, 2**30, 3, 2**30], np.int32)
    threshold = np.array([np.finfo(backend.dtype).max, -1, -1, -1], backend.dtype)
    ceiling = np.full(4, 1e6, backend.dtype)
    knobs = knobs._replace(limit=limit, threshold=threshold, ceiling=ceiling)
    state = state._replace(rate=rate)
    with np.errstate(all="ignore"):
        after, trace = backend.descend(
            ARTICLE, rule, problem.on(backend), np.arange(4), state, knobs, _chunk(10, trace=True)
        )
    np.testing.assert_array_equal(after.phase, [STATIONARY, DIVERGED, EXHAUSTED, RUNNING])
    np.testing.assert_array_equal(after.step[[0, 2, 3]], [0, 3, 10])
    assert after.step[1] < 10, "a diverged neuron went on"
    _same_bits("a stationary neuron moved", after.point[0], state.point[0])
    assert np.isfinite(after.best).all(), "the best parameters are not finite"
    assert np.isfinite(after.best_cost[1]), "the best cost of a diverged neuron is not finite"
    assert trace is not None
    assert np.shape(trace) == (10, 4), f"trace of shape {np.shape(trace)}"
    again, _ = backend.descend(
        ARTICLE, rule, problem.on(backend), np.arange(3), _rows(after, 3), _knob_rows(knobs, 3), _chunk(5)
    )
    _same_state("what has ended moved", again, _rows(after, 3))


def _rows(state: State, count: int) -> State:
    return State(*(a[:count] for a in state))


def _knob_rows(knobs: Knobs, count: int) -> Knobs:
    return Knobs(*(a if a is knobs.penalised else a[:count] for a in knobs))


@_check("descend takes and gives NumPy, and leaves its arguments alone")
def _numpy_in_and_out(backend: Backend) -> None:
    rule = Rule("adam")
    for shared in (True, False):
        problem, state, knobs = _setting(backend, rule, shared=shared)
        samples = problem.on(backend)
        before, held = [a.copy() for a in state], [a.copy() for a in knobs]
        after, trace = backend.descend(ARTICLE, rule, samples, np.arange(5), state, knobs, _chunk(3))
        assert trace is None, "a trace that was not asked for"
        for field, new, old in zip(State._fields, after, before, strict=True):
            assert isinstance(new, np.ndarray), f"{field} is {type(new).__name__}"
            assert (new.dtype, new.shape) == (old.dtype, old.shape), f"{field}: {new.dtype}{new.shape}"
        for field, now, then in zip((*State._fields, *Knobs._fields), (*state, *knobs), (*before, *held), strict=True):
            _same_bits(f"descend wrote to its argument {field}", now, then)
        expected = backend.cost_and_gradient(ARTICLE, backend.asarray(problem.theta), samples)[0]
        np.testing.assert_allclose(
            backend.descend(ARTICLE, rule, samples, np.arange(5), state, _knobs(backend.dtype, 5, 4), _chunk(1))[
                0
            ].cost,
            backend.to_numpy(expected),
            rtol=100 * float(np.finfo(backend.dtype).eps),
        )


@_check("the same call gives the same bits")
def _repeatable(backend: Backend) -> None:
    for shared in (True, False):
        problem, state, knobs = _setting(backend, Rule("nesterov"), shared=shared)
        runs = [
            backend.descend(ARTICLE, Rule("nesterov"), problem.on(backend), np.arange(5), state, knobs, _chunk(30))[0]
            for _ in range(2)
        ]
        _same_state(_where(problem), *runs)


@_check("autodiff, where there is any, agrees with the hand-derived gradient")
def _autodiff(backend: Backend) -> None:
    if not isinstance(backend, SupportsGrad):
        return
    eps = float(np.finfo(backend.dtype).eps)
    for formula in FORMULAS:
        for problem in _cases(formula):
            samples, theta = problem.on(backend), backend.asarray(problem.theta)
            by_autodiff = backend.to_numpy(backend.grad(formula, theta, samples))
            by_hand = backend.to_numpy(backend.cost_and_gradient(formula, theta, samples)[1])
            scale = max(1.0, float(np.abs(by_hand).max()))
            where = f"{formula.activation.name}, {formula.loss.name}, {_where(problem)}"
            np.testing.assert_allclose(by_autodiff, by_hand, rtol=0, atol=200 * eps * scale, err_msg=where)
