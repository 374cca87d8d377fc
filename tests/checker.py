"""How types are checked in tests: an int is a float, as in PEP 484."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype

CONF = BeartypeConf(is_pep484_tower=True)


def check(function: Callable[..., Any]) -> Callable[..., Any]:
    """Functions within functions are left to mypy: made anew at each call, they would be most of the work."""
    return function if "<locals>" in function.__qualname__ else beartype(conf=CONF)(function)
