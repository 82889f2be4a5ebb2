"""Formula and rule, traced and written out, compiled, and kept on disk for the next process.

Each is a program of its own, which the walks call by its address: a new one compiles in a second, the walks once. So is
the walk over a range of shared samples, lest each function that leads to it compiles it again.
"""

import inspect
from functools import cache
from types import ModuleType

import numba
import numpy as np

import gdjax.rule
from gdjax.errors import UsageError
from gdjax.expressions.tracing import Namespace, NotTraceable, Symbol
from gdjax.formulas import Formula
from gdjax.rule import Knobs, Rule, State, make_advance
from gdjax_numba import blocks, indirect, many, one, pointwise, simd, walks
from gdjax_numba.emitting import Block
from gdjax_numba.keeping import load

MARK = "# --- head ---\n"
REAL_SCALARS = ("momentum", "rate", "cost", "best_cost")
ROWS = ("point", "iterate", "velocity", "second", "best")

HEAD = '''"""{title}"""

from typing import Any

import numpy as np
from numba import carray, njit, prange

from gdjax.rule import RUNNING
from gdjax_numba.indirect import (
    formula_at_address, pointer, pointwise_at, rule_at, rule_at_address, walk_at, walk_at_address
)
from gdjax_numba.simd import dots, multiply_row, panel, transpose

real = np.{dtype}
TALL, WIDE = {shape}
# NaN and infinity keep their meaning: no nnan, no ninf
FLAGS = {{"reassoc", "contract", "nsz"}}
COMMON = dict(nogil=True, error_model="numpy", fastmath=FLAGS, no_cfunc_wrapper=True)
INNER = dict(COMMON, no_cpython_wrapper=True)
ENTRY = dict(COMMON, cache={cache})
CALLED = dict(error_model="numpy", fastmath=FLAGS, cache={cache})
formula, rule = formula_at_address(real, **CALLED), rule_at_address(real, **CALLED)
walk = walk_at_address(real, **CALLED)
'''


@cache
def program(dtype: str) -> ModuleType:
    """The compiled walks for one dtype."""
    return _compiled("walks", dtype, [_template(blocks), _template(walks)])


@cache
def walk_address(dtype: str, alone: bool) -> int:
    """Where the compiled walk over shared samples lies, of one neuron `alone` or of several."""
    module = one if alone else many
    found = _compiled(module.__name__, dtype, [_template(blocks), _template(module)])
    address: int = (found.one if alone else found.many).address
    return address


@cache
def formula_address(formula: Formula, dtype: str) -> int:
    """Where the compiled formula lies: `gdjax_numba.pointwise.pointwise`.

    Raises:
        UsageError: an activation or loss that cannot be traced.
    """
    try:
        body = _formula_text(formula, np.dtype(dtype))
    except NotTraceable as error:
        raise UsageError(
            f"backend 'numba' cannot compile activation {formula.activation.name!r} with loss {formula.loss.name!r}: "
            f"{error}: write it with operators and the namespace that its build(xp) receives, or use another backend"
        ) from error
    title = f"{formula.activation.name}, {formula.loss.name}"
    found: int = _compiled(title, dtype, [*body, _template(pointwise)]).pointwise.address
    return found


def rule_table(rule: Rule, state: State, knobs: Knobs) -> np.ndarray:
    """What `rule_at` takes: the addresses of `argument` and `finish`, how often a step evaluates, and those of the
    arrays, C-contiguous, integers int32; they must outlive it."""
    arrays = (a.__array_interface__["data"][0] for a in (*state, *knobs))
    table = np.array([*_rule_addresses(rule, state.point.dtype.name), *arrays], np.int64)
    table.flags.writeable = False
    return table


@cache
def _rule_addresses(rule: Rule, dtype: str) -> tuple[int, int, int]:
    calls, text = _rule_text(rule, np.dtype(dtype))
    module = _compiled(str(rule), dtype, text)
    return module.argument.address, module.finish.address, calls


def _template(module: ModuleType) -> str:
    """A module without what it imports, whose place the head takes."""
    return inspect.getsource(module).partition(MARK)[2]


