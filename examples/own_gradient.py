"""A gradient of one's own, in blocks for speed: what a test at one point does not see, and `gdjax.verify` does."""

# %% The cost of a ReLU neuron under Huber's loss, as anybody would write it
from collections.abc import Iterable
from typing import Any

import numpy as np
from scipy.optimize import check_grad

import gdjax

BLOCK = 8


def cost(w: Any, b: Any, X: Any, y: Any) -> Any:
    e = np.maximum(0, X @ w + b) - y
    return np.mean(np.where(np.abs(e) <= 1, e * e / 2, np.abs(e) - 0.5))


# %% Its gradient, derived by hand and summed block by block; the last block is lost where it is short
def summed(starts: Iterable[int], w: Any, b: Any, X: Any, y: Any) -> Any:
    dw, db = np.zeros_like(w), np.zeros_like(b)
    for start in starts:
        part, target = X[start : start + BLOCK], y[start : start + BLOCK]
        z = part @ w + b
        slope = np.where(z > 0, np.clip(z - target, -1, 1), 0)
        dw, db = dw + part.T @ slope, db + slope.sum()
    return dw / len(X), db / len(X)


def gradient(w: Any, b: Any, X: Any, y: Any) -> Any:
    return summed(range(0, len(X) - BLOCK + 1, BLOCK), w, b, X, y)


# %% At one random point, with rows that fill the blocks, finite differences find nothing
rng = np.random.default_rng(0)
w, b, X, y = rng.normal(size=3), 0.5, rng.normal(size=(4 * BLOCK, 3)), rng.normal(size=4 * BLOCK)
off = check_grad(lambda at: cost(at, b, X, y), lambda at: gradient(at, b, X, y)[0], w)
print(f"finite differences at one point: off by {off:.1e}")

# %% verify varies the sizes and puts samples on the kinks; it names the component, and gives code that shows it
shapes = ("D", "", "N D", "N")
report = gdjax.verify(cost, gradient, (w, b, X, y), shapes=shapes)
print(report)
assert report.verdict == "fail"


# %% Mended, it is right at every size that was tried, and on both sides of every comparison
def mended(w: Any, b: Any, X: Any, y: Any) -> Any:
    return summed(range(0, len(X), BLOCK), w, b, X, y)


report = gdjax.verify(cost, mended, (w, b, X, y), shapes=shapes)
print(report)
assert report.verdict == "pass"
