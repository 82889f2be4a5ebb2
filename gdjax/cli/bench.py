"""gdjax bench"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from gdjax.cli.options import Whole
from gdjax.cli.output import console, print_json, table
from gdjax.errors import UsageError
from gdjax.files import physical_memory

__all__ = ["bench"]

PAUSE = 0.1
"""Seconds between two measurements, at most as long as the first took: threads of BLAS spin on for a third of that."""


def bench(
    *,
    rows: Annotated[Whole, Parameter(help="Rows of the shared data set.")] = 262_144,
    features: Annotated[Whole, Parameter(help="Its columns.")] = 64,
    neurons: Annotated[Whole, Parameter(help="Neurons of the fleet, each on its own 500 rows by 16 columns.")] = 1_000,
    dtype: Annotated[Literal["float32", "float64"], Parameter(help="Of the numbers.")] = "float32",
    repeats: Annotated[Whole, Parameter(help="Measurements, in turn for each backend; their median is shown.")] = 5,
    json: Annotated[bool, Parameter(help="One JSON object on stdout, and nothing else there.", negative="")] = False,
) -> int:
    """Measure this machine: one full gradient on a shared data set, and one for each neuron of a fleet.

    Rates are bytes of X in a second, beside that of NumPy's sum over X, which reads it once on one core.
    """
    import numpy as np

    import gdjax
    from gdjax.samples import Samples

    for name, value in {"rows": rows, "features": features, "neurons": neurons, "repeats": repeats}.items():
        if value < 1:
            raise UsageError(f"--{name} {value}: a whole number from 1")
    drawn, most = 8 * (rows * features + neurons * 500 * 16), physical_memory()
    if drawn > most:
        raise UsageError(f"--rows, --features, --neurons: {drawn:,} bytes, more than the memory of {most:,}: lower one")

    rng = np.random.default_rng(0)
    formula = gdjax.Neuron().formula
    X = rng.random((rows, features)).astype(dtype)
    own = rng.random((neurons, 500, 16)).astype(dtype)
    tasks: dict[tuple[str, str], Callable[[], Any]] = {
        ("shared", "read once"): lambda: X.sum(),
        ("fleet", "read once"): lambda: own.sum(),
    }

    def add(name: str) -> None:
        backend = gdjax.backend(name, dtype=dtype)

        def task(kind: str, x: Any, y: Any, weight: Any, count: int) -> None:
            samples = Samples(*map(backend.asarray, (x, y, weight, weight.sum(axis=1))))
            theta = backend.asarray(np.full((count, x.shape[-1] + 1), 0.01, dtype))

            def run() -> Any:
                cost, gradient = backend.cost_and_gradient(formula, theta, samples)
                return backend.to_numpy(cost), backend.to_numpy(gradient)

            tasks[kind, name] = run

        task("shared", X, X[:, 0], np.ones((1, rows), dtype), 1)
        task("fleet", own, own[..., 0], np.ones(own.shape[:2], dtype), neurons)

    for name, found in gdjax.backends().items():
        if found["installed"]:
            add(name)
    seconds = medians(tasks, repeats)
    size = {"shared": X.nbytes, "fleet": own.nbytes}
    rates = [
        {"data": kind, "backend": name, "seconds": taken, "gigabytes_per_second": size[kind] / taken / 1e9}
        for (kind, name), taken in seconds.items()
    ]
    if json:
        print_json({"dtype": dtype, "rows": rows, "features": features, "neurons": neurons, "rates": rates})
        return 0
    shown = [
        (r["data"], r["backend"], f"{1e3 * r['seconds']:.3g}", f"{r['gigabytes_per_second']:.3g}")
        for r in sorted(rates, key=lambda r: (r["data"], r["seconds"]))
    ]
    console().print(table(("data", "backend", "ms", "GB/s of X"), shown, left=("data", "backend")))
    return 0


def medians(tasks: dict[Any, Callable[[], Any]], repeats: int) -> dict[Any, float]:
    """The median seconds of each task, after one run that compiles; they take turns, to see the same machine."""
    import statistics

    for task in tasks.values():
        task()
    taken: dict[Any, list[float]] = {name: [] for name in tasks}
    seconds = PAUSE
    for _ in range(repeats):
        for name, task in tasks.items():
            time.sleep(min(PAUSE, seconds))
            began = time.perf_counter()
            task()
            seconds = time.perf_counter() - began
            taken[name].append(seconds)
    return {name: statistics.median(times) for name, times in taken.items()}
