"""How large the bounds on rounding are, beside the errors of large sums.

    python benchmarks/rounding.py [--seeds 20]

Gradients summed as NumPy does and one by one, against arithmetic of twice the precision: the largest error over its
bound by gamma_n = n u / (1 - n u), by lambda sqrt(n) u for every sum, and by what `gdjax.verify` takes for the data.
Over 1, a correct gradient would be called wrong. "drawn" are random data, "alike" a start at w = 0, where all samples
of one label have one term.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from gdjax.verification.bounds import running_inputs
from gdjax.verification.numbers.running import RunningErrors
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.program import Program

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "verification"))

WIDER = {np.float32: np.float64, np.float64: np.longdouble}


class Probable(RunningErrors):
    """Every sum's roundings as independent and of mean zero."""

    def _varied(self, sizes: Any, axes: Any) -> Any:
        return True


def bounds(arithmetic: RunningErrors, gradient: Callable[..., Any], args: Any) -> list[Any]:
    program = Program(gradient, range(4))
    program.way = "numpy"
    outs = program.run(Walk([arithmetic]), args, running_inputs(args, range(4)))
    return [out.error for (out,) in outs]


def one_by_one(slope: Callable[..., Any]) -> Callable[..., Any]:
    def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
        e = slope(np, X @ w + b, y)
        return np.cumsum(X * e[:, None], axis=0)[-1] / X.dtype.type(len(y)), np.cumsum(e)[-1] / X.dtype.type(len(y))

    return gradient


def drawn(rng: np.random.Generator, rows: int, dtype: Any, alike: bool, labels: str) -> Any:
    y = (rng.random(rows) < 0.3).astype(float) if labels == "binary" else rng.normal(size=rows)
    y = np.full(rows, 0.3) if alike and labels != "binary" else y
    w, b = (np.zeros(3), 0.7) if alike else (rng.normal(size=3), 0.5)
    return tuple(np.asarray(a, dtype) for a in (w, b, rng.normal(size=(rows, 3)), y))


def main() -> None:
    from gradient_problems import PROBLEMS

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    print("| cost | dtype | N | data | summed | gamma_n | probabilistic for all | as taken |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for name in ("relu", "log_loss"):
        problem = PROBLEMS[name]
        ways = {"NumPy": problem.gradient(np), "one by one": one_by_one(problem.slope)}
        for dtype in (np.float32, np.float64):
            for rows in (10_000, 1_000_000):
                for alike in (False, True):
                    worst = {way: [0.0, 0.0, 0.0] for way in ways}
                    models = RunningErrors(dtype), Probable(dtype, probable=True), RunningErrors(dtype, probable=True)
                    for seed in range(seeds if rows < 1_000_000 else max(seeds // 10, 1)):
                        args = drawn(np.random.default_rng([seed, rows]), rows, dtype, alike, problem.labels)
                        exact = problem.gradient(np)(*(np.asarray(a, WIDER[dtype]) for a in args))
                        allowed = [bounds(model, problem.gradient(np), args) for model in models]
                        for way, gradient in ways.items():
                            found = [np.asarray(g, WIDER[dtype]) for g in gradient(*args)]
                            errors = [np.abs(g - x) for g, x in zip(found, exact, strict=True)]
                            for k, bound in enumerate(allowed):
                                ratio = max(float(np.max(e / b)) for e, b in zip(errors, bound, strict=True))
                                worst[way][k] = max(worst[way][k], ratio)
                    for way, ratios in worst.items():
                        row = name, np.dtype(dtype).name, f"{rows:,}", "alike" if alike else "drawn", way
                        print(f"| {' | '.join((*row, *(f'{r:.2g}' for r in ratios)))} |", flush=True)


if __name__ == "__main__":
    main()
