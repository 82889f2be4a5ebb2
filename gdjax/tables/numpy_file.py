"""npy and npz, without pickle, each size checked against the file before anything is allocated.

One rule makes both a table:

* a npz with ``X`` (N, D): its columns are those of X, named by ``features`` or x0, x1, ..., and ``y``, ``groups`` and
  ``sample_weight``, which play these parts unless the caller names other columns; other keys are not read;
* any other npz: each key is a column and holds one array (N,);
* a npy of (N, D): columns x0, x1, ...; a structured one: its fields.
"""

from __future__ import annotations

import io
import math
import os
import struct
import sys
import tokenize
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from gdjax.errors import DataError, FileError
from gdjax.files import open_regular, physical_memory
from gdjax.tables.source import Cells, Pieces, Source, first_twice, from_array, row_of_array

__all__ = ["open_npy", "open_npz"]

Array = npt.NDArray[Any]
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
_BAD_HEADER = (
    ValueError,
    KeyError,
    SyntaxError,
    TypeError,
    AttributeError,
    RecursionError,
    MemoryError,
    tokenize.TokenError,
)
_PIECE = 1 << 16  # rows of a npy that a shuffle moves together
_BOMB_BYTES, _BOMB_RATIO = 256 << 20, 200
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OverflowError,
)


def open_npy(path: str | os.PathLike[str], max_bytes: int | None = None) -> Source:
    """The npy file at ``path``.

    Raises:
        FileError: no such file, a lying header, objects, cut short.
        DataError: neither (N, D) nor structured.
    """
    label = str(path)
    with open_regular(path, sys.maxsize) as (file, size):
        header = _header(file, size, f"{label}:")
    if header.dtype.names is None:
        _two_dimensional(header.dtype, header.shape, label)
        names = tuple(f"x{i}" for i in range(header.shape[1]))
    elif len(header.shape) == 1:
        names = header.dtype.names
    else:
        raise DataError(f"{label}: structured of shape {header.shape}; save it as (N,)")

    def columns(array: Array) -> dict[str, Array]:
        return {name: array[name] for name in names} if array.dtype.names else _columns_of(array, names)

    def load(wanted: Sequence[str], text: Collection[str]) -> dict[str, Cells]:
        with open_regular(path, max_bytes) as (file, size):
            found = columns(_read_array(file, size, label, ""))
        return {name: from_array(found[name]) for name in wanted}

    def read(piece: int, wanted: Sequence[str], text: Collection[str], most: int) -> Iterator[dict[str, Cells]]:
        with open_regular(path, sys.maxsize) as (file, size):
            if _header(file, size, f"{label}:") != header:
                raise FileError(f"{label}: it changed while it was read: start again")
            for start in range(piece * _PIECE, min(header.shape[0], (piece + 1) * _PIECE), most):
                rows = min(most, (piece + 1) * _PIECE - start, header.shape[0] - start)
                found = columns(_rows(file, header, start, rows, f"{label}:"))
                yield {name: from_array(found[name]) for name in wanted}

    count = header.shape[0]
    lengths = tuple(min(_PIECE, count - start) for start in range(0, count, _PIECE))
    # text is numbered by its levels, which are those of the whole column; Fortran order lies column by column
    whole = header.fortran or any(header.dtype[name].kind in "US" for name in header.dtype.names or ())
    return Source(label, names, load, row_of_array, pieces=None if whole else Pieces(lengths, read))


def open_npz(path: str | os.PathLike[str], max_bytes: int | None = None) -> Source:
    """The npz file at ``path``.

    Raises:
        FileError: no such file, broken, objects, or so compressed that it would fill the memory.
        DataError: keys missing, or arrays of the wrong shape.
    """
    label = str(path)
    with _archive(label, path, max_bytes) as archive:
        keys = tuple(archive)
    if not keys:
        raise DataError(f"{label}: no arrays; save it with numpy.savez(path, X=X, y=y)")
    if "X" not in keys:
        if "y" in keys and any(key.lower() == "x" for key in keys):
            raise DataError(f"{label}: no key 'X' but 'x'; keys are X and y, or a key for each column")

        def read(key: str) -> Array:
            with _archive(label, path, max_bytes) as archive:
                return _vector(archive[key](), f"{label}: {key!r}")

        return _source(label, keys, read)
    with _archive(label, path, max_bytes) as archive:
        arrays = {key: archive[key]() for key in ("X", "y", "groups", "sample_weight", "features") if key in archive}
    X = arrays.pop("X")
    _two_dimensional(X.dtype, X.shape, f"{label}: 'X'")
    features = [f"x{i}" for i in range(X.shape[1])]
    if "features" in arrays:
        features = [str(name) for name in arrays.pop("features").reshape(-1).tolist()]
    if len(features) != X.shape[1]:
        raise DataError(f"{label}: {len(features)} features for the {X.shape[1]} columns of X; name each column")
    parts = {key: _vector(array, f"{label}: {key!r}") for key, array in arrays.items()}
    twice = first_twice([*parts, *features])
    if twice is not None:
        raise DataError(f"{label}: two columns are named {twice!r}; rename one in features")
    columns = {**_columns_of(X, features), **parts}
    return _source(
        label,
        tuple(columns),
        columns.__getitem__,
        target="y" if "y" in parts else None,
        by=("groups",) if "groups" in parts else (),
        sample_weight="sample_weight" if "sample_weight" in parts else None,
    )


