"""Plots of a run (extra `report`): matplotlib figures, and the same as SVG that is equal to the byte for equal runs."""

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gdjax.errors import BackendError, UsageError
from gdjax.fitting import fit
from gdjax.rates import SHORT, learning_rates
from gdjax.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, RED, GREEN, GREY = "#2f7ebd", "#c2661b", "#d1433b", "#2c8a57", "#7a7f87"
"""Each at 3:1 or more against white and against the dark page."""

COLOURS = {"converged": GREEN, "max_steps": ORANGE}
INK = "#0a0b0c"
"""Text and axes; in a page it becomes the page's own colour."""

GRID = 61
MOST_ROWS = 5_000
"""Rows that a landscape is computed on, drawn evenly from more."""


@dataclass(frozen=True)
class Plots:
    """`run.plot`: each method gives a `matplotlib.figure.Figure`.

    Those that need the data take them again: a run does not hold them. `figure.savefig(path)` writes one.

    Raises:
        BackendError: matplotlib is not installed.
        UsageError: a plot that does not fit the run, such as `sweep()` of one neuron.
    """

    run: Run

    def cost(self) -> "Figure":
        """The cost at each step that was recorded, each neuron a line; logarithmic where they span a decade."""
        run = self.run
        figure, axes = _figure()
        history = np.atleast_2d(run.history)
        shown = history if len(history) <= 32 else history[np.linspace(0, len(history) - 1, 32).astype(int)]
        labels = [""] * len(shown) if run.single or len(history) > 8 else _names(run)
        for line, label in zip(shown, labels, strict=True):
            known = np.isfinite(line)
            mark = "o" if known.sum() == 1 else None
            axes.plot(
                run.history_steps[known], line[known], lw=1.8 if run.single else 1.2,
                alpha=1 if len(shown) < 9 else 0.6, color=BLUE if run.single or not label else None,
                label=label or None, marker=mark,
            )  # fmt: skip
        _scale(axes, history)
        axes.set(xlabel="step", ylabel="cost", title="Cost of each step")
        if any(labels):
            axes.legend(frameon=False, labelcolor=INK)
        return figure

    def landscape(self, X: Any, y: Any, directions: tuple[Any, Any] | None = None) -> "Figure":
        """The cost over two directions through the end of the descent, with the descent's path on it.

        The path is the run made again with fewer steps; the directions are its two principal ones (Li et al., 2018), or
        those given, each (D + 1,), the bias last.

        Args:
            X: (N, D)
            y: (N,)
            directions: two vectors in raw units.
        """
        run = self._one("landscape")
        X, y = self._data(X, y)
        path = self._path(X, y)
        end = np.append(run.weights, run.bias)
        scale = np.append(np.where(X.std(axis=0) > 0, 1 / np.where(X.std(axis=0) > 0, X.std(axis=0), 1), 1), 1.0)
        if directions is None:
            first, second = _principal((path - end) / scale) * scale
        else:
            first, second = (np.asarray(d, float) for d in directions)
        basis = np.stack([first, second], axis=1)
        at = np.linalg.lstsq(basis / scale[:, None], ((path - end) / scale).T, rcond=None)[0]
        spans = []
        for t in at:
            low, high = min(t.min(), 0.0), max(t.max(), 0.0)
            room = 0.35 * max(high - low, 0.1 * np.ptp(at), 1e-3)
            spans.append(np.linspace(low - room, high + room, GRID))
        a, b = np.meshgrid(*spans)
        theta = end + a.reshape(-1, 1) * first + b.reshape(-1, 1) * second
        cost = self._costs(theta, X, y).reshape(a.shape)
        figure, axes = _figure(wide=6.4, high=4.6)
        finite = cost[np.isfinite(cost)]
        low = float(finite.min())
        levels = low + (np.quantile(finite, 0.98) - low) * np.linspace(0, 1, 15) ** 2
        if levels[-1] > levels[0]:
            import matplotlib

            levels = np.unique(levels)
            # neither the end that is lost on a dark page nor the one that is on a light one
            colours = matplotlib.colormaps["viridis"](np.linspace(0.35, 0.85, len(levels)))
            shown = axes.contour(a, b, cost, levels=levels, colors=colours, linewidths=1)
            _bar(figure, axes, shown, "cost")
        axes.plot(at[0], at[1], "-o", color=ORANGE, ms=3, lw=1.5, label="path of the descent")
        axes.plot(0, 0, "*", color=RED, ms=12, label="its end")
        axes.set(xlabel="first direction", ylabel="second direction", title="Cost around the end of the descent")
        _legend_below(figure)
        return figure

    def residuals(self, X: Any, y: Any, groups: Any = None) -> "Figure":
        """y minus prediction over the prediction, at most 5,000 rows, and their distribution beside it.

        Rows of groups that are not trained are left out.

        Args:
            X: (N, D)
            y: (N,)
            groups: (N,) keys, for a run with groups.
        """
        predicted, _ = self.run._predicted(X, groups)
        if predicted.ndim != 1:
            raise UsageError("residuals: a sweep has many predictions a row: plot those of one neuron")
        y = np.asarray(y, float)
        if y.shape != predicted.shape:
            raise UsageError(f"residuals: y of shape {y.shape} for {predicted.shape} predictions: pass one y a row")
        rest = y - predicted
        known = np.isfinite(rest)
        at = _spread(int(known.sum()), MOST_ROWS)
        figure, axes = _figure(columns=2, wide=7.6, ratios=(3, 1), sharey=True)
        axes[0].axhline(0, color=INK, lw=0.8)
        axes[0].scatter(predicted[known][at], rest[known][at], s=9, color=BLUE, alpha=0.5, linewidths=0)
        axes[0].set(xlabel="prediction", ylabel="y - prediction", title="Residuals")
        axes[1].hist(rest[known], bins=40, orientation="horizontal", color=BLUE)
        axes[1].set(xlabel="rows")
        _whole(axes[1].xaxis)
        return figure

    def fleet(self) -> "Figure":
        """How many neurons ended how, in how many steps, and how well they fit."""
        run = self.run
        if run.single:
            raise UsageError("fleet: this run is one neuron: plot.cost() shows it")
        figure, axes = _figure(columns=3, wide=9.6, high=3.2)
        counts = run.counts()
        names = list(counts)[::-1]
        bars = axes[0].barh(names, [counts[n] for n in names], color=[COLOURS.get(n, RED) for n in names])
        axes[0].bar_label(bars, padding=3, color=INK)
        axes[0].set(title="Status", xlabel="models")
        axes[0].margins(x=0.2)
        steps = np.asarray(run.steps)[np.asarray(run.steps) > 0]
        if len(steps):
            edges = np.unique(np.geomspace(1, max(2, steps.max() + 1), 30))
            axes[1].hist(steps, bins=edges, color=BLUE)
            axes[1].set_xscale("log")
        axes[1].set(title="Steps", xlabel="steps")
        r2 = np.asarray(run.r2, float)
        r2 = r2[np.isfinite(r2)]
        if len(r2):
            axes[2].hist(np.clip(r2, -0.05, 1), bins=np.linspace(-0.05, 1, 43), color=BLUE)
        axes[2].set(title="R\N{SUPERSCRIPT TWO} (below 0 at the left edge)", xlabel="R\N{SUPERSCRIPT TWO}")
        for counted in (axes[0].xaxis, axes[1].yaxis, axes[2].yaxis):
            _whole(counted)
        return figure

    def sweep(self) -> "Figure":
        """The cost, on the held-out fold where there are folds, over the two values that were swept."""
        run = self.run
        if not run.swept:
            raise UsageError("sweep: this run is no sweep: use gdjax.sweep")
        cost = np.asarray(run.cost if run.validation_cost is None else run.validation_cost, float)
        # what diverged gives back its best finite parameters: their cost says nothing of its rate
        cost = np.where(np.isin(run.status, ["converged", "max_steps"]), cost, np.nan)
        kept = np.ones(len(cost), bool)
        fold = run.swept.get("fold")
        if fold is not None and (fold >= 0).any():
            kept = fold >= 0
        # an automatic rate, NaN, has no place on an axis
        over = [n for n in run.swept if n != "fold" and len(np.unique(run.swept[n][~np.isnan(run.swept[n])])) > 1]
        figure, axes = _figure(wide=6.4, high=4.2)
        label = "cost" if run.validation_cost is None else "validation cost"
        if len(over) < 2:
            name = over[0] if over else "seed"
            x = run.swept[name].astype(float)
            order = np.argsort(x[kept], kind="stable")
            axes.plot(x[kept][order], cost[kept][order], "o-" if over else "o", color=BLUE, ms=5)
            if (x[kept] > 0).all() and over:
                axes.set_xscale("log")
            axes.set(xlabel=_label(name), ylabel=label, title="Sweep")
            return figure
        first, second = over[:2]
        rows, columns = np.unique(run.swept[first]), np.unique(run.swept[second])
        grid = np.full((len(rows), len(columns)), np.nan)
        for i, a in enumerate(rows):
            for j, b in enumerate(columns):
                here = cost[kept & (run.swept[first] == a) & (run.swept[second] == b)]
                grid[i, j] = here.mean() if len(here) and np.isfinite(here).all() else np.nan
        axes.grid(False)
        shown = axes.pcolormesh(grid, cmap="viridis", edgecolors="none", rasterized=False)
        axes.set_xticks(
            np.arange(len(columns)) + 0.5, [f"{v:g}" for v in columns], rotation=45 if len(columns) > 6 else 0
        )
        axes.set_yticks(np.arange(len(rows)) + 0.5, [f"{v:g}" for v in rows])
        axes.set(xlabel=_label(second), ylabel=_label(first), title="Sweep (blank: failed)")
        if np.isfinite(grid).any():
            low, left = divmod(int(np.nanargmin(grid)), grid.shape[1])
            axes.plot(left + 0.5, low + 0.5, "*", color=RED, ms=13)
        _bar(figure, axes, shown, f"{label} (star: least)")
        return figure

    def learning_rate(self, X: Any, y: Any) -> "Figure":
        """The cost after 50 steps at each of 64 rates, all trained at once; the largest stable one and theory's bound.

        Args:
            X: (N, D)
            y: (N,)
        """
        run = self._one("learning_rate")
        known = {k: run.options[k] for k in ("method", "standardize", "batch_size", "seed") if k in run.options}
        found = learning_rates(run.neuron, X, y, backend=run.backend, dtype=run.dtype, **known)
        figure, axes = _figure()
        known = np.isfinite(found.cost) & ~found.failed
        axes.plot(found.rate[known], found.cost[known], "o-", color=BLUE, ms=3, label=f"cost after {SHORT} steps")
        for rate in found.rate[found.failed]:
            axes.axvspan(rate / found.ratio, rate * found.ratio, color=RED, alpha=0.12, linewidth=0)
        if found.stable is not None:
            axes.axvline(found.stable, color=GREEN, label=f"largest that was stable: {found.stable:.3g}")
        if found.theory is not None:
            axes.axvline(found.theory, color=ORANGE, ls="--", label=f"theory's bound: {found.theory:.3g}")
        axes.set_xscale("log")
        _scale(axes, found.cost[known])
        axes.set(xlabel="learning rate", ylabel="cost", title="Learning rates (red: diverged or dead)")
        _legend_below(figure)
        return figure

    def _one(self, name: str) -> Run:
        if not self.run.single:
            raise UsageError(f"{name}: it is of one neuron, and this run has {self.run.models}")
        return self.run

    def _data(self, X: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
        X = self.run._columns(X)
        y = np.asarray(y, float)
        at = _spread(len(X), MOST_ROWS)
        return X[at], y[at]

    def _path(self, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        run = self.run
        ends = np.unique(np.round(np.geomspace(1, max(1, run.steps), 24)).astype(int))
        given = {k: v for k, v in run.options.items() if k not in ("groups", "steps", "patience", "min_rows")}
        given |= {"dtype": "float64", "tolerance": 0.0, "verify": False, "backend": "numpy"}
        points = [fit(run.neuron, X, y, steps=int(n), **given) for n in ends]
        return np.array([np.append(p.weights, p.bias) for p in points])

    def _costs(self, theta: np.ndarray, X: np.ndarray, y: np.ndarray) -> np.ndarray:
        neuron = self.run.neuron
        pointwise = neuron.pointwise(np)
        out = np.empty(len(theta))
        step = max(1, (1 << 22) // len(X))
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(theta), step):
                part = theta[start : start + step]
                z = part[:, :-1] @ X.T + part[:, -1:]
                out[start : start + step] = pointwise.cost(z, np.broadcast_to(y, z.shape)).mean(axis=1)
        # a penalty is of the columns that the descent saw
        size = theta[:, :-1] * (X.std(axis=0) if self.run.options.get("standardize", True) else 1)
        return np.asarray(out + neuron.l2 * (size**2).sum(axis=1) + neuron.l1 * np.abs(size).sum(axis=1))


def svg(figure: "Figure", name: str) -> str:
    """The figure as an SVG element: text as text, ids of its own, ink in the page's colour, no date."""
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", text)
    text = re.sub(r"font: ([^;\"]*?)'[^;\"]*", r"font: \1sans-serif", text)
    return text.replace(INK, "currentColor").strip()


def _figure(*, columns: int = 1, wide: float = 6.4, high: float = 3.6, **grid: Any) -> tuple["Figure", Any]:
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise BackendError("plots need 'matplotlib', which is not installed: pip install 'gdjax[report]'") from error
    ratios = grid.pop("ratios", None)
    # read when a thing is drawn for the first time, so held around all of it
    with matplotlib.rc_context({"axes.edgecolor": INK, "axes.labelcolor": INK, "text.color": INK, "font.size": 11}):
        figure = Figure(figsize=(wide, high), layout="constrained")
        axes = figure.subplots(1, columns, width_ratios=ratios, **grid)
        for each in np.ravel(axes):
            _plain_axes(each)
    return figure, axes


def _plain_axes(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(which="both", colors=INK)
    axes.grid(color=GREY, alpha=0.25, lw=0.6)
    axes.set_axisbelow(True)


def _whole(axis: Any) -> None:
    """Ticks of counts, which have no halves."""
    from matplotlib.ticker import MaxNLocator

    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def _scale(axes: "Axes", cost: np.ndarray) -> None:
    """Logarithmic where costs span a decade: within one its ticks are long numbers, and the curve is the same."""
    finite = cost[np.isfinite(cost)]
    if len(finite) and 0 < 10 * finite.min() <= finite.max():
        axes.set_yscale("log")


def _legend_below(figure: "Figure") -> None:
    figure.legend(loc="outside lower center", ncols=3, frameon=False, labelcolor=INK, fontsize="small")


def _bar(figure: "Figure", axes: "Axes", shown: Any, label: str) -> None:
    bar = figure.colorbar(shown, ax=axes)
    bar.set_label(label, color=INK)
    bar.ax.tick_params(which="both", colors=INK)
    bar.outline.set_edgecolor(INK)


def _names(run: Run) -> list[str]:
    if run.groups is not None:
        return [str(k) for k in run.groups]
    return [swept_name(run, k, varied(run)) for k in range(run.models)]


def varied(run: Run) -> list[str]:
    """What takes more than one value in a sweep."""
    return [name for name, values in run.swept.items() if len(np.unique(values)) > 1]


def swept_name(run: Run, k: int, names: list[str]) -> str:
    """The values `names` of neuron k."""
    return ", ".join(f"{_label(name)} {run.swept[name][k]:g}" for name in names)


def _label(name: str) -> str:
    return "learning rate" if name == "swept_rate" else name


def _principal(steps: np.ndarray) -> np.ndarray:
    """(2, P) the two main directions of the steps; where they have only one, an axis beside it."""
    _, size, right = np.linalg.svd(steps, full_matrices=True)
    first = right[0] if size[0] > 0 else np.eye(steps.shape[1])[0]
    if steps.shape[1] == 1:
        raise UsageError("landscape: a neuron of one parameter has one direction: plot.cost() shows its descent")
    second = right[1]
    return np.stack([first, second])


def _spread(count: int, most: int) -> np.ndarray:
    return np.unique(np.linspace(0, max(0, count - 1), min(count, most)).round().astype(int)) if count else np.arange(0)


__all__ = ["Plots", "svg", "swept_name", "varied"]
