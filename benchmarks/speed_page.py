"""The results of `speed.py -o FILE` as docs/speed.md and docs/speed.svg: `python benchmarks/speed_page.py FILE`."""

# %%
import json
import sys
from pathlib import Path
from typing import Any

DOCS = Path(__file__).resolve().parent.parent / "docs"

TITLES = {
    "large": "One neuron on 4,194,304 rows by 128: one full gradient",
    "sweep": "1,024 neurons on 262,144 rows by 64: one full gradient of each",
    "fleet": "10,000 neurons, each on 500 rows by 16 of its own: 20 steps, set-up included",
    "diabetes": "diabetes, 442 rows by 10: 10,000 steps",
    "start": "1,000 rows by 8: from the start of a process to the result, caches warm",
}
RIVALS = ("floor", "jit(", "vmap(", "torch", "textbook", "a Python loop")

HEAD = """# Speed

A hand-derived gradient is taken forward and backward on a block of rows while the block is in cache: X is read once
a step,
and nothing of size rows by neurons is stored. `benchmarks/speed.py` measures it beside what one would use instead,
all in one
process, taking turns, medians of five, float32. Only the ratios of one table compare.

These figures were taken on two cores (AMD EPYC, AVX-512, 32 MiB of L3) **that other work was using at the same
time**; the load
average stands with each table. They are not the last word: run the script on a quiet machine.
`gdjax bench` is the short version.

![Share of the machine's floor](speed.svg)
"""

TAIL = """
## How each backend walks the data
- **numba**: ranges of rows that depend on N alone, in parallel; in each, blocks of up to 64 rows, whose dot
  products, slopes and
  part of the gradient are taken while the block is in the first cache. A neuron whose samples fit in a core's cache
  runs all steps of
  a chunk there. Sums over ranges are added in order in float64, so that the number of threads does not show.
- **jax**: a loop over blocks of 4 MiB inside the program of a chunk; with several host devices (`XLA_FLAGS` or
  `jax_num_cpu_devices`) each holds and walks its part of the rows. `JaxBackend("float32", narrow=True)` keeps
  bfloat16 and
  float16 data as it is and computes in float32: the gradient of the rounded data, and half the traffic.
- **numpy**: threads over fixed ranges of rows, BLAS held to one thread in each, blocks of 2 MiB.

## Compiled programs
The command line keeps what jax and numba compile in a folder of its own: `gdjax` in the platform's cache folder
(`~/.cache`, `~/Library/Caches`, `%LOCALAPPDATA%`). The variable `GDJAX_CACHE_DIR` moves it; `GDJAX_CACHE_DIR=off`
turns it off.
In Python, numba keeps its programs there too, and jax does what its own configuration says.
"""


def table(name: str, found: dict[str, Any]) -> str:
    seconds = found["seconds"]
    rivals = [r for r in seconds if r.startswith(RIVALS)]
    ours = [b for b in seconds if b not in rivals]
    lines = [f"\n## {TITLES[name]}", f"\nLoad average before: {found['load before']:.1f}.\n"]
    lines += ["| | seconds | " + " | ".join(f"times {r}" for r in rivals) + " |", "| --- " * (2 + len(rivals)) + "|"]
    for backend in ours:
        ratios = " | ".join(f"{seconds[r] / seconds[backend]:.2f}" for r in rivals)
        lines.append(f"| {backend} | {seconds[backend]:.3g} | {ratios} |")
    for rival in rivals:
        lines.append(f"| {rival} | {seconds[rival]:.3g} |" + " |" * len(rivals))
    if name == "start":
        lines.append("\n" + ", ".join(f"{b}: {seconds[b] / seconds['numpy']:.1f} times numpy" for b in ours) + ".")
    memory = found.get("peak MiB beyond X")
    if memory:
        lines.append(
            "\nGrowth of the process in a second run, MiB (what the first left with the allocator is not counted): "
            + ", ".join(f"{b} {m:.2f}" for b, m in memory.items())
            + "."
        )
    return "\n".join(lines) + "\n"


def plot(found: dict[str, Any]) -> None:
    """A roofline: operations a byte of X against operations a second, with both floors as measured."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "gdjax"
    import matplotlib.pyplot as plt
    import numpy as np

    large, sweep = found["large"], found.get("sweep")
    bandwidth = large["bytes"] / large["seconds"]["floor: read X once"] / 1e9
    figure, axes = plt.subplots(figsize=(7, 4.2), layout="constrained")
    x = np.geomspace(0.3, 3000, 200)
    peak = sweep["operations"] / sweep["seconds"]["floor: a matrix product"] / 1e9 if sweep else np.inf
    axes.plot(x, np.minimum(bandwidth * x, peak), "k-", label="floor: bandwidth, matrix product")
    marks = {"numba": "o", "jax": "s", "numpy": "^"}
    for result in filter(None, (large, sweep)):
        operations = result.get("operations", result.get("bytes", 0))
        size = 4 * result["shape"][0] * result["shape"][1]
        for name, seconds in result["seconds"].items():
            if name.startswith("floor"):
                continue
            mark = marks.get(name, "x")
            axes.plot(operations / size, operations / seconds / 1e9, mark, label=name if result is large else None)
    axes.set(xscale="log", yscale="log", xlabel="operations a byte of X", ylabel="GFLOP/s")
    axes.legend(fontsize=8)
    figure.savefig(DOCS / "speed.svg", metadata={"Date": None})


def main() -> None:
    found = json.loads(Path(sys.argv[1]).read_text())
    tables = [table(name, found[name]) for name in TITLES if name in found]
    slopes = found.get("scaling", {}).get("slopes")
    text = HEAD + "".join(tables)
    if slopes:
        shown = ", ".join(f"{k} {v:.2f}" for k, v in slopes.items())
        text += f"\n## Time against size: slope of the logarithms\n\n{shown}.\n"
    (DOCS / "speed.md").write_text(text + TAIL)
    plot(found)


if __name__ == "__main__":
    main()
