"""Work shared out to threads: a result does not hang on how many there are."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

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
    """`map(work, items)` on all cores, or `most`, BLAS held to one thread each; `work` itself must not call this."""
    threads = min(cores(), most or cores())
    if threads == 1 or len(items) == 1:
        with one_blas_thread():
            yield from map(work, items)
        return

    def quiet(item: Item) -> Result:
        # the state of floating-point warnings is each thread's own
        with np.errstate(**state):
            return work(item)

    state = np.geterr()
    with one_blas_thread():
        yield from _pool(os.getpid(), threads).map(quiet, items)
