"""Every error a user can cause: one line that names the place and the remedy, and the exit code of the program.

Catch :class:`GdjaxError` for all of them. Each subclass is also the built-in error that a caller would expect, so that
``except ValueError`` around a fit works without knowing this module.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import ClassVar

__all__ = ["BackendError", "DataError", "FileError", "GdjaxError", "UsageError", "nearest", "printable"]


_LONGEST = 1000


class GdjaxError(Exception):
    """Base of the errors that name a place and a remedy in one line.

    ``exit_code`` is what the command line ends with: 2, bad use or bad input, unless a subclass says otherwise.
    """

    exit_code: ClassVar[int] = 2

    def __init__(self, message: str) -> None:
        shown = printable(message)
        # A damaged file has names of any length: the place is at the start of a message, the remedy at its end.
        super().__init__(shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 210]} ... {shown[-200:]}")

    def __str__(self) -> str:
        return str(self.args[0])


class DataError(GdjaxError, ValueError):
    """The data cannot be used: a bad cell, a wrong shape, a missing column."""


class UsageError(GdjaxError, ValueError):
    """An argument or option is unknown, of the wrong kind, or out of range."""


class FileError(GdjaxError, ValueError, OSError):
    """A file is missing, unreadable, cut short, altered, or cannot be written."""


class BackendError(GdjaxError, RuntimeError):
    """A backend, its device or its framework is missing, or two claim one name."""


def printable(text: str) -> str:
    """``text`` on one line, with control characters, line ends and lone surrogates shown as escapes.

    File names and cells come from elsewhere: none of them may move the cursor or colour the terminal.

    >>> printable("a\\x1b[31mb\\nc")
    'a\\\\x1b[31mb\\\\nc'
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def nearest(name: str, known: Iterable[str], limit: int = 3) -> str:
    """The ending of a message about an unknown name: the nearest known ones, or all of them when they are few.

    >>> nearest("reul", ["relu", "tanh"])
    "did you mean 'relu'?"
    >>> nearest("q", ["relu", "tanh"])
    "known: 'relu', 'tanh'"
    """
    names = list(dict.fromkeys(map(str, known)))
    folded = {other.casefold(): other for other in names}
    close = [folded[match] for match in difflib.get_close_matches(str(name).casefold(), folded, limit)]
    if close:
        return "did you mean " + " or ".join(repr(other) for other in close) + "?"
    shown = ", ".join(repr(other) for other in names[:8])
    return f"known: {shown}" + (f" and {len(names) - 8} more" if len(names) > 8 else "")
