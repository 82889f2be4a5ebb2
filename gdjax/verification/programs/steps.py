"""The equations of a jaxpr that its outputs need, each as the interpreter wants it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gdjax.verification.numbers.floats import is_float, narrower

# Primitives that run a jaxpr of their parameters as it is.
NESTED = {
    "jit": "jaxpr",
    "closed_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "checkpoint": "jaxpr",
    "remat2": "jaxpr",
}

_COMPARING = {"eq", "ne", "lt", "le", "gt", "ge", "lt_to", "le_to", "max", "min", "abs", "sign", "clamp"}
_OF_BITS = {"and", "or", "xor", "not", "shift_left", "shift_right_logical", "shift_right_arithmetic"}
_OF_BITS |= {"population_count", "clz"}
_GOING_ROUND = {"add", "add_any", "sub", "mul", "neg", "square", "integer_pow", "reduce_sum", "reduce_prod", "cumsum"}
_GOING_ROUND |= {"cumprod", "dot_general", "convert_element_type"}


@dataclass(slots=True)
class Step:
    """One equation that the outputs need: where it stands in its jaxpr, what it applies to what, whether it compares,
    and where JAX says that it was written. `floats` is the dtype of its results where they are floats, `around` where
    they are integers that may go round, `known` are its constants as numbers of the systems that have met them."""

    place: int
    name: str
    params: dict[str, Any]
    ins: tuple[Any, ...]
    outs: tuple[Any, ...]
    compares: bool
    source: Any
    floats: Any = None
    around: Any = None
    known: dict[Any, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, place: int, eqn: Any) -> Step:
        name = eqn.primitive.name
        params = {**eqn.params, "name": name}
        if name == "call_hi_primitive":  # since JAX 0.12
            name, params["call_jaxpr"] = "closed_call", _expanded(eqn)
        if name in NESTED:
            params["quiet"] = _counts_signs(params[NESTED[name]])
            if _jax_s(params[NESTED[name]], ("exp_neg_sq",)):
                name = params["name"] = "exp_neg_sq"
        if name == "scan" and "ft_in" in params:  # since JAX 0.11
            params["num_consts"], params["num_carry"], _ = (len(list(part)) for part in params["ft_in"].unpack())
        dtypes = tuple(getattr(v.aval, "dtype", None) for v in eqn.invars)
        if name in _OF_BITS and all(getattr(d, "kind", "") in ("i", "u") for d in dtypes):
            # of booleans they are logic
            name, params = "of_bits", {"primitive": eqn.primitive, "given": eqn.params, "dtypes": dtypes}
        if name in ("div", "convert_element_type"):
            params["integer"] = eqn.invars[0].aval.dtype.kind in "iu"
        if name == "convert_element_type":
            params["narrows"] = narrower(eqn.params["new_dtype"], eqn.invars[0].aval.dtype)
        dtype = getattr(eqn.outvars[0].aval, "dtype", None) if eqn.outvars else None
        floats = dtype if dtype is not None and is_float(dtype) else None
        rounds = name in _GOING_ROUND and params.get("integer", True) and _few_bits(dtype)
        ins, outs = tuple(eqn.invars), tuple(eqn.outvars)
        around = dtype if rounds else None
        return cls(place, name, params, ins, outs, name in _COMPARING, eqn.source_info, floats, around)

    def inner(self) -> list[tuple[str, Any]]:
        """The jaxprs that it runs, each with what their paths begin with."""
        name, params, place = self.name, self.params, self.place
        if name in NESTED:
            return [(f"{place}/", params[NESTED[name]])]
        if name == "scan":
            return [(f"{place}/", params["jaxpr"])]
        if name == "while":
            return [(f"{place}?", params["cond_jaxpr"]), (f"{place}/", params["body_jaxpr"])]
        if name == "cond":
            return [(f"{place}.{i}/", branch) for i, branch in enumerate(params["branches"])]
        if name == "custom_linear_solve":
            return [(f"{place}s/", params["jaxprs"].solve), (f"{place}m/", params["jaxprs"].matvec)]
        return []


def _expanded(eqn: Any) -> Any:
    """What an operation of higher order is in others."""
    import jax

    primitive = eqn.params["_prim"]

    def flat(*args: Any) -> Any:
        return jax.tree.leaves(primitive.expand(*jax.tree.unflatten(primitive.in_tree, args)))

    with jax.enable_x64(True):  # of the dtypes that it has
        return jax.make_jaxpr(flat)(*(np.zeros(v.aval.shape, v.aval.dtype) for v in eqn.invars))


def _few_bits(dtype: Any) -> bool:
    """Whether integers of this dtype go round at numbers that are met."""
    kind = getattr(dtype, "kind", "")
    return kind == "u" or (kind == "i" and dtype.itemsize < 4)


def _counts_signs(closed: Any) -> bool:
    """Whether it is a determinant of JAX's: smooth wherever it is not 0, for all that it counts signs of pivots."""
    return _jax_s(closed, ("slogdet", "det"))


def _jax_s(closed: Any, names: tuple[str, ...]) -> bool:
    """Whether it is a function of JAX's own of one of these names."""
    info = getattr(getattr(closed, "jaxpr", closed), "debug_info", None)
    name, _, place = str(getattr(info, "func_src_info", "")).partition(" at ")
    return name in names and "/jax/_src/" in place.replace("\\", "/")


def size(jaxpr: Any) -> int:
    """How many equations there are, the inner ones included."""
    steps = live(getattr(jaxpr, "jaxpr", jaxpr))
    return len(steps) + sum(size(inner) for step in steps for _, inner in step.inner())


_LIVE: dict[int, tuple[Any, list[Step]]] = {}


def live(jaxpr: Any) -> list[Step]:
    """The equations that the outputs need."""
    known = _LIVE.get(id(jaxpr))
    if known is not None and known[0] is jaxpr:
        return known[1]
    needed = {v for v in jaxpr.outvars if not hasattr(v, "val")}
    kept = []
    for place in range(len(jaxpr.eqns) - 1, -1, -1):
        eqn = jaxpr.eqns[place]
        if any(v in needed for v in eqn.outvars):
            needed.update(v for v in eqn.invars if not hasattr(v, "val"))
            kept.append(Step.of(place, eqn))
    kept.reverse()
    if len(_LIVE) > 4096:
        _LIVE.clear()
    _LIVE[id(jaxpr)] = (jaxpr, kept)
    return kept
