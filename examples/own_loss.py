"""A loss of one's own: expectiles, where to be caught short costs nine times what to wait costs."""

# %% The asymmetric squared error of Newey and Powell (1987), a value and its slope in the prediction
from pathlib import Path
from typing import Any

import numpy as np

import gdjax

SHORT = 0.9  # weight of a forecast that is too low; 1 - SHORT of one that is too high


def value(p: Any, y: Any) -> Any:
    return (SHORT + (1 - 2 * SHORT) * (p > y)) * (p - y) ** 2


def slope(p: Any, y: Any) -> Any:
    return 2 * (SHORT + (1 - 2 * SHORT) * (p > y)) * (p - y)


# %% fit verifies a formula that is not its own before it trusts it: a wrong slope is refused, not trained on
flights = np.load(Path(__file__).parent / "data" / "flights.npz")
here = flights["groups"] == "N725MQ"
X, y = flights["X"][here], flights["y"][here]
features = [str(name) for name in flights["features"]]

try:
    wrong = gdjax.losses.custom("wrong", value, lambda p, y: (p - y) * (p > y))
    gdjax.fit(gdjax.Neuron("relu", wrong), X, y, backend="numpy")
except gdjax.GdjaxError as error:
    print(f"refused: {str(error)[:200]}")
else:
    raise SystemExit("a wrong slope was trusted")

# %% The right one: a forecast that is high enough more often
careful = gdjax.Neuron("relu", gdjax.losses.custom("expectile", value, slope))
for neuron in (gdjax.Neuron("relu"), careful):
    run = gdjax.fit(neuron, X, y, features=features, backend="numpy")
    enough = np.mean(run.predict(X) >= y)
    loss = neuron.loss if isinstance(neuron.loss, str) else neuron.loss.name
    print(f"{loss:14} {run.status:10} after {run.steps:5} steps: high enough for {enough:.0%} of flights")
