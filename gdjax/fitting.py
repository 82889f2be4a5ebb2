"""fit: arguments checked, a problem made, trained, and told."""

import math
from typing import Any

import numpy as np

from gdjax import status as st
from gdjax.custom import is_custom, try_once
from gdjax.data import Data, bad_codes, check
from gdjax.descent import Descent, Validation
from gdjax.discovery import DEFAULT
from gdjax.discovery import backend as find_backend
from gdjax.engine import begin, more_steps, train
from gdjax.errors import DataError, UsageError
from gdjax.event import Callback
from gdjax.files import physical_memory
from gdjax.groups import lookup
from gdjax.neuron import Neuron
from gdjax.params import Params
from gdjax.problem import Problem
from gdjax.progress import shown
from gdjax.protocol import Backend
from gdjax.resuming import Keeper, describe, plain
from gdjax.rule import METHODS
from gdjax.run import Run
from gdjax.runstate import RunState
from gdjax.schedules import as_schedule, for_kinks
from gdjax.slab import Slab

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


def fit(
    neuron: Neuron,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    sample_weight: Any = None,
    validation: Any = None,
    features: Any = None,
    backend: str | Backend = DEFAULT,
    dtype: str | None = None,
    method: Any = "nesterov",
    learning_rate: Any = "auto",
    steps: int = 10_000,
    batch_size: int | None = None,
    tolerance: float | None = None,
    patience: int | None = None,
    standardize: bool = True,
    init: Params | None = None,
    seed: int = 0,
    min_rows: int | None = None,
    memory_limit: int | None = None,
    verify: bool = True,
    progress: bool = False,
    callback: Callback | None = None,
    checkpoint: Any = None,
) -> Run:
    """Trains `neuron` by gradient descent on its hand-derived gradient; with `groups`, one neuron a group.

    Args:
        neuron: the formula and its penalties.
        X: (N, D) real numbers, or a data frame of numbers.
        y: (N,) targets.
        groups: a key a row, (N,) of any type, or several columns of them; None for one neuron.
        sample_weight: (N,) >= 0; a row of weight 0 is as if absent.
        validation: (X, y), with groups (X, y, groups): the parameters of least cost on it are given back.
        features: D names.
        backend: a name or an instance.
        dtype: "float32" or "float64"; by default what X has, integers as float64.
        method: "plain", "momentum", "nesterov" or "adam"; on JAX any `optax.GradientTransformation` too, whose updates
            `learning_rate` multiplies, "auto" for 1.
        learning_rate: "auto", a number in the columns that the descent sees, or a `gdjax.schedules` schedule.
        steps: the most steps.
        batch_size: rows of a mini batch; None for all.
        tolerance: relative distance to the optimum that "converged" certifies; 1e-9 in float64 and 1e-4 in float32 by
            default; 0 runs all the steps.
        patience: looks at the validation set, 100 steps apart, without a better cost before it stops.
        standardize: whether the descent sees columns of mean 0 and deviation 1.
        init: parameters to start from, in raw units.
        seed: of random starts and shuffles; 0 starts a ReLU neuron by construction.
        min_rows: groups of fewer rows are not trained; by default the number of parameters.
        memory_limit: bytes that samples and what is made of them may take at a time.
        verify: whether a user's own formula is verified first.
        progress: whether a progress bar is shown.
        callback: called with a `gdjax.event.Event` between chunks; True, returned, ends the run.
        checkpoint: a path: the run is saved there between chunks, and the same call again goes on from it.

    Returns:
        The `Run`; its `status` and `reason` say what became of each neuron.

    Raises:
        UsageError: an argument of the wrong kind or out of range.
        DataError: data that cannot be trained on; with `groups` a group's bad data is its status instead.

    >>> import numpy as np
    >>> run = fit(Neuron("identity"), np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]), backend="numpy")
    >>> run.status, round(float(run.weights[0]), 9), round(float(run.bias), 9)
    ('converged', 2.0, 1.0)
    """
    data = check(X, y, neuron.formula, sample_weight=sample_weight, groups=groups, features=features)
    count = 1 if data.groups is None else len(data.groups.keys)
    given = {
        "groups": groups is not None,
        "dtype": dtype,
        "method": method,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "tolerance": tolerance,
        "patience": patience,
        "standardize": standardize,
        "seed": seed,
        "min_rows": min_rows,
    }
    return run_problem(
        neuron,
        data,
        l1=np.full(count, float(neuron.l1)),
        l2=np.full(count, float(neuron.l2)),
        rate=np.full(count, np.nan if _rate(learning_rate) is None else _rate(learning_rate)),
        seed=np.full(count, _whole("seed", seed, 0), np.int64),
        fold=np.zeros(count, np.intp) if data.groups is None else np.arange(count),
        weight=None,
        swept={},
        held_out=None,
        validation=validation,
        backend=backend,
        dtype=dtype,
        method=method,
        learning_rate=learning_rate,
        steps=steps,
        batch_size=batch_size,
        tolerance=tolerance,
        patience=patience,
        standardize=standardize,
        init=init,
        min_rows=min_rows,
        memory_limit=memory_limit,
        verify=verify,
        progress=progress,
        callback=callback,
        checkpoint=checkpoint,
        options=given,
    )


