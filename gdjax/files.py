"""Files of named arrays with JSON metadata: safetensors, written whole or not at all, refused when altered.

A file holds tensors, and two strings in the safetensors header: ``gdjax`` (the metadata as JSON) and ``sha256`` (over
metadata, names, dtypes, shapes and bytes). No pickle. Text arrays, which safetensors lacks, are kept as UTF-8 bytes
beside their lengths.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from gdjax.errors import FileError, nearest

__all__ = [
    "Arrays",
    "atomic_write",
    "check_writable",
    "load_arrays",
    "open_regular",
    "physical_memory",
    "remove_orphans",
    "save_arrays",
]

Arrays: TypeAlias = dict[str, npt.NDArray[Any]]

_KINDS = "biufU"  # bool, integers, floats, text
_LENGTHS = "\x00lengths"  # the companion of a text array: no name of ours contains it
_HEADER_LIMIT = 100_000_000  # safetensors' own


def save_arrays(
    path: str | os.PathLike[str],
    arrays: Mapping[str, npt.ArrayLike],
    meta: Mapping[str, Any],
    *,
    keep: str | os.PathLike[str] | None = None,
) -> None:
    """Write ``arrays`` (bool, integer, float or text, of any shape and strides) and ``meta`` (JSON) to one file.

    The file appears whole or not at all: temporary file in the same folder, fsync, rename, fsync of the folder.
    ``keep`` is the name under which the file that it replaces is kept.

    Raises:
        FileError: the file cannot be written; what was there before is untouched.
        TypeError: an array or a metadata value of a kind that the format lacks.
    """
    from safetensors.numpy import save

    tensors: Arrays = {}
    for name, array in arrays.items():
        tensors.update(_to_tensors(name, np.asarray(array)))
    text = json.dumps(meta, sort_keys=True, allow_nan=False, default=_from_numpy)
    data = save(tensors, {"gdjax": text, "sha256": _checksum(tensors, text)})
    atomic_write(path, data, keep=keep)


def load_arrays(
    path: str | os.PathLike[str],
    *,
    max_bytes: int | None = None,
    remedy: str = "name one that run.save(path), or gdjax fit -o, has written",
) -> tuple[Arrays, dict[str, Any]]:
    """The arrays, each the caller's own and writable, and the metadata of a file that :func:`save_arrays` wrote.

    ``max_bytes``, by default the memory of the machine, bounds the size of the file before anything is read; ``remedy``
    is what the error says of a file that is another's, or damaged.

    Raises:
        FileError: no such file, not such a file, cut short, altered, or too large.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = _read(path, max_bytes, remedy)
    try:
        tensors = load(data)
        header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])["__metadata__"]
        text, expected = header["gdjax"], header["sha256"]
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise FileError(f"{path}: not a gdjax file, or cut short; {remedy}") from error
    if _checksum(tensors, text) != expected:
        raise FileError(f"{path}: altered since it was written: its checksum is not that of its content; {remedy}")
    try:
        return _from_tensors(tensors), json.loads(text)
    except (ValueError, KeyError, IndexError, RecursionError) as error:
        raise FileError(f"{path}: text arrays that do not decode; {remedy}") from error


def atomic_write(path: str | os.PathLike[str], data: bytes, *, keep: str | os.PathLike[str] | None = None) -> None:
    """Write ``data`` to ``path``, whole or not at all, and durably; a link is followed to the file that it names.

    ``keep`` is the name in the same folder under which the file that it replaces is kept.

    Raises:
        FileError: the folder is missing or read-only, the disk is full, ``path`` is a folder or a device.
    """
    try:
        target = Path(os.path.realpath(path))
        temporary = target.with_name(f"{_temporary_prefix(target)}{os.getpid()}.{secrets.token_hex(4)}.tmp")
        if target.exists() and not target.is_file():
            raise FileError(f"{path}: not a regular file; name a file to write")
        try:
            _write_durably(temporary, data)
            if keep is not None and target.exists():
                _keep(target, keep, temporary.with_suffix(".link.tmp"))
            os.replace(temporary, target)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
        _fsync_folder(target.parent)
    except FileError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise FileError(f"{path}: cannot be written: {_why(error)}") from error


def check_writable(path: str | os.PathLike[str]) -> None:
    """Refuse early a ``path`` that :func:`atomic_write` would refuse after the work was done.

    Raises:
        FileError: its folder is missing or read-only, or it is a folder or a device itself.
    """
    try:
        target = Path(os.path.realpath(path))
        if target.exists() and not target.is_file():
            raise FileError(f"{path}: not a regular file; name a file to write")
        if not target.parent.is_dir():
            raise FileError(f"{path}: no folder {str(target.parent)!r}; make it, or name another")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise FileError(f"{path}: the folder {str(target.parent)!r} cannot be written; name another")
    except ValueError as error:
        if isinstance(error, FileError):
            raise
        raise FileError(f"{path}: cannot be written: {error}") from error


def remove_orphans(path: str | os.PathLike[str]) -> None:
    """Remove the temporary files that processes killed while writing ``path`` have left beside it."""
    target = Path(os.path.realpath(path))
    prefix = _temporary_prefix(target)
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(target.parent)):
            if entry.name.startswith(prefix) and entry.name.endswith(".tmp"):
                writer = entry.name.removeprefix(prefix).partition(".")[0]
                if writer.isdecimal() and not _alive(int(writer)):
                    os.unlink(entry.path)


