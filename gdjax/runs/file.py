"""Run files: a run's arrays, keys and statuses, with the formula, versions and options beside them."""

import math
import platform
from pathlib import Path
from typing import Any

import numpy as np

from gdjax import status as st
from gdjax.data.groups import same
from gdjax.errors import FileError, UsageError
from gdjax.files import Arrays, load_arrays, save_arrays
from gdjax.formulas import Activation, Loss, activations, losses
from gdjax.machine.versions import installed
from gdjax.neuron import Neuron
from gdjax.runs.run import Run
from gdjax.runs.state import RunState
from gdjax.schedules import Schedule, called

FORMAT = 1
_ARRAYS = ("weights", "bias", "cost", "steps", "history", "history_steps", "rows", "r2", "learning_rate", "condition")


def save(run: Run, path: str | Path) -> None:
    """Writes `run` to one safetensors file: see `gdjax.load`."""
    arrays: dict[str, Any] = {name: np.asarray(getattr(run, name)) for name in _ARRAYS}
    arrays["status"] = np.asarray(run.status, dtype=str)
    arrays["reason"] = np.asarray(run.reason, dtype=str)
    if run.validation_cost is not None:
        arrays["validation_cost"] = np.asarray(run.validation_cost)
    for name, column in run.swept.items():
        arrays[f"swept.{name}"] = np.asarray(column)
    keys: Any = None
    if run.groups is not None:
        if run.groups.dtype.kind == "O":
            keys = list(map(_spelt, run.groups.tolist()))
        elif run.groups.dtype.kind in "mM":
            keys = {"dtype": run.groups.dtype.str}
            arrays["groups"] = run.groups.astype(np.int64)
        elif run.groups.dtype.kind in "biufU":
            arrays["groups"] = run.groups
        else:
            keys = list(map(_spelt, run.groups.tolist()))
    if run.state is not None:
        arrays.update({f"run.{name}": value for name, value in run.state.arrays().items()})
    options = {k: v.call if isinstance(v, Schedule) else v for k, v in run.options.items()}
    meta = {
        "format": FORMAT,
        "versions": {"gdjax": installed("gdjax"), "numpy": np.__version__, "python": platform.python_version()},
        "neuron": {
            "activation": _described(run.neuron.formula.activation),
            "loss": _described(run.neuron.formula.loss),
            "l2": float(run.neuron.l2),
            "l1": float(run.neuron.l1),
            "bias": bool(run.neuron.bias),
        },
        "features": list(run.feature_names),
        "keys": keys,
        "swept": list(run.swept),
        "backend": run.backend,
        "dtype": run.dtype,
        "source": run.source,
        "options": {k: v for k, v in options.items() if v is None or isinstance(v, (bool, int, float, str))},
    }
    save_arrays(path, arrays, meta)


def _spelt(key: Any) -> Any:
    """A group's key in JSON, which has neither tuples nor NaN."""
    if isinstance(key, tuple):
        return list(map(_spelt, key))
    key = key.item() if isinstance(key, np.generic) else key
    if isinstance(key, float) and not math.isfinite(key):
        return {"float": repr(key)}
    if key is None or isinstance(key, str | int | float):
        return key
    raise UsageError(
        f"save: a group's key of type {type(key).__name__} fits no file: give the groups other keys, as by "
        "dataclasses.replace(run, groups=run.groups.astype(str))"
    )


def _read(key: Any) -> Any:
    """What `_spelt` was given."""
    if isinstance(key, list):
        return tuple(map(_read, key))
    return same(float(key["float"])) if isinstance(key, dict) else key


def load(path: str | Path, neuron: Neuron | None = None) -> Run:
    """The run that `run.save(path)` wrote.

    Args:
        path: the file.
        neuron: for a run of a user's own activation or loss, which a file cannot hold: the neuron it was fitted with.

    Raises:
        FileError: no such file, not a run, cut short, altered, of a newer format, or of a custom formula without
            `neuron`.
    """
    arrays, meta = load_arrays(path)
    if not isinstance(meta, dict) or "neuron" not in meta or "format" not in meta:
        raise FileError(f"{path}: a gdjax file, but not a run: it may be a checkpoint; pass a file of run.save")
    if isinstance(meta["format"], int) and meta["format"] > FORMAT:
        raise FileError(f"{path}: format {meta['format']} is newer than this gdjax reads ({FORMAT}): upgrade gdjax")
    try:
        return _run(arrays, meta, neuron, path)
    except FileError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise FileError(f"{path}: a gdjax file, but not a run of this version ({error!r}): fit it again") from error


