"""What other packages add through entry points."""

from functools import cache
from importlib.metadata import entry_points
from typing import Any, NamedTuple

INSTALLED = "is the package that adds it installed?"


class Plugins(NamedTuple):
    """The objects of one entry-point group by their names, and for each that cannot be had one line that says why."""

    found: dict[str, Any]
    broken: dict[str, str]


@cache
def plugins(group: str) -> Plugins:
    """What installed packages offer in this group, imported once per process.

    A package that cannot be imported is left out and does not stop the others.
    """
    found, broken = {}, {}
    for point in sorted(entry_points(group=group), key=lambda point: point.name):
        try:
            found[point.name] = point.load()
        except Exception as error:  # whatever another package's code raises must not take the rest down
            broken[point.name] = broken_line(group, point.name, error)
    return Plugins(found, broken)


def broken_line(group: str, name: str, error: Exception) -> str:
    """One line on a plugin that cannot be used: what it is, of which package, and why."""
    (point,) = entry_points(group=group, name=name)
    package = point.dist.name if point.dist else point.value
    why = " ".join(f"{type(error).__name__}: {error}".split())
    return f"{name!r} of the package {package} ({group}) is broken: {why}"
