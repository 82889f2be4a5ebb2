"""Which penalty forecasts best? 40 neurons on the same flights, trained together; folds are weights of 0 and 1."""

# %% One aircraft, and polynomials of its features: more columns than 225 flights can pay for
from pathlib import Path

import numpy as np

import gdjax

flights = np.load(Path(__file__).parent / "data" / "flights.npz")
here = flights["groups"] == "N713EV"
base, y = flights["X"][here].astype(float), flights["y"][here]
names = [str(name) for name in flights["features"]]
standard = (base - base.mean(0)) / base.std(0)
X = np.column_stack([standard, standard**2, *(standard[:, [i]] * standard[:, i + 1 :] for i in range(3))])

# %% Every penalty, in every fold, at once
penalties = np.geomspace(1e-2, 1e5, 8)
run = gdjax.sweep(gdjax.Neuron("relu"), X, y, l2=list(penalties), folds=4, backend="numpy")
table = run.table()
print(run.counts())

# %% The best by validation cost, and the most penalised one within a standard error of it
for rule in ("min", "one_standard_error"):
    print(f"{rule:18} l2 = {table['l2'][run.best(rule)]:.3g}")
