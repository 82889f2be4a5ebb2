"""Generated mutants: operators, constants, names, comparisons and statements of correct gradients, one changed."""

from __future__ import annotations

import ast
import copy
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
from gradient_problems import PENALISED_SHAPES, PROBLEMS, SHAPES, penalised, penalised_args

SPELLINGS: dict[str, tuple[str, str]] = {
    "textbook": ("relu", """
        def gradient(w, b, X, y):
            z = X @ w + b
            gate = np.where(z > 0, 1.0, 0.0).astype(z.dtype)
            e = gate * (z - y)
            c = 2 / len(y)
            return c * (X.T @ e), c * e.sum()
    """),
    "chain": ("relu", """
        def gradient(w, b, X, y):
            z = X @ w + b
            u = np.maximum(0, z)
            v = y - u
            dv = -2 * v
            du = np.where(z > 0, dv, 0)
            gw = X.T @ du
            gb = du.sum()
            return gw / len(y), gb / len(y)
    """),
    "loop": ("relu", """
        def gradient(w, b, X, y):
            gw = 0 * w
            gb = 0 * b
            for i in range(len(y)):
                z = X[i] @ w + b
                e = z - y[i]
                if z > 0:
                    gw = gw + 2 * e * X[i]
                    gb = gb + 2 * e
            return gw / len(y), gb / len(y)
    """),
    "blocks": ("relu", """
        def gradient(w, b, X, y):
            gw = 0 * w
            gb = 0 * b
            for i in range(0, len(y), 64):
                A = X[i : i + 64]
                z = A @ w + b
                e = np.where(z > 0, z - y[i : i + 64], 0)
                gw = gw + A.T @ e
                gb = gb + e.sum()
            return 2 * gw / len(y), 2 * gb / len(y)
    """),
    "penalised": ("penalised", """
        def gradient(w, b, X, y, l2, l1):
            z = X @ w + b
            e = np.where(z > 0, z - y, 0)
            gw = 2 * (X.T @ e) / len(y)
            gw = gw + 2 * l2 * w
            gw = gw + l1 * np.sign(w)
            return gw, 2 * e.sum() / len(y)
    """),
    "leaky": ("leaky_relu", """
        def gradient(w, b, X, y):
            z = X @ w + b
            p = np.where(z > 0, z, 0.01 * z)
            slope = np.where(z > 0, 1.0, 0.01).astype(z.dtype)
            e = 2 * (p - y) * slope
            return X.T @ e / len(y), e.sum() / len(y)
    """),
    "huber": ("huber", """
        def gradient(w, b, X, y):
            r = X @ w + b - y
            e = np.where(abs(r) <= 1, r, np.sign(r))
            return X.T @ e / len(y), e.sum() / len(y)
    """),
    "log_loss": ("log_loss", """
        def gradient(w, b, X, y):
            z = X @ w + b
            t = np.exp(-abs(z))
            p = np.where(z > 0, 1, t) / (1 + t)
            e = p - y
            return X.T @ e / len(y), e.sum() / len(y)
    """),
    "poisson": ("poisson", """
        def gradient(w, b, X, y):
            z = X @ w + b
            e = np.exp(z) - y
            return X.T @ e / len(y), e.sum() / len(y)
    """),
    "tanh": ("tanh", """
        def gradient(w, b, X, y):
            p = np.tanh(X @ w + b)
            e = 2 * (p - y) * (1 - p * p)
            return X.T @ e / len(y), e.sum() / len(y)
    """),
    "einsum": ("relu", """
        def gradient(w, b, X, y):
            z = np.einsum("nd,d->n", X, w) + b
            k = (z > 0) * (2 / len(y))
            e = (k * (z - y)).astype(z.dtype)
            return np.einsum("n,nd->d", e, X), e.sum()
    """),
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    name: str
    problem: str
    source: str

    @property
    def cost(self) -> Callable[..., Any]:
        return penalised if self.problem == "penalised" else PROBLEMS[self.problem].cost

    @property
    def args(self) -> tuple[Any, ...]:
        return penalised_args() if self.problem == "penalised" else PROBLEMS[self.problem].args

    @property
    def shapes(self) -> tuple[str, ...]:
        return PENALISED_SHAPES if self.problem == "penalised" else SHAPES

    def make(self, xp: Any = np) -> Callable[..., Any]:
        space: dict[str, Any] = {"np": xp}
        exec(compile(self.source, f"<{self.name}>", "exec"), space)
        return space["gradient"]


_OPERATORS = {
    ast.Add: (ast.Sub, ast.Mult), ast.Sub: (ast.Add,), ast.Mult: (ast.Add, ast.Div), ast.Div: (ast.Mult,),
    ast.MatMult: (),
}  # fmt: skip
_COMPARISONS = {
    ast.Gt: (ast.GtE, ast.Lt, ast.NotEq),
    ast.LtE: (ast.Gt, ast.GtE, ast.NotEq),
    ast.Lt: (ast.LtE, ast.Gt),
}


def _variants(node: ast.AST, names: list[str]) -> Iterator[tuple[str, Callable[[Any], None]]]:
    """Changes of one node: a name, and what does it to a copy of the node."""
    if isinstance(node, ast.BinOp):
        for other in _OPERATORS.get(type(node.op), ()):
            yield f"{type(node.op).__name__}->{other.__name__}", lambda n, o=other: setattr(n, "op", o())
        yield "left alone", lambda n: n.__dict__.update(op=ast.Add(), right=ast.Constant(0))
    elif isinstance(node, ast.Compare):
        for other in _COMPARISONS.get(type(node.ops[0]), ()):
            yield f"{type(node.ops[0]).__name__}->{other.__name__}", lambda n, o=other: setattr(n, "ops", [o()])
    elif isinstance(node, ast.Constant) and isinstance(node.value, (int, float)):
        for value in dict.fromkeys((node.value + 1, -node.value, node.value * (1 + 1e-6), 0, node.value / 2)):
            if value != node.value:
                yield f"{node.value}->{value}", lambda n, v=value: setattr(n, "value", v)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        yield "no minus", lambda n: setattr(n, "op", ast.UAdd())
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in names:
        for other in names:
            if other != node.id:
                yield f"{node.id}->{other}", lambda n, o=other: setattr(n, "id", o)
    elif isinstance(node, ast.Attribute) and node.attr == "sum":
        yield "sum->mean", lambda n: setattr(n, "attr", "mean")
        yield "sum->max", lambda n: setattr(n, "attr", "max")


def mutants() -> list[Mutant]:
    """All of them, in a fixed order."""
    found: list[Mutant] = []
    for spelling, (problem, text) in SPELLINGS.items():
        tree = ast.parse(textwrap.dedent(text))
        nodes = list(ast.walk(tree))
        stored = sorted({n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)})
        names = [n for n in ("z", "e", "y", "p", "r", "gw", "gb", "u", "v") if n in stored or n == "y"]
        for place, node in enumerate(nodes):
            for what, change in _variants(node, names):
                mutated = copy.deepcopy(tree)
                change(list(ast.walk(mutated))[place])
                line = getattr(node, "lineno", 0)
                source = ast.unparse(ast.fix_missing_locations(mutated))
                found.append(Mutant(f"{spelling}:{line}:{getattr(node, 'col_offset', 0)}: {what}", problem, source))
        body = tree.body[0].body  # type: ignore[attr-defined]
        for i, statement in enumerate(body):
            if isinstance(statement, (ast.Assign, ast.AugAssign)) and statement.targets[0].id in ("gw", "e", "z"):
                mutated = copy.deepcopy(tree)
                del mutated.body[0].body[i]  # type: ignore[attr-defined]
                found.append(Mutant(f"{spelling}:{statement.lineno}: dropped", problem, ast.unparse(mutated)))
    unique = {(m.problem, m.source): m for m in found}
    return list(unique.values())


def runs(mutant: Mutant) -> bool:
    """Whether the mutant returns two arrays at all: what crashes at once is no wrong gradient."""
    try:
        with np.errstate(all="ignore"):
            out = mutant.make()(*mutant.args)
        return len(out) == 2 and np.shape(out[0]) == (3,) and np.shape(out[1]) == ()
    except Exception:  # noqa: BLE001
        return False


def traced(mutant: Mutant) -> Callable[..., Any]:
    """The mutant over jax.numpy: what the exact interpreter reads."""
    return mutant.make(jnp)
