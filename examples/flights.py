"""How late will an aircraft leave? One ReLU neuron for each of 4,037 aircraft, trained all at once."""

# %% Every flight that left New York in 2013: no delay is below 0, so each model is max(0, w.x + b)
from pathlib import Path

import numpy as np

import gdjax

flights = np.load(Path(__file__).parent / "data" / "flights.npz")
X, y, tailnum = flights["X"], flights["y"], flights["groups"]
features = [str(name) for name in flights["features"]]
print(f"{len(y):,} flights, {len(np.unique(tailnum)):,} aircraft, features {', '.join(features)}")

# %% A model an aircraft. Aircraft have 1 to 544 flights; some were never late, some never flew a second time on a day
run = gdjax.fit(gdjax.Neuron("relu"), X, y, groups=tailnum, features=features, backend="numpy")
print(", ".join(f"{count:,} {status}" for status, count in run.counts().items()))

# %% Which ones failed, and why: one line a kind
table = run.table()
failed = table["status"] != "converged"
reasons, first, counts = np.unique(table["reason"][failed].astype(str), return_index=True, return_counts=True)
for k in np.argsort(-counts)[:8]:
    example = table["group"][failed][first[k]]
    print(f"{counts[k]:5} {reasons[k]}  (as {example})")

# %% What the models say: of aircraft that often fly again the day they were late, how much of a delay is handed on
code = np.searchsorted(table["group"], tailnum)
late_before = np.bincount(code[X[:, features.index("previous_delay")] > 0], minlength=len(table["group"]))
busy = np.flatnonzero((late_before >= 40) & (table["status"] == "converged"))
most = busy[np.argsort(-table["r2"][busy])[:5]]
print("aircraft  flights  of which after a late one  minutes handed on of each  R^2")
for k in most:
    print(f"{table['group'][k]:8} {table['rows'][k]:8} {late_before[k]:26}", end="")
    print(f" {table['previous_delay'][k]:26.2f} {table['r2'][k]:4.2f}")

# %% A forecast: the same aircraft at 8 and at 20 o'clock, on time so far and an hour behind
aircraft = table["group"][most[0]]
cases = np.array([[8, 500, 0, 0], [20, 500, 0, 0], [20, 500, 0, 60]])
for case, minutes in zip(cases, run.predict(cases, groups=[aircraft] * len(cases)), strict=True):
    print(f"{aircraft} at {case[0]:2} o'clock, {case[3]:2} minutes behind: leaves {minutes:.0f} minutes late")
