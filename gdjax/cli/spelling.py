"""Values that a command line spells as Python does: a name, or a name called with numbers."""

from __future__ import annotations

import ast
from typing import Any

from gdjax.errors import UsageError

__all__ = ["spelled"]


def spelled(flag: str, text: str, namespace: Any, example: str) -> Any:
    """What ``text`` spells: itself where it is a bare word, else the function of ``namespace`` that it calls.

    Raises:
        UsageError: neither; the message shows ``example``.

    >>> from gdjax.formulas import losses
    >>> spelled("loss", "huber(0.5)", losses, "huber(0.5)").parameters
    (0.5,)
    >>> spelled("loss", "huber", losses, "huber(0.5)")
    'huber'
    """
    if "(" not in text:
        return text
    try:
        call = ast.parse(text.strip(), mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError
        function: Any = getattr(namespace, call.func.id)
        # what takes functions cannot be spelled
        if function.__module__ != namespace.__name__ or call.func.id.startswith("_") or call.func.id == "custom":
            raise ValueError
        arguments = [ast.literal_eval(each) for each in call.args]
        named = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
        return function(*arguments, **named)
    except (SyntaxError, AttributeError, ValueError, TypeError, MemoryError, RecursionError) as error:
        said = f" ({error})" if isinstance(error, TypeError) or (error.args and "must" in str(error)) else ""
        raise UsageError(f"--{flag} {text!r}: not understood{said}; write it as in {example}") from error
