"""The page of a run: what it says in words, and the template it says it through."""

import platform
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np

from gdjax.errors import BackendError
from gdjax.files import atomic_write
from gdjax.formulas import Activation, Loss, activations, losses
from gdjax.machine.versions import installed
from gdjax.plots import svg, swept_name, varied
from gdjax.report.mathml import formulas
from gdjax.runs.run import Run
from gdjax.schedules import Schedule
from gdjax.sweeping import ALL_ROWS, best_if_any

WORDS = {
    "converged": "It converged: the parameters are certified to be at the optimum, within the tolerance.",
    "max_steps": "It stopped without a certificate that it is at the optimum.",
    "diverged": "It diverged. These are the best finite parameters it saw.",
    "dead": "It is dead: no gate opens, so nothing is learned.",
    "too_few_rows": "It was not trained: it has too few rows.",
    "bad_data": "It was not trained: its data cannot be used.",
}
SHORT_WORDS = {
    "converged": "certified to be at the optimum",
    "max_steps": "stopped without a certificate",
    "diverged": "diverged; best finite parameters",
    "dead": "dead, no gate opens",
    "too_few_rows": "too few rows, not trained",
    "bad_data": "bad data, not trained",
}
ROWS = 200
"""Models that the table shows, the failures first."""

COEFFICIENTS = 200

LINES = 16
"""Models whose costs are drawn as lines: of more, only the edges of chunks are known."""


class Picture(NamedTuple):
    """A plot with its words."""

    svg: Any
    caption: str
    alternative: str
    wide: bool = False


Data = tuple[Any, Any, Any]
"""X, y, groups."""


def write(run: Run, path: str | Path, *, data: Data | None = None, verify: bool = True) -> None:
    """Writes the page about `run` to `path`: whole or not at all.

    Args:
        data: X, y and groups, for the plots that need them: a run holds none.
        verify: whether the neuron's gradient is verified for it, which takes some seconds.

    Raises:
        BackendError: matplotlib or jinja2 is not installed.
        FileError: the path cannot be written.
    """
    atomic_write(path, render(run, data=data, verify=verify).encode())


def render(run: Run, *, data: Data | None = None, verify: bool = True) -> str:
    """The page as HTML."""
    try:
        from jinja2 import Environment
        from markupsafe import Markup
    except ModuleNotFoundError as error:
        raise BackendError("the page needs 'jinja2', which is not installed: pip install 'gdjax[report]'") from error
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files("gdjax.report").joinpath("page.html").read_text(encoding="utf-8"))
    target = run.source.get("target") or "y"
    formula = run.neuron.formula
    return template.render(
        title=_title(run, target),
        run=run,
        status_tone=_tone_of_all(run),
        status_words=_status_words(run),
        facts=_facts(run, target),
        pictures=[p._replace(svg=Markup(p.svg)) for p in _pictures(run, data)],
        formulas=[(words, Markup(math)) for words, math in formulas(run.neuron)],
        formula_name=f"{formula.activation.name}, {formula.loss.name}",
        coefficients=_coefficients(run),
        coefficients_left=max(0, len(run.feature_names) - COEFFICIENTS),
        counts=[(name, n, n / run.models, SHORT_WORDS[name], _tone(name)) for name, n in _counts(run)],
        table=None if run.single else _table(run),
        models_left=max(0, run.models - ROWS),
        verdict=_verdict(run) if verify else None,
        command=_command(run),
        versions=_versions(run),
        tone=_tone,
    )


def _title(run: Run, target: str) -> str:
    name = run.neuron.formula.activation.name
    if run.single:
        return f"{name} neuron for {target}"
    what = "sweep of" if run.swept else "fleet of"
    return f"{what[0].upper()}{what[1:]} {run.models:,} {name} neuron{'s' * (run.models > 1)} for {target}"


def _counts(run: Run) -> list[tuple[str, int]]:
    """Failures first, the most frequent of them first; converged last."""
    return sorted(run.counts().items(), key=lambda item: (_rank(item[0]), -item[1]))


def _rank(status: str) -> int:
    return {"converged": 2, "max_steps": 1}.get(status, 0)


def _tone(status: str) -> str:
    return {"converged": "good", "max_steps": "fair"}.get(status, "bad")


def _tone_of_all(run: Run) -> str:
    """A fleet's tone is of most of it: one group that failed among many makes it fair, not bad."""
    if run.single:
        return _tone(run.status)
    counts = run.counts()
    if set(counts) == {"converged"}:
        return "good"
    failed = sum(n for name, n in counts.items() if _tone(name) == "bad")
    return "bad" if 2 * failed > run.models else "fair"


