"""Checks of descents: steps, mini batches, chunks, neighbours and endings."""

from fractions import Fraction

import numpy as np

from gdjax.protocol import Backend, Chunk
from gdjax.rule import DIVERGED, EXHAUSTED, RUNNING, STATIONARY, Knobs, Rule, State
from gdjax.testing.oracles import reference
from gdjax.testing.problems import ARTICLE, RULES, STEPS, Problem, make_chunk, make_knobs, setting, start
from gdjax.testing.registry import check, same_bits, same_state


@check("one plain step is equations 24 and 33 to the bit")
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
        state = start(backend, Rule("plain"), problem, rate=float(eta))
        after, trace = backend.descend(
            ARTICLE,
            Rule("plain"),
            problem.on(backend),
            np.array([0]),
            state,
            make_knobs(backend.dtype, 1, 3),
            make_chunk(1, trace=True),
        )
        np.testing.assert_array_equal(after.point[0], wanted)
        np.testing.assert_array_equal(after.step, [1])
        cost = sum((Fraction(max(0, z[i]) - y[i])) ** 2 for i in range(4)) / 4
        assert trace is not None
        np.testing.assert_array_equal(np.asarray(trace), [[float(cost)]])


@check("every rule's steps are those of the rule in plain NumPy")
def _rules(backend: Backend) -> None:
    tolerance = {"float32": 2e-4, "float64": 1e-11}[backend.dtype]
    for rule in RULES:
        folded = ((True, 3),) if rule == Rule("nesterov") else ()
        for shared, folds in ((True, 1), (False, 1), *folded):
            problem, state, knobs = setting(backend, rule, shared=shared, folds=folds)
            chunk = Chunk(np.linspace(1, 0.5, STEPS))
            rows = np.arange(len(problem.theta))
            after, _ = backend.descend(ARTICLE, rule, problem.on(backend), rows, state, knobs, chunk)
            wanted = reference(rule, ARTICLE, problem, state, knobs, chunk)
            for field, found, right in zip(State._fields, after, wanted, strict=True):
                np.testing.assert_allclose(
                    found, right, rtol=tolerance, atol=tolerance, err_msg=f"{field}: {rule}, {problem}"
                )


@check("mini batches see their rows alone")
def _batches(backend: Backend) -> None:
    tolerance = {"float32": 2e-4, "float64": 1e-11}[backend.dtype]
    rng = np.random.default_rng(5)
    for shared, each, folds in ((True, False, 1), (True, True, 1), (True, True, 2), (False, True, 1)):
        rule = Rule("momentum")
        problem, state, knobs = setting(backend, rule, shared=shared, folds=folds)
        neurons = len(problem.theta)
        batches = rng.integers(0, problem.X.shape[-2], (12, neurons if each else 1, 8)).astype(np.int32)
        batches[3, :, 5:] = -1
        chunk = Chunk(np.ones(12), batches)
        after, _ = backend.descend(ARTICLE, rule, problem.on(backend), np.arange(neurons), state, knobs, chunk)
        wanted = reference(rule, ARTICLE, problem, state, knobs, chunk)
        np.testing.assert_allclose(after.point, wanted.point, rtol=tolerance, atol=tolerance, err_msg=str(problem))


@check("chunks split anywhere give the same state to the bit")
def _splits(backend: Backend) -> None:
    for rule in RULES[:4]:
        for shared in (True, False):
            problem, state, knobs = setting(backend, rule, shared=shared)
            samples, rows = problem.on(backend), np.arange(len(problem.theta))
            factors = np.linspace(1, 0.5, STEPS)
            whole, _ = backend.descend(ARTICLE, rule, samples, rows, state, knobs, Chunk(factors))
            # one rule in each place, the others in half: where chunks are compiled, each length is a program
            for edge in (1, 5, 6) if rule.method == "nesterov" else (6,):
                now = state
                for part in (factors[:edge], factors[edge:]):
                    now, _ = backend.descend(ARTICLE, rule, samples, rows, now, knobs, Chunk(part))
                same_state(f"{rule}, {problem}, split at {edge}", now, whole)


