"""A long run is interrupted, goes on from its checkpoint, and ends where it would have ended; then a model file."""

# %% Plain descent on one aircraft's flights, 2,000 steps in chunks
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

import gdjax

flights = np.load(Path(__file__).parent / "data" / "flights.npz")
here = flights["groups"] == "N328AA"
X, y = flights["X"][here], flights["y"][here]
folder = TemporaryDirectory()
path = Path(folder.name) / "run.ckpt"


def fit(**more: Any) -> gdjax.Run:
    options = {"method": "plain", "learning_rate": 1e-3, "steps": 2_000, "tolerance": 0, "backend": "numpy", **more}
    return gdjax.fit(gdjax.Neuron("identity"), X, y, features=[str(name) for name in flights["features"]], **options)


# %% Interrupted: a callback looks at each chunk, and this one ends the run at the second
seen = []


def stop_early(event: Any) -> bool:
    seen.append(event)
    return len(seen) == 2


first = fit(checkpoint=path, callback=stop_early)
print(f"interrupted: {first.reason}, {first.steps} steps, cost {first.cost:.6f}")

# %% The same call again goes on from there; bit for bit what an uninterrupted run gives
second, whole = fit(checkpoint=path), fit()
print(f"resumed: {second.steps} steps, cost {second.cost:.6f}")
assert np.array_equal(second.weights, whole.weights)

# %% A model file: arrays and JSON in safetensors, nothing that runs when it is read
second.save(Path(folder.name) / "model.safetensors")
loaded = gdjax.load(Path(folder.name) / "model.safetensors")
assert np.array_equal(loaded.predict(X), second.predict(X))
print(f"loaded: {loaded.neuron}, {', '.join(loaded.feature_names)}")
folder.cleanup()
