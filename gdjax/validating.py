"""Costs on samples that are not trained on."""

from typing import Any

import numpy as np

from gdjax.data import Data, check
from gdjax.descent import Validation
from gdjax.errors import DataError, UsageError
from gdjax.groups import lookup
from gdjax.problem import Problem
from gdjax.samples import of_sets
from gdjax.slab import Slab


def validating(given: Any, problem: Problem, data: Data) -> Validation | None:
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
        y = extra.y.T

        def on_samples(slab: Slab, rows: np.ndarray, raw: np.ndarray) -> np.ndarray:
            weight = np.broadcast_to(1.0, (len(raw), len(extra.y)))
            return mean_cost(pointwise, raw, extra.X, of_sets(y, slab.fold[rows]), weight)

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
                out[i] = mean_cost(pointwise, raw[i : i + 1], extra.X[at], extra.y[at], ones)[0]
        return out

    return Validation(on_groups)


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
