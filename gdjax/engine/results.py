"""What is told of a run: the `Run` made of its state."""

from typing import Any

import numpy as np

from gdjax import status as st
from gdjax.data.moments import grown
from gdjax.data.rows import CACHED
from gdjax.engine.problem import Problem
from gdjax.machine.blas import for_thin_products
from gdjax.protocol import Backend
from gdjax.runs.run import Run
from gdjax.runs.state import RunState
from gdjax.samples import of_sets


def result(
    problem: Problem,
    engine: Backend,
    run: RunState,
    swept: dict[str, np.ndarray],
    judged: np.ndarray | None,
    options: dict[str, Any],
) -> Run:
    single = problem.data.keys is None and not swept
    pending = run.status == st.PENDING
    code = np.where(pending, st.MAX_STEPS, run.status)
    reasons = [r if not p else "ended by a callback" for r, p in zip(run.reasons, pending, strict=True)]
    steps = run.state.step.astype(np.int64)
    history = np.stack(run.history, axis=1) if run.history else np.full((problem.count, 1), np.nan)
    history_steps = np.array(run.history_steps if run.history else [int(steps.max(initial=0))])
    if not run.history:
        history[:, 0] = run.cost
    order = np.argsort(history_steps, kind="stable")
    names = np.array(st.NAMES)
    rate = run.state.rate.astype(np.float64)
    rate[run.attempt == 0] = np.nan
    with for_thin_products(problem.size):
        rows, r2 = _fit_quality(problem, run)

    def one(values: Any) -> Any:
        return values[0] if single else values

    return Run(
        neuron=problem.neuron,
        weights=one(run.raw[:, :-1].copy()),
        bias=one(run.raw[:, -1].copy()),
        cost=one(run.cost.copy()),
        status=str(names[code][0]) if single else names[code],
        reason=reasons[0] if single else np.array(reasons, dtype=object),
        steps=int(steps[0]) if single else steps,
        history=one(history[:, order]),
        history_steps=history_steps[order],
        groups=problem.data.keys,
        feature_names=problem.data.features,
        rows=one(rows),
        r2=one(r2),
        learning_rate=one(rate),
        condition=one(run.condition.copy()),
        backend=engine.name,
        dtype=engine.dtype,
        swept=swept,
        validation_cost=None if judged is None else one(judged),
        options=options,
        state=run,
    )


def _fit_quality(problem: Problem, run: RunState) -> tuple[np.ndarray, np.ndarray]:
    """Rows seen and R^2 of each neuron."""
    data, predict = problem.data, problem.neuron.pointwise(np).predict
    count = problem.count
    left: np.ndarray = np.zeros(count)
    rows: np.ndarray
    spread: np.ndarray
    total: np.ndarray
    if data.groups is None:
        samples = data.samples(problem.weight)
        rows = samples.counted[problem.fold]
        total, mean, spread = np.zeros((3, samples.sets))
        fold = problem.fold
        with np.errstate(over="ignore", invalid="ignore"):
            for X, y, weight in samples.blocks(count):
                mass = weight.sum(axis=1)
                total, share, between = grown(total, mass)
                here = (weight * y).sum(axis=1) / np.where(mass > 0, mass, 1)
                spread += (weight * (y - here[:, None]) ** 2).sum(axis=1) + between * (here - mean) ** 2
                mean += share * (here - mean)
                z = run.raw[:, :-1] @ X.T + run.raw[:, -1:]
                left += (of_sets(weight, fold) * (predict(z) - of_sets(y, fold)) ** 2).sum(axis=1)
        spread = spread[fold]
    else:
        code, w = data.groups.code, data.weight
        rows = np.bincount(code, minlength=count)
        total = np.bincount(code, w, count)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            mean = np.bincount(code, w * data.y, count) / np.where(total > 0, total, 1)
            spread = np.bincount(code, w * (data.y - mean[code]) ** 2, count)
            step = max(1, CACHED // data.X.shape[1])
            for at in range(0, len(code), step):
                part = slice(at, at + step)
                raw = run.raw[code[part]]
                z = (data.X[part] * raw[:, :-1]).sum(axis=1) + raw[:, -1]
                # one row after the other, as in one block
                np.add.at(left, code[part], w[part] * (predict(z) - data.y[part]) ** 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 0, 1 - left / spread, np.nan)
    return rows, np.where(np.isfinite(run.raw[:, -1]), r2, np.nan)
