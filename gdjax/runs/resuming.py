"""Runs that can be taken up again: what a checkpoint is the run of, and when it is written."""

import hashlib
import os
import time
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from gdjax.errors import FileError, UsageError
from gdjax.neuron import Neuron
from gdjax.runs import checkpoint
from gdjax.runs.state import RunState
from gdjax.schedules import Schedule

INTERVAL = 1.0
"""Seconds between two checkpoints, at least. A run resumes bit for bit from any edge, so that time may choose it."""

SHARE = 0.05
"""The part of the time that writing them may take."""

FORMAT = 1

FEW = 4
"""Values that a message shows."""


class Keeper:
    """Keeps one run at a path, and gives it back to a call that is the same.

    Args:
        path: the checkpoint.
        steps: those of this call; the kept run may have fewer.
        options: name -> value of all else that decides what the run gives; numbers, text, None.
        arrays: name -> array, or None, of the data that do.
    """

    def __init__(self, path: Any, steps: int, options: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        if not isinstance(path, str | PathLike):
            raise UsageError(f"checkpoint = {path!r} must be a path")
        self.path = Path(path)
        self._meta = {
            "kind": "checkpoint",
            "format": FORMAT,
            "steps": steps,
            "options": dict(options),
            "data": {name: _fingerprint(array) for name, array in arrays.items() if array is not None},
        }
        self._due = 0.0

    def take_up(self, fresh: RunState) -> RunState:
        """The run that is kept, or `fresh` where there is none.

        Raises:
            FileError: what is there cannot be read, or is no checkpoint of this version.
            UsageError: it is of another run; the message shows the difference.
        """
        before = checkpoint.previous(self.path)
        if os.path.lexists(before) and not checkpoint.is_one(before):
            raise FileError(
                f"{before}: no checkpoint, and the one before the newest is kept there: name another checkpoint="
            )
        found = checkpoint.read(self.path)
        if found is None:
            return fresh
        arrays, meta = found
        if not isinstance(meta, dict) or meta.get("kind") != "checkpoint" or meta.get("format") != FORMAT:
            raise FileError(f"{self.path}: no checkpoint of this version of gdjax: name another checkpoint=")
        try:
            differing = list(_differences(meta, self._meta))
            run = RunState.from_arrays(arrays)
            if not differing and run.state.point.shape != fresh.state.point.shape:
                raise ValueError(f"parameters {run.state.point.shape}")
            if run.state.step.max(initial=0) > meta["steps"]:
                raise ValueError("more steps than it may have")
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise FileError(f"{self.path}: a damaged checkpoint ({error!r}): name another checkpoint=") from error
        if differing:
            raise UsageError(
                f"checkpoint {str(self.path)!r} is of another run: {'; '.join(differing)}: "
                "pass the same again, or another checkpoint="
            )
        return run

    def save(self, run: RunState, *, last: bool) -> None:
        """Writes `run` if it is time to, and the last state in any case.

        Raises:
            FileError: it cannot be written; the checkpoints that were there still are.
        """
        now = time.monotonic()
        if not last and now < self._due:
            return
        checkpoint.write(self.path, run.arrays(), self._meta)
        after = time.monotonic()
        self._due = after + max(INTERVAL, (after - now) / SHARE)


def describe(neuron: Neuron) -> str:
    """The neuron but for its penalties, in words equal in every process; a user's own formula by its values too."""
    formula = neuron.formula
    parts = []
    for what, part in (("activation", formula.activation), ("loss", formula.loss)):
        parameters = f"({', '.join(map(repr, part.parameters))})" if part.parameters else ""
        parts.append(f"{what}={part.name}{parameters}")
    z = np.linspace(-2.5, 2.5, 11)
    with np.errstate(all="ignore"):
        pointwise = formula.pointwise(np)
        values = [f(z, np.full(11, y)) for f in (pointwise.cost, pointwise.slope) for y in (0.0, 1.0)]
    table = np.stack([np.broadcast_to(v, z.shape) for v in values])
    return f"{', '.join(parts)}, bias={neuron.bias} (values {_mark(table)})"


def plain(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options as JSON has them; a schedule in words and by the values it takes."""

    def text(value: Any) -> Any:
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, Schedule):
            if value.factor is None:
                return value.rate
            values = np.concatenate([value.factors(step, 1) for step in (0, 1, 10, 100, 1000, 10_000)])
            return f"{value.rate} {value.describe} (values {_mark(values)})"
        return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)

    return {name: text(value) for name, value in sorted(options.items())}


def _mark(values: np.ndarray) -> str:
    # to digits that no other version of a math library changes; + 0 makes -0 0
    return hashlib.blake2b((np.round(values.astype(np.float64), 6) + 0.0).tobytes(), digest_size=4).hexdigest()


def _fingerprint(given: Any) -> list[Any]:
    """dtype, shape, a hash of the values, and the values where they are few."""
    array = np.asarray(given)
    if array.dtype.kind == "O":
        content: Any = repr(array.tolist()).encode("utf-8", "backslashreplace")
    else:
        content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
    few = str(array.tolist()).strip("[]") if array.size <= FEW else None
    return [str(array.dtype), list(array.shape), hashlib.blake2b(content, digest_size=16).hexdigest(), few]


def _differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterable[str]:
    if found["steps"] > wanted["steps"]:
        yield f"steps was {found['steps']} and is {wanted['steps']}, they can only be raised"
    for name in sorted(found["options"].keys() | wanted["options"].keys()):
        was, now = found["options"].get(name), wanted["options"].get(name)
        if was != now:
            yield f"{name} was {was!r} and is {now!r}"
    for name in sorted(found["data"].keys() | wanted["data"].keys()):
        before, after = found["data"].get(name), wanted["data"].get(name)
        if before is not None and after is not None and before[:3] == after[:3]:
            continue
        if before is None or after is None:
            yield f"{name} was {'not ' * (before is None)}given and is {'not' if after is None else 'now'}"
        elif before[3] is not None and after[3] is not None:
            yield f"{name} was {before[3]} and is {after[3]}"
        elif before[:2] == after[:2]:
            yield f"{name} has other values"
        else:
            yield f"{name} was {before[0]} {tuple(before[1])} and is {after[0]} {tuple(after[1])}"
