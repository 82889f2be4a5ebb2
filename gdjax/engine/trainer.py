"""The trainer: starts the neurons of a slab, and runs chunks of their steps on the backend."""

from typing import Any

import numpy as np

from gdjax import status as st
from gdjax.data.batches import batch_indices
from gdjax.engine.judging import Judge
from gdjax.engine.training import LEFT, Training
from gdjax.errors import UsageError
from gdjax.event import Event
from gdjax.protocol import Backend, Chunk
from gdjax.rule import RUNNING, STATIONARY, Knobs, State, initial_state

TRACED = 16
"""Neurons up to which the history holds each step; above, the edges of chunks."""

REMEMBERED = 4_096
"""Neurons up to which there is a history at all: a fleet keeps its final costs."""


class Trainer:
    """Trains the neurons of one slab."""

    def __init__(self, training: Training, backend: Backend) -> None:
        self.on, self.backend, self.judge = training, backend, Judge(training)
        slab = training.slab
        fold = slab.fold.astype(np.int32) if slab.shared and slab.samples.sets > 1 else None
        self.samples: Any = slab.samples.on(backend, slab.total, fold)

    def start(self, init: np.ndarray | None) -> None:
        """Starts those that have not started, and judges what a chunk has ended and nobody judged: the memory ran out
        between the two."""
        waiting, run, neurons = self.on.waiting(), self.on.run, self.on.slab.neurons
        fresh = waiting[run.attempt[neurons[waiting]] == 0]
        if self.on.slab.formula.can_die:
            fresh = self.judge.no_positive_y(fresh)
        self._place(fresh, 0, init)
        waiting = self.on.waiting()
        self._settle(waiting[run.state.phase[neurons[waiting]] != RUNNING])

    def _place(self, rows: np.ndarray, attempt: int, init: np.ndarray | None) -> None:
        """Puts the neurons `rows` of the slab at a start, with their rate and threshold."""
        if not rows.size:
            return
        slab, problem = self.on.slab, self.on.problem
        neurons = slab.neurons[rows]
        if init is not None and attempt == 0:
            full = np.zeros((len(slab.fold), problem.size))
            full[: len(slab.neurons)] = init[slab.neurons] if len(init) > 1 else init
            with np.errstate(over="ignore", invalid="ignore"):
                theta = slab.from_raw(full)[rows]
            theta = self._held(theta)
        else:
            theta = slab.start(rows, problem.seed[neurons], attempt)
        theta = theta.astype(problem.dtype).astype(np.float64)  # as the device has it
        seen = slab.examine(rows, theta, hessian=self.on.certifies or self.on.rule.backtrack)
        largest, smallest = self.on.bound.largest[rows], self.on.bound.smallest[rows]
        if seen.spectrum is not None and not slab.formula.quadratic:
            if self.on.rule.backtrack:
                local = seen.spectrum.largest
                largest = np.where(local > 0, local, np.where(largest > 0, largest, 1.0))
            known = seen.spectrum.smallest
            smallest = np.where(known > 0, known, smallest)
        rate = problem.rate[neurons]
        given = ~np.isnan(rate)
        rate = np.where(given, rate, self._automatic_rate(rows, np.where(largest > 0, largest, 1.0)))
        fresh = initial_state(np, self.on.rule, theta.astype(problem.dtype), rate.astype(problem.dtype))
        with np.errstate(over="ignore"):
            fresh = fresh._replace(cost=seen.cost.astype(problem.dtype))
        if self.on.certifies:
            # a device's own rounding may not see it, and leave
            there = self.judge.certain(rows, theta, seen)
            fresh = fresh._replace(phase=np.where(there, STATIONARY, fresh.phase).astype(np.int32))
            at = State(*(a[there] for a in fresh))
            self._remember(neurons[there], 0, at, at, None)
        self._write(neurons, fresh)
        self.on.run.attempt[neurons] = attempt + 1
        self.on.run.threshold[neurons] = self.on.descent.tolerance * smallest if self.on.certifies else -1.0
        self.on.run.cost[neurons] = np.nan
        self.on.run.looked[neurons] = 0

    def _held(self, theta: np.ndarray) -> np.ndarray:
        """A given start within the range of the dtype: of groups, one that is beyond it stops no other."""
        dtype = self.on.problem.dtype
        most = np.finfo(dtype).max
        if self.on.slab.shared and not (np.abs(theta) <= most).all():
            wider = ", or pass dtype='float64'" if dtype == "float32" else ""
            raise UsageError(
                f"init: a parameter is beyond {dtype} in the columns that the descent sees: start nearer{wider}"
            )
        return np.clip(theta, -most, most)

    def _automatic_rate(self, rows: np.ndarray, largest: np.ndarray) -> np.ndarray:
        """1 / L; for mini batches 1 / (2 L_B), L_B the expected smoothness of a batch (Gower et al., 2019)."""
        if not isinstance(self.on.descent.method, str):
            return np.ones(len(rows))  # its rate is inside
        if not self.on.slab.formula.loss.smooth:
            # no curvature to go by: a quarter of y's deviation, under the schedule of `for_kinks`
            deviation = self.on.deviation[rows]
            return np.where(deviation > 0, deviation, 1.0) / 4
        if self.on.descent.method == "adam":
            return np.full(len(rows), 0.05)
        size = self.on.descent.batch_size
        if size is None:
            return 1 / largest if self.on.descent.method != "momentum" else 0.1 / largest
        count = self.on.slab.samples.counted[self.on.slab.fold[rows]]
        b = np.minimum(size, count)
        worst = (self.on.slab.formula.curvature_bound or 1.0) * self.on.problem.size * 4
        share = np.where(count > 1, (count - b) / (b * np.maximum(count - 1, 1)), 0.0)
        return 0.5 / (share * worst + largest)

    def pending(self) -> np.ndarray:
        """(A,) the slab's neurons still to be trained; those of other steps wait where steps must agree."""
        rows = self.on.waiting()
        if rows.size and (not self.on.whole or self.on.descent.schedule.factor is not None):
            step = self.on.run.state.step[self.on.slab.neurons[rows]]
            rows = rows[step == step.min()]
        return rows

    def advance(self, rows: np.ndarray) -> None:
        """One chunk of steps of the neurons `rows`, and a judgement of them."""
        self._chunk(rows)
        self._settle(rows)

    def _settle(self, rows: np.ndarray) -> None:
        dead = self.judge.judge(rows) if rows.size else rows
        attempts = self.on.run.attempt[self.on.slab.neurons[dead]]
        for attempt in np.unique(attempts):
            self._place(dead[attempts == attempt], int(attempt), None)

    def _chunk(self, rows: np.ndarray) -> None:
        """One chunk of steps of the neurons `rows`."""
        slab, problem, run = self.on.slab, self.on.problem, self.on.run
        neurons = slab.neurons[rows]
        dtype = problem.dtype
        before = State(*(a[neurons] for a in run.state))
        before = before._replace(phase=np.zeros_like(before.phase))
        first = int(before.step.min())
        # to the next edge, which a run whose steps were raised may not stand on
        steps = min(self.on.chunk - first % self.on.chunk, self.on.descent.steps - first)
        # the deviation of y sets the scale of cost, and the start: a penalty or an `init` may put it far above
        level = np.maximum(self.on.dead_cost[rows], self.on.deviation[rows] ** 2)
        known = np.asarray(np.where(np.isfinite(before.best_cost), before.best_cost, before.cost), np.float64)
        ceiling = LEFT * np.maximum(level, np.where(np.isfinite(known), known, 0)) + 1e-30
        with np.errstate(over="ignore"):
            ceiling = ceiling.astype(dtype)
        knobs = Knobs(
            l1=slab.l1[rows].astype(dtype),
            l2=slab.l2[rows].astype(dtype),
            free=slab.free[rows].astype(dtype),
            penalised=slab.penalised.astype(dtype),
            threshold=run.threshold[neurons].astype(dtype),
            floor=(1e-4 * self.on.deviation[rows]).astype(dtype),
            ceiling=ceiling,
            limit=np.full(len(rows), self.on.descent.steps, np.int32),
            shift=slab.inner_shift[rows].astype(dtype),
            scale=slab.inner_scale[rows].astype(dtype),
        )
        batches = None
        if self.on.descent.batch_size is not None:
            lengths = slab.samples.length[slab.fold[rows]]
            size, layout = self.on.descent.batch_size, slab.samples.layout
            batches = batch_indices(lengths, problem.seed[neurons], size, first, steps, layout)
            if not slab.shared and batches.shape[1] != len(rows):
                batches = np.repeat(batches, len(rows), axis=1)
        traced = problem.count <= TRACED
        plan = Chunk(self.on.descent.schedule.factors(first, steps), batches, traced)
        after, trace = self.backend.descend(slab.formula, self.on.rule, self.samples, rows, before, knobs, plan)
        self._write(neurons, after)
        self._remember(neurons, first, before, after, trace)

    def _remember(self, neurons: np.ndarray, first: int, before: State, after: State, trace: np.ndarray | None) -> None:
        run = self.on.run
        if self.on.problem.count > REMEMBERED or not len(neurons):
            return
        if trace is None:
            steps, costs = [int(after.step.max())], [after.cost]
        else:
            count = max(1, int((after.step - before.step).max()))
            steps = list(range(first, first + count))
            costs = [trace[i] for i in range(count)]
        for step, cost in zip(steps, costs, strict=True):
            if step in run.history_steps[-2 * self.on.chunk :]:
                column = run.history[run.history_steps.index(step)]
            else:
                column = np.full(self.on.problem.count, np.nan)
                run.history_steps.append(step)
                run.history.append(column)
            known = ~np.isnan(cost)
            column[neurons[known]] = cost[known]

    def _write(self, neurons: np.ndarray, rows: State) -> None:
        for target, source in zip(self.on.run.state, rows, strict=True):
            target[neurons] = source

    def leave(self) -> None:
        """Gives every pending neuron of the slab the place it has reached, still pending."""
        rows = self.on.waiting()
        neurons = self.on.slab.neurons[rows]
        theta = self.on.given_back(neurons)
        self.on.run.raw[neurons] = self.on.slab.raw(theta, rows)
        self.on.run.cost[neurons] = self.on.slab.examine(rows, theta).cost

    def event(self, rows: np.ndarray, seconds: float) -> Event:
        """What a callback is told."""
        run = self.on.run
        neurons = self.on.slab.neurons[rows]
        codes, counts = np.unique(run.status[run.status != st.PENDING], return_counts=True)
        cost = run.state.cost[neurons]
        step = int(run.state.step[neurons].max())
        factor = self.on.descent.schedule.factors(max(0, step - 1), 1)[0]
        return Event(
            step=step,
            steps=self.on.descent.steps,
            models=self.on.problem.count,
            counts={st.NAMES[int(c)]: int(n) for c, n in zip(codes, counts, strict=True)},
            running=len(self.on.waiting()),
            cost=float(np.mean(cost[np.isfinite(cost)])) if np.isfinite(cost).any() else float("nan"),
            learning_rate=float(run.state.rate[neurons].mean() * factor),
            seconds=seconds,
        )
