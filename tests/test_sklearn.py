"""The estimators: scikit-learn's own checks, and its own models as the truth."""

import inspect
import pickle
import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import polars
import pytest

pytest.importorskip("sklearn")

from scipy.sparse import csr_matrix
from sklearn import set_config
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator

import gdjax
from gdjax.engine import judging, slab
from gdjax.errors import DataError, UsageError
from gdjax.sklearn import GroupedRegressor, NeuronClassifier, NeuronRegressor

DIABETES = load_diabetes(return_X_y=True)
# fewer steps: separable toy data would take all of them, fit after fit
QUICK = {"steps": 300}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "estimator",
    [NeuronRegressor(backend="numpy", **QUICK), NeuronRegressor("identity", backend="numpy", **QUICK),
     NeuronClassifier(backend="numpy", **QUICK)],
    ids=["relu", "identity", "classifier"],
)  # fmt: skip
def test_check_estimator_fails_nothing(estimator):
    assert_conforms(estimator)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", [NeuronRegressor, NeuronClassifier])
def test_check_estimator_fails_nothing_on_any_backend(kind, backend_name):
    """Where a backend compiles for each shape, a minute or two."""
    assert_conforms(kind(backend=backend_name, **QUICK))


def assert_conforms(estimator) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = check_estimator(estimator, on_fail=None)
    wrong = {r["check_name"]: f"{r['status']}: {r['exception']}" for r in told if r["status"] != "passed"}
    wrong.pop("check_array_api_input", None)  # runs only where SCIPY_ARRAY_API is set
    assert not wrong
    assert len(told) > 50


def test_identity_is_linear_regression(backend_name):
    X, y = DIABETES
    ours, theirs = NeuronRegressor("identity", backend=backend_name).fit(X, y), LinearRegression().fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)
    np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=1e-7)
    assert ours.status_ == "converged"


def test_l2_is_ridge():
    X, y = DIABETES
    # ours penalises the mean of squares, Ridge their sum
    ours = NeuronRegressor("identity", l2=0.01, standardize=False, backend="numpy").fit(X, y)
    theirs = Ridge(alpha=0.01 * len(X), solver="cholesky").fit(X, y)
    np.testing.assert_allclose(ours.coef_, theirs.coef_, rtol=1e-6)


def test_two_classes_are_logistic_regression():
    X, y = load_breast_cancer(return_X_y=True)
    Z = StandardScaler().fit_transform(X)
    ours = NeuronClassifier(l2=0.01, backend="numpy").fit(X, y)
    theirs = LogisticRegression(C=1 / (2 * 0.01 * len(X)), tol=1e-12, max_iter=10_000).fit(Z, y)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(Z), atol=1e-6)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(Z))


def test_more_classes_are_one_against_the_rest():
    X, y = load_iris(return_X_y=True)
    X, names = StandardScaler().fit_transform(X), np.array(["setosa", "versicolor", "virginica"])[y]
    ours = NeuronClassifier(l2=0.01, standardize=False, backend="numpy").fit(X, names)
    theirs = OneVsRestClassifier(LogisticRegression(C=1 / (2 * 0.01 * len(X)), tol=1e-12, max_iter=10_000)).fit(
        X, names
    )
    np.testing.assert_allclose(ours.decision_function(X), theirs.decision_function(X), atol=2e-6)
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=1e-6)
    assert ours.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert ours.run_.models == 3
    assert ours.coef_.shape == (3, 4)


