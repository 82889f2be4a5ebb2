"""The options that commands share. Each has the name of its Python argument, with hyphens."""

from __future__ import annotations

import csv
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Group, Parameter

from gdjax.cli.spelling import spelled
from gdjax.discovery import DEFAULT
from gdjax.errors import UsageError
from gdjax.signals import leave_if_asked

if TYPE_CHECKING:
    from cyclopts import Token

    from gdjax import Neuron
    from gdjax.protocol import Backend
    from gdjax.tables import Table

__all__ = [
    "ACTIVATION",
    "DESCENT",
    "LOSS",
    "NEURON",
    "OUTPUT",
    "TABLE",
    "DescentOptions",
    "NeuronOptions",
    "OutputOptions",
    "TableOptions",
    "Whole",
    "WholeOrNone",
    "check_output",
    "column_names",
    "formula",
    "numbers",
    "rate",
]

_TABLE, _NEURON, _DESCENT, _OUTPUT = (
    Group(name, sort_key=i) for i, name in enumerate(("Table", "Neuron", "Descent", "Output"))
)

ACTIVATION = "relu, identity, leaky_relu(0.01), sigmoid, tanh, softplus or exp."
LOSS = "squared_error, absolute_error, huber(1.0), log_loss or poisson."


def _whole(_: Any, tokens: Sequence[Token]) -> int:
    """A whole number, however it is written: 1000, 1_000 or 1e3. None is rounded."""
    text = tokens[0].value
    try:
        return int(text)
    except ValueError:
        pass
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not number.is_integer():
        raise ValueError(f"{text!r} is no whole number.")
    return int(number)


Whole = Annotated[int, Parameter(converter=_whole)]
WholeOrNone = Annotated[int | None, Parameter(converter=_whole)]


def _help(text: str, group: Group, **more: Any) -> Parameter:
    return Parameter(help=text, group=group, **more)


@Parameter(name="*")
@dataclass(frozen=True)
class TableOptions:
    """Which columns of the table play which part."""

    target: Annotated[str | None, _help("Column of y.", _TABLE)] = None
    features: Annotated[str | None, _help("Columns of X, with commas; by default all others.", _TABLE)] = None
    by: Annotated[str | None, _help("Column, or columns with commas: a neuron for each of its values.", _TABLE)] = None
    sample_weight: Annotated[str | None, _help("Column of weights.", _TABLE)] = None
    categorical: Annotated[str | None, _help("Columns that hold categories, though they look otherwise.", _TABLE)] = (
        None
    )
    missing: Annotated[
        Literal["error", "drop", "mean", "keep"] | None,
        _help("What an empty cell does; by default it is an error, and with --by fails its own group.", _TABLE),
    ] = None
    max_bytes: Annotated[WholeOrNone, _help("Most bytes that are read; by default the memory.", _TABLE)] = None

    def read(self, path: str, memory_limit: int | None = None) -> Table:
        """The table at ``path``; over the limit, where one is given, a stream."""
        from gdjax import tables

        self._check()
        found = tables.read(
            path,
            target=self.target,
            features=column_names(self.features),
            by=column_names(self.by),
            sample_weight=self.sample_weight,
            categorical=column_names(self.categorical),
            missing=self.missing,
            max_bytes=self.max_bytes,
            memory_limit=memory_limit,
        )
        leave_if_asked()
        _warn_of_names(path, found)
        return found

    def _check(self) -> None:
        """Refuse a column that is to play two parts."""
        by = column_names(self.by) or []
        for name in by:
            if by.count(name) > 1:
                raise UsageError(f"--by: {name!r} stands twice; name it once")
        coded = column_names(self.categorical) or []
        weight = [] if self.sample_weight is None else [self.sample_weight]
        for flag, names in {"--by": by, "--sample-weight": weight, "--categorical": coded}.items():
            if self.target in names:
                raise UsageError(f"{flag}: {self.target!r} is the target; name another column")
        if self.sample_weight in by:
            raise UsageError(f"--by: {self.sample_weight!r} is the sample weight; name another column")


def _warn_of_names(path: str, table: Table) -> None:
    """Says where a column names each row: a category each fits any y, and says nothing of other rows."""
    rows = 0 if table.y is None else len(table.y)
    for column in table.columns:
        if column.levels is not None and len(column.levels) == rows > 2:
            warnings.warn(
                f"{path}: column {column.name!r} has another category in each row: leave it out by --features",
                stacklevel=2,
            )


@Parameter(name="*")
@dataclass(frozen=True)
class NeuronOptions:
    """The formula."""

    activation: Annotated[str, _help(ACTIVATION, _NEURON)] = "relu"
    loss: Annotated[str, _help(LOSS, _NEURON)] = "squared_error"
    l2: Annotated[float, _help("Penalty on the squares of the weights.", _NEURON)] = 0.0
    l1: Annotated[float, _help("Penalty on their absolute values.", _NEURON)] = 0.0
    bias: Annotated[bool, _help("Whether there is a bias.", _NEURON)] = True

    def neuron(self) -> Neuron:
        """The neuron that they describe."""
        from gdjax import Neuron

        return Neuron(*formula(self.activation, self.loss), l2=self.l2, l1=self.l1, bias=self.bias)


