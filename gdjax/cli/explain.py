"""gdjax explain"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from cyclopts import Parameter

from gdjax.cli.options import TABLE, TableOptions, Whole, numbers
from gdjax.errors import UsageError

__all__ = ["explain"]

# Two samples, one on each side of the gate.
_X, _Y, _WEIGHTS, _BIAS = [[1.0, 1.0], [0.0, 3.0]], [1.0, 0.0], [2.0, -1.0], 0.5


def explain(
    table: Annotated[str | None, Parameter(help="Table of samples; without one, two that are built in.")] = None,
    /,
    *,
    columns: TableOptions = TABLE,
    rows: Annotated[Whole, Parameter(help="Rows of the table.")] = 4,
    run: Annotated[str | None, Parameter(help="A saved run, whose neuron and parameters are taken.")] = None,
    weights: Annotated[str | None, Parameter(help="Weights, with commas; by default 1 / D each.")] = None,
    bias: Annotated[float | None, Parameter(help="Bias; by default 0.")] = None,
    activation: Annotated[str, Parameter(help="relu, identity, sigmoid, exp, ...")] = "relu",
    loss: Annotated[str, Parameter(help="squared_error, huber, log_loss, poisson, ...")] = "squared_error",
    learning_rate: Annotated[float, Parameter(help="eta of the updates.")] = 0.1,
    latex: Annotated[bool, Parameter(help="As LaTeX (amsmath).", negative="")] = False,
    json: Annotated[bool, Parameter(help="One JSON object on stdout, and nothing else there.", negative="")] = False,
    config: Annotated[Path | None, Parameter(help="TOML file of these options.")] = None,
) -> int:
    """Walk the derivation, equation by equation: the value by hand, by jax.jacobian, and the difference.

    Exits with 1 where an equation does not hold.
    """
    import gdjax

    if latex and json:
        raise UsageError("--latex and --json: one of them")
    if rows < 1:
        raise UsageError(f"--rows {rows}: a whole number from 1")
    if learning_rate <= 0:
        raise UsageError(f"--learning-rate {learning_rate:g}: a number over 0")
    if columns.by or columns.sample_weight:
        raise UsageError("--by, --sample-weight: the derivation is of one neuron and unweighted samples")
    neuron: Any = gdjax.Neuron(activation, loss)
    given = numbers("weights", weights)
    X, y = np.array(_X), np.array(_Y)
    if table is None:
        if run is not None:
            raise UsageError("--run: pass the table, too, whose rows are the samples")
        about = next((f.name for f in fields(columns) if getattr(columns, f.name) != getattr(TABLE, f.name)), None)
        if about is not None:
            raise UsageError(f"--{about.replace('_', '-')}: pass the table, too, that it is about")
        if given is None:
            given, bias = _WEIGHTS, _BIAS if bias is None else bias
    elif run is not None:
        from gdjax.cli.predict import read_like

        fitted = gdjax.load(run)
        if not fitted.single:
            raise UsageError(f"--run {run}: {fitted.models} neurons; explain takes a run of one")
        target = columns.target or fitted.source.get("target")
        data = read_like(fitted, table, target=target, max_bytes=columns.max_bytes)
        neuron, given, bias = fitted.neuron, fitted.weights.tolist(), float(fitted.bias)
        X, y = data.X[:rows], _target(data.y)[:rows]
    else:
        read = columns.read(table)
        X, y = read.X[:rows], _target(read.y)[:rows]
    if given is not None and len(given) != X.shape[1]:
        raise UsageError(f"--weights: {len(given)} for {X.shape[1]} features: name one for each, with commas")
    params = gdjax.Params(np.array(given or [1 / X.shape[1]] * X.shape[1]), bias or 0.0)
    derivation = gdjax.explain(neuron, params, X, y, learning_rate=learning_rate)
    for equation in derivation.equations:
        if not equation.holds and not np.isfinite(equation.value).all():
            raise UsageError(f"explain: equation {equation.number} overflows: smaller weights, bias or samples")
    print(derivation.to_json() if json else derivation.to_latex() if latex else derivation)
    return 0 if derivation.holds else 1


def _target(y: Any) -> Any:
    if y is None:
        raise UsageError("--target: name the column of y")
    return y
