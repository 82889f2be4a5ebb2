"""The NumPy backend of gdjax."""

from gdjax_numpy.backend import NumpyBackend

__all__ = ["NumpyBackend"]
