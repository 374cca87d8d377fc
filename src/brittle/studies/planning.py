"""What is left to compute, and what it costs."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from brittle.attacks import against, gradient_at, session
from brittle.ground import BrittleError, NoGradient, keep_freed_memory, pick_device
from brittle.learning import build_net

from .declare import hash_of
from .nodes import DataSource, File, Node, Train, on_device
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
        seconds = node.gradients * _pace_of(node, device) if node.gradients and not folder else 0.0
        rows.append(PlanRow(node, key, folder is not None, node.gradients, seconds, warning))
    return rows


def _pace_of(node: Node, device: str) -> float:
    """Seconds of one gradient of the model that a node attacks or trains."""
    while not isinstance(node, Train):
        model, data = getattr(node, "model", None), getattr(node, "data", None)
        if isinstance(model, File) and isinstance(data, DataSource):
            return _measured(on_device(model.load(), device), data.load().shape, pick_device(device))
        if model is None or isinstance(model, File):
            raise BrittleError(f"what {node.title} costs is not known beforehand")
        node = model
    shape = node.data.source.load().shape
    return _pace(node.net, shape, len(node.data.source.load().classes), device)


@cache
def _pace(net: str, shape: tuple[int, ...], classes: int, device: str) -> float:
    place = pick_device(device)
    return _measured(build_net(net, shape, classes).to(place).eval(), shape, place)  # type: ignore[arg-type]


def _measured(model: Any, shape: tuple[int, ...], place: torch.device) -> float:
    """Seconds of one example's gradient at the input, in batches of 128, the better of two; where no gradient reaches
    the image, of a forward pass three times over."""
    keep_freed_memory()
    x, y = torch.rand(128, *shape, device=place), torch.zeros(128, dtype=torch.int64, device=place)
    times = []
    with session(against(model, precision="fast")) as evaluate:
        for _ in range(3):
            started = time.perf_counter()
            try:
                float(gradient_at(evaluate, x, y)[1].sum())
                spent = time.perf_counter() - started
            except NoGradient:
                spent = 3 * (time.perf_counter() - started)
            times.append(spent)
    return min(times[1:]) / len(x)
