"""What `speed.py` found, as tables, docs/speed.md and docs/speed.svg."""

# %%
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"
Found = dict[str, Any]

TABLES = {
    "large": "One neuron on 4,194,304 rows by 128: one full gradient",
    "devices": "The same on two host devices",
    "sweep": "1,024 neurons on 262,144 rows by 64: one full gradient of each",
    "fleet": "10,000 neurons, each on 500 rows by 16 of its own: 20 steps",
    "diabetes": "diabetes, 442 rows by 10: 10,000 steps, in chunks of 100",
    "start": "1,000 rows by 8: from the start of a process to the result, caches warm",
    "host": "What a chunk of 100 steps costs the host",
    "shapes": "Neighbouring shapes of 64 MiB: time a touched byte of one over that of the other",
    "scaling": "Against size, over three decades",
    "narrow": "X in 16 bits, arithmetic in float32: 1,048,576 rows by 128, jax",
}
RIVALS = ("floor", "jit(", "vmap(", "torch", "textbook", "a Python loop")

ASKED: tuple[tuple[str, str, str, str, float], ...] = (
    ("large", "numba", "floor: read X once", "share of the read floor", 0.80),
    ("large", "numba", "jit(jax.value_and_grad)", "times as fast as jit(jax.value_and_grad)", 4.5),
    ("large", "numba", "torch autograd", "times as fast as torch autograd", 10),
    ("large", "jax", "jit(jax.value_and_grad)", "times as fast as jit(jax.value_and_grad)", 2.0),
    ("devices", "jax, 2 host devices", "jit(jax.value_and_grad)", "times as fast as jit(jax.value_and_grad)", 2.7),
    ("large", "numpy", "textbook NumPy", "times as fast as textbook NumPy", 1.6),
    ("sweep", "jax", "vmap(jax.value_and_grad)", "times as fast as vmap(jax.value_and_grad)", 2.5),
    ("sweep", "", "floor: a matrix product", "the best backend's share of the matrix product", 0.70),
    ("fleet", "numba", "vmap(jax.grad) in fori_loop", "times as fast as vmap(jax.grad)", 8),
    ("diabetes", "jax", "a Python loop over a jitted optax step", "times as fast as the optax loop", 4),
    ("diabetes", "numba", "a Python loop over a jitted optax step", "times as fast as the optax loop", 6),
)
"""(workload, backend or "" for the fastest, rival, what its seconds over the backend's are called, at least)"""

BOUNDS = {
    ("large", "numba"): "jit takes about 4 times as long as reading X once, and torch about 3.3: what is aimed at "
    "is beyond the floor, which the sums reach. One load a line, and nothing else, was 1.1 times as fast as it",
    ("large", "jax"): "two fused loops a block, one at the floor's speed, one from cache in half its time, and nothing "
    "is fetched meanwhile. Vectors of 512 bits gave 1.13 times the speed. Both loops of neighbouring blocks side by "
    "side, 4 to 32 strips, blocks of 0.25 to 4 MiB and a loop a core in one program, which XLA runs one after the "
    "other, gained nothing",
    ("devices", "jax, 2 host devices"): "each core's loops, on blocks of 128 KiB, read at two thirds of the floor's "
    "speed. Vectors of 512 bits gave 1.13 times the speed: 2.5 in one run. Blocks of 64 KiB to 2 MiB, 4 to 16 "
    "strips and products by lanes of 16 and 32 columns gained nothing",
    ("large", "numpy"): "the same calls written out by hand, with no engine around them, are 1.3 to 1.5 times as fast "
    "as the textbook's gradient: between BLAS's two products are a dozen, at each of which one thread waits for the "
    "other's turn with the interpreter. A neuron as a vector and a call less at gates gained a tenth. Blocks of 0.5 to "
    "32 MiB, turns by a lock, three and four threads, pieces of 500 numbers, for which NumPy keeps its turn, shorter "
    "turns, one thread for the first product with one for the rest, both threads BLAS's, and a block read ahead gained "
    "nothing more",
    (
        "fleet",
        "numba",
    ): "each value of X is loaded twice a step, from the second cache, and the two products run at 70% "
    "of what the first cache delivers",
    ("diabetes", "jax"): "XLA runs a step as 17 kernels, each of which it waits for in a list of what may start: of "
    "2 us a step the list takes 0.9. Handing a chunk to another thread takes 30 us, the arrays that go with it 20, "
    "Python 50. XLA's older emitters gained a fifth; the rule in a branch of its own, other schedulers, and "
    "running on the calling thread nothing",
}
"""What holds back those that fall short, as it was measured, and what was tried."""

