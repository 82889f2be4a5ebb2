"""Damaged files: a few hundred of each kind here, 10,000 by ``benchmarks/mutations.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("kind", ["csv", "npy", "npz", "parquet", "feather", "run", "checkpoint"])
def test_a_damaged_file_is_refused_in_a_line_or_read_right(kind: str, root: Path) -> None:
    # another seed than that of the script's figures
    command = [
        sys.executable,
        str(root / "benchmarks" / "mutations.py"),
        "--kind",
        kind,
        "--count",
        "250",
        "--seed",
        "1",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    row = next(line for line in done.stdout.splitlines() if line.startswith(f"| {kind} "))
    _, _, read, refused, accepted, *_ = (cell.strip() for cell in row.split("|"))
    assert int(read) == int(refused) + int(accepted) == 250
    assert int(refused) > 100
    assert int(accepted) > 0
