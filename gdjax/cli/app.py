"""The commands, each in its own file and loaded when it is called: ``gdjax --help`` imports no framework."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from importlib.metadata import requires

from cyclopts import App
from cyclopts.config import Toml

from gdjax.machine.versions import installed

__all__ = ["COMMANDS", "make_app"]

COMMANDS = {
    "fit": "Train a neuron on a table, or one for each group of its rows.",
    "sweep": "Train one for each learning rate, penalty and seed, and say which is best.",
    "predict": "Predict the rows of a table with a saved run.",
    "report": "Write a page about a saved run: one HTML file.",
    "verify": "Prove gradients right or wrong, gdjax's own or yours.",
    "compare": "The same fit on every installed backend, and where they differ.",
    "explain": "Walk the derivation, equation by equation, on a sample.",
    "backends": "What is installed, on which devices, and what is missing.",
    "bench": "Measure this machine: the rates of each backend.",
}


def versions() -> str:
    """The versions that matter: gdjax, what it needs, and of its extras what is installed."""
    import platform

    lines = [f"gdjax {installed('gdjax')}"]
    for requirement in requires("gdjax") or ():
        package = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if "extra == 'test'" in requirement.replace('"', "'") or package == "gdjax":
            continue
        found = installed(package)
        if found is not None:
            lines.append(f"{package} {found}")
        elif "extra ==" not in requirement:
            lines.append(f"{package} not installed")
    return "\n".join([*dict.fromkeys(lines), f"python {platform.python_version()} on {platform.platform()}"])


def _whole_help(name: str) -> str:
    """The docstring of a command, a paragraph a line."""
    doc = inspect.getdoc(getattr(import_module(f"gdjax.cli.{name}"), name)) or ""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in doc.split("\n\n"))


def make_app(config: Toml | None = None, called: str | None = None) -> App:
    """The program, with the options of ``config`` for those that are not given.

    The command that is ``called`` is loaded in any case, and tells its own help: all of it.
    """
    app = App(
        name="gdjax",
        help="Train neurons by gradient descent from hand-derived gradients: one, a sweep, or a fleet of a million.",
        version=versions,
        help_format="plaintext",
        help_epilogue="A run on the data that ships:  gdjax fit examples/data/air_time.npz --activation identity",
        config=config,
    )
    for name, what in COMMANDS.items():
        app.command(f"gdjax.cli.{name}:{name}", name=name, help=_whole_help(name) if name == called else what)
    return app