def _source(label: str, names: tuple[str, ...], read: Callable[[str], Array], **parts: Any) -> Source:
    def load(wanted: Sequence[str], text: Collection[str]) -> dict[str, Cells]:
        cells = {name: read(name) for name in wanted}
        lengths = {name: len(values) for name, values in cells.items()}
        first = next(iter(lengths), "")
        other = next((name for name in lengths if lengths[name] != lengths[first]), None)
        if other is not None:
            raise DataError(
                f"{label}: {first!r} has {lengths[first]} rows and {other!r} has {lengths[other]}; they must be as many"
            )
        return {name: from_array(values) for name, values in cells.items()}

    return Source(label, names, load, row_of_array, **parts)


def _columns_of(X: Array, names: Sequence[str]) -> dict[str, Array]:
    return {name: X[:, i] for i, name in enumerate(names)}


def _two_dimensional(dtype: np.dtype[Any], shape: tuple[int, ...], where: str) -> None:
    if len(shape) != 2 or dtype.kind not in "biuf":
        raise DataError(f"{where}: {dtype} of shape {shape}; it must be numbers of shape (N, D)")


def _vector(array: Array, where: str) -> Array:
    if array.ndim != 1 or array.dtype.names is not None:
        raise DataError(f"{where}: shape {array.shape}; it must be one column, (N,)")
    return array


@contextmanager
def _archive(
    label: str, path: str | os.PathLike[str], max_bytes: int | None
) -> Iterator[Mapping[str, Callable[[], Array]]]:
    limit = physical_memory() if max_bytes is None else max_bytes
    with open_regular(path, max_bytes) as (file, _):
        try:
            with zipfile.ZipFile(file) as archive:
                yield {
                    member.filename.removesuffix(".npy"): _reader(archive, member, label)
                    for member in _members(archive, label, limit)
                }
        except (DataError, FileError):
            raise
        except _BROKEN as error:
            raise FileError(f"{label}: a broken npz ({str(error)[:80]}); save it again with numpy.savez") from error


def _members(archive: zipfile.ZipFile, label: str, limit: int) -> list[zipfile.ZipInfo]:
    members = archive.infolist()
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        raise FileError(f"{label}: two arrays of one name; save it again with numpy.savez")
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or member.flag_bits & 1:
            raise FileError(f"{label}: {member.filename!r} is packed in a way that numpy does not; use numpy.savez")
        if member.file_size > _BOMB_BYTES and member.file_size > _BOMB_RATIO * member.compress_size:
            raise FileError(
                f"{label}: {member.filename!r} unpacks to {member.file_size:,} bytes from {member.compress_size:,}, as "
                "a zip bomb does; save it with numpy.savez, which does not compress"
            )
    total = sum(member.file_size for member in members)
    if total > limit:
        raise FileError(f"{label}: unpacks to {total:,} bytes, more than the limit of {limit:,}; raise max_bytes=")
    return members


def _reader(archive: zipfile.ZipFile, member: zipfile.ZipInfo, label: str) -> Callable[[], Array]:
    def read() -> Array:
        with archive.open(member) as file:
            return _read_array(file, member.file_size, label, f" {member.filename!r}")

    return read


class _Header(NamedTuple):
    """What the header of a npy file says."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    fortran: bool
    end: int
    """Where it ends, and the numbers begin."""


def _header(file: Any, size: int, what: str) -> _Header:
    """The header of a npy in ``file``, which holds ``size`` bytes; read to its end and no further."""
    try:
        start = file.read(10)
        version = np.lib.format.read_magic(io.BytesIO(start))
        start += file.read(2 * (version[0] - 1))
        length = int.from_bytes(start[8:], "little")
        head = io.BytesIO(start + file.read(min(length, 1 << 16)))  # what is longer is no header
        head.seek(8)
        shape, fortran, dtype = _HEADERS[version](head)
    except _BAD_HEADER as error:
        raise FileError(f"{what} not a npy array, or its header is broken; save it with numpy.save") from error
    if dtype.hasobject:
        raise FileError(f"{what} holds Python objects, which need pickle and are refused; save numbers or text")
    fields = [dtype[name] for name in dtype.names] if dtype.names else [dtype]
    if any(part.kind not in "biufUS" or part.subdtype or (part.kind == "f" and part.itemsize > 8) for part in fields):
        raise FileError(f"{what} dtype {dtype} cannot be used; save numbers of at most 64 bits or text")
    declared, held = math.prod(shape) * dtype.itemsize, size - head.tell()
    if min(shape, default=0) < 0 or declared != held:
        raise FileError(
            f"{what} its header says {shape} of {dtype}, {declared:,} bytes, and {held:,} follow; save it again"
        )
    return _Header(dtype, shape, fortran, head.tell())


def _read_array(file: Any, size: int, label: str, member: str) -> Array:
    """An array from ``file``, which holds ``size`` bytes; its header must say just that."""
    what = f"{label}:{member}"
    header = _header(file, size, what)
    data = bytearray(math.prod(header.shape) * header.dtype.itemsize)
    _fill(file, memoryview(data), what)
    if file.read(1):  # reads on to the checksum of the archive, too
        raise FileError(f"{what} is longer than its header says; save it again")
    array: Array = np.frombuffer(data, header.dtype)
    return _native(array.reshape(header.shape, order="F" if header.fortran else "C"))


def _rows(file: Any, header: _Header, start: int, count: int, what: str) -> Array:
    """Rows of an array in C order."""
    shape = (count, *header.shape[1:])
    data = bytearray(math.prod(shape) * header.dtype.itemsize)
    file.seek(header.end + start * (len(data) // count))
    _fill(file, memoryview(data), what)
    return _native(np.frombuffer(data, header.dtype).reshape(shape))


def _native(array: Array) -> Array:
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _fill(file: Any, into: memoryview, what: str) -> None:
    done = 0
    while done < len(into):
        got = file.readinto(into[done : done + (1 << 24)])
        if not got:
            raise FileError(f"{what} ends {len(into) - done:,} bytes early; save it again")
        done += got
