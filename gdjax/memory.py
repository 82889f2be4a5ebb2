"""How much memory there is."""

import os


def default_limit() -> int:
    """Bytes that samples and what is made of them may take by default: half of what the machine has."""
    try:
        return int(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")) // 2
    except (AttributeError, OSError, ValueError):
        return 4 << 30
