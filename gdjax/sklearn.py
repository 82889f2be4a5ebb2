"""scikit-learn estimators (extra `sklearn`): a regressor, a classifier, and a regressor a group.

They are thin: scikit-learn's checks on the way in, `gdjax.fit` in the middle, NumPy attributes and float64 predictions
on the way out. `run_` holds the `gdjax.Run`, with history, plots and the report.
"""

import warnings
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_array
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gdjax.data.checked import Targets
from gdjax.discovery import DEFAULT
from gdjax.errors import DataError, UsageError
from gdjax.fitting import fit
from gdjax.neuron import Neuron
from gdjax.params import Params
from gdjax.runs.run import Run

__all__ = ["GroupedRegressor", "NeuronClassifier", "NeuronRegressor"]

PARTIAL_STEPS = 10
"""Steps that one call of `partial_fit` takes on its batch."""

_FLOATS = (np.float64, np.float32)


@dataclass(eq=False, repr=False, kw_only=True)
class _Neuron(BaseEstimator):  # type: ignore[misc]
    """What the estimators share: parameters, and what is told of the `Run`.

    A dataclass makes of its fields what scikit-learn asks of a constructor: each named, kept as it is.
    """

    l2: float = 0.0
    l1: float = 0.0
    bias: bool = True
    backend: Any = DEFAULT
    dtype: str | None = None
    method: Any = "nesterov"
    learning_rate: Any = "auto"
    steps: int = 10_000
    batch_size: int | None = None
    tolerance: float | None = None
    patience: int | None = None
    standardize: bool = True
    seed: int = 0
    memory_limit: int | None = None

    def _neuron(self) -> Neuron:
        raise NotImplementedError

    def _descend(self, X: np.ndarray, y: Any, **given: Any) -> Run:
        options = {f.name: getattr(self, f.name) for f in fields(_Neuron) if f.name not in ("l2", "l1", "bias")}
        return fit(self._neuron(), X, y, features=getattr(self, "feature_names_in_", None), **(options | given))

    def _go_on(self, X: np.ndarray, y: Any, sample_weight: Any) -> None:
        """`PARTIAL_STEPS` from where it stands."""
        init = Params(self.coef_, self.intercept_) if hasattr(self, "run_") else None
        given = {"steps": PARTIAL_STEPS, "tolerance": 0, "patience": None}
        self._tell(self._descend(X, y, sample_weight=sample_weight, init=init, **given), finished=False)

    def _tell(self, run: Run, *, finished: bool = True) -> None:
        self.run_ = run
        self.coef_ = np.asarray(run.weights, np.float64)
        self.intercept_ = np.asarray(run.bias, np.float64) if np.ndim(run.bias) else float(run.bias)
        self.n_iter_ = int(np.max(run.steps))
        self.status_, self.reason_ = run.status, run.reason
        failed = [s for s in np.atleast_1d(run.status) if s != "converged"]
        if failed and finished:
            first = next(r for r, s in zip(np.atleast_1d(run.reason), np.atleast_1d(run.status)) if s != "converged")
            count = "" if run.single else f"{len(failed)} of {run.models} models did not converge; the first: "
            warnings.warn(f"{count}{failed[0]}: {first}", ConvergenceWarning, stacklevel=3)

    def _linear(self, X: Any) -> np.ndarray:
        """z (N,) or (N, K), in float64."""
        check_is_fitted(self)
        X = validate_data(self, X, reset=False, dtype=np.float64)
        return np.asarray(X @ np.atleast_2d(self.coef_).T + np.atleast_1d(self.intercept_))

    def _samples(
        self, X: Any, y: Any, sample_weight: Any, *, reset: bool = True, **checks: Any
    ) -> tuple[Any, Any, Any]:
        X, y = validate_data(self, X, y, reset=reset, dtype=_FLOATS, **checks)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        return X, y, sample_weight

    def _held_out(self, X: Any, y: Any, **checks: Any) -> tuple[Any, Any]:
        """A validation set, held to the columns of the fit."""
        try:
            X, y, _ = self._samples(X, y, None, reset=False, **checks)
        except ValueError as error:
            raise DataError(f"validation: {' '.join(str(error).split())}") from error
        return X, y


class _Regressor(RegressorMixin, _Neuron):  # type: ignore[misc]
    activation: Any
    loss: Any

    def _neuron(self) -> Neuron:
        return Neuron(self.activation, self.loss, self.l2, self.l1, self.bias)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # scikit-learn's own data have targets on both sides of 0, which a ReLU cannot follow
        tags.regressor_tags.poor_score = getattr(self.activation, "name", self.activation) != "identity"
        return tags


