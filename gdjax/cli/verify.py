"""gdjax verify"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from gdjax.cli.options import Whole, check_output
from gdjax.discovery import DEFAULT
from gdjax.errors import UsageError
from gdjax.files import atomic_write

if TYPE_CHECKING:
    from gdjax.verification import Report
    from gdjax.verification.child import Task

__all__ = ["verify"]

LEAST_MEMORY = 2 << 30
"""Bytes of address space in which JAX imports, starts its threads and compiles a neuron."""

LONGEST = 2**31 // 1000
"""Seconds that a process can be waited for: its system counts milliseconds in an int."""


def verify(
    cost: Annotated[str | None, Parameter(help="Your cost, as package.module:attribute; or your Neuron.")] = None,
    gradient: Annotated[str | None, Parameter(help="Your gradient, the same way.")] = None,
    /,
    *,
    args: Annotated[str | None, Parameter(help="One example of the arguments: a tuple, or a function of none.")] = None,
    app_dir: Annotated[Path, Parameter(help="The folder that your modules are in.")] = Path("."),
    dtype: Annotated[
        Literal["float64", "float32"] | None, Parameter(help="By default float64; both for gdjax's.")
    ] = None,
    kinks: Annotated[Literal["zero", "subgradient", "jax"], Parameter(help="What is right at a kink.")] = "zero",
    wrt: Annotated[str, Parameter(help="Places of the arguments that are differentiated, with commas.")] = "0,1",
    shapes: Annotated[
        str | None, Parameter(help="Sizes that vary, an entry an argument, with commas: 'D,,N D,N'.")
    ] = None,
    backend: Annotated[str | None, Parameter(help="For neurons: this backend alone.")] = None,
    seconds: Annotated[float, Parameter(help="How long to look for a failure, about, each.")] = 5.0,
    time_limit: Annotated[float, Parameter(help="Seconds until your code is ended.")] = 120.0,
    memory_limit: Annotated[Whole, Parameter(help="Bytes of address space that your code may use.")] = 8 << 30,
    json: Annotated[bool, Parameter(help="One JSON object on stdout, and nothing else there.", negative="")] = False,
    html: Annotated[Path | None, Parameter(help="Also write the report as a page.")] = None,
    config: Annotated[Path | None, Parameter(help="TOML file of these options.")] = None,
) -> int:
    """Prove gradients right or wrong: every built-in formula on every installed backend, or yours.

    COST alone names a Neuron, an Activation or a Loss of yours. Your code is run, in a process of its own with limits
    on time and memory. Exits with 0 on pass, 1 on fail, 3 if inconclusive.
    """
    if html is not None:
        check_output("--html", html, config)
    for flag, value in {"--seconds": seconds, "--time-limit": time_limit}.items():
        if not 0 < value < math.inf:
            raise UsageError(f"{flag} {value:g}: a number over 0")
    if memory_limit < LEAST_MEMORY:
        raise UsageError(f"--memory-limit {memory_limit}: at least {LEAST_MEMORY} bytes, which JAX takes to start")
    if not app_dir.is_dir():
        raise UsageError(f"--app-dir {app_dir}: no such folder")
    if cost is None and gradient is None and args is None:
        return _built_in(dtype, backend, kinks, seconds, json, html)
    if cost is None or (gradient is None) != (args is None):
        raise UsageError(
            "verify: give COST GRADIENT --args EXAMPLE, each as package.module:attribute, a NEURON, or none"
        )
    if backend is not None and gradient is not None:
        raise UsageError("--backend is for neurons: your gradient runs where it says")
    from gdjax.verification.child import Task

    task = Task(
        cost,
        gradient,
        args,
        app_dir=str(app_dir),
        dtype=dtype or "float64",
        kinks=kinks,
        wrt=_places(wrt),
        shapes=None if shapes is None else tuple(part.strip() for part in shapes.split(",")),
        seconds=seconds,
        backend=backend or DEFAULT,
    )
    return _own(task, min(time_limit, LONGEST), min(memory_limit, sys.maxsize), json, html)


def _places(wrt: str) -> tuple[int, ...]:
    try:
        return tuple(int(p) for p in wrt.split(","))
    except ValueError as error:
        raise UsageError(f"--wrt {wrt!r}: give places with commas, such as 0,1") from error


def _own(task: Task, time_limit: float, memory_limit: int, json: bool, html: Path | None) -> int:
    from rich.console import Console

    from gdjax.cli.output import safe
    from gdjax.errors import printable
    from gdjax.verification.child import EXIT_CODES, verified

    with Console(stderr=True).status(safe(f"running {task.name} in a process of its own")):
        result = verified(task, time_limit, memory_limit)
    # after it: what cannot be run is one line, the error
    print(f"{printable(task.name)} ran in a process of its own", file=sys.stderr)
    if html is not None:
        atomic_write(html, result.html.encode())
    if json:
        _print_json(result.report)
    else:
        print("\n".join(printable(line) for line in result.text.splitlines()))
    return EXIT_CODES[result.verdict]


def _built_in(dtype: str | None, backend: str | None, kinks: str, seconds: float, json: bool, html: Path | None) -> int:
    from itertools import product

    from rich.console import Console

    from gdjax.discovery import installed
    from gdjax.verification import verify
    from gdjax.verification.child import EXIT_CODES
    from gdjax.verification.neurons import built_in

    reports: list[Report] = []
    names = [backend] if backend is not None else installed()
    kinds = [dtype] if dtype is not None else ["float64", "float32"]
    tried = list(product(names, kinds, built_in()))
    # on a terminal alone: a backend may compile for long before the first line
    with Console(stderr=True).status("") as progress:
        for number, (name, kind, neuron) in enumerate(tried, 1):
            progress.update(f"{number} of {len(tried)}: {neuron.activation}, {neuron.loss} on {name} in {kind}")
            report = verify(neuron, backend=name, dtype=kind, kinks=kinks, seconds=seconds)
            reports.append(report)
            if not json:
                print(str(report) if report.verdict != "pass" else str(report).splitlines()[0], flush=True)
    whole = _joined(reports, kinks)
    if html is not None:
        atomic_write(html, whole.to_html().encode())
    if json:
        _print_json(whole.as_dict())
    else:
        counts = {v: sum(r.verdict == v for r in reports) for v in EXIT_CODES}
        print(", ".join(f"{n} {verdict}" for verdict, n in counts.items()))
    return EXIT_CODES[whole.verdict]


def _joined(reports: list[Report], kinks: str) -> Report:
    from gdjax.verification.telling.report import Report, worst

    dtypes = ", ".join(dict.fromkeys(r.dtype for r in reports))
    return Report(
        worst(r.verdict for r in reports), name="gdjax's own formulas", dtype=dtypes, kinks=kinks,
        seconds=sum(r.seconds for r in reports), parts=tuple(reports),
    )  # fmt: skip


def _print_json(report: dict[str, Any]) -> None:
    import json

    print(json.dumps(report, allow_nan=False))
