"""Kills runs at random moments, again and again until they end, and holds what they give against a run left alone.

    python benchmarks/kills.py --kills 200

A killed run is started again by the same call, and killed again at another moment. After each kill the checkpoint must
load and hold at least the last edge that was reported as written; at the end every array must be equal bit for bit.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

import gdjax
from gdjax.errors import FileError
from gdjax.runs import checkpoint, resuming

BACKENDS = ("numpy", "jax", "numba")


def single(**kwargs: Any) -> gdjax.Run:
    """One neuron, full batch."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 4))
    y = np.maximum(X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * rng.normal(size=300), 0)
    return gdjax.fit(gdjax.Neuron(), X, y, tolerance=0.0, steps=2_000, **kwargs)


def mini_batch(**kwargs: Any) -> gdjax.Run:
    """One neuron, mini batches that do not divide the rows, a schedule, validation with patience."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(310, 4))
    y = np.maximum(X @ [1.0, -2.0, 0.5, 0.0] + 0.1 * rng.normal(size=310), 0)
    rate = gdjax.schedules.cosine(0.05, steps=2_000)
    held = {"validation": (X[:60], y[:60]), "patience": 200}
    return gdjax.fit(gdjax.Neuron(), X[60:], y[60:], learning_rate=rate, batch_size=33, steps=2_000, **held, **kwargs)


def fleet(**kwargs: Any) -> gdjax.Run:
    """Ragged groups in several slabs; under a rate too large for some they die, and are started anew."""
    rng = np.random.default_rng(3)
    keys = rng.choice(40, size=1_500) ** 2 // 40
    X = rng.normal(size=(1_500, 3))
    y = np.maximum(X @ [1.0, 2.0, -1.0] + rng.normal(size=1_500), 0)
    options = {"seed": 1, "learning_rate": 1.0, "tolerance": 0.0, "memory_limit": 1 << 20, "steps": 400}
    return gdjax.fit(gdjax.Neuron(), X, y, groups=keys, **options, **kwargs)


JOBS: dict[str, Callable[..., gdjax.Run]] = {"single": single, "mini_batch": mini_batch, "fleet": fleet}


def bits(run: gdjax.Run) -> dict[str, Any]:
    """All that a run holds, by its bits."""
    assert run.state is not None
    arrays = {**run.state.arrays(), **{n: np.asarray(getattr(run, n)) for n in ("weights", "bias", "cost", "history")}}
    held: dict[str, Any] = {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in arrays.items()}
    held["status"] = np.asarray(run.status).tolist(), np.asarray(run.reason).tolist(), np.asarray(run.steps).tolist()
    return held


def progress(arrays: Any) -> int:
    """A number that grows from edge to edge."""
    attempts, steps = np.asarray(arrays["attempt"], int).sum(), np.asarray(arrays["state.step"], int).sum()
    return int(attempts * 1_000_000 + (np.asarray(arrays["status"]) != 0).sum() * 10_000 + steps)


def work(job: str, backend: str, path: str | None, pipe: Connection) -> None:
    """A process: runs a job, and tells each checkpoint once it is written, then the result."""
    options: dict[str, Any] = {}
    if path is None:
        options["callback"] = lambda event: pipe.send(0)
    else:
        resuming.INTERVAL, resuming.SHARE = 0.0, float("inf")  # a checkpoint at each edge
        write = checkpoint.write

        def telling(at: Any, arrays: Any, meta: Any) -> None:
            write(at, arrays, meta)
            pipe.send(progress(arrays))

        checkpoint.write = telling
    pipe.send("ready")
    pipe.send(bits(JOBS[job](backend=backend, checkpoint=path, **options)))
    pipe.close()


@dataclass
class Tally:
    """What was seen of one job on one backend."""

    kills: int = 0
    mid_run: int = 0
    """Kills that found a checkpoint to go on from."""
    mid_write: int = 0
    """Kills in the middle of writing one."""
    finished: int = 0
    """Runs that ended and were compared."""
    faults: list[str] = field(default_factory=list)


class Bench:
    """Jobs of one backend, in processes forked from a server that has imported it."""

    def __init__(self, backend: str, folder: Path, moments: random.Random) -> None:
        self.backend, self.folder, self.moments = backend, folder, moments
        self.context = multiprocessing.get_context("forkserver")

    def _start(self, job: str, path: Path | None) -> tuple[Any, Connection]:
        ours, theirs = self.context.Pipe(duplex=False)
        args = (job, self.backend, None if path is None else str(path), theirs)
        process = self.context.Process(target=work, args=args)
        process.start()
        theirs.close()
        if ours.recv() != "ready":
            raise SystemExit(f"{job} on {self.backend} did not start")
        return process, ours

    def whole(self, job: str, path: Path | None = None) -> tuple[dict[str, Any], float]:
        """What the job gives, left alone, and the seconds from its first edge to its end."""
        process, pipe = self._start(job, path)
        first = None
        while not isinstance(message := pipe.recv(), dict):
            first = first or time.monotonic()
        process.join()
        return message, time.monotonic() - (first or time.monotonic())

    def kill(self, job: str, kills: int) -> Tally:
        """Kills the job `kills` times."""
        tally, path = Tally(), self.folder / f"{job}.checkpoint"
        expected, seconds = self.whole(job)
        while tally.kills < kills:
            # mostly while it trains, at times while it starts and compiles
            starting = self.moments.random() < 0.2
            result = self._once(job, path, self.moments.uniform(0, seconds), starting, tally)
            if result is not None:
                self._compare(result, expected, tally)
        self._compare(self.whole(job, path)[0], expected, tally)
        return tally

    def _once(self, job: str, path: Path, moment: float, starting: bool, tally: Tally) -> dict[str, Any] | None:
        """Starts the job and kills it `moment` s after that, or after its first edge; the result where it was done."""
        process, pipe = self._start(job, path)
        last, result = -1, None
        if not starting:
            message = pipe.recv()
            last, result = (last, message) if isinstance(message, dict) else (message, None)
        deadline = time.monotonic() + moment
        while result is None and (left := deadline - time.monotonic()) > 0 and pipe.poll(left):
            message = pipe.recv()
            last, result = (last, message) if isinstance(message, dict) else (message, None)
        if result is not None:
            process.join()
            return result
        process.kill()
        process.join()
        while True:  # what it had told before it died
            try:
                message = pipe.recv() if pipe.poll() else None
            except (EOFError, OSError):
                message = None
            if not isinstance(message, int):
                break
            last = message
        if process.exitcode != -9:
            tally.faults.append(f"exit code {process.exitcode}")
        tally.kills += 1
        tally.mid_write += any(self.folder.glob(".*.tmp"))
        try:
            found = checkpoint.read(path)
        except FileError as error:
            tally.faults.append(f"does not load: {error}")
            return None
        if found is None and last >= 0:
            tally.faults.append("the checkpoint is gone")
        if found is not None:
            tally.mid_run += 1
            if progress(found[0]) < last:
                tally.faults.append(f"told {last} and kept {progress(found[0])}")
        return None

    def _compare(self, result: dict[str, Any], expected: dict[str, Any], tally: Tally) -> None:
        tally.finished += 1
        names = expected.keys() | result.keys()
        tally.faults += [f"{name} differs" for name in names if expected.get(name) != result.get(name)]
        self._clear()

    def _clear(self) -> None:
        for file in self.folder.iterdir():
            file.unlink()


def main() -> int:
    """Prints a table, and gives 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, help="in all")
    parser.add_argument("--backend", action="append", choices=BACKENDS)
    parser.add_argument("--job", action="append", choices=JOBS)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    options = parser.parse_args()
    backends, jobs = options.backend or BACKENDS, options.job or list(JOBS)
    shares = [options.kills // (len(backends) * len(jobs))] * (len(backends) * len(jobs))
    for i in range(options.kills - sum(shares)):
        shares[i] += 1
    preload = ["gdjax", *(f"gdjax_{name}" for name in backends)]
    multiprocessing.get_context("forkserver").set_forkserver_preload(preload)
    moments, share, total, faults = random.Random(options.seed), iter(shares), 0, 0
    began = time.monotonic()
    print("| backend | run | kills | from a checkpoint | while it was written | runs compared | faults |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for backend in backends:
        for job in jobs:
            with tempfile.TemporaryDirectory() as folder:
                tally = Bench(backend, Path(folder), moments).kill(job, next(share))
            total, faults = total + tally.kills, faults + len(tally.faults)
            counts = (tally.kills, tally.mid_run, tally.mid_write, tally.finished, len(tally.faults))
            print(f"| {backend} | {job} | {' | '.join(map(str, counts))} |", flush=True)
            for fault in tally.faults:
                print(f"  {backend} {job}: {fault}", file=sys.stderr)
    print(f"\n{total} kills, {faults} faults, {time.monotonic() - began:.0f} s, gdjax {version('gdjax')}")
    return int(faults > 0)


if __name__ == "__main__":
    sys.exit(main())
