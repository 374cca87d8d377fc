"""One row of a plan."""

from dataclasses import dataclass

from .nodes import Node


@dataclass(frozen=True)
class Planned:
    """A node of a graph: its key in the store, whether it is there, what it costs if not, and whether it was damaged
    there."""

    node: Node
    key: str
    stored: bool
    gradients: float
    seconds: float
    warning: str | None = None