def run_problem(
    neuron: Neuron,
    data: Data,
    *,
    l1: np.ndarray,
    l2: np.ndarray,
    rate: np.ndarray,
    seed: np.ndarray,
    fold: np.ndarray,
    weight: np.ndarray | None,
    swept: dict[str, np.ndarray],
    held_out: np.ndarray | None,
    validation: Any,
    backend: Any,
    dtype: str | None,
    method: Any,
    learning_rate: Any,
    steps: int,
    batch_size: int | None,
    tolerance: float | None,
    patience: int | None,
    standardize: bool,
    init: Params | None,
    min_rows: int | None,
    memory_limit: int | None,
    verify: bool,
    progress: bool,
    callback: Callback | None,
    checkpoint: Any,
    options: dict[str, Any],
    state: RunState | None = None,
) -> Run:
    """Trains K neurons on one data set: what `fit` and `sweep` are views of."""
    engine = find_backend(backend, dtype or _dtype_of(backend, data))
    method = _method(method, engine, bool((l1 > 0).any()))
    schedule = as_schedule(learning_rate)
    descent = Descent(
        method=method,
        schedule=schedule if neuron.formula.loss.smooth else for_kinks(schedule),
        steps=_whole("steps", steps, 1),
        batch_size=None if batch_size is None else _whole("batch_size", batch_size, 1),
        tolerance=TOLERANCE[engine.dtype] if tolerance is None else _tolerance(tolerance),
        patience=None if patience is None else _whole("patience", patience, 1),
    )
    if patience is not None and validation is None:
        raise UsageError("patience: there is nothing to look at: pass validation=(X, y)")
    if is_custom(neuron):
        try_once(neuron)
        if verify:
            from gdjax.verification import verify_formula

            verify_formula(neuron).raise_if_failed()
    problem = Problem(
        neuron=neuron,
        data=data,
        dtype=engine.dtype,
        standardize=bool(standardize),
        l1=l1,
        l2=l2,
        rate=rate,
        seed=seed,
        fold=fold,
        weight=weight,
        memory_limit=physical_memory() // 2 if memory_limit is None else _whole("memory_limit", memory_limit, 1 << 20),
    )
    checked = _validation(validation, problem, data)
    status, reasons = _untrainable(problem, neuron, min_rows)
    start = _init(init, problem)
    run = state if state is not None else begin(problem, descent, status, reasons, checked is not None)
    keeper = None
    if checkpoint is not None:
        identity = {
            "neuron": describe(neuron),
            "method": method,
            "learning_rate": descent.schedule,
            "batch_size": batch_size,
            "tolerance": descent.tolerance,
            "patience": patience,
            "standardize": problem.standardize,
            "min_rows": min_rows,
            "dtype": engine.dtype,
            "features": list(data.features),
        }
        own = {"l1": l1, "l2": l2, "rate": rate, "seed": seed, "init": start, "fold weights": weight}
        keeper = Keeper(checkpoint, descent.steps, plain(identity), {**own, **_arrays(data, validation)})
        run = keeper.take_up(run)
    more_steps(run, descent)
    save = None if keeper is None else keeper.save
    with shown(progress, callback) as told:
        train(problem, descent, engine, run, init=start, validation=checked, callback=told, save=save)
    if keeper is not None:
        keeper.save(run, last=True)
    judged = run.best_validation.copy() if checked is not None else None
    if held_out is not None:
        judged = _mean_cost(neuron.pointwise(np), run.raw, data.X, data.y, held_out[fold])
    return _run(problem, engine, run, swept, judged, {**options, "steps": steps})


