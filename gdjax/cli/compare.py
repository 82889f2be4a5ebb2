"""gdjax compare"""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from gdjax.cli.options import (
    NEURON,
    OUTPUT,
    TABLE,
    NeuronOptions,
    OutputOptions,
    TableOptions,
    Whole,
    WholeOrNone,
    column_names,
    rate,
)
from gdjax.cli.output import console, safe

__all__ = ["compare"]


def compare(
    table: Annotated[str, Parameter(help="CSV, npz, npy, Parquet or Feather file.")],
    /,
    *,
    columns: TableOptions = TABLE,
    neuron: NeuronOptions = NEURON,
    backends: Annotated[str | None, Parameter(help="Names with commas; by default all that are installed.")] = None,
    autodiff: Annotated[bool, Parameter(help="Whether to train by autodiff alone, too.")] = True,
    dtype: Annotated[str | None, Parameter(help="float32 or float64; by default that of the data.")] = None,
    method: Annotated[str, Parameter(help="plain, momentum, nesterov or adam.")] = "nesterov",
    learning_rate: Annotated[str, Parameter(help="A number, or auto.")] = "auto",
    steps: Annotated[Whole, Parameter(help="The most steps.")] = 1_000,
    batch_size: Annotated[WholeOrNone, Parameter(help="Rows of a mini batch; by default all.")] = None,
    tolerance: Annotated[float | None, Parameter(help="As in fit.")] = None,
    standardize: Annotated[bool, Parameter(help="As in fit.")] = True,
    seed: Annotated[Whole, Parameter(help="As in fit.")] = 0,
    output: OutputOptions = OUTPUT,
) -> int:
    """The same fit on every installed backend and by autodiff: where costs, parameters and times differ.

    Exits with 1 where they differ by more than rounding explains. -o saves the comparison as JSON.
    """
    import gdjax

    output.check(table)
    formula, start = neuron.neuron(), rate(learning_rate)
    data = columns.read(table)
    options: dict[str, Any] = {} if data.groups is None else {"groups": data.groups}
    found = gdjax.compare(
        formula,
        data.X,
        data.y,
        backends=column_names(backends),
        autodiff=autodiff,
        dtype=dtype,
        steps=steps,
        method=method,
        learning_rate=start,
        batch_size=batch_size,
        tolerance=tolerance,
        standardize=standardize,
        seed=seed,
        sample_weight=data.sample_weight,
        features=data.feature_names,
        **options,
    )
    if output.output is not None:
        from gdjax.files import atomic_write

        atomic_write(output.output, found.to_json().encode() + b"\n")
    if output.json:
        print(found.to_json())
    else:
        for line in str(found).splitlines():
            console().print(safe(line), soft_wrap=True)
    return 0 if found.agrees else 1
