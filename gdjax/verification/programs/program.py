"""A user's function, to be interpreted: by its jaxpr, or, written in NumPy, by running it on ducks."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gdjax.verification.inputs.sizes import Spec
from gdjax.verification.numbers.arithmetic import (
    Context,
    Meeting,
    NotSupported,
    Opaque,
    OutOfRange,
    OutOfWork,
    Raised,
    Sides,
    none_swallowed,
)
from gdjax.verification.numbers.exact import Array
from gdjax.verification.programs import functions  # noqa: F401 - ducks answer them
from gdjax.verification.programs.duck import Duck
from gdjax.verification.programs.interpreter import Walk
from gdjax.verification.programs.reading import is_numpys
from gdjax.verification.programs.rebinding import rebound
from gdjax.verification.programs.sites import sites
from gdjax.verification.programs.standins import run_by
from gdjax.verification.programs.steps import live, size
from gdjax.verification.programs.symbolic import Symbolic
from gdjax.verification.work import COMPILED, MANY, TRACE, TRACED, Hung, Work

Signature = tuple[Any, ...]


def wide_floats(wide: bool) -> Any:
    """JAX's float64 for the time of a call; else whatever the caller has set."""
    if not wide:
        return contextlib.nullcontext()
    import jax

    return jax.enable_x64(True)


class Program:
    """`function(*args)`, traced once for each combination of shapes and dtypes.

    `varying` are the places of the arguments that are arrays; the others are passed as they are. `way` is "jaxpr",
    "numpy" or "opaque" once something was run; `on_arrays` is the function as it runs on ducks. What it costs goes to
    `work`. A function that asks nothing of its shapes may name them in `spec`, and is traced once for all sizes. `many`
    says that it is of many inputs at once, stacked along a first axis of each array, which `spec` leaves out.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        varying: Sequence[int],
        wide: bool = True,
        work: Work | None = None,
        spec: Spec | None = None,
        many: bool = False,
    ) -> None:
        self.function = self.on_arrays = function
        self.wide = wide
        self.work = Work() if work is None else work
        self.varying = tuple(varying)
        self.way: str | None = None
        self.why = ""
        self.spec = tuple(("inputs", *axes) for axes in spec) if spec is not None and many else spec
        self.many = many
        self._traces: dict[Signature, Any] = {}
        self._symbolic: Symbolic | None = None

    def together(self, inputs: Sequence[Sequence[Any]]) -> list[Any]:
        """Such inputs, stacked."""
        return self._whole(inputs[0], [np.stack([args[i] for args in inputs]) for i in self.varying])

    def _whole(self, args: Sequence[Any], values: Sequence[Any]) -> list[Any]:
        """The arguments, with other values of those that vary."""
        whole = list(args)
        for place, value in zip(self.varying, values, strict=True):
            whole[place] = value
        return whole

    def context(self, allowance: float, listener: Callable[[Meeting], None] | None = None) -> Context:
        """For one interpretation that may do so much work, in nominal seconds."""
        return Context(listener=listener, work=self.work, allowance=allowance)

    def trace(self, args: Sequence[Any]) -> Any:
        """The closed jaxpr at these shapes, or None where the function does not trace, or is read as NumPy's."""
        import jax

        if self.way == "numpy":
            return None

        key = signature(args)
        if key in self._traces:
            return self._traces[key]

        def only_varying(*values: Any) -> Any:
            return self.function(*self._whole(args, values))

        self.work.add(TRACE)
        given = [np.asarray(args[i]) for i in self.varying]
        with wide_floats(self.wide), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            traced = self._at_any_size(only_varying, given)
            if traced is None:
                try:
                    traced = jax.make_jaxpr(only_varying)(*given)
                except Exception as error:  # noqa: BLE001
                    self.why = _first_line(error)
        self._traces[key] = traced
        if traced is not None:
            self.work.add(TRACED * _beyond(size(traced)))
        return traced

    @property
    def compilation(self) -> float:
        """The nominal seconds that JAX takes to compile what is compiled of it, at the shapes that were traced last."""
        traced = next((t for t in reversed(self._traces.values()) if t is not None), None)
        steps = [] if traced is None else live(traced.jaxpr)
        return COMPILED * _beyond(sum(size(step.params["jaxpr"]) for step in steps if step.name == "jit"))

    def sites(self) -> set[str] | None:
        """The comparisons that stand in every trace of it, by their names; None where it is not traced."""
        traced = [t for t in self._traces.values() if t is not None]
        return set.intersection(*(set(sites(t.jaxpr).values()) for t in traced)) if traced else None

    def _at_any_size(self, function: Callable[..., Any], given: Sequence[Array]) -> Any:
        """What the one trace for all sizes is at these, or None where there is none."""
        if self.spec is None:
            return None
        try:
            if self._symbolic is None:
                self._symbolic = Symbolic(function, tuple(self.spec[i] for i in self.varying), given)
            return self._symbolic.at(given)
        except Exception:  # noqa: BLE001 - a user's code, or sizes that it computes with
            self.spec = None
            return None

    def run(self, walk: Walk, args: Sequence[Any], inputs: Sequence[Sides]) -> list[Sides]:
        """Outputs, flattened in order, for the sides of each varying argument.

        Raises:
            Opaque: it cannot be interpreted at all.
            NotSupported: its jaxpr has a primitive without a rule.
        """
        if self.way is None and self.spec is None and is_numpys(self.function):
            try:
                flat = self._on_ducks(walk, args, inputs)
                self.way = "numpy"
                return flat
            except (OutOfWork, Hung):
                raise
            except Exception:  # noqa: BLE001 - JAX's own code, after all, or one that fails anywhere
                pass
        if self.way in (None, "jaxpr"):
            traced = self.trace(args)
            if traced is not None:
                self.way = "jaxpr"
                return walk.run(traced, inputs)
        if self.way == "opaque":
            raise Opaque(self.why)
        try:
            flat = self._on_ducks(walk, args, inputs)
        except (OutOfWork, Hung):
            raise
        except NotSupported as error:
            if self.way == "numpy":
                raise
            self.way, self.why = "opaque", f"{error} is not covered"
            raise Opaque(self.why) from error
        except Exception as error:
            if self.way == "numpy":
                kind = OutOfRange if isinstance(error, IndexError) else Raised
                raise kind(f"{type(error).__name__}: {error}") from error
            self.way = "opaque"
            if not self.why or (self.why.startswith(_NOT_TRACED) and not _of_jax(error)):
                self.why = _first_line(error)
            raise Opaque(self.why) from error
        self.way = "numpy"
        return flat

    def _on_ducks(self, walk: Walk, args: Sequence[Any], inputs: Sequence[Sides]) -> list[Sides]:
        given = [args[i] for i in self.varying]
        dtypes = [np.asarray(a).dtype for a in given]
        floats = [dtype for dtype in dtypes if dtype.kind == "f"]
        walk.dtype = np.result_type(*floats) if floats else walk.dtype

        def called() -> list[Sides]:
            of_arrays = (isinstance(a, np.ndarray) for a in given)
            ducks = [Duck(walk, *of) for of in zip(inputs, dtypes, of_arrays, strict=True)]
            with wide_floats(self.wide), warnings.catch_warnings(), run_by(walk), none_swallowed():
                warnings.simplefilter("ignore")
                return _flatten(walk, self.on_arrays(*self._whole(args, ducks)))

        try:
            return called()
        except (NotSupported, TypeError, ValueError):  # NumPy and Python may make of the first one of theirs
            other = rebound(self.on_arrays) if self.on_arrays is self.function else self.function
            if other is self.function:
                raise
            self.on_arrays = other
        return called()


