"""gdjax backends"""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from gdjax.cli.output import console, print_json, table

__all__ = ["backends"]


def backends(
    *, json: Annotated[bool, Parameter(help="One JSON object on stdout, and nothing else there.", negative="")] = False
) -> int:
    """What is installed, on which devices, and what is missing."""
    import gdjax

    found = gdjax.backends()
    if json:
        print_json(found)
        return 0
    rows = [
        (
            name,
            "yes" if row["installed"] else "no",
            ", ".join(map(str, row["devices"])),
            ", ".join(row["dtypes"]),
            row["missing"] or "",
        )
        for name, row in found.items()
    ]
    columns = ("backend", "installed", "devices", "dtypes", "missing")
    console().print(table(columns, rows, left=columns))
    return 0
