"""Full disks, folders that cannot be written, files that shrink: a line that says so, and nothing lost."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import subprocess
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import gdjax
from gdjax import Neuron, Run, files, tables
from gdjax.errors import FileError, GdjaxError
from gdjax.runs import checkpoint, resuming

rng = np.random.default_rng(6)
X = rng.normal(size=(100, 2))
Y = np.maximum(X @ [1.0, 2.0] + rng.normal(size=100), 0)


@pytest.fixture(autouse=True)
def every_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resuming, "INTERVAL", 0.0)
    monkeypatch.setattr(resuming, "SHARE", np.inf)


def fit(path: Path | None, **options: Any) -> Run:
    # the history grows by 800 bytes a chunk
    return gdjax.fit(Neuron(), X, Y, backend="numpy", tolerance=0.0, steps=4000, checkpoint=path, **options)


def same(a: Run, b: Run) -> bool:
    assert a.state is not None
    assert b.state is not None
    left, right = a.state.arrays(), b.state.arrays()
    return all(left[name].tobytes() == right[name].tobytes() for name in left)


@contextlib.contextmanager
def small_disk(folder: Path, size: int) -> Iterator[Callable[[], None]]:
    """A file system of `size` bytes at `folder`: the superuser may mount one."""
    options = ["mount", "-t", "tmpfs", "tmpfs", str(folder), "-o"]
    subprocess.run([*options, f"size={size}"], check=True)
    try:
        yield lambda: subprocess.run([*options, "remount,size=10m"], check=True) and None
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _may_mount() -> bool:
    folder = tempfile.mkdtemp()
    try:
        with small_disk(Path(folder), 1 << 16):
            return True
    except (OSError, subprocess.CalledProcessError):
        return False
    finally:
        os.rmdir(folder)


LIMITS = {"a limit on files": 20_000}
if os.name == "posix" and os.geteuid() == 0 and shutil.which("mount") and _may_mount():
    LIMITS["a full disk"] = 65_536


@pytest.mark.parametrize("limit", LIMITS)
def test_where_the_disk_is_full_the_last_checkpoint_stands(limit: str, tmp_path: Path, file_limit: Any) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    path = folder / "c"
    edges = []
    size = LIMITS[limit]
    with small_disk(folder, size) if limit == "a full disk" else file_limit(size) as more_room:
        with pytest.raises(FileError, match=r"cannot be written: (No space left|File too large)") as caught:
            fit(path, callback=lambda event: edges.append(event.step))
        assert "\n" not in str(caught.value)
        assert len(edges) > 2
        kept = checkpoint.read(path)
        assert kept is not None
        assert int(kept[0]["state.step"][0]) == edges[-1]  # the last edge that was told of
        assert sorted(file.name for file in folder.iterdir()) == ["c", "c.previous"]  # no half of a file
        more_room()
        rest: list[int] = []
        assert same(fit(path, callback=lambda event: rest.append(event.step)), fit(None))
        assert rest[0] == edges[-1] + 100


@contextlib.contextmanager
def without_rights() -> Iterator[Path]:
    """A folder that this process may read and not write: chmod does not bind the superuser, another user's id does."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o555)
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield folder
    finally:
        os.seteuid(user)
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_read_only_folder_is_said_at_the_first_edge(tmp_path: Path) -> None:
    run = fit(tmp_path / "c")
    run.save(tmp_path / "run")  # what is imported at the first use may be out of the other user's reach
    edges = []
    with without_rights() as folder:
        with pytest.raises(FileError, match="cannot be written: Permission denied"):
            fit(folder / "c", callback=lambda event: edges.append(event))
        with pytest.raises(FileError, match="cannot be written: Permission denied"):
            run.save(folder / "run")
        assert list(folder.iterdir()) == []
    assert edges == []


@pytest.mark.parametrize("place", ["missing/c", "file/c", "folder"])
def test_places_that_are_none(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(FileError) as caught:
        fit(tmp_path / place)
    assert "\n" not in str(caught.value)
    assert str(tmp_path / place) in str(caught.value)


def write_table(path: Path) -> None:
    X = np.arange(400_000.0).reshape(-1, 4)
    if path.suffix == ".csv":
        np.savetxt(path, X, delimiter=",", header="a,b,c,y", comments="")
    elif path.suffix == ".npy":
        np.save(path, X)
    elif path.suffix == ".npz":
        np.savez(path, X=X[:, :3], y=X[:, 3])
    else:
        import pyarrow as pa
        import pyarrow.feather as feather
        import pyarrow.parquet as parquet

        table = pa.table({name: X[:, i] for i, name in enumerate("abcy")})
        (parquet.write_table if path.suffix == ".parquet" else feather.write_feather)(table, path)


TARGET = {".npy": "x3", ".npz": "y"}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of tables that are whole, written once of each kind."""
    return tmp_path_factory.mktemp("whole")


@pytest.mark.parametrize("kept", [0.0, 0.1, 0.999])
@pytest.mark.parametrize("kind", [".csv", ".npy", ".npz", ".parquet", ".feather"])
def test_a_table_that_shrinks_while_it_is_read(
    kind: str, kept: float, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, path = whole / f"t{kind}", tmp_path / f"t{kind}"
    if not source.exists():
        write_table(source)
        assert len(tables.read(source, target=TARGET.get(kind, "y")).X) == 100_000
    shutil.copy(source, path)
    fstat, cut = os.fstat, []

    def shrinking(descriptor: int) -> os.stat_result:
        """The size as it was, and another writer right after."""
        info = fstat(descriptor)
        if info.st_ino == path.stat().st_ino and not cut:
            cut.append(info.st_size)
            os.truncate(path, int(info.st_size * kept))
        return info

    monkeypatch.setattr(files.os, "fstat", shrinking)
    with pytest.raises(GdjaxError) as caught:
        tables.read(path, target=TARGET.get(kind, "y"))
    assert cut
    assert "\n" not in str(caught.value)
    assert path.name in str(caught.value)
    for frame, _ in traceback.walk_tb(caught.value.__traceback__):
        for held in frame.f_locals.values():
            if isinstance(held, io.BytesIO):
                held.close()  # as the garbage collector does, at any moment: no view is left of it


def test_a_run_file_that_shrinks_while_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run"
    fit(None).save(path)
    fstat = os.fstat

    def shrinking(descriptor: int) -> os.stat_result:
        info = fstat(descriptor)
        if info.st_ino == path.stat().st_ino:
            os.truncate(path, info.st_size // 2)
        return info

    monkeypatch.setattr(files.os, "fstat", shrinking)
    with pytest.raises(FileError, match="shrank while it was read"):
        gdjax.load(path)
