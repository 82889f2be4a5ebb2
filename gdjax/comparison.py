"""The cross-check: one experiment on every installed backend and by autodiff, and where results and times differ."""

import json
import math
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax.data.spool import spooled
from gdjax.discovery import backend as find_backend
from gdjax.discovery import installed
from gdjax.errors import UsageError
from gdjax.fitting import fit
from gdjax.formulas import Formula
from gdjax.neuron import Neuron
from gdjax.protocol import Backend, Chunk, SupportsGrad
from gdjax.rule import Array, Evaluate, Knobs, Rule, State, take_steps
from gdjax.runs.run import Run
from gdjax.samples import Samples
from gdjax.stream import Stream
from gdjax.wrapped import Wrapped

AGREES = {"float32": 1e-4, "float64": 1e-10}
"""The relative difference, of the largest parameter too, up to which backends agree."""


@dataclass(frozen=True)
class ByAutodiff(Wrapped):
    """A backend whose gradients are another's autodiff of the cost: the hand-derived ones never run."""

    @property
    def name(self) -> str:
        """The other's name and "grad"."""
        return f"{self.inner.name}.grad"

    def cost_and_gradient(self, formula: Formula, theta: Array, samples: Samples) -> tuple[Array, Array]:
        """The other's cost, and the gradient by its autodiff."""
        theta = self.inner.asarray(theta)
        cost = self.inner.cost_and_gradient(formula, theta, samples)[0]
        return cost, self.inner.grad(formula, theta, samples)

    def descend(
        self, formula: Formula, rule: Rule, samples: Samples, rows: np.ndarray, state: State, knobs: Knobs, chunk: Chunk
    ) -> tuple[State, np.ndarray | None]:
        """The update rule step by step in NumPy."""
        # rows are taken in NumPy: outside its own calls a backend's arrays need not keep their dtype
        host = Samples(*(None if a is None else self.to_numpy(a) for a in samples)).take(rows)
        whole = self._placed(host)

        def evaluate(step: int) -> Evaluate:
            seen = whole if chunk.batches is None else self._placed(host.batch(np, chunk.batches[step]))
            return _Evaluate(self, formula, seen)

        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            return take_steps(rule, evaluate, state, knobs, chunk.factors.astype(self.dtype), chunk.trace)

    def _placed(self, samples: Samples) -> Samples:
        return Samples(*(None if a is None else self.asarray(a) for a in samples))


