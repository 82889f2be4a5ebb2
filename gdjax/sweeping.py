"""sweep: the product of rates, penalties, seeds and folds, as K neurons on shared samples."""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from gdjax.arguments import memory, whole
from gdjax.data.checked import check
from gdjax.discovery import DEFAULT
from gdjax.engine.running import run_problem
from gdjax.errors import UsageError
from gdjax.event import Callback
from gdjax.neuron import Neuron, check_penalty
from gdjax.params import Params
from gdjax.protocol import Backend
from gdjax.runs.run import Run
from gdjax.schedules import as_schedule
from gdjax.stream import Stream

ALL_ROWS = -1
"""The fold of a neuron that is trained on all rows."""


def sweep(
    neuron: Neuron,
    X: Any,
    y: Any,
    *,
    learning_rate: Any = "auto",
    l2: Any = None,
    l1: Any = None,
    seed: Any = 0,
    folds: Any = None,
    sample_weight: Any = None,
    validation: Any = None,
    features: Any = None,
    backend: str | Backend = DEFAULT,
    dtype: str | None = None,
    method: Any = "nesterov",
    steps: int = 10_000,
    batch_size: int | None = None,
    tolerance: float | None = None,
    patience: int | None = None,
    standardize: bool = True,
    init: Params | None = None,
    memory_limit: int | None = None,
    verify: bool = True,
    progress: bool = False,
    callback: Callback | None = None,
    checkpoint: Any = None,
) -> Run:
    """Trains a neuron for each combination of rates, penalties and seeds, all in one program on the shared samples.

    Args:
        learning_rate, l2, l1, seed: one value or a sequence; by default the neuron's penalties and the automatic rate.
        folds: a number of folds, or each row's fold (N,) int: each combination is trained on all rows (fold -1) and
            without each fold, whose cost it is then judged by.
        The rest: as in `gdjax.fit`.

    Returns:
        A `Run` of K neurons, `swept` its values, `validation_cost` each one's cost on the fold it was trained without
        (or on `validation`), `best()` the place of the best one.

    Raises:
        UsageError, DataError: as `gdjax.fit`.

    >>> import numpy as np
    >>> X = np.arange(12.0)[:, None]
    >>> run = sweep(Neuron("identity"), X, 3 * X[:, 0] + 1, l2=[0.0, 1.0], folds=3, backend="numpy")
    >>> run.models, float(run.swept["l2"][run.best()])
    (8, 0.0)
    """
    if isinstance(X, Stream) and folds is not None:
        raise UsageError("folds: they need their samples in memory: raise memory_limit")
    limit = memory(memory_limit) if folds is None else None  # a row's fold is held beside it
    data = check(X, y, neuron.formula, sample_weight=sample_weight, features=features, memory_limit=limit)
    rates = _values("learning_rate", learning_rate)
    schedules = [as_schedule(r) for r in rates]
    if any(s.factor is not None for s in schedules) and len(schedules) > 1:
        raise UsageError("learning_rate: sweep numbers, or one schedule")
    l2s = [check_penalty("l2", v) for v in _values("l2", neuron.l2 if l2 is None else l2)]
    l1s = [check_penalty("l1", v) for v in _values("l1", neuron.l1 if l1 is None else l1)]
    seeds = [whole("seed", s, 0) for s in _values("seed", seed)]
    row_fold = None if folds is None else _row_folds(folds, len(X), seeds[0])
    if row_fold is not None and data.row is not None:
        row_fold = row_fold[data.row]
    weight, held_out, which = data.weight[None], None, [ALL_ROWS]
    if row_fold is not None:
        if patience is not None or validation is not None:
            raise UsageError("folds: they are the validation: leave out patience= and validation=")
        which = [ALL_ROWS, *range(int(row_fold.max()) + 1)]
        inside = np.array([row_fold == f for f in which])
        weight, held_out = data.weight * ~inside, data.weight * inside
        weight[0] = data.weight
        for f, w, h in zip(which[1:], weight[1:], held_out[1:], strict=True):
            if not w.any() or not h.any():
                raise UsageError(f"folds: fold {f} leaves no row on one side: use fewer folds")
    product = list(itertools.product(range(len(schedules)), l2s, l1s, seeds, range(len(which))))
    at = np.array([p[0] for p in product])
    number = np.array([np.nan if isinstance(s.rate, str) else float(s.rate) for s in schedules])[at]
    swept: dict[str, np.ndarray] = {
        "swept_rate": number,
        "l2": np.array([p[1] for p in product]),
        "l1": np.array([p[2] for p in product]),
        "seed": np.array([p[3] for p in product], np.int64),
        "fold": np.array([which[p[4]] for p in product], np.int64),
    }
    return run_problem(
        neuron,
        data,
        l1=swept["l1"],
        l2=swept["l2"],
        rate=number,
        seed=swept["seed"],
        fold=np.array([p[4] for p in product]),
        weight=weight,
        swept=swept,
        held_out=held_out,
        validation=validation,
        backend=backend,
        dtype=dtype,
        method=method,
        learning_rate=schedules[0],
        steps=steps,
        batch_size=batch_size,
        tolerance=tolerance,
        patience=patience,
        standardize=standardize,
        init=init,
        min_rows=None,
        memory_limit=memory_limit,
        verify=verify,
        progress=progress,
        callback=callback,
        checkpoint=checkpoint,
        options={
            "method": method,
            "batch_size": batch_size,
            "tolerance": tolerance,
            "standardize": standardize,
            # the other rates are swept
            **({} if schedules[0].factor is None else {"learning_rate": schedules[0]}),
        },
    )


