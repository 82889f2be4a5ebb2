"""SIGINT and SIGTERM end ``gdjax fit`` at the edge of a chunk, with a checkpoint and the exit code that shells know."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax import tables
from gdjax.cli import main
from gdjax.cli.options import OutputOptions
from gdjax.cli.training import train
from gdjax.runs import checkpoint
from gdjax.signals import Stop, exit_codes, stop_at_edges

STEPS = 6_000


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    X = rng.normal(size=(300, 3))
    rows = np.column_stack([X, X @ [1.0, 2.0, 3.0] + rng.normal(size=300)])
    path = tmp_path / "t.csv"
    np.savetxt(path, rows, delimiter=",", header="a,b,c,y", comments="")
    return path


def command(table: Path, checkpoint_path: Path, *more: str) -> list[str]:
    program = [sys.executable, "-c", "from gdjax.cli import main; main()"]
    options = ["--target", "y", "--activation", "identity", "--backend", "numpy", "--tolerance", "0", "--json"]
    return [*program, "fit", str(table), *options, "--steps", str(STEPS), "--checkpoint", str(checkpoint_path), *more]


def interrupted(arguments: list[str], path: Path, number: int) -> subprocess.CompletedProcess[str]:
    """Starts the command and sends it a signal once it has begun to train."""
    before = path.stat().st_mtime_ns if path.exists() else None
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and (not path.exists() or path.stat().st_mtime_ns == before):
        time.sleep(0.01)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(arguments, process.returncode, out, err)


def step_of(path: Path) -> int:
    found = checkpoint.read(path)
    assert found is not None
    return int(found[0]["state.step"][0])


def test_stopped_twice_and_ended_it_gives_what_one_run_gives(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "c"
    arguments = command(table, path)
    steps = [0]
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        stopped = interrupted(arguments, path, number)
        assert stopped.returncode == code
        assert stopped.stdout == ""
        assert len(stopped.stderr.splitlines()) == 1, stopped.stderr
        assert "goes on from" in stopped.stderr
        steps.append(step_of(path))
    # the edge of a chunk, and further each time
    assert steps == sorted(set(steps))
    assert all(step % 100 == 0 and step < STEPS for step in steps)
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0, ended.stderr
    alone = subprocess.run(command(table, tmp_path / "other"), capture_output=True, text=True, timeout=60)
    assert json.loads(ended.stdout) == json.loads(alone.stdout)
    assert step_of(path) == STEPS
    kept, expected = checkpoint.read(path), checkpoint.read(tmp_path / "other")
    assert kept is not None
    assert expected is not None
    assert {k: v.tobytes() for k, v in kept[0].items()} == {k: v.tobytes() for k, v in expected[0].items()}


def test_a_run_without_a_checkpoint_writes_nothing(table: Path, tmp_path: Path) -> None:
    # the signal comes while it starts, reads or trains
    arguments = command(table, tmp_path / "c", "-o", str(tmp_path / "run"), "--steps", "10000000")
    at = arguments.index("--checkpoint")
    del arguments[at : at + 2]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    # until the handlers stand: Linux tells which signals are caught
    while process.poll() is None and not _caught(process.pid, signal.SIGTERM):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, err
    assert out == ""
    assert "Traceback" not in err
    assert sorted(file.name for file in tmp_path.iterdir()) == ["t.csv"]


def test_what_an_interrupted_compiler_left_is_not_taken_down(table: Path, tmp_path: Path) -> None:
    """LLVM crashes at it: where Python ends as usual, so does this process."""
    python, flag, program, *rest = command(table, tmp_path / "c")
    arguments = [python, flag, f"import atexit, os; atexit.register(os.abort); {program}", *rest]
    assert interrupted(arguments, tmp_path / "c", signal.SIGINT).returncode == 130


def _caught(process: int, number: int) -> bool:
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith("SigCgt:"):
            return bool(int(line.split()[1], 16) >> (number - 1) & 1)
    return False


def swallowed() -> None:
    """A signal while a callback runs, in which Python loses what is raised: compilers have many."""

    class Thing:
        pass

    thing = Thing()
    held = weakref.ref(thing, lambda _: signal.raise_signal(signal.SIGINT))
    del thing
    assert held() is None
    end = time.monotonic() + 20
    while time.monotonic() < end:
        pass


@pytest.mark.parametrize("lost", [False, True])
def test_without_a_checkpoint_it_ends_at_once(lost: bool, capsys: pytest.CaptureFixture[str]) -> None:
    begun: list[str] = []

    def fit(callback: object) -> Any:
        if lost:
            swallowed()
        else:
            signal.raise_signal(signal.SIGINT)
        begun.append("went on")

    with pytest.raises(SystemExit) as left, exit_codes():
        train(fit, None, OutputOptions(), None, lambda *_: None, strict=False)  # type: ignore[arg-type]
    assert left.value.code == 130
    assert "went on" not in begun
    out, error = capsys.readouterr()
    assert (out, len(error.splitlines())) == ("", 1)
    assert "--checkpoint" in error


@pytest.mark.parametrize(
    "command", [["compare", "{t}", "--target", "y"], ["predict", "{run}", "{t}"], ["report", "{run}", "{t}"]]
)
def test_one_that_a_library_swallows_while_it_reads_ends_it_there(
    command: list[str], table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, read = tmp_path / "run", tables.read
    gdjax.fit(gdjax.Neuron(), np.ones((9, 3)), np.ones(9), features=["a", "b", "c"], backend="numpy").save(run)
    before = sorted(tmp_path.iterdir())

    def swallowing(*arguments: Any, **options: Any) -> Any:
        with contextlib.suppress(SystemExit):  # as pyarrow does while it imports pandas
            signal.raise_signal(signal.SIGINT)
        return read(*arguments, **options)

    monkeypatch.setattr(tables, "read", swallowing)
    with pytest.raises(SystemExit) as left:
        main([part.format(t=table, run=run) for part in command])
    assert left.value.code == 130
    assert capsys.readouterr().out == ""
    assert sorted(tmp_path.iterdir()) == before


def test_one_that_a_library_swallows_in_a_run_ends_it_at_the_next_edge() -> None:
    edges = []

    def callback(event: Any) -> None:
        edges.append(event.step)
        with contextlib.suppress(SystemExit):
            signal.raise_signal(signal.SIGTERM)

    X = np.arange(10.0)[:, None]
    with pytest.raises(SystemExit) as left, exit_codes():
        gdjax.fit(gdjax.Neuron(), X, X[:, 0] ** 2, backend="numpy", tolerance=0.0, callback=Stop(callback))
    assert (left.value.code, edges) == (143, [100])


def test_a_terminal_is_told_what_is_waited_for(table: Path, tmp_path: Path) -> None:
    path = tmp_path / "c"
    leader, follower = pty.openpty()
    process = subprocess.Popen(command(table, path), stdout=subprocess.PIPE, stderr=follower)
    os.close(follower)
    while process.poll() is None and not path.exists():
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    said = b""
    with contextlib.suppress(OSError):  # Linux says so when the other side is closed
        while part := os.read(leader, 1 << 16):
            said += part
    os.close(leader)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, b"")
    assert b"once more stops at once" in said
    assert said.index(b"once more stops at once") < said.index(b"goes on from")


def test_a_second_signal_does_what_it_did_before() -> None:
    with stop_at_edges() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.exit_code == 130
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_handlers_are_put_back_and_ignored_signals_stay_ignored() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with exit_codes(), stop_at_edges() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stop_at_edges() as stop:
            os.kill(os.getpid(), signal.SIGINT)
            assert stop.received is None
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def test_outside_a_run_a_signal_unwinds() -> None:
    with pytest.raises(SystemExit) as left, exit_codes():
        signal.raise_signal(signal.SIGTERM)
    assert left.value.code == 143


def test_what_a_library_swallows_ends_the_program_all_the_same() -> None:
    begun = []

    def program() -> None:
        with exit_codes():
            with contextlib.suppress(SystemExit):  # as pyarrow does while it imports pandas
                signal.raise_signal(signal.SIGINT)
            begun.append("reads")
            with stop_at_edges():
                begun.append("trains")

    with pytest.raises(SystemExit) as left:
        program()
    assert (left.value.code, begun) == (130, ["reads"])
    with exit_codes(), stop_at_edges():
        pass  # it is forgotten with the program that it ended


def test_other_threads_may_fit_too() -> None:
    X = np.arange(10.0)[:, None]
    runs = []

    def fit() -> None:
        with stop_at_edges() as stop:
            runs.append(gdjax.fit(gdjax.Neuron("identity"), X, 2 * X[:, 0], backend="numpy", callback=stop))

    thread = threading.Thread(target=fit)
    thread.start()
    thread.join()
    assert runs[0].status == "converged"
