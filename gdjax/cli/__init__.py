"""The command line: ``gdjax --help``."""

from gdjax.cli.program import main

__all__ = ["main"]
