"""The engine: slabs of neurons, chunks of steps on the device, and a judgement between chunks. The only loop."""

import logging
import time
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from gdjax import status as st
from gdjax.engine.descent import Descent, Validation
from gdjax.engine.problem import Problem
from gdjax.engine.trainer import Trainer
from gdjax.engine.training import Training
from gdjax.event import Callback, ends
from gdjax.machine.blas import for_thin_products
from gdjax.machine.memory import halving, out_of_memory, too_large
from gdjax.protocol import Backend
from gdjax.rule import EXHAUSTED, RUNNING, Rule, State, initial_state
from gdjax.runs.state import RunState, empty

_log = logging.getLogger(__package__)


class Save(Protocol):
    """Keeps a run, the `last` state in any case, others when it is time to."""

    def __call__(self, run: RunState, *, last: bool) -> None: ...


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
            ended = callback is not None and ends(callback(trainer.event(rows, time.perf_counter() - began)))
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
) -> Iterator[tuple[Trainer, np.ndarray]]:
    """Trains slab after slab, and gives at each edge of a chunk the trainer and the neurons that ran it."""
    pieces = 1
    for whole in problem.cuts(run.status == st.PENDING):
        waiting = whole.parts(pieces)
        while waiting:
            cut = waiting.pop(0)
            # what the slab before holds is let go before this one is made
            trainer, trouble = None, ""
            try:
                with for_thin_products(problem.size):
                    slab = problem.slab(cut)
                    trainer = Trainer(Training(problem, descent, run, slab, validation, init is not None), backend)
                    del slab
                    trainer.start(init)
                while (rows := trainer.pending()).size:
                    with for_thin_products(problem.size):
                        trainer.advance(rows)
                    yield trainer, rows
            except (MemoryError, RuntimeError) as error:
                if not out_of_memory(error):
                    raise
                if len(cut.neurons) == 1:
                    raise too_large(problem.size - 1, error) from error
                trouble = str(error) or type(error).__name__
            if trouble:
                _log.warning("%s", halving(len(cut.neurons), trouble))
                pieces *= 2
                waiting = [part for each in (cut, *waiting) for part in each.parts(2)]


def more_steps(run: RunState, descent: Descent) -> None:
    """Reopens the neurons that ran out of steps, for a run whose `steps` were raised."""
    unfinished = (run.status == st.MAX_STEPS) & (run.state.phase == EXHAUSTED)
    again = unfinished & (run.state.step < descent.steps)
    run.status[again] = st.PENDING
    run.state.phase[again] = RUNNING
    for i in np.nonzero(again)[0]:
        run.reasons[i] = ""
