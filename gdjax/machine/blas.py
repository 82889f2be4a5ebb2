"""BLAS held to one thread while threads of our own share out the work."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import cache
from typing import Any

THIN = 64
"""Columns up to which a product over rows is bound by memory: BLAS's threads then cost more than they give, and on
cores that others use they spin, 70 times slower as measured on two."""

_lock = threading.Lock()
_users = 0
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Holds BLAS to one thread in this process; the last of all who asked for it restores what was before."""
    global _users, _limit
    with _lock:
        if _users == 0:
            with _in_control():
                _limit = _controller().limit(limits=1, user_api="blas")
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                with _in_control():
                    _limit.restore_original_limits()
                _limit = None


def for_thin_products(columns: int) -> AbstractContextManager[None]:
    """`one_blas_thread` where matrices have few columns."""
    return one_blas_thread() if columns <= THIN else nullcontext()


@contextmanager
def _in_control() -> Iterator[None]:
    """Lets this thread set limits: since 3.8, threadpoolctl ignores all threads but the first that did, until told
    otherwise, and the last to leave need not be the first who came."""
    release = [getattr(each, "clear_controlling_thread", None) for each in _controller().lib_controllers]
    for free in filter(None, release):
        free(force=True)
    yield
    for free in filter(None, release):
        free(force=True)


@cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