@Parameter(name="*")
@dataclass(frozen=True)
class DescentOptions:
    """How, how long and on what."""

    backend: Annotated[str, _help("See `gdjax backends`.", _DESCENT)] = DEFAULT
    dtype: Annotated[str | None, _help("float32 or float64; by default that of the data.", _DESCENT)] = None
    device: Annotated[str | None, _help("Such as cpu or gpu; by default the backend's choice.", _DESCENT)] = None
    method: Annotated[str, _help("plain, momentum, nesterov or adam.", _DESCENT)] = "nesterov"
    steps: Annotated[Whole, _help("The most steps.", _DESCENT)] = 10_000
    batch_size: Annotated[WholeOrNone, _help("Rows of a mini batch; by default all.", _DESCENT)] = None
    tolerance: Annotated[
        float | None, _help("Relative distance to the optimum that 'converged' certifies; 0 runs all steps.", _DESCENT)
    ] = None
    patience: Annotated[WholeOrNone, _help("Looks at --validation without a better cost.", _DESCENT)] = None
    standardize: Annotated[bool, _help("Whether the descent sees standardised columns.", _DESCENT)] = True
    memory_limit: Annotated[WholeOrNone, _help("Bytes that the samples may take at a time.", _DESCENT)] = None
    checkpoint: Annotated[
        Path | None, _help("File to save the state in; the same command again goes on from it.", _DESCENT)
    ] = None

    def engine(self) -> str | Backend:
        """The backend: its name, or an instance where a device is asked for."""
        from gdjax import backend
        from gdjax.caching import keep_programs

        # a wrong name is an error before the table is read
        keep_programs(backend(self.backend, self.dtype, self.device))
        return self.backend if self.device is None else backend(self.backend, self.dtype, self.device)

    @property
    def limit(self) -> int:
        """The memory limit in bytes."""
        from gdjax.arguments import memory

        return memory(self.memory_limit)

    def arguments(self) -> dict[str, Any]:
        """What `gdjax.fit` and `gdjax.sweep` are called with."""
        return {
            "backend": self.engine(),
            "dtype": self.dtype,
            "method": self.method,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "tolerance": self.tolerance,
            "patience": self.patience,
            "standardize": self.standardize,
            "memory_limit": self.memory_limit,
            "checkpoint": self.checkpoint,
        }


@Parameter(name="*")
@dataclass(frozen=True)
class OutputOptions:
    """Where results go."""

    output: Annotated[Path | None, _help("File to save to.", _OUTPUT, alias="-o")] = None
    json: Annotated[bool, _help("One JSON object on stdout, and nothing else there.", _OUTPUT, negative="")] = False
    quiet: Annotated[bool, _help("No progress bar.", _OUTPUT, negative="", alias="-q")] = False
    config: Annotated[Path | None, _help("TOML file of these options; those given here go before.", _OUTPUT)] = None

    def check(self, *inputs: str | Path | None, checkpoint: Path | None = None) -> None:
        """Refuse an output or a checkpoint that cannot be written, before any work is done for it."""
        from gdjax.runs.checkpoint import previous

        known = (*inputs, self.config)
        if self.output is not None:
            check_output("--output", self.output, *known)
        if checkpoint is not None:
            check_output("--checkpoint", checkpoint, *known)
            for path in (checkpoint, previous(checkpoint)):
                if self.output is not None and _one_file(self.output, path):
                    raise UsageError(f"--output {self.output}: the checkpoint is kept there; name another file")


def check_output(flag: str, path: Path, *inputs: str | Path | None) -> None:
    """Refuse a file that cannot be written, or that is one of the inputs: it would be lost."""
    from gdjax.files import check_writable

    check_writable(path)
    if any(each is not None and _one_file(path, Path(each)) for each in inputs):
        raise UsageError(f"{flag} {path}: this is the input; name another file")


def _one_file(a: Path, b: Path) -> bool:
    return a.samefile(b) if a.exists() and b.exists() else a.resolve() == b.resolve()


TABLE, NEURON, DESCENT, OUTPUT = TableOptions(), NeuronOptions(), DescentOptions(), OutputOptions()
"""All by default."""


def formula(activation: str, loss: str) -> tuple[Any, Any]:
    """The activation and the loss: their names, or what they call."""
    from gdjax.formulas import activations, losses

    return (
        spelled("activation", activation, activations, "leaky_relu(0.1)"),
        spelled("loss", loss, losses, "huber(0.5)"),
    )


def column_names(text: str | None) -> list[str] | None:
    """Names with commas between them, in quotes where they hold one; an empty text is no name.

    >>> column_names('a, "b, c"')
    ['a', 'b, c']
    """
    if text is None:
        return None
    return [name.strip() for name in next(csv.reader([text], skipinitialspace=True), [])]


def numbers(name: str, text: str | None) -> list[float] | None:
    """Numbers with commas between them.

    >>> numbers("l2", "0, 0.1")
    [0.0, 0.1]
    """
    if text is None:
        return None
    try:
        return [_finite(part) for part in text.split(",")]
    except ValueError as error:
        flag = f"--{name.replace('_', '-')}"
        raise UsageError(f"{flag} {text!r}: numbers with commas between them, such as 0.01,0.1") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or "_" in text:
        raise ValueError(text)
    return value


def rate(text: str) -> Any:
    """A learning rate: a number, "auto", "find", or a schedule as Python spells it."""
    if text in ("auto", "find"):
        return text
    if "(" in text:
        from gdjax import schedules

        return spelled("learning-rate", text, schedules, "cosine(0.1, steps=1000)")
    try:
        return _finite(text)
    except ValueError as error:
        raise UsageError(
            f"--learning-rate {text!r}: a number, auto, find, or a schedule such as step(0.1, every=100)"
        ) from error
