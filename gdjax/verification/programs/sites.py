"""What to call each comparison of a jaxpr: by its line, not its place, which moves with the shapes that were traced."""

from __future__ import annotations

import re
from typing import Any

from gdjax.verification.programs.steps import live

# What JAX compares on its own: in the derivative of a primitive that compares nothing, such as cumlogsumexp, for what
# is sorted or searched, and for an index that may be negative.
JAXS = "JAX's "
_JAXS = {"_cumulative_jvp_rule", "_pow_jvp_lhs", "_pow_jvp_rhs", "_reduce_chooser_jvp_rule", "_scatter_extremal_jvp"}
_JAXS |= {"_canonicalize_float_for_sort", "_normalize_index", "normalize_indices", "_dynamic_slice_indices"}

# Where no user's code is, however Python and JAX were installed.
_OTHERS = ("/site-packages/", "/dist-packages/", "/jax/_src/", "/gdjax/verification/")

_SITES: dict[int, tuple[Any, dict[str, str]]] = {}


def sites(jaxpr: Any) -> dict[str, str]:
    """The names of comparisons by their paths."""
    known = _SITES.get(id(jaxpr))
    if known is not None and known[0] is jaxpr:
        return known[1]
    found: dict[str, str] = {}
    counts: dict[str, int] = {}

    def visit(closed: Any, path: str, line: str, jaxs: bool) -> None:
        for step in live(getattr(closed, "jaxpr", closed)):
            inner = step.inner()
            if not (step.compares or inner):
                continue
            where, whose = _written(step.source, line, jaxs)
            if step.compares:
                name = f"{JAXS if whose else ''}{step.name}{where}"
                counts[name] = counts.get(name, 0) + 1
                found[f"{path}{step.place}"] = name if counts[name] == 1 else f"{name} ({counts[name]})"
            for begins, other in inner:
                visit(other, f"{path}{begins}", where, whose)

    visit(jaxpr, "", "", False)
    if len(_SITES) > 1024:
        _SITES.clear()
    _SITES[id(jaxpr)] = (jaxpr, found)
    return found


def line_of(site: str) -> str:
    """The name without its count among those of its line."""
    return re.sub(r" \(\d+\)$", "", site)


def _written(source: Any, line: str, jaxs: bool) -> tuple[str, bool]:
    """The line where a user wrote it, as far as JAX knows, and whether JAX compares on its own there; what neither
    says is as around it."""
    frames, own = getattr(source, "traceback", None), False
    for frame in frames.frames if frames is not None else ():
        name = frame.file_name.replace("\\", "/")
        if not name.startswith("<frozen") and not any(other in name for other in _OTHERS):
            return f" at {name.rsplit('/', 1)[-1]}:{frame.line_num}", own
        own = own or (frame.function_name.rpartition(".")[2] in _JAXS and "/jax/_src/" in name)
    return line, own or jaxs
