"""The user's arrays, checked: one neuron's bad data is an error, a group's is its own failure."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from gdjax.data.arrays import column_names, floating, real
from gdjax.data.groups import Groups, group
from gdjax.data.rows import Rows, StreamedRows
from gdjax.data.spool import spooled
from gdjax.errors import DataError
from gdjax.formulas import Formula
from gdjax.status import BAD_DATA, PENDING
from gdjax.stream import ArrayStream, Block, CheckedStream, Stream

COPY_BYTES = 1 << 26
"""Arrays up to this size are copied: larger ones must not be written to while a run goes on."""


class Targets(NamedTuple):
    """Several y of the same rows, in the place of y: a neuron is trained on each."""

    values: np.ndarray
    """(N, T)"""
    keys: np.ndarray
    """(T,) their names"""


class Data(NamedTuple):
    """Checked data. Rows of weight 0 are gone; `row` says where the others stood."""

    X: np.ndarray
    """(N, D) float16 to float64 or integers; large, it is the caller's own memory."""
    y: np.ndarray
    """(N,), or (N, T) of T targets."""
    weight: np.ndarray
    """(N,) float64"""
    groups: Groups | None
    features: tuple[str, ...]
    row: np.ndarray | None
    """(N,) the caller's row numbers, or None where none was dropped."""
    bad: dict[int, str]
    """Group index -> what is wrong with its data."""
    stream: Stream | None = None
    """Where the samples are read at each pass; X, y and weight have no row then."""
    targets: np.ndarray | None = None
    """(T,) names, where there are several y."""

    @property
    def dtype(self) -> str:
        """The dtype the data has: float32 where X is float32 or narrower, else float64."""
        return "float32" if floating(self.X.dtype) and self.X.dtype.itemsize <= 4 else "float64"

    @property
    def models(self) -> int:
        """Neurons that are fitted to it: one, or one a group or target."""
        return 1 if self.keys is None else len(self.keys)

    @property
    def keys(self) -> np.ndarray | None:
        """What its neurons are told apart by, groups or targets; None for one neuron."""
        return self.targets if self.groups is None else self.groups.keys

    def samples(self, folds: np.ndarray | None = None) -> Rows | StreamedRows:
        """The shared samples, under their own weights or those of folds (F, N)."""
        if self.stream is not None:
            return StreamedRows(self.stream, self.models)
        return Rows(self.X, np.ascontiguousarray(self.y.T), self.weight[None] if folds is None else folds)


def check(
    X: Any,
    y: Any,
    formula: Formula,
    *,
    sample_weight: Any = None,
    groups: Any = None,
    features: Any = None,
    what: str = "",
    memory_limit: int | None = None,
) -> Data:
    """The data as arrays, each fault named by its place; without `groups`, as a stream where X is over the limit.

    With no `memory_limit` samples must be in memory.

    Raises:
        DataError: wrong shapes or kinds; without `groups`, any value that cannot be trained on.
    """
    if isinstance(X, Stream) and memory_limit is not None:
        for name, given in (("y", y), ("sample_weight", sample_weight)):
            if given is not None:
                raise DataError(f"{what}{name}: a stream of samples brings its own: leave it out")
        if features is not None and tuple(features) != X.features:
            raise DataError(f"{what}features: a stream of samples names its own: leave them out")
        if groups is not None:
            raise DataError(f"{what}groups: they need their samples in memory: raise memory_limit")
        return _streamed(X, formula, what)
    names = _feature_names(X, features)
    targets = None
    if isinstance(y, Targets):
        y, targets = y
    X = real(X, f"{what}X", 2, names)
    y = real(y, f"{what}y", 1 if targets is None else 2)
    if len(X) != len(y):
        raise DataError(f"{what}X has {len(X)} rows and y has {len(y)}: pass one y a row")
    if X.shape[1] == 0:
        raise DataError(f"{what}X has no column: pass at least one feature")
    if len(X) == 0:
        raise DataError(f"{what}X has no row: pass at least one sample")
    if names is None:
        names = tuple(f"x{j}" for j in range(X.shape[1]))
    elif len(names) != X.shape[1]:
        raise DataError(f"{what}features names {len(names)} columns and X has {X.shape[1]}: pass one name a column")
    if memory_limit is not None and groups is None and X.nbytes > memory_limit:
        given = None if sample_weight is None else row_weights(sample_weight, len(X), what)
        return _streamed(ArrayStream(X, y, given, names, memory_limit), formula, what, targets)
    weight = np.ones(len(X)) if sample_weight is None else row_weights(sample_weight, len(X), what, groups is not None)
    key_codes = None if groups is None else group(groups, len(X))
    bad: dict[int, str] = {}
    kept = weight > 0
    row = None
    if not kept.all():
        if key_codes is not None:
            alive = np.bincount(key_codes.code[kept], minlength=len(key_codes.keys))
            bad.update({int(g): "all its rows have weight 0" for g in np.nonzero(alive == 0)[0]})
            codes = key_codes.code[kept]
            order = np.argsort(codes, kind="stable")
            length = np.bincount(codes, minlength=len(key_codes.keys))
            key_codes = Groups(key_codes.keys, order, np.cumsum(length) - length, length, codes)
        row = np.nonzero(kept)[0]
        X, y, weight = X[kept], y[kept], weight[kept]
    if sample_weight is not None:
        weight = near_one(weight, None if key_codes is None else key_codes.code)
    faults = _faults(X, y, formula, names, row)
    if faults:
        if key_codes is None:
            raise DataError(what + faults[0][1])
        for at, text in faults:
            bad.setdefault(int(key_codes.code[at]), text)
    return Data(_own(X), _own(y), weight, key_codes, names, row, bad, targets=targets)