def _status_words(run: Run) -> list[str]:
    if run.single:
        words = [WORDS.get(run.status, run.status)]
        if run.reason:
            words.append(_sentence(run.reason))
        return words
    best_first = sorted(_counts(run), key=lambda item: -_rank(item[0]))
    parts = [f"{n:,} of {run.models:,} {SHORT_WORDS[name]}" for name, n in best_first]
    return ["; ".join(parts) + "."]


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _facts(run: Run, target: str) -> list[tuple[str, str]]:
    rows = int(np.sum(run.rows)) if run.groups is not None else int(np.max(run.rows))
    facts = [
        ("Target", target),
        ("Rows", f"{rows:,}"),
        ("Features", f"{len(run.feature_names):,}"),
        ("Steps", f"{int(np.max(run.steps)):,}" + ("" if run.single else " at most")),
    ]
    if run.groups is not None:
        by = run.source.get("by") or []
        facts.insert(1, ("Groups", f"{run.models:,}" + (f" by {', '.join(by)}" if by else "")))
    if run.single:
        facts.append(("Cost", f"{float(run.cost):.6g}"))
        if np.isfinite(run.r2):  # of a y that varies
            facts.append(("R²", f"{float(run.r2):.4f}"))
        if np.isfinite(run.condition):
            facts.append(("Condition number", f"{float(run.condition):.3g}"))
        if np.isfinite(run.learning_rate):  # of a neuron that took a step
            facts.append(("Learning rate", f"{float(run.learning_rate):.4g}"))
    else:
        r2 = np.asarray(run.r2, float)
        if np.isfinite(r2).any():
            facts.append(("Median R²", f"{float(np.nanmedian(r2)):.4f}"))
    return facts + [(n, f"{getattr(run.neuron, n):g}") for n in ("l2", "l1") if getattr(run.neuron, n)]


def _pictures(run: Run, data: Data | None) -> list[Picture]:
    out = []
    finite = np.atleast_2d(run.history)
    finite = finite[np.isfinite(finite)]
    if len(finite) and np.atleast_2d(run.history).shape[1] > 1 and run.models <= LINES:
        first = np.atleast_2d(run.history)[0]
        first = first[np.isfinite(first)]
        ends = f", from {first[0]:.4g} to {first[-1]:.4g}" if run.single else ""
        words = f"Line of the cost over {int(run.history_steps[-1]) + 1} steps{ends}."
        out.append(Picture(svg(run.plot.cost(), "cost"), "The cost at each step that was recorded.", words))
    if not run.single:
        parts = ", ".join(f"{n} {name}" for name, n in run.counts().items())
        words = f"Bars of the statuses ({parts}), and histograms of steps and R²."
        out.append(Picture(svg(run.plot.fleet(), "fleet"), "How the models ended.", words, wide=True))
    if run.swept:
        at = best_if_any(run)
        over = [name for name in varied(run) if name != "fold"]
        best = "" if at is None or not over else f"; least at {swept_name(run, at, over)}"
        caption = f"The cost over what was swept{best}."
        out.append(Picture(svg(run.plot.sweep(), "sweep"), caption, f"Map of the cost of each combination{best}."))
    return out if data is None else out + _pictures_of_data(run, *data)


def _pictures_of_data(run: Run, X: Any, y: Any, groups: Any) -> list[Picture]:
    if run.swept:
        return []
    words = "Cloud of y minus prediction over the prediction, and its histogram."
    out = [Picture(svg(run.plot.residuals(X, y, groups), "residuals"), "What the fit leaves unexplained.", words, True)]
    if not run.single or run.status not in ("converged", "max_steps"):
        return out
    if len(run.feature_names) + run.neuron.bias > 1:
        words = "Contours of the cost in the plane of the descent's two main directions, its path from start to end."
        out.append(
            Picture(svg(run.plot.landscape(X, y), "landscape"), "The cost around the end of the descent.", words)
        )
    words = "Line of the cost after 50 steps over 64 learning rates; those that diverged or died are shaded."
    caption = "Other learning rates: the cost after 50 steps of each."
    out.append(Picture(svg(run.plot.learning_rate(X, y), "rates"), caption, words))
    return out


def _coefficients(run: Run) -> list[tuple[str, str, float]]:
    """(name, value, its share of the largest) of one neuron; nothing for many."""
    if not run.single:
        return []
    size = np.abs(np.asarray(run.weights, float))
    order = np.argsort(-size, kind="stable")[:COEFFICIENTS]
    largest = float(size.max(initial=0.0)) or 1.0
    rows = [(run.feature_names[i], f"{run.weights[i]:.8g}", float(size[i]) / largest) for i in order]
    if run.neuron.bias:
        rows.append(("bias", f"{float(run.bias):.8g}", 0.0))
    return rows


