"""What a descent gave: parameters, status, and all that is needed to predict, save and go on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gdjax import status as st
from gdjax.data.arrays import fitted_on, real, selected
from gdjax.data.groups import lookup
from gdjax.errors import DataError, UsageError
from gdjax.neuron import Neuron
from gdjax.runs.state import RunState
from gdjax.stream import Stream


@dataclass(frozen=True, repr=False, eq=False)
class Run:
    """A finished run of one neuron, or of K: then each array has a leading axis K, in the order of `table()`.

    Attributes:
        neuron: what was trained.
        weights: (D,) or (K, D), float, in the user's units; NaN where a neuron was not trained.
        bias: () or (K,); 0 without a bias.
        cost: () or (K,): loss and penalties, in the columns that the descent saw.
        status: "converged", "max_steps", "diverged", "dead", "too_few_rows" or "bad_data"; a str, or (K,) of them.
        reason: why, in words; "" where nothing is to be said.
        steps: int, or (K,) of int.
        history: cost at each of `history_steps`, (steps,) or (K, steps); NaN after a neuron's end.
        groups: (K,) keys, sorted, or None.
        swept: name -> (K,) values, for a sweep; else empty.
        feature_names: D names.
        rows: rows each neuron saw.
        r2: 1 - sum s e^2 / sum s (y - mean y)^2, of the prediction.
        learning_rate, condition: () or (K,) floats.
        validation_cost: () or (K,), or None.
        backend, dtype: what it ran on.
        options: the arguments of `fit` that make the run again.
        source: how its table was read (`gdjax.tables.Table.recipe`), so that others are read alike; {} for arrays.
    """

    neuron: Neuron
    weights: np.ndarray
    bias: Any
    cost: Any
    status: Any
    reason: Any
    steps: Any
    history: np.ndarray
    history_steps: np.ndarray
    groups: np.ndarray | None
    feature_names: tuple[str, ...]
    rows: Any
    r2: Any
    learning_rate: Any
    condition: Any
    backend: str
    dtype: str
    swept: dict[str, np.ndarray] = field(default_factory=dict)
    validation_cost: Any = None
    options: dict[str, Any] = field(default_factory=dict)
    state: RunState | None = None
    source: dict[str, Any] = field(default_factory=dict)

    @property
    def single(self) -> bool:
        """Whether this is one neuron, whose arrays have no leading axis K."""
        return self.weights.ndim == 1

    @property
    def models(self) -> int:
        """K, the number of neurons."""
        return 1 if self.single else len(self.weights)

    def table(self) -> dict[str, np.ndarray]:
        """A column a name, each (K,), that `pandas.DataFrame` and `polars.DataFrame` take as it is."""
        columns: dict[str, Any] = {}
        if self.groups is not None:
            columns["group"] = _keys_column(self.groups)
        columns.update(self.swept)
        for name in ("rows", "status", "reason", "steps", "cost", "r2", "learning_rate", "bias"):
            columns[name] = np.atleast_1d(np.asarray(getattr(self, name)))
        if self.validation_cost is not None:
            columns["validation_cost"] = np.atleast_1d(np.asarray(self.validation_cost))
        for name, column in zip(self.feature_names, np.atleast_2d(self.weights).T, strict=True):
            columns[name if name not in columns else f"weight_{name}"] = column
        return columns

    def counts(self) -> dict[str, int]:
        """Status -> number of neurons, in the order of `gdjax.status.NAMES`."""
        found = np.atleast_1d(self.status)
        return {name: n for name in st.NAMES[1:] if (n := int((found == name).sum()))}

    def predict(self, X: Any, groups: Any = None, *, untrained: str = "nan") -> np.ndarray:
        """The activation's value at each row: (N,); for a sweep (K, N).

        Args:
            X: (N, D) in the columns of the fit, in their order; a data frame is matched by name; a stream is read once.
            groups: keys of the rows, for a run with groups.
            untrained: what rows of a group that has no parameters get: "nan", with a warning that counts
                them, or "error".

        Raises:
            DataError: other columns than at fit, or with `untrained="error"` such rows.
        """
        if isinstance(X, Stream) and groups is None:
            if X.features != tuple(self.feature_names):
                raise DataError(
                    f"X: columns {', '.join(X.features[:8])}: the run has {', '.join(self.feature_names[:8])}"
                )
            return np.concatenate([self.predict(block.X) for block in X.read()], axis=-1)
        if untrained not in ("nan", "error"):
            raise UsageError(f'untrained = {untrained!r} must be "nan" or "error"')
        out, trained = self._predicted(X, groups)
        if not trained.all():
            _answer_untrained(trained, untrained)
        return out

    def _predicted(self, X: Any, groups: Any) -> tuple[np.ndarray, np.ndarray]:
        """What `predict` gives, and which rows (N,) are of a neuron that is trained."""
        X = self._columns(X)
        activate = self.neuron.pointwise(np).predict
        if self.groups is None:
            if groups is not None:
                raise UsageError("groups: this run has none: leave groups out")
            with np.errstate(over="ignore", invalid="ignore"):
                z = np.atleast_2d(self.weights) @ X.T + np.atleast_1d(self.bias)[:, None]
                out = np.asarray(activate(z))
            return out[0] if self.single else out, np.ones(len(X), bool)
        if groups is None:
            raise UsageError("groups: this run has a model a group: pass each row's key")
        at = lookup(self.groups, groups, len(X))
        trained = at >= 0
        trained[trained] = np.isfinite(self.bias[at[trained]])
        out = np.full(len(X), np.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            z = (X[trained] * self.weights[at[trained]]).sum(axis=1) + self.bias[at[trained]]
            out[trained] = activate(z)
        return out, trained

    def _columns(self, X: Any) -> np.ndarray:
        names = self.feature_names
        X = real(selected(X, names), "X", 2, names)
        if X.shape[1] != len(names):
            raise DataError(f"X: shape {X.shape}: {fitted_on(names)}")
        return np.asarray(X, np.float64, order="C")  # its layout changes no bit

    def best(self, rule: str = "min") -> int:
        """Which neuron of a sweep is best by its validation cost, or by cost without one.

        Args:
            rule: "min", or "one_standard_error": the most penalised one within a standard error of the least, over
                folds (Breiman et al., 1984).

        Returns:
            Its place along the axis K.

        Raises:
            UsageError: no sweep, no folds where the rule needs them, or every neuron failed.
        """
        from gdjax.sweeping import best

        return best(self, rule)

    def continue_(self, X: Any, y: Any, *, steps: int, **options: Any) -> "Run":
        """Goes on where this run ended, up to `steps` in all: the same as a run of `steps` from the start.

        Args:
            X, y: the data it was fitted on.
            steps: in all; neurons that ended otherwise than by their steps stay as they are.
            options: `groups`, `sample_weight`, `validation`, `backend`, `memory_limit`, `verify`, `progress`,
                `callback` and `checkpoint` as at fit.

        Raises:
            UsageError: a sweep, a run without its state, or another option.
            DataError: other groups than at fit.
        """
        from gdjax.fitting import go_on

        return go_on(self, X, y, steps, options)

    def save(self, path: str | Path) -> None:
        """Writes the run to one file that `gdjax.load` reads: whole or not at all.

        Raises:
            FileError: the path cannot be written.
            UsageError: groups have keys that are neither text, numbers, NumPy's dates, None, nor tuples of them.
        """
        from gdjax.runs.file import save

        save(self, path)

    def report(self, path: str | Path, X: Any = None, y: Any = None, groups: Any = None) -> None:
        """Writes one self-contained HTML page about the run; with data, which a run does not hold, its plots too.

        Args:
            path: the page.
            X, y, groups: the data it was fitted on, or others of its columns.

        Raises:
            BackendError: matplotlib or jinja2 is not installed.
            FileError: the path cannot be written.
        """
        from gdjax.report import write

        write(self, path, data=None if X is None else (X, y, groups))

    @property
    def plot(self) -> Any:
        """A `gdjax.plots.Plots`: `run.plot.cost()` and others, by matplotlib."""
        from gdjax.plots import Plots

        return Plots(self)

    def __repr__(self) -> str:
        if self.single:
            why = f": {self.reason}" if self.reason else ""
            what = f"{self.status} after {self.steps} steps, cost {float(self.cost):.6g}"
            return f"Run({what}, {self.backend} {self.dtype}{why})"
        counts = ", ".join(f"{n} {name}" for name, n in self.counts().items())
        return f"Run({self.models} models: {counts}; {self.backend} {self.dtype})"


def _keys_column(keys: np.ndarray) -> np.ndarray:
    if keys.dtype.kind == "O" and len(keys) and isinstance(keys[0], tuple):
        out = np.empty(len(keys), dtype=object)
        out[:] = [", ".join(map(str, key)) for key in keys]
        return out
    return keys


def _answer_untrained(trained: np.ndarray, untrained: str) -> None:
    import warnings

    count, first = int((~trained).sum()), int(np.argmin(trained))
    message = (
        f"predict: {count} of {len(trained)} rows, the first at row {first}, are of groups that have no trained model"
    )
    if untrained == "error":
        raise DataError(message + ": drop them, or pass untrained='nan'")
    warnings.warn(message + "; they get NaN", stacklevel=3)
