"""Processes killed by SIGKILL at random moments: 20 here, 200 by ``benchmarks/kills.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

KILLS = {"numpy": (10, []), "jax": (5, ["--job", "mini_batch"]), "numba": (5, ["--job", "fleet"])}


@pytest.mark.timeout(600)  # numba compiles for minutes where other work takes the cores
@pytest.mark.parametrize("backend", KILLS)
def test_what_is_killed_goes_on_bit_for_bit(backend: str, root: Path) -> None:
    kills, job = KILLS[backend]
    command = [sys.executable, str(root / "benchmarks" / "kills.py"), "--kills", str(kills), "--backend", backend, *job]
    done = subprocess.run(command, capture_output=True, text=True, timeout=580)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{kills} kills, 0 faults" in done.stdout
    # a kill before the first checkpoint proves little
    rows = [row.split("|") for row in done.stdout.splitlines() if row.startswith(f"| {backend} ")]
    assert sum(int(row[4]) for row in rows) >= kills // 2, done.stdout
