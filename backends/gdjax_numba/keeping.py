"""The text of a program as a module, and on disk what numba compiles of it: for the next process, and for it alone.

What is kept may be damaged, and the disk may be full: that costs compiling again, nothing else.
"""

import contextlib
import hashlib
import importlib.util
import os
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numba

from gdjax.caching import cache_folder
from gdjax_numba.quick_import import import_array_functions

_lock = threading.Lock()
_loaded: dict[str, ModuleType] = {}
"""Compiled once, however many threads or formulas of one text ask at a time; kept, as addresses in them are."""


def load(text: Callable[[bool], str], rest: str) -> ModuleType:
    """The module whose source is `text(kept)`, kept saying whether numba is to keep what it compiles.

    Args:
        rest: all else that what is compiled depends on: numba's cache sees the module's own file alone change, so the
            file's name carries it.
    """
    folder = cache_folder("numba")
    source = text(folder is not None)
    name = f"gdjax_numba_{hashlib.sha256((source + rest).encode()).hexdigest()[:20]}"
    with _lock:
        if name not in _loaded:
            import_array_functions()
            try:
                _loaded[name] = _run(source, name, folder and _written(source, folder / f"{name}.py"))
            except Exception:
                # what is damaged raises anything; if it was not what is kept, this raises the same again
                if folder is None:
                    raise
                _discard(name, folder, folder / "__pycache__")
                _loaded[name] = _run(text(False), name, None)
        return _loaded[name]


def ready(function: Any, *arguments: Any) -> Any:
    """numba's `function` compiled for such arguments, so that a call runs at once."""
    if not function.overloads:
        kinds = tuple(map(numba.typeof, arguments))
        try:
            function.compile(kinds)
        except Exception:  # as in `load`
            if function.stats.cache_path is None:
                raise
            _discard(function.__module__, Path(function.stats.cache_path))
            # where it cannot be written, it is compiled all the same
            with contextlib.suppress(OSError):
                function.compile(kinds)
    return function


def _run(source: str, name: str, path: Path | None) -> ModuleType:
    spec: Any = None if path is None else importlib.util.spec_from_file_location(name, path)
    module = ModuleType(name) if spec is None else importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # numba finds a cached function's globals by module name
    try:
        if spec is None:
            exec(compile(source, f"<{name}>", "exec"), vars(module))
        else:
            spec.loader.exec_module(module)  # from its bytecode, where that is kept: a process starts 10 ms sooner
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _written(source: str, path: Path) -> Path:
    """The path, once the file there is the source: other processes may be writing it, or have died at it."""
    data = source.encode()
    with contextlib.suppress(FileNotFoundError):
        if path.read_bytes() == data:
            return path
    handle, draft = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        # to a numba that goes by times, what two processes write is one program
        os.utime(draft, (0, 0))
        os.replace(draft, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(draft)
    return path


def _discard(name: str, *folders: Path) -> None:
    for folder in folders:
        for path in folder.glob(f"{name}.*"):
            with contextlib.suppress(OSError):
                path.unlink()
