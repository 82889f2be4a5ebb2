"""The same experiment on every backend that is installed, with one word changed, and where the results differ."""

# %% What is here
from pathlib import Path

import numpy as np

import gdjax

for name, what in gdjax.backends().items():
    print(f"{name:6} {', '.join(what['devices']) if what['installed'] else what['missing']}")

# %% One aircraft, one neuron, the same seed: only the word changes
flights = np.load(Path(__file__).parent / "data" / "flights.npz")
here = flights["groups"] == "N725MQ"
X, y = flights["X"][here], flights["y"][here]
runs = {
    name: gdjax.fit(gdjax.Neuron("relu"), X, y, backend=name)
    for name, what in gdjax.backends().items()
    if what["installed"]
}
for name, run in runs.items():
    apart = np.max(np.abs(run.weights / runs["numpy"].weights - 1))
    print(f"{name:6} {run.status} after {run.steps} steps, cost {run.cost:.12f}, {apart:.1e} from numpy")
    assert apart < 1e-10

# %% The report: ulps a parameter, autodiff beside the formula, time to the first step and a step
print(gdjax.compare(gdjax.Neuron("relu"), X, y))
