"""SIGINT and SIGTERM: a run ends at the edge of its chunk, with its checkpoint, and the program with 130 or 143."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from gdjax.event import Callback, Event, ends

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """A callback for `gdjax.fit` that ends the run at the first edge after a signal.

    Attributes:
        received: the signal's number, or None where none has come.
    """

    def __init__(self, callback: Callback | None = None) -> None:
        self.received: int | None = None
        self._callback = callback

    def __call__(self, event: Event) -> bool:
        leave_if_asked()
        wanted = self._callback is not None and ends(self._callback(event))
        return wanted or self.received is not None

    @property
    def exit_code(self) -> int:
        """128 + the signal's number, as shells have it; 0 where none has come."""
        return 0 if self.received is None else 128 + self.received


class _Handler(Protocol):
    def __call__(self, number: int, frame: FrameType | None) -> Any: ...


@contextmanager
def stop_at_edges(callback: Callback | None = None, heard: Callable[[int], object] | None = None) -> Iterator[Stop]:
    """While it lasts, a first SIGINT or SIGTERM is remembered by the `Stop` it gives, which is to be the `callback=` of
    `gdjax.fit`; a second one does what it did before. Outside the main thread, it does nothing.

    Args:
        callback: called at the edges, too.
        heard: called with the number of the first signal when it comes: an edge may be far, behind a compilation.

    >>> with stop_at_edges() as stop:
    ...     signal.raise_signal(signal.SIGTERM)
    >>> stop.exit_code
    143
    """
    stop = Stop(callback)
    before: dict[int, Any] = {}

    def remember(number: int, frame: FrameType | None) -> None:
        stop.received = number
        _install(before)
        if heard is not None:
            heard(number)

    with _handled(remember, before):
        leave_if_asked()
        yield stop


_asked: list[int] = []
"""Signals that have raised `SystemExit`. A library may have swallowed it: pyarrow does, while it imports pandas."""


def leave_if_asked() -> None:
    """Raises a signal's `SystemExit` again, where a library has swallowed it."""
    if _asked:
        raise SystemExit(128 + _asked[0])


@contextmanager
def exit_codes() -> Iterator[None]:
    """While it lasts, SIGINT and SIGTERM raise `SystemExit` with 130 and 143, so that `finally` clauses run. One that
    is swallowed is raised again: where Python itself did, in a callback, at once; else by
    `leave_if_asked`, once a table is read, before a run begins and at each of its edges, and at the end."""

    def leave(number: int, frame: FrameType | None) -> None:
        _asked.append(number)
        raise SystemExit(128 + number)

    unraisable = sys.unraisablehook

    def again(lost: "sys.UnraisableHookArgs") -> None:
        if _asked and isinstance(lost.exc_value, SystemExit):
            # from a thread, and later: what is raised in this call is lost, too
            threading.Timer(0.01, signal.raise_signal, (_asked[0],)).start()
        else:
            unraisable(lost)

    with _handled(leave, {}):
        sys.unraisablehook = again
        try:
            yield
        finally:
            sys.unraisablehook = unraisable
            if _asked:
                first = _asked[0]
                _asked.clear()
                raise SystemExit(128 + first)


@contextmanager
def _handled(handler: _Handler, before: dict[int, Any]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for number in SIGNALS:
        found = signal.getsignal(number)
        # what was ignored (nohup, a background job of a shell) stays so; None: set outside Python, not to be put back
        if found not in (signal.SIG_IGN, None):
            before[number] = found
    _install(dict.fromkeys(before, handler))
    try:
        yield
    finally:
        _install(before)


def _install(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)
