"""gdjax sweep"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from cyclopts import Group, Parameter

from gdjax.cli.naming import told
from gdjax.cli.options import (
    ACTIVATION,
    DESCENT,
    LOSS,
    OUTPUT,
    TABLE,
    DescentOptions,
    OutputOptions,
    TableOptions,
    WholeOrNone,
    formula,
    numbers,
)
from gdjax.cli.output import console, counted, safe
from gdjax.cli.output import table as as_table
from gdjax.cli.training import train, why_none
from gdjax.cli.validation import JUDGING, JudgingOptions
from gdjax.errors import UsageError
from gdjax.sweeping import ALL_ROWS, best_if_any

if TYPE_CHECKING:
    from gdjax.runs.run import Run

__all__ = ["sweep"]

_SHOWN = 20
_SWEPT = Group("Swept: values with commas between them", sort_key=-1)


def sweep(
    table: Annotated[str, Parameter(help="CSV, npz, npy, Parquet or Feather file.")],
    /,
    *,
    learning_rate: Annotated[str, Parameter(help="Rates, or auto.", group=_SWEPT)] = "auto",
    l2: Annotated[str | None, Parameter(help="Penalties on the squares.", group=_SWEPT)] = None,
    l1: Annotated[str | None, Parameter(help="Penalties on the absolute values.", group=_SWEPT)] = None,
    seed: Annotated[str, Parameter(help="Seeds.", group=_SWEPT)] = "0",
    folds: Annotated[WholeOrNone, Parameter(help="Folds of a cross-validation.", group=_SWEPT)] = None,
    columns: TableOptions = TABLE,
    activation: Annotated[str, Parameter(help=ACTIVATION)] = "relu",
    loss: Annotated[str, Parameter(help=LOSS)] = "squared_error",
    bias: Annotated[bool, Parameter(help="Whether there is a bias.")] = True,
    descent: DescentOptions = DESCENT,
    validation: JudgingOptions = JUDGING,
    strict: Annotated[bool, Parameter(help="Exit with 4 unless all converged.", negative="")] = False,
    output: OutputOptions = OUTPUT,
) -> int:
    """Train a neuron for each combination of rates, penalties and seeds, all at once on the same samples.

    With --folds each is judged by the rows that it was trained without, with --validation by that table. What is shown
    names the best one, and with --folds the most penalised one within a standard error of it.
    """
    import gdjax

    output.check(table, validation.validation, checkpoint=descent.checkpoint)
    if columns.by:
        raise UsageError("--by: a sweep has one set of samples; `gdjax fit --by` trains a neuron for each group")
    neuron, arguments = gdjax.Neuron(*formula(activation, loss), bias=bias), descent.arguments()
    rates: Any = "auto" if learning_rate == "auto" else numbers("learning_rate", learning_rate)
    seeds = numbers("seed", seed) or [0.0]
    if not all(value.is_integer() and value >= 0 for value in seeds):
        raise UsageError(f"--seed {seed!r}: whole numbers from 0, with commas between them")
    penalties: dict[str, Any] = {"l2": numbers("l2", l2), "l1": numbers("l1", l1)}
    data = columns.read(table, descent.limit if folds is None else None)
    if data.groups is not None:
        raise UsageError(f"{table}: it has groups, and a sweep one set of samples; --by '' takes all rows as one")
    swept = functools.partial(
        gdjax.sweep,
        neuron,
        data.X,
        data.y,
        learning_rate=rates,
        **penalties,
        seed=[int(value) for value in seeds],
        folds=folds,
        validation=validation.read(data, columns),
        sample_weight=data.sample_weight,
        features=data.feature_names,
        **arguments,
    )
    return train(swept, data, output, descent.checkpoint, _show, strict=strict)


def _show(run: Run, seconds: float) -> None:
    out = console()
    whole, rows = combinations(run)
    names = [name for name in run.swept if name != "fold" and len(np.unique(run.swept[name])) > 1]
    judge = "validation_cost" if "validation_cost" in rows else "cost"
    order = np.argsort(np.where(np.isfinite(rows[judge]), rows[judge], np.inf), kind="stable")
    columns = [*names, *(name for name in rows if name not in run.swept)]
    best = best_if_any(run)
    out.print(safe(f"{counted(run.models, 'model')}, {run.backend} {run.dtype}, {seconds:.1f} s", "bold"))
    shown = [
        ["*" if whole[i] == best else "", *(_short(rows[name][i]) for name in columns)] for i in order[:_SHOWN].tolist()
    ]
    out.print(as_table(["", *map(_label, columns)], shown, left=("", "status")))
    if len(order) > _SHOWN:
        out.print(safe(f"... and {len(order) - _SHOWN:,} more"))
    if best is None:
        out.print(safe(f"no combination can be used: {told(why_none(run), run)}"))
        return
    if not names:
        return
    out.print(safe(f"* best by {judge.replace('_', ' ')}: {_named(run, names, best)}"))
    if "standard_error" in rows:
        within = _named(run, names, run.best("one_standard_error"))
        out.print(safe(f"most penalised within a standard error of it: {within}"))


def combinations(run: Run) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """A row a combination: its neuron trained on all rows, and, with folds, the mean cost on those left out."""
    rows = run.table()
    whole = np.flatnonzero(run.swept["fold"] == ALL_ROWS)
    picked = {name: rows[name][whole] for name in (*run.swept, "status", "steps", "cost", "r2")}
    if len(whole) < run.models:
        left_out = rows["validation_cost"].reshape(len(whole), -1)[:, 1:]
        picked["validation_cost"] = left_out.mean(axis=1)
        if left_out.shape[1] > 1:
            with np.errstate(invalid="ignore"):  # of an infinite cost there is none
                picked["standard_error"] = left_out.std(axis=1, ddof=1) / np.sqrt(left_out.shape[1])
    elif "validation_cost" in rows:
        picked["validation_cost"] = rows["validation_cost"][whole]
    return whole, picked


def _named(run: Run, names: list[str], at: int) -> str:
    return ", ".join(f"{_label(name)} {run.swept[name][at]:g}" for name in names)


def _label(name: str) -> str:
    return {"swept_rate": "learning rate"}.get(name, name.replace("_", " "))


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
