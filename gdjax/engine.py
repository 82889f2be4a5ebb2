"""The engine: slabs of neurons, chunks of steps on the device, and a judgement between chunks. The only loop."""

import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gdjax import status as st
from gdjax.batches import batch_indices
from gdjax.event import Callback, Event
from gdjax.memory import halving, out_of_memory, too_large
from gdjax.problem import Problem
from gdjax.protocol import Backend, Chunk
from gdjax.rule import DIVERGED, EXHAUSTED, RUNNING, STATIONARY, Knobs, Rule, State, initial_state
from gdjax.runstate import RunState, empty
from gdjax.samples import Samples
from gdjax.schedules import Schedule
from gdjax.slab import Examination, Slab

CHUNK = 100
"""Steps that run as one program on the device; edges depend on steps alone."""

TRACED = 16
"""Neurons up to which the history holds each step; above, the edges of chunks."""

REMEMBERED = 4_096
"""Neurons up to which there is a history at all: a fleet keeps its final costs."""


_log = logging.getLogger(__name__)


class Save(Protocol):
    """Keeps a run, the `last` state in any case, others when it is time to."""

    def __call__(self, run: RunState, *, last: bool) -> None: ...


@dataclass(frozen=True)
class Descent:
    """How to move."""

    method: str
    schedule: Schedule
    steps: int
    batch_size: int | None
    tolerance: float
    patience: int | None


@dataclass(frozen=True)
class Validation:
    """Costs on samples that are not trained on: `cost(slab, rows, raw) -> (A,)`."""

    cost: Callable[[Slab, np.ndarray, np.ndarray], np.ndarray]


def begin(problem: Problem, descent: Descent, status: np.ndarray, reasons: list[str], validated: bool) -> RunState:
    """The state of a run before its first step."""
    rule = Rule(descent.method)
    theta = np.zeros((problem.count, problem.size), problem.dtype)
    state = initial_state(np, rule, theta, np.zeros(problem.count, problem.dtype))
    return empty(State(*(np.array(a) for a in state)), status, reasons, validated)


def train(
    problem: Problem,
    descent: Descent,
    backend: Backend,
    run: RunState,
    *,
    init: np.ndarray | None = None,
    validation: Validation | None = None,
    callback: Callback | None = None,
    save: Save | None = None,
) -> bool:
    """Trains all pending neurons of `run`, in place; False where a callback ended it early.

    Where a slab does not fit in the memory of the device, it and those after it are trained in halves.
    """
    began = time.perf_counter()
    for trainer, rows in _edges(problem, descent, backend, run, init, validation):
        if save is not None:
            save(run, last=False)
        try:
            ended = callback is not None and callback(trainer.event(rows, time.perf_counter() - began)) is True
        except BaseException:
            if save is not None:
                save(run, last=True)
            raise
        if ended:
            if save is not None:
                save(run, last=True)
            trainer.leave()
            return False
        del trainer  # or its samples would be held while the next slab's are made
    return True


def _edges(
    problem: Problem,
    descent: Descent,
    backend: Backend,
    run: RunState,
    init: np.ndarray | None,
    validation: Validation | None,
) -> Iterator[tuple["_Trainer", np.ndarray]]:
    """Trains slab after slab, and gives at each edge of a chunk the trainer and the neurons that ran it."""
    pieces = 1
    for whole in problem.cuts(run.status == st.PENDING):
        waiting = whole.parts(pieces)
        while waiting:
            cut = waiting.pop(0)
            trainer, trouble = None, ""
            try:
                trainer = _Trainer(problem, descent, backend, run, problem.slab(cut), validation)
                trainer.start(init)
                trainer.settle()
                while (rows := trainer.pending()).size:
                    trainer.chunk(rows)
                    trainer.judge(rows)
                    yield trainer, rows
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if len(cut.neurons) == 1:
                    raise too_large(problem.size - 1, error) from error
                trouble = str(error)
            if trouble:
                _log.warning("%s", halving(len(cut.neurons), trouble))
                pieces *= 2
                waiting[:0] = cut.parts(2)


