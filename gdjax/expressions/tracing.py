"""A namespace of symbols: what is written over any array namespace, read once as an expression.

The formulas and the update rule are plain functions over a namespace `xp`. Called with symbols they return the
expression that they stand for, which `gdjax_numba.emitting` writes out as loops and `gdjax.expressions.fused` as calls
of NumPy's. So the text is compiled, not restated.

A symbol stands for one neuron's value: a scalar, or a row of P parameters, of which it is the j-th element.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

BINARY = {
    "add": "+",
    "subtract": "-",
    "multiply": "*",
    "divide": "/",
    "power": "**",
    "less": "<",
    "less_equal": "<=",
    "greater": ">",
    "greater_equal": ">=",
    "equal": "==",
    "not_equal": "!=",
    "bitwise_and": "&",
    "bitwise_or": "|",
}
TRUTH = frozenset(("<", "<=", ">", ">=", "==", "!=", "&", "|"))
SPELLINGS = {
    "true_divide": "divide",
    "pow": "power",
    "absolute": "abs",
}
LOGICAL = {"logical_and": "bitwise_and", "logical_or": "bitwise_or", "logical_not": "invert"}
MAPS = frozenset(
    (
        "abs",
        "sign",
        "sqrt",
        "exp",
        "expm1",
        "log",
        "log1p",
        "log2",
        "log10",
        "sin",
        "cos",
        "tan",
        "sinh",
        "cosh",
        "tanh",
        "arcsin",
        "arccos",
        "arctan",
        "floor",
        "ceil",
        "maximum",
        "minimum",
        "hypot",
        "arctan2",
    )
)
TESTS = frozenset(("isfinite", "isnan", "isinf"))


class NotTraceable(TypeError):
    """The function does with a symbol what no expression can say: branches on it, indexes it, hands it elsewhere."""


@dataclass(frozen=True, eq=False)
class Symbol:
    """A node of an expression.

    Attributes:
        op: "input", "constant", an operator, a function of NumPy, or one of "where", "sum", "last", "head", "append",
            "cast".
        args: its operands; of an input its text, of a constant its number.
        kind: "real" (the arithmetic's dtype), "double" (float64), "int" or "bool".
        row: whether it differs from parameter to parameter.
        dtype: of the arithmetic.
    """

    op: str
    args: tuple[Any, ...]
    kind: str
    row: bool
    dtype: np.dtype

    __hash__ = object.__hash__
    __array_priority__ = 1000

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> "Symbol":
        if method != "__call__" or options:
            raise NotTraceable(f"numpy.{ufunc.__name__}.{method}")
        found: Symbol = getattr(Namespace(self.dtype), ufunc.__name__)(*inputs)
        return found

    def __array_function__(self, function: Any, _: Any, args: Any, kwargs: Any) -> Any:
        return getattr(Namespace(self.dtype), function.__name__)(*args, **kwargs)

    def __bool__(self) -> bool:
        raise NotTraceable("a branch on a traced value: write it with xp.where")

    def __getitem__(self, index: Any) -> "Symbol":
        if index == (..., None):
            return self
        if self.row and index in ((..., -1), (..., slice(-1, None))):
            return Symbol("last", (self,), self.kind, False, self.dtype)
        if self.row and index == (..., slice(None, -1)):
            return Symbol("head", (self,), self.kind, True, self.dtype)
        raise NotTraceable(f"the index {index!r}")

    def __neg__(self) -> "Symbol":
        return Symbol("negative", (self,), self.kind, self.row, self.dtype)

    def __invert__(self) -> "Symbol":
        return Symbol("invert", (self,), "bool", self.row, self.dtype)

    def __abs__(self) -> "Symbol":
        return apply(self.dtype, "abs", self)

    def astype(self, dtype: Any) -> "Symbol":
        """The value in another dtype."""
        return Namespace(self.dtype).asarray(self, dtype=dtype)

    def clip(self, low: Any = None, high: Any = None) -> "Symbol":
        """The value held between `low` and `high`."""
        return Namespace(self.dtype).clip(self, low, high)


def _operator(name: str, swapped: bool) -> Callable[[Symbol, Any], Symbol]:
    def method(self: Symbol, other: Any) -> Symbol:
        return apply(self.dtype, name, *((other, self) if swapped else (self, other)))

    return method


for _name, _dunder in {
    "add": "add", "subtract": "sub", "multiply": "mul", "divide": "truediv", "power": "pow",
    "bitwise_and": "and", "bitwise_or": "or",
}.items():  # fmt: skip
    setattr(Symbol, f"__{_dunder}__", _operator(_name, False))
    setattr(Symbol, f"__r{_dunder}__", _operator(_name, True))
for _name, _dunder in {
    "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "equal": "eq", "not_equal": "ne",
}.items():  # fmt: skip
    setattr(Symbol, f"__{_dunder}__", _operator(_name, False))


def lift(value: Any, like: str, dtype: np.dtype) -> Symbol:
    """A number as a constant that takes the kind of what it meets, as Python's numbers do (NEP 50)."""
    if isinstance(value, Symbol):
        return value
    if isinstance(value, (bool, np.bool_)):
        return Symbol("constant", (bool(value),), "bool", False, dtype)
    if not isinstance(value, (int, float, np.integer, np.floating)):
        raise NotTraceable(f"an operand of type {type(value).__name__}")
    if like == "int" and isinstance(value, (int, np.integer)):
        return Symbol("constant", (int(value),), "int", False, dtype)
    kind = "double" if like in ("int", "double") else "real"
    return Symbol("constant", (float(value),), kind, False, dtype)


def truth(value: Any, dtype: np.dtype) -> Symbol:
    """A condition: of a number, whether it is not 0."""
    symbol = lift(value, "bool", dtype)
    return symbol if symbol.kind == "bool" else apply(dtype, "not_equal", symbol, 0)


def apply(dtype: np.dtype, name: str, *operands: Any) -> Symbol:
    """An elementwise operation on symbols and numbers."""
    kinds = {o.kind for o in operands if isinstance(o, Symbol)}
    like = next((k for k in ("double", "real", "int", "bool") if k in kinds), "real")
    args = tuple(lift(o, like, dtype) for o in operands)
    row = any(a.row for a in args)
    wide = next(k for k in ("double", "real", "int", "bool") if k in {a.kind for a in args})
    op = BINARY.get(name, name)
    if op in ("&", "|") and wide != "bool":
        raise NotTraceable(f"{op} of numbers")
    if op in TRUTH or name in TESTS or name == "invert":
        kind = "bool"
    elif wide in ("int", "bool") and (op == "/" or name in MAPS - {"abs", "sign", "maximum", "minimum"}):
        kind = "double"
    else:
        kind = wide
    return Symbol(op, args, kind, row, dtype)


@dataclass(frozen=True)
class Namespace:
    """The array namespace of symbols in the arithmetic's `dtype`."""

    dtype: np.dtype

    inf = float("inf")
    nan = float("nan")
    pi = float(np.pi)
    e = float(np.e)
    int32 = np.int32
    bool_ = bool = np.bool_
    float32 = np.float32
    float64 = np.float64

    def __getattr__(self, name: str) -> Callable[..., Symbol]:
        if name in LOGICAL:
            return lambda *operands: apply(self.dtype, LOGICAL[name], *(truth(o, self.dtype) for o in operands))
        name = SPELLINGS.get(name, name)
        if name in BINARY or name in MAPS or name in TESTS or name == "invert":
            return lambda *operands: apply(self.dtype, name, *operands)
        raise NotTraceable(f"xp.{name}")

    def negative(self, x: Symbol) -> Symbol:
        """-x."""
        return -x

    def square(self, x: Symbol) -> Symbol:
        """x x."""
        return apply(self.dtype, "multiply", x, x)

    def where(self, condition: Any, x: Any, y: Any) -> Symbol:
        """`x` where the condition holds, else `y`."""
        if x is y:
            return lift(x, "real", self.dtype)
        both = apply(self.dtype, "add", x, y)  # the kind that the two share
        args = (truth(condition, self.dtype), lift(x, both.kind, self.dtype), lift(y, both.kind, self.dtype))
        return Symbol("where", args, both.kind, any(a.row for a in args), self.dtype)

    def broadcast_arrays(self, *symbols: Symbol) -> tuple[Symbol, ...]:
        """Themselves: a symbol stands for one value."""
        return symbols

    def clip(self, x: Any, low: Any = None, high: Any = None) -> Symbol:
        """`x` held between `low` and `high`."""
        x = x if low is None else apply(self.dtype, "maximum", x, low)
        return x if high is None else apply(self.dtype, "minimum", x, high)

    def full_like(self, x: Symbol, value: Any) -> Symbol:
        """The number `value` in the kind of `x`."""
        return lift(value, x.kind, self.dtype)

    def zeros_like(self, x: Symbol) -> Symbol:
        """0 in the kind of `x`."""
        return self.full_like(x, 0)

    def ones_like(self, x: Symbol) -> Symbol:
        """1 in the kind of `x`."""
        return self.full_like(x, 1)

    def asarray(self, x: Any, dtype: Any = None) -> Symbol:
        """`x` in `dtype`."""
        x = lift(x, "real", self.dtype)
        kind = "real" if dtype is None or np.dtype(dtype) == self.dtype else np.dtype(dtype).kind
        kind = {"f": "double", "i": "int", "b": "bool"}.get(kind, kind)
        return x if dtype is None or kind == x.kind else Symbol("cast", (x,), kind, x.row, self.dtype)

    def sum(self, x: Symbol, axis: int) -> Symbol:
        """The sum over the row."""
        if axis != -1 or not x.row:
            raise NotTraceable(f"xp.sum over axis {axis}")
        return Symbol("sum", (x,), x.kind, False, self.dtype)

    def concat(self, parts: tuple[Symbol, Symbol], axis: int) -> Symbol:
        """A row with its last element replaced."""
        head, last = parts
        if axis != -1 or head.op != "head" or last.row:
            raise NotTraceable("xp.concat of anything but a row's head and a last element")
        return Symbol("append", (head.args[0], last), head.kind, True, self.dtype)

    def finfo(self, dtype: Any) -> np.finfo:
        """The limits of a dtype."""
        return np.finfo(dtype)
