"""A Taylor-order test with a noise floor, for costs that cannot be interpreted.

Along a direction d, f(x + h d) - f(x - h d) - 2 h g.d shrinks like h^3 where g is the gradient and f smooth, like h
where g is wrong. Rounding of f sets a floor: only remainders above it count.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from gdjax.verification.report import Finding
from gdjax.verification.steering import as_given
from gdjax.verification.subject import Broken, Subject

_STEPS = 2.0 ** -np.arange(4, 24, 2)


def taylor(
    cost: Callable[..., Any], subject: Subject, inputs: Sequence[Sequence[Any]], wrt: Sequence[int], dtype: Any
) -> Iterator[Finding]:
    """A finding for the first argument whose remainder shrinks like a wrong gradient's at most inputs."""
    wrong: dict[int, int] = {}
    judged = 0
    unit = float(np.finfo(dtype).eps)
    for number, args in enumerate(inputs):
        try:
            outputs = subject(args).outputs
            middle = float(cost(*args))
        except Broken as error:
            yield Finding("contract", error.severity, str(error))
            return
        except Exception:  # noqa: BLE001
            continue
        judged += 1
        rng = np.random.default_rng(number)
        for k, place in enumerate(wrt):
            direction = rng.standard_normal(np.shape(args[place]))
            remainders, floors = [], []
            for h in _STEPS:
                ends = [float(cost(*_moved(args, place, sign * h * direction))) for sign in (1.0, -1.0)]
                along = float(np.sum(np.asarray(outputs[k], np.float64) * direction))
                remainders.append(abs(ends[0] - ends[1] - 2 * h * along))
                floors.append(64 * unit * (abs(middle) + max(map(abs, ends)) + abs(h * along)))
            above = [i for i in range(len(_STEPS)) if remainders[i] > floors[i]]
            if len(above) >= 4:
                slope = np.polyfit(np.log2(_STEPS[above]), np.log2(np.array(remainders)[above]), 1)[0]
                if slope < 1.5:
                    wrong[k] = wrong.get(k, 0) + 1
    for k, count in sorted(wrong.items()):
        if count * 2 > judged:
            text = f"gradient[{k}] fails the Taylor test: its remainder shrinks like h at {count} of {judged} inputs"
            yield Finding("value", "fail", text)
            return
    yield Finding("note", "note", f"the Taylor test found nothing wrong at {judged} inputs")


def _moved(args: Sequence[Any], place: int, step: Any) -> list[Any]:
    whole = list(args)
    array = np.asarray(args[place])
    whole[place] = as_given((array + step).astype(array.dtype), args[place])
    return whole
