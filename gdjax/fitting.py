"""fit: one neuron, or one a group."""

from typing import Any

import numpy as np

from gdjax.arguments import fixed_rate, memory, whole
from gdjax.data.arrays import selected
from gdjax.data.checked import Data, Targets, check
from gdjax.data.spool import spooled
from gdjax.discovery import DEFAULT
from gdjax.engine.running import run_problem
from gdjax.errors import DataError, UsageError
from gdjax.event import Callback
from gdjax.neuron import Neuron
from gdjax.params import Params
from gdjax.protocol import Backend
from gdjax.rates import learning_rates
from gdjax.runs.run import Run
from gdjax.stream import Stream


def fit(
    neuron: Neuron,
    X: Any,
    y: Any,
    *,
    groups: Any = None,
    sample_weight: Any = None,
    validation: Any = None,
    features: Any = None,
    backend: str | Backend = DEFAULT,
    dtype: str | None = None,
    method: Any = "nesterov",
    learning_rate: Any = "auto",
    steps: int = 10_000,
    batch_size: int | None = None,
    tolerance: float | None = None,
    patience: int | None = None,
    standardize: bool = True,
    init: Params | None = None,
    seed: int = 0,
    min_rows: int | None = None,
    memory_limit: int | None = None,
    verify: bool = True,
    progress: bool = False,
    callback: Callback | None = None,
    checkpoint: Any = None,
) -> Run:
    """Trains `neuron` by gradient descent on its hand-derived gradient; with `groups`, one neuron a group.

    Args:
        neuron: the formula and its penalties.
        X: (N, D) real numbers, or a data frame of numbers; or a `gdjax.stream.Stream`, which brings y and weights.
        y: (N,) targets; None with a stream.
        groups: a key a row, (N,) of any type, or several columns of them; None for one neuron.
        sample_weight: (N,) >= 0; a row of weight 0 is as if absent.
        validation: (X, y), with groups (X, y, groups): the parameters of least cost on it are given back. Rows of no
            group that is trained, and groups without a row, are warned of.
        features: D names.
        backend: a name or an instance.
        dtype: "float32" or "float64"; by default what X has, integers as float64.
        method: "plain", "momentum", "nesterov" or "adam"; on JAX any `optax.GradientTransformation` too, whose updates
            `learning_rate` multiplies, "auto" for 1.
        learning_rate: "auto", a number in the columns that the descent sees, or a `gdjax.schedules` schedule; "find"
            tries 64 rates for 50 steps each, all at once, and takes the one of least cost.
        steps: the most steps.
        batch_size: rows of a mini batch; None for all.
        tolerance: relative distance to the optimum that "converged" certifies; 1e-9 in float64 and 1e-4 in float32 by
            default; 0 runs all the steps.
        patience: looks at the validation set, 100 steps apart, without a better cost before it stops.
        standardize: whether the descent sees columns of mean 0 and deviation 1.
        init: parameters to start from, in raw units.
        seed: of random starts and shuffles; 0 starts a ReLU neuron by construction.
        min_rows: groups of fewer rows are not trained; by default the number of parameters.
        memory_limit: bytes that samples and what is made of them may take at a time, by default half of the memory;
            without `groups`, X over it is read a block at a time, once a step.
        verify: whether a user's own formula is verified first.
        progress: whether a progress bar is shown.
        callback: called with a `gdjax.callbacks.Event` between chunks; True, returned, ends the run.
        checkpoint: a path: the run is saved there between chunks, and the same call again goes on from it.

    Returns:
        The `Run`; its `status` and `reason` say what became of each neuron.

    Raises:
        UsageError: an argument of the wrong kind or out of range.
        DataError: data that cannot be trained on; with `groups` a group's bad data is its status instead.
        BackendError: a backend or a device that is not here, or one neuron that does not fit its memory.
        FileError: a checkpoint that cannot be read or written, or a stream that cannot be read.

    >>> import numpy as np
    >>> run = fit(Neuron("identity"), np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0]), backend="numpy")
    >>> run.status, round(float(run.weights[0]), 9), round(float(run.bias), 9)
    ('converged', 2.0, 1.0)
    """
    if min_rows is not None and groups is None:
        raise UsageError("min_rows: there are no groups to count the rows of: pass groups=")
    if isinstance(learning_rate, str) and learning_rate == "find":
        if groups is not None or isinstance(y, Targets):
            raise UsageError('learning_rate = "find" is for one neuron: each of several has its own rate at "auto"')
        X = spooled(X) if isinstance(X, Stream) else X  # decoded once for all runs
        learning_rate = learning_rates(
            neuron,
            X,
            y,
            sample_weight=sample_weight,
            features=features,
            backend=backend,
            dtype=dtype,
            method=method,
            batch_size=batch_size,
            standardize=standardize,
            seed=seed,
            memory_limit=memory_limit,
        ).best
    data = check(
        X,
        y,
        neuron.formula,
        sample_weight=sample_weight,
        groups=groups,
        features=features,
        memory_limit=memory(memory_limit),
    )
    given = {
        "groups": groups is not None,
        "dtype": dtype,
        "method": method,
        "learning_rate": learning_rate,
        "batch_size": batch_size,
        "tolerance": tolerance,
        "patience": patience,
        "standardize": standardize,
        "seed": seed,
        "min_rows": min_rows,
    }
    return run_problem(
        neuron,
        data,
        **_alike(neuron, data, learning_rate, seed),
        validation=validation,
        backend=backend,
        dtype=dtype,
        method=method,
        learning_rate=learning_rate,
        steps=steps,
        batch_size=batch_size,
        tolerance=tolerance,
        patience=patience,
        standardize=standardize,
        init=init,
        min_rows=min_rows,
        memory_limit=memory_limit,
        verify=verify,
        progress=progress,
        callback=callback,
        checkpoint=checkpoint,
        options=given,
    )


