"""`gdjax bench`: what it measures is asked of the backends for real, and its rates are bytes over seconds."""

import json

import numpy as np
import pytest

import gdjax
from gdjax.cli import main
from gdjax.cli.bench import medians


def bench(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as left:
        main(["bench", "--rows", "300", "--features", "4", "--neurons", "3", "--repeats", "1", *arguments])
    assert not left.value.code
    return capsys.readouterr().out


@pytest.fixture
def only_numpy(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes that NumPy was asked to take a gradient of, the only backend here: the others would compile."""
    installed = {name: {**found, "installed": name == "numpy"} for name, found in gdjax.backends().items()}
    monkeypatch.setattr(gdjax, "backends", lambda: installed)
    shapes: list[tuple[int, ...]] = []
    kind = type(gdjax.backend("numpy"))
    whole = kind.cost_and_gradient

    def watched(self, formula, theta, samples):
        shapes.append(samples.X.shape)
        cost, gradient = whole(self, formula, theta, samples)
        assert np.isfinite(cost).all()
        assert np.isfinite(gradient).all()
        assert gradient.any()
        return cost, gradient

    monkeypatch.setattr(kind, "cost_and_gradient", watched)
    return shapes


def test_json_holds_every_rate(only_numpy: list[tuple[int, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(bench(capsys, "--json", "--dtype", "float64"))
    assert (found["dtype"], found["rows"], found["features"], found["neurons"]) == ("float64", 300, 4, 3)
    size = {"shared": 300 * 4 * 8, "fleet": 3 * 500 * 16 * 8}
    for rate in found["rates"]:
        assert rate["gigabytes_per_second"] == pytest.approx(size[rate["data"]] / rate["seconds"] / 1e9)
    assert {(r["data"], r["backend"]) for r in found["rates"]} == {
        (data, backend) for data in size for backend in ("read once", "numpy")
    }
    assert sorted(only_numpy) == 2 * [(3, 500, 16)] + 2 * [(300, 4)]  # once to compile, once measured


def test_table_for_people(only_numpy: list[tuple[int, ...]], capsys: pytest.CaptureFixture[str]) -> None:
    text = bench(capsys)
    for word in ("shared", "fleet", "read once", "numpy", "GB/s of X"):
        assert word in text


def test_tasks_take_turns_and_the_first_run_is_not_measured() -> None:
    order: list[str] = []
    found = medians({name: lambda name=name: order.append(name) for name in "ab"}, 3)
    assert "".join(order) == "ab" * 4
    assert set(found) == {"a", "b"}
