"""The nodes of a plan, computed one after another or side by side."""

import math
import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace

from .planning import PlanRow
from .runner import run_node
from .side_by_side import Step, side_by_side
from .store import Store


@dataclass(frozen=True)
class GraphProgress:
    """Progress of a graph: seconds of planned work done and in all, nodes done and in all, what is being done."""

    seconds: float
    of_seconds: float
    nodes: int
    of_nodes: int
    text: str
    warning: str | None = None


def run_graph(
    planned: list[PlanRow], store: Store, *, device: str = "auto", jobs: int = 1, limit: float = math.inf
) -> Iterator[GraphProgress]:
    """Compute what is not stored yet. Interrupted, it goes on: finished nodes stay, a training loses at most 20
    seconds, an audit the piece at hand, an attack and a made set the batch at hand, a walk begins again.

    Args:
        planned: as `plan` gives it.
        jobs: processes side by side, which share the threads. Two pay on a CPU (docs/benchmarks.md), more on a GPU that
            a small net does not fill.
        limit: seconds after which it stops as if interrupted; the last progress then counts fewer nodes than there are.
    """
    ends = time.monotonic() + limit
    left, count = [row for row in planned if not row.stored], len(planned)
    now = GraphProgress(0.0, sum(row.seconds for row in left), count - len(left), count, "")
    for row in planned:
        if row.warning:
            yield replace(now, text=row.node.title, warning=row.warning)
    steps = side_by_side(left, store, device, jobs) if jobs > 1 else one_by_one(left, store, device)
    with closing(steps):
        for step in steps:
            nodes = count - len(left) + step.nodes
            yield replace(now, seconds=step.seconds, nodes=nodes, text=step.text, warning=step.warning)
            if time.monotonic() > ends and nodes < count:
                return
    yield replace(now, seconds=now.of_seconds, nodes=count, text="done")


def one_by_one(rows: list[PlanRow], store: Store, device: str) -> Generator[Step, None, None]:
    """Compute the nodes in this process, in their order."""
    past = 0.0
    for nodes, row in enumerate(rows):
        for event in run_node(row.node, store, device=device):
            if not event.stored:  # as is what this node needs
                seconds = past + row.seconds * event.done / max(event.total, 1)
                yield Step(seconds, nodes, f"{row.node.title}: {event.text}", event.warning)
        past += row.seconds
