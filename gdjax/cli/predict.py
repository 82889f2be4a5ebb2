"""gdjax predict"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from cyclopts import Parameter

from gdjax.arguments import memory
from gdjax.cli.options import OUTPUT, OutputOptions, WholeOrNone
from gdjax.cli.output import console, print_json, safe
from gdjax.errors import UsageError
from gdjax.signals import leave_if_asked
from gdjax.stream import Stream

if TYPE_CHECKING:
    from gdjax.runs.run import Run
    from gdjax.tables import Table

__all__ = ["predict"]


_OTHERS = frozenset((".npz", ".parquet", ".feather", ".arrow", ".json", ".xlsx", ".xls", ".tsv", ".html"))
"""Endings that promise a format which is not written."""


def predict(
    run: Annotated[str, Parameter(help="File that fit or sweep saved.")],
    table: Annotated[str, Parameter(help="Table with the columns that it was fitted on.")],
    /,
    *,
    missing: Annotated[Literal["error", "drop"], Parameter(help="What an empty cell does.")] = "error",
    memory_limit: Annotated[WholeOrNone, Parameter(help="Bytes over which the table is read in blocks.")] = None,
    max_bytes: Annotated[WholeOrNone, Parameter(help="Most bytes that are read; by default the memory.")] = None,
    unseen: Annotated[Literal["error", "zero"], Parameter(help="What a category that fit did not see does.")] = "error",
    untrained: Annotated[Literal["nan", "error"], Parameter(help="What a group without a neuron gets.")] = "nan",
    output: OutputOptions = OUTPUT,
) -> int:
    """Predict the rows of a table with a saved run.

    The predictions go to stdout as CSV, or to -o FILE: .csv, or .npy. Of a sweep the best neuron predicts.
    """
    import gdjax

    output.check(run, table)
    if output.output is not None and output.output.suffix.lower() in _OTHERS:
        raise UsageError(f"--output {output.output}: predictions are written as CSV or .npy; name such a file")
    fitted = gdjax.load(run)
    limits = {"memory_limit": memory(memory_limit), "max_bytes": max_bytes}
    data = read_like(fitted, table, missing=missing, unseen=unseen, **limits)
    if isinstance(data.X, Stream):
        rows, values = _read_once(fitted, data.X)
    else:
        values = fitted.predict(data.X, data.groups, untrained=untrained)
        rows = np.arange(len(data.X)) if data.rows is None else data.rows
    if values.ndim == 2:
        values = values[fitted.best()]
    if output.json:
        print_json({"rows": len(values), "row": rows, "prediction": values})
    elif output.output is None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            # as -o FILE is: an escape would be another key
            sys.stdout.reconfigure(encoding="utf-8", errors=sys.stdout.errors)
        sys.stdout.writelines(_lines(data, rows, values))
    if output.output is not None:
        from gdjax.files import atomic_write

        atomic_write(output.output, _npy(values) if output.output.suffix == ".npy" else _csv(data, rows, values))
        if not output.json:
            console().print(safe(f"{len(values):,} predictions saved to {output.output}"))
    return 0


def _read_once(fitted: Run, stream: Stream) -> tuple[np.ndarray, np.ndarray]:
    """The rows of the table that are read, and what is predicted for them."""
    rows, values = zip(*((block.row, fitted.predict(block.X)) for block in stream.read()), strict=True)
    return np.concatenate(rows), np.concatenate(values, axis=-1)


def read_like(fitted: Run, path: str, **options: Any) -> Table:
    """The table at ``path``, as the run's own was read."""
    from gdjax import tables

    recipe = fitted.source or {"by": None, "columns": [tables.Column(name).to_json() for name in fitted.feature_names]}
    found = tables.read(
        path,
        by=recipe["by"] or ([] if fitted.groups is None else None),
        columns=[tables.Column.from_json(column) for column in recipe["columns"]],
        **options,
    )
    leave_if_asked()
    return found


def _lines(data: Table, rows: Any, values: Any) -> Iterator[str]:
    keys = () if data.groups is None else data.groups if isinstance(data.groups, tuple) else (data.groups,)
    line = io.StringIO()
    writer = csv.writer(line, lineterminator="\n")
    for cells in ([("row", *data.by, "prediction")], zip(rows.tolist(), *keys, values.tolist(), strict=True)):
        for each in cells:
            writer.writerow(each)
            yield line.getvalue()
            line.seek(0)
            line.truncate()


def _csv(data: Table, rows: Any, values: Any) -> bytes:
    return "".join(_lines(data, rows, values)).encode()


def _npy(values: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, values, allow_pickle=False)
    return out.getvalue()