class _Trainer:
    """One slab being trained. All that must outlive it goes to the run's state."""

    def __init__(
        self,
        problem: Problem,
        descent: Descent,
        backend: Backend,
        run: RunState,
        slab: Slab,
        validation: Validation | None,
    ) -> None:
        self.problem, self.descent, self.backend, self.run = problem, descent, backend, run
        self.slab, self.validation = slab, validation
        self.eps = float(np.finfo(problem.dtype).eps)
        formula = slab.formula
        self.whole = descent.batch_size is None
        self.automatic = np.isnan(problem.rate[slab.neurons])
        self.rule = Rule(
            method=descent.method,
            backtrack=self.whole
            and descent.method in ("plain", "nesterov")
            and bool(self.automatic.any())
            and not formula.bound_holds,
            sparse=bool((slab.l1 > 0).any()),
            folded=slab.folded,
        )
        self.certifies = self.whole and descent.tolerance > 0 and formula.loss.smooth
        self.bound = slab.bound()
        self.deviation = np.sqrt(slab.moments.y_variance[slab.fold])
        self.dead_cost = slab.dead_cost()
        self.samples = self._on_device()

    def _on_device(self) -> Samples:
        slab, put = self.slab, self.backend.asarray
        dtype = self.problem.dtype
        one_fold = slab.shared and len(slab.weight) == 1
        fold = None if one_fold or not slab.shared else put(slab.fold.astype(np.int32))
        held = (slab.X, slab.y, slab.weight.astype(dtype), slab.total.astype(dtype))
        for array in held[2:]:
            array.flags.writeable = False
        return Samples(*(put(array) for array in held), fold)

    def start(self, init: np.ndarray | None) -> None:
        """Starts those that have not started."""
        self.given = init is not None
        fresh = np.nonzero((self.run.attempt[self.slab.neurons] == 0) & self._pending_mask())[0]
        if not self.slab.formula.can_die:
            self._place(fresh, 0, init)
            return
        positive = self._positive_y()
        for row in fresh[~positive[fresh]]:
            self._end(int(row), st.DEAD, st.NO_POSITIVE, np.zeros(self.problem.size))
        self._place(fresh[positive[fresh]], 0, init)

    def _positive_y(self) -> np.ndarray:
        slab = self.slab
        best = np.array([np.where(w > 0, slab.y if slab.shared else slab.y[f], -1).max() for f, w in enumerate(slab.weight)])
        return best[slab.fold][: len(slab.neurons)] > 0

    def _place(self, rows: np.ndarray, attempt: int, init: np.ndarray | None) -> None:
        """Puts the neurons `rows` of the slab at a start, with their rate and threshold."""
        if not rows.size:
            return
        slab, problem = self.slab, self.problem
        neurons = slab.neurons[rows]
        if init is not None and attempt == 0:
            full = np.zeros((len(slab.fold), problem.size))
            full[: len(slab.neurons)] = init[slab.neurons] if len(init) > 1 else init
            theta = slab.from_raw(full)[rows]
        else:
            theta = slab.start(rows, problem.seed[neurons], attempt)
        seen = slab.examine(rows, theta, hessian=self.certifies or self.rule.backtrack)
        largest, smallest = self.bound.largest[rows], self.bound.smallest[rows]
        if seen.spectrum is not None and not slab.formula.quadratic:
            if self.rule.backtrack:
                local = seen.spectrum.largest
                largest = np.where(local > 0, local, np.where(largest > 0, largest, 1.0))
            known = seen.spectrum.smallest
            smallest = np.where(known > 0, known, smallest)
        rate = problem.rate[neurons]
        given = ~np.isnan(rate)
        rate = np.where(given, rate, self._automatic_rate(rows, np.where(largest > 0, largest, 1.0)))
        fresh = initial_state(np, self.rule, theta.astype(problem.dtype), rate.astype(problem.dtype))
        self._write(neurons, fresh)
        self.run.attempt[neurons] = attempt + 1
        self.run.threshold[neurons] = self.descent.tolerance * smallest if self.certifies else -1.0
        self.run.cost[neurons] = np.nan

    def _automatic_rate(self, rows: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """1 / L; for mini batches 1 / (2 L_B), L_B the expected smoothness of a batch (Gower et al., 2019)."""
        if self.descent.method == "adam":
            return np.full(len(rows), 0.05)
        size = self.descent.batch_size
        if size is None:
            return 1 / largest if self.descent.method != "momentum" else 0.1 / largest
        count = (self.slab.weight > 0).sum(axis=1)[self.slab.fold[rows]]
        b = np.minimum(size, count)
        worst = (self.slab.formula.curvature_bound or 1.0) * self.problem.size * 4
        share = np.where(count > 1, (count - b) / (b * np.maximum(count - 1, 1)), 0.0)
        return 0.5 / (share * worst + largest)

    def _pending_mask(self) -> np.ndarray:
        return self.run.status[self.slab.neurons] == st.PENDING

    def pending(self) -> np.ndarray:
        """(A,) the slab's neurons still to be trained; those of other steps wait where steps must agree."""
        rows = np.nonzero(self._pending_mask())[0]
        if rows.size and (not self.whole or self.descent.schedule.factor is not None):
            step = self.run.state.step[self.slab.neurons[rows]]
            rows = rows[step == step.min()]
        return rows

    def chunk(self, rows: np.ndarray) -> None:
        """One chunk of steps of the neurons `rows`."""
        slab, problem, run = self.slab, self.problem, self.run
        neurons = slab.neurons[rows]
        dtype = problem.dtype
        before = State(*(a[neurons] for a in run.state))
        before = before._replace(phase=np.zeros_like(before.phase))
        first = int(before.step.min())
        # to the next edge, which a run whose steps were raised may not stand on
        steps = min(CHUNK - first % CHUNK, self.descent.steps - first)
        # the deviation of y sets the scale of cost: a start may be worse than no model at all
        level = np.maximum(self.dead_cost[rows], self.deviation[rows] ** 2)
        ceiling = 1e6 * np.maximum(level, np.where(np.isfinite(before.best_cost), before.best_cost, 0)) + 1e-30
        knobs = Knobs(
            l1=slab.l1[rows].astype(dtype),
            l2=slab.l2[rows].astype(dtype),
            free=slab.free[rows].astype(dtype),
            penalised=slab.penalised.astype(dtype),
            threshold=run.threshold[neurons].astype(dtype),
            floor=(1e-4 * self.deviation[rows]).astype(dtype),
            ceiling=ceiling.astype(dtype),
            limit=np.full(len(rows), self.descent.steps, np.int32),
            shift=slab.inner_shift[rows].astype(dtype),
            scale=slab.inner_scale[rows].astype(dtype),
        )
        batches = None
        if self.descent.batch_size is not None:
            lengths = (
                np.full(len(rows), len(slab.X))
                if slab.shared
                else (slab.weight[slab.fold[rows]] > 0).sum(axis=1)
            )
            batches = batch_indices(lengths, problem.seed[neurons], self.descent.batch_size, first, steps)
            if not slab.shared and batches.shape[1] != len(rows):
                batches = np.repeat(batches, len(rows), axis=1)
        traced = problem.count <= TRACED
        plan = Chunk(self.descent.schedule.factors(first, steps), batches, traced)
        after, trace = self.backend.descend(slab.formula, self.rule, self.samples, rows, before, knobs, plan)
        self._write(neurons, after)
        self._remember(neurons, first, before, after, trace)

    def _remember(
        self, neurons: np.ndarray, first: int, before: State, after: State, trace: np.ndarray | None
    ) -> None:
        run = self.run
        if self.problem.count > REMEMBERED:
            return
        if trace is None:
            steps, costs = [int(after.step.max())], [after.cost]
        else:
            count = max(1, int((after.step - before.step).max()))
            steps = list(range(first, first + count))
            costs = [trace[i] for i in range(count)]
        for step, cost in zip(steps, costs, strict=True):
            if step in run.history_steps[-2 * CHUNK :]:
                column = run.history[run.history_steps.index(step)]
            else:
                column = np.full(self.problem.count, np.nan)
                run.history_steps.append(step)
                run.history.append(column)
            known = ~np.isnan(cost)
            column[neurons[known]] = cost[known]

    def _write(self, neurons: np.ndarray, rows: State) -> None:
        for target, source in zip(self.run.state, rows, strict=True):
            target[neurons] = source

    def settle(self) -> None:
        """Judges what a chunk has ended and nobody judged: the memory ran out between the two."""
        rows = np.nonzero(self._pending_mask())[0]
        rows = rows[self.run.state.phase[self.slab.neurons[rows]] != RUNNING]
        if rows.size:
            self.judge(rows)

    def judge(self, rows: np.ndarray) -> None:
        """Ends what has ended, among the neurons `rows`, and says why."""
        run, slab = self.run, self.slab
        if self.validation is not None:
            self._validate(rows)
            rows = rows[run.status[slab.neurons[rows]] == st.PENDING]
        phase = run.state.phase[slab.neurons[rows]]
        for row in rows[phase == DIVERGED]:
            self._end_diverged(int(row))
        self._judge_finite(rows[phase == EXHAUSTED], ended=True)
        self._judge_finite(rows[phase == STATIONARY], ended=False)
        if self.certifies:
            going = rows[phase == RUNNING]
            step = run.state.step[slab.neurons[going]]
            due = going[(step >= 2 * run.looked[slab.neurons[going]]) & (step >= CHUNK)]
            run.looked[slab.neurons[due]] = run.state.step[slab.neurons[due]]
            self._judge_finite(due, ended=False)
        going = slab.neurons[rows]
        going = going[run.status[going] == st.PENDING]
        run.state.phase[going] = RUNNING

    def _judge_finite(self, rows: np.ndarray, *, ended: bool) -> None:
        if not rows.size:
            return
        run, slab, descent = self.run, self.slab, self.descent
        neurons = slab.neurons[rows]
        theta = self._given_back(neurons)
        seen = slab.examine(rows, theta, hessian=self.certifies, eps=self.eps)
        dead_cost = self.dead_cost[rows] if slab.formula.can_die else None
        certificate = self._certificate(rows, theta, seen) if self.certifies else None
        for i, row in enumerate(rows):
            neuron = int(neurons[i])
            stationary = run.state.phase[neuron] == STATIONARY
            if dead_cost is not None and (ended or stationary):
                shut = seen.open[i] == 0
                if self.given or not self.certifies:
                    # a start or a number of steps that was asked for is not ours to change
                    if shut:
                        self._end(int(row), st.DEAD, st.SHUT, theta[i], seen, i)
                        continue
                elif shut or seen.cost[i] >= dead_cost[i] * (1 - 1e-9):
                    self._revive(int(row))
                    continue
            if certificate is None:
                self._end(int(row), st.MAX_STEPS, self._limit_reason(), theta[i], seen, i)
                continue
            norm, mu, size, condition = (float(a[i]) for a in certificate)
            run.condition[neuron] = condition
            limit = st.condition_limit(descent.tolerance, self.problem.dtype)
            if norm <= descent.tolerance * mu * size and condition <= limit and mu > 0:
                self._end(int(row), st.CONVERGED, self._constant_reason(int(row)), theta[i], seen, i)
            elif ended:
                self._end_unfinished(int(row), theta[i], seen, i, norm, mu, size, condition)
            elif norm <= seen.noise[i]:
                self._end_unfinished(int(row), theta[i], seen, i, norm, mu, size, condition)
            elif not stationary and self._on_a_kink(int(row), float(seen.cost[i]), norm):
                self._end(int(row), st.MAX_STEPS, st.ON_A_KINK, theta[i], seen, i)
            elif condition > limit:
                run.threshold[neuron] = -1.0
            elif mu > 0:
                # what the device stopped at, or would, was not the curvature here
                run.threshold[neuron] = 0.9 * descent.tolerance * mu

    def _on_a_kink(self, row: int, cost: float, norm: float) -> bool:
        """Whether all steps since the last look took less off the cost than the descent lemma grants to one of them."""
        run, neuron = self.run, int(self.slab.neurons[row])
        before, run.cost[neuron] = float(run.cost[neuron]), cost
        if not self.slab.formula.activation.kinks or not self.slab.formula.bound_holds:
            return False
        granted = norm * norm / (2 * float(self.bound.largest[row]))
        return granted > 100 * self.eps * abs(cost) and before - cost < granted

    def _certificate(
        self, rows: np.ndarray, theta: np.ndarray, seen: Examination
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """The gradient's norm, mu, the size it is measured against, and the condition number."""
        slab = self.slab
        assert seen.spectrum is not None
        gradient = seen.gradient
        l1 = slab.l1[rows][:, None]
        if (l1 > 0).any():
            largest = np.maximum(self.bound.largest[rows], seen.spectrum.largest)[:, None]
            step = theta - gradient / largest
            amount = l1 * slab.penalised / largest
            proximal = np.sign(step) * np.maximum(np.abs(step) - amount, 0)
            gradient = np.where(l1 > 0, 2 * largest * (theta - proximal), gradient) * slab.free[rows]
        size = np.maximum(np.sqrt(((theta * slab.penalised) ** 2).sum(axis=1)), 1e-4 * self.deviation[rows])
        return np.sqrt((gradient**2).sum(axis=1)), seen.spectrum.smallest, size, seen.spectrum.condition

    def _given_back(self, neurons: np.ndarray) -> np.ndarray:
        """The last iterate; the best on the validation set, or of a loss with kinks, where there is one."""
        run = self.run
        if self.validation is not None:
            known = np.isfinite(run.best_validation[neurons])[:, None]
            return np.where(known, run.best_theta[neurons], run.state.iterate[neurons])
        if not self.slab.formula.loss.smooth:
            return run.state.best[neurons].astype(np.float64)
        return run.state.iterate[neurons].astype(np.float64)

    def _revive(self, row: int) -> None:
        """A new start for a dead neuron, or its end."""
        neuron = int(self.slab.neurons[row])
        attempts = int(self.run.attempt[neuron])
        if attempts > st.SEEDS:
            self._end(row, st.DEAD, st.dead(st.SEEDS), self.run.state.iterate[neuron].astype(np.float64))
        else:
            self._place(np.array([row]), attempts, None)
            self.run.looked[neuron] = 0

    def _validate(self, rows: np.ndarray) -> None:
        run, slab, validation = self.run, self.slab, self.validation
        assert validation is not None
        neurons = slab.neurons[rows]
        theta = run.state.iterate[neurons].astype(np.float64)
        cost = validation.cost(slab, rows, slab.raw(theta, rows))
        better = cost < run.best_validation[neurons]
        run.best_theta[neurons[better]] = theta[better]
        run.best_validation[neurons[better]] = cost[better]
        run.stale[neurons] = np.where(better, 0, run.stale[neurons] + 1)
        patience = self.descent.patience
        if patience is None:
            return
        for i in np.nonzero(run.stale[neurons] >= patience)[0]:
            if run.state.phase[neurons[i]] == RUNNING:
                step = int(run.state.step[neurons[i]])
                reason = f"stopped at step {step}: no better validation cost in {patience} looks, {CHUNK} steps apart"
                best = self._given_back(neurons[i : i + 1])[0]
                self._end(int(rows[i]), st.MAX_STEPS, reason, best)

    def _end_diverged(self, row: int) -> None:
        run, neuron = self.run, int(self.slab.neurons[row])
        largest = float(self.bound.largest[row])
        rate = float(run.state.rate[neuron])
        reason = st.diverged(int(run.state.step[neuron]), rate, self.descent.method, largest)
        best = run.state.best[neuron].astype(np.float64)
        if np.isfinite(run.state.best_cost[neuron]):
            self._end(row, st.DIVERGED, reason, best)
        else:
            self._end(row, st.DIVERGED, reason.replace("the best finite", "the starting"), best)

    def _end_unfinished(
        self,
        row: int,
        theta: np.ndarray,
        seen: Examination,
        i: int,
        norm: float,
        mu: float,
        size: float,
        condition: float,
    ) -> None:
        neuron = int(self.slab.neurons[row])
        if not self.automatic[row] and seen.cost[i] > self._first_cost(row):
            self._end_diverged(row)
            return
        formula, descent = self.slab.formula, self.descent
        if formula.loss.name == "log_loss" and self._separable(row, theta):
            reason = "separable: no finite optimum, add l2"
        elif condition > st.condition_limit(descent.tolerance, self.problem.dtype):
            reason = st.not_certified(condition, descent.tolerance, self.problem.dtype)
        elif norm <= seen.noise[i]:
            reason = "not certified: the gradient is at rounding level, and the tolerance asks for less"
        else:
            reach = norm / (mu * size) if mu * size > 0 else float("inf")
            need = int(15 * np.sqrt(condition))
            reason = (
                f"not within tolerance {descent.tolerance:g} after {descent.steps} steps (within {reach:.1g}): raise steps; "
                f"condition number {condition:.2g} needs about {need}"
            )
        self._end(row, st.MAX_STEPS, reason, theta, seen, i)
        self.run.condition[neuron] = condition

    def _first_cost(self, row: int) -> float:
        """What no model at all costs: more than that, after steps at a given rate, is divergence."""
        return float(2 * max(self.dead_cost[row], self.deviation[row] ** 2))

    def _separable(self, row: int, theta: np.ndarray) -> bool:
        slab = self.slab
        if slab.l2[row] > 0 or slab.l1[row] > 0:
            return False
        inner = slab.inner(theta[None], np.array([row]))[0]
        X, y = (slab.X, slab.y) if slab.shared else (slab.X[row], slab.y[row])
        weight = slab.weight[slab.fold[row]]
        margin = (2 * y - 1) * (X @ inner[:-1] + inner[-1])
        if (margin[weight > 0] > 0).all():
            return True
        return separable(X[weight > 0], y[weight > 0], bool(slab.free[row][-1]))

    def _limit_reason(self) -> str:
        if not self.whole:
            return "mini batches give no certificate: all steps were run"
        if not self.slab.formula.loss.smooth:
            return f"{self.slab.formula.loss.name} has no curvature to certify by: the best point of all steps is given back"
        if self.descent.tolerance == 0:
            return "tolerance 0: all steps were run"
        return f"{self.descent.steps} steps were run"

    def _constant_reason(self, row: int) -> str:
        held = np.nonzero(self.slab.free[row][:-1] == 0)[0]
        if not held.size:
            return ""
        names = ", ".join(repr(self.problem.data.features[j]) for j in held[:5])
        return f"constant column {names}: weight 0" + (f" ({len(held)} such)" if len(held) > 5 else "")

    def _end(
        self,
        row: int,
        code: int,
        reason: str,
        theta: np.ndarray,
        seen: Examination | None = None,
        i: int = 0,
    ) -> None:
        """Writes a neuron's end."""
        run, slab = self.run, self.slab
        neuron = int(slab.neurons[row])
        at = np.array([row])
        if code in (st.CONVERGED, st.MAX_STEPS) and not np.isfinite(theta).all():
            code, reason = st.DIVERGED, "the parameters are not finite"
        if seen is None:
            seen, i = slab.examine(at, theta[None]), 0
        if code != st.CONVERGED:
            held = self._constant_reason(row)
            reason = f"{reason}; {held}" if held and reason else reason or held
        run.status[neuron] = code
        run.reasons[neuron] = reason
        run.raw[neuron] = slab.raw(np.asarray(theta, np.float64)[None], at)[0]
        run.cost[neuron] = seen.cost[i]

    def leave(self) -> None:
        """Gives every pending neuron of the slab the place it has reached, still pending."""
        rows = np.nonzero(self._pending_mask())[0]
        theta = self._given_back(self.slab.neurons[rows])
        self.run.raw[self.slab.neurons[rows]] = self.slab.raw(theta, rows)
        self.run.cost[self.slab.neurons[rows]] = self.slab.examine(rows, theta).cost

    def event(self, rows: np.ndarray, seconds: float) -> Event:
        """What a callback is told."""
        run = self.run
        neurons = self.slab.neurons[rows]
        codes, counts = np.unique(run.status[run.status != st.PENDING], return_counts=True)
        cost = run.state.cost[neurons]
        step = int(run.state.step[neurons].max())
        factor = self.descent.schedule.factors(max(0, step - 1), 1)[0]
        return Event(
            step=step,
            steps=self.descent.steps,
            models=self.problem.count,
            counts={st.NAMES[int(c)]: int(n) for c, n in zip(codes, counts, strict=True)},
            running=int(self._pending_mask().sum()),
            cost=float(np.mean(cost[np.isfinite(cost)])) if np.isfinite(cost).any() else float("nan"),
            learning_rate=float(run.state.rate[neurons].mean() * factor),
            seconds=seconds,
        )


LINEAR_PROGRAM = 1 << 22
"""Numbers in X up to which separability is decided by linear programming."""


def separable(X: np.ndarray, y: np.ndarray, bias: bool) -> bool:
    """Whether some plane has all y = 1 on one side and all y = 0 on the other: a feasible linear program."""
    from scipy.optimize import linprog

    if X.size > LINEAR_PROGRAM:
        return False
    columns = np.concatenate([X, np.full((len(X), 1), float(bias))], axis=1).astype(np.float64)
    sign = (2.0 * y - 1.0)[:, None]
    answer = linprog(np.zeros(columns.shape[1]), A_ub=-sign * columns, b_ub=-np.ones(len(X)), bounds=(None, None))
    return bool(answer.status == 0)


def more_steps(run: RunState, descent: Descent) -> None:
    """Reopens the neurons that ran out of steps, for a run whose `steps` were raised."""
    unfinished = (run.status == st.MAX_STEPS) & (run.state.phase == EXHAUSTED)
    again = unfinished & (run.state.step < descent.steps)
    run.status[again] = st.PENDING
    run.state.phase[again] = RUNNING
    for i in np.nonzero(again)[0]:
        run.reasons[i] = ""
