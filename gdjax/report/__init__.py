"""One page a run: a single HTML file that asks for nothing else."""

from gdjax.report.page import render, write

__all__ = ["render", "write"]
