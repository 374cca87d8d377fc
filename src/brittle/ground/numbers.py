"""Numbers that somebody gave, looked at before anything is made of them."""

import math
from typing import Any

from brittle.errors import BrittleError

MANY = 2**31


def check_count(what: str, count: Any) -> None:
    """Raise `BrittleError` unless `count` is a whole number of at least 1, and one that torch can hold."""
    if not isinstance(count, int) or isinstance(count, bool) or not 1 <= count < MANY:
        raise BrittleError(f"{what} must be at least 1, as a whole number below 2^31, not {count!r}")


def check_number(what: str, number: Any) -> None:
    """Raise `BrittleError` unless `number` is finite and at least 0, or None."""
    if number is not None and not (
        isinstance(number, int | float) and not isinstance(number, bool) and 0 <= number < math.inf
    ):
        raise BrittleError(f"{what} must be a number of at least 0, not {number!r}")


def check_switch(what: str, switch: Any) -> None:
    """Raise `BrittleError` unless `switch` is True or False."""
    if not isinstance(switch, bool):
        raise BrittleError(f"{what} is True or False, not {switch!r}")


def check_share(what: str, share: Any) -> None:
    """Raise `BrittleError` unless `share` is above 0 and at most 1."""
    if not 0 < share <= 1:
        raise BrittleError(f"{what} must be above 0 and at most 1, not {share!r}")


def check_seed(seed: Any) -> None:
    """Raise `BrittleError` unless `seed` is a whole number from 0 to 2^63 - 1, as generators take it."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 2**63:
        raise BrittleError(f"a seed must be a whole number of at least 0, not {seed!r}")