def _first_line(error: Exception) -> str:
    """What an error says, without the addresses of objects: those are others in each process."""
    return f"{type(error).__name__}: {re.sub(r' at 0x[0-9a-f]+', '', str(error).partition(chr(10))[0])}"


def _beyond(equations: int) -> int:
    return max(equations - MANY, 0)


# What JAX says of code that is not JAX's: it was to be expected, and is no reason.
_NOT_TRACED = ("Tracer", "Concretization", "NonConcrete")


def _of_jax(error: BaseException) -> bool:
    """Whether JAX raised it, where it met an array that is interpreted."""
    trace = error.__traceback__
    while trace is not None:
        if str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] == "jax":
            return True
        trace = trace.tb_next
    return False


def _flatten(walk: Walk, out: Any) -> list[Sides]:
    if isinstance(out, Duck):
        return [out.sides]
    if isinstance(out, dict):
        return [sides for key in sorted(out) for sides in _flatten(walk, out[key])]
    if isinstance(out, (tuple, list)):
        return [sides for part in out for sides in _flatten(walk, part)]
    return [walk.const(np.asarray(out, np.float64))]


def signature(args: Sequence[Any]) -> Signature:
    """What a trace depends on: shapes and dtypes of arrays, and everything else by value."""
    parts: list[Any] = []
    for a in args:
        if isinstance(a, (np.ndarray, np.generic, float)):
            array = np.asarray(a)
            parts.append((array.shape, array.dtype.str))
        else:
            parts.append(repr(a) if isinstance(a, (int, str, bool, type(None), tuple)) else id(a))
    return tuple(parts)
