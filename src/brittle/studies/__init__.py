"""Floor 6. Work as data: frozen declarations, a content-addressed store, one runner."""

from .declare import declaration_of, hash_of
from .graph import GraphProgress, all_nodes, plan, recompute, run_graph
from .nodes import (
    Answer,
    Attack,
    Audit,
    Curve,
    DataSource,
    Directions,
    File,
    Leak,
    Make,
    Node,
    Score,
    Train,
    Transfer,
    Walk,
    contact_rows,
    examples_from,
    on_device,
    test_examples,
)
from .planned import Planned
from .runner import NodeEvent, run_node
from .store import Store

__all__ = [
    "Answer",
    "Attack",
    "Audit",
    "Curve",
    "DataSource",
    "Directions",
    "File",
    "GraphProgress",
    "Leak",
    "Make",
    "Node",
    "NodeEvent",
    "Planned",
    "Score",
    "Store",
    "Train",
    "Transfer",
    "Walk",
    "all_nodes",
    "contact_rows",
    "declaration_of",
    "examples_from",
    "hash_of",
    "on_device",
    "plan",
    "recompute",
    "run_graph",
    "run_node",
    "test_examples",
]
