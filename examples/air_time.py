"""How fast does each aircraft fly? Air time on distance: 4,037 lines whose slopes are minutes a mile."""

# %% Air time is never negative, and the one feature is the distance
from pathlib import Path

import numpy as np

import gdjax

flights = np.load(Path(__file__).parent / "data" / "air_time.npz")
X, y, tailnum = flights["X"], flights["y"], flights["groups"]

# %% Two parameters a model, so that aircraft with two flights to two places have one
run = gdjax.fit(gdjax.Neuron("relu"), X, y, groups=tailnum, features=["distance"], backend="numpy")
table = run.table()
print(", ".join(f"{count:,} {status}" for status, count in run.counts().items()))

# %% Where the fit is a straight line, least squares has a closed form: the same numbers without descent
code = np.searchsorted(table["group"], tailnum)
n = np.bincount(code)
x = X[:, 0].astype(float)
mean_x, mean_y = np.bincount(code, x) / n, np.bincount(code, y) / n
spread = np.bincount(code, (x - mean_x[code]) ** 2)
product = np.bincount(code, (x - mean_x[code]) * (y - mean_y[code]))
spreads = (spread > 0) & (table["status"] == "converged")
closed = product[spreads] / spread[spreads]
open_gates = np.bincount(code, table["distance"][code] * x + table["bias"][code] > 0)
straight = open_gates[spreads] == n[spreads]
apart = np.max(np.abs(table["distance"][spreads][straight] / closed[straight] - 1))
print(f"{straight.sum():,} slopes against the closed form: at most {apart:.1e} apart, relative")

# %% Cruising speeds, of the aircraft that flew at least 50 times to at least two places
regular = spreads & (table["rows"] >= 50) & (table["r2"] > 0.9)
speed = 60 / table["distance"][regular]
slow, middle, fast = np.percentile(speed, [5, 50, 95])
print(f"{regular.sum():,} aircraft: 5% below {slow:.0f} mph, half below {middle:.0f}, 95% below {fast:.0f}")
