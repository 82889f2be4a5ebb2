"""Expressions written out as Python that numba compiles: a loop over the parameters for each level of sums."""

from collections.abc import Iterable

from gdjax.expressions.tracing import BINARY, Symbol

INFIX = frozenset(BINARY.values())


class Block:
    """Statements that compute symbols, each once.

    Scalars stand in the block itself; rows are computed inside loops over j. Sums that depend on no other sum share the
    first loop, those that depend on these the second, and so on.
    """

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._scalars: dict[int, str] = {}
        self._count = 0

    def scalar(self, symbol: Symbol) -> str:
        """The name that holds a symbol that is no row."""
        self._sums([symbol])
        return self._expression(symbol, self._scalars, self.lines, "")

    def rows(self, targets: Iterable[tuple[str, Symbol]]) -> None:
        """One loop that assigns rows: pairs of (text of the j-th element, symbol)."""
        targets = list(targets)
        self._sums([symbol for _, symbol in targets])
        self._hoist([symbol for _, symbol in targets])
        body: list[str] = []
        names: dict[int, str] = {}
        values = [(target, self._expression(symbol, names, body, "")) for target, symbol in targets]
        body += [f"{target} = {value}" for target, value in values]
        self._loop(body)

    def _loop(self, body: list[str]) -> None:
        self.lines.append("for j in range(P):")
        self.lines += [f"    {line}" for line in body]

    def _sums(self, symbols: list[Symbol]) -> None:
        """Computes every sum that `symbols` depend on, level by level."""
        levels: dict[int, list[Symbol]] = {}
        seen: dict[int, int] = {}

        def level(symbol: Symbol) -> int:
            if id(symbol) in self._scalars or symbol.op in ("input", "constant"):
                return 0
            if id(symbol) not in seen:
                below = max((level(a) for a in symbol.args), default=0)
                is_sum = symbol.op == "sum"
                seen[id(symbol)] = below + is_sum
                if is_sum:
                    levels.setdefault(below, []).append(symbol)
            return seen[id(symbol)]

        for symbol in symbols:
            level(symbol)
        for _, sums in sorted(levels.items()):
            self._hoist([s.args[0] for s in sums])
            body: list[str] = []
            names: dict[int, str] = {}
            for symbol in sums:
                total = self._name()
                self.lines.append(f"{total} = {_typed(symbol.kind, 0)}")
                body.append(f"{total} += {self._expression(symbol.args[0], names, body, '')}")
                self._scalars[id(symbol)] = total
            self._loop(body)

    def _hoist(self, symbols: list[Symbol]) -> None:
        """Computes the scalars inside row expressions, ahead of the loop over the row."""
        done: set[int] = set()

        def visit(symbol: Symbol) -> None:
            if id(symbol) in done or symbol.op in ("input", "constant"):
                return
            done.add(id(symbol))
            if not symbol.row:
                self._expression(symbol, self._scalars, self.lines, "")
                return
            for argument in symbol.args:
                visit(argument)

        for symbol in symbols:
            visit(symbol)

    def _expression(self, symbol: Symbol, names: dict[int, str], lines: list[str], last: str) -> str:
        """The text of a symbol, its parts assigned in `lines`; `last` is "P - 1" where the row's last is meant."""
        if symbol.op == "constant":
            return _typed(symbol.kind, symbol.args[0])
        if symbol.op == "input":
            text: str = symbol.args[0]
            return text.replace("j]", f"{last}]") if last and symbol.row else text
        if not symbol.row and id(symbol) in self._scalars:
            return self._scalars[id(symbol)]
        if id(symbol) in names:
            return names[id(symbol)]
        if symbol.op == "last":
            inner: dict[int, str] = {}
            text = self._expression(symbol.args[0], inner, lines, "P - 1")
        elif symbol.op == "append" and last:
            text = self._expression(symbol.args[1], names, lines, last)
        else:
            text = _text(symbol, [self._expression(a, names, lines, last) for a in symbol.args])
        name = self._name()
        lines.append(f"{name} = {text}")
        names[id(symbol)] = name
        return name

    def _name(self) -> str:
        self._count += 1
        return f"t{self._count}"


def _typed(kind: str, value: float) -> str:
    if kind in ("int", "bool"):
        return repr(value)
    if value != value:
        number = "np.nan"
    elif abs(value) == float("inf"):
        number = "np.inf" if value > 0 else "-np.inf"
    else:
        number = repr(value)
    return f"real({number})" if kind == "real" else f"np.float64({number})"


def _text(symbol: Symbol, args: list[str]) -> str:
    op = symbol.op
    if op in INFIX:
        return f"{args[0]} {op} {args[1]}"
    if op == "negative":
        return f"-{args[0]}"
    if op == "invert":
        return f"not {args[0]}"
    if op == "where":
        return f"{args[1]} if {args[0]} else {args[2]}"
    if op == "append":
        return f"{args[1]} if j == P - 1 else {args[0]}"
    if op == "cast":
        return {"real": "real", "double": "np.float64", "int": "np.int32", "bool": "bool"}[symbol.kind] + f"({args[0]})"
    return f"np.{op}({', '.join(args)})"