def _streamed(X: Stream, formula: Formula, what: str, targets: np.ndarray | None = None) -> Data:
    """A stream whose first pass names its faults, and copies it where that pays."""
    if not len(X):
        raise DataError(f"{what}X has no row: pass at least one sample")

    def check(block: Block) -> None:
        faults = _faults(block.X, block.y, formula, X.features, block.row)
        if faults:
            raise DataError(what + faults[0][1])

    none = np.zeros(0)
    source = spooled(X)
    heaviest = source.heaviest
    if heaviest is None:
        heaviest = max(float(block.weight.max(initial=0.0)) for block in source.read())
    checked = CheckedStream(source, check, _to_one(heaviest))
    return Data(np.zeros((0, X.shape[1]), X.dtype), none, none, None, X.features, None, {}, checked, targets)


def _faults(
    X: np.ndarray, y: np.ndarray, formula: Formula, names: tuple[str, ...], row: np.ndarray | None
) -> list[tuple[int, str]]:
    """(row, text) of each row that cannot be trained on, in order, the first fault of each."""
    limit = float(np.sqrt(np.finfo(np.float64).max)) / 1e4
    wrong_x = np.zeros(len(X), bool)
    if floating(X.dtype):
        step = max(1, (1 << 22) // X.shape[1])
        for start in range(0, len(X), step):
            part = X[start : start + step]
            with np.errstate(invalid="ignore", over="ignore"):
                wrong_x[start : start + step] = ~(np.abs(part) < limit).all(axis=1)
    # truth values are in every domain
    y = y if y.ndim == 2 else y[:, None]
    y_real = np.zeros(y.shape) if y.dtype.kind == "b" else y.astype(np.float64)
    domain = formula.loss.domain
    wrong_values = ~(np.abs(y_real) < limit)
    outside_values = np.zeros(y_real.shape, bool)
    if domain == "binary":
        outside_values |= (y_real != 0) & (y_real != 1)
    elif domain == "nonnegative":
        outside_values |= y_real < 0
    wrong_y, outside = (np.asarray(values.any(axis=1)) for values in (wrong_values, outside_values))
    found = []
    for i in np.nonzero(wrong_x | wrong_y | outside)[0]:
        place = int(i if row is None else row[i])
        if wrong_x[i]:
            j = int(np.argmax(~(np.abs(X[i].astype(np.float64)) < limit)))
            found.append((int(i), _value_fault(float(X[i, j]), f"column {names[j]!r}", place)))
        elif wrong_y[i]:
            found.append((int(i), _value_fault(float(y_real[i][wrong_values[i]][0]), "y", place)))
        else:
            need = "0 or 1" if domain == "binary" else ">= 0"
            value = y_real[i][outside_values[i]][0]
            found.append((int(i), f"y = {value:g} at row {place}: {formula.loss.name} needs y {need}"))
    return found


def _value_fault(value: float, column: str, row: int) -> str:
    if np.isnan(value):
        return f"NaN in {column} at row {row}: drop the row, fill it, or give it weight 0"
    if np.isinf(value):
        return f"inf in {column} at row {row}: drop the row or give it weight 0"
    return f"{value:.3g} in {column} at row {row} is too large, its square overflows: rescale the column"


def _feature_names(X: Any, features: Any) -> tuple[str, ...] | None:
    if features is None:
        names = column_names(X)
        if names is None:
            return None
    else:
        if not isinstance(features, Iterable):
            raise DataError(f"features = {features!r}: pass one name a column")
        names = (features,) if isinstance(features, str) else tuple(map(str, features))
    twice = next((n for n in names if names.count(n) > 1), None)
    if twice is not None:
        raise DataError(f"features: {twice!r} stands twice: names must differ")
    return names


def _own(array: np.ndarray) -> np.ndarray:
    """A copy, row by row in native byte order, so that nothing the caller does later shows; a large array as it is."""
    if array.nbytes > COPY_BYTES:
        return array
    return np.array(array, array.dtype.newbyteorder("="), order="C", copy=True)


def row_weights(given: Any, rows: int, what: str = "", grouped: bool = False) -> np.ndarray:
    """(N,) finite weights >= 0, not all 0 but where rows are `grouped`: a group's are its own failure."""
    weight = real(given, f"{what}sample_weight", 1).astype(np.float64)
    if len(weight) != rows:
        raise DataError(f"{what}sample_weight has {len(weight)} values for {rows} rows: pass one a row")
    wrong = ~(np.isfinite(weight) & (weight >= 0))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise DataError(f"{what}sample_weight = {weight[at]:g} at row {at}: weights must be finite and >= 0")
    if not (grouped or weight.any()):
        raise DataError(f"{what}sample_weight: all are 0: at least one row must count")
    return weight


def near_one(weight: np.ndarray, code: np.ndarray | None = None) -> np.ndarray:
    """Weights (N,) times a power of two, each group's its own, so that the largest is from 1 to 2.

    A cost is a mean, so no bit of it changes; but sums of weights near the ends of a dtype would overflow, or be 0.
    """
    if code is None:
        return np.ldexp(weight, _to_one(weight.max(initial=0.0)))
    most = np.zeros(code.max(initial=0) + 1)
    np.maximum.at(most, code, weight)
    return np.ldexp(weight, _to_one(most)[code])


def _to_one(most: Any) -> Any:
    """The power of two that brings the largest weight to [1, 2)."""
    return 1 - np.frexp(most)[1]


def bad_codes(data: Data, count: int) -> tuple[np.ndarray, list[str]]:
    """Status codes (K,) and reasons: BAD_DATA where a group's data is, PENDING elsewhere."""
    status = np.full(count, PENDING, np.int8)
    reasons = [""] * count
    for g, text in data.bad.items():
        status[g], reasons[g] = BAD_DATA, text
    return status, reasons
