"""Verify a `Neuron`: its formulas, and what a backend makes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any

import numpy as np

from gdjax.verification.check import Check
from gdjax.verification.inputs.cases import MOST_POINTWISE, Case
from gdjax.verification.programs.program import wide_floats
from gdjax.verification.telling.report import Finding, Report, worst
from gdjax.verification.verify import prepared, run

_SHAPES = ("D", "", "N D", "N", "N")
_EXAMPLE = 8, 3
# A slope is elementwise, so one compiled program serves every size up to this.
_COMPILED_SIZE = 8
# Compilers at work at a time: XLA leaves a core idle for a part of each program.
_COMPILERS = 2
_DOMAINS = {"binary": "binary", "nonnegative": "nonnegative"}


def verify_formula(neuron: Any, dtype: str = "float64", seconds: float = 5.0) -> Report:
    """Whether d cost / d z, the chain rule of the neuron's slopes, is the derivative of its cost of one sample.

    Cached by the formula: the activation, the loss, and nothing else. The kink convention is "zero".
    """
    return _formula(neuron.formula, dtype, seconds)


@lru_cache(maxsize=256)
def _formula(formula: Any, dtype: str, seconds: float) -> Report:
    import jax
    import jax.numpy as jnp

    if not _traces(formula):
        return _pointwise(formula, np, lambda f: f, dtype, seconds)
    report = _pointwise(formula, jnp, jax.jit, dtype, seconds)
    if report.verdict == "inconclusive" and any(f.kind == "unsupported" for f in report.findings):
        other = _pointwise(formula, np, lambda f: f, dtype, seconds)
        return other if other.verdict != "inconclusive" else report
    return report


def _traces(formula: Any) -> bool:
    """Whether JAX traces the formula: one that calls NumPy or SciPy by name is for the backend numpy alone."""
    import jax
    import jax.numpy as jnp

    z = np.zeros(3, np.float32)
    try:
        pointwise = formula.pointwise(jnp)
        jax.eval_shape(lambda z, y: (pointwise.cost(z, y), pointwise.slope(z, y)), z, z)
    except Exception:  # noqa: BLE001 - a user's code
        return False
    return True


def _pointwise(formula: Any, xp: Any, compiled: Callable[..., Any], dtype: str, seconds: float) -> Report:
    pointwise = formula.pointwise(xp)
    slope = compiled(pointwise.slope)

    def cost(z: Any, y: Any) -> Any:
        return pointwise.cost(z, y).sum(-1)

    def gradient(z: Any, y: Any) -> Any:
        if not isinstance(z, np.ndarray):
            return (slope(z, y),)
        size = max(z.size, _COMPILED_SIZE)
        return (np.asarray(slope(np.resize(z, size), np.resize(y, size)))[: z.size],)

    kind = _DOMAINS.get(formula.loss.domain, "real")
    y = np.array([1.0, 0.0, 1.0]) if kind == "binary" else np.array([1.5, 0.0, 0.25])
    label = f"slope of {formula.activation.name}, {formula.loss.name}"
    args = np.array([0.5, -1.0, 2.0]), y
    check = prepared(
        cost, gradient, args, (0,), ("N", "N"), dtype, "zero", {1: kind}, seconds, label, MOST_POINTWISE, any_size=True
    )
    if xp is np:
        return run(check)
    with ThreadPoolExecutor(1) as beside:
        compiled_once = beside.submit(_called, check.gradient, check.cases.example, check.wide)
        check.ready = lambda case: compiled_once.done()
        return run(check)


def neuron_cost(neuron: Any) -> Callable[..., Any]:
    """C(w, b, X, y, s) of a neuron, in JAX, from the values of its formulas alone; of stacked arguments, one each."""
    import jax
    import jax.numpy as jnp

    value = neuron.pointwise(jnp).cost

    def cost(w: Any, b: Any, X: Any, y: Any, s: Any) -> Any:
        z = jnp.matvec(X, w)
        if neuron.bias:
            # said in full: NumPy's broadcasting makes another program of one row
            z = z + jax.lax.broadcast_in_dim(b, z.shape, range(z.ndim - 1))
        data = jnp.sum(s * value(z, y), -1) / jnp.sum(s, -1)
        if neuron.l2:
            data = data + neuron.l2 * jnp.sum(w * w, -1)
        return data + neuron.l1 * jnp.sum(jnp.abs(w), -1) if neuron.l1 else data

    return cost


def neuron_gradient(neuron: Any, backend: Any) -> Callable[..., Any]:
    """What the public `cost_and_gradient` returns on a backend, as NumPy arrays."""
    from gdjax.evaluation import cost_and_gradient
    from gdjax.params import Params

    def gradient(w: Any, b: Any, X: Any, y: Any, s: Any) -> Any:
        _, slopes = cost_and_gradient(neuron, Params(w, b), X, y, sample_weight=s, backend=backend)
        bias = backend.to_numpy(slopes.bias) if neuron.bias else np.zeros((), w.dtype)
        return np.asarray(backend.to_numpy(slopes.weights)), np.asarray(bias)

    return gradient


def verify_neuron(neuron: Any, backend: Any, dtype: str, kinks: str, seconds: float) -> Report:
    """The formula in exact arithmetic, then the backend's gradient against the exact one of the cost.

    Cached by neuron, backend and dtype: neither can change while the program runs.
    """
    from gdjax.discovery import backend as find

    found: Any = find(backend, dtype)
    return _neuron(neuron, found, dtype, kinks, seconds)


@lru_cache(maxsize=256)
def _neuron(neuron: Any, backend: Any, dtype: str, kinks: str, seconds: float) -> Report:
    kind = _DOMAINS.get(neuron.formula.loss.domain, "real")
    rng = np.random.default_rng(0)
    # of a size that is tried anyway: one shape less to compile
    n, d = _EXAMPLE
    y = {
        "real": rng.normal(size=n),
        "binary": np.arange(n) % 2.0,
        "nonnegative": rng.integers(0, 5, n).astype(float),
    }
    args = (rng.normal(size=d), 0.5, rng.normal(size=(n, d)), y[kind], rng.integers(1, 4, n).astype(float))
    penalties = "".join(f", {name} = {value:g}" for name, value in (("l1", neuron.l1), ("l2", neuron.l2)) if value)
    label = f"{neuron.formula.activation.name}, {neuron.formula.loss.name}{penalties} on {backend.name}"
    gradient = neuron_gradient(neuron, backend)
    with ThreadPoolExecutor(_COMPILERS) as beside:
        # numba compiles once for every shape, which takes longer than all else: it begins while JAX is imported
        beside.submit(_called, gradient, args)
        prepare = partial(
            prepared, neuron_cost(neuron), gradient, args, (0, 1), _SHAPES, dtype, kinks,
            {3: kind, 4: "positive"}, seconds, label, any_size=True,
        )  # fmt: skip
        ready = _compiled_by(beside, prepare())
        formula = verify_formula(neuron, dtype, seconds)
        check = prepare()
        check.ready = ready
        walked = run(check)
    findings = walked.findings
    if formula.verdict != "pass":
        text = f"the formula's slope: {formula.verdict}"
        findings = (*findings, Finding("value", formula.verdict, text, formula.component or ""))
    worse = walked if walked.verdict == "fail" or formula.verdict == "pass" else formula
    return Report(
        worst((formula.verdict, walked.verdict)), findings, label, dtype, kinks,
        worse.component, worse.term, worse.counterexample, worse.components,
        walked.inputs, walked.oracles, walked.coverage, formula.seconds + walked.seconds, (formula,),
    )  # fmt: skip


def _compiled_by(beside: ThreadPoolExecutor, check: Check) -> Callable[[Case], bool]:
    """Has the backend compile for each shape that will be tried, while another core proves the formula and finds exact
    answers. Returns what says whether that is done for an input's shapes."""
    known: dict[Any, Future[None]] = {}
    for sizes in (check.cases.sizes, *check.cases.plans):
        args = check.cases.drawn(sizes, check.cases.rng())
        known[_shapes(args)] = beside.submit(_called, check.gradient, args, check.wide)
    return lambda case: _shapes(case.args) not in known or known[_shapes(case.args)].done()


def _called(gradient: Callable[..., Any], args: Sequence[Any], wide: bool = False) -> None:
    with wide_floats(wide), np.errstate(all="ignore"):
        gradient(*args)


def _shapes(args: Sequence[Any]) -> tuple[tuple[int, ...], ...]:
    return tuple(map(np.shape, args))


def built_in() -> list[Any]:
    """A neuron for each built-in activation, and for each built-in loss, with penalties on some."""
    from gdjax.formulas import activations, losses
    from gdjax.neuron import Neuron

    found = [Neuron(name, "squared_error") for name in activations.BUILT_IN]
    for name, loss in losses.BUILT_IN.items():
        found.append(Neuron(loss.link or "identity", name, l2=0.5 if loss.link is None else 0.0))
    return [*dict.fromkeys(found), Neuron("relu", "squared_error", l2=0.25, l1=0.5)]
