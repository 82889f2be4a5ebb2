"""Training on a Parquet file over the memory limit, against pyarrow that reads the same columns and does nothing.

    python benchmarks/streaming.py [MEBIBYTES]

A pass over the file in a fit of many steps, set-up included, against one of pyarrow alone, in batches as a stream reads
them and row group by row group. Taken in turns, medians of five, one process a backend; memory by the system's count.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

import gdjax
from gdjax import tables
from gdjax.stream import Stream

COLUMNS = 16
LIMIT = 128 << 20
ROUNDS = 5
STEPS = 20


def write(path: Path, size: int) -> None:
    """A file of `size` bytes: row groups of 2^18 rows of float64, neither compressed nor coded."""
    rng = np.random.default_rng(0)
    names = [*(f"x{j}" for j in range(COLUMNS)), "y"]
    schema = pyarrow.schema([(name, pyarrow.float64()) for name in names])
    rows = size // (8 * (COLUMNS + 1))
    with pyarrow.parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
        for start in range(0, rows, 1 << 18):
            X = rng.standard_normal((min(1 << 18, rows - start), COLUMNS))
            y = np.maximum(X @ np.arange(1.0, COLUMNS + 1) + rng.standard_normal(len(X)), 0)
            file.write_table(pyarrow.table([*X.T, y], names=names))


def in_batches(path: Path, rows: int) -> None:
    for _ in pyarrow.parquet.ParquetFile(path, buffer_size=1 << 20, pre_buffer=False).iter_batches(rows):
        pass


def in_groups(path: Path) -> None:
    file = pyarrow.parquet.ParquetFile(path)
    for group in range(file.num_row_groups):
        file.read_row_group(group)


def seconds(work) -> float:  # type: ignore[no-untyped-def]
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def measure(path: Path, backend: str) -> None:
    """One line of the table."""
    passes = [0]
    read = Stream.read

    def counted(self: Stream):  # type: ignore[no-untyped-def]
        passes[0] += 1
        return read(self)

    Stream.read = counted  # type: ignore[method-assign]
    table = tables.read(path, target="y", memory_limit=LIMIT)

    def fit() -> None:
        passes[0] = 0
        gdjax.fit(gdjax.Neuron(), table.X, table.y, tolerance=0.0, steps=STEPS, backend=backend, memory_limit=LIMIT)

    most = max(table.X.layout.pieces[0])
    fit()
    taken: dict[str, list[float]] = {"fit": [], "batches": [], "groups": []}
    for _ in range(ROUNDS):
        taken["fit"].append(seconds(fit) / passes[0])
        taken["batches"].append(seconds(lambda: in_batches(path, most)))
        taken["groups"].append(seconds(lambda: in_groups(path)))
    a_pass, batches, groups = (float(np.median(each)) for each in taken.values())
    print(f"| {backend} | {a_pass:.3f} | {batches / a_pass:.2f} | {groups / a_pass:.2f} |", flush=True)


def main() -> None:
    if len(sys.argv) == 3:
        measure(Path(sys.argv[1]), sys.argv[2])
        return
    size = int(sys.argv[1]) << 20 if len(sys.argv) > 1 else 256 << 20
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "t.parquet"
        write(path, size)
        print(f"{size >> 20} MiB, limit {LIMIT >> 20} MiB\n")
        print("| backend | seconds a pass | rate / pyarrow in batches | rate / pyarrow by row groups |")
        print("| --- | --- | --- | --- |", flush=True)
        for backend in ("numpy", "jax", "numba"):
            subprocess.run([sys.executable, __file__, str(path), backend], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10
    print(f"\nPeak of a process, MiB, libraries and pyarrow's own reading included: {peak}")


if __name__ == "__main__":
    main()
