"""A user's own formula that raises, returns what it may not, prints or is wrong: a line says so, before any step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax import Activation, Loss, Neuron
from gdjax.errors import GdjaxError, UsageError

rng = np.random.default_rng(2)
X = rng.normal(size=(40, 2))
Y = X @ [1.0, 2.0] + 3


def raises(z: Any) -> Any:
    raise KeyError("two\nlines")


BAD: dict[str, tuple[Any, str]] = {
    "raises": (raises, r"activation 'mine': its value raised KeyError\('two\\nlines'\)"),
    "first column": (lambda z: z[..., :1], r"its value is float64 \(2, 1\) for z \(2, 3\)"),
    "flat": (lambda z: z.reshape(-1), r"its value is float64 \(6,\)"),
    "none": (lambda z: None, "its value is object"),
    "text": (lambda z: "z", "its value is <U1"),
    "complex": (lambda z: z * 1j, "its value is complex128"),
}


def activation(value: Any, slope: Any) -> Activation:
    return Activation("mine", lambda xp: (value, slope))


def ones(z: Any) -> Any:
    return z * 0 + 1


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("bad", BAD)
def test_what_a_value_does_is_said_in_a_line(bad: str, verify: bool) -> None:
    value, message = BAD[bad]
    with pytest.raises(UsageError, match=message) as caught:
        gdjax.fit(Neuron(activation(value, ones)), X, Y, backend="numpy", verify=verify)
    assert "\n" not in str(caught.value)
    if bad == "raises":
        assert isinstance(caught.value.__cause__, KeyError)  # the user's own traceback is kept


@pytest.mark.parametrize("bad", [b for b in BAD if b != "raises"])
def test_what_a_slope_gives_is_said_too(bad: str) -> None:
    with pytest.raises(UsageError, match="activation 'mine': its slope is"):
        gdjax.fit(Neuron(activation(lambda z: z * 1, BAD[bad][0])), X, Y, backend="numpy")


def test_a_loss_that_sums_is_said() -> None:
    loss = Loss("mine", lambda xp: (lambda p, y: xp.sum((p - y) ** 2, axis=-1), lambda p, y: 2 * (p - y)))
    with pytest.raises(UsageError, match=r"loss 'mine': its value is float64 \(2,\)"):
        gdjax.fit(Neuron("identity", loss), X, Y, backend="numpy")


def test_a_slope_that_is_one_number_is_taken() -> None:
    neuron = Neuron(activation(lambda z: z * 1, lambda z: 1.0))
    run = gdjax.fit(neuron, X, Y, backend="numpy", verify=False)
    np.testing.assert_allclose(run.weights, [1, 2], rtol=1e-6)


def test_a_wrong_slope_is_refused_before_any_step() -> None:
    steps = []
    with pytest.raises(GdjaxError, match="slope of mine") as caught:
        gdjax.fit(
            Neuron(activation(lambda z: z * 1, lambda z: z * 0 + 2)), X, Y, backend="numpy", callback=steps.append
        )
    assert "\n" not in str(caught.value)
    assert steps == []


def test_what_it_prints_is_the_user_s(capsys: pytest.CaptureFixture[str]) -> None:
    def value(z: Any) -> Any:
        print("here")
        return z * 1

    run = gdjax.fit(Neuron(activation(value, ones)), X, Y, backend="numpy", verify=False)
    np.testing.assert_allclose(run.weights, [1, 2], rtol=1e-6)
    assert set(capsys.readouterr().out.split()) == {"here"}
