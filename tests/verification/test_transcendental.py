"""Functions of arguments that no float holds."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.verification.numbers import exact as ex
from gdjax.verification.numbers.transcendental import FUNCTIONS

ENDS = {
    "exp": (0, np.inf),
    "exp2": (0, np.inf),
    "expm1": (-1, np.inf),
    "logistic": (0, 1),
    "tanh": (-1, 1),
    "sinh": (-np.inf, np.inf),
    "cosh": (np.inf, np.inf),
    "erf": (-1, 1),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("name", ENDS)
def test_an_argument_of_a_billion_digits_is_no_hang(name: str) -> None:
    """exp(2^30): its exponential would take log 2 to as many digits."""
    function = FUNCTIONS[name]
    huge = ex.MP.exp(ex.MP.ldexp(1, 30))
    values = [function.exact(x) for x in (-huge, huge)]
    assert tuple(map(float, values)) == ENDS[name]
    assert all(ex.MP.isfinite(slope) for slope in map(function.slope, (-huge, huge), values))


def test_a_logarithm_of_them_is_whole() -> None:
    huge = ex.MP.exp(ex.MP.ldexp(1, 30))
    assert abs(FUNCTIONS["log"].exact(huge) - ex.MP.ldexp(1, 30)) < 1e-80
    assert abs(FUNCTIONS["sqrt"].exact(huge) ** 2 / huge - 1) < 1e-100


@pytest.mark.timeout(60)
def test_a_temperature_at_a_large_scale_is_no_hang() -> None:
    """It is tried at 2^30, where logits are exp(2^30)."""

    def cost(t, x):
        return jax.nn.logsumexp(jnp.exp(t) * x) - jnp.exp(t) * x[0]

    args = 0.5, np.array([0.5, -1.0, 2.0])
    report = gdjax.verify(cost, jax.jit(jax.grad(cost)), args, wrt=(0,), domain={0: "positive"}, seconds=1.0)
    assert report.verdict == "pass", str(report)
