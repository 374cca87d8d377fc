"""What other packages add through entry points."""

import warnings
from functools import cache
from importlib.metadata import entry_points
from typing import Any


@cache
def plugins(group: str) -> dict[str, Any]:
    """The objects that installed packages offer in this entry-point group, by their names; looked up once per process.

    One that cannot be imported is left out, with a warning that names it and its package.
    """
    found = {}
    for point in entry_points(group=group):
        try:
            found[point.name] = point.load()
        except Exception as error:  # whatever another package's code does must not take the rest down
            where = point.dist.name if point.dist else point.value
            reason = f"{type(error).__name__}: {error}"
            warnings.warn(f"{point.name} of the package {where} ({group}) cannot be loaded: {reason}", stacklevel=2)
    return found
