"""A run taken up again gives, bit for bit, what the run that nobody interrupted gives."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax import Neuron, Params, Run, schedules
from gdjax.errors import FileError, GdjaxError, UsageError
from gdjax.runs import resuming

rng = np.random.default_rng(8)
X = rng.normal(size=(210, 3)) * [1.0, 5.0, 0.2] + [0.0, 2.0, 1.0]
PLANE = X @ [1.0, -0.4, 3.0] + 0.5
NOISY = PLANE + 0.3 * rng.normal(size=len(X))
POSITIVE = np.maximum(NOISY, 0)
BINARY = (NOISY.mean() < NOISY).astype(float)
COUNTS = rng.poisson(np.exp(0.2 * PLANE)).astype(float)

GROUPS = rng.choice(40, size=1500) ** 2 // 40  # ragged: from a row to a few hundred
GROUP_X = rng.normal(size=(1500, 3))
GROUP_Y = np.maximum(GROUP_X @ [1.0, 2.0, -1.0] + rng.normal(size=1500), 0)

FIT: dict[str, tuple[Neuron, np.ndarray, np.ndarray, dict[str, Any]]] = {
    "plain": (Neuron("identity"), X, NOISY, {"method": "plain", "learning_rate": 0.01, "steps": 450}),
    "nesterov": (Neuron(), X, POSITIVE, {"tolerance": 0.0, "steps": 430}),
    "backtracking": (Neuron("exp", "poisson", l2=1e-3), X, COUNTS, {"tolerance": 1e-15, "steps": 600}),
    "l1": (Neuron("identity", l1=0.05), X, NOISY, {"tolerance": 0.0, "steps": 300, "method": "momentum"}),
    "kinks": (Neuron("identity", "absolute_error"), X, NOISY, {"learning_rate": 0.01, "steps": 350}),
    "float32": (Neuron("sigmoid", "log_loss"), X, BINARY, {"dtype": "float32", "tolerance": 0.0, "steps": 300}),
    "mini batches": (Neuron(), X, POSITIVE, {"batch_size": 32, "steps": 530, "seed": 3}),
    "schedule": (
        Neuron("tanh"),
        X,
        BINARY,
        {"batch_size": 50, "steps": 400, "learning_rate": schedules.cosine(0.2, steps=400), "method": "momentum"},
    ),
    "patience": (
        Neuron("identity"),
        X[:40],
        NOISY[:40],
        {"validation": (X[40:], NOISY[40:]), "patience": 3, "steps": 2000, "method": "adam", "batch_size": 8},
    ),
    "fleet": (
        Neuron(),
        GROUP_X,
        GROUP_Y,
        # slabs of a few groups each
        {"groups": GROUPS, "memory_limit": 1 << 20, "tolerance": 1e-12, "steps": 300},
    ),
    "adam": (Neuron(), X, POSITIVE, {"method": "adam", "batch_size": 32, "steps": 330, "seed": 3}),
    "mini-batch fleet": (
        Neuron("identity", l2=0.01),
        GROUP_X,
        GROUP_Y,
        {"groups": GROUPS, "memory_limit": 1 << 20, "batch_size": 7, "steps": 250, "method": "adam"},
    ),
    "dead and retried": (
        Neuron(),
        GROUP_X,
        GROUP_Y,
        # a rate too large for some: their gates shut on all rows
        {"groups": GROUPS, "steps": 300, "tolerance": 1e-13, "seed": 1, "learning_rate": 1.0},
    ),
}

# each other case is a program to compile
QUICK = ["nesterov", "fleet", "mini batches", "sweep"]
OTHERS = [case for case in FIT if case not in QUICK]


def call(case: str, backend: str, **changes: Any) -> Run:
    if case == "sweep":
        kwargs: dict[str, Any] = {
            "learning_rate": [0.01, 0.3],
            "l2": [0.0, 0.1],
            "seed": [0, 1],
            "folds": 3,
            "steps": 300,
        }
        return gdjax.sweep(Neuron(), X, POSITIVE, backend=backend, tolerance=0.0, **{**kwargs, **changes})
    neuron, data, y, kwargs = FIT[case]
    return gdjax.fit(neuron, data, y, backend=backend, **{**kwargs, **changes})


def bits(run: Run) -> dict[str, Any]:
    """All that a run holds, by its bits."""
    assert run.state is not None
    held = {name: (a.dtype.str, a.shape, a.tobytes()) for name, a in run.state.arrays().items()}
    for name in ("weights", "bias", "cost", "history", "history_steps", "r2", "condition", "learning_rate"):
        array = np.asarray(getattr(run, name))
        held[f"run {name}"] = (array.dtype.str, array.shape, array.tobytes())
    held["status"] = np.asarray(run.status).tolist(), np.asarray(run.reason).tolist(), np.asarray(run.steps).tolist()
    held["validation"] = None if run.validation_cost is None else np.asarray(run.validation_cost).tobytes()
    return held


def differing(a: Run, b: Run) -> list[str]:
    left, right = bits(a), bits(b)
    return [name for name in left.keys() | right.keys() if left.get(name) != right.get(name)]


def stopping_at(edge: int) -> Callable[[Any], bool]:
    """A callback that ends the run at its n-th edge."""
    seen = iter(range(1, 1 << 30))
    return lambda event: next(seen) >= edge


class Counter:
    def __init__(self) -> None:
        self.edges = 0

    def __call__(self, event: Any) -> None:
        self.edges += 1


def check_each_edge(case: str, backend: str, path: Path) -> None:
    whole = Counter()
    expected = call(case, backend, callback=whole)
    assert whole.edges >= 2
    # one run of many interruptions, one at each edge
    for _ in range(whole.edges - 1):
        part = call(case, backend, checkpoint=path, callback=stopping_at(1))
        assert "ended by a callback" in np.atleast_1d(part.reason)
    rest = Counter()
    assert not differing(call(case, backend, checkpoint=path, callback=rest), expected)
    assert rest.edges == 1  # nothing was done twice
    # and the finished run is given back
    again = Counter()
    assert not differing(call(case, backend, checkpoint=path, callback=again), expected)
    assert again.edges == 0


@pytest.mark.parametrize("case", QUICK)
def test_bit_for_bit_from_each_edge(case: str, backend_name: str, tmp_path: Path) -> None:
    check_each_edge(case, backend_name, tmp_path / "c")


@pytest.mark.parametrize("case", OTHERS)
def test_bit_for_bit_from_each_edge_of_all_else(case: str, tmp_path: Path) -> None:
    check_each_edge(case, "numpy", tmp_path / "c")


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS)
def test_bit_for_bit_from_each_edge_of_all_else_compiled(case: str, backend_name: str, tmp_path: Path) -> None:
    check_each_edge(case, backend_name, tmp_path / "c")


def test_the_dead_are_retried_in_that_case() -> None:
    run = call("dead and retried", "numpy")
    assert run.state is not None
    assert (run.state.attempt > 1).any()
    assert (run.state.attempt == 1).any()


@pytest.mark.parametrize("case", ["nesterov", "mini batches"])
def test_raised_steps_go_on_bit_for_bit(case: str, backend_name: str, tmp_path: Path) -> None:
    first = call(case, backend_name, steps=200, checkpoint=tmp_path / "c")
    assert np.isin(first.status, ["max_steps", "too_few_rows"]).all()
    more = call(case, backend_name, steps=400, checkpoint=tmp_path / "c")
    assert not differing(more, call(case, backend_name, steps=400))


def test_steps_that_end_between_edges_can_be_raised(backend_name: str, tmp_path: Path) -> None:
    call("nesterov", backend_name, steps=130, checkpoint=tmp_path / "c")
    edges: list[int] = []
    more = call(
        "nesterov", backend_name, steps=400, checkpoint=tmp_path / "c", callback=lambda event: edges.append(event.step)
    )
    assert edges == [200, 300, 400]  # those of a run that never stopped
    assert not differing(more, call("nesterov", backend_name, steps=400))


@pytest.mark.parametrize("case", QUICK)
def test_another_backend_goes_on_to_rounding(case: str, backend_name: str, tmp_path: Path) -> None:
    path = tmp_path / "c"
    call(case, "numpy", checkpoint=path, callback=stopping_at(2))
    rest = call(case, backend_name, checkpoint=path)
    expected = call(case, backend_name)
    # costs are means of squares of order 1
    np.testing.assert_allclose(rest.cost, expected.cost, rtol=1e-9)
    assert rest.backend == backend_name


CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "method": ({"method": "plain"}, "method was 'nesterov' and is 'plain'"),
    "seed": ({"seed": 5}, "seed was 0 and is 5"),
    "tolerance": ({"tolerance": 0.5}, r"tolerance was 0\.0 and is 0\.5"),
    "batch_size": ({"batch_size": 10}, "batch_size was None and is 10"),
    "learning_rate": ({"learning_rate": 0.5}, r"learning_rate was 'auto' and is 0\.5"),
    "schedule": ({"learning_rate": schedules.step(every=3)}, r"is 'auto step\(every=3, decay=0.5\)"),
    "standardize": ({"standardize": False}, "standardize was True and is False"),
    "dtype": ({"dtype": "float32"}, "dtype was 'float64' and is 'float32'"),
    "init": ({"init": Params(np.ones(3), 0.0)}, "init was not given and is now"),
    "weights": ({"sample_weight": np.arange(1.0, 211.0)}, "sample_weight has other values"),
    "validation": ({"validation": (X, POSITIVE)}, "validation X was not given and is now"),
    "features": ({"features": ["a", "b", "c"]}, r"features was .*'x0'.* and is .*'a'"),
    "fewer steps": ({"steps": 100}, "steps was 430 and is 100, they can only be raised"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_differs_is_an_error_that_shows_it(change: str, tmp_path: Path) -> None:
    path = tmp_path / "c"
    call("nesterov", "numpy", checkpoint=path)
    before = path.read_bytes()
    changes, message = CHANGES[change]
    with pytest.raises(UsageError, match=message) as caught:
        call("nesterov", "numpy", checkpoint=path, **changes)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before


def test_other_data_and_another_formula_are_shown(tmp_path: Path) -> None:
    path = tmp_path / "c"
    gdjax.fit(Neuron(), X, POSITIVE, backend="numpy", checkpoint=path)
    moved = X.copy()
    moved[7, 1] = np.nextafter(moved[7, 1], 9)
    for args, message in {
        (Neuron(), "moved"): "X has other values",
        (Neuron(), "rows"): r"X was float64 \(210, 3\) and is float64 \(209, 3\)",
        (Neuron(l2=0.5), "same"): r"l2 was 0\.0 and is 0\.5",
        (Neuron(loss=gdjax.losses.huber(0.5)), "same"): "neuron was .*squared_error.* and is .*huber",
        (Neuron(bias=False), "same"): "bias=True.* and is .*bias=False",
    }.items():
        data = {"moved": (moved, POSITIVE), "rows": (X[1:], POSITIVE[1:]), "same": (X, POSITIVE)}[args[1]]
        with pytest.raises(UsageError, match=message):
            gdjax.fit(args[0], *data, backend="numpy", checkpoint=path)


def test_a_run_file_is_no_checkpoint(tmp_path: Path) -> None:
    call("nesterov", "numpy").save(tmp_path / "run")
    before = (tmp_path / "run").read_bytes()
    with pytest.raises(FileError, match="no checkpoint"):
        call("nesterov", "numpy", checkpoint=tmp_path / "run")
    assert (tmp_path / "run").read_bytes() == before


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("kind", ["text", "run"])
def test_a_strangers_file_beside_the_checkpoint_is_left_as_it_is(tmp_path: Path, kind: str, first: bool) -> None:
    """The one before the newest would be written over it at the second save."""
    path, other = tmp_path / "c", tmp_path / "c.previous"
    if not first:
        call("nesterov", "numpy", steps=100, checkpoint=path)
    if kind == "run":
        call("nesterov", "numpy").save(other)
    else:
        other.write_text("mine")
    held = {file: file.read_bytes() for file in tmp_path.iterdir()}
    with pytest.raises(FileError, match=r"c\.previous: no checkpoint, and .* is kept there: name another checkpoint="):
        call("nesterov", "numpy", checkpoint=path)
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == held


@pytest.mark.parametrize("held", [b"", bytes(4096)], ids=["empty", "zeros"])
def test_a_file_that_holds_nothing_beside_the_checkpoint_is_no_strangers(tmp_path: Path, held: bytes) -> None:
    path = tmp_path / "c"
    call("nesterov", "numpy", steps=100, checkpoint=path)
    (tmp_path / "c.previous").write_bytes(held)
    assert not differing(call("nesterov", "numpy", checkpoint=path), call("nesterov", "numpy"))


def test_what_cannot_be_told_from_a_strangers_file_is_set_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resuming, "INTERVAL", 0.0)
    monkeypatch.setattr(resuming, "SHARE", np.inf)
    path, aside = tmp_path / "c", tmp_path / "c.unreadable"
    call("mini batches", "numpy", checkpoint=path, callback=stopping_at(3))
    path.write_text("mine")
    rest = call("mini batches", "numpy", checkpoint=path)
    assert "resuming from the one before it" in caplog.text
    assert not differing(rest, call("mini batches", "numpy"))
    assert aside.read_text() == "mine"
    path.write_text("mine too")
    with pytest.raises(FileError, match="not a gdjax file, or cut short; name another checkpoint="):
        call("mini batches", "numpy", checkpoint=path)
    assert (path.read_text(), aside.read_text()) == ("mine too", "mine")


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resuming, "INTERVAL", 0.0)
    monkeypatch.setattr(resuming, "SHARE", np.inf)
    path = tmp_path / "c"
    call("mini batches", "numpy", checkpoint=path, callback=stopping_at(3))
    path.write_bytes(path.read_bytes()[:-100])
    with caplog.at_level(logging.WARNING):
        rest = call("mini batches", "numpy", checkpoint=path)
    assert "resuming from the one before it" in caplog.text
    assert not differing(rest, call("mini batches", "numpy"))


def test_checkpoints_are_at_most_one_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(resuming.checkpoint, "write", lambda *a: written.append(a))
    clock = iter(np.arange(0, 1e4, 0.05))  # 0.05 s between any two looks at the clock
    monkeypatch.setattr(resuming.time, "monotonic", lambda: float(next(clock)))
    counter = Counter()
    call("plain", "numpy", steps=10_000, checkpoint=tmp_path / "c", callback=counter, tolerance=0.0)
    assert counter.edges == 100
    # 100 edges in 5 s and a little: about one a second, and the last
    assert 4 <= len(written) <= 7


def test_an_exception_in_a_callback_loses_nothing(tmp_path: Path) -> None:
    seen = Counter()

    def failing(event: Any) -> None:
        seen(event)
        if seen.edges == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call("mini batches", "numpy", checkpoint=tmp_path / "c", callback=failing)
    rest = Counter()
    assert not differing(
        call("mini batches", "numpy", checkpoint=tmp_path / "c", callback=rest), call("mini batches", "numpy")
    )
    assert rest.edges == 6 - 3


def test_errors_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(GdjaxError) as caught:
        call("nesterov", "numpy", checkpoint=tmp_path / "no\nfolder" / "c")
    assert "\n" not in str(caught.value)
