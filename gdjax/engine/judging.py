"""The judge: between chunks, who has ended and why. The only status logic."""

from functools import cache
from typing import NamedTuple

import numpy as np

from gdjax import status as st
from gdjax.engine.descent import CHUNK
from gdjax.engine.separability import LINEAR_PROGRAM, separable
from gdjax.engine.slab import Examination
from gdjax.engine.training import LEFT, Training
from gdjax.rule import DIVERGED, EXHAUSTED, RUNNING, STATIONARY


class Certificate(NamedTuple):
    """What says how far A neurons are from their optimum: at most norm / (mu size), relative."""

    norm: np.ndarray
    """(A,) of the gradient, with l1 of the proximal gradient."""
    mu: np.ndarray
    """(A,) the least curvature that is not null."""
    size: np.ndarray
    """(A,) norm of the weights, at least 1e-4 deviations of y."""
    condition: np.ndarray
    """(A,)"""


class Judge:
    """Judges the neurons of one slab; what it finds goes to the run's state."""

    def __init__(self, training: Training) -> None:
        self.on = training
        self.eps = float(np.finfo(training.problem.dtype).eps)
        self.alikeness = cache(training.slab.alikeness)

    def judge(self, rows: np.ndarray) -> np.ndarray:
        """Ends what has ended among the neurons `rows`; the dead that are to start anew are given back."""
        run, neurons = self.on.run, self.on.slab.neurons
        if self.on.validation is not None:
            self._validate(rows)
            rows = rows[run.status[neurons[rows]] == st.PENDING]
        phase = run.state.phase[neurons[rows]]
        for row in rows[phase == DIVERGED]:
            self._end_diverged(int(row))
        dead = [self._look(rows[phase == EXHAUSTED]), self._look(rows[phase == STATIONARY])]
        if self.on.certifies:
            going = rows[phase == RUNNING]
            step = run.state.step[neurons[going]]
            due = going[(step >= 2 * run.looked[neurons[going]]) & (step >= CHUNK)]
            run.looked[neurons[due]] = run.state.step[neurons[due]]
            self._look(due)
        going = neurons[rows]
        going = going[run.status[going] == st.PENDING]
        run.state.phase[going] = RUNNING
        return np.concatenate(dead).astype(np.intp)

    def _look(self, rows: np.ndarray) -> np.ndarray:
        """A float64 look at the neurons `rows`, all of one phase; the dead among them are given back."""
        if not rows.size:
            return rows
        on, run = self.on, self.on.run
        neurons = on.slab.neurons[rows]
        phase = int(run.state.phase[neurons[0]])
        theta = on.given_back(neurons)
        seen = on.slab.examine(rows, theta, hessian=on.certifies, eps=self.eps)
        left = np.ones(len(rows), bool)
        dead = rows[:0]
        if on.slab.formula.can_die and phase != RUNNING:
            gone = self._dead(rows, theta, seen)
            dead, left = rows[gone], ~gone
            left[run.status[neurons] != st.PENDING] = False
        if not on.certifies:
            for i in np.nonzero(left)[0]:
                self._end(int(rows[i]), st.MAX_STEPS, self._limit_reason(), theta[i], float(seen.cost[i]))
            return dead
        proof = self._certificate(rows, theta, seen)
        run.condition[neurons] = proof.condition
        certain = left & self._proven(proof) & np.isfinite(theta).all(axis=1)
        self._end_converged(rows[certain], theta[certain], seen.cost[certain])
        for i in np.nonzero(left & ~certain)[0]:
            self._go_on(int(rows[i]), theta[i], seen, proof, int(i), phase)
        return dead

    def _go_on(self, row: int, theta: np.ndarray, seen: Examination, proof: Certificate, i: int, phase: int) -> None:
        """What is not certified ends where its steps have, or more of them would not help; else it goes on."""
        on = self.on
        neuron, tolerance = int(on.slab.neurons[row]), on.descent.tolerance
        if phase == EXHAUSTED or proof.norm[i] <= seen.noise[i]:
            self._end_unfinished(row, theta, seen, proof, i)
        elif phase == STATIONARY and on.validation is not None and not np.isnan(on.run.best_validation[neuron]):
            self._end(row, st.MAX_STEPS, st.BEST_ON_VALIDATION, theta, float(seen.cost[i]))
        elif phase == STATIONARY and self._stuck(neuron):
            self._end(row, st.MAX_STEPS, st.STUCK, theta, float(seen.cost[i]))
        elif phase == RUNNING and self._on_a_kink(row, float(seen.cost[i]), float(proof.norm[i])):
            self._end(row, st.MAX_STEPS, st.ON_A_KINK, theta, float(seen.cost[i]))
        elif proof.condition[i] > st.condition_limit(tolerance, on.problem.dtype):
            on.run.threshold[neuron] = -1.0
        elif proof.mu[i] > 0:
            # what the device stopped at, or would, was not the curvature here
            on.run.threshold[neuron] = 0.9 * tolerance * proof.mu[i]

    def _stuck(self, neuron: int) -> bool:
        """Whether it took no step since the device last called it stationary and a look here did not."""
        run = self.on.run
        before, run.looked[neuron] = int(run.looked[neuron]), int(run.state.step[neuron])
        return before == run.looked[neuron]

    def _dead(self, rows: np.ndarray, theta: np.ndarray, seen: Examination) -> np.ndarray:
        """(A,) which are to start anew; those that may not have ended."""
        on, neurons = self.on, self.on.slab.neurons[rows]
        shut = seen.open == 0
        if on.given or on.descent.tolerance == 0:
            # a start or a number of steps that was asked for is not ours to change
            for i in np.nonzero(shut)[0]:
                self._end(int(rows[i]), st.DEAD, st.SHUT, theta[i], float(seen.cost[i]))
            return np.zeros(len(rows), bool)
        lost = shut | (on.certifies & (seen.cost >= on.dead_cost[rows] * (1 - 1e-9)))
        last = lost & (on.run.attempt[neurons] > st.SEEDS)
        for i in np.nonzero(last)[0]:
            self._end(int(rows[i]), st.DEAD, st.dead(st.SEEDS), theta[i], float(seen.cost[i]))
        return np.asarray(lost & ~last)

    def _on_a_kink(self, row: int, cost: float, norm: float) -> bool:
        """Whether all steps since the last look took less off the cost than the descent lemma grants to one of them."""
        on, neuron = self.on, int(self.on.slab.neurons[row])
        before, on.run.cost[neuron] = float(on.run.cost[neuron]), cost
        if not on.slab.formula.activation.kinks or not on.slab.formula.bound_holds:
            return False
        # a rate that was given may be far below 1 / L: so little is granted then
        rate = min(float(on.run.state.rate[neuron]) * self._factor(neuron), 1 / float(on.bound.largest[row]))
        granted = norm * norm * rate / 2
        return granted > 100 * self.eps * abs(cost) and before - cost < granted

    def _factor(self, neuron: int) -> float:
        """The schedule's at the last step."""
        return float(self.on.descent.schedule.factors(max(0, int(self.on.run.state.step[neuron]) - 1), 1)[0])

    def _certificate(self, rows: np.ndarray, theta: np.ndarray, seen: Examination) -> Certificate:
        slab = self.on.slab
        assert seen.spectrum is not None
        gradient = seen.gradient
        l1 = slab.l1[rows][:, None]
        if (l1 > 0).any():
            largest = np.maximum(self.on.bound.largest[rows], seen.spectrum.largest)[:, None]
            step = theta - gradient / largest
            amount = l1 * slab.penalised / largest
            proximal = np.sign(step) * np.maximum(np.abs(step) - amount, 0)
            gradient = np.where(l1 > 0, 2 * largest * (theta - proximal), gradient) * slab.free[rows]
        with np.errstate(over="ignore"):
            size = np.maximum(np.sqrt(((theta * slab.penalised) ** 2).sum(axis=1)), 1e-4 * self.on.deviation[rows])
            norm = np.sqrt((gradient**2).sum(axis=1))
        return Certificate(norm, seen.spectrum.smallest, size, seen.spectrum.condition)

    def certain(self, rows: np.ndarray, theta: np.ndarray, seen: Examination) -> np.ndarray:
        """(A,) which of the neurons `rows` are within the tolerance at theta (A, P)."""
        return self._proven(self._certificate(rows, theta, seen))

    def _proven(self, proof: Certificate) -> np.ndarray:
        tolerance = self.on.descent.tolerance
        bounded = np.isfinite(proof.size)
        near = (proof.norm <= tolerance * proof.mu * np.where(bounded, proof.size, 0)) & (proof.mu > 0) & bounded
        return np.asarray(near & (proof.condition <= st.condition_limit(tolerance, self.on.problem.dtype)))

    def _validate(self, rows: np.ndarray) -> None:
        on, run, slab = self.on, self.on.run, self.on.slab
        assert on.validation is not None
        neurons = slab.neurons[rows]
        theta = run.state.iterate[neurons].astype(np.float64)
        cost = on.validation.cost(slab, rows, slab.raw(theta, rows))
        better = cost < run.best_validation[neurons]
        run.best_theta[neurons[better]] = theta[better]
        run.best_validation[neurons[better]] = cost[better]
        none = np.isnan(cost)
        run.best_validation[neurons[none]] = np.nan
        run.stale[neurons] = np.where(better | none, 0, run.stale[neurons] + 1)
        patience = on.descent.patience
        if patience is None:
            return
        for i in np.nonzero(run.stale[neurons] >= patience)[0]:
            if run.state.phase[neurons[i]] == RUNNING:
                step = int(run.state.step[neurons[i]])
                reason = (
                    f"stopped at step {step}: no better validation cost in {patience} looks, {on.chunk} steps apart"
                )
                self._end(int(rows[i]), st.MAX_STEPS, reason, on.given_back(neurons[i : i + 1])[0])

    def _stable(self, row: int) -> float | None:
        """The largest stable rate, None where the curvature has no bound or a batch may have more of it."""
        on = self.on
        if not (on.whole and on.slab.formula.bound_holds):
            return None
        return st.stable_step(on.descent.method, float(on.bound.largest[row]))

    def _end_diverged(self, row: int) -> None:
        on, run, neuron = self.on, self.on.run, int(self.on.slab.neurons[row])
        if np.isfinite(run.state.best_cost[neuron]):
            step, rate = int(run.state.step[neuron]), float(run.state.rate[neuron])
            reason = st.diverged(step, rate, self._stable(row))
        else:
            reason = st.overflows(on.problem.dtype, on.given)
        self._end(row, st.DIVERGED, reason, run.state.best[neuron].astype(np.float64))

    def _end_unfinished(self, row: int, theta: np.ndarray, seen: Examination, proof: Certificate, i: int) -> None:
        on, descent = self.on, self.on.descent
        neuron = int(on.slab.neurons[row])
        rate, stable = float(on.run.state.rate[neuron]), self._stable(row)
        cost, least = float(seen.cost[i]), float(on.run.state.best_cost[neuron])
        most = max(on.no_model[row], 2 * least)
        # at a stable rate it is on its way down from a start far above, in swings
        calm = stable is not None and rate * max(1.0, self._factor(neuron)) < stable
        if not (on.automatic[row] or calm or cost <= most):
            # where no rate is known to be stable it may be a moment's rise: divergence leaves all bounds
            if stable is not None or not cost <= LEFT * most:
                self._end_diverged(row)
            else:
                best = on.run.state.best[neuron].astype(np.float64)
                self._end(row, st.MAX_STEPS, st.swinging(descent.steps, cost, least), best)
            return
        norm, mu, size, condition = (float(a[i]) for a in proof)
        reach = norm / (mu * size) if mu * size > 0 else float("inf")
        slow = not on.automatic[row] and stable is not None and 10 * rate < stable
        over = condition > st.condition_limit(descent.tolerance, on.problem.dtype)
        cause = self._cause(row) if over else None
        if on.slab.formula.loss.name == "log_loss" and self._separable(row, theta):
            reason = st.SEPARABLE
        elif cause is not None:
            reason = st.not_certified(condition, descent.tolerance, on.problem.dtype, cause)
        elif norm <= seen.noise[i]:
            reason = st.FLAT if over else st.ROUNDING
        else:
            known = None if over else condition
            reason = st.unfinished(descent.tolerance, descent.steps, reach, known, stable if slow else None)
        self._end(row, st.MAX_STEPS, reason, theta, cost)

    def _cause(self, row: int) -> st.Cause | None:
        """Why the condition number is over the limit; None where the curve is flat here and need not be elsewhere."""
        slab = self.on.slab
        if 4 * slab.l2[row] > self.on.bound.largest[row]:  # 2 l2 is most of the largest eigenvalue
            return st.Cause.HEAVY
        if self.alikeness(int(slab.fold[row])) > st.condition_limit(self.on.descent.tolerance, self.on.problem.dtype):
            return st.Cause.ALIKE
        if not slab.standardized:
            return st.Cause.SCALES
        return None if slab.formula.bends else st.Cause.ALIKE

    def _separable(self, row: int, theta: np.ndarray) -> bool:
        slab = self.on.slab
        if slab.l2[row] > 0 or slab.l1[row] > 0:
            return False
        inner = slab.inner(theta[None], np.array([row]))[0]
        for x, y, weight in slab.blocks_of(row):
            if ((2 * y - 1) * (x @ inner[:-1] + inner[-1]) <= 0)[weight > 0].any():
                break
        else:
            return True
        found = slab.samples.one(row, int(slab.fold[row]), LINEAR_PROGRAM)
        if found is None:
            return False
        X, y, weight = found
        return separable(X[weight > 0], y[weight > 0], bool(slab.free[row][-1]))

    def _limit_reason(self) -> str:
        if not self.on.whole:
            return "mini batches give no certificate: all steps were run"
        loss = self.on.slab.formula.loss
        if not loss.smooth:
            return f"{loss.name} has no curvature to certify by: the best point of all steps is given back"
        return "tolerance 0: all steps were run"

    def _constant_reason(self, row: int) -> str:
        held = np.nonzero(self.on.slab.free[row][:-1] == 0)[0]
        if not held.size:
            return ""
        names = ", ".join(repr(self.on.problem.data.features[j]) for j in held[:5])
        what = f"constant column{'s' * (len(held) > 1)} {names}: weight 0"
        return what + (f" ({len(held)} such)" if len(held) > 5 else "")

    def _end_converged(self, rows: np.ndarray, theta: np.ndarray, cost: np.ndarray) -> None:
        run, slab = self.on.run, self.on.slab
        neurons = slab.neurons[rows]
        run.status[neurons] = st.CONVERGED
        run.raw[neurons] = slab.raw(theta, rows)
        run.cost[neurons] = cost
        for row in rows[(slab.free[rows][:, :-1] == 0).any(axis=1)]:
            run.reasons[int(slab.neurons[row])] = self._constant_reason(int(row))

    def _end(self, row: int, code: int, reason: str, theta: np.ndarray, cost: float | None = None) -> None:
        """Writes the end of a neuron that has not converged."""
        run, slab = self.on.run, self.on.slab
        neuron, at = int(slab.neurons[row]), np.array([row])
        theta = np.asarray(theta, np.float64)[None]
        if code == st.MAX_STEPS and not np.isfinite(theta).all():
            code, reason = st.DIVERGED, "the parameters are not finite"
        held = self._constant_reason(row)
        run.status[neuron] = code
        run.reasons[neuron] = f"{reason}; {held}" if held else reason
        run.raw[neuron] = slab.raw(theta, at)[0]
        run.cost[neuron] = slab.examine(at, theta).cost[0] if cost is None else cost

    def no_positive_y(self, rows: np.ndarray) -> np.ndarray:
        """Ends the ReLU neurons that have no positive y, whose best is 0 everywhere; the others are given back."""
        slab = self.on.slab
        positive = slab.moments.y_positive[slab.fold[rows]]
        for row in rows[~positive]:
            self._end(int(row), st.DEAD, st.NO_POSITIVE, np.zeros(self.on.problem.size))
        return rows[positive]
