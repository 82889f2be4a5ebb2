"""A backend around another one."""

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any


@dataclass(frozen=True)
class Wrapped:
    """What says where and how is handed on to `inner`; a subclass adds the rest of a `gdjax.protocol.Backend`."""

    inner: Any

    @property
    def name(self) -> str:
        """The other's name."""
        return str(self.inner.name)

    @property
    def xp(self) -> Any:
        """The other's namespace."""
        return self.inner.xp

    @property
    def dtype(self) -> str:
        """The other's dtype."""
        return str(self.inner.dtype)

    def asarray(self, x: Any) -> Array:
        """See `gdjax.protocol.Backend`."""
        return self.inner.asarray(x)

    def to_numpy(self, x: Array) -> np.ndarray:
        """See `gdjax.protocol.Backend`."""
        return np.asarray(self.inner.to_numpy(x))
