"""scikit-learn estimators (extra `sklearn`): a regressor, a classifier, and a regressor a group.

They are thin: scikit-learn's checks on the way in, `gdjax.fit` in the middle, NumPy attributes and float64 predictions
on the way out. `run_` holds the `gdjax.Run`, with history, plots and the report.
"""

import warnings
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gdjax.data import Targets
from gdjax.discovery import DEFAULT
from gdjax.errors import DataError, UsageError
from gdjax.fitting import fit
from gdjax.neuron import Neuron
from gdjax.params import Params
from gdjax.run import Run

__all__ = ["GroupedRegressor", "NeuronClassifier", "NeuronRegressor"]

PARTIAL_STEPS = 10
"""Steps that one call of `partial_fit` takes on its batch."""

_DESCENT = ("dtype", "method", "learning_rate", "batch_size", "patience", "standardize", "seed", "memory_limit")


class _Neuron(BaseEstimator):  # type: ignore[misc]
    """What the estimators share: arguments to `gdjax.fit`, and what is told of its `Run`."""

    run_: Run

    def _descend(self, X: np.ndarray, y: Any, **given: Any) -> Run:
        options = {name: getattr(self, name) for name in (*_DESCENT, "steps", "tolerance")} | given
        return fit(self._neuron(), X, y, backend=self.backend, **options)

    def _neuron(self) -> Neuron:
        raise NotImplementedError

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
        X, y = validate_data(self, X, y, reset=reset, dtype=(np.float64, np.float32), **checks)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        return X, y, sample_weight


class NeuronRegressor(RegressorMixin, _Neuron):  # type: ignore[misc]
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

    def __init__(
        self,
        activation: Any = "relu",
        loss: Any = "squared_error",
        *,
        l2: float = 0.0,
        l1: float = 0.0,
        bias: bool = True,
        backend: Any = DEFAULT,
        dtype: str | None = None,
        method: str = "nesterov",
        learning_rate: Any = "auto",
        steps: int = 10_000,
        batch_size: int | None = None,
        tolerance: float | None = None,
        patience: int | None = None,
        standardize: bool = True,
        seed: int = 0,
        memory_limit: int | None = None,
    ) -> None:
        self.activation = activation
        self.loss = loss
        self.l2 = l2
        self.l1 = l1
        self.bias = bias
        self.backend = backend
        self.dtype = dtype
        self.method = method
        self.learning_rate = learning_rate
        self.steps = steps
        self.batch_size = batch_size
        self.tolerance = tolerance
        self.patience = patience
        self.standardize = standardize
        self.seed = seed
        self.memory_limit = memory_limit

    def _neuron(self) -> Neuron:
        return Neuron(self.activation, self.loss, self.l2, self.l1, self.bias)

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
        self._tell(self._descend(X, y, sample_weight=sample_weight, validation=_pair(validation)))
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "NeuronRegressor":
        """Takes `PARTIAL_STEPS` steps on these samples from where it stands."""
        first = not hasattr(self, "run_")
        X, y, sample_weight = self._samples(X, y, sample_weight, reset=first, y_numeric=True)
        init = None if first else Params(self.coef_, self.intercept_)
        run = self._descend(
            X, y, sample_weight=sample_weight, init=init, steps=PARTIAL_STEPS, tolerance=0, patience=None
        )
        self._tell(run, finished=False)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """(N,) the activation's value, in float64."""
        z = self._linear(X)[:, 0]
        with np.errstate(over="ignore"):
            return np.asarray(self._neuron().pointwise(np).predict(z))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        # scikit-learn's own data have targets on both sides of 0, which a ReLU cannot follow
        tags.regressor_tags.poor_score = getattr(self.activation, "name", self.activation) != "identity"
        return tags


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

    def __init__(
        self,
        *,
        l2: float = 0.0,
        l1: float = 0.0,
        bias: bool = True,
        backend: Any = DEFAULT,
        dtype: str | None = None,
        method: str = "nesterov",
        learning_rate: Any = "auto",
        steps: int = 10_000,
        batch_size: int | None = None,
        tolerance: float | None = None,
        patience: int | None = None,
        standardize: bool = True,
        seed: int = 0,
        memory_limit: int | None = None,
    ) -> None:
        self.l2 = l2
        self.l1 = l1
        self.bias = bias
        self.backend = backend
        self.dtype = dtype
        self.method = method
        self.learning_rate = learning_rate
        self.steps = steps
        self.batch_size = batch_size
        self.tolerance = tolerance
        self.patience = patience
        self.standardize = standardize
        self.seed = seed
        self.memory_limit = memory_limit

    def _neuron(self) -> Neuron:
        return Neuron("sigmoid", "log_loss", self.l2, self.l1, self.bias)

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> "NeuronClassifier":
        """Trains from the start; arguments as in `NeuronRegressor.fit`, y (N,) labels."""
        X, y, sample_weight = self._samples(X, y, sample_weight)
        y = self._labels(y)
        seen = y if sample_weight is None else y[sample_weight > 0]
        self.classes_ = np.unique(seen)
        if len(self.classes_) < 2:
            raise DataError(
                f"y has one class only, {self.classes_.tolist()}, where its weight is not 0: pass two or more"
            )
        y = self._one_against_rest(y)
        self._tell(self._descend(X, y, sample_weight=sample_weight, validation=self._validation(validation)))
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> "NeuronClassifier":
        """Takes `PARTIAL_STEPS` steps on these samples from where it stands; the first call needs all `classes`."""
        first = not hasattr(self, "run_")
        X, y, sample_weight = self._samples(X, y, sample_weight, reset=first)
        y = self._labels(y)
        if first:
            if classes is None:
                raise UsageError("partial_fit: classes must be passed at the first call")
            self.classes_ = np.unique(classes)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise DataError(
                f"partial_fit: y has {unknown[0]!r}, which is not among the classes {self.classes_.tolist()}"
            )
        init = None if first else Params(self.coef_, self.intercept_)
        run = self._descend(
            X, self._one_against_rest(y), sample_weight=sample_weight, init=init, steps=PARTIAL_STEPS, tolerance=0,
            patience=None,
        )  # fmt: skip
        self._tell(run, finished=False)
        return self

    def _labels(self, y: Any) -> np.ndarray:
        y = column_or_1d(y, warn=True)
        check_classification_targets(y)
        return np.asarray(y)

    def _one_against_rest(self, y: np.ndarray) -> Any:
        """Two classes: the second against the first. More: a target a class."""
        if len(self.classes_) == 2:
            return y == self.classes_[1]
        return Targets(y[:, None] == self.classes_, np.arange(len(self.classes_)))

    def _validation(self, validation: Any) -> Any:
        pair = _pair(validation)
        return pair and (np.asarray(pair[0], float), self._one_against_rest(self._labels(pair[1])))

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


