"""Floor 6. Work as data: frozen declarations, a content-addressed store, one runner."""

from .declare import declaration_of, hash_of
from .graph import Moved, every, plan, recompute, run_graph
from .nodes import (
    Answer,
    Attack,
    Audit,
    Curve,
    Directions,
    File,
    Leak,
    Make,
    Node,
    Score,
    Source,
    Train,
    Transfer,
    Walk,
    asked,
    beside,
    examples_of,
    placed,
)
from .planned import Planned
from .runner import Event, running
from .store import Store

__all__ = [
    "Answer",
    "Attack",
    "Audit",
    "Curve",
    "Directions",
    "Event",
    "File",
    "Leak",
    "Make",
    "Moved",
    "Node",
    "Planned",
    "Score",
    "Source",
    "Store",
    "Train",
    "Transfer",
    "Walk",
    "asked",
    "beside",
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
