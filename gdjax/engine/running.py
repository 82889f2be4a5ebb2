"""K neurons on one data set: what `fit` and `sweep` are views of."""

from typing import Any

import numpy as np

from gdjax import status as st
from gdjax.arguments import called, flag, memory, tolerated, whole
from gdjax.data.checked import Data, bad_codes
from gdjax.discovery import backend as find_backend
from gdjax.engine.descent import Descent
from gdjax.engine.loop import begin, more_steps, train
from gdjax.engine.problem import Problem
from gdjax.engine.progress import shown
from gdjax.engine.results import result
from gdjax.engine.streaming import Streaming
from gdjax.engine.validating import mean_cost, validating
from gdjax.errors import UsageError
from gdjax.event import Callback
from gdjax.neuron import Neuron
from gdjax.params import Params
from gdjax.protocol import Backend
from gdjax.rule import METHODS
from gdjax.runs.resuming import Keeper, describe, plain
from gdjax.runs.run import Run
from gdjax.runs.state import RunState
from gdjax.schedules import as_schedule, for_kinks
from gdjax.verification.custom_formula import blamed, is_custom, trust

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}


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
    engine = find_backend(backend, dtype or (data.dtype if isinstance(backend, str) else None))
    method = _method(method, engine, bool((l1 > 0).any()))
    schedule = as_schedule(learning_rate)
    descent = Descent(
        method=method,
        schedule=schedule if neuron.formula.loss.smooth else for_kinks(schedule),
        steps=whole("steps", steps, 1, 2**31 - 1),
        batch_size=None if batch_size is None else whole("batch_size", batch_size, 1),
        tolerance=TOLERANCE[engine.dtype] if tolerance is None else tolerated(tolerance),
        patience=None if patience is None else whole("patience", patience, 1),
    )
    if callback is not None:
        called("callback", callback)
    if patience is not None and validation is None:
        raise UsageError("patience: there is nothing to look at: pass validation=(X, y)")
    if is_custom(neuron):
        trust(neuron, verify)
    problem = Problem(
        neuron=neuron,
        data=data,
        dtype=engine.dtype,
        standardize=flag("standardize", standardize),
        l1=l1,
        l2=l2,
        rate=rate,
        seed=seed,
        fold=fold,
        weight=weight,
        memory_limit=memory(memory_limit),
    )
    checked = validating(validation, problem, data)
    status, reasons = _untrainable(problem, neuron, min_rows)
    start = _init(init, problem)
    walking = engine if data.stream is None else Streaming(engine)
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
    with shown(progress, callback) as told, blamed(neuron):
        train(problem, descent, walking, run, init=start, validation=checked, callback=told, save=save)
    if keeper is not None:
        keeper.save(run, last=True)
    # what is not trained has no cost
    judged = np.where(np.isnan(run.raw[:, -1]), np.nan, run.best_validation) if checked is not None else None
    if held_out is not None:
        judged = mean_cost(neuron.pointwise(np), run.raw, data.X, data.y, held_out[fold])
    return result(problem, engine, run, swept, judged, {**options, "steps": steps})


def _method(given: Any, engine: Backend, sparse: bool) -> Any:
    if isinstance(given, str):
        if given not in METHODS:
            raise UsageError(f"unknown method {given!r}: known are {', '.join(METHODS)}")
        return given
    from gdjax.optax import as_method

    if sparse:
        raise UsageError("method: l1 needs a proximal step, which a transformation lacks: pass a named method")
    return as_method(given, engine.xp)


def _untrainable(problem: Problem, neuron: Neuron, min_rows: int | None) -> tuple[np.ndarray, list[str]]:
    status, reasons = bad_codes(problem.data, problem.count)
    groups = problem.data.groups
    if groups is None:
        return status, reasons
    parameters = problem.size - (not neuron.bias)
    least = parameters if min_rows is None else whole("min_rows", min_rows, 1)
    for g in np.nonzero((groups.length < least) & (status == st.PENDING))[0]:
        rows = int(groups.length[g])
        status[g] = st.TOO_FEW_ROWS
        what = f"{parameters} parameters" if min_rows is None else f"min_rows {least}"
        reasons[g] = f"{rows} row{'s' * (rows != 1)} for {what}"
    return status, reasons


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


def _arrays(data: Data, validation: Any) -> dict[str, Any]:
    """The data that decide what a run gives."""
    out: dict[str, Any] = {"X": data.X, "y": data.y, "sample_weight": data.weight}
    if data.stream is not None:
        out = {"samples": np.frombuffer(data.stream.fingerprint(), np.uint8)}
    if data.groups is not None:
        out["groups"], out["group keys"] = data.groups.code, data.groups.keys
    for name, part in zip(("X", "y", "groups"), validation or (), strict=False):
        out[f"validation {name}"] = part
    return out
