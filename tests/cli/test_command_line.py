"""The command line as a user meets it: by its exit code, stdout and stderr, in a process where that matters."""

from __future__ import annotations

import contextlib
import csv
import importlib
import inspect
import io
import json
import math
import os
import pty
import select
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

import gdjax
import gdjax.tables
from gdjax import schedules
from gdjax.cli import main
from gdjax.cli.app import COMMANDS, make_app
from gdjax.formulas import activations, losses

QUICK = ["--backend", "numpy"]


def gdjax_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The program, in this process: what of one is global is put back."""
    out, error, given = io.StringIO(), io.StringIO(), [str(a) for a in arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error), warnings.catch_warnings():
        warnings.simplefilter("default")
        with pytest.raises(SystemExit) as left:
            main(given)
    return subprocess.CompletedProcess(given, int(left.value.code or 0), out.getvalue(), error.getvalue())


def gdjax_process(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own."""
    code = "from gdjax.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True, timeout=100, **options
    )


def strict_json(text: str) -> Any:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert text.endswith("}\n")
    return json.loads(text, parse_constant=refuse)


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that scikit-learn solves in closed form."""
    path = tmp_path_factory.mktemp("line") / "line.csv"
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 2))
    y = X @ [2.0, -3.0] + 1.5 + rng.normal(scale=0.1, size=50)
    rows = np.column_stack([X, y])
    path.write_text("a,b,y\n" + "".join(",".join(map(repr, row)) + "\n" for row in rows.tolist()))
    return path


def solved(path: Path) -> tuple[np.ndarray, float]:
    data = np.loadtxt(path, delimiter=",", skiprows=1)
    model = LinearRegression().fit(data[:, :2], data[:, 2])
    return model.coef_, float(model.intercept_)


def test_fit_saves_predicts_and_agrees_with_scikit_learn(line: Path, tmp_path: Path) -> None:
    run, out = tmp_path / "run", tmp_path / "p.csv"
    done = gdjax_process("fit", line, "--target", "y", "--activation", "identity", "-o", run, *QUICK)
    assert (done.returncode, done.stderr) == (0, "")
    for said in ("converged", "coefficient", "y = ", "cost", f"saved to {run}"):
        assert said in done.stdout.replace("\n", " ")
    weights, bias = solved(line)
    loaded = gdjax.load(run)
    np.testing.assert_allclose(loaded.weights, weights, rtol=1e-8)
    np.testing.assert_allclose(loaded.bias, bias, rtol=1e-8)
    assert loaded.feature_names == ("a", "b")
    assert gdjax_command("predict", run, line, "-o", out).returncode == 0
    predicted = np.array([float(row["prediction"]) for row in csv.DictReader(out.read_text().splitlines())])
    X = np.loadtxt(line, delimiter=",", skiprows=1)[:, :2]
    np.testing.assert_allclose(predicted, X @ weights + bias, rtol=1e-7)
    shown = gdjax_command("predict", run, line)
    assert shown.stdout == out.read_text()
    again = strict_json(gdjax_command("predict", run, line, "--json").stdout)
    assert again["prediction"] == predicted.tolist()


def test_json_of_one_neuron(line: Path) -> None:
    done = gdjax_command("fit", line, "--target", "y", "--activation", "identity", "--json", *QUICK)
    said = strict_json(done.stdout)
    assert set(said) == {"status", "steps", "cost", "bias", "weights", "backend", "dtype"}
    assert set(said["weights"]) == {"a", "b"}
    assert (said["status"], said["backend"], said["dtype"]) == ("converged", "numpy", "float64")
    np.testing.assert_allclose(said["weights"]["b"], solved(line)[0][1], rtol=1e-8)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fleet") / "fleet.csv"
    good = "".join(f"good,{x},{2 * x + 1 + (x % 2) / 10}\n" for x in range(10))
    path.write_text(
        "key,x,y\n" + good + "short,1,1\n" + "".join(f"poisoned,{x},{'nan' if x == 3 else x}\n" for x in range(6))
    )
    return path


def test_json_of_a_fleet_names_the_failed(fleet: Path) -> None:
    done = gdjax_command("fit", fleet, "--target", "y", "--by", "key", "--json", *QUICK)
    said = strict_json(done.stdout)
    assert set(said) == {"models", "status", "failed"}
    assert (said["models"], said["status"]["converged"]) == (3, 1)
    failed = {row["group"]: (row["status"], row["reason"]) for row in said["failed"]}
    assert failed["short"] == ("too_few_rows", "1 row for 2 parameters")
    assert failed["poisoned"][0] == "bad_data"
    assert "NaN in y" in failed["poisoned"][1]
    assert (done.returncode, done.stderr) == (0, "gdjax: warning: 2 of 3 models failed\n")
    assert gdjax_command("fit", fleet, "--target", "y", "--by", "key", "--strict", *QUICK).returncode == 4


def test_a_fleet_on_screen_and_its_predictions(fleet: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = gdjax_command("fit", fleet, "--target", "y", "--by", "key", "-o", run, *QUICK)
    for said in ("3 models", "converged", "too_few_rows", "1 row for 2 parameters", "short", "NaN in y"):
        assert said in done.stdout
    predicted = gdjax_command("predict", run, fleet)
    assert predicted.returncode == 0, "the NaN is in its y, which predict does not read"
    assert len(predicted.stdout.splitlines()) == 18


def test_predict_needs_no_target_and_counts_the_untrained(fleet: Path, tmp_path: Path) -> None:
    run, new = tmp_path / "run", tmp_path / "new.csv"
    gdjax_command("fit", fleet, "--target", "y", "--by", "key", "-o", run, *QUICK)
    new.write_text("x,key\n4,good\n4,short\n4,unknown\n")
    done = gdjax_command("predict", run, new)
    rows = list(csv.DictReader(done.stdout.splitlines()))
    assert [row["key"] for row in rows] == ["good", "short", "unknown"]
    assert 8 < float(rows[0]["prediction"]) < 10
    assert [row["prediction"] for row in rows[1:]] == ["nan", "nan"]
    assert "2 of 3 rows" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert strict_json(gdjax_command("predict", run, new, "--json").stdout)["prediction"][1] is None
    assert gdjax_command("predict", run, new, "--untrained", "error").returncode == 2


def test_predictions_are_utf8_whatever_the_terminal(tmp_path: Path) -> None:
    table, run, out = tmp_path / "t.csv", tmp_path / "run", tmp_path / "out.csv"
    rows = [("Zürich", 1, 2), ("Zürich", 2, 4), ("Zürich", 3, 6), ("Łódź", 1, 3), ("Łódź", 2, 6), ("Łódź", 3, 9)]
    table.write_text("key,x,y\n" + "".join(f"{key},{x},{y}\n" for key, x, y in rows), encoding="utf-8")
    gdjax_command("fit", table, "--target", "y", "--by", "key", "-o", run, *QUICK)
    gdjax_command("predict", run, table, "-o", out)
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = gdjax_process("predict", run, table, env=ascii_only, encoding="utf-8")
    assert [row["key"] for row in csv.DictReader(done.stdout.splitlines())] == [key for key, _, _ in rows]
    assert done.stdout == out.read_text(encoding="utf-8")


@pytest.mark.parametrize("command", ["predict", "report", "explain"])
def test_what_reads_a_table_takes_the_limit_that_its_message_names(line: Path, tmp_path: Path, command: str) -> None:
    run = tmp_path / "run"
    gdjax_command("fit", line, "--target", "y", "-o", run, *QUICK)
    given = [command, *(["--run", run, line] if command == "explain" else [run, line]), "--max-bytes"]
    refused = gdjax_command(*given, 5)
    assert (refused.returncode, refused.stderr.partition("limit of ")[2]) == (2, "5; raise --max-bytes\n")
    assert gdjax_command(*given, line.stat().st_size).returncode == 0


def test_categories_are_carried_from_fit_to_predict(tmp_path: Path) -> None:
    table, new, run = tmp_path / "t.csv", tmp_path / "new.csv", tmp_path / "run"
    table.write_text("kind,y\n" + "red,1\nblue,2\nred,1.5\nblue,2.5\n")
    gdjax_command("fit", table, "--target", "y", "--activation", "identity", "-o", run, *QUICK)
    new.write_text("kind\nblue\nred\n")
    rows = list(csv.DictReader(gdjax_command("predict", run, new).stdout.splitlines()))
    np.testing.assert_allclose([float(row["prediction"]) for row in rows], [2.25, 1.25])
    new.write_text("kind\ngreen\n")
    done = gdjax_command("predict", run, new)
    assert done.returncode == 2
    assert "the level 'green' was not there at fit" in done.stderr


def test_sweep_names_the_best(line: Path) -> None:
    arguments = ["sweep", line, "--target", "y", "--activation", "identity", "--l2", "0,1", "--folds", "4", *QUICK]
    done = gdjax_command(*arguments)
    assert done.returncode == 0
    assert "* best by validation cost: l2 0\n" in done.stdout
    assert strict_json(gdjax_command(*arguments, "--json").stdout) == {
        "models": 10,
        "status": {"converged": 10},
        "failed": [],
    }


def test_a_sweep_is_judged_by_the_validation_table(line: Path, tmp_path: Path) -> None:
    held_out, run = tmp_path / "held_out.csv", tmp_path / "run"
    held_out.write_text("b,a,y\n1,2,-4\n0.5,-3,1\n-1,0,0\n")
    done = gdjax_command(
        "sweep", line, "--target", "y", "--activation", "identity", "--l2", "0,0.1,1", "--validation", held_out,
        "--patience", 50, "-o", run, *QUICK,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    found = gdjax.load(run)
    b, a, y = np.loadtxt(held_out, delimiter=",", skiprows=1).T
    costs = [((w[0] * a + w[1] * b + bias - y) ** 2).mean() for w, bias in zip(found.weights, found.bias, strict=True)]
    np.testing.assert_allclose(found.validation_cost, costs, rtol=1e-12)
    assert f"* best by validation cost: l2 {[0, 0.1, 1][int(np.argmin(costs))]}\n" in done.stdout


def test_groups_of_one_table_alone_are_told(fleet: Path, tmp_path: Path) -> None:
    held_out, run = tmp_path / "held_out.csv", tmp_path / "run"
    held_out.write_text("key,x,y\ngood,1,3\nnew,1,3\ngood,2,5\nnew,2,5\n")
    fit = ["fit", fleet, "--target", "y", "--by", "key", *QUICK]
    done = gdjax_command(*fit, "--validation", held_out, "-o", run)
    said = "gdjax: warning: --validation: "
    assert done.stderr == (
        f"{said}2 of 4 rows, the first at row 1, are of groups that are not trained, such as 'new': "
        "they judge nothing\n"
        f"{said}2 of 3 groups have no row, such as 'poisoned': nothing judges them\n"
    )
    judged = gdjax.load(run)
    good = ((judged.predict(np.array([[1.0], [2.0]]), ["good", "good"]) - [3, 5]) ** 2).mean()
    np.testing.assert_allclose(judged.validation_cost, [good, np.nan, np.nan], rtol=1e-12)
    held_out.write_text("key,x,y\nnew,1,3\n")
    done = gdjax_command(*fit, "--validation", held_out)
    assert (done.returncode, done.stderr) == (
        2, f"{said.replace('warning: ', '')}no row is of a group that is trained: pass groups that the fit has\n"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "given"),
    [
        (["--loss", "huber(0.5)"], {"neuron": gdjax.Neuron("identity", losses.huber(0.5))}),
        (["--activation", "leaky_relu(0.3)"], {"neuron": gdjax.Neuron(activations.leaky_relu(0.3))}),
        (["--learning-rate", "cosine(0.4, steps=90)"], {"learning_rate": schedules.cosine(0.4, steps=90)}),
        (["--learning-rate", "find"], {"learning_rate": "find"}),
    ],
)
def test_what_is_spelled_as_in_python_is_what_python_has(line: Path, options: list[str], given: dict[str, Any]) -> None:
    rest = [] if "--activation" in options else ["--activation", "identity"]
    told = gdjax_command("fit", line, "--target", "y", "--json", "--steps", 100, *QUICK, *options, *rest)
    table = gdjax.tables.read(line, target="y")
    neuron = given.pop("neuron", gdjax.Neuron("identity"))
    run = gdjax.fit(neuron, table.X, table.y, steps=100, backend="numpy", **given)
    found = strict_json(told.stdout)
    assert [*found["weights"].values(), found["bias"], found["steps"]] == [*run.weights, run.bias, run.steps]


def test_a_sweep_spells_its_loss_as_fit_does(line: Path, tmp_path: Path) -> None:
    given = ["--target", "y", "--activation", "identity", "--loss", "huber(0.5)", "-q", *QUICK]
    runs = {}
    for name in ("sweep", "fit"):
        assert gdjax_command(name, line, *given, "-o", tmp_path / name).returncode == 0
        runs[name] = gdjax.load(tmp_path / name)
    assert runs["sweep"].neuron.formula.loss.parameters == (0.5,)
    np.testing.assert_allclose(runs["sweep"].weights[0], runs["fit"].weights, rtol=1e-9)


def test_compare_counts_one_of_each(tmp_path: Path) -> None:
    one = tmp_path / "one.csv"
    one.write_text("a,y\n1,2\n")
    done = gdjax_command("compare", one, "--target", "y", "--backends", "numpy", "--no-autodiff", "--steps", 5)
    assert ", 1 model, 1 row, 1 feature, float64, " in done.stdout


def test_compare_agrees(line: Path) -> None:
    done = gdjax_command("compare", line, "--target", "y", "--backends", "numpy", "--no-autodiff", "--json")
    assert strict_json(done.stdout)["agrees"] is True


def test_explain_walks_all_numbers(line: Path) -> None:
    done = gdjax_command("explain", "--json")
    said = strict_json(done.stdout)
    assert said["holds"] is True
    assert {equation["number"] for equation in said["equations"]} == set(range(1, 34))
    assert "\\tag{33}" in gdjax_command("explain", line, "--target", "y", "--rows", "2", "--latex").stdout


def test_backends_are_listed() -> None:
    said = strict_json(gdjax_command("backends", "--json").stdout)
    assert said["numpy"]["installed"] is True
    assert "numpy" in gdjax_command("backends").stdout


def test_a_toml_file_gives_options_and_the_line_goes_before(line: Path, tmp_path: Path) -> None:
    config = tmp_path / "c.toml"
    config.write_text(
        'target = "y"\nactivation = "identity"\nbackend = "numpy"\nlearning_rate = 0.1\nsteps = 3\ntolerance = 0\n'
    )
    assert strict_json(gdjax_command("fit", line, "--config", config, "--json").stdout)["steps"] == 3
    assert strict_json(gdjax_command("fit", line, f"--config={config}", "--json", "--steps", 2).stdout)["steps"] == 2


def test_a_list_in_toml_is_what_commas_are_on_the_line(line: Path, tmp_path: Path) -> None:
    table, config = tmp_path / "t.csv", tmp_path / "c.toml"
    table.write_text(line.read_text().replace("a,b,y", '"a, c",b,y', 1))
    config.write_text('target = "y"\nfeatures = ["a, c", "b"]\nl2 = [0, 0.5]\nseed = [0, 1]\nbackend = "numpy"\n')
    listed = strict_json(gdjax_command("sweep", table, "--config", config, "--json").stdout)
    given = ["--target", "y", "--features", '"a, c",b', "--l2", "0,0.5", "--seed", "0,1", *QUICK]
    assert listed == strict_json(gdjax_command("sweep", table, *given, "--json").stdout)
    assert listed["models"] == 4


@pytest.mark.parametrize("steps", ["2000", "2_000", "2e3", "2000.0"])
def test_a_whole_number_however_it_is_written(steps: str, line: Path) -> None:
    arguments = ["--target", "y", "--activation", "identity", "--tolerance", "0", "--steps", steps, "--json", *QUICK]
    assert strict_json(gdjax_command("fit", line, *arguments).stdout)["steps"] == 2000


def test_a_column_that_names_each_row_is_warned_of(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,kind,a,y\n" + "".join(f"u{i},{'ab'[i % 2]},{i},{2 * i}\n" for i in range(9)))
    done = gdjax_command("fit", table, "--target", "y", *QUICK)
    assert done.stderr == (
        f"gdjax: warning: {table}: column 'id' has another category in each row: leave it out by --features\n"
    )
    assert gdjax_command("fit", table, "--target", "y", "--features", "kind,a", *QUICK).stderr == ""


def test_a_sweep_that_failed_is_shown(line: Path, tmp_path: Path) -> None:
    dead = tmp_path / "dead.csv"
    dead.write_text("x,y\n" + "".join(f"{x},{-1 - x}\n" for x in range(9)))
    done = gdjax_command("sweep", dead, "--target", "y", "--l2", "0,1", *QUICK)
    assert done.returncode == 4
    assert done.stdout.count("dead") >= 2
    assert "no combination can be used: no positive y" in done.stdout
    far = tmp_path / "far.csv"
    far.write_text("x,y\n" + "".join(f"{i / 10},{math.exp(-i / 10)}\n" for i in range(20)) + "-20000,1\n")
    formula = ("--activation", "exp", "--loss", "poisson")
    done = gdjax_command("sweep", far, "--target", "y", *formula, "--l2", "0,0.001", "--folds", "3", *QUICK)
    said = (
        "no combination can be used: the cost of a fold that was left out overflows; look for a row far from the others"
    )
    assert said in done.stdout
    assert (done.returncode, done.stderr) == (4, "")
    done = gdjax_command(
        "sweep", far, "--target", "y", *formula, "--l2", "0,0.001", "--folds", "3", "--json", *QUICK
    )  # fmt: skip
    assert strict_json(done.stdout)["failed"] == [], "all are trained"
    assert (done.returncode, done.stderr) == (4, f"gdjax: warning: {said}\n")
    part = gdjax_command(
        "sweep", line, "--target", "y", "--activation", "identity", "--method", "plain", "--learning-rate", "0.1,9",
        *QUICK,
    )  # fmt: skip
    assert part.returncode == 0, "the failures of a part are warnings"
    assert "* best by cost: learning rate 0.1" in part.stdout


def test_the_built_in_sample_has_the_bias_that_is_given() -> None:
    said = [strict_json(gdjax_command("explain", "--json", *more).stdout) for more in ([], ["--bias", "2"])]
    # x = (1, 1), y = 1, w = (2, -1): (2 - 1 + b - 1)^2 / 2; the gate of (0, 3) is shut
    assert [each["equations"][0]["value"] for each in said] == [0.125, 2.0]


def test_what_overflows_is_predicted_without_a_word(line: Path, tmp_path: Path) -> None:
    gdjax_command("fit", line, "--target", "y", "--activation", "identity", "-o", tmp_path / "run", *QUICK)
    table = tmp_path / "t.csv"
    table.write_text("a,b\n1e308,1e308\n-1e308,-1e308\n")
    done = gdjax_command("predict", tmp_path / "run", table, "--json")
    assert (done.returncode, done.stderr) == (0, "")


def test_no_output_is_written_over_an_input(line: Path, tmp_path: Path) -> None:
    table, run, config = tmp_path / "t.csv", tmp_path / "model.html", tmp_path / "c.toml"
    table.write_bytes(line.read_bytes())
    config.write_text("json = false\n")
    fit = ["fit", table, "--target", "y", *QUICK]
    assert gdjax_command(*fit, "-o", run).returncode == 0
    held = {path: path.read_bytes() for path in (table, run, config)}
    for arguments in (
        ["report", run],  # whose page is RUN with .html
        ["report", run, "-o", run],
        ["report", run, table, "-o", table],
        ["predict", run, table, "-o", run],
        [*fit, "--checkpoint", table],
        [*fit, "--checkpoint", tmp_path / "new", "-o", tmp_path / "new"],
        [*fit, "--checkpoint", tmp_path / "new", "-o", tmp_path / "new.previous"],
        [*fit, "--config", config, "-o", config],
        ["fit", line, "--target", "y", "--validation", table, "-o", table, *QUICK],
        ["sweep", line, "--target", "y", "--validation", table, "-o", table, *QUICK],
        ["verify", "--config", config, "--html", config],
    ):
        done = gdjax_command(*arguments)
        assert (done.returncode, done.stdout) == (2, ""), arguments
        assert "name another file" in done.stderr
        assert {path: path.read_bytes() for path in tmp_path.iterdir()} == held


def test_help_of_each_command() -> None:
    said = gdjax_command("--help").stdout
    for name in COMMANDS:
        assert f" {name} " in said
    for name in COMMANDS:
        done = gdjax_command(name, "--help")
        assert done.returncode == 0
        assert "Usage: gdjax" in done.stdout
        doc = inspect.getdoc(getattr(importlib.import_module(f"gdjax.cli.{name}"), name))
        assert doc is not None
        assert " ".join(doc.split()) in " ".join(done.stdout.split()), "all of what it does is told"


def test_help_says_what_validation_is_to_each() -> None:
    for name, said in {"fit": "parameters best on it are given back", "sweep": "its cost there is each judged"}.items():
        assert said in " ".join(gdjax_command(name, "--help").stdout.replace("│", "").split())


def test_versions_that_matter() -> None:
    said = gdjax_process("--version").stdout
    for name in ("gdjax", "numpy", "jax", "jaxlib", "numba", "safetensors", "python"):
        assert f"{name} " in said


USE: dict[str, tuple[list[str], str]] = {
    "no command": (["fti"], "no command 'fti'; did you mean 'fit'?"),
    "no such flag": (["fit", "{line}", "--stepz", "3"], "Unknown option: --stepz. Did you mean --steps?"),
    "no table": (["fit"], "TABLE"),
    "two tables": (["fit", "{line}", "other"], "other"),
    "no such file": (["fit", "{line}x", "--target", "y"], "no such file; did you mean 'line.csv'?"),
    "no target": (["fit", "{line}"], "no target"),
    "no such column": (["fit", "{line}", "--target", "z"], "no column 'z'; known: 'a', 'b', 'y'"),
    "the target among the features": (["fit", "{line}", "--target", "y", "--features", "a,y"], "among the features"),
    "steps no number": (["fit", "{line}", "--target", "y", "--steps", "many"], "--steps"),
    "steps 0": (["fit", "{line}", "--target", "y", "--steps", "0"], "steps = 0"),
    "rate no number": (["fit", "{line}", "--target", "y", "--learning-rate", "fast"], "--learning-rate 'fast'"),
    "rate of no schedule": (["fit", "{line}", "--target", "y", "--learning-rate", "Inverse(2)"], "write it as in"),
    "rate of an expression": (["fit", "{line}", "--target", "y", "--learning-rate", "exit(1)"], "write it as in"),
    "loss of a wrong number": (["fit", "{line}", "--target", "y", "--loss", "huber(-1)"], "must be a positive number"),
    "rate negative": (["fit", "{line}", "--target", "y", "--learning-rate", "-1"], "--learning-rate = -1.0"),
    "rate NaN": (["fit", "{line}", "--target", "y", "--learning-rate", "nan"], "--learning-rate 'nan'"),
    "tolerance negative": (["fit", "{line}", "--target", "y", "--tolerance", "-1"], "tolerance = -1.0"),
    "tolerance no number": (["fit", "{line}", "--target", "y", "--tolerance", "x"], "--tolerance"),
    "l2 negative": (["fit", "{line}", "--target", "y", "--l2", "-1"], "l2 = -1.0"),
    "batch 0": (["fit", "{line}", "--target", "y", "--batch-size", "0"], "--batch-size = 0"),
    "unknown backend": (["fit", "{line}", "--target", "y", "--backend", "nump"], "did you mean 'numpy'"),
    "unknown device": (["fit", "{line}", "--target", "y", "--device", "tpu:9", *QUICK], "no --device 'tpu:9'"),
    "unknown dtype": (["fit", "{line}", "--target", "y", "--dtype", "float16"], "unknown --dtype 'float16'"),
    "unknown activation": (["fit", "{line}", "--target", "y", "--activation", "rleu"], "did you mean 'relu'?"),
    "unknown loss": (["fit", "{line}", "--target", "y", "--loss", "squared"], "unknown --loss 'squared'"),
    "unknown method": (["fit", "{line}", "--target", "y", "--method", "sgd"], "unknown --method 'sgd'"),
    "unknown missing": (["fit", "{line}", "--target", "y", "--missing", "no"], "--missing"),
    "patience alone": (["fit", "{line}", "--target", "y", "--patience", "3", *QUICK], "patience"),
    "loss without its activation": (["fit", "{line}", "--target", "y", "--loss", "poisson"], "pass --activation exp"),
    "y < 0 for poisson": (
        ["fit", "{line}", "--target", "y", "--loss", "poisson", "--activation", "exp", *QUICK],
        "poisson needs y >= 0",
    ),
    "y outside 0 and 1": (
        ["fit", "{line}", "--target", "y", "--loss", "log_loss", "--activation", "sigmoid", *QUICK],
        "log_loss needs y 0 or 1",
    ),
    "weights negative": (["fit", "{line}", "--target", "y", "--sample-weight", "b", *QUICK], "weights must be"),
    "all weights zero": (
        ["fit", "{zeros}", "--target", "y", "--sample-weight", "w", *QUICK],
        "--sample-weight: all are 0",
    ),
    "output without a folder": (["fit", "{line}", "--target", "y", "-o", "{line}.d/run"], "no folder"),
    "output is a folder": (["fit", "{line}", "--target", "y", "-o", "."], "not a regular file"),
    "output is the input": (["fit", "{line}", "--target", "y", "-o", "{line}"], "this is the input"),
    "no config": (["fit", "{line}", "--config", "none.toml"], "none.toml: no such file"),
    "config without a name": (["fit", "{line}", "--config"], "--config: name a TOML file"),
    "config no TOML": (["fit", "{line}", "--config", "{line}"], "not TOML"),
    "predict no run": (
        ["predict", "{line}", "{line}"],
        "not a gdjax file, or cut short; name one that run.save(path), or gdjax fit -o, has written\n",
    ),
    "features of no table": (["explain", "--features", ""], "--features: pass the table, too"),
    "features of none": (["fit", "{line}", "--target", "y", "--features", ""], "features: none is named"),
    "sweep by groups": (["sweep", "{line}", "--target", "y", "--by", "a"], "gdjax fit --by"),
    "sweep of a table that has groups": (["sweep", "{groups}"], "it has groups, and a sweep one set of samples"),
    "sweep by folds and a table": (
        ["sweep", "{line}", "--target", "y", "--validation", "{line}", "--folds", "3", *QUICK],
        "folds: they are the validation",
    ),
    "unseen of no table": (["fit", "{line}", "--target", "y", "--unseen", "zero", *QUICK], "--unseen: it is for"),
    "sweep of no numbers": (["sweep", "{line}", "--target", "y", "--l2", "0,x"], "--l2 '0,x'"),
    "sweep of part seeds": (["sweep", "{line}", "--target", "y", "--seed", "0.5"], "--seed '0.5'"),
    "part steps": (["fit", "{line}", "--target", "y", "--steps", "1.5"], "--steps: '1.5' is no whole number"),
    "steps beyond an int32": (["fit", "{line}", "--target", "y", "--steps", "3e9", *QUICK], "steps = 3000000000 must"),
    "seed beyond an int64": (
        ["fit", "{line}", "--target", "y", "--seed", "1" * 30, *QUICK],
        "whole number <=",
    ),
    "seeds beyond an int64": (
        ["sweep", "{line}", "--target", "y", "--seed", "1e30", *QUICK],
        "whole number <=",
    ),
    "l2 that overflows": (["fit", "{line}", "--target", "y", "--l2", "1e308"], "l2 = 1e+308 must be <= 1e+30"),
    "rates for one neuron": (["fit", "{line}", "--target", "y", "--learning-rate", "1,2"], "a number, auto, find"),
    "groups by the target": (["fit", "{line}", "--target", "y", "--by", "y"], "--by: 'y' is the target"),
    "groups by a column twice": (["fit", "{line}", "--target", "y", "--by", "a,a"], "'a' stands twice"),
    "weights that are the target": (["fit", "{line}", "--target", "y", "--sample-weight", "y"], "'y' is the target"),
    "weights that are the group": (
        ["fit", "{line}", "--target", "y", "--sample-weight", "a", "--by", "a"],
        "'a' is the sample weight",
    ),
    "a remedy in the words of the line": (["fit", "{line}", *QUICK], "name y's column with --target; columns"),
    "checkpoint of a stranger's file": (
        ["fit", "{line}", "--target", "y", "--checkpoint", "{zeros}", *QUICK],
        "zeros.csv: not a gdjax file, or cut short; name another --checkpoint\n",
    ),
    "rows of no groups": (
        ["fit", "{line}", "--target", "y", "--min-rows", "3", *QUICK],
        "gdjax: --min-rows: there are no groups to count the rows of: pass --by\n",
    ),
    "checkpoint in no folder": (["fit", "{line}", "--target", "y", "--checkpoint", "no/c"], "no folder"),
    "config with sections": (["fit", "{line}", "--config", "{sections}"], "[fit]: options stand in no section"),
    "predictions of another format": (["predict", "{line}", "{line}", "-o", "p.parquet"], "as CSV or .npy"),
    "explain no rows": (["explain", "{line}", "--target", "y", "--rows", "0"], "--rows 0"),
    "explain a rate of 0": (["explain", "--learning-rate", "0"], "--learning-rate 0"),
    "explain groups": (["explain", "{line}", "--target", "y", "--by", "a"], "--by, --sample-weight"),
    "explain columns of no table": (["explain", "--target", "y"], "pass the table"),
    "bench no rows": (["bench", "--rows", "0"], "--rows 0"),
    "bench of no dtype": (["bench", "--dtype", "half"], "--dtype"),
    "bench of more than there is": (["bench", "--rows", "1" * 25], "more than the memory of"),
    "bench no repeats": (["bench", "--repeats", "0"], "--repeats 0"),
    "verify for no time": (["verify", "--seconds", "0"], "--seconds 0"),
    "verify for less than no time": (["verify", "a:b", "--time-limit", "-1"], "--time-limit -1"),
    "verify in no memory": (["verify", "a:b", "--memory-limit", "1"], "--memory-limit 1: at least 2147483648 bytes"),
    "verify without end": (["verify", "none:cost", "--time-limit", "1e30"], "'none' does not import"),
    "verify in all memory": (["verify", "none:cost", "--memory-limit", "1" * 25], "'none' does not import"),
    "verify what is not there": (["verify", "none:cost"], "'none' does not import"),
    "verify in no folder": (["verify", "a:b", "--app-dir", "none"], "--app-dir none: no such folder"),
    "explain what overflows": (
        ["explain", "--activation", "exp", "--weights", "1000,1000"],
        "equation 1 overflows: smaller weights",
    ),
    "explain twice": (["explain", "--json", "--latex"], "one of them"),
    "escape in a file name": (["fit", "\x1b[2J.csv", "--target", "y"], "\\x1b[2J.csv: no such file"),
}


@pytest.mark.parametrize("case", USE)
def test_bad_use_is_a_line_and_exit_code_2(
    case: str, line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments, says = USE[case]
    zeros = tmp_path / "zeros.csv"
    zeros.write_text("x,y,w\n1,2,0\n2,3,0\n")
    sections = tmp_path / "sections.toml"
    sections.write_text('[fit]\ntarget = "y"\n')
    groups = tmp_path / "groups.npz"
    np.savez(groups, X=np.eye(4), y=np.arange(4.0), groups=[0, 0, 1, 1])
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(SystemExit) as left:
        main([a.format(line=line, zeros=zeros, sections=sections, groups=groups) for a in arguments])
    out, error = capsys.readouterr()
    assert (left.value.code, out) == (2, "")
    assert says in error
    assert error.startswith("gdjax: ")
    assert error.endswith("\n")
    assert error[:-1].isprintable()
    assert sorted(tmp_path.iterdir()) == before, "bad use writes nothing"


SENT: dict[str, list[str]] = {
    "fit": ["{line}", "--target", "y", *QUICK, "--steps", "50"],
    "sweep": ["{line}", "--target", "y", *QUICK, "--steps", "50"],
    "compare": ["{line}", "--target", "y", "--backends", "numpy", "--no-autodiff", "--steps", "20"],
    "explain": ["{line}", "--target", "y"],
    "predict": ["{run}", "{line}"],
    "bench": [],
    "verify": ["none:cost"],
}
# whose value is a column, a file or an object, which the message names, and whose any text is one
OTHERS = {"target", "by", "sample-weight", "categorical", "validation", "config", "checkpoint", "output", "html", "run"}
OTHERS |= {"features", "app-dir", "args", "shapes", "backend"}


@pytest.mark.parametrize("command", SENT)
def test_what_is_wrong_of_an_option_names_it_as_it_is_typed(
    command: str, line: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each option of each command with values that are wrong."""
    monkeypatch.chdir(tmp_path)
    run = tmp_path / "run"
    gdjax_command("fit", line, "--target", "y", "-o", run, *QUICK)
    sent = [each.format(line=line, run=run) for each in SENT[command]]
    known = make_app()[command].assemble_argument_collection()
    options = {each.names[0] for each in known if each.names[0].startswith("--") and each.hint is not bool}
    options -= {f"--{each}" for each in OTHERS}
    refused = set()
    for option in options:
        for value in ("no", "-1", "nan"):
            done = gdjax_command(command, *sent, option, value)
            if done.returncode != 2 or "'none' does not import" in done.stderr:
                continue
            refused.add(option)
            assert option in done.stderr, value
            assert "-" not in option[2:] or option[2:].replace("-", "_") not in done.stderr, "nor as Python's"
            assert len(done.stderr.splitlines()) == 1
    assert refused == options


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--by", "a", "--min-rows", "0"], "--min-rows = 0"),
        (["--patience", "3"], "--patience: there is nothing to look at: pass --validation"),
        (["--features", ""], "--features: none is named"),
        (["--by", "a", "--learning-rate", "find"], '--learning-rate = "find" is for one neuron'),
        (["--loss", "poisson"], "--loss 'poisson' goes with --activation 'exp', not 'relu': pass --activation exp"),
    ],
)
def test_a_place_and_a_remedy_are_options(options: list[str], says: str, line: Path) -> None:
    assert says in gdjax_command("fit", line, "--target", "y", *QUICK, *options).stderr