@dataclass(eq=False, repr=False)
class NeuronRegressor(_Regressor):
    """One neuron as a regressor.

    Args:
        activation, loss, l2, l1, bias: of `gdjax.Neuron`.
        backend, dtype, method, learning_rate, steps, batch_size, tolerance, patience, standardize, seed, memory_limit:
            of `gdjax.fit`.

    Attributes:
        coef_, intercept_: weights (D,) float64 and bias, in the units of X.
        status_, reason_, n_iter_: what became of it.
        run_: the `gdjax.Run`.
        n_features_in_, feature_names_in_: as in scikit-learn.

    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> NeuronRegressor("identity", backend="numpy").fit(X, 2 * X[:, 0] + 1).predict([[10.0]]).round(6)
    array([21.])
    """

    activation: Any = "relu"
    loss: Any = "squared_error"

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> "NeuronRegressor":
        """Trains from the start.

        Args:
            X: (N, D)
            y: (N,)
            sample_weight: (N,) >= 0
            validation: (X, y) that is not trained on: the parameters of least cost there are kept, and with `patience`
                the descent ends once they get no better.
        """
        X, y, sample_weight = self._samples(X, y, sample_weight, y_numeric=True)
        held_out = None if validation is None else self._held_out(*_pair(validation), y_numeric=True)
        self._tell(self._descend(X, y, sample_weight=sample_weight, validation=held_out))
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NeuronRegressor":
        """Takes `PARTIAL_STEPS` steps on these samples from where it stands."""
        self._go_on(*self._samples(X, y, sample_weight, reset=not hasattr(self, "run_"), y_numeric=True))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(N,) the activation's value, in float64."""
        z = self._linear(X)[:, 0]
        with np.errstate(over="ignore"):
            return np.asarray(self._neuron().pointwise(np).predict(z))


@dataclass(eq=False, repr=False)
class NeuronClassifier(ClassifierMixin, _Neuron):  # type: ignore[misc]
    """Logistic neurons as a classifier: one for two classes, one against the rest for more, trained together.

    Args:
        l2, l1, bias: of `gdjax.Neuron`. Without a penalty separable data have no finite optimum, and a warning says so.
        The rest: of `gdjax.fit`.

    Attributes:
        classes_: (C,) sorted.
        coef_, intercept_: (D,) float64 and a float for two classes, (C, D) and (C,) for more.
        status_, reason_, n_iter_, run_, n_features_in_, feature_names_in_: as in `NeuronRegressor`.

    >>> X = np.array([[0.0], [1.0], [2.0], [3.0]])
    >>> NeuronClassifier(l2=0.1, backend="numpy").fit(X, ["a", "a", "b", "b"]).predict([[-1.0], [9.0]]).tolist()
    ['a', 'b']
    """

    def _neuron(self) -> Neuron:
        return Neuron("sigmoid", "log_loss", self.l2, self.l1, self.bias)

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> "NeuronClassifier":
        """Trains from the start; arguments as in `NeuronRegressor.fit`, y (N,) labels."""
        X, y, sample_weight = self._samples(X, y, sample_weight)
        if sample_weight is None:
            self._know("y", y)
        else:
            self._know("y, where its weight is not 0,", y[sample_weight > 0])
        held_out = None
        if validation is not None:
            X_held, y_held = self._held_out(*_pair(validation))
            self._hold("validation", y_held)
            held_out = X_held, self._one_against_rest(y_held)
        run = self._descend(X, self._one_against_rest(y), sample_weight=sample_weight, validation=held_out)
        self._tell(run)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "NeuronClassifier":
        """Takes `PARTIAL_STEPS` steps on these samples from where it stands; the first call needs all `classes`."""
        first = not hasattr(self, "run_")
        X, y, sample_weight = self._samples(X, y, sample_weight, reset=first)
        if first and classes is None:
            raise UsageError("partial_fit: classes must be passed at the first call")
        if first:
            self._know("classes", classes)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise UsageError(f"partial_fit: classes {list(classes)} are not those it has, {self.classes_.tolist()}")
        self._hold("partial_fit", y)
        self._go_on(X, self._one_against_rest(y), sample_weight)
        return self

    def _know(self, what: str, labels: Any) -> None:
        """Takes the classes that there are."""
        check_classification_targets(labels)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise DataError(f"{what} has one class only, {self.classes_.tolist()}: pass two or more")

    def _hold(self, what: str, y: np.ndarray) -> None:
        """Holds labels to the classes that there are."""
        unknown = np.setdiff1d(y, self.classes_).tolist()
        if unknown:
            raise DataError(f"{what}: y has {unknown[0]!r}, which is not among the classes {self.classes_.tolist()}")

    def _one_against_rest(self, y: np.ndarray) -> Any:
        """Two classes: the second against the first. More: a target a class, all on the same samples."""
        if len(self.classes_) == 2:
            return y == self.classes_[1]
        return Targets(y[:, None] == self.classes_, np.arange(len(self.classes_)))

    def decision_function(self, X: Any) -> np.ndarray:
        """z: (N,) for two classes, (N, C) for more."""
        z = self._linear(X)
        return z[:, 0] if z.shape[1] == 1 else z

    def predict_proba(self, X: Any) -> np.ndarray:
        """(N, C); of more than two classes each neuron's probability over their sum."""
        p = self._neuron().pointwise(np).predict(self._linear(X))
        if p.shape[1] == 1:
            return np.concatenate([1 - p, p], axis=1)
        total = p.sum(axis=1, keepdims=True)
        return np.asarray(np.where(total > 0, p / np.where(total > 0, total, 1), 1 / p.shape[1]))

    def predict(self, X: Any) -> np.ndarray:
        """(N,) labels."""
        z = self.decision_function(X)
        index = (z > 0).astype(int) if z.ndim == 1 else z.argmax(axis=1)
        return np.asarray(self.classes_[index])


