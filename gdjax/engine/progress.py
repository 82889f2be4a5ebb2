"""A progress bar on stderr: cost and rate while one neuron is trained; done, failing and running for many."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from gdjax.status import FAILED, NAMES

if TYPE_CHECKING:
    from types import TracebackType

    from gdjax.event import Callback, Event

__all__ = ["ProgressBar", "shown"]

_FAILED = frozenset(NAMES[code] for code in FAILED)


@contextmanager
def shown(progress: bool, callback: Callback | None = None) -> Iterator[Callback | None]:
    """The callback that also draws a progress bar, where one is wanted; it goes when the run ends, however that is."""
    if not progress:
        yield callback
        return
    with ProgressBar() as bar:

        def both(event: Event) -> Any:
            bar(event)
            return None if callback is None else callback(event)

        yield both


class ProgressBar:
    """A callback of `gdjax.fit` that draws where the run is; leaves nothing behind when it ends.

    >>> from gdjax.event import Event
    >>> ProgressBar.describe(Event(100, 1000, 1, {}, 1, 2.5, 0.1, 0.3))
    'step 100 of 1,000, cost 2.5, rate 0.1'
    >>> ProgressBar.describe(Event(100, 1000, 50, {"converged": 9, "dead": 1}, 40, 2.5, 0.1, 0.3))
    '10 of 50 models done, 1 failed, 40 running, at step 100'
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None

    def __call__(self, event: Event) -> None:
        """Draw ``event``."""
        if self._bar is None:
            self._start()
        self._bar.update(self._task, completed=self.fraction(event), what=self.describe(event))
        self._bar.refresh()

    @staticmethod
    def fraction(event: Event) -> float:
        """How much of the run is behind, from 0 to 1."""
        done = sum(event.counts.values())
        return (done + event.running * event.step / event.steps) / max(1, event.models)

    @staticmethod
    def describe(event: Event) -> str:
        """The run in a line."""
        if event.models == 1:
            return f"step {event.step:,} of {event.steps:,}, cost {event.cost:.6g}, rate {event.learning_rate:.3g}"
        failed = sum(n for name, n in event.counts.items() if name in _FAILED)
        done = sum(event.counts.values())
        return (
            f"{done:,} of {event.models:,} models done, {failed:,} failed, {event.running:,} running, "
            f"at step {event.step:,}"
        )

    def close(self) -> None:
        """Take the bar away."""
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        # No thread of its own: it is drawn when the engine calls.
        self._bar = Progress(
            BarColumn(),
            TextColumn("{task.fields[what]}", markup=False),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            auto_refresh=False,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=1.0, what="")
