"""gdjax fit"""

from __future__ import annotations

import functools
from typing import Annotated

from cyclopts import Parameter

from gdjax.cli.options import (
    DESCENT,
    NEURON,
    OUTPUT,
    TABLE,
    DescentOptions,
    NeuronOptions,
    OutputOptions,
    TableOptions,
    Whole,
    WholeOrNone,
    rate,
)
from gdjax.cli.screen import show
from gdjax.cli.training import train
from gdjax.cli.validation import VALIDATION, ValidationOptions

__all__ = ["fit"]


def fit(
    table: Annotated[str, Parameter(help="CSV, npz, npy, Parquet or Feather file.")],
    /,
    *,
    columns: TableOptions = TABLE,
    neuron: NeuronOptions = NEURON,
    descent: DescentOptions = DESCENT,
    learning_rate: Annotated[
        str, Parameter(help="A number, auto, find (64 are tried), or a schedule: cosine(0.1, steps=1000).")
    ] = "auto",
    validation: ValidationOptions = VALIDATION,
    seed: Annotated[Whole, Parameter(help="Of random starts and shuffles.")] = 0,
    min_rows: Annotated[WholeOrNone, Parameter(help="Groups of fewer rows are not trained.")] = None,
    strict: Annotated[bool, Parameter(help="Exit with 4 unless all converged.", negative="")] = False,
    output: OutputOptions = OUTPUT,
) -> int:
    """Train a neuron on a table, or one for each group of its rows.

    A neuron of the table's columns is fitted to its target by gradient descent. With --by, each group has its own, all
    are trained at once, and one that cannot be is named with the reason. -o saves the run for predict and report.
    """
    import gdjax

    output.check(table, validation.validation, checkpoint=descent.checkpoint)
    formula, arguments, start = neuron.neuron(), descent.arguments(), rate(learning_rate)
    data = columns.read(table, descent.limit)
    held_out = validation.read(data, columns)
    fitted = functools.partial(
        gdjax.fit,
        formula,
        data.X,
        data.y,
        groups=data.groups,
        sample_weight=data.sample_weight,
        validation=held_out,
        features=data.feature_names,
        learning_rate=start,
        seed=seed,
        min_rows=min_rows,
        **arguments,
    )
    target = data.target or "y"
    return train(
        fitted, data, output, descent.checkpoint, lambda run, seconds: show(run, target, seconds), strict=strict
    )