HEAD = """# Speed

A hand-derived gradient is taken forward and backward on a block of rows while the block is in cache: X is read once a
step, and nothing of size rows by neurons is stored. `python benchmarks/speed.py` measures it beside what one would use
instead and writes this page: each table in one process, all taking turns, medians of at least five, float32. Only the
ratios of one table compare. `gdjax bench` is the short version.

![Share of the machine's floor](speed.svg)
"""

TAIL = """
## How each backend walks the data
- **numba**: ranges of rows that depend on N alone, in parallel; in each, blocks of 4 to 64 rows, whose dot products,
  slopes and part of the gradient are taken while the block is in the first cache, and memory is asked for the rows
  16 KiB on, half of them with the dot products, half with the gradient. A neuron whose samples fit in a core's cache
  runs all steps of a chunk there. Sums over ranges are added in order in float64, so that the number of threads does
  not show.
- **jax**: a loop over blocks of rows inside the program of a chunk: for one neuron on CPU fused loops that read a block
  of 2 MiB where it lies, for several two matrix products with a block of 8 MiB; what fits in one such block is held
  features by rows for the whole chunk. With several host devices (`XLA_FLAGS` or `jax_num_cpu_devices`) each holds and
  walks its part of the rows, where there is a device a core in blocks of 128 KiB, which XLA leaves to one thread.
  Programs on shared samples ask XLA for vectors of 512 bits, where it would take 256, and those for little data for its
  older emitters, which compile in half of the time and give the same bits.
  `JaxBackend("float32", narrow=True)` keeps bfloat16 and float16 data as it is and computes in float32: the gradient of
  the rounded data, and half the traffic; but XLA on CPU widens bfloat16 as a whole.
- **numpy**: threads over fixed ranges of rows, added up in order, BLAS held to one thread in each, blocks of 2 MiB;
  fleets in tiles of 4 MiB. A formula is one list of calls, each operation once, in memory used again.

## Compiled programs
The command line keeps what jax and numba compile in a folder of its own: `gdjax` in the platform's cache folder
(`~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`). The variable `GDJAX_CACHE_DIR` moves it; `GDJAX_CACHE_DIR=off`
turns it off. In Python, numba keeps its programs there too, and jax does what its own configuration says.

## What holds this

| claim | held by |
| --- | --- |
"""

WALKS = "../tests/backends/test_walks.py"
CACHING = "../tests/backends/test_caching.py"
WORKLOADS = "../benchmarks/speed_workloads.py"
CLAIMS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("every figure, each table by its own function", WORKLOADS, ("speed_workloads.py",)),
    ("X is read once: the share of the read floor", WORKLOADS, ("large",)),
    ("blocks and ranges add up to the whole", WALKS, ("test_odd_shapes_agree_with_autodiff",)),
    ("no row is lost or taken twice", WALKS, ("test_many_ranges_add_up_exactly",)),
    ("threads do not show", WALKS, ("test_threads_do_not_show", "test_numba_threads_do_not_show")),
    ("nothing of size rows by neurons is stored", WALKS, ("test_nothing_of_size_rows_by_neurons_is_stored",)),
    ("two devices give the gradient of one", WALKS, ("test_rows_on_two_devices_give_the_gradient_of_one",)),
    ("16 bits cost their rounding and no more", WALKS, ("test_narrow_data_costs_its_rounding_and_no_more",)),
    ("BLAS gets its threads back", WALKS, ("test_concurrent_calls_agree_and_blas_is_given_back",)),
    ("the second process compiles nothing", CACHING, ("test_the_second_process_compiles_nothing",)),
    ("the cache can be turned off", CACHING, ("test_off_keeps_nothing",)),
    ("`gdjax bench` measures what it says", "../tests/cli/test_bench.py", ("test_bench.py",)),
)


