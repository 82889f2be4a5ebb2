"""The update rule of descent: one step of K neurons in lockstep, written once over any array namespace.

A state is a value: all that a run needs to go on, one row a neuron, so that it can be saved, resumed and compacted.
Parameters stand in one array theta (K, P), P = D + 1, the bias last. Backends loop `make_advance`'s step over a chunk;
how the data is walked is theirs.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

Array = Any
Evaluate = Callable[[Array], tuple[Array, Array]]
"""theta (K, P) -> the data's cost (K,) and its gradient (K, P)."""

METHODS = ("plain", "momentum", "nesterov", "adam")


class Method(Protocol):
    """A method that is not ours, such as `gdjax.optax.Transformation`: hashable, its memory one flat row a neuron."""

    def init(self, theta: Array) -> Array:
        """The memory (K, S), NumPy, at theta (K, P)."""
        ...

    def update(self, gradient: Array, memory: Array, theta: Array) -> tuple[Array, Array]:
        """What a rate of 1 adds to theta (K, P), and the memory after it."""
        ...


RUNNING, STATIONARY, DIVERGED, EXHAUSTED = 0, 1, 2, 3
"""Phases of a neuron: going on; its gradient met the threshold; its cost left all bounds; it took all its steps."""

MOMENTUM = 0.9
ADAM_BETA1, ADAM_BETA2, ADAM_EPS = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Rule:
    """What of the descent is fixed at compile time.

    Attributes:
        method: one of `METHODS`, or a `Method`.
        backtrack: whether a step that breaks the descent lemma is refused and the rate halved.
        sparse: whether any l1 is over 0, so that steps end in the proximal map.
        folded: whether theta stands for scaled columns while the samples are raw.
    """

    method: str | Method = "nesterov"
    backtrack: bool = False
    sparse: bool = False
    folded: bool = False


class State(NamedTuple):
    """Where K neurons are. Arrays of the method's need: those it has no use for are (K, 0)."""

    point: Array
    """(K, P) where the next gradient is taken."""
    iterate: Array
    """(K, P) the parameters reached; equal to `point` but for Nesterov's extrapolation."""
    velocity: Array
    """(K, P) momentum's velocity or Adam's first moment; (K, S) the memory of a `Method`."""
    second: Array
    """(K, P) Adam's second moment."""
    momentum: Array
    """(K,) Nesterov's t."""
    rate: Array
    """(K,) the learning rate before the schedule."""
    step: Array
    """(K,) int32 steps taken."""
    phase: Array
    """(K,) int32 RUNNING, STATIONARY, DIVERGED or EXHAUSTED."""
    cost: Array
    """(K,) the whole cost at the last point evaluated."""
    best: Array
    """(K, P) the finite point of least cost so far."""
    best_cost: Array
    """(K,) its cost."""


class Knobs(NamedTuple):
    """What a chunk holds fixed for each neuron, traced all of it."""

    l1: Array
    """(K,)"""
    l2: Array
    """(K,)"""
    free: Array
    """(K, P) 1 where a parameter moves, 0 where it is held (no bias, a constant column)."""
    penalised: Array
    """(P,) 1 for weights, 0 for the bias."""
    threshold: Array
    """(K,) a gradient of norm <= threshold * max(norm(w), floor) is stationary; negative: never."""
    floor: Array
    """(K,) 1e-4 of the deviation of y."""
    ceiling: Array
    """(K,) the cost over which a neuron has diverged."""
    limit: Array
    """(K,) int32 the step at which it ends."""
    shift: Array
    """(K, P) means of the columns, 0 for the bias; used where the rule is folded."""
    scale: Array
    """(K, P) deviations of the columns, 1 for the bias; likewise."""


def fold(xp: Any, theta: Array, shift: Array, scale: Array) -> Array:
    """Parameters of the columns (x - shift) / scale as parameters of the raw columns x."""
    raw = theta / scale
    moved = xp.sum(raw * shift, axis=-1)
    return xp.concat((raw[..., :-1], (raw[..., -1] - moved)[..., None]), axis=-1)


def unfold(theta: Array, shift: Array, scale: Array) -> Array:
    """A gradient in raw parameters as the gradient in those of the columns (x - shift) / scale."""
    return (theta - shift * theta[..., -1:]) / scale


