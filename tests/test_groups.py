"""Keys of groups: of each kind a row finds its model again, at once and from a file."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gdjax

WHICH = np.arange(12) % 3
X = np.arange(12.0)[:, None]
Y = np.array([1.0, 10.0, 100.0])[WHICH] * (1 + X[:, 0])  # the slope tells which model a row met


def of(*three: Any) -> np.ndarray:
    return np.array(three, object)[WHICH]


def pandas_column(*three: Any, dtype: str) -> Any:
    return pytest.importorskip("pandas").Series([three[i] for i in WHICH], dtype=dtype)


KEYS = {
    "NaN among numbers": lambda: np.array([1.0, math.nan, 2.0])[WHICH],
    "NaN among objects": lambda: of(1.0, float("nan"), "b"),
    "a NaN of its own in each row": lambda: np.array([(float("nan"), 1.5, 7)[i] for i in WHICH], object),
    "infinities": lambda: of(-math.inf, math.inf, "x"),
    "None": lambda: of(None, "a", "b"),
    "numbers beside text in a list": lambda: [(1, "a", 2.5)[i] for i in WHICH],
    "NaN beside text in a list": lambda: [("a", math.nan, "b")[i] for i in WHICH],
    "tuples with NaN": lambda: [(("a", math.nan), ("a", 1.0), ("b", math.nan))[i] for i in WHICH],
    "NumPy's dates, one of them none": lambda: np.array(["2020", "NaT", "2021"], "M8[D]")[WHICH],
    "pandas' missing text": lambda: pandas_column("a", None, "b", dtype="string"),
    "pandas' missing integers": lambda: pandas_column(1, None, 2, dtype="Int64"),
    "masked": lambda: np.ma.masked_array(WHICH, WHICH == 1),
    "truth values and text": lambda: of(True, "a", "b"),
}


@pytest.mark.parametrize("kind", KEYS)
def test_a_row_finds_its_model_again(kind: str, tmp_path: Path, backend_name: str) -> None:
    keys = KEYS[kind]()
    run = gdjax.fit(gdjax.Neuron("identity"), X, Y, groups=keys, backend=backend_name)
    assert run.counts() == {"converged": 3}
    np.testing.assert_allclose(run.predict(X, groups=keys), Y, rtol=1e-7)
    run.save(tmp_path / "run")
    loaded = gdjax.load(tmp_path / "run")
    np.testing.assert_array_equal(loaded.predict(X, groups=keys), run.predict(X, groups=keys))
    assert list(map(str, loaded.groups)) == list(map(str, run.groups))


@pytest.mark.parametrize("key", [b"a", datetime.date(2020, 1, 1), decimal.Decimal("1.5")], ids=repr)
def test_keys_that_fit_no_file_are_told_so(key: Any, tmp_path: Path) -> None:
    keys = np.array([key] * 12)
    run = gdjax.fit(gdjax.Neuron("identity"), X, X[:, 0], groups=keys, backend="numpy")
    np.testing.assert_allclose(run.predict(X, groups=keys), X[:, 0], atol=1e-7)
    with pytest.raises(
        gdjax.UsageError, match=rf"key of type {type(key).__name__} fits no file: .*dataclasses.replace"
    ):
        run.save(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    dataclasses.replace(run, groups=run.groups.astype(str)).save(tmp_path / "run")
    np.testing.assert_allclose(gdjax.load(tmp_path / "run").predict(X, groups=keys.astype(str)), X[:, 0], atol=1e-7)


def test_keys_that_cannot_be_told_apart_are_refused() -> None:
    keys = np.empty(12, object)
    keys[:] = [[1]] * 12
    with pytest.raises(gdjax.DataError, match=r"^groups: unhashable type: 'list': pass keys of text"):
        gdjax.fit(gdjax.Neuron(), X, Y, groups=keys, backend="numpy")


def test_a_list_keeps_the_keys_of_an_array() -> None:
    run = gdjax.fit(gdjax.Neuron("identity"), X, Y, groups=of(1, "a", 2.5), backend="numpy")
    np.testing.assert_allclose(run.predict(X[:3], groups=[1, "a", 2.5]), Y[:3], rtol=1e-7)


def test_a_masked_key_is_none() -> None:
    run = gdjax.fit(gdjax.Neuron("identity"), X, Y, groups=np.ma.masked_array(WHICH, WHICH == 1), backend="numpy")
    assert set(run.groups.tolist()) == {0, None, 2}
