"""Checks of costs and gradients."""

import numpy as np

from gdjax.protocol import Backend, SupportsGrad
from gdjax.rule import Rule
from gdjax.testing.oracles import exact, reference
from gdjax.testing.problems import (
    ARTICLE,
    FORMULAS,
    STEPS,
    Problem,
    cases,
    make_chunk,
    make_knobs,
    make_problem,
    start,
)
from gdjax.testing.registry import check, held


@check("cost and gradient are what rational arithmetic says")
def _exact(backend: Backend) -> None:
    eps = float(np.finfo(backend.dtype).eps)
    for formula in FORMULAS:
        for problem in cases(formula):
            got = backend.cost_and_gradient(formula, backend.asarray(problem.theta), problem.on(backend))
            cost, gradient = map(backend.to_numpy, got)
            where = f"{formula.activation.name}, {formula.loss.name}, {problem}"
            assert cost.dtype == gradient.dtype == np.dtype(backend.dtype), f"{where}: results in {cost.dtype}"
            assert cost.shape == (len(problem.theta),), f"{where}: cost of shape {cost.shape}"
            assert gradient.shape == problem.theta.shape, f"{where}: gradient of shape {gradient.shape}"
            for k in range(min(len(cost), 8)):
                c, g, cost_size, size = exact(formula, problem, k)
                held(f"cost: {where}", cost[k], [c], eps * cost_size)
                held(f"gradient: {where}", gradient[k], g, eps * size)


@check("products are not shortened")
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


@check("the slope is 0 where z = 0")
def _kink(backend: Backend) -> None:
    # as many rows as in the check before: where programs are compiled for their shapes, it has been
    X = np.array([[1.0, -1.0], [2.0, -2.0], [0.0, 0.0], [-3.0, 3.0]])
    problem = Problem(np.array([[1.0, 1.0, 0.0]]), X, np.full(4, 5.0), np.ones((1, 4)))
    own = Problem(problem.theta, X[None], problem.y[None], problem.weight)
    for p in (problem, own):
        samples = p.on(backend)
        cost, gradient = backend.cost_and_gradient(ARTICLE, backend.asarray(p.theta), samples)
        np.testing.assert_array_equal(backend.to_numpy(cost), [25.0])
        np.testing.assert_array_equal(backend.to_numpy(gradient), [[0.0, 0.0, 0.0]])
        state = start(backend, Rule("plain"), p, rate=1.0)
        after, _ = backend.descend(
            ARTICLE, Rule("plain"), samples, np.array([0]), state, make_knobs(backend.dtype, 1, 3), make_chunk(3)
        )
        np.testing.assert_array_equal(after.point, p.theta)


@check("NaN and infinity in the data are not hidden")
def _nan(backend: Backend) -> None:
    for formula in FORMULAS:
        for shared in (True, False):
            clean = make_problem(formula, shared=shared)
            for place in ("X", "y", "theta"):
                array = getattr(clean, place).copy()
                array[..., 0] = np.nan
                problem = clean._replace(**{place: array})
                got = backend.cost_and_gradient(formula, backend.asarray(problem.theta), problem.on(backend))
                cost, gradient = map(backend.to_numpy, got)
                where = f"NaN in {place}: {formula.activation.name}, {formula.loss.name}, {problem}"
                assert np.isnan(cost).all(), f"{where}: cost {cost}"
                slope_sees = not (place == "X" and formula.activation.name in ("relu", "leaky_relu"))
                if slope_sees and formula.loss.name != "absolute_error":
                    assert np.isnan(gradient).any(axis=1).all(), f"{where}: gradient {gradient}"


@check("weight 0 is an absent row, weight 2 two rows")
def _weights(backend: Backend) -> None:
    eps = float(np.finfo(backend.dtype).eps)
    for formula in FORMULAS[:5]:
        weighted = make_problem(formula, shared=True)
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


@check("a row outside a fold may overflow")
def _folds_apart(backend: Backend) -> None:
    problem = make_problem(FORMULAS[1], shared=True, folds=3)
    weight = np.ones_like(problem.weight)
    weight[0, 3] = 0
    X = problem.X.copy()
    X[3] = np.finfo(backend.dtype).max / 2
    theta = 1 + np.abs(problem.theta)
    problem = Problem(theta, X, problem.y, weight, np.array([0, 1, 0, 1, 2]))
    with np.errstate(over="ignore", invalid="ignore"):
        got = backend.cost_and_gradient(FORMULAS[1], backend.asarray(theta), problem.on(backend))
    cost, gradient = map(backend.to_numpy, got)
    assert np.isfinite(cost[[0, 2]]).all(), f"cost {cost}"
    assert np.isfinite(gradient[[0, 2]]).all(), "gradient of the fold without the row is not finite"
    assert not np.isfinite(cost[[1, 3, 4]]).any(), "cost of a fold with the row is finite"


@check("each neuron has the y and the weights of its set")
def _sets(backend: Backend) -> None:
    eps = float(np.finfo(backend.dtype).eps)
    tolerance = {"float32": 2e-4, "float64": 1e-11}[backend.dtype]
    rule, rng = Rule("nesterov"), np.random.default_rng(7)
    for folds in (1, 3):
        fold = np.array([2, 0, 1, 1, 2])
        problem = make_problem(ARTICLE, shared=True, folds=folds, targets=3)._replace(fold=fold)
        samples, rows = problem.on(backend), np.array([4, 0, 3, 1])
        # the last of a sweep is by itself, and may be walked in a way of its own
        for of in (problem, problem._replace(theta=problem.theta[:1], fold=fold[:1])):
            got = backend.cost_and_gradient(ARTICLE, backend.asarray(of.theta), of.on(backend))
            cost, gradient = map(backend.to_numpy, got)
            for k in range(len(cost)):
                c, g, cost_size, size = exact(ARTICLE, of, k)
                held(f"cost: {of}", cost[k], [c], eps * cost_size)
                held(f"gradient: {of}", gradient[k], g, eps * size)
        some = problem._replace(theta=problem.theta[rows], fold=fold[rows])
        state, knobs = start(backend, rule, some), make_knobs(backend.dtype, len(rows), problem.theta.shape[1])
        for each in (None, 1, len(rows)):
            batches = None if each is None else rng.integers(0, len(problem.X), (STEPS, each, 8)).astype(np.int32)
            chunk = make_chunk(STEPS, batches=batches)
            after, _ = backend.descend(ARTICLE, rule, samples, rows, state, knobs, chunk)
            wanted = reference(rule, ARTICLE, some, state, knobs, chunk)
            where = f"{problem}, {'all rows' if each is None else f'{each} mini batches a step'}"
            np.testing.assert_allclose(after.point, wanted.point, rtol=tolerance, atol=tolerance, err_msg=where)


@check("autodiff, where there is any, agrees with the hand-derived gradient")
def _autodiff(backend: Backend) -> None:
    if not isinstance(backend, SupportsGrad):
        return
    eps = float(np.finfo(backend.dtype).eps)
    for formula in FORMULAS:
        for problem in cases(formula):
            samples, theta = problem.on(backend), backend.asarray(problem.theta)
            by_autodiff = backend.to_numpy(backend.grad(formula, theta, samples))
            by_hand = backend.to_numpy(backend.cost_and_gradient(formula, theta, samples)[1])
            scale = max(1.0, float(np.abs(by_hand).max()))
            where = f"{formula.activation.name}, {formula.loss.name}, {problem}"
            np.testing.assert_allclose(by_autodiff, by_hand, rtol=0, atol=200 * eps * scale, err_msg=where)
