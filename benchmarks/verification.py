"""How long `gdjax.verify` of each built-in neuron takes in a fresh process, from after `import gdjax`, and once more.

    python benchmarks/verification.py [--backends numpy,jax] [--dtypes float64,float32] [--first]

Run it with nothing beside it: a verification uses two cores. Bytecode is written by the first process of all. With
--first nothing compiled is kept from one process to the next, as on a machine where each is the first.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile

ONE = """
import sys, time
import gdjax
from gdjax.verification.neurons import built_in
backend, dtype, number = sys.argv[1:]
neuron = built_in()[int(number)]
started = time.perf_counter()
report = gdjax.verify(neuron, backend=backend, dtype=dtype)
first = time.perf_counter()
gdjax.verify(neuron, backend=backend, dtype=dtype)
again = time.perf_counter()
print(f"| {report.name} | {dtype} | {report.verdict} | {first - started:.2f} s | {1000 * (again - first):.2f} ms |")
"""


def main() -> None:
    from gdjax.verification.neurons import built_in

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backends", default="numpy,jax,numba")
    parser.add_argument("--dtypes", default="float64,float32")
    parser.add_argument("--first", action="store_true", help="an empty cache for each neuron")
    options = parser.parse_args()
    print("| neuron | dtype | verdict | first | again |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for backend in options.backends.split(","):
        for dtype in options.dtypes.split(","):
            for number in range(len(built_in())):
                with tempfile.TemporaryDirectory() as empty:
                    moved = {"GDJAX_CACHE_DIR": empty} if options.first else {}
                    program = [sys.executable, "-c", ONE, backend, dtype, str(number)]
                    subprocess.run(program, check=True, env={**os.environ, **moved})


if __name__ == "__main__":
    main()