@dataclass(frozen=True)
class _Evaluate:
    backend: ByAutodiff
    formula: Formula
    samples: Samples

    def __call__(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        cost, gradient = self.backend.cost_and_gradient(self.formula, theta, self.samples)
        return self.backend.to_numpy(cost), self.backend.to_numpy(gradient)


@dataclass(frozen=True)
class Row:
    """One backend's part in a comparison.

    Attributes:
        name: the backend's, with ".grad" where the gradients are its autodiff's.
        run: what it gave.
        relative: (P,) |difference| / |reference| of each parameter, bias last; the largest over models.
        ulp: (P,) the difference in units in the last place of the reference, in the dtype of the run.
        cost_relative: the same of the cost.
        first_step: seconds from the call of `fit` to the end of its first step, compilation included.
        step: seconds a step of a run that has nothing left to compile.
    """

    name: str
    run: Run = field(repr=False)
    relative: np.ndarray
    ulp: np.ndarray
    cost_relative: float
    first_step: float
    step: float


@dataclass(frozen=True)
class Comparison:
    """The same experiment on several backends; prints as two tables, and `comparison["numpy"]` is a row.

    Attributes:
        title: what was run, in a line.
        dtype: "float32" or "float64".
        reference: the name of the row that the others are compared with.
        parameters: P names, "bias" last.
        rows: a `Row` a backend.
    """

    title: str
    dtype: str
    reference: str
    parameters: tuple[str, ...]
    rows: tuple[Row, ...]
    missing: dict[str, str]
    """Backends that are registered but do not load here, and why."""

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise UsageError(f"compare: no row {name!r}: there are {', '.join(r.name for r in self.rows)}")

    @property
    def worst(self) -> Row:
        """The row that differs most from the reference."""
        return max(self.rows, key=_worst)

    @property
    def agrees(self) -> bool:
        """Whether no parameter is off by more than 1e-10 (float32: 1e-4) of itself or of the largest one."""
        limit = AGREES[self.dtype]
        theta = _theta(self[self.reference].run)
        size = np.fmax.reduce(np.abs(theta), axis=1, keepdims=True, initial=0.0)
        for row in self.rows:
            if list(np.atleast_1d(row.run.status)) != list(np.atleast_1d(self[self.reference].run.status)):
                return False
            other = _theta(row.run)
            same = np.isnan(theta) & np.isnan(other)
            if not ((np.abs(other - theta) <= limit * np.maximum(np.abs(theta), size)) | same).all():
                return False
        return True

    @property
    def verdict(self) -> str:
        """Whether they agree, in words."""
        worst = self.worst
        j = int(np.argmax(np.nan_to_num(worst.relative, nan=np.inf)))
        largest = f"largest relative difference {worst.relative[j]:.2g} ({self.parameters[j]}, {worst.name})"
        if len(self.rows) == 1:
            return f"only {self.reference} is here: nothing to compare it with"
        return f"{'they agree' if self.agrees else 'THEY DIFFER'}: {largest}, reference {self.reference}"

    def __str__(self) -> str:
        head = ("backend", "status", "steps", "cost", "difference", "first step", "a step")
        body = [
            (
                row.name,
                _status(row.run),
                str(int(np.max(row.run.steps))),
                f"{_mean(row.run.cost):.15g}",
                "reference" if row.name == self.reference else f"{row.cost_relative:.1e}",
                _seconds(row.first_step),
                _seconds(row.step),
            )
            for row in self.rows
        ]
        others = [row for row in self.rows if row.name != self.reference]
        theta = _theta(self[self.reference].run)
        values = [f"{v:.10g}" for v in theta[0]] if len(theta) == 1 else ["" for _ in self.parameters]
        wide = ("parameter", "value" if len(theta) == 1 else "", *(f"{row.name}: ulp, relative" for row in others))
        each = [
            (name, value, *(f"{row.ulp[j]:.3g}, {row.relative[j]:.1e}" for row in others))
            for j, (name, value) in enumerate(zip(self.parameters, values, strict=True))
        ]
        parts = [self.title, "", _table(head, body)]
        if others:
            parts += ["", _table(wide, each)]
        parts += ["", self.verdict, *(f"not here: {name}: {why}" for name, why in self.missing.items())]
        return "\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings; None for what is not finite."""
        return {
            "dtype": self.dtype,
            "reference": self.reference,
            "agrees": self.agrees,
            "parameters": list(self.parameters),
            "backends": {
                row.name: {
                    "status": row.run.counts(),
                    "steps": int(np.max(row.run.steps)),
                    "cost": _plain(_mean(row.run.cost)),
                    "cost_relative": _plain(row.cost_relative),
                    "values": [[_plain(v) for v in model] for model in _theta(row.run)],
                    "relative": [_plain(v) for v in row.relative],
                    "ulp": [_plain(v) for v in row.ulp],
                    "seconds_to_first_step": row.first_step,
                    "seconds_a_step": row.step,
                }
                for row in self.rows
            },
            "missing": dict(self.missing),
        }

    def to_json(self) -> str:
        """`to_dict` as strict JSON."""
        return json.dumps(self.to_dict(), allow_nan=False)


def compare(
    neuron: Neuron,
    X: Any,
    y: Any,
    *,
    backends: Iterable[str | Backend] | None = None,
    autodiff: bool = True,
    dtype: str | None = None,
    steps: int = 1_000,
    **options: Any,
) -> Comparison:
    """Trains the same neuron from the same start on each backend, and by autodiff where a backend has it.

    Args:
        backends: names or instances; by default all that are installed.
        autodiff: whether each backend with autodiff also trains by it alone; the first such row is the reference.
        dtype: "float32" or "float64"; by default what the data has.
        steps: the most steps.
        options: as in `gdjax.fit`.

    Raises:
        UsageError, DataError, BackendError: as `gdjax.fit`.

    >>> import numpy as np
    >>> X = np.arange(8.0)[:, None]
    >>> table = compare(Neuron("identity"), X, 3 * X[:, 0] + 1, backends=["numpy"], autodiff=False)
    >>> table["numpy"].run.status, float(table["numpy"].relative.max())
    ('converged', 0.0)
    """
    for name in ("backend", "callback", "checkpoint", "progress"):
        if name in options:
            remedy = "pass backends=[...]" if name == "backend" else "leave it out"
            raise UsageError(f"compare: it sets {name} itself: {remedy}")
    missing: dict[str, str] = {}
    if backends is None:
        from gdjax.discovery import backends as list_backends

        missing = {name: str(row["missing"]) for name, row in list_backends().items() if row["missing"]}
    chosen = list(installed() if backends is None else backends)
    if not chosen:
        raise UsageError("compare: no backend is given: pass names, or leave backends out for all that are installed")
    dtype = dtype or _dtype(X)
    engines: list[Backend] = [find_backend(each, dtype) for each in chosen]
    if autodiff:
        engines += [ByAutodiff(engine) for engine in engines if isinstance(engine, SupportsGrad)]
    X = spooled(X) if isinstance(X, Stream) else X  # decoded once for all runs
    told = [_experiment(neuron, X, y, engine, steps, options) for engine in engines]
    by_autodiff = [i for i, engine in enumerate(engines) if isinstance(engine, ByAutodiff)]
    reference = told[by_autodiff[0] if by_autodiff else 0][0]
    rows = tuple(
        Row(engine.name, run, *_differences(run, reference), first, step)
        for engine, (run, first, step) in zip(engines, told, strict=True)
    )
    formula = neuron.formula
    counts = {"model": reference.models, "row": len(X), "feature": len(reference.feature_names)}
    counted = [f"{n} {name}{'s' * (n != 1)}" for name, n in counts.items()]
    title = (
        f"{formula.activation.name} neuron, {formula.loss.name}, {', '.join(counted)}, {dtype}, at most {steps} steps"
    )
    name = rows[by_autodiff[0] if by_autodiff else 0].name
    return Comparison(title, dtype, name, (*reference.feature_names, "bias"), rows, missing)


def _experiment(
    neuron: Neuron, X: Any, y: Any, engine: Backend, steps: int, options: dict[str, Any]
) -> tuple[Run, float, float]:
    began = time.perf_counter()
    fit(neuron, X, y, backend=engine, dtype=engine.dtype, steps=1, **options)
    first = time.perf_counter() - began
    run = fit(neuron, X, y, backend=engine, dtype=engine.dtype, steps=steps, **options)
    began = time.perf_counter()
    run = fit(neuron, X, y, backend=engine, dtype=engine.dtype, steps=steps, **options)
    return run, first, (time.perf_counter() - began) / max(1, int(np.max(run.steps)))


def _dtype(X: Any) -> str:
    dtype = getattr(X, "dtype", None)
    narrow = getattr(dtype, "kind", "") == "f" and getattr(dtype, "itemsize", 8) <= 4
    return "float32" if narrow else "float64"


def _theta(run: Run) -> np.ndarray:
    """(K, P), the bias last."""
    return np.concatenate([np.atleast_2d(run.weights), np.atleast_1d(run.bias)[:, None]], axis=1)


def _differences(run: Run, reference: Run) -> tuple[np.ndarray, np.ndarray, float]:
    theta, other = _theta(reference), _theta(run)
    known = np.isfinite(theta) | np.isfinite(other)
    apart = np.where(known, np.abs(other - theta), 0.0)
    relative = _ratio(apart, np.abs(theta))
    unit = np.spacing(np.abs(np.where(np.isfinite(theta), theta, 1)).astype(reference.dtype)).astype(float)
    cost, wanted = (np.atleast_1d(np.asarray(r.cost, float)) for r in (run, reference))
    off = np.where(np.isfinite(wanted) | np.isfinite(cost), np.abs(cost - wanted), 0.0)
    return relative.max(axis=0), (apart / unit).max(axis=0), float(_ratio(off, np.abs(wanted)).max())


def _ratio(apart: np.ndarray, size: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(apart == 0, 0.0, apart / size)


def _mean(cost: Any) -> float:
    """Of those that were trained; NaN where none was."""
    known = np.atleast_1d(cost)[~np.isnan(np.atleast_1d(cost))]
    return float(known.mean()) if len(known) else math.nan


def _worst(row: Row) -> float:
    return float(np.nan_to_num(row.relative, nan=np.inf).max())


def _status(run: Run) -> str:
    counts = run.counts()
    return next(iter(counts)) if run.single else ", ".join(f"{n} {name}" for name, n in counts.items())


def _seconds(value: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale:
            return f"{value / scale:.3g} {unit}"
    return f"{value / 1e-9:.3g} ns"


def _table(head: tuple[str, ...], body: Sequence[tuple[str, ...]]) -> str:
    widths = [max(len(line[i]) for line in (head, *body)) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in (head, *body)
    )


def _plain(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
