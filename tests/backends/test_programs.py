"""XLA's programs on CPU: however they are compiled, the results are the same to the bit."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax.samples import Samples

jax = pytest.importorskip("jax")
from gdjax_jax import compiling, programs  # noqa: E402

QUICKLY, AT_LENGTH = 1 << 40, 0
FORMULAS = [("relu", "squared_error"), ("softplus", "huber"), ("sigmoid", "log_loss")]


def again(program: Callable[..., Any], most: int, donated: int) -> Callable[..., Any]:
    """A program of ours, compiled quickly up to `most` bytes."""
    return compiling.compiled(
        program.__wrapped__,  # type: ignore[attr-defined]
        lambda *arguments: 1,
        most,
        static_argnums=0,
        donate_argnums=donated,
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("grouped", [False, True], ids=["one neuron", "a fleet"])
@pytest.mark.parametrize(("activation", "loss"), FORMULAS)
def test_a_program_compiled_quickly_gives_the_same_bits(
    activation: str, loss: str, grouped: bool, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    X, y, groups = rng.normal(size=(96, 5)), rng.integers(0, 2, 96).astype(float), np.arange(96) % 3
    shared, own = programs.chunk_shared, programs.chunk_own
    found = []
    for most in QUICKLY, AT_LENGTH:
        monkeypatch.setattr(programs, "chunk_shared", again(shared, most, 3))
        monkeypatch.setattr(programs, "chunk_own", again(own, most, 4))
        run = gdjax.fit(
            gdjax.Neuron(activation, loss, l2=0.01), X, y, groups=groups if grouped else None, steps=50, dtype=dtype
        )
        found.append((run.weights.tobytes(), run.bias.tobytes(), np.asarray(run.cost).tobytes()))
    assert found[0] == found[1]


@pytest.mark.parametrize(("most", "way"), [(QUICKLY, "QUICK"), (AT_LENGTH, "WIDE")])
def test_an_option_that_xla_knows_no_more_is_left_out(most: int, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(getattr(compiling, way), "xla_cpu_option_of_yesterday", True)

    def twice(theta: Any, samples: Samples) -> Any:
        return 2 * theta

    call = compiling.compiled(twice, lambda *arguments: 1, most, compiling.WIDE)
    samples = Samples(*map(partial(jax.numpy.asarray, dtype="float32"), ([[1.0]], [1.0], [[1.0]], [1.0])))
    for _ in range(2):
        np.testing.assert_array_equal(call(jax.numpy.arange(3), samples), [0, 2, 4])


def test_an_error_of_xla_is_not_taken_for_an_option() -> None:
    def unheard(theta: Any, samples: Samples) -> Any:
        return jax.pure_callback(lambda x: 1 / 0, theta, theta)

    call = compiling.compiled(unheard, lambda *arguments: 1, QUICKLY)
    samples = Samples(*map(partial(jax.numpy.asarray, dtype="float32"), ([[1.0]], [1.0], [[1.0]], [1.0])))
    with pytest.raises(jax.errors.JaxRuntimeError, match="ZeroDivisionError"):
        jax.block_until_ready(call(jax.numpy.arange(3.0), samples))
