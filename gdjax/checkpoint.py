"""Checkpoints: the last two states of a descent, so that a kill at any moment loses one interval at most.

``path`` is the newest, ``path.previous`` the one before. Each is written whole or not at all, and carries a checksum.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from gdjax.errors import FileError
from gdjax.files import Arrays, load_arrays, remove_orphans, save_arrays

__all__ = ["previous", "read", "write"]

_log = logging.getLogger(__name__)


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


def read(path: str | os.PathLike[str]) -> tuple[Arrays, dict[str, Any]] | None:
    """The newest checkpoint at ``path`` that is whole; None where there is none yet.

    Raises:
        FileError: there are some, and none can be read.
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
        return state
    if refused:
        raise refused
    return None