@pytest.fixture(scope="module")
def five_classes():
    """Weighted samples of five classes, and scikit-learn's model of each against the rest."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20_000, 8))
    y = (X @ rng.standard_normal((8, 5)) + rng.gumbel(size=(20_000, 5))).argmax(axis=1)
    weight = rng.integers(0, 3, len(y)).astype(float)
    # theirs sums the costs where ours takes their mean
    penalty = LogisticRegression(C=1 / (2 * 0.01 * weight.sum()), tol=1e-12, max_iter=10_000)
    return X, y, weight, [clone(penalty).fit(X, y == c, sample_weight=weight) for c in range(5)]


@pytest.mark.parametrize("memory_limit", [None, 1 << 20], ids=["in memory", "as a stream"])
def test_classes_are_scikit_learn_s_on_any_backend_weights_and_all(backend_name, memory_limit, five_classes):
    X, y, weight, theirs = five_classes
    ours = NeuronClassifier(l2=0.01, standardize=False, backend=backend_name, memory_limit=memory_limit)
    ours.fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(ours.coef_, np.concatenate([one.coef_ for one in theirs]), atol=1e-6)
    np.testing.assert_allclose(ours.intercept_, np.concatenate([one.intercept_ for one in theirs]), atol=1e-6)
    assert ours.status_.tolist() == ["converged"] * 5
    assert ours.run_.groups.tolist() == [0, 1, 2, 3, 4]
    assert (ours.run_.rows == (weight > 0).sum()).all()


@pytest.mark.parametrize("sample_weight", [False, True])
def test_mini_batches_of_classes_are_those_of_each_alone(backend_name, sample_weight):
    X, y = load_iris(return_X_y=True)
    weight = np.arange(len(y)) % 3 if sample_weight else None
    given = {"method": "momentum", "steps": 250, "batch_size": 32, "backend": backend_name, "l2": 0.01}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = NeuronClassifier(**given).fit(X, y, sample_weight=weight)
        alone = [NeuronClassifier(**given).fit(X, y == c, sample_weight=weight) for c in range(3)]
    np.testing.assert_allclose(ours.coef_, [one.coef_ for one in alone], rtol=1e-9)


@pytest.mark.parametrize("matrices", [slab.MATRICES, 1], ids=["Hessians at once", "one by one"])
def test_each_class_is_told_of_as_alone(matrices, monkeypatch):
    monkeypatch.setattr(slab, "MATRICES", matrices)
    X, y = load_iris(return_X_y=True)
    train, rest = slice(0, None, 2), slice(1, None, 2)
    given = {"l2": 0.01, "backend": "numpy"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        ours = NeuronClassifier(**given).fit(X[train], y[train], validation=(X[rest], y[rest])).run_
        for c in range(3):
            alone = NeuronClassifier(**given).fit(X[train], y[train] == c, validation=(X[rest], y[rest] == c)).run_
            assert (ours.status[c], ours.steps[c], ours.rows[c]) == (alone.status, alone.steps, alone.rows)
            for name in ("cost", "r2", "condition", "validation_cost", "learning_rate"):
                assert getattr(ours, name)[c] == pytest.approx(getattr(alone, name), rel=1e-9), name


@pytest.mark.parametrize("rows", [judging.LINEAR_PROGRAM, 0], ids=["by a linear program", "where it stands"])
def test_classes_that_a_plane_parts_are_named(rows, monkeypatch):
    monkeypatch.setattr(judging, "LINEAR_PROGRAM", rows)
    X, y = load_iris(return_X_y=True)
    with pytest.warns(ConvergenceWarning, match="1 of 3 models"):
        model = NeuronClassifier(steps=3_000, backend="numpy").fit(X, y)
    assert [("separable" in reason) for reason in model.reason_] == [True, False, False]


MEMORY = """
import sys, warnings
import numpy as np
from gdjax.sklearn import NeuronClassifier

def peak():
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM")) << 10

