"""The JAX backend of gdjax."""

from gdjax_jax.backend import JaxBackend

__all__ = ["JaxBackend"]
