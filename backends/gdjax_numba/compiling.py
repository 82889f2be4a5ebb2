"""Formula and rule, traced and written out, compiled, and kept on disk for the next process.

A rule is joined with the walks. A formula is a program of its own, which they call: a new one compiles in a second.
"""

import hashlib
import importlib.util
import inspect
import os
import sys
import tempfile
import threading
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numba
import numpy as np

from gdjax.caching import cache_folder
from gdjax.errors import UsageError
from gdjax.formulas import Formula
from gdjax.rule import Knobs, Rule, State, make_advance
from gdjax_numba import indirect, pointwise, simd, walks
from gdjax_numba.emitting import Block
from gdjax_numba.tracing import Namespace, NotTraceable, Symbol

MARK = "# --- head ---\n"
REAL_SCALARS = ("momentum", "rate", "cost", "best_cost")
ROWS = ("point", "iterate", "velocity", "second", "best")

HEAD = '''"""{title}"""

from typing import Any

import numpy as np
from numba import njit, prange

from gdjax.rule import RUNNING
from gdjax_numba.indirect import at_address, pointwise_at
from gdjax_numba.simd import dots, panel, transpose

real = np.{dtype}
TALL, WIDE = {shape}
# NaN and infinity keep their meaning: no nnan, no ninf
FLAGS = {{"reassoc", "contract", "nsz"}}
COMMON = dict(nogil=True, error_model="numpy", fastmath=FLAGS, no_cfunc_wrapper=True)
INNER = dict(COMMON, no_cpython_wrapper=True)
ENTRY = dict(COMMON, cache={cache})
formula = at_address(real, error_model="numpy", fastmath=FLAGS, cache={cache})
'''

_lock = threading.Lock()


@cache
def program(rule: Rule, dtype: str, walk: str = walks.WALKS[0]) -> ModuleType:
    """The compiled walks for one rule and dtype, and one walk over shared samples."""
    calls, text = _rule_text(rule, np.dtype(dtype))
    return _compiled(f"{rule}, {walk}", dtype, [f"CALLS = {calls}", *text], walks, f"walk = range_{walk}\n")


@cache
def address(formula: Formula, dtype: str) -> int:
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
    found: int = _compiled(title, dtype, body, pointwise).pointwise.address
    return found


def _compiled(title: str, dtype: str, body: list[str], template: ModuleType, end: str = "") -> ModuleType:
    """The module that is `template` with `body` for what it imports from the head."""
    folder = cache_folder("numba")
    title = f"{title}, {dtype}".replace("\\", "/").replace('"', "'")
    shape = f"{simd.TALL}, {simd.WIDE}"
    head = HEAD.format(title=title, dtype=dtype, shape=shape, cache=folder is not None)
    source = "\n\n".join([head, *body, inspect.getsource(template).partition(MARK)[2], end])
    # numba's cache sees this file alone change, so its name carries all else that it depends on
    rest = inspect.getsource(simd) + inspect.getsource(indirect) + numba.__version__
    digest = hashlib.sha256((source + rest).encode()).hexdigest()[:20]
    return _load(source, f"gdjax_numba_{digest}", folder)


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
    def variable(text: str, kind: str, row: bool) -> Symbol:
        return Symbol("input", (text,), kind, row, dtype)

    def field(name: str) -> Symbol:
        if name in ROWS:
            return variable(f"state.{name}[k, j]", "real", True)
        return variable(f"state.{name}[k]", "real" if name in REAL_SCALARS else "int", False)

    def knob(name: str) -> Symbol:
        place = {"free": "[k, j]", "shift": "[k, j]", "scale": "[k, j]", "penalised": "[j]"}.get(name, "[k]")
        return variable(f"knobs.{name}{place}", "int" if name == "limit" else "real", "j" in place)

    before = State(*map(field, State._fields))
    knobs = Knobs(*map(knob, Knobs._fields))
    points: list[Symbol] = []

    def evaluate(theta: Symbol) -> tuple[Symbol, Symbol]:
        call = len(points)
        points.append(theta)
        return variable(f"costs[{call}, q]", "real", False), variable(f"gradients[{call}, q, j]", "real", True)

    after = make_advance(Namespace(dtype), rule)(before, knobs, evaluate, variable("factor", "real", False))
    lines = ["P = theta.shape[1]"]
    for call, theta in enumerate(points):
        block = Block()
        block.rows([("theta[q, j]", theta)])
        lines += [f"if call == {call}:", *(f"    {line}" for line in block.lines)]
    texts = [_define("argument(call, k, q, state, knobs, factor, theta, costs, gradients)", lines)]

    changed = [(name, symbol) for name, symbol in zip(State._fields, after) if symbol is not getattr(before, name)]
    block = Block()
    block.lines.append("P = state.point.shape[1]")
    scalars = [f"state.{name}[k] = {block.scalar(symbol)}" for name, symbol in changed if name not in ROWS]
    block.rows([(f"state.{name}[k, j]", symbol) for name, symbol in changed if name in ROWS])
    texts.append(_define("finish(k, q, state, knobs, factor, costs, gradients)", block.lines + scalars))
    return len(points), texts


def _define(signature: str, lines: list[str]) -> str:
    return "@njit(**INNER)\ndef " + signature + ":\n" + "\n".join(f"    {line}" for line in lines)


def _load(source: str, name: str, folder: Path | None) -> ModuleType:
    with _lock:
        path = _write(source, name, folder or Path(tempfile.mkdtemp(prefix="gdjax-")))
        spec: Any = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module  # numba finds a cached function's globals by module name
        spec.loader.exec_module(module)
        return module


def _write(source: str, name: str, folder: Path) -> Path:
    path = folder / f"{name}.py"
    if not path.exists():
        # complete or absent: other processes may be at the same
        handle, draft = tempfile.mkstemp(dir=folder, suffix=".tmp")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(source)
        os.replace(draft, path)
    return path
