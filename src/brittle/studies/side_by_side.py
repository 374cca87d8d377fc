"""The nodes of a graph in several processes of this machine, the longest chain of nodes first."""

import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from pathlib import Path

import torch

from brittle.ground import BrittleError

from .declare import hash_of
from .nodes import Node
from .planned import Planned
from .runner import run_node
from .store import Store

Told = tuple[float, float, str | None]  # how far, of how much, a warning


def side_by_side(
    planned: list[Planned], store: Store, device: str, jobs: int
) -> Iterator[tuple[float, int, str, str | None]]:
    """Compute what is not stored; gives planned seconds done, nodes done, what is being done, a warning."""
    chains = _chains(planned)
    waiting = sorted((row for row in planned if not row.stored), key=lambda row: chains[row.key], reverse=True)
    past, finished = 0.0, 0
    threads = max(1, torch.get_num_threads() // jobs)
    workers = [_Worker(store, device, threads) for _ in range(min(jobs, len(waiting)))]
    try:
        while waiting or any(worker.row for worker in workers):
            unfinished = {row.key for row in waiting} | {worker.row.key for worker in workers if worker.row}
            ready = [row for row in waiting if not any(hash_of(need) in unfinished for need in row.node.needs)]
            for worker, row in zip((worker for worker in workers if not worker.row), ready, strict=False):
                waiting.remove(row)
                worker.give(row)
            busy = {worker.pipe: worker for worker in workers if worker.row}
            for pipe in wait(list(busy)):
                worker = busy[pipe]  # type: ignore[index]
                warning = worker.hear()
                if not worker.row:
                    past, finished = past + worker.seconds, finished + 1
                moving = [worker for worker in workers if worker.row]
                seconds = past + sum(worker.seconds for worker in moving)
                yield seconds, finished, "; ".join(worker.row.node.title for worker in moving if worker.row), warning
    finally:  # what is done is stored, and what is begun goes on from its last saved state
        for worker in workers:
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _chains(planned: list[Planned]) -> dict[str, float]:
    """For each node the seconds of the longest chain that begins with it; `planned` has what is needed first."""
    after: dict[str, float] = defaultdict(float)
    chains = {}
    for row in reversed(planned):
        chains[row.key] = row.seconds + after[row.key]
        for need in row.node.needs:
            after[hash_of(need)] = max(after[hash_of(need)], chains[row.key])
    return chains


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
        self.seconds = 0.0

    def give(self, row: Planned) -> None:
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
            said: Told | str = self.pipe.recv()
        except (EOFError, OSError):
            said = "its process ended (in a script, run_graph belongs under if __name__ == '__main__')"
        if isinstance(said, tuple):
            done, total, warning = said
            self.seconds = row.seconds * done / max(total, 1)
            return warning
        if said:
            raise BrittleError(f"{row.node.title}: {said}")
        self.row, self.seconds = None, row.seconds
        return None


def _serve(pipe: Connection, root: Path, device: str, threads: int, parent: int) -> None:
    torch.set_num_threads(threads)
    while True:
        try:
            _compute(pipe.recv(), pipe, Store(root), device, parent)
            pipe.send("")
        except (EOFError, KeyboardInterrupt):
            return
        except Exception as error:
            pipe.send(str(error) if isinstance(error, BrittleError) else f"{type(error).__name__}: {error}")


def _compute(node: Node, pipe: Connection, store: Store, device: str, parent: int) -> None:
    told = time.monotonic()
    for event in run_node(node, store, device=device):
        if os.getppid() != parent:
            raise EOFError
        if event.warning or (not event.stored and time.monotonic() - told > 1):
            told = time.monotonic()
            pipe.send((event.done, event.total, event.warning))