def _grid(head: list[str], rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def _ratios(found: Found) -> str:
    seconds = found["seconds"]
    rivals = [r for r in seconds if r.startswith(RIVALS)]
    rows = [
        [name, f"{taken:.3g}", *(f"{seconds[r] / taken:.2f}" if name not in rivals else "" for r in rivals)]
        for name, taken in seconds.items()
    ]
    text = _grid(["", "seconds", *(f"times {r}" for r in rivals)], sorted(rows, key=lambda row: row[0] in rivals))
    for key, what in (("memory", "Memory beyond X"), ("memory at 4 N", "With four times the rows")):
        if key in found:
            text += f"\n{what}, MiB at the peak: " + ", ".join(f"{b} {m:.1f}" for b, m in found[key].items()) + ".\n"
    return text


def _start(found: Found) -> str:
    seconds = found["seconds"]
    return _grid(
        ["", "seconds", "times numpy"], [[n, f"{s:.2f}", f"{s / seconds['numpy']:.1f}"] for n, s in seconds.items()]
    )


def _host(found: Found) -> str:
    rows = [["the engine", f"{1e6 * found['engine']:.0f}"]]
    rows += [[f"a dispatch, {name}", f"{1e6 * s:.0f}"] for name, s in found["dispatch"].items()]
    text = _grid(["", "microseconds a chunk"], rows)
    if "large" in found:
        shares = (
            f"{name} {(found['engine'] + s) / (100 * found['large'][name]):.4%}"
            for name, s in found["dispatch"].items()
        )
        text += "\nShare of 100 steps on 4,194,304 rows by 128: " + ", ".join(shares) + ".\n"
    return text


def _shapes(found: Found) -> str:
    each = found["seconds a byte"]
    names = list(next(iter(each.values())))
    rows = [
        [one, other, *(f"{each[one][n] / each[other][n]:.2f}" for n in names)] for one, other in found["neighbours"]
    ]
    return _grid(["columns", "beside", *names], rows)


def _scaling(found: Found) -> str:
    rows = []
    for name, by_axis in found["found"].items():
        for what, f in by_axis.items():
            memory = " / ".join(f"{m:.1f}" for m in f["MiB"])
            rows.append([name, what, f"{f['slope']:.2f}", f"{f['last decade']:.2f}", memory])
    head = ["", "against", "slope of log seconds", "in the last decade", "MiB beyond the data at each decade"]
    return (
        _grid(head, rows)
        + "\nN from 4,000 at D = 16; D from 4 at N = 4,000; K from 1 at 20,000 by 16; steps from 100 on 500 by 16. "
        "A slope under 1 is fixed cost that the first sizes do not fill.\n"
    )


def _narrow(found: Found) -> str:
    seconds, error = found["seconds"], found["error"]
    rows = [[n, f"{seconds['float32'] / s:.2f}", f"{error[n]:.1e}"] for n, s in seconds.items()]
    return _grid(["X", "times as fast as float32", "relative error of the gradient"], rows)


SHAPES = {"start": _start, "host": _host, "shapes": _shapes, "scaling": _scaling, "narrow": _narrow}


def table(name: str, found: Found) -> str:
    """A workload's section."""
    before, after = found["load"]
    load = f"Load average {before} before, {after} after; `python benchmarks/speed.py {name}`."
    return f"\n## {TABLES[name]}\n\n{SHAPES.get(name, _ratios)(found)}\n{load}\n"


def _asked(found: Found) -> str:
    rows, missed = [], []
    for workload, backend, rival, what, least in ASKED:
        seconds = found.get(workload, {}).get("seconds", {})
        ours = {n: s for n, s in seconds.items() if not n.startswith(RIVALS) and (n == backend or not backend)}
        if not ours or rival not in seconds:
            continue
        best = min(ours, key=ours.__getitem__)
        ratio = seconds[rival] / ours[best]
        rows.append([workload, best, what, f"at least {least:g}", f"{ratio:.2f}"])
        if ratio < least and (workload, backend) in BOUNDS:
            missed.append(f"- **{workload}, {backend}**: {BOUNDS[workload, backend]}.")
    rows += _limits(found)
    text = "\n## The figures that are aimed at\n\n" + _grid(["workload", "backend", "", "aim", "found"], rows)
    if missed:
        text += "\nWhat bounds those that fall short:\n\n" + "\n".join(dict.fromkeys(missed)) + "\n"
    return text


def _limits(found: Found) -> list[list[str]]:
    """What is to stay small."""
    rows = []
    for name, peak in found.get("large", {}).get("memory", {}).items():
        rows.append(["large", name, "peak memory beyond X", "at most 64 MiB", f"{peak:.1f} MiB"])
    for name, peak in found.get("sweep", {}).get("memory", {}).items():
        longer = found["sweep"]["memory at 4 N"][name]
        grown = f"{longer / peak:.2f} ({peak:.1f} to {longer:.1f} MiB)" if peak else f"0 to {longer:.1f} MiB"
        rows.append(["sweep", name, "growth of that at four times the rows", "at most 1.05 times", grown])
    seconds = found.get("start", {}).get("seconds", {})
    for name, most in (("numba", 4), ("jax", 8)):
        if name in seconds:
            ratio = f"{seconds[name] / seconds['numpy']:.1f}"
            rows.append(["start", name, "seconds over those of numpy", f"at most {most}", ratio])
    return rows


def _machine(found: Found) -> str:
    machine = next(iter(found.values()))["machine"]
    versions = ", ".join(f"{k} {v}" for k, v in machine["versions"].items())
    vectors = {"avx512f": "AVX-512", "avx2": "AVX2, no AVX-512"}.get(machine["vectors"], "no AVX")
    text = f"\nMeasured on {machine['cores']} cores of {machine['processor']} ({vectors}), with\n{versions}.\n"
    if any(f["load"][0] > machine["cores"] for f in found.values()):
        text += "**Other work used the machine at the time**, as the load averages say: run it on a quiet one.\n"
    return text


def plot(found: Found) -> None:
    """A roofline: operations a byte of X against operations a second, under both floors as measured."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gdjax"
    import matplotlib.pyplot as plt
    import numpy as np

    large, sweep = found["large"], found["sweep"]
    bandwidth = large["bytes"] / large["seconds"]["floor: read X once"] / 1e9
    peak = sweep["operations"] / sweep["seconds"]["floor: a matrix product"] / 1e9
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    x = np.geomspace(0.3, 3000, 200)
    axes.plot(x, np.minimum(bandwidth * x, peak), "k-", label="floor: bandwidth, matrix product")
    marks, colours = {"numba": "o", "jax": "s", "numpy": "^"}, dict[str, str]()
    for result in (large, sweep):
        for name, seconds in result["seconds"].items():
            if not name.startswith("floor"):
                place = result["operations"] / result["bytes"], result["operations"] / seconds / 1e9
                label = name if name not in colours else None
                axes.plot(*place, marks.get(name, "x"), color=colours.setdefault(name, f"C{len(colours)}"), label=label)
    axes.set(xscale="log", yscale="log", xlabel="operations a byte of X", ylabel="GFLOP/s")
    axes.legend(fontsize=8)
    figure.savefig(DOCS / "speed.svg", metadata={"Date": None})


def write(found: Found) -> None:
    """docs/speed.md and docs/speed.svg."""
    if "host" in found and "large" in found:
        found["host"]["large"] = found["large"]["seconds"]
    tables = [table(name, found[name]) for name in TABLES if name in found]
    held = [[claim, ", ".join(f"[{name}]({file})" for name in names)] for claim, file, names in CLAIMS]
    claims = "".join("| " + " | ".join(row) + " |\n" for row in held)
    (DOCS / "speed.md").write_text(HEAD + _machine(found) + _asked(found) + "".join(tables) + TAIL + claims)
    if "large" in found and "sweep" in found:
        plot(found)