def _method(given: Any, engine: Backend, sparse: bool) -> Any:
    if isinstance(given, str):
        if given not in METHODS:
            raise UsageError(f"unknown method {given!r}: known are {', '.join(METHODS)}")
        return given
    from gdjax.optax import as_method

    if sparse:
        raise UsageError("method: l1 needs a proximal step, which a transformation lacks: pass a named method")
    return as_method(given, engine.xp)


def go_on(run: Run, X: Any, y: Any, steps: int, options: dict[str, Any]) -> Run:
    """See `Run.continue_`."""
    if run.state is None:
        raise UsageError("continue_: this run holds no state: it was loaded from a file without one; fit it again")
    if run.swept:
        raise UsageError("continue_: a sweep cannot go on; sweep again with more steps")
    import copy

    known = {k: v for k, v in run.options.items() if k not in ("groups", "steps")}
    data = check(
        X,
        y,
        run.neuron.formula,
        sample_weight=options.pop("sample_weight", None),
        groups=options.pop("groups", None),
        features=run.feature_names,
    )
    if (data.groups is None) != (run.groups is None) or (
        1 if data.groups is None else len(data.groups.keys)
    ) != run.models:
        raise DataError("continue_: other groups than at fit: pass the data it was fitted on")
    count, rate = run.models, _rate(known["learning_rate"])
    rest = {
        "validation": None,
        "backend": run.backend,
        "memory_limit": None,
        "verify": False,
        "progress": False,
        "callback": None,
        "checkpoint": None,
        **options,
    }
    seed = known.pop("seed")
    return run_problem(
        run.neuron,
        data,
        l1=np.full(count, float(run.neuron.l1)),
        l2=np.full(count, float(run.neuron.l2)),
        rate=np.full(count, np.nan if rate is None else rate),
        seed=np.full(count, seed, np.int64),
        fold=np.zeros(count, np.intp) if data.groups is None else np.arange(count),
        weight=None,
        swept={},
        held_out=None,
        init=None,
        steps=steps,
        options={**run.options},
        state=copy.deepcopy(run.state),
        **{**known, "dtype": run.dtype},
        **rest,
    )


