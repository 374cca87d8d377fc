"""Many nodes at once: in which order, at what cost, one after another or side by side."""

import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch

from brittle.attacks import against, at_point, session
from brittle.ground import keep_freed_memory, pick_device
from brittle.learning import build_net

from .declare import hash_of
from .nodes import File, Node, Train
from .runner import running
from .store import Store


@dataclass(frozen=True)
class Planned:
    """A node of a graph: its key in the store, whether it is there, and what it costs if not."""

    node: Node
    key: str
    stored: bool
    gradients: float
    seconds: float


@dataclass(frozen=True)
class Moved:
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
    ordered: dict[str, Node] = {}

    def visit(node: Node) -> None:
        if hash_of(node) not in ordered:
            for need in node.needs:
                visit(need)
            ordered[hash_of(node)] = node

    for node in nodes:
        visit(node)
    rows = []
    for key, node in ordered.items():
        stored = store.read(key)[0] is not None
        seconds = 0.0 if stored else node.gradients * _pace(*_net_of(node), device)
        rows.append(Planned(node, key, stored, node.gradients, seconds))
    return rows


def _net_of(node: Node) -> tuple[str, tuple[int, ...], int]:
    while not isinstance(node, Train):
        model = getattr(node, "model", None)
        if model is None or isinstance(model, File):
            return "small", (1, 28, 28), 10
        node = model
    data = node.data.load()
    return node.net, data.shape, len(data.classes)


@cache
def _pace(net: str, shape: tuple[int, ...], classes: int, device: str) -> float:
    """Seconds of one example's gradient at the input, in batches of 128, the better of two."""
    keep_freed_memory()
    place = pick_device(device)
    model = build_net(net, shape, classes).to(place).eval()  # type: ignore[arg-type]
    x, y = torch.rand(128, *shape, device=place), torch.zeros(128, dtype=torch.int64, device=place)
    times = []
    with session(against(model, precision="fast")) as see:
        for _ in range(3):
            started = time.perf_counter()
            float(at_point(see, x, y, 0)[1].sum())
            times.append(time.perf_counter() - started)
    return min(times[1:]) / len(x)


def run_graph(planned: list[Planned], store: Store, *, device: str = "auto", jobs: int = 1) -> Iterator[Moved]:
    """Compute what is not stored yet. Interrupted, it goes on where it was: at any instant at most the current steps are lost.

    Args:
        planned: as `plan` gives it.
        jobs: processes side by side; more than one pays on a GPU that a small net does not fill, not on a busy CPU.
    """
    left = [row for row in planned if not row.stored]
    of_seconds, count = sum(row.seconds for row in left), len(planned)
    done = count - len(left)
    if jobs > 1:
        yield from _side_by_side(planned, store, device, jobs)
        return
    past = 0.0
    for row in left:
        for event in running(row.node, store, device=device):
            share = event.done / max(event.total, 1)
            text = f"{row.node.title}: {event.text}"
            yield Moved(past + share * row.seconds, of_seconds, done, count, text, event.warning)
        past += row.seconds
        done += 1
    yield Moved(of_seconds, of_seconds, count, count, "done")


def _side_by_side(planned: list[Planned], store: Store, device: str, jobs: int) -> Iterator[Moved]:
    waiting = {row.key: row for row in planned if not row.stored}
    of_seconds, count = sum(row.seconds for row in waiting.values()), len(planned)
    past, busy = 0.0, dict[Future[None], Planned]()
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, context, initializer=torch.set_num_threads, initargs=(threads,)) as pool:
        try:
            while waiting or busy:
                open_keys = set(waiting) | {row.key for row in busy.values()}
                ready = [row for row in waiting.values() if not any(hash_of(need) in open_keys for need in row.node.needs)]
                for row in ready:
                    busy[pool.submit(_computed, row.node, store.root, device)] = waiting.pop(row.key)
                yield Moved(past, of_seconds, count - len(waiting) - len(busy), count, _names(busy.values()))
                for future in wait(busy, timeout=20, return_when=FIRST_COMPLETED).done:
                    future.result()
                    past += busy.pop(future).seconds
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    yield Moved(of_seconds, of_seconds, count, count, "done")


def _names(rows: Iterable[Planned]) -> str:
    titles = [row.node.title for row in rows]
    return "; ".join(titles[:2]) + (f" and {len(titles) - 2} more" if len(titles) > 2 else "")


def _computed(node: Node, root: Path, device: str) -> None:
    for _ in running(node, Store(root), device=device):
        pass
