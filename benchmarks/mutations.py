"""Damages files of each kind that is read, thousands of times: each must give a one-line error or the right content.

    python benchmarks/mutations.py --count 10000

Each kind is read in a process of its own, whose death, silence of 30 seconds or memory over 1 GiB is a fault. What is
accepted is held against another reader (csv, numpy, pyarrow), or against what was written.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import csv
import functools
import io
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import gdjax
from gdjax import files, tables
from gdjax.errors import GdjaxError

MEMORY = 1 << 30
SILENCE = 30.0
Array = np.ndarray
Random = np.random.Generator

rng = np.random.default_rng(4)
X = rng.normal(size=(12, 2)).round(3)
Y = (X @ [1.0, 2.0]).round(3)
GROUPS = np.array(["a", "b", "c"]).repeat(4)
COLUMNS = {"a": X[:, 0], "b": X[:, 1].astype(np.float32), "y": Y}


# what is damaged


def seeds(kind: str, folder: Path) -> list[bytes]:
    """Good files of a kind."""
    return [_bytes_of(folder / f"seed.{kind}", write) for write in WRITERS[kind]]


def _bytes_of(path: Path, write: Callable[[Path], None]) -> bytes:
    write(path)
    data = path.read_bytes()
    path.unlink()
    return data


def _csv(quoted: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with path.open("w", newline="") as file:
            writer = csv.writer(file, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
            writer.writerow(["a", "b", "y"])
            writer.writerows(np.column_stack([X, Y]).tolist())

    return write


def _parquet(compression: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as parquet

        parquet.write_table(pa.table(COLUMNS), path, compression=compression)

    return write


def _feather(compression: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        import pyarrow as pa
        import pyarrow.feather as feather

        feather.write_feather(pa.table(COLUMNS), path, compression=compression, chunksize=5)

    return write


def fit(checkpoint: Path | None, **options: Any) -> gdjax.Run:
    """The run whose checkpoints are damaged."""
    held = {"backend": "numpy", "tolerance": 0.0, "verify": False, **options}
    return gdjax.fit(gdjax.Neuron("identity"), X, Y, checkpoint=checkpoint, **{"steps": 300, **held})


def _run_file(**options: Any) -> Callable[[Path], None]:
    return lambda path: fit(None, **options).save(path)


def _checkpoint(path: Path) -> None:
    fit(path, steps=200)


WRITERS: dict[str, list[Callable[[Path], None]]] = {
    "csv": [_csv(False), _csv(True)],
    "npy": [
        lambda path: np.save(path, np.column_stack([X, Y])),
        lambda path: np.save(path, np.asfortranarray(np.column_stack([X, Y]).astype(">f4"))),
    ],
    "npz": [
        lambda path: np.savez(path, X=X, y=Y, groups=GROUPS),
        lambda path: np.savez_compressed(path, X=X, y=Y, sample_weight=np.ones(12)),
        lambda path: np.savez(path, a=X[:, 0], b=X[:, 1], y=Y),
    ],
    "parquet": [_parquet("snappy"), _parquet("none"), _parquet("zstd")],
    "feather": [_feather("uncompressed"), _feather("lz4"), _feather("zstd")],
    "run": [_run_file(), _run_file(groups=GROUPS, steps=100), _run_file(validation=(X, Y), steps=100)],
    "checkpoint": [_checkpoint],
}


# how


def damaged(data: bytes, kind: str, random: Random, others: list[bytes]) -> tuple[bytes, bool]:
    """`data` after one to four mutations, and whether what it holds was changed, checksum and all."""
    if kind in ("run", "checkpoint") and random.random() < 0.5:
        return restructured(data, random), True
    for _ in range(int(random.integers(1, 5))):
        choices = TEXT_MUTATIONS if kind == "csv" and random.random() < 0.5 else MUTATIONS
        data = choices[int(random.integers(len(choices)))](data, random, others)
    return data, False


def _span(data: bytes, random: Random, limit: int = 64) -> tuple[int, int]:
    start = int(random.integers(len(data) + 1))
    return start, min(len(data), start + int(random.integers(1, limit)))


def _flip(data: bytes, random: Random, _: list[bytes]) -> bytes:
    if not data:
        return b"\0"
    at = int(random.integers(len(data)))
    return data[:at] + bytes([data[at] ^ (1 << int(random.integers(8)))]) + data[at + 1 :]


def _noise(data: bytes, random: Random, _: list[bytes]) -> bytes:
    start, stop = _span(data, random)
    return data[:start] + random.bytes(stop - start) + data[stop:]


def _cut(data: bytes, random: Random, _: list[bytes]) -> bytes:
    return data[: int(random.integers(len(data) + 1))]


def _remove(data: bytes, random: Random, _: list[bytes]) -> bytes:
    start, stop = _span(data, random)
    return data[:start] + data[stop:]


def _repeat(data: bytes, random: Random, _: list[bytes]) -> bytes:
    start, stop = _span(data, random)
    return data[:stop] + data[start:stop] * int(random.integers(1, 50)) + data[stop:]


def _splice(data: bytes, random: Random, others: list[bytes]) -> bytes:
    other = others[int(random.integers(len(others)))]
    start, stop = _span(other, random, 512)
    at = int(random.integers(len(data) + 1))
    return data[:at] + other[start:stop] + data[at + int(random.integers(2)) * (stop - start) :]


def _number(data: bytes, random: Random, _: list[bytes]) -> bytes:
    size = int(random.choice([1, 2, 4, 8]))
    value = int(random.choice([0, 1, 127, 128, 255, 32767, 65535, 2**31 - 1, 2**32 - 1, 2**40, 2**62, 2**63 - 1]))
    at = int(random.integers(len(data) + 1))
    return data[:at] + (value % 256**size).to_bytes(size, str(random.choice(["little", "big"]))) + data[at + size :]


def _digits(data: bytes, random: Random, _: list[bytes]) -> bytes:
    """A run of digits becomes another number: shapes and lengths in text headers."""
    places = [i for i, c in enumerate(data) if 48 <= c < 58]
    if not places:
        return data
    at = places[int(random.integers(len(places)))]
    value = str(random.choice(["0", "-1", "7", "99999999", "9" * 19, "9" * 40, "1e9"])).encode()
    return data[:at] + value + data[at + 1 :]


MUTATIONS = [_flip, _noise, _cut, _remove, _repeat, _splice, _number, _digits]

WORDS = [
    b'"', b'""', b"'", b",", b",,", b"\n", b"\r", b"\r\n", b"\n\n", b";", b"\t", b" ", b"\0", b"\xff", b"\xef\xbb\xbf",
    b"nan", b"NaN", b"inf", b"-inf", b"1e999", b"1e308", b"-", b"+", b".", b"1_0", b"0x1p3", b"1,5", b"NA", b"null",
    "é".encode(), "٣".encode(), "\u2028".encode(), b"a", b"y", b"#", b"=1+1", b"1" * 400, b"\x1b[31m",
]  # fmt: skip


def _word(data: bytes, random: Random, _: list[bytes]) -> bytes:
    start, stop = _span(data, random, 8)
    word = WORDS[int(random.integers(len(WORDS)))]
    return data[:start] + word + data[stop if random.random() < 0.5 else start :]


def _line(data: bytes, random: Random, _: list[bytes]) -> bytes:
    lines = data.splitlines(keepends=True) or [b""]
    i, j = (int(k) for k in random.integers(len(lines), size=2))
    lines[i], lines[j] = lines[j], lines[i]
    if random.random() < 0.5:
        del lines[i]
    return b"".join(lines)


TEXT_MUTATIONS = [_word, _word, _line, _cut]


def restructured(data: bytes, random: Random) -> bytes:
    """A whole file with a right checksum, whose arrays and metadata are not those of any run."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        path.write_bytes(data)
        arrays, meta = files.load_arrays(path)
        for _ in range(int(random.integers(1, 4))):
            if arrays and random.random() < 0.6:
                _change_array(arrays, random)
            else:
                _change_meta(meta, random)
        files.save_arrays(path, arrays, meta)
        return path.read_bytes()


