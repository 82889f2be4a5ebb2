"""JAX's settings while a backend works, whatever the caller's are."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax


@contextmanager
def scope(dtype: str) -> Iterator[None]:
    """64 bits where they are asked for, and broadcasting over leading axes: the rule of descent is written so."""
    with jax.enable_x64(dtype == "float64"), jax.numpy_rank_promotion("allow"):
        yield
