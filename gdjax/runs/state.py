"""The whole state of a run as one value: what a checkpoint holds and what `continue_` goes on from."""

import json
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from gdjax import status
from gdjax.rule import EXHAUSTED, State


@dataclass
class RunState:
    """K neurons on their way. Written by the engine alone, row by row."""

    state: State
    """K rows, in the descent's parameters."""
    status: np.ndarray
    """(K,) int8 of `gdjax.status`"""
    reasons: list[str]
    """(K,)"""
    attempt: np.ndarray
    """(K,) int8 starts made; 0 before the first."""
    threshold: np.ndarray
    """(K,) tolerance * mu as it is known, which the descent stops at."""
    looked: np.ndarray
    """(K,) int32 the step of the last look for a certificate."""
    raw: np.ndarray
    """(K, P) parameters in the user's units, NaN where not trained."""
    cost: np.ndarray
    """(K,) float64, at its end; before, at the last look, NaN before the first."""
    condition: np.ndarray
    """(K,)"""
    best_theta: np.ndarray
    """(K, P) the parameters best on the validation set; (K, 0) without one."""
    best_validation: np.ndarray
    """(K,)"""
    stale: np.ndarray
    """(K,) int32 looks at the validation set since it improved."""
    history_steps: list[int] = field(default_factory=list)
    history: list[np.ndarray] = field(default_factory=list)
    """cost (K,) at each of `history_steps`."""

    def arrays(self) -> dict[str, np.ndarray]:
        """All of it as named arrays."""
        out = {f"state.{name}": value for name, value in self.state._asdict().items()}
        for f in fields(self):
            if f.name not in ("state", "reasons", "history", "history_steps"):
                out[f.name] = getattr(self, f.name)
        out["reasons"] = np.frombuffer(json.dumps(self.reasons).encode(), np.uint8)
        out["history_steps"] = np.array(self.history_steps, np.int64)
        out["history"] = np.stack(self.history) if self.history else np.zeros((0, len(self.status)))
        return out

    @classmethod
    def from_arrays(cls, arrays: dict[str, np.ndarray]) -> "RunState":
        """The value that `arrays` was made of.

        Raises:
            KeyError, ValueError: they are not of a run.
        """
        rest: dict[str, Any] = {
            f.name: np.array(arrays[f.name])
            for f in fields(cls)
            if f.name not in ("state", "reasons", "history", "history_steps")
        }
        run = cls(
            state=State(*(np.array(arrays[f"state.{name}"]) for name in State._fields)),
            reasons=json.loads(arrays["reasons"].tobytes().decode()),
            history_steps=[int(s) for s in arrays["history_steps"]],
            history=list(np.array(arrays["history"])),
            **rest,
        )
        run._check()
        return run

    def _check(self) -> None:
        """Raises ValueError where shapes, dtypes or codes are not those of a run."""
        state = self.state
        count, size = state.point.shape
        none, real = (count, 0), state.point.dtype
        if real.kind != "f":
            raise ValueError(f"state.point: {real}")
        wide, one = [((count, size), real)], [((count,), real)]
        whole = [((count,), np.dtype(np.int32))]
        exact = np.dtype(np.float64)
        expected: dict[str, list[Any]] = {
            **{f"state.{name}": wide for name in ("point", "iterate", "best")},
            **{f"state.{name}": [*wide, (none, real)] for name in ("velocity", "second")},
            **{f"state.{name}": one for name in ("momentum", "rate", "cost", "best_cost")},
            **{f"state.{name}": whole for name in ("step", "phase")},
            **{name: [((count,), np.dtype(np.int8))] for name in ("status", "attempt")},
            **{name: [((count,), exact)] for name in ("threshold", "cost", "condition", "best_validation")},
            **dict.fromkeys(("looked", "stale"), whole),
            "raw": [((count, size), exact)],
            "best_theta": [((count, size), exact), (none, exact)],
        }
        for name, known in expected.items():
            found = getattr(state if "." in name else self, name.removeprefix("state."))
            if (found.shape, found.dtype) not in known:
                raise ValueError(f"{name}: {found.dtype} {found.shape}")
        codes = {"phase": (state.phase, EXHAUSTED), "status": (self.status, len(status.NAMES) - 1)}
        for name, (found, most) in codes.items():
            if count and not (found.min() >= 0 and found.max() <= most):
                raise ValueError(f"{name}: a code over {most}")
        for name, found in (("step", state.step), ("attempt", self.attempt), ("looked", self.looked)):
            if count and found.min() < 0:
                raise ValueError(f"{name}: under 0")
        if not isinstance(self.reasons, list) or len(self.reasons) != count:
            raise ValueError("reasons")
        if len(self.history) != len(self.history_steps) or any(h.shape != (count,) for h in self.history):
            raise ValueError("history")


def empty(state: State, codes: np.ndarray, reasons: list[str], validated: bool) -> RunState:
    """The value before the first step."""
    count, size = state.point.shape
    return RunState(
        state=state,
        status=codes,
        reasons=reasons,
        attempt=np.zeros(count, np.int8),
        threshold=np.full(count, -1.0),
        looked=np.zeros(count, np.int32),
        raw=np.full((count, size), np.nan),
        cost=np.full(count, np.nan),
        condition=np.full(count, np.nan),
        best_theta=np.zeros((count, size if validated else 0)),
        best_validation=np.full(count, np.inf),
        stale=np.zeros(count, np.int32),
    )
