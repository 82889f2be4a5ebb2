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
from gdjax.data.groups import factorize

WHICH = np.arange(12) % 3
X = np.arange(12.0)[:, None]
Y = np.array([1.0, 10.0, 100.0])[WHICH] * (1 + X[:, 0])  # the slope tells which model a row met


def of(*three: Any) -> np.ndarray:
    return np.array(three, object)[WHICH]


def each(*three: Any) -> np.ndarray:
    """Objects that are made anew for each row."""
    keys = np.empty(12, object)
    for row, which in enumerate(WHICH):
        keys[row] = three[which]()
    return keys


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
    "a NaT of its own in each row": lambda: each(
        lambda: np.datetime64("2020"), lambda: np.datetime64("NaT"), lambda: np.datetime64("2021")
    ),
    "pandas' NaT": lambda: pandas_column("2020-01-02", None, "2020-01-01", dtype="datetime64[ns]").astype(object),
    "pandas' missing text": lambda: pandas_column("a", None, "b", dtype="string"),
    "pandas' missing integers": lambda: pandas_column(1, None, 2, dtype="Int64"),
    "masked": lambda: np.ma.masked_array(WHICH, WHICH == 1),
    "truth values and text": lambda: of(True, "a", "b"),
    "text and bytes": lambda: [("a", b"a", b"b")[i] for i in WHICH],
    "text that ends in NUL": lambda: [("a", "a\0", "b")[i] for i in WHICH],
    "integers of over 53 bits beside a fraction": lambda: [(2**53, 2**53 + 1, 0.5)[i] for i in WHICH],
    "integers of 64 bits beside a negative one": lambda: [(2**63, 2**63 + 1, -1)[i] for i in WHICH],
    "nested tuples": lambda: [((("a", 1), 2), (("a", 2), 2), (("b", math.nan), 2))[i] for i in WHICH],
    "tuples of pairs": lambda: [((("a", 1), ("c", 2)), (("a", 1), ("c", 3)), (("b", 1), ("c", 2)))[i] for i in WHICH],
    "tuples of several lengths": lambda: [(("a", 1), ("a",), ("a", 1, math.nan))[i] for i in WHICH],
    "tuples beside text": lambda: [("a", ("a",), (("a", 1), 2))[i] for i in WHICH],
    "a NaN of its own in each row's tuple": lambda: each(
        lambda: ("a", float("nan")), lambda: ("b", float("nan")), lambda: ("b", 1.0)
    ),
    "a column of tuples": lambda: ([(("a", 1), ("b", 1), ("b", 2))[i] for i in WHICH], WHICH),
}
NO_FILE = {"text and bytes", "a NaT of its own in each row", "pandas' NaT"}
"""Kinds that fit no file: see `test_keys_that_fit_no_file_are_told_so`."""


@pytest.mark.parametrize("kind", KEYS)
def test_a_row_finds_its_model_again(kind: str, tmp_path: Path, backend_name: str) -> None:
    keys = KEYS[kind]()
    run = gdjax.fit(gdjax.Neuron("identity"), X, Y, groups=keys, backend=backend_name)
    assert run.counts() == {"converged": 3}
    np.testing.assert_allclose(run.predict(X, groups=keys), Y, rtol=1e-7)
    if kind in NO_FILE:
        return
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


@pytest.mark.parametrize("keys", [each(*[lambda: [1]] * 3), ["a"] * 11 + [["b"]]], ids=["lists", "a list beside text"])
def test_keys_that_cannot_be_told_apart_are_refused(keys: Any) -> None:
    with pytest.raises(gdjax.DataError, match=r"^groups: unhashable type: 'list': pass keys of text"):
        gdjax.fit(gdjax.Neuron(), X, Y, groups=keys, backend="numpy")


def test_a_list_keeps_the_keys_of_an_array() -> None:
    run = gdjax.fit(gdjax.Neuron("identity"), X, Y, groups=of(1, "a", 2.5), backend="numpy")
    np.testing.assert_allclose(run.predict(X[:3], groups=[1, "a", 2.5]), Y[:3], rtol=1e-7)


NAT, TEN, NINE = np.datetime64("NaT"), datetime.timedelta(10), datetime.timedelta(9)


@pytest.mark.parametrize(
    ("keys", "groups", "code"),
    [
        (["b", b"a", "a", b"b"], [b"a", b"b", "a", "b"], [3, 0, 2, 1]),
        ([2**53 + 1, 0.5, 2**53], [0.5, 2**53, 2**53 + 1], [2, 0, 1]),
        ([2**63 + 1, -1, 2**63], [-1, 2**63, 2**63 + 1], [2, 0, 1]),
        ([("b", 1), ("a", 2), ("a", math.nan)], [("a", 2.0), ("a", math.nan), ("b", 1.0)], [2, 0, 1]),
        ([(("b", 1), 2), (("a", 2), 1), (("a", 1), 3)], [(("a", 1), 3), (("a", 2), 1), (("b", 1), 2)], [2, 1, 0]),
        ([decimal.Decimal(10), "a", decimal.Decimal(9)], [decimal.Decimal(9), decimal.Decimal(10), "a"], [1, 2, 0]),
        ([decimal.Decimal("NaN"), 2, decimal.Decimal("NaN")], [2, math.nan], [1, 0, 1]),
        (np.array([TEN, NAT, NINE, np.timedelta64("NaT"), None], object), [None, NINE, TEN], [2, 0, 1, 0, 0]),
    ],
    ids=str,
)
def test_groups_are_sorted_and_none_is_merged(keys: Any, groups: list[Any], code: list[int]) -> None:
    found, each = factorize(keys, len(keys))
    assert list(map(repr, found.tolist())) == list(map(repr, groups))
    assert each.tolist() == code


def test_a_masked_key_is_none() -> None:
    run = gdjax.fit(gdjax.Neuron("identity"), X, Y, groups=np.ma.masked_array(WHICH, WHICH == 1), backend="numpy")
    assert set(run.groups.tolist()) == {0, None, 2}