def _change_array(arrays: dict[str, Any], random: Random) -> None:
    name = sorted(arrays)[int(random.integers(len(arrays)))]
    array = arrays[name]
    kind = int(random.integers(7))
    if kind == 0:
        del arrays[name]
    elif kind == 1:
        arrays[name] = array[: int(random.integers(3))] if array.ndim else np.zeros(2)
    elif kind == 2:
        arrays[name] = array[..., None]
    elif kind == 3:
        arrays[name] = array.astype("U8") if array.dtype.kind != "U" else np.arange(array.size)
    elif kind == 4 and array.dtype.kind != "U":
        arrays[name] = random.integers(-(2**40), 2**40, array.shape).astype(array.dtype)
    elif kind == 5:
        arrays[name] = array.reshape(-1)
    else:
        arrays[f"{name}x"] = arrays.pop(name)


def _change_meta(meta: Any, random: Random) -> None:
    while isinstance(meta, dict) and meta:
        key = sorted(meta)[int(random.integers(len(meta)))]
        inner = meta[key]
        if isinstance(inner, dict) and inner and random.random() < 0.7:
            meta = inner
            continue
        if random.random() < 0.4:
            del meta[key]
        else:
            odd = [None, True, -1, 10**30, 1e300, "", "\x1b[31m", "relu", [], {}, [[1]], "numpy", {"a": 1}]
            meta[key] = odd[int(random.integers(len(odd)))]
        return


