"""A limit of time that holds for all that is asked of a model within."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SPENT: ContextVar[Callable[[], bool] | None] = ContextVar("spent", default=None)


class OutOfTime(Exception):
    """The time is spent; what was being computed is lost."""


@contextmanager
def until(spent: Callable[[], bool]) -> Iterator[None]:
    """Within, a model is asked nothing once `spent()`: `check_time` raises `OutOfTime`."""
    token = _SPENT.set(spent)
    try:
        yield
    finally:
        _SPENT.reset(token)


def check_time() -> None:
    """Raise `OutOfTime` if the time is spent."""
    spent = _SPENT.get()
    if spent is not None and spent():
        raise OutOfTime
