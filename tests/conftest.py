"""What the tests share: the backends that are installed, and the data that ships."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parent.parent

# The same examples in each run; no deadline, since the first call compiles.
hypothesis.settings.register_profile("gdjax", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile("gdjax")

# A shell without a terminal has what it starts in the background ignore Ctrl-C, which is part of what is tested.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_configure(config: pytest.Config) -> None:
    """What XLA compiled in one worker, or in a process that a test started, no other compiles again in this session.

    An entry's key is the program, the options and the versions, and each session begins with none.
    """
    # who reads what another is just writing compiles it, and warns
    config.addinivalue_line("filterwarnings", "ignore:Error reading persistent compilation cache entry:UserWarning")
    if hasattr(config, "workerinput") or "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = tempfile.mkdtemp(prefix="gdjax-xla-")
    config.add_cleanup(partial(shutil.rmtree, folder, ignore_errors=True))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = folder
    os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
    os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """With `-n 2` the tests of a file run in one worker, the files of most tests first: programs and fixtures serve the
    next test, and no two workers compile the same at once."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import LoadFileScheduling

    return LoadFileScheduling(config, log)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--backend", action="append", help="run the tests of this backend alone; may be repeated")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """``backend_name`` runs a test once on every backend that is registered, a stranger's too."""
    if "backend_name" in metafunc.fixturenames:
        names = metafunc.config.getoption("--backend") or sorted({e.name for e in entry_points(group="gdjax.backends")})
        metafunc.parametrize("backend_name", names)


@pytest.fixture
def file_limit() -> Callable[[int], AbstractContextManager[Callable[[], None]]]:
    """A context in which this process writes no file of more bytes than that, as where a quota ends; it yields what
    lifts the limit before.

    Python keeps no bytecode in it: before 3.12.8 it keeps it cut, and no later process can import that module
    (python/cpython#126606).
    """
    import resource  # POSIX alone has it, as has a limit

    @contextlib.contextmanager
    def limited(size: int) -> Iterator[Callable[[], None]]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        kept, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
        try:
            yield lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            sys.dont_write_bytecode = kept

    return limited


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def example_data() -> Path:
    """The folder of the data that ships."""
    return ROOT / "examples" / "data"