def test_what_the_user_typed_stays_as_it_is(line: Path, tmp_path: Path) -> None:
    done = gdjax_command("sweep", line, "--target", "y", "--learning-rate", "cosine(0.1, steps=5)", *QUICK)
    assert done.stderr.startswith("gdjax: --learning-rate 'cosine(0.1, steps=5)': ")
    divided = tmp_path / "t.csv"
    divided.write_text("a;y\n1;2\n")
    done = gdjax_command("fit", divided, "--target", "y", *QUICK)
    assert "cells are divided by ';', not ','" in done.stderr
    named = tmp_path / "l2"
    assert gdjax_command("fit", named, "--target", "y").stderr.startswith(f"gdjax: {named}: no such file")


def test_reasons_name_options(line: Path, fleet: Path) -> None:
    plain = ["--target", "y", "--activation", "identity", "--method", "plain", *QUICK]
    done = gdjax_command("fit", line, *plain, "--steps", "5")
    assert "not within tolerance 1e-09 after 5 steps" in done.stdout
    assert "raise --steps" in done.stdout
    done = gdjax_command("fit", line, *plain, "--learning-rate", "9", "--json")
    assert "with --learning-rate 9: the largest stable --learning-rate is" in done.stderr
    done = gdjax_command("fit", fleet, *plain, "--by", "key", "--learning-rate", "9", "--json")
    assert "the largest stable --learning-rate is" in strict_json(done.stdout)["failed"][0]["reason"]
    done = gdjax_command("sweep", line, *plain, "--learning-rate", "9,10")
    assert "the largest stable --learning-rate is" in done.stdout


