"""A Taylor test with a noise floor, for costs that cannot be interpreted.

Along a direction d, f(x + h d) - f(x - h d) - 2 h g.d shrinks like h^3 where g is the gradient and f smooth, like h
where g is wrong. The cost is run in float64, whatever the gradient's dtype; its rounding sets a floor that does not
shrink, and what the gradient's own rounding may be, one that shrinks like h. Only remainders above both count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from gdjax.verification.inputs.steering import as_given
from gdjax.verification.programs.program import wide_floats
from gdjax.verification.subject import Broken, Subject
from gdjax.verification.telling.report import Finding

_STEPS = 2.0 ** -np.arange(4, 24, 2)
# So many steps in a row must leave remainders in proportion to h, within this factor.
_IN_A_ROW, _ALIKE = 4, 1.5
# Entries that are looked at one by one for a wrong one.
_MOST_ENTRIES = 256


class Wrong(NamedTuple):
    """Which argument's gradient is wrong, in which entry of it if one alone shows it, and at what input."""

    argument: int
    entry: tuple[int, ...] | None
    args: Sequence[Any]


def taylor(
    cost: Callable[..., Any], subject: Subject, inputs: Sequence[Sequence[Any]], wrt: Sequence[int], dtype: Any
) -> tuple[Finding, Wrong | None]:
    """The first argument whose remainder shrinks like a wrong gradient's at most inputs, if there is one."""
    wrong: dict[int, list[Sequence[Any]]] = {}
    judged = 0

    def at(args: Sequence[Any]) -> float:
        with wide_floats(True), np.errstate(all="ignore"):
            return float(cost(*args))

    for number, args in enumerate(inputs):
        try:
            outputs = subject(args).outputs
            wide = [_wide(a) for a in args]
            rng = np.random.default_rng(number)
            found = []
            for k, place in enumerate(wrt):
                direction = rng.standard_normal(np.shape(args[place]))
                if _shrinks_like_h(at, wide, place, np.asarray(outputs[k], np.float64), direction, dtype):
                    found.append(k)
        except Broken as error:
            return Finding("contract", error.severity, str(error)), None
        except Exception:  # noqa: BLE001
            continue
        judged += 1
        for k in found:
            wrong.setdefault(k, []).append(args)
    for k, where in sorted(wrong.items()):
        if len(where) * 2 > judged:
            text = (
                f"gradient[{k}] fails the Taylor test: its remainder shrinks like h at {len(where)} of {judged} inputs"
            )
            args = min(where, key=lambda args: sum(map(np.size, args)))
            gradient = np.asarray(subject(args).outputs[k], np.float64)
            entry = _entry(at, [_wide(a) for a in args], wrt[k], gradient, dtype)
            return Finding("value", "fail", text), Wrong(k, entry, args)
    return Finding("note", "note", f"the Taylor test found nothing wrong at {judged} inputs"), None


def _entry(
    at: Callable[[Sequence[Any]], float], args: Sequence[Any], place: int, gradient: Any, dtype: Any
) -> tuple[int, ...] | None:
    """The first entry that is wrong by itself."""
    for index in list(np.ndindex(gradient.shape))[:_MOST_ENTRIES]:
        direction = np.zeros(gradient.shape)
        direction[index] = 1.0
        if _shrinks_like_h(at, args, place, gradient, direction, dtype):
            return index
    return None


def _shrinks_like_h(
    at: Callable[[Sequence[Any]], float], args: Sequence[Any], place: int, gradient: Any, direction: Any, dtype: Any
) -> bool:
    along, size = float(np.sum(gradient * direction)), float(np.sum(np.abs(gradient * direction)))
    middle = at(args)
    own = float(np.sqrt(np.finfo(dtype).eps)) * size
    rates = []
    for h in _STEPS:
        ends = [at(_moved(args, place, sign * h * direction)) for sign in (1.0, -1.0)]
        remainder = abs(ends[0] - ends[1] - 2 * h * along)
        noise = 64 * float(np.finfo(np.float64).eps) * (abs(middle) + max(map(abs, ends)))
        rates.append(remainder / h if remainder > noise + h * own else 0.0)
    rows = [rates[i : i + _IN_A_ROW] for i in range(len(rates) - _IN_A_ROW + 1)]
    return any(0 < max(row) <= _ALIKE * min(row) for row in rows)


def _wide(a: Any) -> Any:
    array = np.asarray(a) if isinstance(a, (np.ndarray, np.generic)) else None
    return a if array is None or array.dtype.kind != "f" else as_given(array.astype(np.float64), a)


def _moved(args: Sequence[Any], place: int, step: Any) -> list[Any]:
    whole = list(args)
    whole[place] = as_given(np.asarray(args[place]) + step, args[place])
    return whole
