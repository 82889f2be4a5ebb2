"""Checkpoints: the last two are kept, and the newest whole one is read."""

from pathlib import Path

import numpy as np
import pytest

from gdjax.errors import FileError
from gdjax.runs import checkpoint


def test_none_yet(tmp_path: Path) -> None:
    assert checkpoint.read(tmp_path / "c") is None


def write_three(path: Path) -> None:
    for step in range(3):
        checkpoint.write(path, {"w": np.full(3, step)}, {"step": step})


def test_the_last_two_are_kept(tmp_path: Path) -> None:
    write_three(tmp_path / "c")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["c", "c.previous"]
    state = checkpoint.read(tmp_path / "c")
    assert state is not None
    assert state[1] == {"step": 2}


@pytest.mark.parametrize("damage", ["cut", "gone", "altered"])
def test_the_one_before_stands_in(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "c"
    write_three(path)
    data = path.read_bytes()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:50] if damage == "cut" else data[:-1] + b"\x07")
    state = checkpoint.read(path)
    assert state is not None
    assert state[1] == {"step": 1}
    assert state[0]["w"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("damage", ["another's", "altered"])
def test_none_that_can_be_read_is_an_error_with_the_remedy(tmp_path: Path, damage: str) -> None:
    """It may be the only copy of another's data: nothing says to delete it."""
    path = tmp_path / "c"
    write_three(path)
    for file in tmp_path.iterdir():
        file.write_bytes(b"no" if damage == "another's" else file.read_bytes()[:-1] + b"\x07")
    said = {"another's": "not a gdjax file, or cut short", "altered": "altered since it was written"}[damage]
    with pytest.raises(FileError) as caught:
        checkpoint.read(path)
    assert str(caught.value).startswith(f"{path}: {said}")
    assert str(caught.value).endswith("; name another checkpoint=")


def test_orphans_of_killed_writers_are_removed(tmp_path: Path) -> None:
    write_three(tmp_path / "c")
    orphan, other = tmp_path / ".c.99999999.00000000.tmp", tmp_path / ".d.99999999.00000000.tmp"
    orphan.touch()
    other.touch()
    checkpoint.read(tmp_path / "c")
    assert not orphan.exists()
    assert other.exists()
