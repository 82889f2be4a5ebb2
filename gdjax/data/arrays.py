"""What users pass as arrays: arrays of any kind, lists and data frames, with masked and missing values."""

import contextlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from gdjax.errors import DataError
from gdjax.stream import Stream


def floating(dtype: np.dtype) -> bool:
    """Whether it is one of floats; NumPy itself does not know JAX's bfloat16."""
    return dtype.kind == "f" or dtype.name == "bfloat16"


def column_names(X: Any) -> tuple[str, ...] | None:
    """The names of a data frame's columns, None of what has none."""
    # what an Arrow table calls its columns are the data
    columns = X.column_names if hasattr(type(X), "column_names") else getattr(X, "columns", None)
    return None if columns is None or callable(columns) else tuple(str(c) for c in columns)


def selected(X: Any, names: Sequence[str], what: str = "") -> Any:
    """The columns `names` of a fit in a data frame, in that order; what has no names as it is.

    Raises:
        DataError: one of them is not there.
    """
    have = column_names(X)
    if have is None:
        return X
    missing = next((name for name in names if name not in have), None)
    if missing is not None:
        raise DataError(f"{what}X: no column {missing!r}: {fitted_on(names)}")
    # pandas' labels may be no text
    return X.iloc[:, [have.index(name) for name in names]] if hasattr(X, "iloc") else X.select(list(names))


def fitted_on(names: Sequence[str]) -> str:
    """The columns of a fit, for messages."""
    return f"the run was fitted on {len(names)} columns: {', '.join(names[:8])}"


def real(x: Any, name: str, ndim: int, columns: Sequence[str] | None = None) -> np.ndarray:
    """`x` as an array of real numbers, NaN where it is masked or missing.

    Args:
        x: an array, a sequence or a data frame.
        name: what it is called in messages.
        ndim: the dimensions it must have.
        columns: names of its columns, for messages.

    Raises:
        DataError: it is none.
    """
    if isinstance(x, Stream):
        raise DataError(f"{name}: a stream of samples is for fit, sweep, compare and predict alone: pass arrays")
    if hasattr(x, "toarray"):
        raise DataError(f"{name}: a sparse {type(x).__name__}: pass {name.rpartition(' ')[2]}.toarray()")
    try:
        if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
            x = np.ma.filled(x.astype(x.dtype if floating(x.dtype) else np.float64), np.nan)
        array = np.asarray(x)
    except (TypeError, ValueError) as error:
        raise DataError(f"{name}: not an array ({error}): pass numbers in {ndim} dimension(s)") from error
    if array.dtype.kind == "O":
        array = _of_objects(array, name, columns)
    if not (array.dtype.kind in "iub" or floating(array.dtype)) or array.dtype.itemsize > 8:
        raise DataError(f"{name}: dtype {array.dtype} is not real numbers of at most 64 bits: convert it")
    if array.ndim != ndim:
        hint = " (one column is X[:, None])" if ndim == 2 and array.ndim == 1 else ""
        raise DataError(f"{name}: shape {array.shape}: it must have {ndim} dimension(s){hint}")
    return array


def _of_objects(array: np.ndarray, name: str, columns: Sequence[str] | None) -> np.ndarray:
    """In float64, None and pandas' NA as NaN."""
    with contextlib.suppress(TypeError, ValueError):
        return array.astype(np.float64)  # NA aside, which is looked for at each entry
    flat = array.reshape(-1)
    missing = np.array([type(value).__name__ == "NAType" for value in flat], bool).reshape(array.shape)
    try:
        return np.where(missing, np.nan, array).astype(np.float64)
    except (TypeError, ValueError) as error:
        if not array.ndim:
            raise DataError(f"{name}: a {type(array.item()).__name__}: pass an array of numbers") from error
        place = next(at for at in np.ndindex(array.shape) if not (missing[at] or _is_number(array[at])))
        column = f", column {columns[place[1]]!r}," if columns is not None and len(place) == 2 else ""
        remedy = "convert it" if columns is None else "convert it, or read the frame by gdjax.tables.from_frame"
        value = str(array[place])
        value = f"{value[:40]}..." if len(value) > 40 else value
        raise DataError(f"{name}: {value!r} at row {place[0]}{column} is no number: {remedy}") from error


def _is_number(value: Any) -> bool:
    try:
        np.array([value], object).astype(np.float64)
    except (TypeError, ValueError):
        return False
    return True