def _run(arrays: Arrays, meta: dict[str, Any], neuron: Neuron | None, path: Any) -> Run:
    found = neuron if neuron is not None else _neuron(meta["neuron"], path)
    keys = meta["keys"]
    groups = arrays.get("groups")
    if isinstance(keys, dict) and groups is not None:
        groups = groups.astype(keys["dtype"])
    elif keys is not None:
        groups = np.empty(len(keys), dtype=object)
        groups[:] = list(map(_read, keys))
    single = arrays["weights"].ndim == 1
    state = {name[4:]: value for name, value in arrays.items() if name.startswith("run.")}
    values: dict[str, Any] = {name: arrays[name] for name in _ARRAYS}
    options = dict(meta["options"])
    if "(" in str(options.get("learning_rate")):
        options["learning_rate"] = called(options["learning_rate"])
    if single:
        values["steps"] = int(values["steps"])
        for name in ("bias", "cost", "r2", "learning_rate", "condition"):
            values[name] = values[name][()]
    run = Run(
        neuron=found,
        status=str(arrays["status"]) if single else arrays["status"],
        reason=str(arrays["reason"]) if single else arrays["reason"].astype(object),
        groups=groups,
        feature_names=tuple(meta["features"]),
        backend=meta["backend"],
        dtype=meta["dtype"],
        swept={name: arrays[f"swept.{name}"] for name in meta["swept"]},
        validation_cost=arrays.get("validation_cost"),
        options=options,
        source=meta.get("source", {}),
        state=RunState.from_arrays(state) if state else None,
        **values,
    )
    _check(run)
    return run


def _check(run: Run) -> None:
    """Raises ValueError where shapes or kinds are not those of a run."""
    lead, columns = run.weights.shape[:-1], run.weights.shape[-1]
    names = ("bias", "cost", "steps", "rows", "r2", "learning_rate", "condition", "status", "reason")
    shapes = dict.fromkeys(names, lead)
    shapes["history"] = (*lead, len(run.history_steps))
    given = {name: np.asarray(getattr(run, name)) for name in shapes}
    if run.validation_cost is not None:
        shapes["validation_cost"], given["validation_cost"] = lead, run.validation_cost
    for name, column in run.swept.items():
        shapes[name], given[name] = lead, column
    if run.groups is not None:
        shapes["groups"], given["groups"] = lead, run.groups
    for name, shape in shapes.items():
        kinds = "UO" if name in ("status", "reason") else "biufUOmM" if name == "groups" else "biuf"
        if given[name].shape != shape or given[name].dtype.kind not in kinds:
            raise ValueError(f"{name}: {given[name].dtype} {given[name].shape}")
    if run.weights.ndim not in (1, 2) or run.weights.dtype.kind != "f" or run.history_steps.ndim != 1:
        raise ValueError(f"weights: {run.weights.dtype} {run.weights.shape}")
    if len(run.feature_names) != columns or not all(isinstance(name, str) for name in run.feature_names):
        raise ValueError(f"{len(run.feature_names)} features")
    if not np.isin(run.status, st.NAMES).all():
        raise ValueError("status")
    if not isinstance(run.options, dict) or not isinstance(run.source, dict):
        raise ValueError("options")
    if not isinstance(run.backend, str) or run.dtype not in ("float32", "float64"):
        raise ValueError(f"backend {run.backend!r} {run.dtype!r}")
    if run.state is not None and run.state.state.point.shape != (run.models, columns + 1):
        raise ValueError("state")


def _described(part: Activation | Loss) -> dict[str, Any]:
    table: dict[str, Any] = activations.BUILT_IN if isinstance(part, Activation) else losses.BUILT_IN
    known = part.name in table and table[part.name].build == part.build
    return {"name": part.name, "parameters": list(part.parameters), "custom": not known}


def _neuron(meta: dict[str, Any], path: Any) -> Neuron:
    for what in ("activation", "loss"):
        if meta[what]["custom"]:
            raise FileError(
                f"{path}: fitted with the custom {what} {meta[what]['name']!r}, which no file holds: "
                "pass gdjax.load(path, neuron=...)"
            )
    made: dict[str, Any] = {}
    for what, table in (("activation", activations.BUILT_IN), ("loss", losses.BUILT_IN)):
        name, parameters = meta[what]["name"], tuple(meta[what]["parameters"])
        part: Any = table[name]
        if parameters != part.parameters:
            part = getattr(activations if what == "activation" else losses, name)(*parameters)
            made[what] = part
        else:
            made[what] = name
    return Neuron(**made, l2=meta["l2"], l1=meta["l1"], bias=meta["bias"])