@dataclass(eq=False, repr=False)
class GroupedRegressor(_Regressor):
    """A neuron a group: one column of X, or several, says which group a row is of.

    Args:
        groups: the column's name or number, or a list of them. The others are the features.
        unseen: what rows of a group without a trained neuron get: "nan", with a warning, or "error".
        min_rows: groups of fewer rows are not trained; by default the number of parameters.
        The rest: as in `NeuronRegressor`.

    Attributes:
        groups_: (K,) keys, sorted.
        coef_, intercept_: (K, D) and (K,) float64; NaN for a group that was not trained.
        status_, reason_: (K,)

    >>> X = np.array([[0, 0.0], [0, 1.0], [0, 2.0], [1, 0.0], [1, 1.0], [1, 2.0]])
    >>> model = GroupedRegressor(0, activation="identity", backend="numpy").fit(X, [0.0, 1, 2, 5, 4, 3])
    >>> model.predict([[0, 3.0], [1, 3.0]]).round(6)
    array([3., 2.])
    """

    groups: Any = 0
    activation: Any = "relu"
    loss: Any = "squared_error"
    unseen: str = field(default="nan", kw_only=True)
    min_rows: int | None = field(default=None, kw_only=True)

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> "GroupedRegressor":
        """Trains a neuron for each group; arguments as in `NeuronRegressor.fit`, `validation` with the keys in it."""
        if self.unseen not in ("nan", "error"):
            raise UsageError(f'unseen = {self.unseen!r} must be "nan" or "error"')
        features, keys = self._split(X)
        features, y, sample_weight = self._samples(features, y, sample_weight, y_numeric=True)
        held_out = None
        if validation is not None:
            X_held, y_held = _pair(validation)
            rows, held_keys = self._split(X_held)
            held_out = *self._held_out(rows, y_held, y_numeric=True), held_keys
        run = self._descend(
            features, y, groups=keys, sample_weight=sample_weight, validation=held_out, min_rows=self.min_rows
        )
        self.groups_ = run.groups
        self._tell(run)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(N,) each row by its group's neuron."""
        check_is_fitted(self)
        features, keys = self._split(X)
        features = validate_data(self, features, reset=False, dtype=np.float64)
        return np.asarray(self.run_.predict(features, groups=keys, untrained=self.unseen))

    def _split(self, X: Any) -> tuple[Any, Any]:
        """The features, and the keys as columns."""
        wanted = self.groups if isinstance(self.groups, (list, tuple)) else [self.groups]
        if hasattr(X, "columns") and not hasattr(X, "column_names"):  # an Arrow table is one array
            names = list(X.columns)
            named = [names[c] if _is_place(c, len(names)) and c not in names else c for c in wanted]
            missing = [c for c in named if c not in names]
            if missing:
                raise DataError(f"X has no column {missing[0]!r} to group by: it has {', '.join(map(str, names[:8]))}")
            kept = [c for c in names if c not in named]
            columns, rest = [np.asarray(X[c]) for c in named], X[kept]
        else:
            array = check_array(X) if hasattr(X, "toarray") else np.asarray(X)  # of a sparse one it says why not
            if array.ndim != 2:
                raise DataError(f"X has shape {array.shape}: pass (N, D)")
            if not all(_is_place(c, array.shape[1]) for c in wanted):
                raise DataError(
                    f"groups = {self.groups!r}: X is an array of {array.shape[1]} columns: pass column numbers"
                )
            columns, rest = [array[:, c] for c in wanted], np.delete(array, wanted, axis=1)
        if not rest.shape[1]:
            raise DataError("X has no column beside those it is grouped by: pass at least one feature")
        return rest, columns[0] if len(columns) == 1 else columns


def _is_place(column: Any, count: int) -> bool:
    whole = isinstance(column, (int, np.integer)) and not isinstance(column, bool)
    return whole and -count <= column < count


def _pair(validation: Any) -> Any:
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise UsageError("validation must be (X, y)")
    return validation
