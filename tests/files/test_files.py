"""Files: what was written comes back, and nothing else does."""

import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from safetensors import safe_open

from gdjax.errors import FileError
from gdjax.files import atomic_write, load_arrays, save_arrays

SAMPLE = {
    "weights": np.arange(6.0).reshape(2, 3),
    "status": np.array([3, 1], np.int8),
    "groups": np.array(["N1", "Zürich\n"]),
}
META = {"format": 1, "names": ["a", "b"], "nested": {"x": None}}

floats = hnp.floating_dtypes(sizes=(16, 32, 64))
kinds = hnp.boolean_dtypes() | hnp.integer_dtypes() | hnp.unsigned_integer_dtypes() | floats
arrays = hnp.arrays(kinds, hnp.array_shapes(min_dims=0, min_side=0, max_side=4))


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(array=arrays, data=st.data())
def test_arrays_come_back_bit_for_bit(tmp_path: Path, array: np.ndarray, data: st.DataObject) -> None:
    if array.ndim:
        array = array.transpose(data.draw(st.permutations(range(array.ndim))))
        array = array[:: data.draw(st.sampled_from([1, -1, 2]))]
    save_arrays(tmp_path / "f", {"a": array}, {})
    back = load_arrays(tmp_path / "f")[0]["a"]
    assert back.shape == array.shape
    assert back.dtype == array.dtype.newbyteorder("=")
    assert back.tobytes() == array.astype(array.dtype.newbyteorder("=")).tobytes()
    assert back.flags.writeable


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cells=st.lists(st.text(st.characters(exclude_characters="\x00"))))
def test_text_comes_back(tmp_path: Path, cells: list[str]) -> None:
    save_arrays(tmp_path / "f", {"a": np.array(cells, dtype=np.str_)}, {})
    assert load_arrays(tmp_path / "f")[0]["a"].tolist() == cells


def test_metadata_comes_back_and_safetensors_itself_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "run.safetensors"
    save_arrays(path, SAMPLE, META)
    back, meta = load_arrays(path)
    assert meta == META
    assert back.keys() == SAMPLE.keys()
    assert back["groups"].tolist() == SAMPLE["groups"].tolist()
    with safe_open(path, framework="np") as file:
        np.testing.assert_array_equal(file.get_tensor("weights"), SAMPLE["weights"])
        assert json.loads(file.metadata()["gdjax"]) == META


def test_every_byte_counts(tmp_path: Path) -> None:
    path = tmp_path / "run"
    save_arrays(path, SAMPLE, META)
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        try:
            back, meta = load_arrays(path)
        except FileError:
            continue
        # The header's own white space and the order of its keys may differ, the content may not.
        assert meta == META
        assert all(np.array_equal(back[name], SAMPLE[name]) for name in SAMPLE)


@pytest.mark.parametrize("kept", [0, 1, 7, 8, 9, 100, -8, -1])
def test_a_file_cut_short_is_refused(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "run"
    save_arrays(path, SAMPLE, META)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(FileError, match="cut short"):
        load_arrays(path)


@pytest.mark.parametrize("name", ["missing", "folder", "pipe", "zeros", "lying", "plain", "extended"])
def test_what_is_no_such_file_is_refused_in_a_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    if name == "folder":
        path.mkdir()
    elif name == "pipe":
        os.mkfifo(path)
    elif name == "zeros":
        path.write_bytes(bytes(100))
    elif name == "lying":
        path.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    elif name == "plain":
        from safetensors.numpy import save_file

        save_file({"a": np.zeros(3)}, path)
    elif name == "extended":
        save_arrays(path, SAMPLE, META)
        path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(FileError) as caught:
        load_arrays(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_size_is_checked_before_anything_is_read(tmp_path: Path) -> None:
    path = tmp_path / "huge"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # sparse: it takes no room
    with pytest.raises(FileError, match="more than the limit"):
        load_arrays(path)


@pytest.mark.parametrize("array", [np.array([object()]), np.zeros(2, complex), np.zeros(2, "M8[s]"), np.zeros(2, "S3")])
def test_what_cannot_be_kept_is_refused_before_anything_is_written(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(TypeError, match="can be saved"):
        save_arrays(tmp_path / "f", {"a": array}, {})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_what_was_there(tmp_path: Path, file_limit: Any) -> None:
    path = tmp_path / "run"
    save_arrays(path, SAMPLE, META)
    before = path.read_bytes()
    with file_limit(1000), pytest.raises(FileError, match="cannot be written"):
        save_arrays(path, {"a": np.zeros(1000)}, {})
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("path", ["missing/run", ".", "a\0b"])
def test_places_that_cannot_be_written_are_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(FileError):
        atomic_write(tmp_path / path, b"x")


def test_links_are_followed_and_permissions_are_the_usual(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    atomic_write(tmp_path / "link", b"x")
    assert (tmp_path / "real").read_bytes() == b"x"
    (tmp_path / "usual").touch()
    assert stat.S_IMODE((tmp_path / "real").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


KILLED = """
import sys, numpy as np
from gdjax.runs import checkpoint
state = checkpoint.read(sys.argv[1])
step = 0 if state is None else state[1]["step"]
while True:
    step += 1
    checkpoint.write(sys.argv[1], {"w": np.full(40_000, step)}, {"step": step})
    print(step, flush=True)
"""


@pytest.mark.slow
def test_kill_9_at_any_moment_loses_one_interval_at_most(tmp_path: Path) -> None:
    from gdjax.runs import checkpoint

    path = tmp_path / "check"
    rng = np.random.default_rng(0)
    for _ in range(20):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        try:
            process.wait(timeout=rng.uniform(0, 0.05))
        except subprocess.TimeoutExpired:
            process.kill()
        written = [int(line) for line in process.communicate()[0].split()]
        state = checkpoint.read(path)
        assert state is not None
        assert not written or state[1]["step"] >= written[-1]
        assert (state[0]["w"] == state[1]["step"]).all()
        assert len(list(tmp_path.iterdir())) <= 2
