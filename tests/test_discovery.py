"""Backends are found by name through entry points: of distributions that lie here as installed ones do."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import gdjax
from gdjax.errors import BackendError, UsageError
from gdjax_numpy import NumpyBackend

Install = Callable[[str, str, str], None]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a distribution of one module and one entry point on the path."""
    monkeypatch.syspath_prepend(tmp_path)

    def put(distribution: str, entry: str, source: str) -> None:
        info = tmp_path / f"{distribution}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[gdjax.backends]\n{entry} = {distribution}_module:Backend\n")
        (tmp_path / f"{distribution}_module.py").write_text(source)

    return put


def test_a_stranger_s_backend_needs_an_entry_point_and_nothing_else(install: Install) -> None:
    install("strange", "strange", "from gdjax_numpy import NumpyBackend as Backend\n")
    assert gdjax.backend("strange", dtype="float32") == NumpyBackend("float32")
    row = gdjax.backends()["strange"]
    assert (row["installed"], row["distribution"]) == (True, "strange")


def test_a_framework_that_is_missing_is_listed_with_the_remedy(install: Install) -> None:
    install("frameless", "frameless", "import no_such_framework\n")
    row = gdjax.backends()["frameless"]
    assert (row["installed"], row["distribution"]) == (False, "frameless")
    assert row["missing"].endswith("needs 'no_such_framework', which is not installed: install it")


def test_two_plug_ins_of_one_name_are_an_error_that_names_both(install: Install) -> None:
    for name in ("first", "second"):
        install(name, "twice", "raise AssertionError('neither is loaded')\n")
    with pytest.raises(BackendError, match="backend 'twice' is claimed by first and second: uninstall one of them"):
        gdjax.backend("twice")
    assert "claimed by" in gdjax.backends()["twice"]["missing"]


@pytest.mark.parametrize(
    ("arguments", "error", "said"),
    [
        ({"name": "nunpy"}, BackendError, "unknown backend 'nunpy': did you mean 'numpy'?"),
        ({"name": "numpy", "device": "gpu"}, BackendError, "no device 'gpu' here: pass 'cpu'"),
        ({"name": "jax", "device": "gpux"}, BackendError, "no device 'gpux' here: pass one of cpu"),
        ({"name": "numpy", "dtype": "float16"}, UsageError, "pass 'float32' or 'float64'"),
        ({"name": 3}, UsageError, "must be a name or an instance"),
    ],
)
def test_what_is_not_there_is_named_with_the_remedy(arguments, error, said) -> None:
    with pytest.raises(error) as caught:
        gdjax.backend(**arguments)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_instance_is_given_back_in_the_dtype_asked_for() -> None:
    instance = NumpyBackend("float32")
    assert gdjax.backend(instance) is instance
    assert gdjax.backend(instance, dtype="float64") == NumpyBackend("float64")


@pytest.mark.parametrize("backend", [None, 3, np], ids=["None", "3", "numpy"])
@pytest.mark.parametrize("call", [gdjax.fit, gdjax.sweep, gdjax.compare])
def test_what_is_no_backend_is_told_wherever_it_is_passed(call: Callable[..., object], backend: object) -> None:
    named = {"backends": [backend]} if call is gdjax.compare else {"backend": backend}
    with pytest.raises(UsageError, match="must be a name or an instance of"):
        call(gdjax.Neuron(), np.ones((3, 1)), np.ones(3), **named)