def soft_threshold(xp: Any, v: Array, amount: Array) -> Array:
    """The proximal map of amount * |v|: v moved towards 0 by amount, and held there."""
    return xp.sign(v) * xp.maximum(xp.abs(v) - amount, xp.zeros_like(v))


def make_objective(xp: Any, rule: Rule, evaluate: Evaluate, knobs: Knobs) -> Evaluate:
    """The smooth part of the cost (data and l2) and its gradient, in the columns that the descent sees."""

    def objective(theta: Array) -> tuple[Array, Array]:
        if rule.folded:
            cost, gradient = evaluate(fold(xp, theta, knobs.shift, knobs.scale))
            gradient = unfold(gradient, knobs.shift, knobs.scale)
        else:
            cost, gradient = evaluate(theta)
        weights = theta * knobs.penalised
        cost = cost + knobs.l2 * xp.sum(weights * weights, axis=-1)
        return cost, (gradient + 2 * knobs.l2[..., None] * weights) * knobs.free

    return objective


def make_advance(xp: Any, rule: Rule) -> Callable[[State, Knobs, Evaluate, Array], State]:
    """The step `advance(state, knobs, evaluate, factor) -> state`; `factor` is the schedule's at this step.

    plain: theta <- theta - rate * gradient, the update of the derivation and nothing else.
    momentum: v <- 0.9 v + gradient, theta <- theta - rate * v (Polyak, 1964).
    nesterov: gradient at the extrapolated point, t as in FISTA (Beck and Teboulle, 2009), restarted when the step turns
    against the momentum (O'Donoghue and Candes, 2015).
    adam: Kingma and Ba, 2015.
    l1 acts by its proximal map. A neuron that is not RUNNING stays as it is, to the bit.
    """

    def propose(state: State, knobs: Knobs, gradient: Array, rate: Array) -> tuple[Array, Array, Array]:
        velocity, second = state.velocity, state.second
        step = rate[..., None]
        if not isinstance(rule.method, str):
            added, velocity = rule.method.update(gradient, velocity, state.point)
            candidate = state.point + step * added * knobs.free
        elif rule.method == "momentum":
            velocity = MOMENTUM * velocity + gradient
            candidate = state.point - step * velocity
        elif rule.method == "adam":
            t = xp.asarray(state.step + 1, dtype=rate.dtype)[..., None]
            velocity = ADAM_BETA1 * velocity + (1 - ADAM_BETA1) * gradient
            second = ADAM_BETA2 * second + (1 - ADAM_BETA2) * gradient * gradient
            # 1 - beta^t, its digits kept where beta is near 1
            correction, correction2 = -xp.expm1(math.log(ADAM_BETA1) * t), -xp.expm1(math.log(ADAM_BETA2) * t)
            candidate = state.point - step * (velocity / correction) / (xp.sqrt(second / correction2) + ADAM_EPS)
        else:
            candidate = state.point - step * gradient
        if rule.sparse:
            candidate = soft_threshold(xp, candidate, (rate * knobs.l1)[..., None] * knobs.penalised)
        return candidate, velocity, second

    def extrapolate(state: State, candidate: Array) -> tuple[Array, Array]:
        moved = candidate - state.iterate
        turned = xp.sum((state.point - candidate) * moved, axis=-1) > 0
        following = (1 + xp.sqrt(1 + 4 * state.momentum * state.momentum)) / 2
        inertia = (state.momentum - 1) / following
        inertia = xp.where(turned, xp.zeros_like(inertia), inertia)
        return candidate + inertia[..., None] * moved, xp.where(turned, xp.ones_like(following), following)

    def accepted(
        state: State, candidate: Array, objective: Evaluate, smooth: Array, gradient: Array, rate: Array
    ) -> Array:
        moved = candidate - state.point
        bound = smooth + xp.sum(gradient * moved, axis=-1) + xp.sum(moved * moved, axis=-1) / (2 * rate)
        # without the slack, rounding in the cost halves the rate for ever near the optimum
        slack = 10 * xp.finfo(smooth.dtype).eps * xp.abs(smooth)
        return objective(candidate)[0] <= bound + slack

    def advance(state: State, knobs: Knobs, evaluate: Evaluate, factor: Array) -> State:
        objective = make_objective(xp, rule, evaluate, knobs)
        smooth, gradient = objective(state.point)
        rate = state.rate * factor
        cost = smooth
        if rule.sparse:
            cost = cost + knobs.l1 * xp.sum(xp.abs(state.point) * knobs.penalised, axis=-1)

        candidate, velocity, second = propose(state, knobs, gradient, rate)
        residual = gradient
        if rule.sparse:
            residual = 2 * (state.point - candidate) / rate[..., None]
        weights = state.point * knobs.penalised
        size = xp.maximum(xp.sqrt(xp.sum(weights * weights, axis=-1)), knobs.floor)
        stationary = xp.sqrt(xp.sum(residual * residual, axis=-1)) <= knobs.threshold * size
        diverged = ~(xp.isfinite(cost) & xp.isfinite(xp.sum(gradient, axis=-1)) & (cost <= knobs.ceiling))

        running = state.phase == RUNNING
        going = running & ~(stationary | diverged)
        moving = going
        if rule.backtrack:
            ok = accepted(state, candidate, objective, smooth, gradient, rate)
            moving = going & ok
        point, momentum = candidate, state.momentum
        if rule.method == "nesterov":
            point, momentum = extrapolate(state, candidate)

        improved = running & (cost < state.best_cost) & ~diverged
        settled = running & stationary & ~diverged
        resting = candidate if rule.sparse else state.point
        wide, still = moving[..., None], settled[..., None]
        phase = xp.where(running & diverged, xp.full_like(state.phase, DIVERGED), state.phase)
        phase = xp.where(settled, xp.full_like(state.phase, STATIONARY), phase)
        taken = state.step + xp.where(going, xp.ones_like(state.step), xp.zeros_like(state.step))
        phase = xp.where(going & (taken >= knobs.limit), xp.full_like(state.phase, EXHAUSTED), phase)
        return State(
            point=xp.where(wide, point, xp.where(still, resting, state.point)),
            iterate=xp.where(wide, candidate, xp.where(still, resting, state.iterate)),
            velocity=xp.where(wide, velocity, state.velocity),
            second=xp.where(wide, second, state.second),
            momentum=xp.where(moving, momentum, state.momentum),
            rate=xp.where(going & ~moving, state.rate / 2, state.rate) if rule.backtrack else state.rate,
            step=taken,
            phase=phase,
            cost=xp.where(running, cost, state.cost),
            best=xp.where(improved[..., None], state.point, state.best),
            best_cost=xp.where(improved, cost, state.best_cost),
        )

    return advance