def _compiled(title: str, dtype: str, body: list[str]) -> ModuleType:
    """The module that is `body` under the head."""
    title = f"{title}, {dtype}".replace("\\", "/").replace('"', "'")
    shape = f"{simd.TALL}, {simd.WIDE}"

    def text(kept: bool) -> str:
        return "\n\n".join([HEAD.format(title=title, dtype=dtype, shape=shape, cache=kept), *body])

    return load(text, _outside())


def _outside() -> str:
    """What the head imports: code by its source, a number by its value."""
    return inspect.getsource(simd) + inspect.getsource(indirect) + numba.__version__ + f"RUNNING = {gdjax.rule.RUNNING}"


def _formula_text(formula: Formula, dtype: np.dtype) -> list[str]:
    found = formula.pointwise(Namespace(dtype))
    z, y = (Symbol("input", (name,), "real", False, dtype) for name in "zy")
    texts = []
    for name, function in (("cost", found.cost), ("slope", found.slope)):
        value = function(z, y)
        if not isinstance(value, Symbol):
            value = Namespace(dtype).full_like(z, value)
        block = Block()
        block.lines.append(f"return real({block.scalar(value)})")
        texts.append(_define(f"{name}(z, y)", block.lines))
    return texts


def _rule_text(rule: Rule, dtype: np.dtype) -> tuple[int, list[str]]:
    """How often a step evaluates, and the rule's two parts: where to evaluate, and the step taken then.

    `argument` writes to theta[q] where neuron k is to be evaluated the `call`-th time; `finish` takes its step, given
    costs[call, q] and gradients[call, q], and changes the state in place.
    """

    def variable(text: str, kind: str, row: bool) -> Symbol:
        return Symbol("input", (text,), kind, row, dtype)

    def field(name: str) -> Symbol:
        if name in ROWS:
            return variable(f"{name}[k, j]", "real", True)
        return variable(f"{name}[k]", "real" if name in REAL_SCALARS else "int", False)

    def knob(name: str) -> Symbol:
        place = {"free": "[k, j]", "shift": "[k, j]", "scale": "[k, j]", "penalised": "[j]"}.get(name, "[k]")
        return variable(f"{name}{place}", "int" if name == "limit" else "real", "j" in place)

    before = State(*map(field, State._fields))
    knobs = Knobs(*map(knob, Knobs._fields))
    points: list[Symbol] = []

    def evaluate(theta: Symbol) -> tuple[Symbol, Symbol]:
        call = len(points)
        points.append(theta)
        return variable(f"costs[{call}, q]", "real", False), variable(f"gradients[{call}, q, j]", "real", True)

    after = make_advance(Namespace(dtype), rule)(before, knobs, evaluate, variable("factor", "real", False))
    views = ["P = theta.shape[1]"]
    for place, symbol in enumerate((*before, *knobs), 3):
        name, _, index = symbol.args[0].partition("[")
        shape = {"k, j]": "(k + 1, P)", "j]": "(P,)", "k]": "(k + 1,)"}[index]
        kind = "real" if symbol.kind == "real" else "np.int32"
        views.append(f"{name} = carray(pointer(rule[{place}]), {shape}, {kind})")
    lines = []
    for call, theta in enumerate(points):
        block = Block()
        block.rows([("theta[q, j]", theta)])
        lines += [f"if call == {call}:", *(f"    {line}" for line in block.lines)]

    changed = [(name, symbol) for name, symbol in zip(State._fields, after) if symbol is not getattr(before, name)]
    block = Block()
    scalars = [f"{name}[k] = {block.scalar(symbol)}" for name, symbol in changed if name not in ROWS]
    block.rows([(f"{name}[k, j]", symbol) for name, symbol in changed if name in ROWS])
    given = "(call, k, q, rule, factor, theta, costs, gradients)"
    parts = {"argument": lines, "finish": block.lines + scalars}
    return len(points), [_define(name + given, [*views, *body, "return 0"], "rule") for name, body in parts.items()]


def _define(signature: str, lines: list[str], decorator: str = "njit(**INNER)") -> str:
    return f"@{decorator}\ndef {signature}:\n" + "\n".join(f"    {line}" for line in lines)
