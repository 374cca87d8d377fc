"""Many nodes at once: in which order, at what cost, one after another or side by side."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from brittle.attacks import against, plain_gradient, session
from brittle.ground import BrittleError, keep_freed_memory, pick_device
from brittle.learning import build_net

from .declare import hash_of
from .nodes import File, Node, Train
from .planned import Planned
from .runner import run_node
from .side_by_side import side_by_side
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


def plan(nodes: Iterable[Node], store: Store, device: str = "auto") -> list[Planned]:
    """The nodes and all that they need, each once, what is needed before what needs it.

    Seconds are gradients times the time of one, measured here and now on each net (about a tenth of a second per net).
    """
    rows = []
    for node in all_nodes(nodes):
        key = hash_of(node)
        folder, warning = store.read(key)
        seconds = node.gradients * _pace(*_net_of(node), device) if node.gradients and not folder else 0.0
        rows.append(Planned(node, key, folder is not None, node.gradients, seconds, warning))
    return rows


def recompute(node: Node, store: Store, folder: Path, device: str = "auto") -> Iterator[GraphProgress]:
    """Compute a node once more into `folder`, from the stored results of what it needs, whatever is stored of it."""
    inputs = []
    for need in node.needs:
        found, _ = store.read(hash_of(need))
        if found is None:
            raise BrittleError(f"{node.title} needs {need.title}, which is not stored; run the whole first")
        inputs.append(found)
    for step in node.compute(folder, tuple(inputs), device):
        yield GraphProgress(step.done, step.total, 0, 1, f"{node.title}: {step.text}")
    yield GraphProgress(1, 1, 1, 1, "done")


def all_nodes(nodes: Iterable[Node]) -> list[Node]:
    """The nodes and all that they need, each once, what is needed before what needs it."""
    ordered: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if hash_of(node) not in ordered:
            for need in node.needs:
                visit(need)
            ordered[hash_of(node)] = node

    for node in nodes:
        visit(node)
    return list(ordered.values())


def _net_of(node: Node) -> tuple[str, tuple[int, ...], int]:
    while not isinstance(node, Train):
        model = getattr(node, "model", None)
        if model is None or isinstance(model, File):
            raise BrittleError(f"what {node.title} costs is not known beforehand")
        node = model
    data = node.data.source.load()
    return node.net, data.shape, len(data.classes)


@cache
def _pace(net: str, shape: tuple[int, ...], classes: int, device: str) -> float:
    """Seconds of one example's gradient at the input, in batches of 128, the better of two."""
    keep_freed_memory()
    place = pick_device(device)
    model = build_net(net, shape, classes).to(place).eval()  # type: ignore[arg-type]
    x, y = torch.rand(128, *shape, device=place), torch.zeros(128, dtype=torch.int64, device=place)
    times = []
    with session(against(model, precision="fast")) as evaluate:
        for _ in range(3):
            started = time.perf_counter()
            float(plain_gradient(evaluate, x, y, 0)[1].sum())
            times.append(time.perf_counter() - started)
    return min(times[1:]) / len(x)


def run_graph(planned: list[Planned], store: Store, *, device: str = "auto", jobs: int = 1) -> Iterator[GraphProgress]:
    """Compute what is not stored yet. Interrupted, it goes on: finished nodes stay, a training loses at most 20
    seconds, an audit the piece at hand, an attack and a made set the batch at hand, a walk begins again.

    Args:
        planned: as `plan` gives it.
        jobs: processes side by side, which share the threads. Two pay on a CPU (docs/benchmarks.md), more on a GPU that
            a small net does not fill.
    """
    left = [row for row in planned if not row.stored]
    of_seconds, count = sum(row.seconds for row in left), len(planned)
    done = count - len(left)
    for row in planned:
        if row.warning:
            yield GraphProgress(0.0, of_seconds, done, count, row.node.title, row.warning)
    if jobs > 1:
        for seconds, finished, text, warning in side_by_side(planned, store, device, jobs):
            yield GraphProgress(seconds, of_seconds, done + finished, count, text, warning)
        yield GraphProgress(of_seconds, of_seconds, count, count, "done")
        return
    past = 0.0
    for row in left:
        for event in run_node(row.node, store, device=device):
            if event.stored:  # one that this node needs
                continue
            share = event.done / max(event.total, 1)
            text = f"{row.node.title}: {event.text}"
            yield GraphProgress(past + share * row.seconds, of_seconds, done, count, text, event.warning)
        past += row.seconds
        done += 1
    yield GraphProgress(of_seconds, of_seconds, count, count, "done")
