"""One neuron, one gradient derived by hand, and plain descent to the letter; then what the defaults add."""

# %% One aircraft: 544 flights of N725MQ, and how late each left
import csv
from pathlib import Path

import numpy as np

import gdjax

with (Path(__file__).parent / "data" / "three_aircraft.csv").open(encoding="utf-8") as lines:
    rows = [row for row in csv.DictReader(lines) if row["tailnum"] == "N725MQ"]
names = ["hour", "previous_delay"]
X = np.array([[float(row[name]) for name in names] for row in rows])
y = np.array([float(row["delay"]) for row in rows])
neuron = gdjax.Neuron("relu", "squared_error")

# %% The gradient, by the derivation: each flight's error counts where its gate z > 0 is open, and nowhere else
here = gdjax.Params(np.array([0.5, 0.2]), np.array(-4.0))
cost, gradient = gdjax.cost_and_gradient(neuron, here, X, y, backend="numpy")
z = X @ here.weights + here.bias
e = (z - y) * (z > 0)
print(f"cost {cost:.3f}, gradient {np.round(gradient.weights, 3)} and {gradient.bias:.3f}")
print(f"by the formula          {np.round(2 * X.T @ e / len(y), 3)} and {2 * e.mean():.3f}")

# %% One plain step: w - rate * gradient, and nothing else
plain = {"method": "plain", "standardize": False, "tolerance": 0, "backend": "numpy"}
one = gdjax.fit(neuron, X, y, init=here, learning_rate=1e-4, steps=1, **plain)
assert np.array_equal(one.weights, here.weights - 1e-4 * gradient.weights)
print(f"after one step of 1e-4: cost {one.cost:.3f}")

# %% A rate that is too large leaps to where no gate is open, and no gradient leads back. The run says so
wild = gdjax.fit(neuron, X, y, init=here, learning_rate=0.1, steps=200, **plain)
print(f"rate 0.1: {wild.status}, {wild.reason}; cost {wild.cost:.3f}")

# %% The defaults: columns standardised inside, rate from the curvature, Nesterov's method, and a certificate at the end
run = gdjax.fit(neuron, X, y, features=names)
print(f"defaults: {run.status} after {run.steps} steps, cost {run.cost:.3f}, R^2 {run.r2:.3f}")
print("delay = max(0, " + " ".join(f"{w:+.3f} {name}" for w, name in zip(run.weights, names, strict=True)), end="")
print(f" {run.bias:+.3f})")
