"""What a user may pass as X, y and weights: each kind trains what plain NumPy arrays train, and what is masked, missing
or no number is named by its place and never trained on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax.errors import DataError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 3))
Y = np.maximum(X @ [1.0, 2.0, -1.0] + 0.3, 0) + 0.1 * RNG.random(40)
NAMES = ("a", "b", "c")


def fit(x: Any, y: Any, **options: Any) -> gdjax.Run:
    return gdjax.fit(gdjax.Neuron(), x, y, **options)


def frame(kind: str, columns: dict[str, Any]) -> Any:
    if kind == "pandas":
        return pytest.importorskip("pandas").DataFrame(columns)
    if kind == "polars":
        return pytest.importorskip("polars").DataFrame(columns)
    return pytest.importorskip("pyarrow").table(columns)


FRAMES = ("pandas", "polars", "arrow")


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_s_columns_are_known_by_name(kind: str, backend_name: str) -> None:
    columns = {name: X[:, j] for j, name in enumerate(NAMES)}
    run = fit(frame(kind, columns), Y, backend=backend_name)
    assert run.feature_names == NAMES
    np.testing.assert_array_equal(run.weights, fit(X, Y, backend=backend_name).weights)
    other = frame(kind, {"text": ["no feature"] * 40, **dict(reversed(columns.items()))})
    np.testing.assert_array_equal(run.predict(other), run.predict(X))
    with pytest.raises(DataError, match=r"no column 'b': the run was fitted on 3 columns: a, b, c"):
        run.predict(frame(kind, {"a": X[:, 0], "c": X[:, 2]}))


def test_labels_of_pandas_need_not_be_text() -> None:
    pandas = pytest.importorskip("pandas")
    run = fit(pandas.DataFrame(X), Y, backend="numpy")
    assert run.feature_names == ("0", "1", "2")
    np.testing.assert_array_equal(run.predict(pandas.DataFrame(X)[[2, 0, 1]]), run.predict(X))


@pytest.mark.parametrize("kind", FRAMES)
def test_text_in_a_frame_is_named_by_row_and_column(kind: str) -> None:
    with pytest.raises(DataError, match=r"^X: 'u' at row 0, column 'c', is no number: .*gdjax.tables.from_frame"):
        fit(frame(kind, {"a": X[:, 0], "c": ["u", "v"] * 20}), Y, backend="numpy")


def missing(kind: str) -> Any:
    """X with the number at (3, 1) missing."""
    if kind == "masked":
        return np.ma.masked_array(X, mask=np.arange(120).reshape(40, 3) == 10)
    if kind == "pandas NA":
        pandas = pytest.importorskip("pandas")
        table = pandas.DataFrame(X, columns=list(NAMES)).astype("Float64")
        table.loc[3, "b"] = pandas.NA
        return table
    if kind == "None":
        out = X.astype(object)
        out[3, 1] = None
        return out
    return frame(
        kind, {name: [None if (i, j) == (3, 1) else X[i, j] for i in range(40)] for j, name in enumerate("abc")}
    )


MISSING = ("masked", "pandas NA", "None", "polars", "arrow")


@pytest.mark.parametrize("kind", MISSING)
def test_what_is_missing_is_not_trained_on(kind: str, backend_name: str) -> None:
    table = missing(kind)
    with pytest.raises(DataError, match=r"^NaN in column '(x1|b)' at row 3: "):
        fit(table, Y, backend=backend_name)
    weight = (np.arange(40) != 3).astype(float)
    left = fit(np.delete(X, 3, axis=0), np.delete(Y, 3), backend=backend_name)
    found = fit(table, Y, sample_weight=weight, backend=backend_name)
    np.testing.assert_allclose(found.weights, left.weights, rtol=1e-7)
    fleet = fit(table, Y, groups=np.arange(40) // 20, backend=backend_name)
    assert fleet.status.tolist() == ["bad_data", "converged"]
    np.testing.assert_array_equal(np.isnan(found.predict(table)), np.arange(40) == 3)


def test_masked_targets_and_weights_are_missing_ones() -> None:
    masked = np.ma.masked_array(Y, mask=np.arange(40) == 7)
    with pytest.raises(DataError, match=r"^NaN in y at row 7: "):
        fit(X, masked, backend="numpy")
    with pytest.raises(DataError, match=r"^sample_weight = nan at row 7: "):
        fit(X, Y, sample_weight=masked, backend="numpy")
    whole = np.ma.masked_array((10 * X).astype(int), mask=np.zeros(X.shape, bool))
    assert fit(whole, Y, backend="numpy").status == "converged"
    whole.mask[5, 0] = True
    with pytest.raises(DataError, match=r"^NaN in column 'x0' at row 5: "):
        fit(whole, Y, backend="numpy")


WRONG = {
    "text": ([["a", "b", "c"]], r"dtype <U1 is not real numbers"),
    "complex numbers": (X.astype(complex), r"dtype complex128 is not real numbers"),
    "dates": (X.astype("i8").astype("M8[s]"), r"dtype datetime64\[s\] is not real numbers"),
    "a structure": (np.zeros((40, 1), [("a", float)]), r"dtype .* is not real numbers"),
    "a generator": ((row for row in X), r"a generator: pass an array of numbers"),
    "an object": (np.array([[1.0, 2.0, {}]], object), r"'\{\}' at row 0.* is no number"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_no_number_is_refused_in_a_line(what: str) -> None:
    given, words = WRONG[what]
    run = fit(X, Y, backend="numpy")
    for call in (lambda: fit(given, Y, backend="numpy"), lambda: run.predict(given)):
        with pytest.raises(DataError, match=f"^X: {words}") as error:
            call()
        assert "\n" not in str(error.value)


def test_a_sparse_matrix_is_told_how_to_be_dense() -> None:
    sparse = pytest.importorskip("scipy.sparse")
    with pytest.raises(DataError, match=r"^X: a sparse csr_matrix: pass X.toarray\(\)$"):
        fit(sparse.csr_matrix(X), Y, backend="numpy")
    with pytest.raises(DataError, match=r"^validation: X: a sparse csr_array: pass X.toarray\(\)$"):
        fit(X, Y, validation=(sparse.csr_array(X), Y), backend="numpy")


def test_names_that_are_no_sequence_are_refused() -> None:
    with pytest.raises(DataError, match=r"^features = 5: pass one name a column$"):
        fit(X, Y, features=5, backend="numpy")


PARAMS = gdjax.Params(np.ones(3), 0.5)
MISFITS = {
    "weights of another length": ((gdjax.Params(np.ones(2), 0.5), X, Y), r"weights \(2,\), bias \(\): need"),
    "a bias of another number": ((gdjax.Params(np.ones(3), np.ones(2)), X, Y), r"weights \(3,\), bias \(2,\): need"),
    "weights of no axis": ((gdjax.Params(1.0, 0.5), X, Y), r"weights \(\), bias \(\): need"),
    "params that are none": ((3, X, Y), r"^params: .*: pass gdjax.Params"),
    "params of text": ((gdjax.Params("a", 0.5), X, Y), r"^params: could not convert .*: pass gdjax.Params"),
    "targets of another length": ((PARAMS, X, Y[:3]), r"X \(40, 3\), y \(3,\)"),
    "no row": ((PARAMS, X[:0], Y[:0]), r"^X has no row"),
    "text": ((PARAMS, [["a", "b", "c"]], [1.0]), r"^X: dtype <U1 is not real numbers"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_cost_and_gradient_of_misfits_is_an_error_of_one_line(what: str, backend_name: str) -> None:
    arguments, words = MISFITS[what]
    with pytest.raises(gdjax.GdjaxError, match=words) as error:
        gdjax.cost_and_gradient(gdjax.Neuron(), *arguments, backend=backend_name)
    assert "\n" not in str(error.value)


def test_a_masked_number_is_not_in_the_cost(backend_name: str) -> None:
    hidden = np.ma.masked_array(X, mask=X > 2)
    assert hidden.mask.any()
    cost, _ = gdjax.cost_and_gradient(gdjax.Neuron("identity"), PARAMS, hidden, Y, backend=backend_name)
    assert np.isnan(cost)


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_of_other_order_is_matched_by_name(kind: str) -> None:
    columns = {name: X[:, j] for j, name in enumerate(NAMES)}
    given, other = frame(kind, columns), frame(kind, dict(reversed(columns.items())))
    judged = [fit(given, Y, validation=(table, Y), steps=200, backend="numpy") for table in (given, other)]
    assert judged[0].validation_cost == judged[1].validation_cost
    run = fit(given, Y, tolerance=0, steps=20, backend="numpy")
    np.testing.assert_array_equal(
        run.continue_(other, Y, steps=40).weights, fit(given, Y, tolerance=0, steps=40, backend="numpy").weights
    )
    few = frame(kind, {"a": X[:, 0], "b": X[:, 1]})
    with pytest.raises(DataError, match=r"^validation: X: no column 'c': the run was fitted on 3 columns: a, b, c$"):
        fit(given, Y, validation=(few, Y), backend="numpy")
    with pytest.raises(DataError, match=r"^X: no column 'c': "):
        run.continue_(few, Y, steps=40)


@pytest.mark.parametrize("kind", FRAMES)
def test_a_frame_is_read_by_position_where_the_names_of_a_fit_are_not_its_own(kind: str) -> None:
    """They were given, or made up for an array."""
    table = frame(kind, {name: X[:, j] for j, name in enumerate(NAMES)})
    for given, options in ((table, {"features": ["p", "q", "r"]}), (X, {})):
        judged = fit(given, Y, validation=(table, Y), steps=200, backend="numpy", **options)
        held = fit(X, Y, validation=(X, Y), steps=200, backend="numpy")
        assert judged.validation_cost == held.validation_cost


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"standardize": "no"}, "standardize = 'no' must be True or False"),
        ({"standardize": None}, "standardize = None must be True or False"),
        ({"checkpoint": 3}, "checkpoint = 3 must be a path"),
    ],
)
def test_options_of_another_kind_are_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(gdjax.UsageError, match=f"^{words}$"):
        fit(X, Y, backend="numpy", **options)


@pytest.mark.parametrize("name", ["method", "init", "dtype", "seed", "nonsense"])
def test_a_run_that_goes_on_keeps_what_it_is(name: str) -> None:
    run = fit(X, Y, tolerance=0, steps=20, backend="numpy")
    with pytest.raises(gdjax.UsageError, match=f"^continue_: {name} stays what it was at fit: pass none but groups, "):
        run.continue_(X, Y, steps=40, **{name: None})


def test_runs_may_be_compared_and_kept_in_sets() -> None:
    run = fit(X, Y, backend="numpy")
    other = fit(X, Y, backend="numpy")
    assert run == run
    assert run != other
    assert [other, run].index(run) == 1
    assert len({run, other, run}) == 2
