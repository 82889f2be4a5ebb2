"""What goes to stdout: tables for people, one strict JSON object for programs; no cell reaches a terminal raw."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from gdjax.cli.naming import told
from gdjax.errors import printable

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

__all__ = ["console", "counted", "print_json", "run_json", "safe", "strict", "table"]


def console() -> Console:
    """The terminal on stdout; no colour where it is none."""
    from rich.console import Console

    # rich takes 80 columns where there is no terminal, too few for a table in a file
    width = None if sys.stdout.isatty() or "COLUMNS" in os.environ else 120
    return Console(highlight=False, markup=False, emoji=False, soft_wrap=not sys.stdout.isatty(), width=width)


def counted(n: int, name: str) -> str:
    """A number of things.

    >>> counted(1, "row"), counted(2000, "row")
    ('1 row', '2,000 rows')
    """
    return f"{n:,} {name}{'' if n == 1 else 's'}"


def safe(text: object, style: str = "") -> Text:
    """A cell's text on one line, control characters escaped, markup left alone."""
    from rich.text import Text

    return Text(printable(str(text)), style)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], left: Sequence[str] = ()) -> Table:
    """A table with its columns to the right, but for those in ``left``."""
    from rich import box
    from rich.table import Table

    out = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        out.add_column(safe(name), justify="left" if name in left else "right", overflow="fold")
    for row in rows:
        out.add_row(*map(safe, row))
    return out


def strict(value: Any) -> Any:
    """``value`` as JSON has it: NaN and infinities are null, NumPy's scalars and arrays are Python's.

    >>> strict({"cost": np.float64("nan"), "weights": np.arange(2)})
    {'cost': None, 'weights': [0, 1]}
    """
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(key): strict(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [strict(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def print_json(value: Any) -> None:
    """One strict JSON object on a line of stdout."""
    print(json.dumps(strict(value), allow_nan=False))


def run_json(run: Any) -> dict[str, Any]:
    """A run as `--json` shows it."""
    if run.single:
        return {
            "status": run.status,
            "steps": run.steps,
            "cost": run.cost,
            "bias": run.bias,
            "weights": dict(zip(run.feature_names, run.weights.tolist(), strict=True)),
            "backend": run.backend,
            "dtype": run.dtype,
        }
    rows = run.table()
    which = ["group"] if run.groups is not None else list(run.swept)
    failed = np.flatnonzero(~np.isin(rows["status"], ("converged", "max_steps")))
    return {
        "models": run.models,
        "status": run.counts(),
        "failed": [
            {**{name: rows[name][i] for name in (*which, "status")}, "reason": told(rows["reason"][i], run)}
            for i in failed.tolist()
        ],
    }
