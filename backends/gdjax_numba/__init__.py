"""The numba backend of gdjax."""

from gdjax_numba.backend import NumbaBackend

__all__ = ["NumbaBackend"]
