"""Floor 6. Work as data: frozen declarations, a content-addressed store, one runner."""

from .declare import declaration_of, hash_of
from .graph import Moved, Planned, every, plan, recompute, run_graph
from .nodes import Attack, Audit, Curve, File, Node, Source, Train, Walk, examples_of, placed
from .runner import Event, running
from .store import Store

__all__ = [
    "Attack",
    "Audit",
    "Curve",
    "Event",
    "File",
    "Moved",
    "Node",
    "Planned",
    "Source",
    "Store",
    "Train",
    "Walk",
    "declaration_of",
    "every",
    "examples_of",
    "hash_of",
    "placed",
    "plan",
    "recompute",
    "run_graph",
    "running",
]
