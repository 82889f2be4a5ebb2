"""A Parquet larger than the memory limit trains within it: the growth of a real process, by the system's count."""

import subprocess
import sys

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

MIB = 1 << 20
COLUMNS = 16
WEIGHTS = np.arange(1.0, COLUMNS + 1)

TRAIN = """
import sys
import gdjax
from gdjax import tables

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) >> 10

def fit(path, steps):
    table = tables.read(path, target="y", memory_limit=limit)
    return type(table.X).__name__, gdjax.fit(
        gdjax.Neuron(), table.X, table.y, method="plain", steps=steps, backend=backend, memory_limit=limit
    )

small, large, limit, backend = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
fit(small, 1)  # what is imported and compiled is no part of the samples
before = peak()
kind, run = fit(large, 10_000)
print(kind, run.status, peak() - before, *run.weights)
"""


def write(path, rows):
    rng = np.random.default_rng(0)
    names = [*(f"x{j}" for j in range(COLUMNS)), "y"]
    schema = pyarrow.schema([(name, pyarrow.float64()) for name in names])
    with pyarrow.parquet.ParquetWriter(path, schema, compression="none", use_dictionary=False) as file:
        for start in range(0, rows, 1 << 18):
            X = rng.random((min(1 << 18, rows - start), COLUMNS))
            file.write_table(pyarrow.table([*X.T, np.maximum(X @ WEIGHTS - 3, 0)], names=names))


def test_a_parquet_over_the_limit_trains_within_it(tmp_path):
    trains_within(tmp_path, "numpy", 256 * MIB, 128 * MIB, 1_000)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_four_gibibytes_train_within_128_mebibytes(tmp_path, backend_name):
    # what is compiled depends on the shape of a block: the small file has as large ones
    trains_within(tmp_path, backend_name, 4096 * MIB, 128 * MIB, 256 * MIB // (8 * (COLUMNS + 1)))


def trains_within(tmp_path, backend, size, limit, small_rows):
    small, large = tmp_path / "small.parquet", tmp_path / "large.parquet"
    write(small, small_rows)
    write(large, size // (8 * (COLUMNS + 1)))
    assert large.stat().st_size >= 0.99 * size
    arguments = [sys.executable, "-c", TRAIN, small, large, str(limit), backend]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=1700, check=True)
    kind, status, grown, *weights = done.stdout.split()
    assert (kind, status) == ("TableStream", "converged")
    assert int(grown) < limit // MIB, grown
    np.testing.assert_allclose(np.array(weights, float), WEIGHTS, rtol=1e-8)
