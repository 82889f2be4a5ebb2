"""The matrix: ``nox`` runs it all, ``nox -s "tests(python='3.12', jax='newest')"`` one cell. uv makes the environments.

Each cell resolves its own versions: ``uv.lock`` is the environment to develop in, and this is what users may have.
"""

from __future__ import annotations

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["tests", "lint"]
nox.options.reuse_existing_virtualenvs = True

PYTHONS = ["3.11", "3.12", "3.13"]
JAX = {"oldest": ["jax==0.10.0", "jaxlib==0.10.0"], "newest": ["jax", "jaxlib"]}
BYTECODE = {"UV_COMPILE_BYTECODE": "1"}  # without it each `import jax` of the tests takes seconds


@nox.session
@nox.parametrize("jax", list(JAX))
@nox.parametrize("python", PYTHONS)
def tests(session: nox.Session, jax: str) -> None:
    """The tests on one Python with the oldest or the newest JAX it can have."""
    session.install("-e", ".[test]", *JAX[jax], env=BYTECODE)
    session.run("python", "-c", "import jax; print('jax', jax.__version__)")
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def slow(session: nox.Session) -> None:
    """The tests that take more than a few seconds each."""
    session.install("-e", ".[test]", env=BYTECODE)
    session.run("pytest", "-m", "slow", *session.posargs)


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Style, types and layers."""
    session.install("-e", ".[test]", env=BYTECODE)
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy", "--strict")
    session.run("lint-imports")
