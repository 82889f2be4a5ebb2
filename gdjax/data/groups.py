"""Groups: rows by key, keys of any type, and the buckets of like length they are trained in."""

import math
from typing import Any, NamedTuple

import numpy as np

from gdjax.errors import DataError


class Groups(NamedTuple):
    """Rows sorted into K groups, the groups sorted by key."""

    keys: np.ndarray
    """(K,) the keys; tuples, as objects, where several columns make a key."""
    order: np.ndarray
    """(N,) the rows, group by group, each group's in their order."""
    start: np.ndarray
    """(K,) where a group's rows start in `order`."""
    length: np.ndarray
    """(K,) its number of rows."""
    code: np.ndarray
    """(N,) each row's group."""


def group(keys: Any, rows: int) -> Groups:
    """Groups of `keys`: one array-like (N,) of any type, or several as a tuple or list of them or as columns (N, C).

    Raises:
        DataError: the number of keys is not the number of rows.
    """
    unique, code = factorize(keys, rows)
    order = np.argsort(code, kind="stable")
    length = np.bincount(code, minlength=len(unique))
    return Groups(unique, order, np.cumsum(length) - length, length, code)


def factorize(keys: Any, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """The sorted unique keys (K,) and each row's index among them (N,)."""
    columns = _columns(keys)
    for column in columns:
        if len(column) != rows:
            raise DataError(f"groups: {len(column)} keys for {rows} rows: pass one key a row")
    coded = [_factorize_one(column) for column in columns]
    if len(coded) == 1:
        return coded[0]
    joint = np.stack([code for _, code in coded])
    found, code = np.unique(joint, axis=1, return_inverse=True)
    unique = np.empty(found.shape[1], dtype=object)
    for i, each in enumerate(found.T):
        unique[i] = tuple(_scalar(values[c]) for (values, _), c in zip(coded, each, strict=True))
    return unique, code.reshape(-1)


def _columns(keys: Any) -> list[np.ndarray]:
    if isinstance(keys, (list, tuple)) and keys and all(np.ndim(k) == 1 for k in keys):
        return [_column(k) for k in (zip(*keys, strict=True) if all(isinstance(k, tuple) for k in keys) else keys)]
    array = _column(keys)
    if array.ndim == 2:
        return list(array.T)
    if array.ndim != 1:
        raise DataError(f"groups: an array of shape {array.shape}: pass one key a row, (N,), or several columns (N, C)")
    return [array]


def _column(keys: Any) -> np.ndarray:
    """The keys as they are: NumPy would spell numbers beside text as text, and a masked one is None."""
    if isinstance(keys, np.ma.MaskedArray) and np.ma.is_masked(keys):
        plain = keys.data.astype(object)
        plain[np.ma.getmaskarray(keys)] = None
        return plain
    array = np.asarray(keys)
    if (
        array.dtype.kind in "US"
        and isinstance(keys, list | tuple)
        and not all(isinstance(k, str | bytes) for k in keys)
    ):
        return np.array(keys, object)
    return array


def _factorize_one(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if column.dtype.kind != "O":
        return np.unique(column, return_inverse=True)
    keys = [same(key) for key in column.tolist()]
    try:
        codes = dict.fromkeys(keys)
    except TypeError as error:
        raise DataError(f"groups: {error}: pass keys of text, numbers, dates or tuples of them") from error
    try:
        ordered = sorted(codes, key=lambda key: (key is math.nan, key))
    except TypeError:
        # types that do not compare: by type first, then by what they print
        ordered = sorted(codes, key=lambda key: (type(key).__name__, _comparable(key)))
    index = {key: i for i, key in enumerate(ordered)}
    unique = np.empty(len(ordered), dtype=object)
    unique[:] = ordered
    return unique, np.array([index[key] for key in keys], dtype=np.intp)


def _comparable(key: Any) -> Any:
    return (0, key, "") if isinstance(key, (int, float)) else (1, 0, str(key))


def same(key: Any) -> Any:
    """A key that a dictionary finds again: there is one NaN, and what pandas calls missing is None."""
    if isinstance(key, float | np.floating) and key != key:
        return math.nan
    return None if type(key).__name__ == "NAType" else key


def _scalar(value: Any) -> Any:
    return same(value.item() if isinstance(value, np.generic) else value)


def lookup(unique: np.ndarray, keys: Any, rows: int) -> np.ndarray:
    """Each row's index (N,) in the trained keys `unique`, -1 where it was not trained."""
    found, code = factorize(keys, rows)
    index = {_scalar(key): i for i, key in enumerate(unique)}
    return np.array([index.get(_scalar(key), -1) for key in found], dtype=np.intp)[code]


SHORTEST = 16
"""The least padded length: shorter groups share one shape."""


def padded_length(length: np.ndarray) -> np.ndarray:
    """Each group's padded length, the next power of two: at most log2 of the longest different shapes, by a group's own
    length alone, so that a neuron's arithmetic does not depend on who else is trained."""
    exponent = np.ceil(np.log2(np.maximum(length, SHORTEST))).astype(np.int64)
    return np.left_shift(1, exponent)