# what is looked at


def read_table(path: Path, data: bytes) -> bool:
    """Reads a damaged table; True where what was accepted is what the other reader has."""
    kind = path.suffix[1:]
    target = "x2" if kind == "npy" else "y"
    found = tables.read(path, target=target)
    shown = found.X, found.y
    if any(column.levels is not None for column in found.columns):
        return True  # text now: coded as categories, whose tests stand elsewhere
    expected = OTHER_READERS[kind](data, found.feature_names, found.target)
    return all(np.array_equal(a, b) for a, b in zip(shown, expected, strict=True))


def _other_csv(data: bytes, names: tuple[str, ...], target: str | None) -> tuple[Array, Array]:
    records = [r for r in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")) if r]
    header = [name.strip() for name in records[0]]
    columns = {name: [float(r[i]) for r in records[1:]] for i, name in enumerate(header)}
    return np.column_stack([columns[n] for n in names]), np.array(columns[str(target)])


def _other_npy(data: bytes, names: tuple[str, ...], target: str | None) -> tuple[Array, Array]:
    array = np.load(io.BytesIO(data), allow_pickle=False)
    if array.dtype.names:
        return np.column_stack([array[n] for n in names]), array[target]
    return array[:, [int(n[1:]) for n in names]], array[:, 2]


def _other_npz(data: bytes, names: tuple[str, ...], target: str | None) -> tuple[Array, Array]:
    # np.load wants the archive to start the file; what stands before it is none of its members
    with np.lib.npyio.NpzFile(io.BytesIO(data), allow_pickle=False) as held:
        if "X" in held.files:
            return held["X"], held["y"]
        return np.column_stack([held[n] for n in names]), held[str(target)]


def _other_parquet(data: bytes, names: tuple[str, ...], target: str | None) -> tuple[Array, Array]:
    import pyarrow.parquet as parquet

    table = parquet.read_table(io.BytesIO(data))
    return np.column_stack([table.column(n).to_numpy() for n in names]), table.column(str(target)).to_numpy()


def _other_feather(data: bytes, names: tuple[str, ...], target: str | None) -> tuple[Array, Array]:
    import polars  # reads Arrow's files by code of its own

    try:
        table: Any = polars.read_ipc(io.BytesIO(data))
    except polars.exceptions.ComputeError:  # an unknown kind of something in the header, which Arrow's own passes over
        from pyarrow import ipc

        as_it_stands = ipc.IpcReadOptions(ensure_native_endian=False)
        table = ipc.open_file(io.BytesIO(data), options=as_it_stands).read_all()
    return np.column_stack([table[n].to_numpy() for n in names]), table[str(target)].to_numpy()


OTHER_READERS = {
    "csv": _other_csv, "npy": _other_npy, "npz": _other_npz, "parquet": _other_parquet, "feather": _other_feather,
}  # fmt: skip


def read_run(path: Path, changed: bool, good: list[bytes]) -> bool:
    """Loads a damaged run and uses it; True where it is one that was saved, or was changed."""
    run = gdjax.load(path)
    repr(run)
    run.table()
    if changed:
        return True
    weights = [run.weights.tobytes()]
    for data in good:
        path.write_bytes(data)
        weights.append(gdjax.load(path).weights.tobytes())
    return weights[0] in weights[1:]


def read_checkpoint(path: Path, changed: bool, good: list[bytes]) -> bool:
    """Goes on from a damaged checkpoint; True where the run ends as the one that was never saved."""
    run = fit(path)
    return changed or run.weights.tobytes() == fit(None).weights.tobytes()


READERS = {"run": read_run, "checkpoint": read_checkpoint}


# the process that reads, and the one that watches it


def work(kind: str, start: int, count: int, seed: int) -> None:
    """Reads damaged files, and prints a line for each."""
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(sys.stderr):
        good = seeds(kind, Path(name))
        path = Path(name) / f"t.{kind}"
        for i in range(start, start + count):
            random = np.random.default_rng([seed, i])
            data, changed = damaged(good[int(random.integers(len(good)))], kind, random, good)
            path.write_bytes(data)
            if kind in READERS:
                read = functools.partial(READERS[kind], path, changed, good)
            else:
                read = functools.partial(read_table, path, data)
            print(json.dumps([i, *_outcome(read)]), file=sys.__stdout__, flush=True)
            for file in Path(name).iterdir():
                file.unlink()
    print(json.dumps(["peak", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024]), flush=True)


def _outcome(read: Callable[[], bool]) -> tuple[str, str]:
    try:
        right = read()
    except GdjaxError as error:
        text = str(error)
        if len(text.splitlines()) != 1 or not text.isprintable():
            return "fault", f"not one printable line: {text!r}"
        return "refused", type(error).__name__
    except BaseException:  # noqa: BLE001 - whatever it is, it is the finding
        return "fault", traceback.format_exc(limit=-3)
    return ("accepted", "") if right else ("fault", "accepted, and not what is there")


def watch(kind: str, count: int, seed: int) -> tuple[collections.Counter[str], list[str]]:
    """Runs readers until `count` files are read; how they ended, and the faults."""
    counts: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    at = 0
    while at < count:
        command = [sys.executable, __file__, "--worker", kind, "--start", str(at), "--count", str(count - at)]
        worker = subprocess.Popen(
            [*command, "--seed", str(seed)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        last = [time.monotonic()]
        threading.Thread(target=_stop_silent, args=(worker, last), daemon=True).start()
        done = False
        for line in _lines(worker):
            last[0] = time.monotonic()
            if line[0] == "peak":
                done = True
                counts["peak MiB"] = max(counts["peak MiB"], line[1] >> 20)
                if line[1] > MEMORY:
                    faults.append(f"{kind}: {line[1] >> 20} MiB of memory")
                continue
            at = line[0] + 1
            counts[line[1]] += 1
            if line[1] == "fault":
                faults.append(f"{kind} {line[0]}: {line[2]}")
        if worker.wait() != 0 or not done:
            faults.append(f"{kind} {at}: the process ended with {worker.returncode}")
            counts["fault"] += 1
            at += 1
    return counts, faults


def _lines(worker: Any) -> Iterator[list[Any]]:
    for line in worker.stdout:
        yield json.loads(line)


def _stop_silent(worker: Any, last: list[float]) -> None:
    while worker.poll() is None:
        time.sleep(0.5)
        if time.monotonic() - last[0] > SILENCE:
            worker.kill()


def main() -> int:
    """Prints a table, and gives 1 where there was a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="files of each kind")
    parser.add_argument("--kind", action="append", choices=WRITERS)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="of --worker")
    parser.add_argument("--worker", choices=WRITERS, help="read in this process, a line each, to look at a fault")
    options = parser.parse_args()
    if options.worker:
        work(options.worker, options.start, options.count, options.seed)
        return 0
    began, total = time.monotonic(), 0
    print("| files | read | refused | accepted | faults | peak memory |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for kind in options.kind or WRITERS:
        counts, faults = watch(kind, options.count, options.seed)
        total += len(faults)
        row = (options.count, counts["refused"], counts["accepted"], len(faults), f"{counts['peak MiB']} MiB")
        print(f"| {kind} | {' | '.join(map(str, row))} |", flush=True)
        for fault in faults[:20]:
            print(fault, file=sys.stderr)
    print(f"\n{total} faults, {time.monotonic() - began:.0f} s")
    return int(total > 0)


if __name__ == "__main__":
    sys.exit(main())
