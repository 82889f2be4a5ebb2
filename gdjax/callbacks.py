"""Callbacks: anything called with an `Event` between chunks; history to CSV, lines to `logging`, and several at once.

A callback that returns True ends the run there, with a checkpoint where one is kept.
"""

import csv
import logging
import math
from dataclasses import dataclass, fields
from pathlib import Path

from gdjax.errors import FileError
from gdjax.event import Callback, Event, ends
from gdjax.status import NAMES

__all__ = ["CSVHistory", "Callback", "Event", "Log", "Together"]

_STATUSES = NAMES[1:]


@dataclass(frozen=True)
class CSVHistory:
    """Appends a row to a CSV file at each edge of a chunk: the event's numbers, and a column a status.

    A row is on disk before the next chunk begins, so a killed run leaves all that it told. A run that is resumed goes
    on in the same file.

    Args:
        path: the file; its header is written where it is new or empty.

    >>> import tempfile, numpy as np, gdjax
    >>> path = Path(tempfile.mkdtemp()) / "history.csv"
    >>> X = np.arange(8.0)[:, None]
    >>> run = gdjax.fit(gdjax.Neuron(), X, X[:, 0], steps=200, tolerance=0, backend="numpy", callback=CSVHistory(path))
    >>> [line.split(",")[0] for line in path.read_text().splitlines()]
    ['step', '100', '200']
    """

    path: str | Path

    def __call__(self, event: Event) -> None:
        """Writes the row.

        Raises:
            FileError: the file cannot be written.
        """
        numbers = {f.name: getattr(event, f.name) for f in fields(event) if f.name != "counts"}
        row = {name: "" if isinstance(v, float) and math.isnan(v) else v for name, v in numbers.items()}
        row |= {name: event.counts.get(name, 0) for name in _STATUSES}
        try:
            with open(self.path, "a", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(row))
                if file.tell() == 0:
                    writer.writeheader()
                writer.writerow(row)
        except OSError as error:
            raise FileError(f"{self.path}: the history cannot be written: {error.strerror or error}") from error


@dataclass(frozen=True)
class Log:
    """A line to a logger at each edge of a chunk.

    Args:
        logger: the name of it.
        level: of `logging`.
    """

    logger: str = "gdjax"
    level: int = logging.INFO

    def __call__(self, event: Event) -> None:
        """Logs the line."""
        ended = ", ".join(f"{n} {name}" for name, n in event.counts.items())
        logging.getLogger(self.logger).log(
            self.level, "step %d of %d, cost %.6g, learning rate %.4g, %d running%s, %.1f s",
            event.step, event.steps, event.cost, event.learning_rate, event.running, f", {ended}" if ended else "",
            event.seconds,
        )  # fmt: skip


@dataclass(frozen=True)
class Together:
    """Several callbacks as one, each called in turn; the run ends where any of them says so."""

    callbacks: tuple[Callback, ...]

    def __init__(self, *callbacks: Callback) -> None:
        object.__setattr__(self, "callbacks", callbacks)

    def __call__(self, event: Event) -> bool:
        """Calls them all, and tells whether one returned True."""
        answers = [ends(callback(event)) for callback in self.callbacks]
        return any(answers)
