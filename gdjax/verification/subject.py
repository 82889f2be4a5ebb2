"""The gradient under test: how it is called, and what a call must leave alone."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax.files import physical_memory
from gdjax.machine.memory import out_of_memory
from gdjax.verification.numbers.exact import Array
from gdjax.verification.programs.program import wide_floats
from gdjax.verification.work import CALL, Work


class Broken(Exception):
    """The gradient raised, or returned something else than one array for each argument; the message says what."""

    severity = "fail"


class OutOfMemory(Broken):
    """The gradient had no memory to go on: that says nothing of what it would have given."""

    severity = "inconclusive"


@dataclass(frozen=True)
class Outcome:
    """What one call gave. `held` are the very arrays returned, `outputs` copies of them."""

    outputs: tuple[Array, ...]
    held: tuple[Any, ...]
    changed: tuple[int, ...]


def by_name(gradient: Callable[..., Any], names: tuple[str, ...], *args: Any) -> Any:
    """What the gradient returns, which may be a dict, of names: JAX would sort its keys, and Python does not."""
    returned = gradient(*args)
    if isinstance(returned, dict) and set(returned) == set(names):
        return tuple(returned[name] for name in names)
    return returned


@dataclass(frozen=True)
class Subject:
    gradient: Callable[..., Any]
    count: int
    wide: bool = True
    work: Work = field(default_factory=Work)

    def __call__(self, args: Sequence[Any], fresh: bool = True) -> Outcome:
        """Call it on copies of the arguments (on the arguments themselves where not `fresh`).

        Raises:
            Broken: see there.
        """
        self.work.add(CALL)
        given = [np.array(a, copy=True) if fresh and isinstance(a, np.ndarray) else a for a in args]
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in given]
        with wide_floats(self.wide), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                returned = self.gradient(*given)
            except Exception as error:
                first = str(error).splitlines()[0] if str(error) else ""
                if out_of_memory(error):
                    raise OutOfMemory(f"the gradient ran out of memory ({type(error).__name__}): {_limit()}") from error
                raise Broken(f"the gradient raised {type(error).__name__}: {first}") from error
            parts = self._parts(returned)
            outputs = tuple(_copied(p) for p in parts)
        changed = tuple(
            i
            for i, (a, b) in enumerate(zip(given, before, strict=True))
            if isinstance(a, np.ndarray) and not np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        )
        return Outcome(outputs, tuple(parts), changed)

    def _parts(self, returned: Any) -> list[Any]:
        if isinstance(returned, dict):
            keys = ", ".join(map(repr, returned))
            raise Broken(f"the gradient returned a dict of {keys}: give a tuple, or the names of the arguments as keys")
        if not isinstance(returned, (tuple, list)):
            returned = (returned,)
        if len(returned) != self.count:
            raise Broken(f"the gradient returned {len(returned)} arrays for {self.count} arguments")
        return list(returned)

    def fresh(self) -> Subject | None:
        """A copy that shares no state, as far as copying can tell; None where it cannot be copied."""
        try:
            return Subject(copy.deepcopy(self.gradient), self.count, self.wide, self.work)
        except Exception:  # noqa: BLE001
            return None


def _limit() -> str:
    """How much memory this process may have, and what gives it more."""
    try:
        import resource

        given = resource.getrlimit(resource.RLIMIT_AS)[0]
        if given != resource.RLIM_INFINITY:
            return (
                f"the limit on its process is {given:,} bytes of address space; raise it, by --memory-limit on the line"
            )
    except (ImportError, OSError):
        pass
    return f"the machine has {physical_memory():,} bytes; give it smaller arguments"


def _copied(part: Any) -> Array:
    try:
        array = np.array(part, copy=True)
    except Exception as error:
        raise Broken(f"the gradient returned {type(part).__name__}, which is no array: {error}") from error
    if array.dtype.kind not in "fiub" and "float" not in array.dtype.name:
        raise Broken(f"the gradient returned {type(part).__name__} of dtype {array.dtype}, which is no array of floats")
    return array
