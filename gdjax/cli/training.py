"""What fit and sweep share: a run with a progress bar that a signal ends at the edge of a chunk, and its end told."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from gdjax.cli.naming import told
from gdjax.cli.options import OutputOptions
from gdjax.cli.output import print_json, run_json
from gdjax.engine.progress import shown
from gdjax.errors import printable
from gdjax.signals import Stop, stop_at_edges
from gdjax.sweeping import ALL_ROWS, best_if_any

if TYPE_CHECKING:
    from gdjax.runs.run import Run
    from gdjax.tables import Table

__all__ = ["exit_code", "train", "why_none"]


def train(
    fit: Callable[..., Run],
    table: Table,
    output: OutputOptions,
    checkpoint: Any,
    show: Callable[[Run, float], None],
    *,
    strict: bool,
) -> int:
    """Call ``fit(callback=...)``, tell what came of it, save it, and return the exit code."""
    began = time.perf_counter()
    visible = not output.quiet and sys.stderr.isatty()
    with shown(visible) as bar:
        if checkpoint is None:
            # nothing is kept, so that there is no edge to wait for
            stop = Stop(bar)
            with _told():
                run = fit(callback=stop)
        else:
            with stop_at_edges(bar, _heard) as stop:
                run = fit(callback=stop)
    seconds = time.perf_counter() - began
    if stop.received is not None:
        print(f"gdjax: stopped between two chunks; the same command goes on from {checkpoint}", file=sys.stderr)
        return stop.exit_code
    run = dataclasses.replace(run, source=table.recipe)
    if output.output is not None:
        run.save(output.output)
    if output.json:
        print_json(run_json(run))
        _warn(run)
    else:
        show(run, seconds)
        if output.output is not None:
            from gdjax.cli.output import console, safe

            console().print(safe(f"saved to {output.output}"))
    return exit_code(run, strict)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except SystemExit:
        print("gdjax: stopped; with --checkpoint FILE the same command would go on from there", file=sys.stderr)
        raise


def _heard(_: int) -> None:
    """On a terminal, says what is waited for. It may have come in the middle of a print, so it does not print."""
    if sys.stderr.isatty():
        line = "gdjax: stopping at the edge of this chunk, for the checkpoint; once more stops at once"
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), f"\r\x1b[2K{line}\r\n".encode())


def _warn(run: Run) -> None:
    """What the JSON leaves unsaid, on stderr: why one neuron did not converge, or how many failed."""
    counts = run.counts()
    if run.single and run.status != "converged":
        print(f"gdjax: warning: {run.status}: {printable(told(run.reason, run))}", file=sys.stderr)
    if run.swept and best_if_any(run) is None:
        print(f"gdjax: warning: no combination can be used: {printable(told(why_none(run), run))}", file=sys.stderr)
        return
    failed = sum(n for status, n in counts.items() if status not in ("converged", "max_steps"))
    if failed and not run.single:
        print(f"gdjax: warning: {failed:,} of {run.models:,} models failed", file=sys.stderr)


def why_none(run: Run) -> str:
    """Why no combination of a sweep can be used: what most neurons failed for; all may be trained, and predict what
    overflows."""
    reasons = [str(r) for r, s in zip(run.reason, run.status, strict=True) if s not in ("converged", "max_steps")]
    judged = "the validation table" if (run.swept["fold"] == ALL_ROWS).all() else "a fold that was left out"
    far = f"the cost of {judged} overflows; look for a row far from the others"
    return max(reasons, key=reasons.count, default=far)


def exit_code(run: Run, strict: bool) -> int:
    """4 where one neuron diverged or is dead, or no combination of a sweep can be used; with ``strict``, where any is
    not converged."""
    if run.swept and best_if_any(run) is None:
        return 4
    found = set(run.counts())
    if strict:
        return 0 if found <= {"converged"} else 4
    return 4 if run.single and found <= {"diverged", "dead"} else 0
