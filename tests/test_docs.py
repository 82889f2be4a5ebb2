"""Every block of the README and of docs/ that shows Python or a command runs, and prints what the page says it prints;
every page names what holds its claims, and that exists.

```python  runs; where it has prompts it is a doctest. The blocks of a page share one name space, top to bottom.
```console holds commands after "$ " and what each prints; "..." in it stands for any text.
Other blocks (sh, toml, text) are for reading.
"""

from __future__ import annotations

import ast
import doctest
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(python|console)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HOLDS = "\n## What holds this\n"
MADE = {
    "docs/reference.md",
    "docs/speed.md",
}  # by a script that the page names: its docstrings are tested, or it measures
LOOSE = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


class Block(NamedTuple):
    language: str
    text: str
    line: int  # of the page, of the block's first line


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text(encoding="utf-8")
    for match in FENCE.finditer(text):
        yield Block(match[1], match[2], text.count("\n", 0, match.start(2)) + 1)


def run_python(block: Block, page: Path, names: dict[str, Any]) -> None:
    if ">>> " not in block.text:
        exec(compile("\n" * (block.line - 1) + block.text, str(page), "exec", dont_inherit=True), names)
        return
    test = doctest.DocTestParser().get_doctest(block.text, names, page.name, str(page), block.line - 1)
    printed: list[str] = []
    failed, _ = doctest.DocTestRunner(optionflags=LOOSE).run(test, out=printed.append, clear_globs=False)
    names.update(test.globs)
    assert not failed, "".join(printed)


def run_console(block: Block, page: Path, folder: Path) -> None:
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "COLUMNS": "100",
        "NO_COLOR": "1",
        "JAX_PLATFORMS": "cpu",
    }
    for command, expected in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block.text, re.MULTILINE):
        shell = ["bash", "-c", command]
        done = subprocess.run(
            shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
        )
        place = f"{page.name}:{block.line}: {command}"
        assert done.returncode == 0, f"{place}\n{done.stdout}\n{done.stderr}"
        same = not expected or doctest.OutputChecker().check_output(expected, done.stdout, LOOSE)
        assert same, f"{place}\nthe page says:\n{expected}\nit printed:\n{done.stdout}"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_blocks_of_the_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")  # paths are as from the repository; what is written is not
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.language == "python":
            run_python(block, page, names)
        else:
            run_console(block, page, tmp_path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_of_the_page_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?:|mailto:|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_a_wrong_block_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("```python\n>>> 1 + 1\n3\n```\n\n```console\n$ echo yes\nno\n```\n", encoding="utf-8")
    wrong_python, wrong_console = blocks(page)
    with pytest.raises(AssertionError, match="Expected"):
        run_python(wrong_python, page, {})
    with pytest.raises(AssertionError, match=r"it printed:\n *yes"):
        run_console(wrong_console, page, tmp_path)


def test_the_math_has_every_equation() -> None:
    numbers = {int(n) for n in re.findall(r"\b\d+\b", (ROOT / "docs" / "math.md").read_text(encoding="utf-8"))}
    assert set(range(1, 34)) <= numbers


def unheld(page: Path) -> Iterator[str]:
    """What is wrong with the table of claims at the end of a page: in each row, links to tests and benchmarks."""
    text = page.read_text(encoding="utf-8")
    if HOLDS not in text:
        yield "there is no table of claims"
    for line in text.partition(HOLDS)[2].splitlines():
        if not line.startswith("| ") or line.startswith(("| claim |", "| --- |")):
            continue
        held = re.findall(r"\[([\w.]+)\]\(([^)]+)\)", line.rpartition(" | ")[2])
        if not held:
            yield f"nothing holds: {line}"
        for name, target in held:
            file = (page.parent / target).resolve()
            if not file.is_file() or file.relative_to(ROOT).parts[0] not in ("tests", "benchmarks", ".ci"):
                yield f"no test or benchmark: {target}"
            elif name != file.name and name not in functions(file):
                yield f"no {name} in {target}"


@cache
def functions(file: Path) -> set[str]:
    return {node.name for node in ast.parse(file.read_text(encoding="utf-8")).body if isinstance(node, ast.FunctionDef)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_claim_of_the_page_is_held(page: Path) -> None:
    if page.relative_to(ROOT).as_posix() not in MADE:
        assert list(unheld(page)) == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CONTRIBUTING.md"], ids=lambda page: page.name)
def test_each_test_that_the_page_names_exists(page: Path) -> None:
    files = list((ROOT / "tests").rglob("*.py"))
    known = {file.stem for file in files}.union(*map(functions, files))
    assert set(re.findall(r"(?<![.\w])test_\w+", page.read_text(encoding="utf-8"))) <= known


def test_a_claim_that_nothing_holds_is_seen(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n", encoding="utf-8")
    assert list(unheld(page)) == ["there is no table of claims"]
    rows = (
        "it is fast | my word",
        f"it is right | [test_gone]({__file__})",
        f"it is tested | [test_docs.py]({__file__})",
        f"it holds | [test_a_claim_that_nothing_holds_is_seen]({__file__})",
    )
    page.write_text(HOLDS + "| claim | held by |\n| --- | --- |\n" + "".join(f"| {row} |\n" for row in rows))
    assert [wrong.partition(":")[0] for wrong in unheld(page)] == ["nothing holds", f"no test_gone in {__file__}"]


def test_the_reference_is_that_of_the_docstrings() -> None:
    script = ROOT / "docs" / "make_reference.py"
    spec = importlib.util.spec_from_file_location("make_reference", script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made = module.page() == module.PAGE.read_text(encoding="utf-8")
    assert made, "docs/reference.md is out of date: run python docs/make_reference.py"
