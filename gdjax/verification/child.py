"""Verify in a process of its own, with a limit on time and memory: what `gdjax verify` does with a user's code."""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdjax.discovery import DEFAULT
from gdjax.errors import UsageError

if TYPE_CHECKING:
    from gdjax.neuron import Neuron
    from gdjax.verification.telling.report import Report

RESULT, PAGE, TEXT = "report.json", "report.html", "report.txt"
EXIT_CODES = {"pass": 0, "fail": 1, "inconclusive": 3}


@dataclass(frozen=True)
class Task:
    """What to verify: three names "package.module:attribute", or one, of a `Neuron`, an `Activation` or a `Loss`."""

    cost: str
    gradient: str | None = None
    args: str | None = None
    app_dir: str = "."
    dtype: str = "float64"
    kinks: str = "zero"
    wrt: tuple[int, ...] = (0, 1)
    shapes: tuple[str, ...] | None = None
    seconds: float = 5.0
    backend: str = DEFAULT

    @property
    def name(self) -> str:
        """What a report is about."""
        return self.gradient or self.cost


@dataclass(frozen=True)
class Result:
    """What the child left: its verdict, and the report as text, JSON and page."""

    verdict: str
    text: str
    report: dict[str, Any]
    html: str


def verified(task: Task, time_limit: float = 120.0, memory_limit: int = 8 << 30) -> Result:
    """Run a task in a child process.

    Args:
        time_limit: seconds until the child is ended.
        memory_limit: bytes of address space that the child may use (where the system can limit it).

    Raises:
        UsageError: a name that cannot be loaded, or a child that ended without a verdict; says why.
    """
    with tempfile.TemporaryDirectory(prefix="gdjax-verify-") as folder:
        command = [sys.executable, "-m", "gdjax.verification.child", folder]
        sent = json.dumps({"task": asdict(task), "memory_limit": memory_limit})
        try:
            done = subprocess.run(
                command, input=sent, capture_output=True, text=True, timeout=time_limit, cwd=os.getcwd(), check=False
            )
        except subprocess.TimeoutExpired as error:
            raise UsageError(f"verifying {task.name} took more than {time_limit:g} s: raise --time-limit") from error
        result = Path(folder, RESULT)
        if not result.exists():
            raise UsageError(
                f"verifying {task.name} ended without a verdict: {_end(done)}: call it by itself, or raise "
                "--memory-limit"
            )
        report = json.loads(result.read_text(encoding="utf-8"))
        if "error" in report:
            raise UsageError(report["error"])
        return Result(
            report["verdict"],
            Path(folder, TEXT).read_text(encoding="utf-8"),
            report,
            Path(folder, PAGE).read_text(encoding="utf-8"),
        )


def _end(done: subprocess.CompletedProcess[str]) -> str:
    """How a child ended that left nothing: by which signal, or its last words."""
    if done.returncode < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-done.returncode).name
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1].strip()


def load(name: str, app_dir: str) -> Any:
    """What "package.module:attribute" names; `app_dir` is searched first.

    Raises:
        UsageError: no such module or attribute, or the module does not import.
    """
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise UsageError(f"{name!r} is no name of an object: write it as package.module:attribute")
    if app_dir not in sys.path:
        sys.path.insert(0, app_dir)
    try:
        found: Any = importlib.import_module(module)
    except Exception as error:
        raise UsageError(f"{module!r} does not import ({type(error).__name__}: {error}): check --app-dir") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            raise UsageError(f"{module!r} has no {attribute!r}: check the name after the colon")
        found = getattr(found, part)
    return found


def _limit(memory: int) -> None:
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    except (ImportError, ValueError, OSError):
        return


def _report(task: Task) -> Report:
    from gdjax.verification.verify import checked

    cost = load(task.cost, task.app_dir)
    if task.gradient is None or task.args is None:
        from gdjax.verification.custom_formula import trust
        from gdjax.verification.neurons import verify_neuron

        neuron = _neuron(cost, task.cost)
        trust(neuron, verify=False)
        return verify_neuron(neuron, task.backend, task.dtype, task.kinks, task.seconds)
    gradient, args = load(task.gradient, task.app_dir), load(task.args, task.app_dir)
    args = args() if callable(args) else args
    return checked(
        cost, gradient, args, task.wrt, task.shapes, task.dtype, task.kinks, None, task.seconds, task.gradient
    )


def _neuron(found: Any, name: str) -> Neuron:
    from gdjax.formulas import Activation, Loss
    from gdjax.neuron import Neuron

    if isinstance(found, Activation):
        return Neuron(found)
    if isinstance(found, Loss):
        return Neuron(found.link or "identity", found)
    if isinstance(found, Neuron):
        return found
    raise UsageError(f"{name} is a {type(found).__name__}: give COST GRADIENT --args EXAMPLE, or a Neuron alone")


def _main(folder: str) -> None:
    sent = json.loads(sys.stdin.read())
    task = Task(**sent["task"])
    _limit(sent["memory_limit"])
    # Whatever the user's code prints must not look like our result.
    sys.stdout = sys.stderr
    try:
        report = _report(task)
    except UsageError as error:
        Path(folder, RESULT).write_text(json.dumps({"error": str(error)}), encoding="utf-8")
        return
    report.to_html(Path(folder, PAGE))
    Path(folder, TEXT).write_text(str(report), encoding="utf-8")
    report.to_json(Path(folder, RESULT))


if __name__ == "__main__":
    _main(sys.argv[1])