@check("a neuron gets the same bits whoever runs beside it")
def _neighbours(backend: Backend) -> None:
    for rule in (Rule("nesterov"), Rule("adam")):
        problem, state, knobs = setting(backend, rule, shared=False, neurons=70)
        poisoned = problem._replace(X=problem.X.copy())
        poisoned.X[10] = np.nan
        chunk, count = make_chunk(STEPS), len(problem.theta)
        everyone = np.arange(count)
        together = backend.descend(ARTICLE, rule, problem.on(backend), everyone, state, knobs, chunk)[0]

        def subset(
            rows: np.ndarray, p: Problem, s: State = state, k: Knobs = knobs, r: Rule = rule, c: Chunk = chunk
        ) -> State:
            part = State(*(a[rows] for a in s))
            knob = Knobs(*(a if a is k.penalised else a[rows] for a in k))
            return backend.descend(ARTICLE, r, p.on(backend), rows, part, knob, c)[0]

        for rows in (np.array([3]), np.arange(count)[::-1], np.arange(0, count, 3)):
            same_state(
                f"{rule.method}: {len(rows)} of {count}", subset(rows, problem), State(*(a[rows] for a in together))
            )
        healthy = np.delete(everyone, 10)
        beside = subset(everyone, poisoned)
        same_state(
            f"{rule.method}: beside a poisoned one",
            State(*(a[healthy] for a in beside)),
            State(*(a[healthy] for a in together)),
        )
        assert beside.phase[10] == DIVERGED, "a neuron whose data are NaN is not DIVERGED"


@check("each ends as it should: stationary, diverged, out of steps")
def _endings(backend: Backend) -> None:
    rule = Rule("plain")
    problem, state, knobs = setting(backend, rule, shared=False)
    rate = state.rate.copy()
    rate[1] = 1e6
    limit = np.array([2**30, 2**30, 3, 2**30, 2**30], np.int32)
    threshold = np.array([np.finfo(backend.dtype).max, -1, -1, -1, -1], backend.dtype)
    ceiling = np.full(5, 1e6, backend.dtype)
    knobs = knobs._replace(limit=limit, threshold=threshold, ceiling=ceiling)
    state = state._replace(rate=rate)
    with np.errstate(all="ignore"):
        after, trace = backend.descend(
            ARTICLE, rule, problem.on(backend), np.arange(5), state, knobs, make_chunk(10, trace=True)
        )
    np.testing.assert_array_equal(after.phase, [STATIONARY, DIVERGED, EXHAUSTED, RUNNING, RUNNING])
    np.testing.assert_array_equal(after.step[[0, 2, 3, 4]], [0, 3, 10, 10])
    assert after.step[1] < 10, "a diverged neuron went on"
    same_bits("a stationary neuron moved", after.point[0], state.point[0])
    assert np.isfinite(after.best).all(), "the best parameters are not finite"
    assert np.isfinite(after.best_cost[1]), "the best cost of a diverged neuron is not finite"
    assert trace is not None
    assert np.shape(trace) == (10, 5), f"trace of shape {np.shape(trace)}"
    again, _ = backend.descend(
        ARTICLE, rule, problem.on(backend), np.arange(3), first_rows(after, 3), first_knobs(knobs, 3), make_chunk(5)
    )
    same_state("what has ended moved", again, first_rows(after, 3))


def first_rows(state: State, count: int) -> State:
    return State(*(a[:count] for a in state))


def first_knobs(knobs: Knobs, count: int) -> Knobs:
    return Knobs(*(a if a is knobs.penalised else a[:count] for a in knobs))


@check("descend takes and gives NumPy, and leaves its arguments alone")
def _numpy_in_and_out(backend: Backend) -> None:
    rule = Rule("adam")
    for shared in (True, False):
        problem, state, knobs = setting(backend, rule, shared=shared)
        samples = problem.on(backend)
        before, held = [a.copy() for a in state], [a.copy() for a in knobs]
        after, trace = backend.descend(ARTICLE, rule, samples, np.arange(5), state, knobs, make_chunk(3))
        assert trace is None, "a trace that was not asked for"
        for field, new, old in zip(State._fields, after, before, strict=True):
            assert isinstance(new, np.ndarray), f"{field} is {type(new).__name__}"
            assert (new.dtype, new.shape) == (old.dtype, old.shape), f"{field}: {new.dtype}{new.shape}"
        for field, now, then in zip((*State._fields, *Knobs._fields), (*state, *knobs), (*before, *held), strict=True):
            same_bits(f"descend wrote to its argument {field}", now, then)
        expected = backend.cost_and_gradient(ARTICLE, backend.asarray(problem.theta), samples)[0]
        np.testing.assert_allclose(
            backend.descend(
                ARTICLE, rule, samples, np.arange(5), state, make_knobs(backend.dtype, 5, 4), make_chunk(1)
            )[0].cost,
            backend.to_numpy(expected),
            rtol=100 * float(np.finfo(backend.dtype).eps),
        )


@check("the same call gives the same bits")
def _repeatable(backend: Backend) -> None:
    for shared in (True, False):
        problem, state, knobs = setting(backend, Rule("nesterov"), shared=shared)
        runs = [
            backend.descend(ARTICLE, Rule("nesterov"), problem.on(backend), np.arange(5), state, knobs, make_chunk(30))[
                0
            ]
            for _ in range(2)
        ]
        same_state(str(problem), *runs)
