"""Walk a jaxpr over number systems, in step on both sides of a kink.

A walk has one number system a side. Values that agree on both sides need no more thought; where they agree and their
derivatives do not, the point is a kink, and `settle` picks what the convention says before entries are mixed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from gdjax.verification.numbers.arithmetic import Arithmetic, NotSupported, Sides, Truth
from gdjax.verification.numbers.settling import Settling
from gdjax.verification.programs.primitives import MIXING, RULES, SIDELESS, number, truth
from gdjax.verification.programs.sites import sites
from gdjax.verification.programs.steps import NESTED, Step, live
from gdjax.verification.work import OPERATION


class Walk:
    """One walk: the sides' number systems, the kink convention, and what `dtype` NumPy code is told its floats have."""

    def __init__(self, sides: Sequence[Arithmetic], settle: Settling | None = None) -> None:
        self.sides = tuple(sides)
        self.dtype: Any = np.dtype(np.float64)
        self.settle = settle
        self.names: dict[str, str] = {}
        self._narrower: dict[Any, Walk] = {}

    def const(self, array: Any) -> Sides:
        array = np.asarray(array)
        if array.dtype == bool:
            return (Truth(array),) * len(self.sides)
        if array.dtype.kind not in "iuf" and array.dtype.name not in ("bfloat16",) and "float" not in array.dtype.name:
            raise NotSupported(f"values of dtype {array.dtype}")
        return (self.sides[0].const(array),) * len(self.sides)

    def apply(self, name: str, params: dict[str, Any], *args: Sides) -> Any:
        """One primitive on all sides. Returns the sides of its output, or a list of them."""
        return self._applied(name, {**params, "name": name}, args)

    def _applied(self, name: str, params: dict[str, Any], args: Sequence[Sides]) -> Any:
        """The same for parameters that hold the name."""
        apply = RULES.get(name)
        if apply is None:
            raise NotSupported(name)
        if len(self.sides) == 1:
            A = self.sides[0]
            result = apply(A, params, *[a for (a,) in args])
            A.context.spend(OPERATION + getattr(result, "price", 0.0))
            return [(r,) for r in result] if isinstance(result, list) else (result,)
        if self.settle is not None and name in MIXING:
            args = tuple(self.settle(a) for a in args)
        elif self.settle is not None and name in ("add", "add_any", "sub"):
            args = self.settle.joined(*args)
        alike = name in SIDELESS and all(a[0] is b for a in args for b in a[1:])
        results: list[Any] = []
        for i, A in enumerate(self.sides):
            result = results[0] if alike and i else apply(A, params, *[a[i] for a in args])
            A.context.spend(OPERATION + getattr(result, "price", 0.0))
            results.append(result)
        if isinstance(results[0], list):
            return [tuple(column) for column in zip(*results, strict=True)]
        return tuple(results)

    def at(self, site: str) -> None:
        for A in self.sides:
            A.context.site = site

    def _rounding_to(self, dtype: Any) -> Walk:
        """The same walk where results are of a float dtype: number systems that round, round to the narrower one."""
        found = self._narrower.get(dtype)
        if found is None:
            sides = [A.narrowed(dtype) if hasattr(A, "narrowed") else A for A in self.sides]
            alike = all(a is b for a, b in zip(sides, self.sides, strict=True))
            found = self._narrower[dtype] = self if alike else Walk(sides, self.settle)
        return found

    def run(self, closed: Any, args: Sequence[Sides], path: str = "") -> list[Sides]:
        """Evaluate a closed jaxpr."""
        jaxpr = getattr(closed, "jaxpr", closed)
        if not path:
            self.names = sites(jaxpr)
        consts = [self.const(c) for c in getattr(closed, "consts", ())]
        env: dict[Any, Sides] = dict(zip(jaxpr.constvars, consts, strict=True))
        env.update(zip(jaxpr.invars, args, strict=True))

        for step in live(jaxpr):
            values = [self._literal(step, a) if hasattr(a, "val") else env[a] for a in step.ins]
            if step.compares:
                self.at(self.names[f"{path}{step.place}"])
            env.update(zip(step.outs, self._equation(step, values, path), strict=True))
        return [self.const(v.val) if hasattr(v, "val") else env[v] for v in jaxpr.outvars]

    def _literal(self, step: Step, atom: Any) -> Sides:
        """A constant of a step, made once for each number system."""
        system = self.sides[0].constants
        if system is None:
            return self.const(atom.val)
        key = id(atom), system
        if key not in step.known:
            step.known[key] = self.const(atom.val)[0]
        return (step.known[key],) * len(self.sides)

    def _equation(self, step: Step, values: list[Sides], path: str) -> list[Sides]:
        name, params = step.name, step.params
        anything = getattr(self.sides[0], "anything", None)
        if name in RULES:
            try:
                walk = self if step.floats is None else self._rounding_to(step.floats)
                out = walk._applied(name, params, values)
                if step.around is not None:
                    out = self.apply("go_round", {"dtype": step.around}, out)
            except NotSupported:
                if anything is None:
                    raise
                return [(anything(v.aval),) for v in step.outs]
            return out if isinstance(out, list) else [out]
        path = f"{path}{step.place}"
        if name in NESTED:
            with self.quiet() if params["quiet"] else contextlib.nullcontext():
                return self.run(params[NESTED[name]], values, f"{path}/")
        if name == "scan":
            return self._scan(params, values, path)
        if name == "while":
            return self._while(params, values, path)
        if name == "cond":
            return self._cond(params, values, path)
        if name == "custom_linear_solve":
            return self._linear_solve(params, values, path)
        if anything is not None:
            return [(anything(v.aval),) for v in step.outs]
        raise NotSupported(name)

    @contextlib.contextmanager
    def quiet(self) -> Iterator[None]:
        """Comparisons meanwhile are no branches of the formula."""
        before = [A.context.muted for A in self.sides]
        for A in self.sides:
            A.context.muted = True
        try:
            yield
        finally:
            for A, muted in zip(self.sides, before, strict=True):
                A.context.muted = muted

    def _linear_solve(self, p: dict[str, Any], values: list[Sides], path: str) -> list[Sides]:
        """`solve` ignores how the solution moves with the matrix; one step of refinement by `matvec` adds that."""
        lengths, functions = p["const_lengths"], p["jaxprs"]
        ends = np.cumsum([0, lengths.matvec, lengths.vecmat, lengths.solve, lengths.transpose_solve])
        matrix, factors, right = values[: ends[1]], values[ends[2] : ends[3]], values[ends[4] :]
        found = self.run(functions.solve, [*factors, *right], f"{path}s/")
        if not any(getattr(v, "tangent", None) is not None for sides in values for v in sides):
            return found
        still = [self.apply("stop_gradient", {}, x) for x in found]
        image = self.run(functions.matvec, [*matrix, *still], f"{path}m/")
        rest = [self.apply("sub", {}, b, y) for b, y in zip(right, image, strict=True)]
        step = self.run(functions.solve, [*factors, *rest], f"{path}s/")
        return [self.apply("add", {}, x, d) for x, d in zip(still, step, strict=True)]

    def _scan(self, p: dict[str, Any], values: list[Sides], path: str) -> list[Sides]:
        consts, carries = p["num_consts"], p["num_carry"]
        fixed, carry, xs = values[:consts], values[consts : consts + carries], values[consts + carries :]
        length = p["length"]
        rows: list[list[Sides]] = []
        for i in range(length - 1, -1, -1) if p["reverse"] else range(length):
            slices = [self.apply("move", {"function": lambda x, i=i: x[i]}, x) for x in xs]
            outs = self.run(p["jaxpr"], [*fixed, *carry, *slices], f"{path}/")
            carry = outs[:carries]
            rows.append(outs[carries:])
        if p["reverse"]:
            rows.reverse()
        stacked = []
        for column in zip(*rows, strict=True):
            lifted = [self.apply("move", {"function": lambda x: x[None]}, entry) for entry in column]
            stacked.append(self.apply("concatenate", {"dimension": 0}, *lifted))
        if not rows:
            inner = getattr(p["jaxpr"], "jaxpr", p["jaxpr"])
            stacked = [self.const(np.zeros((0, *v.aval.shape))) for v in inner.outvars[carries:]]
        return [*carry, *stacked]

    def _while(self, p: dict[str, Any], values: list[Sides], path: str) -> list[Sides]:
        a, b = p["cond_nconsts"], p["body_nconsts"]
        test, body, carry = values[:a], values[a : a + b], values[a + b :]
        while True:
            (verdict,) = self.run(p["cond_jaxpr"], [*test, *carry], f"{path}?")
            go = [bool(truth(A, v).value) for A, v in zip(self.sides, verdict, strict=True)]
            if len(set(go)) > 1:
                raise NotSupported("a loop that ends differently on the two sides of a kink")
            if not go[0]:
                return list(carry)
            carry = self.run(p["body_jaxpr"], [*body, *carry], f"{path}/")

    def _cond(self, p: dict[str, Any], values: list[Sides], path: str) -> list[Sides]:
        branches = p["branches"]
        hull = getattr(self.sides[0], "hull", None)
        if hull is not None:
            places = self.sides[0].places(number(self.sides[0], values[0][0]), len(branches))  # type: ignore[attr-defined]
            found = [self.run(branches[i], values[1:], f"{path}.{i}/") for i in places]
            return [(hull([v for (v,) in column]),) for column in zip(*found, strict=True)]
        which = []
        for A, v in zip(self.sides, values[0], strict=True):
            index = int(A.concrete(number(A, v)))
            which.append(min(max(index, 0), len(branches) - 1))
        if len(set(which)) == 1:
            return self.run(branches[which[0]], values[1:], f"{path}.{which[0]}/")
        outs = []
        for i, A in enumerate(self.sides):
            alone = Walk([A], None)
            alone.names = self.names
            outs.append(alone.run(branches[which[i]], [(v[i],) for v in values[1:]], f"{path}.{which[i]}/"))
        return [tuple(side[0] for side in column) for column in zip(*outs, strict=True)]
