"""Which term of the gradient is wrong, judged by how the manual gradient departs from the exact one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gdjax.verification.judge import Observation

if TYPE_CHECKING:
    from gdjax.verification.verify import Check


def term(check: Check, failures: Sequence[Observation]) -> str | None:
    return None
