"""Formulas for NumPy: the expression of a weighted cost and slope, each of its operations once, a call a line.

Each call of NumPy's takes a microsecond, and lets the interpreter's lock go and waits for it. Its `where` branches at
each number: where no one can tell which way, as at the gate of a ReLU, the processor guesses wrong and starts again.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from gdjax.expressions.tracing import BINARY, Namespace, NotTraceable, Symbol
from gdjax.formulas import Formula
from gdjax.samples import Summed, plainly, weigh

LONG = 1 << 16
"""Of more rows BLAS's dot product has errors that NumPy's sum, pairwise, has not: 8e-6 of five million in float32."""

INTEGERS = {np.dtype(np.float32): np.int32, np.dtype(np.float64): np.int64}
UFUNCS = {op: getattr(np, name) for name, op in BINARY.items()} | {"invert": np.logical_not}


@lru_cache(maxsize=256)
def fused(formula: Formula, folds: bool = False) -> Summed:
    """`gdjax.samples.weigh` on NumPy, summed.

    The function takes z (K, n), and y and weight that broadcast to it, and returns the sums over rows of
    weight * cost (K,), a new array of weight * d cost / dz (K, n), and its sums over rows (K,). A formula that no
    expression can say is evaluated as it is written.
    """

    def as_written(z: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return plainly(np, formula.pointwise(np), folds)(z, y, weight)

    @lru_cache
    def program(dtype: np.dtype) -> Summed:
        try:
            return _program(formula, folds, dtype)
        except NotTraceable:
            return as_written

    def summed(z: np.ndarray, y: np.ndarray, weight: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        written = program(z.dtype) if z.dtype in INTEGERS and z.dtype == y.dtype == weight.dtype else as_written
        return written(z, y, weight)

    return summed


class Node(NamedTuple):
    """A value: of `function` at other nodes, a constant's, or an input's, which has neither."""

    function: Callable[..., Any] | None = None
    args: tuple[int, ...] = ()
    constant: bool | float | None = None
    truth: bool = False


INPUTS = ("z", "y", "weight")


def _program(formula: Formula, folds: bool, dtype: np.dtype) -> Summed:
    """The formula's text, traced.

    Raises:
        NotTraceable: it is no expression of real numbers.
    """
    xp = Namespace(dtype)
    inputs = z, y, weight = [Symbol("input", (name,), "real", False, dtype) for name in INPUTS]
    try:
        cost, residual = map(xp.asarray, weigh(xp, formula.pointwise(xp), z, y, weight, folds))
        graph = _Graph(inputs)
        ends = graph.computed(graph.of(cost)), graph.computed(graph.of(residual))
    except Exception as error:  # whatever a user's function raises of symbols, or is too deep, it may take arrays
        raise NotTraceable(str(error)) from error
    return _written(graph.nodes, *ends, dtype)


class _Graph:
    """Nodes, each after those that it is computed from; equal expressions are one."""

    def __init__(self, inputs: Sequence[Symbol]) -> None:
        self.nodes = [Node() for _ in inputs]
        self._of_symbol: dict[Symbol, int] = {symbol: n for n, symbol in enumerate(inputs)}
        self._of_node: dict[tuple[Any, ...], int] = {}

    def of(self, symbol: Symbol) -> int:
        """The node of a symbol."""
        if symbol not in self._of_symbol:
            if symbol.kind not in ("real", "bool"):
                raise NotTraceable(f"numbers of kind {symbol.kind}")
            truth = symbol.kind == "bool"
            if symbol.op == "constant":
                found = self._add(Node(constant=symbol.args[0], truth=truth))
            else:
                found = self._apply(symbol.op, tuple(map(self.of, symbol.args)), truth)
            self._of_symbol[symbol] = found
        return self._of_symbol[symbol]

    def computed(self, node: int) -> int:
        """The node, or a copy of an input or a constant."""
        return self._add(Node(np.positive, (node,))) if self.nodes[node].function is None else node

    def _add(self, node: Node) -> int:
        key = (*node[:2], repr(node.constant), node.truth)  # 0.0 == -0.0, and NaN is not NaN
        if key not in self._of_node:
            self._of_node[key] = len(self.nodes)
            self.nodes.append(node)
        return self._of_node[key]

    def _apply(self, op: str, args: tuple[int, ...], truth: bool) -> int:
        constants = [self.nodes[a].constant for a in args]
        if op == "where" and not truth:
            return self._where(args[0], self._number(args[1]), self._number(args[2]))
        if op == "cast" and not truth:
            return self._number(args[0])
        if op == "*" and 1.0 in constants and not truth:
            return self._number(args[1 - constants.index(1.0)])
        if op == "*" and not truth:  # NumPy multiplies by truths as by 1 and 0: a call less
            truths = [a for a in args if self.nodes[a].function is _cast]
            if len(truths) == 1:
                args = tuple(self.nodes[a].args[0] if a in truths else a for a in args)
        if op == "**" and constants[1] == 2.0:
            return self._add(Node(np.square, args[:1]))
        function = UFUNCS.get(op) or getattr(np, op, None)
        if not isinstance(function, np.ufunc):
            raise NotTraceable(op)
        return self._add(Node(function, args, truth=truth))

    def _number(self, node: int) -> int:
        """The node, as 1 and 0 where it holds truths."""
        return self._add(Node(_cast, (node,))) if self.nodes[node].truth else node

    def _where(self, condition: int, x: int, y: int) -> int:
        """`where`, in one call where that says the same, NaN included."""
        test = self.nodes[condition]
        below = test.function in (np.less, np.less_equal) and test.args[0] == y
        bound = self.nodes[x].constant
        if below and x == test.args[1] and bound is not None and bound == bound:
            return self._add(Node(np.maximum, (y, x)))
        if below and self.nodes[x] == Node(np.negative, (y,)) and self.nodes[test.args[1]].constant == 0:
            return self._add(Node(np.abs, (y,)))
        if (bound, self.nodes[y].constant) == (1.0, 0.0):
            return self._number(condition)
        return self._add(Node(_choose, (condition, x, y)))


def _written(nodes: Sequence[Node], cost: int, residual: int, dtype: np.dtype) -> Summed:
    """The nodes that the two need, as a function: a call a line."""
    factors = nodes[cost].args if nodes[cost].function is np.multiply else ()
    alone = (
        residual != cost and all(nodes[f].constant is None for f in factors) and any(nodes[f].function for f in factors)
    )
    ends = (*factors, residual) if alone else (cost, residual)
    order = sorted(_needed(nodes, ends))
    names, memory = _places(nodes, order, ends)
    scope: dict[str, Any] = {"empty": np.empty, "vecdot": np.vecdot, "total": np.add.reduce}
    lines = [f"{name} = empty(z.shape, {'bool' if truth else 'z.dtype'})" for name, truth in memory.items()]
    with np.errstate(over="ignore"):
        for n in order:
            function, args, constant, truth = nodes[n]
            if constant is not None:
                scope[names[n]] = np.asarray(constant, bool if truth else dtype)
            elif function is not None:
                scope[function.__name__] = function
                lines.append(f"{function.__name__}({', '.join(names[a] for a in args)}, out={names[n]})")
    one, *other = (names[n] for n in ends[:-1])
    summed = f"total({one}, -1)"
    if other:
        summed = f"vecdot({one}, {other[0]}) if z.shape[-1] <= {LONG} else total({one} * {other[0]}, -1)"
    lines.append(f"return {summed}, {names[residual]}, total({names[residual]}, -1)")
    exec("def summed(z, y, weight):\n    " + "\n    ".join(lines), scope)
    found: Summed = scope["summed"]
    return found


def _places(nodes: Sequence[Node], order: Sequence[int], ends: Sequence[int]) -> tuple[dict[int, str], dict[str, bool]]:
    """The name of each node, and the arrays, with whether they hold truths: one is used again once it has been read."""
    last = {a: n for n in order for a in nodes[n].args} | dict.fromkeys(ends, len(nodes))
    names = dict(enumerate(INPUTS))
    memory: dict[str, bool] = {}
    free: dict[bool, list[str]] = {False: [], True: []}
    for n in order:
        function, args, constant, truth = nodes[n]
        if constant is not None:
            names[n] = f"c{n}"
        if function is None:
            continue
        read = [a for a in dict.fromkeys(args) if names[a] in memory and last[a] == n]
        first, then = (read, []) if isinstance(function, np.ufunc) else ([], read)  # only a ufunc writes where it reads
        for a in first:
            free[nodes[a].truth].append(names[a])
        names[n] = free[truth].pop() if free[truth] else f"{'t' if truth else 'a'}{len(memory)}"
        memory[names[n]] = truth
        for a in then:
            free[nodes[a].truth].append(names[a])
    return names, memory


def _needed(nodes: Sequence[Node], ends: Iterable[int]) -> set[int]:
    """The numbers of the nodes that `ends` are computed from, their own among them."""
    found: set[int] = set()
    waiting = list(ends)
    while waiting:
        number = waiting.pop()
        if number not in found:
            found.add(number)
            waiting += nodes[number].args
    return found


def _cast(truths: np.ndarray, out: np.ndarray) -> None:
    """1 where it holds, else 0."""
    np.copyto(out, truths)


def _choose(condition: np.ndarray, x: np.ndarray, y: np.ndarray, out: np.ndarray) -> None:
    """The bits of `x` where the condition holds, else those of `y`."""
    integer = INTEGERS[out.dtype]
    mask = np.negative(condition.view(np.int8)).astype(integer)  # all ones, or none
    bits, other = out.view(integer), y.view(integer)
    np.bitwise_xor(x.view(integer), other, out=bits)
    np.bitwise_and(bits, mask, out=bits)
    np.bitwise_xor(bits, other, out=bits)
