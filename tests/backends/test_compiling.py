"""numba compiles a text once in a process, whoever asks for it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import gdjax
from gdjax.neuron import Neuron

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
