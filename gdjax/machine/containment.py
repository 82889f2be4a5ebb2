"""A user's own code, run with a limit on time and memory."""

import ctypes
import os
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from typing import Any, TypeVar

from gdjax.errors import UsageError

Result = TypeVar("Result")

SECONDS = 60.0
"""Of the processor. Of the clock four times as long: a machine may be busy, and code that waits uses none."""
MEMORY = 4 << 30
"""Bytes by which the process may grow meanwhile."""
_PATIENCE = 4
_LOOK = 0.05


class _Ended(BaseException):
    """Raised in the thread that is ended; no `except Exception` of its code stops it."""


def contained(what: str, call: Callable[[], Result], remedy: str) -> Result:
    """`call()`, in a thread of its own that is watched: what it returns or raises.

    A loop in Python is ended; one in compiled code cannot be, and is left behind. Ctrl-C ends the wait for either.

    Raises:
        UsageError: it goes beyond `SECONDS` or `MEMORY`; names `what`, and the `remedy`.
    """
    given: list[Result] = []
    raised: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            given.append(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again by the one who waits
            raised.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=copy_context().run, args=(run,), name="gdjax user code", daemon=True)
    watch = _Watch()
    thread.start()
    try:
        while not done.wait(_LOOK):
            beyond = watch.beyond(thread)
            if beyond is not None:
                raise UsageError(f"{what} {beyond}: {remedy}")
    finally:
        if not done.is_set():
            _end(thread)
    if raised:
        raise raised[0]
    return given[0]


class _Watch:
    """What a thread has used since it started."""

    def __init__(self) -> None:
        self._began, self._memory = time.monotonic(), _resident()

    def beyond(self, thread: threading.Thread) -> str | None:
        """Which limit it went beyond, in words."""
        spent = time.monotonic() - self._began
        if max(spent / _PATIENCE, _processor(thread)) > SECONDS:
            return f"has not ended after {spent:.0f} s"
        grown = _resident() - self._memory
        return f"took {grown / 2**30:.1f} GiB of memory" if grown > MEMORY else None


def _processor(thread: threading.Thread) -> float:
    """Seconds of the processor; 0 where the system does not tell."""
    if not hasattr(time, "pthread_getcpuclockid") or thread.ident is None:
        return 0.0
    try:
        return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
    except OSError:  # it has ended just now
        return 0.0


def _resident() -> int:
    """Bytes of memory of this process; 0 where the system does not tell."""
    try:
        # not a file object: Ctrl-C between its making and its `with` would leave it open, and Python would warn
        descriptor = os.open("/proc/self/statm", os.O_RDONLY)
    except OSError:
        return 0
    try:
        return int(os.read(descriptor, 200).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    finally:
        os.close(descriptor)


def _end(thread: threading.Thread) -> None:
    """Raises `_Ended` in `thread`, at its next step in Python."""
    set_error: Any = ctypes.pythonapi.PyThreadState_SetAsyncExc
    set_error(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_Ended))
