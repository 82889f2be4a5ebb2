"""What numba compiles is kept for the next process: whole, whoever else writes it, and never in the way of a fit."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import gdjax
import gdjax.rule
from gdjax import Neuron

pytest.importorskip("numba")
import numba

from gdjax_numba import backend, compiling, keeping

PROCESSES = 3
PROGRAMS = 8
WAIT = 60


def text(number: int = 0) -> Callable[[bool], str]:
    """A program of one function in C, as the formulas and rules are."""
    lines = "from numba import cfunc\n\n@cfunc('float64(float64)', cache={})\ndef add(x):\n    return x + {}\n"
    return lambda kept: lines.format(kept, number)


def load(monkeypatch: pytest.MonkeyPatch, folder: Path) -> bool:
    """Whether the program came from disk, in a process as if it were new; it is the program in any case."""
    monkeypatch.setenv("GDJAX_CACHE_DIR", str(folder))
    monkeypatch.setattr(keeping, "_loaded", {})
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    add = keeping.load(text(), "").add
    assert add.ctypes(2.0) == 2.0
    return bool(add.cache_hits)


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


# Once it is told to, writes long files and reads them, and compiles some programs; prints how many came from disk.
CHILD = """
import sys
from pathlib import Path
import test_keeping
from gdjax_numba import keeping
print("ready", flush=True)
sys.stdin.readline()
for i in range(100):
    source = f"# {i}" * 200_000
    path = keeping._written(source, Path(sys.argv[1], f"{i}.long"))
    assert path.read_text() == source, "another process has it in its hands"
print(sum(keeping.load(test_keeping.text(i), "").add.cache_hits for i in range(test_keeping.PROGRAMS)))
"""


def start(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(folder)],
        env={**os.environ, "GDJAX_CACHE_DIR": str(folder), "PYTHONPATH": str(Path(__file__).parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def came_from_disk(*processes: subprocess.Popen[str]) -> list[int]:
    """How many programs did in each process, all of them told to begin at once."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    ends = [process.communicate(timeout=WAIT) for process in processes]
    assert [p.returncode for p in processes] == [0] * len(processes), ends
    return [int(out) for out, _ in ends]


def test_processes_that_write_at_once_leave_whole_programs(tmp_path: Path) -> None:
    came_from_disk(*[start(tmp_path) for _ in range(PROCESSES)])
    kept = files(tmp_path)
    assert sum(name.endswith(".long") for name in kept) == 100
    kept = {name: data for name, data in kept.items() if not name.endswith((".long", ".pyc"))}
    suffixes = sorted(Path(name).suffix for name in kept)
    assert suffixes == sorted([".nbc", ".nbi", ".py"] * PROGRAMS), "no draft is left, no program twice"
    assert sorted(d for n, d in kept.items() if n.endswith(".py")) == sorted(text(i)(True).encode() for i in range(8))
    assert came_from_disk(start(tmp_path)) == [PROGRAMS]
    assert kept.items() <= files(tmp_path).items()


def test_a_program_written_again_is_as_old_as_before(tmp_path: Path) -> None:
    """numba 0.61 tells programs apart by the time and the size of their files."""
    path = tmp_path / "program.py"
    keeping._written("x = 1\n", path)
    before = path.stat()
    path.unlink()
    keeping._written("x = 1\n", path)
    assert (path.stat().st_mtime_ns, path.stat().st_size) == (before.st_mtime_ns, before.st_size)


