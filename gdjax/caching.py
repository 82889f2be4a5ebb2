"""Where compiled programs are kept between processes."""

import os
import sys
from pathlib import Path

from gdjax.protocol import Backend, KeepsPrograms

VARIABLE = "GDJAX_CACHE_DIR"
"""The environment variable that moves the folder, or with "off" turns the cache off."""


def cache_folder(name: str) -> Path | None:
    """The folder of compiled programs of one kind, made if need be; None where the cache is off or cannot be written.

    `GDJAX_CACHE_DIR` if set, else gdjax in the platform's cache folder: ~/.cache (or XDG_CACHE_HOME) on Linux,
    ~/Library/Caches on macOS, %LOCALAPPDATA% on Windows. Deleting it costs compiling again, nothing else.
    """
    chosen = os.environ.get(VARIABLE, "")
    if chosen.lower() == "off":
        return None
    folder = (Path(chosen) if chosen else _platform_cache() / "gdjax") / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def keep_programs(backend: Backend) -> None:
    """Lets a backend that can keep its compiled programs do so, in a folder of its own, unless the cache is off."""
    if isinstance(backend, KeepsPrograms) and (folder := cache_folder(backend.name)) is not None:
        backend.keep_programs(folder)


def _platform_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
