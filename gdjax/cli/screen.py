"""A run on the terminal: its status in words, the cost's curve, the neuron as a formula, the worst of a fleet."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from gdjax.cli.naming import told
from gdjax.cli.output import console, counted, safe, table

if TYPE_CHECKING:
    from rich.console import Console

    from gdjax.runs.run import Run

__all__ = ["formula", "show", "sparkline"]

_BLOCKS = "▁▂▃▄▅▆▇█"
_WORDS = {
    "converged": "converged: certified to be at the optimum, within the tolerance",
    "max_steps": "stopped without a certificate that it is at the optimum",
    "diverged": "diverged; these are the best finite parameters",
    "dead": "dead: no gate opens",
    "too_few_rows": "not trained: too few rows",
    "bad_data": "not trained: bad data",
}
_STYLES = {"converged": "green", "max_steps": "yellow"}
_NUMBER = re.compile(r"\d[\d.,]*(?:e[+-]?\d+)?")
_SHOWN = {"coefficients": 40, "reasons": 10, "worst": 5}


def show(run: Run, target: str = "y", seconds: float | None = None) -> None:
    """Print ``run``."""
    out = console()
    took = "" if seconds is None else f", {seconds:.1f} s"
    if run.single:
        _show_one(out, run, target, took)
    else:
        _show_fleet(out, run, took)


def _show_one(out: Console, run: Run, target: str, took: str) -> None:
    out.print(safe(_WORDS.get(run.status, run.status), _STYLES.get(run.status, "red")))
    if run.reason:
        out.print(safe(told(run.reason, run)))
    out.print(safe(f"{counted(run.steps, 'step')}, {counted(int(run.rows), 'row')}, {run.backend} {run.dtype}{took}"))
    rate = f", learning rate {float(run.learning_rate):.4g}" if np.isfinite(run.learning_rate) else ""
    r2 = f", R^2 {float(run.r2):.4f}" if np.isfinite(run.r2) else ""  # of a y that varies
    out.print(safe(f"cost {float(run.cost):.6g}{r2}{rate}"))
    curve = sparkline(run.history)
    if curve:
        finite = run.history[np.isfinite(run.history)]
        out.print(safe(f"{finite[0]:.4g} {curve} {finite[-1]:.4g}"))
    order = np.argsort(-np.abs(run.weights), kind="stable") if len(run.weights) > _SHOWN["coefficients"] else None
    shown = range(len(run.weights)) if order is None else order[: _SHOWN["coefficients"]].tolist()
    rows: list[tuple[object, ...]] = [(run.feature_names[i], f"{run.weights[i]:.10g}") for i in shown]
    if run.neuron.bias:
        rows.append(("bias", f"{float(run.bias):.10g}"))
    out.print(table(("coefficient", "value"), rows, left=("coefficient",)))
    if order is not None:
        out.print(safe(f"... and {len(run.weights) - len(rows) + 1} smaller ones"))
    out.print(safe(formula(run, target), "bold"))


def _show_fleet(out: Console, run: Run, took: str) -> None:
    out.print(safe(f"{counted(run.models, 'model')}, {run.backend} {run.dtype}{took}", "bold"))
    counts = [(name, f"{n:,}", f"{n / run.models:.1%}", _WORDS[name].partition(": ")[2]) for name, n in _counts(run)]
    out.print(table(("status", "models", "share", ""), counts, left=("status", "")))
    rows = run.table()
    which = ["group"] if run.groups is not None else list(run.swept)
    reasons = _reasons(rows)
    if reasons:
        shown = [
            (f"{len(at):,}", rows["status"][at[0]], reason, ", ".join(str(rows[name][at[0]]) for name in which))
            for reason, at in ((told(each, run), at) for each, at in reasons[: _SHOWN["reasons"]])
        ]
        out.print(table(("models", "status", "reason", "such as"), shown, left=("status", "reason", "such as")))
        if len(reasons) > len(shown):
            out.print(safe(f"... and {len(reasons) - len(shown):,} other reasons: run.table() has them all"))
    trained = np.flatnonzero(np.isfinite(rows["r2"]))
    worst = trained[np.argsort(rows["r2"][trained], kind="stable")][: _SHOWN["worst"]]
    if len(worst) and run.groups is not None:
        names = (*which, "rows", "status", "steps", "cost", "r2")
        shown_worst = [[_short(rows[name][i]) for name in names] for i in worst.tolist()]
        out.print(safe("lowest R^2:"))
        out.print(table(names, shown_worst, left=(*which, "status")))


def _counts(run: Run) -> list[tuple[str, int]]:
    return sorted(run.counts().items(), key=lambda item: -item[1])


def _reasons(rows: dict[str, np.ndarray]) -> list[tuple[str, list[int]]]:
    """The reasons of what did not converge, alike but for their numbers taken together, the most frequent first."""
    found: dict[str, list[int]] = {}
    for i in np.flatnonzero(rows["status"] != "converged").tolist():
        found.setdefault(_NUMBER.sub("#", _first_clause(rows["reason"][i])), []).append(i)
    ordered = sorted(found.values(), key=lambda at: -len(at))
    return [(_first_clause(rows["reason"][at[0]]), at) for at in ordered]


def _first_clause(reason: object) -> str:
    return str(reason).partition(";")[0]


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float | np.floating) else str(value)


def sparkline(history: Any, width: int = 48) -> str:
    """The cost's curve on a line, logarithmic where all of it is positive.

    >>> sparkline([100.0, 10.0, 1.0])
    '█▅▁'
    """
    costs = np.asarray(history, float)
    costs = costs[np.isfinite(costs)]
    if len(costs) < 2:
        return ""
    at = np.unique(np.linspace(0, len(costs) - 1, min(width, len(costs))).round().astype(int))
    heights = np.log(costs[at]) if (costs > 0).all() else costs[at]
    low, high = heights.min(), heights.max()
    if high == low:
        return _BLOCKS[0] * len(at)
    return "".join(_BLOCKS[round(h)] for h in (heights - low) / (high - low) * (len(_BLOCKS) - 1))


def formula(run: Run, target: str = "y", terms: int = 12) -> str:
    """One neuron as a formula of its features."""
    shown = [(w, name) for w, name in zip(run.weights.tolist(), run.feature_names, strict=True) if w != 0]
    parts = [f"{_signed(w, first=i == 0)} {_name(name)}" for i, (w, name) in enumerate(shown[:terms])]
    if len(shown) > terms:
        parts.append(f"+ ... ({len(shown) - terms} more)")
    bias = float(run.bias)
    if bias != 0 or not parts:
        parts.append(_signed(bias, first=not parts))
    z = " ".join(parts)
    name = run.neuron.formula.activation.name
    wrapped = {"relu": f"max(0, {z})", "identity": z, "leaky_relu": f"max(0.01 z, z), z = {z}"}
    return f"{_name(target)} = {wrapped.get(name, f'{name}({z})')}"


def _name(name: str) -> str:
    return name if name.isidentifier() else f"[{name}]"


def _signed(value: float, first: bool) -> str:
    sign = "-" if math.copysign(1, value) < 0 else ("" if first else "+")
    return f"{sign}{'' if first else ' '}{abs(value):.4g}"