@pytest.mark.parametrize(("dies", "how"), [("os._exit(3)", "exit status 3"), ("os.kill(os.getpid(), 9)", "SIGKILL")])
def test_what_ends_its_process_is_told_how(dies: str, how: str, tmp_path: Path) -> None:
    (tmp_path / "mortal.py").write_text(f"import os\n{dies}\n")
    done = gdjax_command("verify", "mortal:cost", "--app-dir", tmp_path)
    said = f"verifying mortal:cost ended without a verdict: {how}: call it by itself, or raise --memory-limit"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"gdjax: {said}\n")


def test_it_is_in_a_process_too(line: Path) -> None:
    done = gdjax_process("fit", line, "--target", "z")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"gdjax: {line}: no column 'z'; known: 'a', 'b', 'y'\n"


def test_other_columns_at_predict_than_at_fit(line: Path, fleet: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    gdjax_command("fit", line, "--target", "y", "-o", run, *QUICK)
    done = gdjax_command("predict", run, fleet)
    assert (done.returncode, done.stdout) == (2, "")
    assert "no column 'a'; known: 'key', 'x', 'y'" in done.stderr
    run.write_bytes(run.read_bytes()[:-10])
    done = gdjax_command("predict", run, line)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cut short" in done.stderr


def test_a_missing_framework_is_named_with_its_extra(line: Path) -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        f"sys.argv = ['gdjax', 'fit', {str(line)!r}, '--target', 'y', '--backend', 'numba']\n"
        "from gdjax.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "pip install 'gdjax[numba]'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_diverged_and_dead_exit_with_4(line: Path, tmp_path: Path) -> None:
    done = gdjax_command(
        "fit", line, "--target", "y", "--activation", "identity", "--method", "plain", "--learning-rate", "9", *QUICK
    )
    assert done.returncode == 4
    assert "largest stable" in done.stdout
    dead = tmp_path / "dead.csv"
    dead.write_text("x,y\n" + "".join(f"{x},{-1 - x}\n" for x in range(9)))
    done = gdjax_command("fit", dead, "--target", "y", "--json", *QUICK)
    assert (done.returncode, strict_json(done.stdout)["status"]) == (4, "dead")
    assert done.stderr == "gdjax: warning: dead: no positive y: the best ReLU is 0 everywhere\n"


PROGRAM = f"{sys.executable} -c 'from gdjax.cli import main; main()'"


def in_bash(command: str) -> tuple[int, str, str]:
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def test_a_reader_that_has_had_enough_is_no_error(line: Path, tmp_path: Path) -> None:
    run, big = tmp_path / "run", tmp_path / "big.csv"
    gdjax_command("fit", line, "--target", "y", "-o", run, *QUICK)
    big.write_text("a,b\n" + "1,2\n" * 50_000)
    assert in_bash(f"{PROGRAM} predict {run} {big} | head -1") == (0, "row,prediction\n", "")
    # what rich prints, to a reader that reads nothing
    assert in_bash(f"{PROGRAM} fit {line} --target y --backend numpy | true") == (0, "", "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_output_that_cannot_be_written_is_a_line(line: Path) -> None:
    said = (2, "", "gdjax: the output: No space left on device\n")
    assert in_bash(f"{PROGRAM} fit {line} --target y --backend numpy --json > /dev/full") == said


def test_streams_may_be_closed(line: Path, tmp_path: Path) -> None:
    fit = f"{PROGRAM} fit {line} --target y --backend numpy -o {tmp_path / 'run'}"
    assert in_bash(f"{fit} <&- >&- 2>&-") == (0, "", "")
    assert gdjax.load(tmp_path / "run").status == "converged"
    assert in_bash(f"{PROGRAM} fit {line}x --target y 2>&-") == (2, "", "")


def test_a_terminal_of_ascii_is_no_error(line: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = gdjax_process("fit", line, "--target", "y", *QUICK, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_cells_and_names_reach_no_terminal_raw(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("\x1b[31mx,[red]k,y\n" + "".join(f"{x},\x1b]0;title\x07{x % 2},{x}\n" for x in range(8)))
    for arguments in (["--by", "[red]k"], []):
        done = gdjax_command("fit", table, "--target", "y", *arguments, *QUICK)
        assert done.returncode == 0
        assert "\\x1b" in done.stdout
        assert "\x1b" not in done.stdout + done.stderr


def test_the_progress_bar_is_for_terminals_and_leaves_nothing(line: Path) -> None:
    arguments = ["fit", str(line), "--target", "y", "--json", "--tolerance", "0", "--steps", "3000"]
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", "from gdjax.cli import main; main()", *arguments, *QUICK],
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(follower)
    drawn = b""
    while select.select([leader], [], [], 30)[0]:
        try:
            drawn += os.read(leader, 1 << 16)
        except OSError:  # Linux says so when the other side is closed
            break
    os.close(leader)
    assert process.stdout is not None
    said = strict_json(process.stdout.read().decode())
    process.stdout.close()
    assert process.wait(timeout=30) == 0
    assert said["steps"] == 3000
    assert b"of 3,000, cost" in drawn
    *_, after = drawn.split(b"of 3,000, cost")
    assert b"\x1b[?25h" in after, "the cursor is back"
    assert b"\x1b[2K" in after, "the line is clear"
