"""Every registered backend passes the conformance suite, jitted and eager; each kind of broken one fails it by name."""

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from gdjax.formulas import Formula, activations
from gdjax.testing import CHECKS, check_backend
from gdjax_numpy import NumpyBackend


@pytest.mark.timeout(600)
@pytest.mark.parametrize("check", CHECKS)
def test_backend_conforms(backend_name, check):
    assert len(check_backend(backend_name, only=check)) == 2


@pytest.mark.timeout(600)
@pytest.mark.parametrize("check", CHECKS)
def test_jax_conforms_without_jit(check):
    import jax

    from gdjax_jax import JaxBackend

    with jax.disable_jit():
        check_backend(JaxBackend("float64"), only=check)


def test_an_instance_is_checked_in_its_own_dtype():
    assert all(name.endswith("[float32]") for name in check_backend(NumpyBackend("float32")))


@dataclass(frozen=True)
class Faulty(NumpyBackend):
    """NumPy with one fault."""


class Aliasing(Faulty):
    def asarray(self, x):
        x = np.asarray(x)
        return x.astype(self.dtype) if x.dtype.kind == "f" and x.dtype != self.dtype else x


class OpenAtZero(Faulty):
    def cost_and_gradient(self, formula, theta, samples):
        if formula.activation == activations.relu:
            build = lambda xp: (activations.relu(xp)[0], lambda z: (z >= 0).astype(z.dtype))  # noqa: E731
            formula = Formula(replace(activations.relu, build=build), formula.loss)
        return super().cost_and_gradient(formula, theta, samples)


class LosesTheLastRow(Faulty):
    def cost_and_gradient(self, formula, theta, samples):
        if samples.X.shape[-2] > 8 and formula.activation.name == "relu":
            samples = samples._replace(
                weight=samples.weight * (np.arange(samples.X.shape[-2]) < samples.X.shape[-2] - 1)
            )
        return super().cost_and_gradient(formula, theta, samples)


class Shortened(Faulty):
    def asarray(self, x):
        x = super().asarray(x)
        return x.astype(np.float16).astype(self.dtype) if x.dtype.kind == "f" else x


class HidesNaN(Faulty):
    def cost_and_gradient(self, formula, theta, samples):
        return tuple(map(np.nan_to_num, super().cost_and_gradient(formula, theta, samples)))


class IgnoresWeights(Faulty):
    def cost_and_gradient(self, formula, theta, samples):
        ones = np.ones_like(samples.weight)
        return super().cost_and_gradient(formula, theta, samples._replace(weight=ones, total=ones.sum(axis=-1)))


class IgnoresFolds(Faulty):
    def cost_and_gradient(self, formula, theta, samples):
        fold = None if samples.fold is None else np.zeros_like(samples.fold)
        return super().cost_and_gradient(formula, theta, samples._replace(fold=fold))


class IgnoresTargets(Faulty):
    def cost_and_gradient(self, formula, theta, samples):
        y = samples.y[0] if samples.shared and samples.y.ndim == 2 else samples.y
        return super().cost_and_gradient(formula, theta, samples._replace(y=y))


class Narrow(Faulty):
    def cost_and_gradient(self, formula, theta, samples):
        cost, gradient = super().cost_and_gradient(formula, theta, samples)
        return cost.astype(np.float32).astype(self.dtype), gradient.astype(np.float32).astype(self.dtype)


class HalfTheGradient(Faulty):
    def cost_and_gradient(self, formula, theta, samples):
        cost, gradient = super().cost_and_gradient(formula, theta, samples)
        return cost, gradient / 2


class LeansOnNeighbours(Faulty):
    def descend(self, formula, rule, samples, rows, state, knobs, chunk):
        after, trace = super().descend(formula, rule, samples, rows, state, knobs, chunk)
        return after._replace(point=after.point * (1 + self.eps * len(rows))), trace

    @property
    def eps(self) -> Any:
        return np.finfo(self.dtype).eps


class ForgetsMomentum(Faulty):
    def descend(self, formula, rule, samples, rows, state, knobs, chunk):
        state = state._replace(velocity=np.zeros_like(state.velocity), momentum=np.ones_like(state.momentum))
        return super().descend(formula, rule, samples, rows, state, knobs, chunk)


class ForgetsTheSchedule(Faulty):
    def descend(self, formula, rule, samples, rows, state, knobs, chunk):
        return super().descend(
            formula, rule, samples, rows, state, knobs, chunk._replace(factors=np.ones(len(chunk.factors)))
        )


class IgnoresShortBatches(Faulty):
    def descend(self, formula, rule, samples, rows, state, knobs, chunk):
        if chunk.batches is not None:
            chunk = chunk._replace(batches=np.maximum(chunk.batches, 0))
        return super().descend(formula, rule, samples, rows, state, knobs, chunk)


class WritesToItsArguments(Faulty):
    def descend(self, formula, rule, samples, rows, state, knobs, chunk):
        after = super().descend(formula, rule, samples, rows, state, knobs, chunk)
        state.point[:] = after[0].point
        return after


class NeverStops(Faulty):
    def descend(self, formula, rule, samples, rows, state, knobs, chunk):
        knobs = knobs._replace(limit=np.full_like(knobs.limit, np.iinfo(np.int32).max))
        return super().descend(formula, rule, samples, rows, state, knobs, chunk)


class Thawed(NumpyBackend):
    def __setattr__(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)


class WrongAutodiff(Faulty):
    def grad(self, formula, theta, samples):
        gradient = self.cost_and_gradient(formula, theta, samples)[1]
        return gradient * (1 + 1e-3)


class NoDescend:
    name, xp, dtype = "none", np, "float64"


FAULTS = {
    Aliasing: "asarray never aliases",
    OpenAtZero: "the slope is 0 where z = 0",
    LosesTheLastRow: "cost and gradient are what rational arithmetic says",
    Shortened: "products are not shortened",
    HidesNaN: "NaN and infinity in the data are not hidden",
    IgnoresWeights: "weight 0 is an absent row",
    IgnoresTargets: "each neuron has the y",
    IgnoresFolds: "a row outside a fold may overflow",
    Narrow: "cost and gradient are what rational arithmetic says",
    HalfTheGradient: "one plain step is equations 24 and 33",
    LeansOnNeighbours: "a neuron gets the same bits",
    ForgetsMomentum: "chunks split anywhere",
    ForgetsTheSchedule: "every rule's steps",
    IgnoresShortBatches: "mini batches",
    WritesToItsArguments: "leaves its arguments alone",
    NeverStops: "each ends as it should",
    Thawed: "it has the members",
    WrongAutodiff: "autodiff, where there is any",
    NoDescend: "it has the members",
}


@pytest.mark.parametrize("kind", FAULTS)
def test_each_fault_is_found_by_name(kind):
    (check,) = (name for name in CHECKS if FAULTS[kind] in name)
    with pytest.raises(AssertionError, match=f"1 of 1 checks failed .*\n{re.escape(check)}"), np.errstate(all="ignore"):
        check_backend(kind(), only=check)


def test_each_check_that_fails_is_named():
    with pytest.raises(AssertionError) as caught:
        check_backend(HalfTheGradient())
    first, *rest = str(caught.value).splitlines()
    failed = [line.partition(" [")[0] for line in rest]
    assert first.startswith(f"{len(failed)} of {len(CHECKS)} checks failed")
    assert [name for name in CHECKS if name in failed] == failed
    assert len(failed) > 1


def test_no_such_check():
    with pytest.raises(AssertionError, match="no check is named 'speed'"):
        check_backend("numpy", only="speed")
