"""Bounds on rounding against sums whose exact value is math.fsum's."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from gdjax.verification.numbers.running import LAMBDA, Running, RunningErrors

N = 10_000
RAMP = np.arange(N) / N
# Terms as data give them, and whether they differ enough to round independently.
TERMS: dict[str, tuple[Callable[[np.random.Generator], np.ndarray], bool]] = {
    "normal": (lambda rng: rng.normal(size=N), True),
    "half of them 0": (lambda rng: np.maximum(rng.normal(size=N), 0), True),
    "sorted": (lambda rng: np.sort(np.abs(rng.normal(size=N))), True),
    "ramp": (lambda rng: RAMP, True),
    "decaying": (lambda rng: np.exp(-RAMP), True),
    "equal": (lambda rng: np.full(N, 0.1), False),
    "of two values": (lambda rng: np.where(rng.random(N) < 0.3, 0.66818777, -0.33181223), False),
    "hardly varied": (lambda rng: 0.1 + 1e-6 * rng.normal(size=N), False),
    "far from 0": (lambda rng: 1e3 + rng.normal(size=N), False),
}


def bound(terms: np.ndarray, probable: bool, product: bool = False) -> float:
    A = RunningErrors(np.float32, probable=probable)
    exact = Running(terms, np.zeros_like(terms))
    if product:
        ones = np.ones((len(terms), 1))
        return float(A.matmul(Running(terms[None], 0 * terms[None]), Running(ones, 0 * ones)).error[0, 0])
    return float(A.sum(exact, (0,)).error)


@pytest.mark.parametrize("kind", sorted(TERMS))
def test_sums_err_within_the_bound_and_it_is_small_where_terms_allow(kind: str) -> None:
    make, varied = TERMS[kind]
    for seed in range(20):
        terms = make(np.random.default_rng(seed)).astype(np.float32)
        wide = terms.astype(np.float64)
        sums = (np.cumsum(terms)[-1], terms.sum(), terms @ np.ones_like(terms), np.cumsum(terms[::-1])[-1])
        error = max(abs(float(s) - math.fsum(wide)) for s in sums)
        for product in (False, True):
            assert error <= bound(wide, True, product)
            assert (bound(wide, True, product) < 0.2 * bound(wide, False, product)) == varied


def test_equal_terms_err_by_more_than_their_root() -> None:
    """Why they keep gamma_n."""
    terms = np.full(N, np.float32(0.1))
    error = abs(float(np.cumsum(terms)[-1]) - math.fsum(terms.astype(np.float64)))
    assert error > LAMBDA * math.sqrt(N) * 2.0**-24 * math.fsum(terms.astype(np.float64))


def test_what_overflows_on_the_way_is_unknown() -> None:
    """exp(100) / exp(100) is 1, and NaN in float32."""
    A = RunningErrors(np.float32)
    large = A.unary("exp", A.const(np.array([100.0, 1.0])))
    assert np.isinf(A.div(large, large).error).tolist() == [True, False]
    terms = np.array([3e38, 3e38, -3e38, -3e38])
    for whole in (A.sum(A.const(terms), (0,)), A.matmul(A.const(terms[None]), A.const(np.ones((4, 1))))):
        assert np.isinf(whole.error).all()


def test_a_power_of_zero_is_known() -> None:
    """0 to a positive power is 0, whatever it is; what is not known to be 0, or raised to nothing known, is unknown."""
    A = RunningErrors(np.float32, every=True)
    base = Running(np.array([0.0, 0.0, 0.0, 4.0]), np.array([0.0, 0.0, 1e-3, 0.0]))
    exponent = Running(np.array([1.5, 0.25, 1.5, 1.5]), np.array([0.0, 0.5, 0.0, 0.0]))
    error = A.power(base, exponent).error
    assert error[0] == 0
    assert np.isinf(error[1:3]).all()
    assert 0 < error[3] < 1e-4