class GroupedRegressor(NeuronRegressor):
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

    def __init__(
        self,
        groups: Any = 0,
        activation: Any = "relu",
        loss: Any = "squared_error",
        *,
        unseen: str = "nan",
        min_rows: int | None = None,
        l2: float = 0.0,
        l1: float = 0.0,
        bias: bool = True,
        backend: Any = DEFAULT,
        dtype: str | None = None,
        method: str = "nesterov",
        learning_rate: Any = "auto",
        steps: int = 10_000,
        batch_size: int | None = None,
        tolerance: float | None = None,
        patience: int | None = None,
        standardize: bool = True,
        seed: int = 0,
        memory_limit: int | None = None,
    ) -> None:
        super().__init__(
            activation, loss, l2=l2, l1=l1, bias=bias, backend=backend, dtype=dtype, method=method,
            learning_rate=learning_rate, steps=steps, batch_size=batch_size, tolerance=tolerance, patience=patience,
            standardize=standardize, seed=seed, memory_limit=memory_limit,
        )  # fmt: skip
        self.groups = groups
        self.unseen = unseen
        self.min_rows = min_rows

    def fit(self, X: Any, y: Any, sample_weight: Any = None, validation: Any = None) -> "GroupedRegressor":
        """Trains a neuron for each group; arguments as in `NeuronRegressor.fit`, `validation` with the keys in it."""
        features, keys = self._split(X)
        features, y, sample_weight = self._samples(features, y, sample_weight, y_numeric=True)
        held_out = None
        if (pair := _pair(validation)) is not None:
            rows, codes = self._split(pair[0])
            held_out = (np.asarray(rows, float), np.asarray(pair[1], float), codes)
        run = self._descend(
            features, y, groups=keys, sample_weight=sample_weight, validation=held_out, min_rows=self.min_rows
        )
        self.groups_ = run.groups
        self._tell(run)
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> "GroupedRegressor":
        """A group's neurons are not trained in parts.

        Raises:
            UsageError: always.
        """
        raise UsageError("GroupedRegressor: it has no partial_fit: fit it on all rows")

    def predict(self, X: Any) -> np.ndarray:
        """(N,) each row by its group's neuron."""
        check_is_fitted(self)
        features, keys = self._split(X)
        features = validate_data(self, features, reset=False, dtype=np.float64)
        return np.asarray(self.run_.predict(features, groups=keys, untrained=self.unseen))

    def _split(self, X: Any) -> tuple[Any, Any]:
        """The features, and the keys as columns."""
        wanted = self.groups if isinstance(self.groups, (list, tuple)) else [self.groups]
        if hasattr(X, "columns"):
            names = list(X.columns)
            named = [names[c] if isinstance(c, (int, np.integer)) and c not in names else c for c in wanted]
            missing = [c for c in named if c not in names]
            if missing:
                raise DataError(f"X has no column {missing[0]!r} to group by: it has {', '.join(map(str, names[:8]))}")
            columns = [np.asarray(X[c]) for c in named]
            rest = X[[c for c in names if c not in named]]
        else:
            array = np.asarray(X)
            if array.ndim != 2:
                raise DataError(f"X has shape {array.shape}: pass (N, D)")
            place: list[Any] = [
                c for c in wanted if isinstance(c, (int, np.integer)) and -array.shape[1] <= c < array.shape[1]
            ]
            if len(place) < len(wanted):
                raise DataError(
                    f"groups = {self.groups!r}: X is an array of {array.shape[1]} columns: pass column numbers"
                )
            columns = [array[:, c] for c in place]
            rest = np.delete(array, place, axis=1)
        return rest, columns[0] if len(columns) == 1 else columns

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "run_")


def _pair(validation: Any) -> Any:
    if validation is None:
        return None
    if not isinstance(validation, (tuple, list)) or len(validation) != 2:
        raise UsageError("validation must be (X, y)")
    return np.asarray(validation[0]) if not hasattr(validation[0], "columns") else validation[0], validation[1]
