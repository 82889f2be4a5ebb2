"""Each example runs to its last cell in an interpreter of its own, warns of nothing, and ends in time."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SCRIPTS = sorted(path for path in EXAMPLES.glob("*.py") if "# %%" in path.read_text(encoding="utf-8"))
SECONDS = 60  # twice what an example may take, for a machine that does something else too


def test_there_are_examples() -> None:
    assert len(SCRIPTS) >= 6


@pytest.mark.timeout(2 * SECONDS)
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs(script: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "JAX_PLATFORMS": "cpu", "COLUMNS": "100"}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        cwd=tmp_path,  # what it writes stays out of the repository
        env=environment,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip(), "an example shows something"
    assert done.stderr == ""
