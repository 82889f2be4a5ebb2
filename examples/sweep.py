"""Which penalty forecasts best? 40 neurons on the same flights, trained together; folds are weights of 0 and 1."""

# %% Air time of one aircraft, on the squares and products of three features: 9 columns for 225 flights
import csv
from pathlib import Path

import numpy as np

import gdjax

with (Path(__file__).parent / "data" / "three_aircraft.csv").open(encoding="utf-8") as lines:
    rows = [row for row in csv.DictReader(lines) if row["tailnum"] == "N713EV"]
base = np.array([[float(row[name]) for name in ("hour", "distance", "previous_delay")] for row in rows])
y = np.array([float(row["air_time"]) for row in rows])
standard = (base - base.mean(0)) / base.std(0)
X = np.column_stack([standard, standard**2, *(standard[:, i] * standard[:, j] for i, j in ((0, 1), (0, 2), (1, 2)))])

# %% Every penalty on all rows and without each of four folds, at once
penalties = np.geomspace(1e-3, 10, 8)
run = gdjax.sweep(gdjax.Neuron("relu"), X, y, l2=list(penalties), folds=4, backend="numpy")
print(run.counts())

# %% The mean cost on the fold that each was trained without
table = run.table()
held_out = table["fold"] >= 0
for l2 in penalties:
    print(f"l2 = {l2:8.4f}: {table['validation_cost'][held_out & (table['l2'] == l2)].mean():8.3f}")

# %% The best by that cost, and the most penalised one within a standard error of it
for rule in ("min", "one_standard_error"):
    print(f"{rule:18} l2 = {table['l2'][run.best(rule)]:.4f}")
