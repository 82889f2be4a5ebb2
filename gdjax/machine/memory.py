"""Memory that runs out on the device, how it shows and what is said; and what is given back before it does."""

import ctypes
import sys

from gdjax.errors import BackendError


def give_back() -> None:
    """Gives freed memory to the system: glibc keeps it for the thread that had it, a reader that has ended."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim is not None:
        trim(0)


def out_of_memory(error: BaseException) -> bool:
    """Whether `error` is a backend's way to say so: `MemoryError`, XLA's RESOURCE_EXHAUSTED, CUDA's "out of memory"."""
    text = str(error)
    return isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in text or "out of memory" in text.lower()


def halving(neurons: int, text: str) -> str:
    """What is said where a slab did not fit."""
    first = text.strip().partition("\n")[0][:200] or "out of memory"
    return f"out of memory with {neurons} neurons at a time, going on with half as many ({first})"


def too_large(columns: int, error: BaseException) -> BackendError:
    """The error where a single neuron does not fit."""
    first = str(error).strip().partition("\n")[0][:200]
    return BackendError(
        f"out of memory: the samples of one neuron, of {columns} columns, do not fit: "
        f"pass fewer rows, dtype='float32' or another backend or device ({first or type(error).__name__})"
    )
