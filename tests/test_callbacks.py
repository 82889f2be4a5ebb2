"""Callbacks: what is told is what the run did, a killed process leaves its rows, and True ends a run."""

import csv
import logging
import subprocess
import sys
import time

import numpy as np
import pytest

import gdjax
from gdjax.callbacks import CSVHistory, Log, Together
from gdjax.errors import FileError, UsageError

RNG = np.random.default_rng(0)
X = RNG.standard_normal((60, 2))
Y = np.maximum(0, X[:, 0] + 1) + 0.1 * RNG.standard_normal(60)
GIVEN = {"steps": 500, "tolerance": 0, "method": "plain", "learning_rate": 0.01, "backend": "numpy"}


def rows(path):
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_csv_holds_the_history(tmp_path):
    path = tmp_path / "history.csv"
    run = gdjax.fit(gdjax.Neuron(), X, Y, callback=CSVHistory(path), **GIVEN)
    told = rows(path)
    assert [int(r["step"]) for r in told] == [100, 200, 300, 400, 500]
    at = [int(np.flatnonzero(run.history_steps == s - 1)[0]) for s in (100, 200, 300, 400, 500)]
    np.testing.assert_array_equal([float(r["cost"]) for r in told], run.history[at])
    assert told[-1]["max_steps"] == "1"
    assert told[0]["running"] == "1"
    seconds = [float(r["seconds"]) for r in told]
    assert seconds == sorted(seconds)


def test_a_second_run_goes_on_in_the_same_file(tmp_path):
    path = tmp_path / "history.csv"
    for _ in range(2):
        gdjax.fit(gdjax.Neuron(), X, Y, callback=CSVHistory(path), **GIVEN)
    assert len(rows(path)) == 10
    assert path.read_text().count("step,") == 1


def test_a_killed_process_leaves_whole_rows(tmp_path):
    path = tmp_path / "history.csv"
    code = (
        "import numpy as np, gdjax, sys; from gdjax.callbacks import CSVHistory\n"
        "X = np.random.default_rng(0).standard_normal((60, 2))\n"
        "gdjax.fit(gdjax.Neuron(), X, X[:, 0] + 3, steps=10**8, tolerance=0, method='plain', learning_rate=1e-9,\n"
        "          backend='numpy', callback=CSVHistory(sys.argv[1]))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(path)])
    try:
        for _ in range(300):
            time.sleep(0.1)
            if path.exists() and path.read_text().count("\n") > 5:
                break
    finally:
        process.kill()
        process.wait(20)
    told = rows(path)
    assert len(told) >= 4
    assert [int(r["step"]) for r in told] == [100 * (i + 1) for i in range(len(told))]
    assert all(None not in r.values() for r in told)


def test_a_path_that_cannot_be_written_is_one_line(tmp_path):
    with pytest.raises(FileError, match="the history cannot be written") as caught:
        gdjax.fit(gdjax.Neuron(), X, Y, callback=CSVHistory(tmp_path / "no" / "history.csv"), **GIVEN)
    assert "\n" not in str(caught.value)


def test_log_lines_reach_the_logger(caplog):
    with caplog.at_level(logging.INFO, logger="mine"):
        gdjax.fit(gdjax.Neuron(), X, Y, callback=Log("mine"), **GIVEN)
    lines = [r.getMessage() for r in caplog.records if r.name == "mine"]
    assert len(lines) == 5
    assert lines[0].startswith("step 100 of 500, cost ")
    assert "1 max_steps" in lines[-1]


def test_all_are_called_and_any_ends_the_run(tmp_path):
    seen = []
    stop = lambda event: event.step >= 200  # noqa: E731
    run = gdjax.fit(gdjax.Neuron(), X, Y, callback=Together(stop, seen.append, CSVHistory(tmp_path / "h.csv")), **GIVEN)
    assert [event.step for event in seen] == [100, 200]
    assert len(rows(tmp_path / "h.csv")) == 2
    assert run.status == "max_steps"
    assert run.steps == 200
    assert "callback" in run.reason


@pytest.mark.parametrize("answer", [True, np.True_, np.float32(2) > 1])
def test_any_true_ends_the_run_and_nothing_else(answer):
    given = {"tolerance": 0, "steps": 300, "backend": "numpy"}
    for callback in (lambda event: answer, Together(lambda event: None, lambda event: answer)):
        assert gdjax.fit(gdjax.Neuron(), X, Y, callback=callback, **given).steps == 100
    for other in (1, "yes", [True], np.array([True]), np.False_):
        assert gdjax.fit(gdjax.Neuron(), X, Y, callback=lambda event, other=other: other, **given).steps == 300


def test_what_is_no_callback_is_refused_before_the_first_step():
    with pytest.raises(UsageError, match=r"^callback = 3 must be callable$"):
        gdjax.fit(gdjax.Neuron(), X, Y, callback=3, backend="numpy")