def _run(
    problem: Problem,
    engine: Backend,
    run: RunState,
    swept: dict[str, np.ndarray],
    judged: np.ndarray | None,
    options: dict[str, Any],
) -> Run:
    groups = problem.data.groups
    single = groups is None and not swept
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
        groups=None if groups is None else groups.keys,
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
    if data.groups is None:
        weights = data.weight[None] if problem.weight is None else problem.weight
        rows = (weights > 0).sum(axis=1)[problem.fold]
        total = weights.sum(axis=1)
        mean = weights @ data.y.astype(np.float64) / total
        spread = np.array([(w * (data.y - m) ** 2).sum() for w, m in zip(weights, mean, strict=True)])
        left = np.zeros(count)
        step = max(1, (1 << 22) // max(1, count + data.X.shape[1]))
        with np.errstate(over="ignore", invalid="ignore"):
            for at in range(0, len(data.X), step):
                part = slice(at, at + step)
                z = run.raw[:, :-1] @ data.X[part].T.astype(np.float64) + run.raw[:, -1:]
                left += (weights[:, part][problem.fold] * (predict(z) - data.y[part]) ** 2).sum(axis=1)
        spread = spread[problem.fold]
    else:
        code, w = data.groups.code, data.weight
        rows = np.bincount(code, minlength=count)
        left, spread = np.zeros(count), np.zeros(count)
        total = np.bincount(code, w, count)
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            mean = np.bincount(code, w * data.y, count) / np.where(total > 0, total, 1)
            spread = np.bincount(code, w * (data.y - mean[code]) ** 2, count)
            step = max(1, (1 << 22) // data.X.shape[1])
            for at in range(0, len(code), step):
                part = slice(at, at + step)
                raw = run.raw[code[part]]
                z = (data.X[part] * raw[:, :-1]).sum(axis=1) + raw[:, -1]
                left += np.bincount(code[part], w[part] * (predict(z) - data.y[part]) ** 2, count)
    with np.errstate(divide="ignore", invalid="ignore"):
        r2 = np.where(spread > 0, 1 - left / spread, np.nan)
    return rows, np.where(np.isfinite(run.raw[:, -1]), r2, np.nan)


def _untrainable(problem: Problem, neuron: Neuron, min_rows: int | None) -> tuple[np.ndarray, list[str]]:
    status, reasons = bad_codes(problem.data, problem.count)
    groups = problem.data.groups
    if groups is None:
        return status, reasons
    parameters = problem.size - (not neuron.bias)
    least = parameters if min_rows is None else _whole("min_rows", min_rows, 1)
    for g in np.nonzero((groups.length < least) & (status == st.PENDING))[0]:
        rows = int(groups.length[g])
        status[g] = st.TOO_FEW_ROWS
        what = f"{parameters} parameters" if min_rows is None else f"min_rows {least}"
        reasons[g] = f"{rows} row{'s' * (rows != 1)} for {what}"
    return status, reasons


def _validation(given: Any, problem: Problem, data: Data) -> Validation | None:
    pointwise = problem.neuron.pointwise(np)
    if given is None:
        return None
    if not isinstance(given, (tuple, list)) or len(given) != (2 if data.groups is None else 3):
        need = "(X, y)" if data.groups is None else "(X, y, groups)"
        raise UsageError(f"validation must be {need}")
    extra = check(given[0], given[1], problem.neuron.formula, features=data.features, what="validation: ")
    if extra.X.shape[1] != data.X.shape[1]:
        raise DataError(f"validation: X has {extra.X.shape[1]} columns and the fit's has {data.X.shape[1]}")
    if data.groups is None:

        def on_samples(slab: Slab, rows: np.ndarray, raw: np.ndarray) -> np.ndarray:
            return _mean_cost(pointwise, raw, extra.X, extra.y, np.ones((len(raw), len(extra.y))))

        return Validation(on_samples)
    code = lookup(data.groups.keys, given[2], len(extra.y))
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(problem.count + 1))

    def on_groups(slab: Slab, rows: np.ndarray, raw: np.ndarray) -> np.ndarray:
        out = np.full(len(rows), np.inf)
        for i, neuron in enumerate(slab.neurons[rows]):
            at = order[starts[neuron] : starts[neuron + 1]]
            if len(at):
                ones = np.ones((1, len(at)))
                out[i] = _mean_cost(pointwise, raw[i : i + 1], extra.X[at], extra.y[at], ones)[0]
        return out

    return Validation(on_groups)


def _mean_cost(pointwise: Any, raw: np.ndarray, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    cost = np.zeros(len(raw))
    step = max(1, (1 << 22) // max(1, len(raw) + X.shape[1]))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for at in range(0, len(X), step):
            part = slice(at, at + step)
            z = raw[:, :-1] @ X[part].T.astype(np.float64) + raw[:, -1:]
            each = pointwise.cost(z, np.broadcast_to(y[part].astype(np.float64), z.shape))
            cost += np.where(weight[:, part] > 0, weight[:, part] * each, 0.0).sum(axis=1)
        return np.asarray(cost / weight.sum(axis=1))


def _init(init: Params | None, problem: Problem) -> np.ndarray | None:
    if init is None:
        return None
    try:
        weights, bias = init
        weights = np.atleast_2d(np.asarray(weights, np.float64))
        bias = np.atleast_1d(np.asarray(bias, np.float64))
    except (TypeError, ValueError) as error:
        raise UsageError("init must be gdjax.Params(weights, bias)") from error
    columns = problem.size - 1
    if weights.shape[1:] != (columns,) or len(weights) not in (1, problem.count) or bias.shape != weights.shape[:1]:
        raise UsageError(
            f"init: weights {np.shape(init[0])} and bias {np.shape(init[1])}: pass ({columns},) and (), "
            f"or ({problem.count}, {columns}) and ({problem.count},)"
        )
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise UsageError("init: parameters must be finite")
    return np.concatenate([weights, bias[:, None]], axis=1)


def _dtype_of(backend: Any, data: Data) -> str:
    return data.dtype if isinstance(backend, str) else str(backend.dtype)


def _rate(learning_rate: Any) -> float | None:
    rate = as_schedule(learning_rate).rate
    return None if isinstance(rate, str) else float(rate)


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UsageError(f"{name} = {value!r} must be a whole number >= {least}")
    return int(value)


def _tolerance(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number < 1:
        raise UsageError(f"tolerance = {value!r} must be a number >= 0 and < 1")
    return number


def _arrays(data: Data, validation: Any) -> dict[str, Any]:
    """The data that decide what a run gives."""
    out: dict[str, Any] = {"X": data.X, "y": data.y, "sample_weight": data.weight}
    if data.groups is not None:
        out["groups"], out["group keys"] = data.groups.code, data.groups.keys
    for name, part in zip(("X", "y", "groups"), validation or (), strict=False):
        out[f"validation {name}"] = part
    return out
