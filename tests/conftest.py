"""What the tests share: the backends that are installed, and the data that ships."""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# The same examples in each run; no deadline, since the first call compiles.
hypothesis.settings.register_profile("gdjax", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("gdjax")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", action="append", help="run the tests of this backend alone; may be repeated")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``backend_name`` runs a test once on every backend that is registered, a stranger's too."""
    if "backend_name" in metafunc.fixturenames:
        names = metafunc.config.getoption("--backend") or sorted({e.name for e in entry_points(group="gdjax.backends")})
        metafunc.parametrize("backend_name", names)


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def example_data() -> Path:
    """The folder of the data that ships."""
    return ROOT / "examples" / "data"