def best_if_any(run: Run) -> int | None:
    """The best neuron of a sweep, None where every combination failed, in some fold at least."""
    try:
        return best(run)
    except UsageError:
        return None


def best(run: Run, rule: str = "min") -> int:
    """See `Run.best`."""
    if run.single or run.groups is not None:
        raise UsageError("best: only a sweep has a best neuron")
    if rule not in ("min", "one_standard_error"):
        raise UsageError(f'rule = {rule!r} must be "min" or "one_standard_error"')
    usable = np.isin(run.status, ["converged", "max_steps"])
    folded = (run.swept["fold"] != ALL_ROWS).any()
    cost = np.asarray(run.cost if run.validation_cost is None else run.validation_cost, float)
    whole = np.nonzero(run.swept["fold"] == ALL_ROWS)[0]
    if not folded:
        if rule != "min":
            raise UsageError("one_standard_error needs folds: sweep(..., folds=5)")
        score = np.where(usable & np.isfinite(cost), cost, np.inf)
        if not np.isfinite(score).any():
            raise UsageError("best: every neuron of the sweep failed: see run.table()")
        return int(np.argmin(score))
    count = int(run.swept["fold"].max()) + 1
    # neurons of one combination stand together: all rows first, then its folds
    each = cost.reshape(-1, count + 1)[:, 1:]
    good = usable.reshape(-1, count + 1).all(axis=1) & np.isfinite(each).all(axis=1)
    if not good.any():
        raise UsageError("best: every combination of the sweep failed in some fold: see run.table()")
    mean = np.where(good, each.mean(axis=1), np.inf)
    least = int(np.argmin(mean))
    if rule == "min":
        return int(whole[least])
    error = each[least].std(ddof=1) / np.sqrt(count) if count > 1 else 0.0
    near = np.nonzero(mean <= mean[least] + error)[0]
    penalty = [(run.swept["l1"][whole[i]], run.swept["l2"][whole[i]], -mean[i]) for i in near]
    return int(whole[near[max(range(len(near)), key=lambda i: penalty[i])]])


def _values(name: str, given: Any) -> list[Any]:
    if isinstance(given, str) or not isinstance(given, Iterable):
        return [given]
    values = list(given)
    if not values:
        raise UsageError(f"{name}: an empty sequence: pass at least one value")
    return values


def _row_folds(folds: Any, rows: int, seed: int) -> np.ndarray:
    """Each row's fold; for a number of folds, shuffled by the seed and of sizes that differ by one at most."""
    if np.ndim(folds) == 0:
        if isinstance(folds, bool) or not isinstance(folds, (int, np.integer)) or not 2 <= folds <= rows:
            raise UsageError(f"folds = {folds!r} must be a whole number from 2 to {rows}, the rows, or each row's fold")
        return np.random.default_rng(seed).permutation(np.arange(rows) % folds)
    each = np.asarray(folds)
    if each.shape != (rows,) or each.dtype.kind not in "iu" or each.min() < 0:
        raise UsageError(f"folds: pass a number of folds, or ({rows},) whole numbers >= 0, each row's fold")
    return np.unique(each, return_inverse=True)[1]