@contextlib.contextmanager
def open_regular(path: str | os.PathLike[str], max_bytes: int | None = None) -> Iterator[tuple[Any, int]]:
    """Open a regular file of at most ``max_bytes`` for reading: the open binary file, and its size in bytes.

    Raises:
        FileError: no such file, a folder, a device or pipe, unreadable, too large; or it failed while being read.
    """
    limit = physical_memory() if max_bytes is None else max_bytes
    try:
        # O_NONBLOCK: a named pipe without a writer would block here for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: {_missing(path, error)}") from error
    try:
        info = os.fstat(descriptor)
        if stat.S_ISDIR(info.st_mode):
            raise FileError(f"{path}: a folder; name a file in it")
        if not stat.S_ISREG(info.st_mode):
            raise FileError(f"{path}: not a regular file; copy it to one first")
        if info.st_size > limit:
            raise FileError(f"{path}: {info.st_size:,} bytes, more than the limit of {limit:,}; raise max_bytes=")
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            yield file, info.st_size
        if os.fstat(descriptor).st_size < info.st_size:
            raise FileError(f"{path}: it shrank while it was read; try again when nothing writes to it")
    except FileError:
        raise
    except OSError as error:
        raise FileError(f"{path}: cannot be read: {_why(error)}") from error
    finally:
        os.close(descriptor)


def physical_memory() -> int:
    """The machine's memory in bytes; 8 GiB where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return 8 << 30


def _read(path: str | os.PathLike[str], max_bytes: int | None, remedy: str) -> bytes:
    with open_regular(path, max_bytes) as (file, size):
        head = file.read(8)
        length = struct.unpack("<Q", head)[0] if len(head) == 8 else size
        if length > min(size - 8, _HEADER_LIMIT):
            raise FileError(f"{path}: not a gdjax file, or cut short; {remedy}")
        data: bytes = head + file.read(size - 8)
    if len(data) != size:
        raise FileError(f"{path}: it shrank while it was read; try again when nothing writes to it")
    return data


def _temporary_prefix(target: Path) -> str:
    return f".{target.name[:100]}."


def _alive(process: int) -> bool:
    if os.name == "nt":  # os.kill would end it there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _write_durably(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _keep(target: Path, keep: str | os.PathLike[str], link: Path) -> None:
    """``keep`` becomes another name of ``target``, which is there at every moment; it is moved where links are not."""
    try:
        os.link(target, link)
    except OSError:
        os.replace(target, keep)
        return
    try:
        os.replace(link, keep)
    finally:
        link.unlink(missing_ok=True)  # it is still there where it and ``keep`` were one file already


def _fsync_folder(folder: Path) -> None:
    if os.name == "nt":  # a folder cannot be opened there
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _to_tensors(name: str, array: npt.NDArray[Any]) -> Arrays:
    if array.dtype.kind not in _KINDS or (array.dtype.itemsize > 8 and array.dtype.kind != "U"):
        raise TypeError(f"array {name!r} of dtype {array.dtype}: bool, integer, float to 64 bits or text can be saved")
    if array.dtype.kind != "U":
        # safetensors 0.8 writes strided arrays wrong (#825); ascontiguousarray would make a scalar one-dimensional.
        return {name: np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")}
    cells = [cell.encode("utf-8", "surrogatepass") for cell in array.ravel().tolist()]
    lengths = np.fromiter(map(len, cells), np.int64, len(cells)).reshape(array.shape)
    return {name: np.frombuffer(b"".join(cells), np.uint8), name + _LENGTHS: lengths}


def _from_tensors(tensors: Arrays) -> Arrays:
    arrays: Arrays = {}
    for name, tensor in tensors.items():
        if name.endswith(_LENGTHS):
            continue
        lengths = tensors.get(name + _LENGTHS)
        arrays[name] = tensor.copy() if lengths is None else _decode(tensor.tobytes(), lengths)
    return arrays


def _decode(text: bytes, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.str_]:
    ends = np.cumsum(lengths.ravel()).tolist()
    starts = [0, *ends[:-1]]
    cells = [text[start:end].decode("utf-8", "surrogatepass") for start, end in zip(starts, ends, strict=False)]
    return np.array(cells, dtype=np.str_).reshape(lengths.shape)


def _checksum(tensors: Mapping[str, npt.NDArray[Any]], text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass"))
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(repr((name, tensor.dtype.str, tensor.shape)).encode("utf-8", "backslashreplace"))
        digest.update(tensor.reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _from_numpy(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"metadata of type {type(value).__name__} is not JSON")


def _missing(path: str | os.PathLike[str], error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        folder, name = os.path.split(os.fspath(path))
        with contextlib.suppress(OSError):
            there = sorted(entry.name for entry in os.scandir(folder or ".") if entry.is_file())[:10_000]
            hint = nearest(name, there)
            return "no such file" + (f"; {hint}" if hint.startswith("did") else "")
        return "no such file"
    return f"cannot be read: {_why(error)}"


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
