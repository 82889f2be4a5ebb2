"""gdjax sweep"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import Group, Parameter

from gdjax.cli.options import DESCENT, OUTPUT, TABLE, DescentOptions, OutputOptions, TableOptions, numbers
from gdjax.cli.output import console, safe
from gdjax.cli.output import table as as_table
from gdjax.cli.training import train
from gdjax.errors import UsageError

if TYPE_CHECKING:
    from gdjax.run import Run

__all__ = ["sweep"]

_SWEPT = Group("Swept: values with commas between them", sort_key=-1)


def sweep(
    table: Annotated[str, Parameter(help="CSV, npz, npy, Parquet or Feather file.")],
    /,
    *,
    learning_rate: Annotated[str, Parameter(help="Rates, or auto.", group=_SWEPT)] = "auto",
    l2: Annotated[str | None, Parameter(help="Penalties on the squares.", group=_SWEPT)] = None,
    l1: Annotated[str | None, Parameter(help="Penalties on the absolute values.", group=_SWEPT)] = None,
    seed: Annotated[str, Parameter(help="Seeds.", group=_SWEPT)] = "0",
    folds: Annotated[int | None, Parameter(help="Folds of a cross-validation.", group=_SWEPT)] = None,
    columns: TableOptions = TABLE,
    activation: Annotated[str, Parameter(help="relu, identity, sigmoid, exp, ...")] = "relu",
    loss: Annotated[str, Parameter(help="squared_error, huber, log_loss, poisson, ...")] = "squared_error",
    bias: Annotated[bool, Parameter(help="Whether there is a bias.")] = True,
    descent: DescentOptions = DESCENT,
    strict: Annotated[bool, Parameter(help="Exit with 4 unless all converged.", negative="")] = False,
    output: OutputOptions = OUTPUT,
) -> int:
    """Train a neuron for each combination of rates, penalties and seeds, all at once on the same samples.

    With --folds each is judged by the rows that it was trained without. The table names the best one, and the most
    penalised one within a standard error of it.
    """
    import gdjax

    output.check(table)
    if columns.by:
        raise UsageError("--by: a sweep has one set of samples; `gdjax fit --by` trains a neuron for each group")
    formula, arguments = gdjax.Neuron(activation, loss, bias=bias), descent.arguments()
    rates: Any = "auto" if learning_rate == "auto" else numbers("learning_rate", learning_rate)
    seeds = numbers("seed", seed) or [0.0]
    if not all(value.is_integer() and value >= 0 for value in seeds):
        raise UsageError(f"--seed {seed!r}: whole numbers from 0, with commas between them")
    penalties: dict[str, Any] = {"l2": numbers("l2", l2), "l1": numbers("l1", l1)}
    data = columns.read(table)
    swept = functools.partial(
        gdjax.sweep,
        formula,
        data.X,
        data.y,
        learning_rate=rates,
        **penalties,
        seed=[int(value) for value in seeds],
        folds=folds,
        sample_weight=data.sample_weight,
        features=data.feature_names,
        **arguments,
    )
    return train(swept, data, output, descent.checkpoint, _show, strict=strict)


def _show(run: Run, seconds: float) -> None:
    out = console()
    rows = run.table()
    names = [name for name in run.swept if len(np.unique(run.swept[name])) > 1]
    judge = "validation_cost" if "validation_cost" in rows else "cost"
    columns = [*names, "status", "steps", "cost", *(["validation_cost"] if judge != "cost" else []), "r2"]
    order = np.argsort(np.where(np.isfinite(rows[judge]), rows[judge], np.inf), kind="stable")[:20]
    best = run.best()
    out.print(safe(f"{run.models:,} models, {run.backend} {run.dtype}, {seconds:.1f} s", "bold"))
    shown = [
        ["*" if i == best else "", *(f"{v:.6g}" if isinstance(v := rows[c][i], float) else v for c in columns)]
        for i in order.tolist()
    ]
    out.print(as_table(["", *columns], shown, left=("", "status")))
    if run.models > len(order):
        out.print(safe(f"... and {run.models - len(order):,} more"))
    out.print(safe(f"* best by {judge.replace('_', ' ')}: {_named(run, best)}"))
    if "fold" in names:
        within = run.best("one_standard_error")
        out.print(safe(f"most penalised within a standard error of it: {_named(run, within)}"))


def _named(run: Run, at: int) -> str:
    return ", ".join(f"{name} {values[at]:g}" for name, values in run.swept.items() if np.isfinite(values[at]))
