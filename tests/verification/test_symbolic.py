"""One trace for all sizes, against JAX's traces at each of them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gdjax.verification.neurons import built_in, neuron_cost
from gdjax.verification.numbers import exact as ex
from gdjax.verification.oracle import values_of
from gdjax.verification.programs.program import Program

SPEC = (("D",), (), ("N", "D"), ("N",), ("N",))
SIZES = (5, 2), (1, 1), (3, 3), (67, 3)


def drawn(n: int, d: int) -> tuple[Any, ...]:
    return np.ones(d), np.float64(0.5), np.ones((n, d)), np.arange(n) % 2.0, np.ones(n)


def equations(closed: Any) -> list[Any]:
    """Primitives with their parameters, nested ones within, and the literals that they are given."""
    found = []
    for eqn in getattr(closed, "jaxpr", closed).eqns:
        params = {k: equations(v) if hasattr(v, "eqns") else str(v) for k, v in eqn.params.items()}
        found.append((eqn.primitive.name, params, [str(v) for v in eqn.invars if hasattr(v, "val")]))
    return found


@pytest.mark.parametrize("neuron", built_in(), ids=str)
def test_one_trace_is_the_trace_of_each_size(neuron: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cost = neuron_cost(neuron)
    for function in (cost, jax.grad(cost, (0, 1))):
        once = Program(function, range(5), spec=SPEC)
        with monkeypatch.context() as patched:
            traces = [once.trace(drawn(*SIZES[0]))]
            patched.setattr(jax, "make_jaxpr", None)  # not asked again
            traces += [once.trace(drawn(*size)) for size in SIZES[1:]]
        with jax.enable_x64(True):
            for size, closed in zip(SIZES, traces, strict=True):
                assert equations(closed) == equations(jax.make_jaxpr(function)(*drawn(*size)))


@pytest.mark.parametrize(
    "function",
    [
        lambda x: jnp.mean(x) * 2,
        lambda x: jnp.sum(x.reshape(1, -1)) if x.shape[0] > 2 else jnp.sum(x),
        lambda x: jnp.sum(jnp.pad(x, (0, x.shape[0]))),
    ],
)
def test_a_function_that_computes_with_sizes_is_traced_at_each(function: Any) -> None:
    traced = Program(function, (0,), spec=(("N",),))
    for n in (1, 4, 8):
        x = np.arange(n) + 0.5
        (value,) = values_of(traced, (x,))
        assert ex.to_float(value) == float(function(x))
    assert traced.way == "jaxpr"
