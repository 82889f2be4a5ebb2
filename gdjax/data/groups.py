"""Groups: rows by key, keys of any type, and the buckets of like length they are trained in."""

import contextlib
import math
from collections.abc import Iterable
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
    return _factorize_one(columns[0]) if len(columns) == 1 else _joint(columns)


def _joint(columns: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Tuples of several columns' keys, sorted by the first column, then the next."""
    coded = [_factorize_one(column) for column in columns]
    joint = np.stack([code for _, code in coded])
    found, code = np.unique(joint, axis=1, return_inverse=True)
    unique = np.empty(found.shape[1], dtype=object)
    for i, each in enumerate(found.T):
        unique[i] = tuple(_scalar(values[c]) for (values, _), c in zip(coded, each, strict=True))
    return unique, code.reshape(-1)


def _columns(keys: Any) -> list[np.ndarray]:
    if isinstance(keys, list | tuple) and keys and not _all_tuples(keys) and all(map(_is_column, keys)):
        return [_column(k) for k in keys]
    array = _column(keys)
    if array.ndim == 2:
        return list(array.T)
    if array.ndim != 1:
        raise DataError(f"groups: an array of shape {array.shape}: pass one key a row, (N,), or several columns (N, C)")
    return [array]


def _all_tuples(keys: Any) -> bool:
    return all(isinstance(key, tuple) for key in keys)


def _is_column(keys: Any) -> bool:
    try:
        return isinstance(keys, list) or np.ndim(keys) == 1
    except ValueError:  # a nested tuple: a key
        return False


def _column(keys: Any) -> np.ndarray:
    """The keys as they are; a masked one is None."""
    if isinstance(keys, np.ma.MaskedArray) and np.ma.is_masked(keys):
        plain = keys.data.astype(object)
        plain[np.ma.getmaskarray(keys)] = None
        return plain
    if not isinstance(keys, list | tuple):
        return np.asarray(keys)
    if not _all_tuples(keys):
        with contextlib.suppress(ValueError):  # keys of several lengths
            array = np.asarray(keys)
            if array.ndim == 1 and not _alike(array, keys):
                return array
    return _objects(keys)


def _alike(array: np.ndarray, keys: Any) -> bool:
    """Whether some keys may have become equal in NumPy's one dtype for all: it spells numbers and bytes beside text as
    text, text without the NUL at its end, and integers beside fractions in 53 bits."""
    if array.dtype.kind in "US":
        nul: Any = "\0" if array.dtype.kind == "U" else b"\0"
        return not all(issubclass(kind, type(nul)) for kind in set(map(type, keys))) or nul in nul[:0].join(keys)
    if array.dtype.kind in "fc" and np.isfinite(array[np.abs(array) >= 2**53]).any():
        return any(issubclass(kind, int | np.integer) for kind in set(map(type, keys)))
    return False


def _objects(keys: Any) -> np.ndarray:
    return np.fromiter(keys, object, len(keys))


def _factorize_one(column: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if column.dtype.kind != "O":
        return np.unique(column, return_inverse=True)
    keys = column.tolist()
    if keys and _all_tuples(keys) and len(set(map(len, keys))) == 1 and keys[0]:
        return _joint([_column(part) for part in zip(*keys, strict=True)])
    try:
        found = {key: same(key) for key in dict.fromkeys(keys)}
    except TypeError as error:
        raise DataError(f"groups: {error}: pass keys of text, numbers, dates or tuples of them") from error
    ordered = _sorted(dict.fromkeys(found.values()))
    index = {key: i for i, key in enumerate(ordered)}
    code = {key: index[one] for key, one in found.items()}
    return _objects(ordered), np.array([code[key] for key in keys], dtype=np.intp)


def _sorted(keys: Iterable[Any]) -> list[Any]:
    """By value; keys that do not compare by type first, and then by what they print."""
    try:
        return sorted(keys, key=lambda key: (key is math.nan, key))
    except TypeError:
        kinds: dict[str, list[Any]] = {}
        for key in keys:
            kinds.setdefault(type(key).__name__, []).append(key)
        if len(kinds) == 1:
            return sorted(keys, key=str)
        return [key for kind in sorted(kinds) for key in _sorted(kinds[kind])]


def same(key: Any) -> Any:
    """A key that a dictionary finds again: there is one NaN, and what is missing, NaT too, is None."""
    if isinstance(key, tuple):
        return tuple(map(same, key))
    if type(key).__name__ == "NAType":  # neither equal to itself nor unequal
        return None
    if key == key:
        return key
    return None if type(key).__name__ in ("NaTType", "datetime64", "timedelta64") else math.nan


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
