"""gdjax report"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from gdjax.cli.options import WholeOrNone, check_output
from gdjax.cli.output import console, safe
from gdjax.cli.predict import read_like

__all__ = ["report"]


def report(
    run: Annotated[str, Parameter(help="File that fit or sweep saved.")],
    table: Annotated[str | None, Parameter(help="Table it was fitted on, for the plots that need the data.")] = None,
    /,
    *,
    max_bytes: Annotated[WholeOrNone, Parameter(help="Most bytes that are read; by default the memory.")] = None,
    output: Annotated[Path | None, Parameter(alias="-o", help="Page to write; by default RUN with .html.")] = None,
    config: Annotated[Path | None, Parameter(help="TOML file of these options.")] = None,
) -> int:
    """Write a page about a saved run: one HTML file that asks for nothing else."""
    import gdjax

    path = output or Path(run).with_suffix(".html")
    check_output("--output", path, run, table, config)
    fitted = gdjax.load(run)
    if table is None:
        fitted.report(path)
    else:
        data = read_like(fitted, table, target=fitted.source.get("target"), max_bytes=max_bytes)
        fitted.report(path, data.X, data.y, data.groups)
    console().print(safe(f"page written to {path}"))
    return 0
