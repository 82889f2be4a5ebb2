"""Numbers that users pass, checked."""

import math
from typing import Any

import numpy as np

from gdjax.errors import UsageError
from gdjax.files import physical_memory
from gdjax.schedules import as_schedule


def fixed_rate(learning_rate: Any) -> float | None:
    rate = as_schedule(learning_rate).rate
    return None if isinstance(rate, str) else float(rate)


def whole(name: str, value: Any, least: int, most: int = 2**63 - 1) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise UsageError(f"{name} = {value!r} must be a whole number >= {least}")
    if value > most:
        raise UsageError(f"{name} = {value!r} must be a whole number <= {most}")
    return int(value)


def tolerated(value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 <= number < 1:
        raise UsageError(f"tolerance = {value!r} must be a number >= 0 and < 1")
    return number


def flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_ | int | np.integer) or value not in (0, 1):
        raise UsageError(f"{name} = {value!r} must be True or False")
    return bool(value)


def called(name: str, value: Any) -> Any:
    if not callable(value):
        raise UsageError(f"{name} = {value!r} must be callable")
    return value


def memory(given: int | None) -> int:
    """A memory limit in bytes: half of the machine's by default."""
    return physical_memory() // 2 if given is None else whole("memory_limit", given, 1 << 20)