def _alike(neuron: Neuron, data: Data, learning_rate: Any, seed: int) -> dict[str, Any]:
    """What `run_problem` takes for one neuron a group, all of one penalty, rate and seed."""
    count, rate = data.models, fixed_rate(learning_rate)
    return {
        "l1": np.full(count, float(neuron.l1)),
        "l2": np.full(count, float(neuron.l2)),
        "rate": np.full(count, np.nan if rate is None else rate),
        "seed": np.full(count, whole("seed", seed, 0), np.int64),
        "fold": np.arange(count),
        "weight": None,
        "swept": {},
        "held_out": None,
    }


GOING_ON = (
    "groups",
    "sample_weight",
    "validation",
    "backend",
    "memory_limit",
    "verify",
    "progress",
    "callback",
    "checkpoint",
)
"""What a run that goes on is told anew."""


def go_on(run: Run, X: Any, y: Any, steps: int, options: dict[str, Any]) -> Run:
    """See `Run.continue_`."""
    if run.state is None:
        raise UsageError("continue_: this run holds no state: it was loaded from a file without one; fit it again")
    if run.swept:
        raise UsageError("continue_: a sweep cannot go on; sweep again with more steps")
    import copy

    unknown = next((name for name in options if name not in GOING_ON), None)
    if unknown is not None:
        raise UsageError(f"continue_: {unknown} stays what it was at fit: pass none but {', '.join(GOING_ON)}")
    known = {k: v for k, v in run.options.items() if k not in ("groups", "steps")}
    data = check(
        selected(X, run.feature_names),
        y,
        run.neuron.formula,
        sample_weight=options.pop("sample_weight", None),
        groups=options.pop("groups", None),
        features=run.feature_names,
        memory_limit=memory(options.get("memory_limit")),
    )
    if (data.keys is None) != (run.groups is None) or data.models != run.models:
        raise DataError("continue_: other groups than at fit: pass the data it was fitted on")
    rest = {
        "validation": None,
        "backend": run.backend,
        "memory_limit": None,
        "verify": False,
        "progress": False,
        "callback": None,
        "checkpoint": None,
        **options,
    }
    return run_problem(
        run.neuron,
        data,
        **_alike(run.neuron, data, known["learning_rate"], known.pop("seed")),
        init=None,
        steps=steps,
        options={**run.options},
        state=copy.deepcopy(run.state),
        **{**known, "dtype": run.dtype},
        **rest,
    )
