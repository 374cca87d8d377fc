"""Floor 6. Work as data: frozen declarations, a content-addressed store, one runner."""

from .declare import declaration_of, hash_of
from .graph import GraphProgress, run_graph
from .nodes import (
    Answer,
    Audit,
    Correlate,
    Curve,
    DataSource,
    Directions,
    File,
    Leak,
    Make,
    Node,
    RunAttack,
    Score,
    Train,
    Transfer,
    Walk,
    contact_rows,
    examples_from,
    on_device,
    test_examples,
)
from .order import all_nodes
from .planning import PlanRow, plan
from .runner import NodeEvent, recompute, run_node
from .status import GraphStatus, NodeStatus, graphs_in
from .store import Store

__all__ = [
    "Answer",
    "Audit",
    "Correlate",
    "Curve",
    "DataSource",
    "Directions",
    "File",
    "GraphProgress",
    "GraphStatus",
    "Leak",
    "Make",
    "Node",
    "NodeEvent",
    "NodeStatus",
    "PlanRow",
    "RunAttack",
    "Score",
    "Store",
    "Train",
    "Transfer",
    "Walk",
    "all_nodes",
    "contact_rows",
    "declaration_of",
    "examples_from",
    "graphs_in",
    "hash_of",
    "on_device",
    "plan",
    "recompute",
    "run_graph",
    "run_node",
    "test_examples",
]
