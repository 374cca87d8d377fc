"""What is left to compute, and what it costs."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

import torch

from brittle.attacks import against, gradient_at, session
from brittle.ground import BrittleError, keep_freed_memory, pick_device
from brittle.learning import build_net

from .declare import hash_of
from .nodes import File, Node, Train
from .order import all_nodes
from .store import Store


@dataclass(frozen=True)
class PlanRow:
    """A node of a graph: its key in the store, whether it is there, what it costs if not, and whether it was damaged
    there."""

    node: Node
    key: str
    stored: bool
    gradients: float
    seconds: float
    warning: str | None = None


def plan(nodes: Iterable[Node], store: Store, device: str = "auto") -> list[PlanRow]:
    """The nodes and all that they need, each once, what is needed before what needs it.

    Seconds are gradients times the time of one, measured here and now on each net (about a tenth of a second per net).
    """
    rows = []
    for node in all_nodes(nodes):
        key = hash_of(node)
        folder, warning = store.read(key, node.results)
        seconds = node.gradients * _pace(*_net_of(node), device) if node.gradients and not folder else 0.0
        rows.append(PlanRow(node, key, folder is not None, node.gradients, seconds, warning))
    return rows


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
            float(gradient_at(evaluate, x, y)[1].sum())
            times.append(time.perf_counter() - started)
    return min(times[1:]) / len(x)