def initial_state(xp: Any, rule: Rule, theta: Array, rate: Array) -> State:
    """The state before the first step, at `theta` (K, P) with learning rates `rate` (K,)."""
    count = theta.shape[0]
    none = theta[:, :0]
    velocity = xp.zeros_like(theta) if rule.method in ("momentum", "adam") else none
    if not isinstance(rule.method, str):
        velocity = rule.method.init(theta)
    infinite = xp.full_like(rate, xp.inf)
    zeros = xp.zeros(count, dtype=xp.int32)
    return State(
        point=theta,
        iterate=theta,
        velocity=velocity,
        second=xp.zeros_like(theta) if rule.method == "adam" else none,
        momentum=xp.ones_like(rate),
        rate=rate,
        step=zeros,
        phase=zeros,
        cost=infinite,
        best=theta,
        best_cost=infinite,
    )


def take_steps(
    rule: Rule, evaluate: Callable[[int], Evaluate], state: State, knobs: Knobs, factors: Array, traced: bool
) -> tuple[State, np.ndarray | None]:
    """A step for each of `factors` (S,), on the host, while a neuron is running: `evaluate(i)` is what step i sees.

    Returns the state after them, and the costs (S, K) where `traced`, NaN where no step was taken.
    """
    advance = make_advance(np, rule)
    trace = np.full((len(factors), len(state.phase)), np.nan, factors.dtype) if traced else None
    for i, factor in enumerate(factors):
        if not (state.phase == RUNNING).any():
            break
        state = advance(state, knobs, evaluate(i), factor)
        if trace is not None:
            trace[i] = state.cost
    return state, trace