warnings.simplefilter("ignore")
rng = np.random.default_rng(0)
X, y = rng.standard_normal((100_000, 60)), rng.integers(0, 20, 100_000)
model = NeuronClassifier(backend=sys.argv[1], steps=3, tolerance=0, l2=0.01)
model.fit(X[:4000], y[:4000])  # what is imported and compiled is no part of the samples
before = peak()
model.fit(X, y)
print(len(model.coef_), (peak() - before) / X.nbytes)
"""


@pytest.mark.timeout(300)
def test_classes_share_one_x(backend_name):
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, backend_name], capture_output=True, text=True, timeout=290, check=True
    )
    classes, copies = map(float, done.stdout.split())
    assert classes == 20
    # three are made whatever the classes: the caller's, the scaled one, the backend's; and there are passes' blocks
    assert copies < 8


def test_sample_weight_reaches_the_classes_too():
    X, y = load_iris(return_X_y=True)
    weight = np.random.default_rng(0).integers(0, 3, len(y))
    weighted = NeuronClassifier(l2=0.1, backend="numpy").fit(X, y, sample_weight=weight)
    repeated = NeuronClassifier(l2=0.1, backend="numpy").fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(weighted.coef_, repeated.coef_, rtol=1e-6, atol=1e-9)


def test_it_lives_in_pipelines_and_searches():
    X, y = DIABETES
    model = make_pipeline(StandardScaler(), NeuronRegressor("identity", standardize=False, backend="numpy"))
    search = GridSearchCV(model, {"neuronregressor__l2": [0.0, 10.0]}, cv=3).fit(X, y)
    assert search.best_params_ == {"neuronregressor__l2": 0.0}
    ours = cross_val_score(model, X, y, cv=3)
    np.testing.assert_allclose(ours, cross_val_score(LinearRegression(), X, y, cv=3), rtol=1e-7)


def test_pandas_names_and_set_output():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = make_pipeline(StandardScaler(), NeuronRegressor("identity", backend="numpy")).set_output(transform="pandas")
    model.fit(X, y)
    assert model[-1].feature_names_in_.tolist() == list(X.columns)
    with pytest.raises(ValueError, match="feature names should match"):
        model[-1].predict(model[0].transform(X).rename(columns={"bmi": "BMI"}))


def test_sample_weight_is_routed():
    X, y = DIABETES
    weight = np.arange(len(y)) % 3
    set_config(enable_metadata_routing=True)
    try:
        routed = make_pipeline(
            StandardScaler().set_fit_request(sample_weight=False),
            NeuronRegressor("identity", backend="numpy").set_fit_request(sample_weight=True),
        ).fit(X, y, sample_weight=weight)
    finally:
        set_config(enable_metadata_routing=False)
    theirs = LinearRegression().fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(routed.predict(X), theirs.predict(X), rtol=1e-7)


def test_clone_and_pickle_keep_all():
    X, y = DIABETES
    model = NeuronRegressor("identity", l2=0.5, steps=50, backend="numpy")
    assert clone(model).get_params() == model.get_params()
    with pytest.warns(ConvergenceWarning, match="max_steps"):
        NeuronRegressor("identity", steps=2, tolerance=1e-14, backend="numpy").fit(X, y)
    fitted = NeuronRegressor("identity", backend="numpy").fit(X, y)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict(X), fitted.predict(X))
    assert again.run_.status == "converged"
    with pytest.raises(NotFittedError):
        clone(fitted).predict(X)


def test_partial_fit_goes_on_where_it_stands():
    X, y = DIABETES
    model = NeuronRegressor("identity", backend="numpy")
    best = ((y - LinearRegression().fit(X, y).predict(X)) ** 2).mean()
    costs = []
    for _ in range(30):
        model.partial_fit(X, y)
        costs.append(((y - model.predict(X)) ** 2).mean())
    assert costs[0] > costs[4] > costs[-1] > best
    assert costs[-1] < 1.01 * best


def test_partial_fit_of_classes_needs_them_all_once():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(UsageError, match="classes must be passed"):
        NeuronClassifier(backend="numpy").partial_fit(X, y)
    model = NeuronClassifier(backend="numpy").partial_fit(X[:100], y[:100], classes=[0, 1, 2])
    assert model.coef_.shape == (3, 4)
    for _ in range(20):
        model.partial_fit(X, y)
    assert model.score(X, y) > 0.85
    with pytest.raises(DataError, match="not among the classes"):
        model.partial_fit(X, np.full(len(y), 7))


def test_early_stopping_with_the_users_own_validation_set():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 40))
    y = X[:, 0] + rng.standard_normal(60)
    held_out = (rng.standard_normal((200, 40)), None)
    held_out = (held_out[0], held_out[0][:, 0] + rng.standard_normal(200))
    given = {"method": "plain", "learning_rate": 0.001, "steps": 20_000, "backend": "numpy"}
    with pytest.warns(ConvergenceWarning, match="no better validation cost"):
        early = NeuronRegressor("identity", patience=3, **given).fit(X, y, validation=held_out)
    late = LinearRegression().fit(X, y)
    assert early.score(*held_out) > late.score(*held_out)
    assert early.n_iter_ < 20_000
    assert early.run_.validation_cost == pytest.approx(
        ((early.predict(held_out[0]) - held_out[1]) ** 2).mean(), rel=1e-9
    )


def test_a_classifier_takes_a_validation_set():
    X, y = load_iris(return_X_y=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = NeuronClassifier(steps=300, backend="numpy").fit(X[::2], y[::2], validation=(X[1::2], y[1::2]))
    assert model.run_.validation_cost.shape == (3,)
    assert model.score(X[1::2], y[1::2]) > 0.8


def groups_frame() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {"a": rng.standard_normal(90), "tail": np.repeat(["N1", "N2", "N3"], 30), "b": rng.standard_normal(90)}
    )
    slope = frame["tail"].map({"N1": 1.0, "N2": -2.0, "N3": 5.0}).to_numpy()
    return frame, slope * frame["a"].to_numpy() + frame["b"].to_numpy() + 0.1 * rng.standard_normal(90)


def test_grouped_is_a_regression_a_group():
    X, y = groups_frame()
    model = GroupedRegressor("tail", "identity", backend="numpy").fit(X, y)
    assert model.groups_.tolist() == ["N1", "N2", "N3"]
    assert model.feature_names_in_.tolist() == ["a", "b"]
    for k, (_, part) in enumerate(X.groupby("tail")):
        theirs = LinearRegression().fit(part[["a", "b"]], y[part.index])
        np.testing.assert_allclose(model.coef_[k], theirs.coef_, rtol=1e-7)
        np.testing.assert_allclose(model.predict(part), theirs.predict(part[["a", "b"]]), rtol=1e-7)
    assert clone(model).get_params()["groups"] == "tail"
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).predict(X), model.predict(X))
    folds = KFold(3, shuffle=True, random_state=0)  # each group in each fold
    assert cross_val_score(model, X, y, cv=folds).min() > 0.99


def test_rows_of_an_unseen_group_are_counted_or_refused():
    X, y = groups_frame()
    model = GroupedRegressor("tail", "identity", backend="numpy").fit(X, y)
    strange = X.assign(tail="N9")
    with pytest.warns(UserWarning, match="90 of 90 rows"):
        assert np.isnan(model.predict(strange)).all()
    with pytest.raises(DataError, match="no trained model"):
        model.set_params(unseen="error").predict(strange)
    with pytest.raises(UsageError, match='unseen = \'zero\' must be "nan" or "error"'):
        model.set_params(unseen="zero").fit(X, y)


def test_grouped_takes_polars_and_no_sparse_matrix():
    X, y = groups_frame()
    model = GroupedRegressor("tail", "identity", backend="numpy")
    np.testing.assert_array_equal(model.fit(polars.from_pandas(X), y).coef_, model.fit(X, y).coef_)
    with pytest.raises(TypeError, match="dense data is required"):
        model.set_params(groups=0).fit(csr_matrix(X[["a", "b"]]), y)
    assert not hasattr(model, "partial_fit")


@pytest.mark.parametrize(
    ("groups", "X", "message"),
    [
        ("tale", groups_frame()[0], "X has no column 'tale' to group by"),
        (7, np.zeros((4, 3)), "X is an array of 3 columns"),
        (0, np.zeros(4), r"X has shape \(4,\)"),
        (True, np.zeros((4, 3)), "groups = True: X is an array of 3 columns: pass column numbers"),
        ("tail", groups_frame()[0][["tail"]], "X has no column beside those it is grouped by"),
    ],
)
def test_a_group_column_that_is_not_there(groups, X, message):
    with pytest.raises(DataError, match=message):
        GroupedRegressor(groups, backend="numpy").fit(X, np.zeros(len(X)))


def test_bad_validation_is_named():
    with pytest.raises(UsageError, match=r"validation must be \(X, y\)"):
        NeuronRegressor(backend="numpy").fit(*DIABETES, validation=3)


def validated(kind):
    """An estimator and the frames that it is fitted on and held to; the grouped one's with their groups."""
    X, y = groups_frame()
    if kind is GroupedRegressor:
        return GroupedRegressor("tail", "identity", backend="numpy"), X, y
    y = np.repeat([0, 1, 2], 30) if kind is NeuronClassifier else y
    return kind(l2=0.1, backend="numpy"), X[["a", "b"]], y


