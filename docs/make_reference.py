"""Write docs/reference.md, the signatures and docstrings of what users call: `python docs/make_reference.py`.

Docstrings are in Google's style; doctests are shown, and run where they stand, by pytest's --doctest-modules.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PAGE = Path(__file__).with_name("reference.md")

HEAD = """# Reference

Made from the docstrings by `python docs/make_reference.py`: correct those, and run it again.

Arrays are NumPy's unless said otherwise; N is rows, D features, K neurons, P = D + 1 parameters with the bias
last. Every error that a user can cause is a `GdjaxError` of one line.
"""

MODULES: dict[str, tuple[str, ...] | None] = {
    "gdjax": None,
    "gdjax.plots": ("Plots",),
    "gdjax.activations": ("identity", "relu", "leaky_relu", "sigmoid", "tanh", "softplus", "exp", "custom"),
    "gdjax.losses": ("squared_error", "absolute_error", "huber", "log_loss", "poisson", "custom"),
    "gdjax.schedules": ("Schedule", "constant", "step", "cosine", "inverse"),
    "gdjax.callbacks": ("Event", "CSVHistory", "Log", "Together"),
    "gdjax.signals": ("stop_at_edges", "Stop"),
    "gdjax.tables": None,
    "gdjax.stream": ("Stream", "Block", "Layout", "ArrayStream"),
    "gdjax.sklearn": None,
    "gdjax.optax": ("Transformation",),
    "gdjax.verification": ("Report", "Finding", "Component", "Branch", "Input", "VerificationError"),
    "gdjax.comparison": ("Comparison", "Row"),
    "gdjax.derivation": ("Derivation", "Equation"),
    "gdjax.protocol": ("Backend", "SupportsGrad", "KeepsPrograms", "Chunk"),
    "gdjax.testing": ("check_backend",),
}
"""Module, as users write it -> its names; None for `__all__`."""


def page() -> str:
    """The whole page."""
    index, parts = [], []
    for module_name, names in MODULES.items():
        module = _module(module_name)
        found = {name: getattr(module, name) for name in names or module.__all__}
        found = {name: value for name, value in found.items() if not inspect.ismodule(value)}
        links = ", ".join(f"[{name}](#{_anchor(f'{module_name}.{name}')})" for name in found)
        index.append(f"- **{module_name}**: {links}")
        parts += [f"## {module_name}", _markdown(inspect.getdoc(module), module_name)]
        for name, value in found.items():
            parts += _entry(f"{module_name}.{name}", value)
    return "\n\n".join([HEAD.strip(), "\n".join(index), *parts]) + "\n"


def _module(name: str) -> Any:
    """A module, or an attribute of gdjax that is one."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return getattr(importlib.import_module("gdjax"), name.rpartition(".")[2])


def _entry(name: str, value: Any) -> Iterator[str]:
    """The heading, signature and docstring of a function, a class and its public members, or a formula."""
    yield f"### {name}"
    if not inspect.isclass(value) and not inspect.isroutine(value):
        yield _markdown(inspect.getdoc(value.build), name)
        return
    exception = inspect.isclass(value) and issubclass(value, Exception)
    if not exception and not inspect.isabstract(value) and not getattr(value, "_is_protocol", False):
        yield _signature(name.rpartition(".")[2], value)
    yield _markdown(inspect.getdoc(value), name)
    if not inspect.isclass(value):
        return
    if fields := list(_fields(value)):
        yield "\n".join(f"- **{field}**: {_joined(text)}" for field, text in fields)
    short = value.__name__
    for member, what in vars(value).items():
        if member.startswith("_") or exception:
            continue
        if isinstance(what, property):
            yield f"#### {short}.{member}"
            yield _markdown(inspect.getdoc(what), f"{name}.{member}")
        elif inspect.isfunction(what):
            yield f"#### {short}.{member}()"
            yield _signature(f"{short}.{member}", what)
            yield _markdown(inspect.getdoc(what), f"{name}.{member}")


class _Written:
    """An annotation as it is to be shown."""

    def __init__(self, annotation: Any) -> None:
        text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
        text = re.sub(r"\b(?:[a-z_]\w*\.)+(?=[A-Z])", "", text.replace("'", "").replace('"', ""))
        self.text = text.replace("numpy.", "np.")

    def __repr__(self) -> str:
        return self.text


def _signature(name: str, function: Any) -> str:
    """In a fence; an argument of any kind has no annotation, its kind is in the docstring."""
    signature = inspect.signature(function)
    none = inspect.Parameter.empty

    def shown(annotation: Any) -> Any:
        return none if annotation in (none, Any, "Any", None, "None") else _Written(annotation)

    parameters = [p.replace(annotation=shown(p.annotation)) for p in signature.parameters.values() if p.name != "self"]
    returned = none if inspect.isclass(function) else shown(signature.return_annotation)
    text = name + str(signature.replace(parameters=parameters, return_annotation=returned))
    glued = re.sub(r"(?<!,) ", "\0", text)  # a line ends after a comma
    lines = textwrap.wrap(glued, 110, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    return "\n".join(["```text", *lines, "```"]).replace("\0", " ")


def _fields(kind: type) -> Iterator[tuple[str, str]]:
    """The fields of a class that a string describes on the line after them."""
    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    for field, text in zip(body.body, body.body[1:]):
        match field, text:
            case ast.AnnAssign(target=ast.Name(name)), ast.Expr(ast.Constant(str(meaning))):
                yield name, meaning


def _markdown(docstring: str | None, name: str) -> str:
    """A docstring with its sections as lists and its doctests in fences that are not run again."""
    if not docstring:
        raise ValueError(f"{name} has no docstring")
    return "\n\n".join(_block(block.strip("\n")) for block in docstring.split("\n\n"))


def _block(block: str) -> str:
    if block.startswith(">>>"):
        return f"```pycon\n{block}\n```"
    if not (head := re.match(r"(Args|Attributes|Returns|Raises):\n", block)):
        return re.sub(r":(?:class|func):`(\w+)`", r"`\1`", block).replace("``", "`")
    entries = re.split(r"\n(?=\S)", textwrap.dedent(block[head.end() :]))
    if head[1] == "Returns":
        return f"Returns: {_joined(' '.join(entries))}"
    items = (re.sub(r"^([^:]+?): ", r"**\1**: ", _joined(entry), count=1) for entry in entries)
    return "\n".join([f"{head[1]}:", "", *(f"- {item}" for item in items)])


def _joined(text: str) -> str:
    return " ".join(text.replace("``", "`").split())


def _anchor(heading: str) -> str:
    """As GitHub makes it."""
    return re.sub(r"[^\w-]", "", heading.lower())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
