"""Backends by name, found through entry points: the built-in ones as a stranger's."""

from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from gdjax.errors import BackendError, UsageError, nearest
from gdjax.protocol import Backend

GROUP = "gdjax.backends"
DEFAULT = "jax"
"""The one place where a backend is named."""

DTYPES = ("float32", "float64")


def backend(name: Any = DEFAULT, dtype: str | None = None, device: str | None = None) -> Backend:
    """The backend registered as `name`; an instance is given back as it is, in `dtype` where that is asked for.

    Args:
        name: of `gdjax backends`, or an instance.
        dtype: "float32" or "float64", of the arithmetic; by default "float64", or the instance's.
        device: such as "cpu", "gpu" or "gpu:1"; by default the framework's own choice.

    Raises:
        BackendError: unknown name, a framework or a device that is missing, two plug-ins of one name.
        UsageError: a dtype other than float32 and float64.

    >>> backend("numpy", dtype="float32").dtype
    'float32'
    """
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(f"unknown dtype {dtype!r}: pass 'float32' or 'float64'")
    if not isinstance(name, str):
        if not isinstance(name, Backend):
            raise UsageError(f"backend = {name!r} must be a name or an instance of gdjax.protocol.Backend")
        if (dtype or name.dtype) == name.dtype:
            return name
        return type(name)(dtype=dtype, device=getattr(name, "device", None))  # type: ignore[call-arg]
    kind = load(name)
    instance = kind(dtype=dtype or "float64", device=device)
    if not isinstance(instance, Backend):
        raise BackendError(
            f"backend {name!r} ({kind.__module__}) lacks members of gdjax.protocol.Backend: see its docstring"
        )
    if device is not None and getattr(instance, "devices", ()) == ("cpu",) and device != "cpu":
        raise BackendError(f"backend {name!r}: no device {device!r} here: pass 'cpu'")
    return instance


def backends() -> dict[str, dict[str, Any]]:
    """What is registered: name -> {"installed", "devices", "dtypes", "missing", "distribution"}. Loads each one.

    `missing` says in words what is not here, and is None where nothing is; no backend that is missing raises.

    >>> backends()["numpy"]["installed"]
    True
    """
    out: dict[str, dict[str, Any]] = {}
    for name in sorted(_registered()):
        row: dict[str, Any] = {"installed": False, "devices": [], "dtypes": [], "missing": None, "distribution": None}
        try:
            row["distribution"] = _entry(name).dist.name  # type: ignore[union-attr]
            instance: Any = backend(name)
            row.update(
                installed=True,
                devices=list(getattr(instance, "devices", ())),
                dtypes=list(getattr(instance, "dtypes", ())),
            )
        except BackendError as error:
            row["missing"] = str(error)
        out[name] = row
    return out


def installed() -> list[str]:
    """Names of the backends that load here."""
    return [name for name, row in backends().items() if row["installed"]]


@lru_cache
def load(name: str) -> Any:
    """The class registered as `name`."""
    entry = _entry(name)
    try:
        return entry.load()
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        own = entry.module.partition(".")[0]
        if missing in ("", own, "gdjax"):
            raise
        # a stranger's backend is no extra of ours
        ours = entry.dist is not None and entry.dist.name == "gdjax"
        remedy = f"pip install 'gdjax[{name}]'" if ours else "install it"
        raise BackendError(f"backend {name!r} needs {missing!r}, which is not installed: {remedy}") from error


def _registered() -> dict[str, list[EntryPoint]]:
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUP):
        same = found.setdefault(entry.name, [])
        if entry.value not in (other.value for other in same):
            same.append(entry)
    return found


def _entry(name: str) -> EntryPoint:
    found = _registered()
    if name not in found:
        raise BackendError(f"unknown backend {name!r}: {nearest(name, found)}")
    if len(found[name]) > 1:
        owners = " and ".join(sorted(str(e.dist.name if e.dist else e.value) for e in found[name]))
        raise BackendError(f"backend {name!r} is claimed by {owners}: uninstall one of them")
    return found[name][0]
