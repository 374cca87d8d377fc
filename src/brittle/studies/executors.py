"""Where the nodes of a graph are computed: the protocol, and the simplest of those that keep it."""

import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, runtime_checkable

from brittle.ground import BrittleError

from .nodes import Node
from .planning import PlanRow
from .runner import NodeEvent, run_node
from .store import Store

TRIES = 4  # a node is begun this often at most, where the process that computes it ends


class Said(NamedTuple):
    """What is heard of a node: the share of it that is done, a line, where it is computed, a warning.

    At its `end`, the `error` that it failed with, if it did.
    """

    key: str
    share: float = 0.0
    text: str = ""
    where: str = ""
    warning: str | None = None
    end: bool = False
    error: Exception | None = None


@runtime_checkable
class Executor(Protocol):
    """Takes nodes whose needs are all in the store, computes them into the store, and says how far they are.

    `slots` is how many it takes at once; `hear` waits until something is said, or a moment; after `close` nothing is
    computed, and what was begun goes on from its last saved state when it is asked for again.
    """

    @property
    def slots(self) -> int: ...
    def start(self, row: PlanRow) -> None: ...
    def hear(self) -> Iterable[Said]: ...
    def close(self) -> None: ...


class InProcess:
    """One node at a time, in this process."""

    slots = 1

    def __init__(self, store: Store, device: str) -> None:
        self.store, self.device, self.key = store, device, ""
        self.events: Iterator[NodeEvent] = iter(())

    def start(self, row: PlanRow) -> None:
        self.key, self.events = row.key, run_node(row.node, self.store, device=self.device)

    def hear(self) -> Iterator[Said]:
        try:
            event = next(event for event in self.events if not event.stored)  # stored are the nodes that it needs
        except StopIteration:
            yield Said(self.key, end=True)
        except Exception as error:
            yield Said(self.key, end=True, error=error)
        else:
            yield _said(self.key, event, "here")

    def close(self) -> None:
        self.events = iter(())


def told(key: str, node: Node, place: str, code: str, device: str, where: str) -> Iterator[Said]:
    """Compute a node into the store at a place, for whoever listens from another process and runs that code: a line a
    second, every warning, and its end."""
    heard = time.monotonic()
    try:
        for event in run_node(node, Store(place, code=code), device=device):
            if event.warning or (not event.stored and time.monotonic() - heard > 1):
                heard = time.monotonic()
                yield _said(key, event, where)
        yield Said(key, end=True)
    except Exception as error:  # in words, since not every error can be sent
        yield Said(key, end=True, error=BrittleError(what_went_wrong(error)))


def what_went_wrong(error: Exception) -> str:
    """An error in one line."""
    return str(error) if isinstance(error, BrittleError) else f"{type(error).__name__}: {error}"


def _said(key: str, event: NodeEvent, where: str) -> Said:
    return Said(key, event.done / max(event.total, 1), event.text, where, event.warning)
