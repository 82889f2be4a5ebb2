"""JAX's settings while a backend works, whatever the caller's are."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax

config: Any = jax.config
GUARDS = tuple(f"jax_transfer_guard_{way}" for way in ("host_to_device", "device_to_device", "device_to_host"))


@contextmanager
def scope(dtype: str) -> Iterator[None]:
    """64 bits where they are asked for, and broadcasting over leading axes: the rule of descent is written so."""
    with jax.enable_x64(dtype == "float64"), jax.numpy_rank_promotion("allow"):
        # asked first: to enter these takes four times as long as the rest
        debugged = config.jax_debug_nans or config.jax_debug_infs
        if not debugged and all(getattr(config, guard) in (None, "allow") for guard in GUARDS):
            yield
            return
        # NaN and infinities are the engine's judge's to find, and arrays go to the device and back by design
        with jax.debug_nans(False), jax.debug_infs(False), jax.transfer_guard("allow"):
            yield
