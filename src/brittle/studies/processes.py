"""The nodes of a graph in several processes of this machine."""

import multiprocessing
import os
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler

import torch

from brittle.ground import OWN_CODE, BrittleError, first_line, pick_device

from .executors import TRIES, Said, told
from .planning import PlanRow
from .spawning import GUARD, end_with_parent, sent
from .store import Store


class Processes:
    """As many nodes at a time as there are processes; these share the threads, and take the GPUs in turn."""

    def __init__(self, store: Store, device: str, slots: int) -> None:
        self.slots = slots
        self.refused: list[Said] = []
        threads = max(1, torch.get_num_threads() // slots)
        self.workers = [_Worker(store.place, place, threads) for place in devices_for(device, slots)]

    def start(self, row: PlanRow) -> None:
        try:
            node = sent(row.node)
        except BrittleError as error:
            self.refused.append(Said(row.key, end=True, error=error))
        else:
            next(worker for worker in self.workers if not worker.row).give(row, node)

    def hear(self) -> Iterator[Said]:
        refused, self.refused = self.refused, []
        yield from refused
        busy = {worker.pipe: worker for worker in self.workers if worker.row}
        for pipe in wait(list(busy), timeout=0.0 if refused else 1.0):
            yield busy[pipe].hear()  # type: ignore[index]

    def close(self) -> None:
        for worker in self.workers:
            worker.process.terminate()
        for worker in self.workers:
            worker.process.join()


def devices_for(device: str, slots: int) -> list[str]:
    """A device for each of `slots` processes: the machine's GPUs in turn, where `device` does not say which one."""
    if pick_device(device).type != "cuda" or ":" in device:
        return [device] * slots
    return [f"cuda:{slot % torch.cuda.device_count()}" for slot in range(slots)]


class _Worker:
    """A process that computes one node after another; it ends with the process that made it, and is made anew when it
    ends before."""

    def __init__(self, place: str, device: str, threads: int) -> None:
        self.words = place, OWN_CODE, device, threads
        self.row: PlanRow | None = None
        self.node = b""
        self.tries = 0
        self.begin()

    def begin(self) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, *self.words), daemon=True)
        self.process.start()
        theirs.close()

    def give(self, row: PlanRow, node: bytes) -> None:
        self.row, self.node, self.tries = row, node, self.tries + 1
        with suppress(OSError):  # it has ended; `hear` says so
            self.pipe.send(row.key)
            self.pipe.send_bytes(node)

    def hear(self) -> Said:
        row = self.row
        assert row is not None
        try:
            said: Said = self.pipe.recv()
        except (EOFError, OSError):
            self.process.join()
            self.begin()
            if self.tries < TRIES:
                self.give(row, self.node)
                return Said(row.key, warning=f"the process that computed {row.node.title} ended; it goes on in another")
            why = f"its process ended {TRIES} times ({GUARD})"
            said = Said(row.key, end=True, error=BrittleError(why))
        if said.end:
            self.row, self.tries = None, 0
        return said


def _serve(pipe: Connection, place: str, code: str, device: str, threads: int) -> None:
    end_with_parent()
    torch.set_num_threads(threads)
    while True:
        try:
            key = pipe.recv()
            for said in _told(key, pipe.recv_bytes(), place, code, device):
                pipe.send(said)
        except (EOFError, OSError, KeyboardInterrupt):
            return


def _told(key: str, sent_node: bytes, place: str, code: str, device: str) -> Iterator[Said]:
    try:
        node = ForkingPickler.loads(sent_node)
    except Exception as error:  # its code is not here, or is another
        why = f"it cannot be read in another process ({first_line(error)})"
        yield Said(key, end=True, error=BrittleError(why))
    else:
        yield from told(key, node, place, code, device, f"process {os.getpid()}")
