"""A formula over the pre-activations of many rows: compiled once for all walks, which call it by its address.

`gdjax_numba.compiling` puts the formula in the place of the import below, as it does for `gdjax_numba.walks`.
"""

# ruff: noqa: F403, F405
from gdjax_numba.head import *

# --- head ---


@formula
def pointwise(z: Any, bias: Any, y: Any, weight: Any) -> tuple[Any, Any]:
    """Turns pre-activations, in place, into weight * slope; returns the sums of weight * cost and of weight * slope."""
    cost_sum = real(0)
    slope_sum = real(0)
    for n in range(len(z)):
        c = weight[n] * cost(z[n] + bias, y[n])
        r = weight[n] * slope(z[n] + bias, y[n])
        # a row of weight 0 may be infinite under these parameters: 0 * inf would be NaN
        inside = weight[n] > 0
        z[n] = r if inside else real(0)
        cost_sum += c if inside else real(0)
        slope_sum += z[n]
    return cost_sum, slope_sum
