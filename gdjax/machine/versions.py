"""The versions of what is installed, each looked up once: a process may lose its right to read them."""

from functools import cache
from importlib.metadata import PackageNotFoundError, version


@cache
def installed(package: str) -> str | None:
    """The version of `package`, or None where its metadata cannot be read: not installed, frozen, or out of reach."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
