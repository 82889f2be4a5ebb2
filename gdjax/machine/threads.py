"""Work shared out to threads: a result does not hang on how many there are."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import cache
from typing import Any, TypeVar

import numpy as np

from gdjax.machine.blas import one_blas_thread
from gdjax.machine.cores import cores

Item = TypeVar("Item")
Result = TypeVar("Result")


@cache
def _pool(process: int, threads: int) -> ThreadPoolExecutor:
    # by process: threads do not survive a fork
    return ThreadPoolExecutor(threads, thread_name_prefix="gdjax")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], most: int | None = None) -> Iterator[Result]:
    """`map(work, items)` on all cores, or `most`, BLAS held to one thread each; `work` itself must not call this.

    Where one raises, those that run are waited for, and the others not begun.
    """
    threads = min(cores(), most or cores())
    if threads == 1 or len(items) == 1:
        with one_blas_thread():
            yield from map(work, items)
        return

    def quiet(item: Item) -> Result:
        # the state of floating-point warnings is each thread's own
        with np.errstate(call=call, **state):
            return work(item)

    state, pool = np.geterr(), _pool(os.getpid(), threads)
    call: Any = np.geterrcall()
    begun: list[Future[Result]] = []
    with one_blas_thread():
        try:
            for item in items:
                try:
                    begun.append(pool.submit(quiet, item))
                except RuntimeError:  # the main thread has ended: no pool takes more
                    break
            for future in begun:
                yield future.result()
            yield from map(work, items[len(begun) :])
        finally:
            for future in begun:
                future.cancel()
            wait(begun)
