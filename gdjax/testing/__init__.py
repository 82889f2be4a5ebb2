"""The conformance suite: what every backend must do, a stranger's too.

    import gdjax
    gdjax.testing.check_backend("mine")

Costs and gradients are held against rational arithmetic (400-bit numbers where a formula is transcendental), steps
against the equations, and what must be equal to the bit is compared to the bit. To run it without compilation, call it
within the framework's own switch, `jax.disable_jit()` for instance.
"""

from gdjax.discovery import backend as find_backend
from gdjax.protocol import Backend
from gdjax.testing import arrays, gradients, steps  # noqa: F401 (they register their checks, in this order)
from gdjax.testing.registry import CHECKS

__all__ = ["CHECKS", "check_backend"]


def check_backend(backend: str | Backend, *, only: str | None = None) -> tuple[str, ...]:
    """Runs every check on a backend: in float32 and float64 by name, in its own dtype as an instance.

    Args:
        backend: a registered name, or an instance, which need not be registered.
        only: the name of the one check to run.

    Returns:
        The names of the checks that passed.

    Raises:
        AssertionError: names every check that failed, the dtype, and what was seen.

    >>> len(check_backend("numpy", only="the slope is 0 where z = 0"))
    2
    """
    instances = (
        [find_backend(backend, dtype) for dtype in ("float32", "float64")] if isinstance(backend, str) else [backend]
    )
    passed, failed = [], []
    for instance in instances:
        for name, check in CHECKS.items():
            if only not in (None, name):
                continue
            label = f"{name} [{getattr(instance, 'dtype', '?')}]"
            try:
                check(instance)
            # whatever a backend raises is a check that failed
            except Exception as error:  # noqa: BLE001
                lines = str(error).strip().splitlines() or [""]
                failed.append(f"{label}: {type(error).__name__}: {' '.join(line.strip() for line in lines)[:400]}")
            else:
                passed.append(label)
    if failed:
        ran = len(passed) + len(failed)
        raise AssertionError(f"{len(failed)} of {ran} checks failed on backend {backend!r}:\n" + "\n".join(failed))
    if not passed:
        raise AssertionError(f"no check is named {only!r}")
    return tuple(passed)
