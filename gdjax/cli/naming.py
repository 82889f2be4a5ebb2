"""The library's messages in the words of the line: an argument of Python's as the option that is typed."""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gdjax.runs.run import Run

__all__ = ["as_options", "options_of", "told"]

_ELSE = {"groups": "by", "backend": "backends"}
"""Arguments whose option has another name: of a table, groups are a column."""

# what stands in quotes or in a path is the user's own
_ARGUMENT = r"""(?x)
    (?<! \w ) (?P<quoted> '[^']*' | "[^"]*" ) (?! \w ) |
    (?: (?P<before> \b (?: raise | lower ) \  ) | (?P<head> ^ | (?<= :\  ) ) )?
    (?<! [\w'"/\\.-] ) (?P<name> NAMES ) (?! ['"/\\] | [.-]? \w )
    (?P<value> = (?:
        '(?P<text> \w+ )' (?! [\w'"] ) | (?P<off> False ) | True | (?P<number> \d [\w.]* ) | \( [^)]* \)
    )? )?
    (?P<after> (?(head) (?= : ) | (?!) ) | (?= \ =\  | \ (?: must | was | has | holds ) \  | \ ['"] ) )?
"""


@cache
def options_of(command: str) -> frozenset[str]:
    """The options of a command, as Python's arguments; none of what is no command."""
    from gdjax.cli.app import COMMANDS, make_app

    if command not in COMMANDS:
        return frozenset()
    found = (each.names[0] for each in make_app()[command].assemble_argument_collection(parse_docstring=False))
    return frozenset(name[2:].replace("-", "_") for name in found if name.startswith("--"))


def as_options(message: str, options: Collection[str]) -> str:
    """``message`` with each argument that is among ``options`` spelled as the option.

    A word is an argument where ``=``, a verb (must, was, has, holds) or a value in quotes follows, at the head of what
    ``:`` divides, where it is to be raised or lowered, and where an underscore or a digit makes it no English word.

    >>> as_options("fill it, or pass missing='drop'; raise max_bytes=", ["missing", "max_bytes"])
    'fill it, or pass --missing drop; raise --max-bytes'
    >>> as_options("steps = 0 must be over 0: not in 5 steps: raise steps", ["steps"])
    '--steps = 0 must be over 0: not in 5 steps: raise --steps'
    >>> as_options("cells are divided by ';', not 'by=2'; pass groups=", ["by"])
    "cells are divided by ';', not 'by=2'; pass --by"
    """
    spelled = {each: f"--{each.replace('_', '-')}" for each in options}
    spelled = {name: spelled[option] for name, option in _ELSE.items() if option in spelled} | spelled
    if not spelled:
        return message

    def option(found: re.Match[str]) -> str:
        name = found["name"]
        if found["quoted"] is not None:
            return found[0]
        if name.isalpha() and found["before"] is found["value"] is found["after"] is None:
            return found[0]
        if name in _ELSE.values() and found["value"] is None:  # the library's word for it is another
            return found[0]
        said = spelled[name] if found["off"] is None else f"--no-{spelled[name][2:]}"
        return (found["before"] or "") + " ".join(filter(None, (said, found["text"], found["number"])))

    return re.sub(_ARGUMENT.replace("NAMES", "|".join(sorted(spelled, key=len, reverse=True))), option, message)


def told(reason: object, run: Run) -> str:
    """A reason of ``run`` as the line tells it."""
    return as_options(str(reason), options_of("sweep" if run.swept else "fit"))
