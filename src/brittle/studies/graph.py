"""Many nodes at once: in which order, at what cost, one after another or side by side."""

import multiprocessing
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from brittle.attacks import against, at_point, session
from brittle.ground import BrittleError, keep_freed_memory, pick_device
from brittle.learning import build_net

from .declare import hash_of
from .nodes import File, Node, Train
from .runner import running
from .store import Store


@dataclass(frozen=True)
class Planned:
    """A node of a graph: its key in the store, whether it is there, what it costs if not, and whether it was damaged there."""

    node: Node
    key: str
    stored: bool
    gradients: float
    seconds: float
    warning: str | None = None


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
    rows = []
    for node in every(nodes):
        key = hash_of(node)
        folder, warning = store.read(key)
        seconds = node.gradients * _pace(*_net_of(node), device) if node.gradients and not folder else 0.0
        rows.append(Planned(node, key, folder is not None, node.gradients, seconds, warning))
    return rows


def recompute(node: Node, store: Store, folder: Path, device: str = "auto") -> Iterator[Moved]:
    """Compute a node once more into `folder`, from the stored results of what it needs, whatever is stored of it."""
    inputs = []
    for need in node.needs:
        found, _ = store.read(hash_of(need))
        if found is None:
            raise BrittleError(f"{node.title} needs {need.title}, which is not stored; run the whole first")
        inputs.append(found)
    for step in node.compute(folder, tuple(inputs), device):
        yield Moved(step.done, step.total, 0, 1, f"{node.title}: {step.text}")
    yield Moved(1, 1, 1, 1, "done")


def every(nodes: Iterable[Node]) -> list[Node]:
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
    with session(against(model, precision="fast")) as see:
        for _ in range(3):
            started = time.perf_counter()
            float(at_point(see, x, y, 0)[1].sum())
            times.append(time.perf_counter() - started)
    return min(times[1:]) / len(x)


def run_graph(planned: list[Planned], store: Store, *, device: str = "auto", jobs: int = 1) -> Iterator[Moved]:
    """Compute what is not stored yet. Interrupted, it goes on: finished nodes stay, a training loses at most 20 seconds, an audit
    the piece at hand, an attack and a made set the batch at hand, a walk begins again.

    Args:
        planned: as `plan` gives it.
        jobs: processes side by side; more than one pays on a GPU that a small net does not fill, not on a busy CPU.
    """
    left = [row for row in planned if not row.stored]
    of_seconds, count = sum(row.seconds for row in left), len(planned)
    done = count - len(left)
    for row in planned:
        if row.warning:
            yield Moved(0.0, of_seconds, done, count, row.node.title, row.warning)
    if jobs > 1:
        yield from _side_by_side(planned, store, device, jobs)
        return
    past = 0.0
    for row in left:
        for event in running(row.node, store, device=device):
            if event.stored:  # one that this node needs
                continue
            share = event.done / max(event.total, 1)
            text = f"{row.node.title}: {event.text}"
            yield Moved(past + share * row.seconds, of_seconds, done, count, text, event.warning)
        past += row.seconds
        done += 1
    yield Moved(of_seconds, of_seconds, count, count, "done")


class _Worker:
    """A process that computes one node after another; it ends with the process that made it."""

    def __init__(self, store: Store, device: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        words = theirs, store.root, device, threads, os.getpid()
        self.process = context.Process(target=_serve, args=words, daemon=True)
        self.process.start()
        theirs.close()
        self.row: Planned | None = None

    def give(self, row: Planned) -> None:
        self.row = row
        self.pipe.send(row.node)

    def take(self) -> Planned:
        """The node that is done.

        Raises:
            BrittleError: it failed.
        """
        row, self.row = self.row, None
        assert row is not None
        try:
            failed = self.pipe.recv()
        except EOFError:
            failed = "its process was stopped"
        if failed:
            raise BrittleError(f"{row.node.title}: {failed}")
        return row


def _serve(pipe: Connection, root: Path, device: str, threads: int, parent: int) -> None:
    torch.set_num_threads(threads)
    while True:
        try:
            node = pipe.recv()
            for _ in running(node, Store(root), device=device):
                if os.getppid() != parent:
                    return
            pipe.send("")
        except (EOFError, KeyboardInterrupt):
            return
        except Exception as error:
            pipe.send(str(error) if isinstance(error, BrittleError) else f"{type(error).__name__}: {error}")


def _side_by_side(planned: list[Planned], store: Store, device: str, jobs: int) -> Iterator[Moved]:
    waiting = {row.key: row for row in planned if not row.stored}
    of_seconds, count = sum(row.seconds for row in waiting.values()), len(planned)
    past = 0.0
    workers = [_Worker(store, device, max(1, (os.cpu_count() or 1) // jobs)) for _ in range(min(jobs, max(1, len(waiting))))]
    try:
        while waiting or any(worker.row for worker in workers):
            busy = [worker for worker in workers if worker.row]
            unfinished = set(waiting) | {worker.row.key for worker in busy if worker.row}
            ready = [row for row in waiting.values() if not any(hash_of(need) in unfinished for need in row.node.needs)]
            for worker, row in zip((worker for worker in workers if not worker.row), ready, strict=False):
                worker.give(waiting.pop(row.key))
            busy = [worker for worker in workers if worker.row]
            yield Moved(past, of_seconds, count - len(waiting) - len(busy), count, _names(w.row for w in busy if w.row))
            done = wait([worker.pipe for worker in busy], timeout=20)
            past += sum(worker.take().seconds for worker in busy if worker.pipe in done)
    finally:
        for worker in workers:
            worker.process.terminate()
    yield Moved(of_seconds, of_seconds, count, count, "done")


def _names(rows: Iterable[Planned]) -> str:
    titles = [row.node.title for row in rows]
    return "; ".join(titles[:2]) + (f" and {len(titles) - 2} more" if len(titles) > 2 else "")
