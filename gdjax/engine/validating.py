"""Costs on samples that are not trained on."""

import warnings
from typing import Any

import numpy as np

from gdjax.data.arrays import column_names, selected
from gdjax.data.checked import Data, check
from gdjax.data.groups import factorize, lookup
from gdjax.engine.descent import Validation
from gdjax.engine.problem import Problem
from gdjax.engine.slab import Slab
from gdjax.errors import DataError, UsageError
from gdjax.samples import of_sets


def validating(given: Any, problem: Problem, data: Data) -> Validation | None:
    """The costs on `given`, as `gdjax.fit` takes it; NaN of a neuron that has no row there."""
    pointwise = problem.neuron.pointwise(np)
    if given is None:
        return None
    if not isinstance(given, (tuple, list)) or len(given) != (2 if data.groups is None else 3):
        need = "(X, y)" if data.groups is None else "(X, y, groups)"
        raise UsageError(f"validation must be {need}")
    X = given[0]
    # names that were given to the fit, or made up, say nothing of a frame's
    if not set(column_names(X) or ()).isdisjoint(data.features):
        X = selected(X, data.features, "validation: ")
    extra = check(X, given[1], problem.neuron.formula, features=data.features, what="validation: ")
    if extra.X.shape[1] != data.X.shape[1]:
        raise DataError(f"validation: X has {extra.X.shape[1]} columns and the fit's has {data.X.shape[1]}")
    if data.groups is None:
        y = extra.y.T

        def on_samples(slab: Slab, rows: np.ndarray, raw: np.ndarray) -> np.ndarray:
            weight = np.broadcast_to(1.0, (len(raw), len(extra.y)))
            return mean_cost(pointwise, raw, extra.X, of_sets(y, slab.fold[rows]), weight)

        return Validation(on_samples)
    code = lookup(data.groups.keys, given[2], len(extra.y))
    _warn_of_groups(code, data.groups.keys, given[2])
    order = np.argsort(code, kind="stable")
    starts = np.searchsorted(code[order], np.arange(problem.count + 1))

    def on_groups(slab: Slab, rows: np.ndarray, raw: np.ndarray) -> np.ndarray:
        out = np.full(len(rows), np.nan)
        for i, neuron in enumerate(slab.neurons[rows]):
            at = order[starts[neuron] : starts[neuron + 1]]
            if len(at):
                ones = np.ones((1, len(at)))
                cost = mean_cost(pointwise, raw[i : i + 1], extra.X[at], extra.y[at], ones)[0]
                out[i] = np.inf if np.isnan(cost) else cost
        return out

    return Validation(on_groups)


def _warn_of_groups(code: np.ndarray, keys: np.ndarray, given: Any) -> None:
    """Says which rows judge no neuron, and which neurons no row judges; `code` (N,) is each row's neuron, or -1."""
    unknown, without = np.flatnonzero(code < 0), np.setdiff1d(np.arange(len(keys)), code)
    if len(unknown) == len(code):
        raise DataError("validation: no row is of a group that is trained: pass groups that the fit has")
    if len(unknown):
        found, which = factorize(given, len(code))
        what = f"{len(unknown)} of {len(code)} rows, the first at row {unknown[0]}, are of groups that are not trained"
        _warn(f"{what}, such as {_first(found[which[unknown]])}: they judge nothing")
    if len(without):
        _warn(f"{len(without)} of {len(keys)} groups have no row, such as {_first(keys[without])}: nothing judges them")


def _first(keys: np.ndarray) -> str:
    """A key as Python spells it."""
    return repr(keys[:1].tolist()[0])


def _warn(message: str) -> None:
    warnings.warn(f"validation: {message}", stacklevel=6)  # where `gdjax.fit` is called


def mean_cost(pointwise: Any, raw: np.ndarray, X: np.ndarray, y: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """(K,) mean costs at parameters (K, P); y (N,) or (K, N), weight (K, N)."""
    cost = np.zeros(len(raw))
    step = max(1, (1 << 22) // max(1, len(raw) + X.shape[1]))
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for at in range(0, len(X), step):
            part = slice(at, at + step)
            z = raw[:, :-1] @ X[part].T.astype(np.float64) + raw[:, -1:]
            each = pointwise.cost(z, np.broadcast_to(y[..., part].astype(np.float64), z.shape))
            cost += np.where(weight[:, part] > 0, weight[:, part] * each, 0.0).sum(axis=1)
        return np.asarray(cost / weight.sum(axis=1))
