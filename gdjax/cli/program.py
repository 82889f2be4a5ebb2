"""From the arguments to the exit code: one line on stderr for whatever a user can cause, and no traceback."""

from __future__ import annotations

import contextlib
import csv
import functools
import io
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from gdjax.errors import GdjaxError, UsageError, nearest, printable
from gdjax.signals import exit_codes

if TYPE_CHECKING:
    from cyclopts.config import Toml

__all__ = ["main"]

INTERRUPTED = (130, 143)
BUG = 70  # sysexits.h's EX_SOFTWARE: none of ours, which all mean something


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code: 0 done, 1 verification failed, 2 bad use or bad input,
    3 inconclusive, 4 diverged or dead, 130 and 143 interrupted."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the caller has closed it
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 - for as long as the process lives
        stream = getattr(sys, name)
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal of another encoding is no reason to fail
    given = list(sys.argv[1:] if arguments is None else arguments)
    warnings.showwarning = functools.partial(_one_line, given)
    try:
        with exit_codes():
            sys.exit(_run(given))
    except SystemExit as leaving:
        if arguments is None and leaving.code in INTERRUPTED:
            _end(leaving.code)
        raise


def _end(code: int) -> NoReturn:
    """Ends the process here: a compiler that was interrupted may crash while Python takes down what it left."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _run(arguments: list[str]) -> int:
    from cyclopts import CycloptsError

    from gdjax.cli.app import COMMANDS, make_app

    try:
        if arguments and not arguments[0].startswith("-") and arguments[0] not in COMMANDS:
            raise UsageError(f"no command {arguments[0]!r}; {nearest(arguments[0], COMMANDS)}; see gdjax --help")
        app = make_app(_config(arguments), arguments[0] if arguments else None)
        code = app(arguments, print_error=False, exit_on_error=False, result_action="return_value")
        sys.stdout.flush()
        return int(code or 0)
    except CycloptsError as error:
        return _say(" ".join(str(error).split()) + " See " + _help(arguments), 2)
    except GdjaxError as error:
        return _say(_as_options(str(error), arguments), error.exit_code)
    except BrokenPipeError:  # the reader, such as head, has had enough
        _drop_output()
        return 0
    except SystemExit as leaving:
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        return 0  # rich has met it
    except OSError as error:
        _drop_output()
        return _say(f"{error.filename or 'the output'}: {error.strerror or error}", 2)
    except MemoryError:
        return _say("out of memory; pass --memory-limit, fewer features or fewer rows", 2)
    except Exception:  # noqa: BLE001 - the last resort: a bug must not look like a verdict
        traceback.print_exc()
        return _say("this is a bug in gdjax; please report it with the lines above", BUG)


def _as_options(message: str, arguments: Sequence[str]) -> str:
    """``message`` in the words of the command that is called; what stands on the line is the user's own."""
    from gdjax.cli.naming import as_options, options_of

    return as_options(message, options_of(arguments[0] if arguments else "").difference(arguments))


def _config(arguments: list[str]) -> Toml | None:
    """The options of ``--config FILE.toml``, as cyclopts takes them; the arguments themselves go before."""
    from cyclopts.config import Toml

    class Options(Toml):
        """Lists are what the command line has with commas."""

        @property
        def config(self) -> dict[str, Any]:
            return {name: _on_a_line(value) for name, value in super().config.items()}

    for i, argument in enumerate(arguments):
        name, equals, path = argument.partition("=")
        if argument == "--":
            break
        if name == "--config":
            if not equals and i + 1 == len(arguments):
                raise UsageError("--config: name a TOML file")
            path = path if equals else arguments[i + 1]
            _check_toml(path)
            return Options(path, must_exist=True, use_commands_as_keys=False)
    return None


def _check_toml(path: str) -> None:
    import tomllib

    from gdjax.errors import FileError
    from gdjax.files import open_regular

    with open_regular(path, 1 << 20) as (file, _):
        try:
            options = tomllib.load(file)
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
            raise FileError(f"{path}: not TOML: {error}") from error
    for name, value in options.items():
        if isinstance(value, dict):
            raise FileError(f"{path}: [{name}]: options stand in no section; put them at the top")


def _on_a_line(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(value)
    return line.getvalue()


def _help(arguments: Sequence[str]) -> str:
    from gdjax.cli.app import COMMANDS

    return f"gdjax {arguments[0]} --help" if arguments and arguments[0] in COMMANDS else "gdjax --help"


def _say(message: str, code: int) -> int:
    with contextlib.suppress(OSError):  # nobody is there to be told
        print(f"gdjax: {printable(message)}", file=sys.stderr)
    return code


def _drop_output() -> None:
    """What is still held for stdout goes nowhere: Python would try it again at its end, and fail again."""
    with contextlib.suppress(OSError, ValueError):  # a stream without a descriptor
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _one_line(arguments: Sequence[str], message: Warning | str, *_: Any, **__: Any) -> None:
    print(f"gdjax: warning: {printable(_as_options(str(message), arguments))}", file=sys.stderr)
