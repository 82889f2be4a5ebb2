"""Who may import whom, where import-linter cannot see: it does not tell an import at the top from one in a call."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FRAMEWORKS = {
    "jax",
    "jaxlib",
    "numba",
    "torch",
    "pandas",
    "polars",
    "pyarrow",
    "narwhals",
    "matplotlib",
    "sklearn",
    "scipy",
}
ON_FIRST_USE = FRAMEWORKS | {"rich", "cyclopts", "safetensors", "mpmath", "jinja2", "optax", "threadpoolctl", "pytest"}

# The one module whose classes must derive from a framework's.
AT_THE_TOP = {"gdjax/sklearn.py": {"sklearn"}}

# The modules of the engine that a backend, ours or a stranger's, is written against.
FOR_BACKENDS = {
    "gdjax",
    "gdjax.machine.blas",
    "gdjax.caching",
    "gdjax.machine.cores",
    "gdjax.machine.threads",
    "gdjax.errors",
    "gdjax.formulas",
    "gdjax.expressions.fused",
    "gdjax.protocol",
    "gdjax.rule",
    "gdjax.samples",
    "gdjax.expressions.tracing",
}

# Where "jax" is the oracle or a line of the list of versions, not a backend.
NOT_A_BACKEND = ("gdjax/verification/", "gdjax/cli/verify.py", "gdjax/equations/", "gdjax/report/page.py")


def loaded_after(code: str) -> set[str]:
    """The top-level packages in sys.modules after `code` has run in a fresh interpreter."""
    probe = f"{code}\nimport sys\nprint(' '.join({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


def sources(folder: str) -> Iterator[tuple[str, ast.Module]]:
    for path in sorted((ROOT / folder).rglob("*.py")):
        yield path.relative_to(ROOT).as_posix(), ast.parse(path.read_text(encoding="utf-8"))


def at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when a module is imported: not the bodies of functions, nor what only type checkers read."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and ast.unparse(child.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            continue
        yield child
        yield from at_import(child)


def imported(nodes: Iterator[ast.AST]) -> Iterator[tuple[str, list[str]]]:
    """(module, names taken from it) of each absolute import."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, []) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            yield node.module or "", [alias.name for alias in node.names]


def test_import_loads_no_framework() -> None:
    loaded = loaded_after("import gdjax")
    assert "gdjax" in loaded
    assert not loaded & ON_FIRST_USE


def test_probe_sees_a_framework_that_is_loaded() -> None:
    assert "sklearn" in loaded_after("import gdjax, sklearn")


def test_help_loads_no_framework() -> None:
    code = (
        "import sys; from gdjax.cli import main\nsys.argv = ['gdjax', '--help']\ntry: main()\nexcept SystemExit: pass"
    )
    loaded = loaded_after(code)
    assert "gdjax" in loaded
    assert not loaded & FRAMEWORKS


@pytest.mark.parametrize("name", ["numpy", "numba"])
def test_a_backend_loads_its_own_framework_alone(name: str) -> None:
    loaded = loaded_after(f"import gdjax; gdjax.backend({name!r}, dtype='float64')")
    assert not loaded & (FRAMEWORKS - {name, "scipy"}), "numba asks for scipy itself"


def test_frameworks_are_imported_inside_calls() -> None:
    early = {
        (path, package)
        for path, tree in sources("gdjax")
        for module, _ in imported(at_import(tree))
        if (package := module.partition(".")[0]) in FRAMEWORKS and package not in AT_THE_TOP.get(path, set())
    }
    assert early == set()


def test_backends_import_only_what_is_public() -> None:
    private = {
        (path, module, name)
        for path, tree in sources("backends")
        for module, names in imported(ast.walk(tree))
        if module.partition(".")[0] == "gdjax"
        for name in names or [""]
        if module not in FOR_BACKENDS or name.startswith("_")
    }
    assert private == set()


def test_every_backend_is_in_the_wheel_typed_and_registered() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {path.parent.name for path in (ROOT / "backends").glob("*/__init__.py")}
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    registered = project["project"]["entry-points"]["gdjax.backends"].values()
    assert {"gdjax", *(f"backends/{package}" for package in packages)} == set(wheel)
    assert {target.partition(":")[0] for target in registered} == packages
    assert all((ROOT / package / "py.typed").is_file() for package in wheel)
    assert not (ROOT / "backends" / "__init__.py").exists()


def test_the_engine_names_its_default_backend_once() -> None:
    names = ("jax", "numba", "gdjax_jax", "gdjax_numba", "gdjax_numpy")
    named = [
        (path, node.lineno)
        for path, tree in sources("gdjax")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in names and not path.startswith(NOT_A_BACKEND)
    ]
    assert len(named) == 1, named
