"""What is left to compute, and what it costs."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch

from brittle.attacks import AttackSpec, Linf, classes_of
from brittle.ground import BackwardFails, BrittleError, NoGradient, keep_freed_memory, pick_device
from brittle.learning import build_net

from .declare import hash_of
from .nodes import Audit, DataSource, File, Node, Train, on_device
from .order import all_nodes
from .store import Store

FEW, MANY, STEPS = 20, 128, 2  # examples at once, and steps of the attack, when a model is timed


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
    """Seconds of one gradient of the model that a node attacks or trains: an audit asks for most of them a few at once,
    on the images that are left."""
    batch = FEW if isinstance(node, Audit) else MANY
    while not isinstance(node, Train):
        model, data = getattr(node, "model", None), getattr(node, "data", None)
        if isinstance(model, File) and isinstance(data, DataSource):
            return _measured(on_device(model.load(), device), data.load().shape, pick_device(device), batch)
        if model is None or isinstance(model, File):
            raise BrittleError(f"what {node.title} costs is not known beforehand")
        node = model
    shape = node.data.source.load().shape
    return _pace(node.net, shape, len(node.data.source.load().classes), device, batch)


@cache
def _pace(net: str, shape: tuple[int, ...], classes: int, device: str, batch: int) -> float:
    place = pick_device(device)
    return _measured(build_net(net, shape, classes).to(place).eval(), shape, place, batch)  # type: ignore[arg-type]


def _measured(model: Any, shape: tuple[int, ...], place: torch.device, batch: int) -> float:
    """Seconds of one example's gradient in an attack on a `batch`, tried twice; where no gradient reaches the image, of
    a forward pass three times over."""
    keep_freed_memory()
    x, y = torch.rand(batch, *shape, device=place), torch.zeros(batch, dtype=torch.int64, device=place)
    attack = AttackSpec.of("apgd", steps=STEPS).build(model, Linf(0.1))
    times = []
    for _ in range(2):
        started = time.perf_counter()
        try:
            float(attack.tried(x, y).margin.sum())  # a device is waited for
            times.append((time.perf_counter() - started) / STEPS)
        except (NoGradient, BackwardFails):
            started = time.perf_counter()
            int(classes_of(model, x).sum())
            times.append(3 * (time.perf_counter() - started))
    return times[1] / batch
