"""Programs as XLA compiles them on CPU: with vectors as wide as the machine's, and soon where there is little to do."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import jax

from gdjax.samples import Samples

QUICK = {"xla_cpu_use_fusion_emitters": False, "xla_cpu_parallel_codegen_split_count": 1}
"""XLA's older emitters, and one module: compiled in half of the time, the results equal to the bit. On 64 KiB a look at
the gradient takes as long as by the newer ones, on a megabyte a fifth longer, on a gigabyte twice as long."""

WIDE = {"xla_cpu_prefer_vector_width": 512}
"""By itself XLA takes half of what AVX-512 has: a pass over rows of 128 columns takes an eighth longer so."""


def compiled(
    function: Callable[..., Any], neurons: Callable[..., int], most: int, asked: Any = None, **options: Any
) -> Callable[..., Any]:
    """`jax.jit(function, **options)` of a function of `Samples`, compiled on CPU with what is `asked` of XLA.

    Where X, read once by each of the `neurons(*arguments)` that share it, comes to `most` bytes, `QUICK` is asked too.
    """
    anywhere = jax.jit(function, **options)
    ways = {True: {**(asked or {}), **QUICK}, False: asked}
    programs = {little: jax.jit(function, compiler_options=way, **options) for little, way in ways.items()}

    @wraps(function)
    def call(*arguments: Any) -> Any:
        samples = next(a for a in arguments if isinstance(a, Samples))
        traced = any(isinstance(a, jax.core.Tracer) for a in (*arguments, *samples))
        if not traced and isinstance(samples.X, jax.Array) and {d.platform for d in samples.X.devices()} == {"cpu"}:
            little = samples.X.nbytes * neurons(*arguments) <= most
            try:
                return programs[little](*arguments)
            except ValueError:
                pass  # JAX takes options for whole programs alone: this is part of one, though nothing of it is traced
            except jax.errors.JaxRuntimeError as error:
                if "compile option" not in str(error):
                    raise
                programs[little] = anywhere  # an XLA that knows one of them no more
        return anywhere(*arguments)

    return call
