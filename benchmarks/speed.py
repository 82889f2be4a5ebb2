"""Speed side by side with what a user would pick instead: `python benchmarks/speed.py [WORKLOAD ...] [--small]`.

With no workload named, all run and docs/speed.md and docs/speed.svg are written. Named ones are measured and shown
alone; `--into FILE` keeps their results, and `--write` makes the page of all that FILE holds. Each workload has a
process of its own, takes turns with its rivals and the machine's floor, and gives medians. Needs the extras jax, numba
and test, and torch for its column.
"""

# %%
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import speed_page

ENVIRONMENT = {"devices": {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}}


def measured(name: str, small: bool) -> dict[str, Any]:
    """A workload's results, from a process of its own, with the machine's load before and after."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "result.json"
        before, began = os.getloadavg()[0], time.perf_counter()
        command = [sys.executable, str(Path(__file__).with_name("speed_workloads.py")), name, str(path)]
        environment = {k: v for k, v in os.environ.items() if k not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}
        subprocess.run(command + ["--small"] * small, env={**environment, **ENVIRONMENT.get(name, {})}, check=True)
        found: dict[str, Any] = json.loads(path.read_text())
    found["load"] = [round(before, 1), round(os.getloadavg()[0], 1)]
    found["took"] = round(time.perf_counter() - began)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workloads", nargs="*", help=", ".join(speed_page.TABLES))
    parser.add_argument("--small", action="store_true", help="a fraction of the data: does it run, not how fast")
    parser.add_argument("--into", type=Path, help="a JSON file that gathers results")
    parser.add_argument("--write", action="store_true", help="write the page of all results gathered")
    given = parser.parse_args()
    unknown = set(given.workloads) - set(speed_page.TABLES)
    if unknown:
        parser.error(f"no workload {sorted(unknown)}: choose from {', '.join(speed_page.TABLES)}")
    found = json.loads(given.into.read_text()) if given.into and given.into.exists() else {}
    names = given.workloads or ([] if given.write else list(speed_page.TABLES))
    for name in names:
        found[name] = measured(name, given.small)
        print(speed_page.table(name, found[name]), flush=True)
        if given.into:
            given.into.write_text(json.dumps(found, indent=1) + "\n")
    if given.write or (not given.workloads and not given.small):
        speed_page.write(found)


if __name__ == "__main__":
    main()
