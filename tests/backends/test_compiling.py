"""numba compiles a text once in a process, whoever asks for it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax.neuron import Neuron
from gdjax.samples import Samples

pytest.importorskip("numba")
from gdjax_numba import compiling

THREADS = 4


def leaky(xp: Any) -> Any:
    return lambda z: xp.maximum(z, z / 8), lambda z: xp.where(z > 0, xp.ones_like(z), xp.full_like(z, 0.125))


def leaky_too(xp: Any) -> Any:
    return leaky(xp)


def test_formulas_of_one_text_are_one_program() -> None:
    one, two = (Neuron(gdjax.Activation("leaky", build)).formula for build in (leaky, leaky_too))
    assert one != two
    assert compiling.formula_address(one, "float64") == compiling.formula_address(two, "float64")


def test_threads_that_ask_at_once_are_given_one_program() -> None:
    compiling.program.cache_clear()
    with ThreadPoolExecutor(THREADS) as pool:
        found = pool.map(lambda _: id(compiling.program("float32")), range(THREADS))
    assert len(set(found)) == 1


def chosen_by_numbers(xp: Any) -> Any:
    def value(z: Any) -> Any:
        return xp.where(xp.maximum(z, 0), z, 2 * z) + xp.where(xp.logical_and(xp.floor(z), z < 2), 1, 0)

    return value, lambda z: xp.where(z > 0, xp.ones_like(z), 2)


def test_a_number_is_a_condition_where_it_is_not_0() -> None:
    neuron = Neuron(gdjax.Activation("chosen", chosen_by_numbers), bias=False)
    z, y = np.array([-1.5, 0.0, 0.25, 1.0, 1.5, 2.0]), np.ones(6)
    p, slope = (f(z) for f in chosen_by_numbers(np))
    backend = gdjax.backend("numba", dtype="float64")
    samples = Samples(*map(backend.asarray, (z[:, None], y, np.ones((1, 6)), np.array([6.0]))))
    cost, gradient = backend.cost_and_gradient(neuron.formula, np.array([[1.0, 0.0]]), samples)
    np.testing.assert_allclose(cost, [((p - y) ** 2).mean()])
    np.testing.assert_allclose(gradient, [[(2 * (p - y) * slope * z).mean(), (2 * (p - y) * slope).mean()]])
