"""numba without SciPy's linear algebra, which it imports, for a fifth of a second, to learn whether BLAS is there."""

import sys
from importlib.util import find_spec


def import_array_functions() -> None:
    """Import numba's array functions, which every program loads; those that call BLAS look for it again themselves."""
    if "numba.np.arraymath" in sys.modules or find_spec("scipy") is None:
        return
    from numba.np import linalg

    look = linalg.ensure_blas
    linalg.ensure_blas = lambda: None
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        linalg.ensure_blas = look
