"""The nodes of a graph in several processes of this machine, the longest chain of nodes first."""

import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Generator
from contextlib import suppress
from graphlib import TopologicalSorter
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

import torch

from brittle.ground import BrittleError

from .declare import hash_of
from .nodes import Node
from .planning import PlanRow
from .runner import run_node
from .store import Store


class Step(NamedTuple):
    """Progress of some nodes: planned seconds done, nodes done, what is being done, a warning."""

    seconds: float
    nodes: int
    text: str
    warning: str | None


def side_by_side(rows: list[PlanRow], store: Store, device: str, jobs: int) -> Generator[Step, None, None]:
    """Compute nodes in `jobs` processes; `rows` has what is needed first."""
    by_key, chains = {row.key: row for row in rows}, _chains(rows)
    order = TopologicalSorter({row.key: [key for key in map(hash_of, row.node.needs) if key in by_key] for row in rows})
    order.prepare()
    ready: list[PlanRow] = []
    past, finished = 0.0, 0
    threads = max(1, torch.get_num_threads() // jobs)
    workers = [_Worker(store, device, threads) for _ in range(min(jobs, len(rows)))]
    try:
        while order.is_active():
            ready += [by_key[key] for key in order.get_ready()]
            ready.sort(key=lambda row: chains[row.key])
            for worker in workers:
                if ready and not worker.row:
                    worker.give(ready.pop())
            busy = {worker.pipe: worker for worker in workers if worker.row}
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                row, warning = worker.row, worker.hear()
                if row and not worker.row:
                    order.done(row.key)
                    past, finished = past + row.seconds, finished + 1
                moving = [(one.row, one.seconds) for one in workers if one.row]
                titles = "; ".join(row.node.title for row, _ in moving)
                yield Step(past + sum(seconds for _, seconds in moving), finished, titles, warning)
    finally:  # what is done is stored, and what is begun goes on from its last saved state
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _chains(rows: list[PlanRow]) -> dict[str, float]:
    """For each node the seconds of the longest chain that begins with it."""
    after: dict[str, float] = defaultdict(float)
    chains = {}
    for row in reversed(rows):
        chains[row.key] = row.seconds + after[row.key]
        for need in row.node.needs:
            after[hash_of(need)] = max(after[hash_of(need)], chains[row.key])
    return chains


class _Share(NamedTuple):
    """What a process says while it works: how far it is, and a warning."""

    done: float
    total: float
    warning: str | None


class _End(NamedTuple):
    """What it says when a node is done, or has failed."""

    error: str | None


class _Worker:
    """A process that computes one node after another; it ends with the process that made it."""

    def __init__(self, store: Store, device: str, threads: int) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        words = theirs, store.root, device, threads, os.getpid()
        self.process = context.Process(target=_serve, args=words, daemon=True)
        self.process.start()
        theirs.close()
        self.row: PlanRow | None = None
        self.seconds = 0.0

    def give(self, row: PlanRow) -> None:
        self.row, self.seconds = row, 0.0
        with suppress(OSError):  # it has ended; `hear` says so
            self.pipe.send(row.node)

    def hear(self) -> str | None:
        """What it has to say: how far it is, with a warning if there is one, or that the node is done.

        Raises:
            BrittleError: the node failed.
        """
        row = self.row
        assert row is not None
        try:
            said: _Share | _End = self.pipe.recv()
        except (EOFError, OSError):
            said = _End("its process ended (in a script, run_graph belongs under if __name__ == '__main__')")
        if isinstance(said, _Share):
            self.seconds = row.seconds * said.done / max(said.total, 1)
            return said.warning
        if said.error:
            raise BrittleError(f"{row.node.title}: {said.error}")
        self.row, self.seconds = None, 0.0
        return None


def _serve(pipe: Connection, root: Path, device: str, threads: int, parent: int) -> None:
    torch.set_num_threads(threads)
    while True:
        try:
            _compute(pipe.recv(), pipe, Store(root), device, parent)
            pipe.send(_End(None))
        except (EOFError, KeyboardInterrupt):
            return
        except Exception as error:
            pipe.send(_End(str(error) if isinstance(error, BrittleError) else f"{type(error).__name__}: {error}"))


def _compute(node: Node, pipe: Connection, store: Store, device: str, parent: int) -> None:
    heard = time.monotonic()
    for event in run_node(node, store, device=device):
        if os.getppid() != parent:
            raise EOFError
        if event.warning or (not event.stored and time.monotonic() - heard > 1):
            heard = time.monotonic()
            pipe.send(_Share(event.done, event.total, event.warning))
