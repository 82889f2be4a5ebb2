"""Training on a Parquet file over the memory limit, against pyarrow that reads the same columns and does nothing.

    python benchmarks/streaming.py [MEBIBYTES [float64|float32]]

A pass over the file in a fit, set-up and first pass included, against one of pyarrow alone with all its threads: in
batches of a stream's size, and row group by row group. Taken in turns, medians of five, one process a backend; memory
by the system's count. The file is neither compressed nor coded, which is what pyarrow reads fastest.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import speed_page
import speed_workloads

import gdjax
from gdjax import tables
from gdjax.stream import Stream

COLUMNS = 16
LIMIT = 128 << 20
ROUNDS = 5
STEPS = 30


def write(path: Path, size: int, dtype: str) -> None:
    """A file of `size` bytes: row groups of 2^18 rows."""
    rng = np.random.default_rng(0)
    names = [*(f"x{j}" for j in range(COLUMNS)), "y"]
    schema = pyarrow.schema([(name, dtype) for name in names])
    rows = size // (np.dtype(dtype).itemsize * (COLUMNS + 1))
    with pyarrow.parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
        for start in range(0, rows, 1 << 18):
            X = rng.standard_normal((min(1 << 18, rows - start), COLUMNS))
            y = np.maximum(X @ np.arange(1.0, COLUMNS + 1) + rng.standard_normal(len(X)), 0)
            file.write_table(pyarrow.table([column.astype(dtype) for column in (*X.T, y)], names=names))


def in_batches(path: Path, rows: int) -> None:
    for _ in pyarrow.parquet.ParquetFile(path, buffer_size=1 << 16, pre_buffer=False).iter_batches(rows):
        pass


def in_groups(path: Path) -> None:
    file = pyarrow.parquet.ParquetFile(path)
    for group in range(file.num_row_groups):
        file.read_row_group(group)


def seconds(work: Callable[[], None]) -> tuple[float, float]:
    """Wall and CPU."""
    began, spent = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - spent


def counted(of_all: Callable[..., Any], passes: list[int]) -> Callable[..., Any]:
    def a_pass(*given: Any) -> Any:
        passes[0] += 1
        return of_all(*given)

    return a_pass


def measure(path: Path, backend: str) -> None:
    """One line of the table."""
    passes = [0]
    for name in ("read", "map"):
        setattr(Stream, name, counted(getattr(Stream, name), passes))
    table = tables.read(path, target="y", memory_limit=LIMIT)

    def fit() -> None:
        passes[0] = 0
        gdjax.fit(gdjax.Neuron(), table.X, table.y, tolerance=0.0, steps=STEPS, backend=backend, memory_limit=LIMIT)

    works = (fit, lambda: in_batches(path, table.X.layout.longest), lambda: in_groups(path))
    fit()
    taken = np.median([[seconds(work) for work in works] for _ in range(ROUNDS)], axis=0)
    (a_pass, spent), (batches, batches_spent), (groups, _) = (taken[0] / passes[0], *taken[1:])
    print(
        f"| {table.X.dtype} | {backend} | {a_pass:.3f} ({spent:.3f}) | {batches:.3f} ({batches_spent:.3f}) "
        f"| {batches / a_pass:.2f} | {groups / a_pass:.2f} |",
        flush=True,
    )


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        measure(Path(sys.argv[2]), sys.argv[3])
        return
    load = os.getloadavg()[0]
    size = int(sys.argv[1]) << 20 if len(sys.argv) > 1 else 256 << 20
    print(f"{size >> 20} MiB, limit {LIMIT >> 20} MiB; seconds a pass (and of CPU)\n")
    print("| file | backend | a pass of a fit | pyarrow in batches | rate / pyarrow in batches | by row groups |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        for dtype in sys.argv[2:] or ("float64", "float32"):
            write(path, size, dtype)
            for backend in ("numpy", "jax", "numba"):
                subprocess.run([sys.executable, __file__, "--one", str(path), backend], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(f"\nPeak of a process, MiB, libraries and pyarrow's own reading included: {peak}")
    after = os.getloadavg()[0]
    print(speed_page._machine({"streaming": {"machine": speed_workloads.machine(), "load": (load, after)}}))
    print(f"Load average {load:.2f} before, {after:.2f} after.")


if __name__ == "__main__":
    main()
