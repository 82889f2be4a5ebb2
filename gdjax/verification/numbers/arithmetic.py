"""What a number system must offer for formulas to be interpreted over it.

The interpreters walk a formula once; the number system decides what comes out: exact values with derivatives
(`dual`), rounding-error bounds (`running`), or ranges (`interval`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import numpy as np

from gdjax.verification.numbers.exact import Array
from gdjax.verification.work import Work

Number = Any

# A number on each side of a point.
Sides = tuple[Any, ...]


_refused: ContextVar[list[Uninterpreted] | None] = ContextVar("refused", default=None)


class Uninterpreted(Exception):
    """A function cannot be interpreted at some input; the message says why."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        refused = _refused.get()
        if refused is not None:
            refused.append(self)


@contextlib.contextmanager
def none_swallowed() -> Iterator[None]:
    """What was refused inside is raised, though the user's code caught it and went on."""
    refused: list[Uninterpreted] = []
    token = _refused.set(refused)
    try:
        yield
    finally:
        _refused.reset(token)
    if refused:
        raise refused[0]


class NotSupported(Uninterpreted):
    """A primitive or function that no rule covers; its name is the message."""


class Raised(NotSupported):
    """Code that runs on floats raised something of its own; the message says what."""


class Opaque(Uninterpreted):
    """The function neither traces nor runs on ducks."""


def refusal(error: Uninterpreted) -> str:
    """What is said of a cost that cannot be interpreted."""
    if isinstance(error, Raised):
        return f"the cost raised {error} on exact arrays"
    return f"the cost uses {error}, which has no exact rule"


class OutOfWork(Uninterpreted):
    """One interpretation has done the work allowed to it."""


class OutOfRange(Raised):
    """An index points beyond what it indexes."""


class Doubtful(NotSupported):
    """Rounding may turn a decision, and any result with it."""


@dataclass(frozen=True)
class Truth:
    """Booleans. `doubt` marks those that rounding may flip; `depends` says whether any input can change them."""

    value: Array
    doubt: Array | None = None
    depends: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape


@dataclass
class Meeting:
    """One comparison as it was met: where, and what came out. `subtract` gives the difference of what it compared."""

    site: str
    op: str
    subtract: Callable[[], Number]
    value: Array
    ties: Array

    @cached_property
    def difference(self) -> Number:
        return self.subtract()


@dataclass
class Context:
    """Where the interpreter stands, and who listens to the comparisons; `strict` refuses what JAX clamps."""

    site: str = ""
    listener: Callable[[Meeting], None] | None = None
    muted: bool = False
    strict: bool = False
    work: Work = field(default_factory=Work)
    allowance: float = math.inf

    def spend(self, seconds: float) -> None:
        self.work.add(seconds)
        self.allowance -= seconds
        if self.allowance < 0:
            raise OutOfWork("more work than one input may take")


class Arithmetic(Protocol):
    """Elementwise operations broadcast as NumPy's do."""

    context: Context

    @property
    def constants(self) -> Hashable:
        """What a constant's number depends on, besides its value; None where it is of one walk alone."""
        ...

    def const(self, array: Any) -> Number: ...
    def shape(self, a: Number) -> tuple[int, ...]: ...
    def add(self, a: Number, b: Number) -> Number: ...
    def neg(self, a: Number) -> Number: ...
    def mul(self, a: Number, b: Number) -> Number: ...
    def div(self, a: Number, b: Number) -> Number: ...
    def power(self, a: Number, b: Number) -> Number: ...
    def unary(self, name: str, a: Number) -> Number: ...
    def rounded(self, name: str, a: Number) -> Number: ...
    def compare(self, op: str, a: Number, b: Number) -> Truth: ...
    def select(self, truth: Truth, yes: Number, no: Number) -> Number: ...
    def from_truth(self, truth: Truth) -> Number: ...
    def is_nan(self, a: Number) -> Truth: ...
    def is_finite(self, a: Number) -> Truth: ...
    def take(self, a: Number, index: Array) -> Number: ...
    def move(self, a: Number, move: Callable[[Array], Any]) -> Number: ...
    def concat(self, arrays: Sequence[Number], axis: int) -> Number: ...
    def sum(self, a: Number, axes: tuple[int, ...]) -> Number: ...
    def matmul(self, a: Number, b: Number) -> Number: ...
    def detach(self, a: Number) -> Number: ...
    def concrete(self, a: Number) -> Array: ...
    def decided(self, truth: Truth) -> Array: ...
    def order(self, a: Number, axis: int) -> Array: ...
    def atan2(self, a: Number, b: Number) -> Number: ...


COMPARISONS: dict[str, Callable[[Array, Array], Array]] = {
    "gt": lambda greater, equal: greater,
    "ge": lambda greater, equal: greater | equal,
    "lt": lambda greater, equal: ~greater & ~equal,
    "le": lambda greater, equal: ~greater,
    "eq": lambda greater, equal: equal,
    "ne": lambda greater, equal: ~equal,
}


def moved(arithmetic: Arithmetic, a: Number | Truth, move: Callable[[Array], Any]) -> Number | Truth:
    """Apply a NumPy function that only moves entries about."""
    if isinstance(a, Truth):
        return taken(arithmetic, a, positions(a.shape, move))
    return arithmetic.move(a, move)


def positions(shape: tuple[int, ...], move: Callable[[Array], Any]) -> Array:
    """Where the entries that it moves come from, in the flattened array."""
    return np.asarray(move(np.arange(math.prod(shape)).reshape(shape)))


def taken(arithmetic: Arithmetic, a: Number | Truth, index: Array) -> Number | Truth:
    """The flattened entries at `index`."""
    if isinstance(a, Truth):
        return Truth(a.value.reshape(-1)[index], None if a.doubt is None else a.doubt.reshape(-1)[index], a.depends)
    return arithmetic.take(a, index)