@pytest.mark.parametrize("kind", [NeuronRegressor, NeuronClassifier, GroupedRegressor])
@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y: (X[X.columns[::-1]], y), "validation: The feature names should match .* same order"),
        (lambda X, y: (X.assign(b=np.nan), y), "validation: Input X contains NaN"),
        (lambda X, y: (X, y[1:]), "validation: Found input variables with inconsistent numbers of samples"),
    ],
    ids=["columns in another order", "NaN", "another length"],
)
def test_a_validation_set_is_held_to_the_fit_s(kind, spoil, message):
    model, X, y = validated(kind)
    with pytest.raises(DataError, match=message):
        model.fit(X, y, validation=spoil(X, y))


def test_labels_and_classes_that_do_not_fit_are_named():
    X, y = load_iris(return_X_y=True)
    with pytest.raises(DataError, match=r"validation: y has 7, which is not among the classes \[0, 1, 2\]"):
        NeuronClassifier(backend="numpy").fit(X, y, validation=(X, np.full(len(y), 7)))
    with pytest.raises(DataError, match=r"classes has one class only, \[0\]"):
        NeuronClassifier(backend="numpy").partial_fit(X, y, classes=[0])
    with pytest.raises(DataError, match=r"where its weight is not 0, has one class only, \[0\]"):
        NeuronClassifier(backend="numpy").fit(X, y, sample_weight=y == 0)
    model = NeuronClassifier(backend="numpy").partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(UsageError, match=r"classes \[0, 1\] are not those it has, \[0, 1, 2\]"):
        model.partial_fit(X, y, classes=[0, 1])


def test_the_run_knows_the_names_of_the_columns():
    X, y = load_diabetes(return_X_y=True, as_frame=True)
    model = NeuronRegressor("identity", backend="numpy").fit(X.assign(always=1.0), y)
    assert model.run_.feature_names == (*X.columns, "always")
    assert model.reason_ == "constant column 'always': weight 0"


@pytest.mark.parametrize("kind", [NeuronRegressor, NeuronClassifier, GroupedRegressor])
def test_a_parameter_is_what_fit_takes_by_that_name(kind):
    """Of the same default too; the rest are the estimator's own."""
    theirs = {**inspect.signature(gdjax.fit).parameters, **inspect.signature(gdjax.Neuron).parameters}
    own = {"groups", "unseen"}
    for name, parameter in inspect.signature(kind).parameters.items():
        assert name in own or parameter.default == theirs[name].default, name
    assert len(kind().get_params()) >= 14
