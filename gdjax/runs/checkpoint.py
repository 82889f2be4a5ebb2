"""Checkpoints: the last two states of a descent, so that a kill at any moment loses one interval at most.

``path`` is the newest, ``path.previous`` the one before. Each is written whole or not at all, and carries a checksum.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from gdjax.errors import FileError
from gdjax.files import Arrays, load_arrays, open_regular, remove_orphans, save_arrays

__all__ = ["is_one", "previous", "read", "write"]

_log = logging.getLogger(__name__)

_HEADS = (b'{"__metadata__":{"gdjax":', b'{"__metadata__":{"sha256":')
"""How the header of a file that `save_arrays` wrote begins."""


def write(path: str | os.PathLike[str], arrays: Mapping[str, npt.ArrayLike], meta: Mapping[str, Any]) -> None:
    """Make ``arrays`` and ``meta`` the newest checkpoint at ``path``, and keep the one before as ``path.previous``.

    Raises:
        FileError: it cannot be written; the checkpoints that were there still are.
    """
    save_arrays(path, arrays, meta, keep=previous(path))


def previous(path: str | os.PathLike[str]) -> Path:
    """Where the checkpoint before the newest is kept."""
    target = Path(os.path.realpath(path))
    return target.with_name(target.name + ".previous")


def is_one(path: Path) -> bool:
    """Whether the file at ``path`` is a checkpoint, whole or damaged, or holds nothing: one that may be replaced."""
    with open_regular(path) as (file, size):
        begin = file.read(8)
        length = int.from_bytes(begin, "little")
        header = file.read(max(map(len, _HEADS)))
        if not (begin + header).strip(b"\0"):  # as a machine that lost its power leaves a file
            return True
        if not header.startswith(_HEADS):
            return False
        header += file.read(max(0, min(length, size) - len(header)))
    try:
        kind: object = json.loads(json.loads(header)["__metadata__"]["gdjax"]).get("kind")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return True
    return kind == "checkpoint"


def read(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]] | None:
    """The newest checkpoint at ``path`` that is whole; None where there is none yet.

    A file at ``path`` that cannot be used, and may be a stranger's, is set aside as ``path.unreadable``.

    Raises:
        FileError: there are some, and none can be read; or something has been set aside before.
    """
    target = Path(os.path.realpath(path))
    remove_orphans(target)
    found = [file for file in (target, previous(target)) if os.path.lexists(file)]
    refused: FileError | None = None
    for file in found:
        try:
            # it may be a stranger's file: nothing here says to delete it
            state = load_arrays(file, remedy="name another checkpoint=")
        except FileError as error:
            refused = refused or error
            continue
        if file != target:
            _log.warning("%s cannot be used; resuming from the one before it, %s", path, file.name)
            if target in found and not is_one(target):
                aside = target.with_name(target.name + ".unreadable")
                if os.path.lexists(aside) and refused is not None:
                    raise refused
                os.rename(target, aside)
        return state
    if refused:
        raise refused
    return None