# What a machine that lost its power leaves: of a file its name.
DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "source empty": (".py", lambda data: b""),
    "source cut": (".py", lambda data: data[:-5]),
    "bytecode cut": (".pyc", lambda data: data[:-30]),
    "index empty": (".nbi", lambda data: b""),
    "code cut": (".nbc", lambda data: data[: len(data) // 2]),
    "code zeros": (".nbc", lambda data: bytes(len(data))),
}


def damaged(case: str, folder: Path) -> None:
    suffix, damage = DAMAGES[case]
    (path,) = folder.rglob(f"*{suffix}")
    path.write_bytes(damage(path.read_bytes()))


@pytest.mark.parametrize("case", DAMAGES)
def test_what_is_damaged_is_compiled_again(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert [load(monkeypatch, tmp_path) for _ in range(2)] == [False, True]
    whole = set(files(tmp_path))
    damaged(case, tmp_path)
    load(monkeypatch, tmp_path)
    load(monkeypatch, tmp_path)
    assert load(monkeypatch, tmp_path)
    assert set(files(tmp_path)) == whole


@pytest.mark.parametrize("room", [100, 5_000], ids=["for nothing", "for the source alone"])
def test_without_room_on_disk_it_is_compiled_all_the_same(
    room: int, tmp_path: Path, file_limit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # all that numba imports to compile it: `load` lets Python keep bytecode, and would keep that cut
    assert not load(monkeypatch, tmp_path / "roomy")
    full = tmp_path / "full"
    with file_limit(room):
        assert not load(monkeypatch, full)
    assert not files(full)


def test_a_program_that_is_wrong_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDJAX_CACHE_DIR", str(tmp_path))
    with pytest.raises(numba.core.errors.TypingError, match="nonsense"):
        keeping.load(lambda kept: text()(kept).replace("x + 0", "nonsense(x)"), "")


def module_at(path: Path) -> ModuleType:
    spec: Any = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("case", ["index empty", "code cut", "refused"])
def test_a_walk_is_ready_whatever_is_kept_of_it(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / f"walk_{case.replace(' ', '_')}.py"
    path.write_text("import numba\n\n@numba.njit(cache=True)\ndef double(x):\n    return x + x\n")
    monkeypatch.setitem(sys.modules, path.stem, module_at(path))
    if case in DAMAGES:
        keeping.ready(sys.modules[path.stem].double, 2.5)
        damaged(case, tmp_path / "__pycache__")
    else:
        monkeypatch.setattr(numba.core.caching.IndexDataCacheFile, "_open_for_write", refused)
    again = module_at(path)
    walk = keeping.ready(again.double, 2.5)
    assert walk is again.double
    assert len(walk.overloads) == 1
    assert walk(2.5) == 5.0
    assert len(walk.overloads) == 1, "a call compiles nothing more"


def refused(*_: Any) -> Any:
    raise PermissionError("not here")


def name_of_a_program(monkeypatch: pytest.MonkeyPatch) -> str:
    """The digest that walks would be kept under; nothing is compiled."""
    named: list[str] = []

    def run(source: str, name: str, path: Path | None) -> ModuleType:
        named.append(name)
        return ModuleType(name)

    monkeypatch.setattr(keeping, "_loaded", {})
    monkeypatch.setattr(keeping, "_written", lambda source, path: path)
    monkeypatch.setattr(keeping, "_run", run)
    compiling.program.__wrapped__("float32")
    return named[0]


def imported_from_gdjax() -> list[tuple[str, str]]:
    """(module, name) of what the head imports of our own, which numba's cache does not see change."""
    head = compiling.HEAD.format(title="", dtype="float32", shape="1, 1", cache=False)
    nodes = [node for node in ast.walk(ast.parse(head)) if isinstance(node, ast.ImportFrom)]
    found = [(str(node.module), alias.name) for node in nodes for alias in node.names]
    return [pair for pair in found if pair[0].startswith("gdjax")]


@pytest.mark.parametrize(("module", "name"), imported_from_gdjax())
def test_a_program_is_another_when_what_it_imports_is(module: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = name_of_a_program(monkeypatch)
    assert before == name_of_a_program(monkeypatch)
    home: Any = importlib.import_module(module)
    if isinstance(getattr(home, name), int):
        monkeypatch.setattr(home, name, getattr(home, name) + 1)
    else:
        getsource = compiling.inspect.getsource
        monkeypatch.setattr(compiling.inspect, "getsource", lambda m: getsource(m) + "#" * (m is home))
    assert name_of_a_program(monkeypatch) != before


@pytest.mark.parametrize(("where", "what"), [(compiling, "load"), (backend, "ready")], ids=["a rule", "a walk"])
def test_who_compiles_keeps_no_other_thread_waiting(
    where: ModuleType, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 2)), rng.normal(size=40)

    def fit() -> np.ndarray:
        return gdjax.fit(Neuron("identity"), X, y, backend="numba", steps=5).weights

    alone = fit()
    compiling._rule_addresses.cache_clear()
    theirs, compiling_now = threading.Event(), threading.Event()
    real = getattr(where, what)

    def slow(*arguments: Any) -> Any:
        if threading.current_thread() is not threading.main_thread():
            compiling_now.set()
            assert theirs.wait(WAIT), "the fit of another thread waits for this one to have compiled"
        return real(*arguments)

    monkeypatch.setattr(where, what, slow)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(fit)
        assert compiling_now.wait(WAIT)
        together = fit()
        theirs.set()
        assert waiting.result(WAIT).tobytes() == together.tobytes() == alone.tobytes()