def _table(run: Run) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the models' table, the failures first; no column of reasons where none has one."""
    columns = run.table()
    rank = np.array([_rank(str(s)) for s in columns["status"]])
    order = np.argsort(rank, kind="stable")[:ROWS]
    keys = ["group"] if run.groups is not None else list(run.swept)
    if run.swept:
        fold = columns.pop("fold")
        if (fold == ALL_ROWS).all():
            keys.remove("fold")
        else:
            columns["fold"] = np.where(fold == ALL_ROWS, "none left out", fold.astype(str))
    why = ["reason"] if any(columns["reason"][order]) else []
    head = [*keys, "status", *why, "rows", "steps", "cost", "r2", "bias"]
    features = [n if n in columns else f"weight_{n}" for n in run.feature_names[:6]]
    return [*head, *features], [[_cell(columns[name][i]) for name in (*head, *features)] for i in order]


def _cell(value: Any) -> str:
    if isinstance(value, float | np.floating):
        return f"{value:.5g}" if np.isfinite(value) else "–"
    return str(value)


def _verdict(run: Run) -> tuple[str, str]:
    """Good, fair or bad, and the verification's verdict in words."""
    from gdjax.verification import verify

    try:
        report = verify(run.neuron, backend=run.backend, dtype=run.dtype, seconds=2.0)
    except Exception as error:  # noqa: BLE001
        # the page is about the run: that its neuron cannot be verified here is part of what it tells
        return "fair", f"It could not be verified here: {error}"
    tried = len(report.inputs) + sum(len(part.inputs) for part in report.parts)
    words = {
        "pass": f"The hand-derived gradient passed: {tried} inputs against exact arithmetic, kinks among them.",
        "fail": "The hand-derived gradient is wrong",
    }.get(report.verdict, "The verification was inconclusive")
    if report.verdict != "pass":
        words += f": {report.counterexample}." if report.counterexample else "."
    return {"pass": "good", "fail": "bad"}.get(report.verdict, "fair"), words


def _command(run: Run) -> str:
    """The Python that makes the run again from the same data."""
    neuron = run.neuron
    formula = neuron.formula
    parts = [_spelt(formula.activation, activations), _spelt(formula.loss, losses)]
    parts += [f"{name}={float(getattr(neuron, name))!r}" for name in ("l2", "l1") if getattr(neuron, name)]
    parts += [] if neuron.bias else ["bias=False"]
    given = {k: v for k, v in sorted(run.options.items()) if v is not None and k != "groups"}
    given = {"backend": run.backend, "dtype": run.dtype} | {k: v for k, v in given.items() if k != "dtype"}
    call = "sweep" if run.swept else "fit"
    if run.swept:
        for name, column in run.swept.items():
            values = list(dict.fromkeys("auto" if v != v else v for v in column.tolist()))
            if name == "fold":
                folds = int(column.max()) + 1
                given |= {"folds": folds} if folds else {}
            elif name != "swept_rate":
                given[name] = values
            elif "learning_rate" not in given:  # no schedule
                given["learning_rate"] = values
    options = ", ".join(f"{k}={_value(v)}" for k, v in given.items())
    groups = ", groups=groups" if run.groups is not None else ""
    return f"gdjax.{call}(gdjax.Neuron({', '.join(parts)}), X, y{groups}, {options})"


def _value(option: Any) -> str:
    """An option in Python; a schedule of a user's own is a variable that the user has."""
    if not isinstance(option, Schedule):
        return repr(option)
    return "schedule" if option.call is None else f"gdjax.schedules.{option.call}"


def _spelt(part: Activation | Loss, module: ModuleType) -> str:
    """A formula in Python: a name, a call where it has parameters; a user's own is a variable that the user has."""
    known = module.BUILT_IN.get(part.name)
    if known is None or known.build != part.build:
        return part.name
    if known.parameters == part.parameters:
        return repr(part.name)
    return f"gdjax.{module.__name__.rpartition('.')[2]}.{part.name}({', '.join(map(repr, part.parameters))})"


def _versions(run: Run) -> list[tuple[str, str]]:
    out = [("Backend", f"{run.backend}, {run.dtype}"), ("Seed", str(run.options.get("seed", "swept")))]
    packages = dict.fromkeys(("gdjax", "numpy", run.backend))
    out += [(name, found) for name in packages if (found := installed(name)) is not None]
    return [*out, ("Python", platform.python_version())]
