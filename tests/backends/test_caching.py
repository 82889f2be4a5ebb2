"""Compiled programs outlive the process, in a folder of their own, unless the user turns that off."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

COMMAND = "import sys; from gdjax.cli import main; sys.exit(main())"


def fit(folder: str, table: Path, backend: str) -> None:
    arguments = ["fit", str(table), "--backend", backend, "--steps", "3", "--activation", "identity", "--json"]
    # a user's environment: without the cache that the tests share
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_COMPILATION_", "JAX_PERSISTENT_"))}
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, *arguments],
        env={**ours, "GDJAX_CACHE_DIR": folder, "XDG_CACHE_HOME": str(table.parent / "home")},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


def programs(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and "atime" not in p.name}


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    X = rng.random((50, 3))
    np.savez(tmp_path / "table.npz", X=X, y=X.sum(axis=1))
    return tmp_path / "table.npz"


@pytest.mark.parametrize("backend", ["jax", "numba"])
def test_the_second_process_compiles_nothing(table: Path, tmp_path: Path, backend: str) -> None:
    folder = tmp_path / "cache"
    fit(str(folder), table, backend)
    kept = programs(folder / backend)
    assert kept
    fit(str(folder), table, backend)
    assert programs(folder / backend) == kept


@pytest.mark.parametrize("backend", ["jax", "numba"])
def test_off_keeps_nothing(table: Path, tmp_path: Path, backend: str) -> None:
    fit("off", table, backend)
    assert not programs(tmp_path / "home")


def test_numba_starts_without_scipy_and_finds_blas_later() -> None:
    script = """
import sys
import numba, numpy as np
import gdjax
gdjax.fit(gdjax.Neuron(), np.eye(3), np.arange(3.0), backend="numba")
assert "numba.np.arraymath" in sys.modules
assert "scipy.linalg" not in sys.modules
print(numba.njit(lambda a, b: a @ b)(np.eye(2), np.ones(2)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=110, check=False)
    assert done.stdout == "[1. 1.]\n", done.stderr[-2000:]
