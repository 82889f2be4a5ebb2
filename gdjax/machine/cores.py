"""The cores that this process may use."""

import os


def cores() -> int:
    """How many, as the scheduler says where it can be asked."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
