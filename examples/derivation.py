"""The derivation, executable: all 33 equations on real flights, each beside its value by jax.jacobian."""

# %% Five flights, two features, parameters at which some gates are open and some are not
import numpy as np

import gdjax

hour_and_late = np.array([[6.0, 0.0], [9.0, 12.0], [15.0, 0.0], [18.0, 45.0], [21.0, 30.0]])
delay = np.array([0.0, 5.0, 2.0, 38.0, 41.0])
params = gdjax.Params(np.array([0.5, 0.8]), np.array(-8.0))

# %% Every equation by its number: the formula, its value, the oracle's value, the difference
derivation = gdjax.explain(gdjax.Neuron("relu"), params, hour_and_late, delay)
for equation in derivation:
    print(f"{equation.number:2}  {equation.text:60.60}  off by {equation.difference:.1e}")

# %% The gradient that all of them lead to
(weights, bias) = (derivation[23][0], derivation[32][0])
print("dC/dw =", weights.value, " dC/db =", bias.value)
assert derivation.holds
