"""A limit of time that holds for all that is asked of a model within, and from when it counts."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_SPENT: ContextVar[Callable[[], bool] | None] = ContextVar("spent", default=None)
_BEGAN: ContextVar[float | None] = ContextVar("began", default=None)


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


@contextmanager
def counted_from(began: float | None) -> Iterator[None]:
    """Within, a budget of time counts from this moment (`time.monotonic`), where there is one."""
    token = _BEGAN.set(began)
    try:
        yield
    finally:
        _BEGAN.reset(token)


def budget_began() -> float | None:
    """The moment from which a budget of time counts, within `counted_from`."""
    return _BEGAN.get()
