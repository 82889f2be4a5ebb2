"""A user's own formula that raises, exits, does not end, fills the memory, returns what it may not, prints or is wrong:
a line says so."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax import Activation, Loss, Neuron
from gdjax.errors import GdjaxError, UsageError
from gdjax.machine import containment
from gdjax.verification.child import Task, verified

rng = np.random.default_rng(2)
X = rng.normal(size=(40, 2))
Y = X @ [1.0, 2.0] + 3


def raises(z: Any) -> Any:
    raise KeyError("two\nlines")


def leaves(z: Any) -> Any:
    sys.exit("of my own accord")


BAD: dict[str, tuple[Any, str]] = {
    "raises": (raises, r"activation 'mine': its value raised KeyError\('two\\nlines'\)"),
    "exits": (leaves, r"activation 'mine': its value raised SystemExit\('of my own accord'\)"),
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


@pytest.mark.parametrize("bad", [b for b in BAD if b not in ("raises", "exits")])
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


def loops(z: Any) -> Any:
    while True:
        pass


def waits(z: Any) -> Any:
    while True:
        time.sleep(0.01)


def hoards(z: Any) -> Any:
    held = []
    while True:
        held.append(bytearray(b"x" * (16 << 20)))


BEYOND: dict[str, tuple[Callable[[Any], Any], str]] = {
    "loops": (loops, "has not ended after"),
    "waits": (waits, "has not ended after"),
    "hoards": (hoards, "GiB of memory"),
}


@pytest.fixture
def small_limits(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """And no thread of a user's code is left."""
    monkeypatch.setattr(containment, "SECONDS", 0.5)
    monkeypatch.setattr(containment, "MEMORY", 128 << 20)
    yield
    for thread in threading.enumerate():
        if thread.name == "gdjax user code":
            thread.join(5)
            assert not thread.is_alive()


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize("beyond", BEYOND)
def test_what_goes_beyond_its_limits_is_ended(beyond: str, monkeypatch: pytest.MonkeyPatch) -> None:
    function, message = BEYOND[beyond]
    if beyond == "hoards":
        monkeypatch.setattr(containment, "SECONDS", 60.0)
        if not Path("/proc/self/statm").exists():
            pytest.skip("the memory of a process is read from /proc")
    with pytest.raises(UsageError, match=f"activation 'mine': its slope .*{message}") as caught:
        gdjax.fit(Neuron(activation(lambda z: z * 1, function)), X, Y, backend="numpy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("odd", [loops, leaves])
def test_what_it_does_at_other_inputs_than_the_first_is_contained_too(
    odd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containment, "SECONDS", 2.0)

    def value(z: Any) -> Any:
        return z * 1 if z.shape == (2, 3) else odd(z)

    with pytest.raises(UsageError, match="the verification of activation 'mine' with loss 'squared_error'"):
        gdjax.fit(Neuron(activation(value, ones)), X, Y, backend="numpy")


def test_ctrl_c_ends_it() -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        gdjax.fit(Neuron(activation(loops, ones)), X, Y, backend="numpy")


def test_what_it_raises_in_training_is_said_in_a_line(backend_name: str) -> None:
    def build(xp: Any) -> Any:
        def value(z: Any) -> Any:
            if z.shape != (2, 3):
                raise ValueError("not\nthese")
            return z * 1

        return value, ones

    def wrong_namespace(xp: Any) -> Any:
        return (lambda z: np.sinh(np.asarray(z))), (lambda z: np.cosh(np.asarray(z)))

    with pytest.raises(UsageError, match="activation 'mine'") as caught:
        gdjax.fit(Neuron(Activation("mine", build)), X, Y, backend=backend_name, verify=False)
    assert "\n" not in str(caught.value)
    if backend_name == "numpy":
        assert isinstance(caught.value.__cause__, ValueError)
    else:
        with pytest.raises(UsageError, match=r"activation 'mine'.*build\(xp\) receives"):
            gdjax.fit(Neuron(Activation("mine", wrong_namespace)), X, Y, backend=backend_name, verify=False)


def test_a_formula_of_numpy_alone_is_proved_and_trained() -> None:
    special = pytest.importorskip("scipy.special")
    root_pi = float(np.sqrt(np.pi))
    neuron = Neuron(activation(special.erf, lambda z: 2 / root_pi * np.exp(-z * z)))
    run = gdjax.fit(neuron, X, special.erf(X @ [0.5, 0.25]), backend="numpy")
    np.testing.assert_allclose(run.weights, [0.5, 0.25], rtol=1e-6)
    with pytest.raises(GdjaxError, match="slope of mine"):
        gdjax.fit(Neuron(activation(special.erf, lambda z: 2 / root_pi * np.exp(-z))), X, Y, backend="numpy")


MODULE = """
import os
import gdjax

def ends_the_process(xp):
    return (lambda z: os._exit(0)), (lambda z: z)

def wrong(xp):
    return (lambda z: print("pass") or z * z), (lambda z: z)

ends = gdjax.Activation("ends", ends_the_process)
neuron = gdjax.Neuron(gdjax.Activation("wrong", wrong))
"""


def test_a_neuron_may_be_verified_in_a_process_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "own_formulas.py").write_text(MODULE)
    with pytest.raises(UsageError, match="verifying own_formulas:ends ended without a verdict"):
        verified(Task("own_formulas:ends", app_dir=str(tmp_path)))
    found = verified(Task("own_formulas:neuron", app_dir=str(tmp_path), backend="numpy", seconds=0.1))
    assert found.verdict == "fail"
    assert "slope of wrong" in found.text
