"""What a graph is doing, in a file beside its results, for other terminals and other machines."""

import os
import secrets
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Literal

import msgspec
from msgspec import Struct

from brittle.ground import write_bytes

from .executors import Said, what_went_wrong
from .planning import PlanRow
from .store import Store

KEPT = 20  # graphs whose files stay
State = Literal["stored", "waiting", "running", "done", "failed"]


class NodeStatus(Struct):
    """One node: the share of it that is done, what it said last, where it is computed, and the seconds spent on it."""

    key: str
    title: str
    state: State
    share: float = 0.0
    text: str = ""
    where: str = ""
    seconds: float = 0.0


class GraphStatus(Struct):
    """A graph: who runs it, since when (seconds since 1970), heard of when, whether it has ended, and its nodes.

    Attributes:
        on: `here`, or the cluster.
    """

    machine: str
    process: int
    on: str
    began: float
    heard: float
    ended: bool
    nodes: list[NodeStatus]

    def count(self, *states: State) -> int:
        """How many nodes are in one of these states."""
        return sum(node.state in states for node in self.nodes)

    @property
    def seconds(self) -> float:
        """What it cost so far: the seconds spent on each node, added up."""
        return sum(node.seconds for node in self.nodes)


class StatusFile:
    """Written when a graph begins and ends, and every two seconds between."""

    def __init__(self, store: Store, rows: Iterable[PlanRow], on: str) -> None:
        nodes = [NodeStatus(row.key, row.node.title, "stored" if row.stored else "waiting") for row in rows]
        now = time.time()
        self.graph = GraphStatus(socket.gethostname(), os.getpid(), on, now, now, False, nodes)
        self.nodes = {node.key: node for node in nodes}
        self.begun: dict[str, float] = {}
        folder = store.base / "graphs"
        self.path = folder / f"{now * 1000:.0f}-{secrets.token_hex(4)}.json"
        for old in sorted(folder.glob("*.json"))[: -KEPT + 1]:
            with suppress(OSError):  # of another user
                old.unlink()
        self._write()

    def begins(self, key: str) -> None:
        """A node is given away."""
        self.nodes[key].state, self.begun[key] = "running", time.monotonic()

    def hears(self, said: Said) -> None:
        """Something is said of a running node."""
        node = self.nodes[said.key]
        node.share, node.text, node.where = said.share, said.text, said.where or node.where
        if said.end:
            node.state, node.share = ("failed", node.share) if said.error else ("done", 1.0)
            node.text = what_went_wrong(said.error) if said.error else ""

    def moves(self) -> None:
        """Time has passed."""
        now = time.monotonic()
        for key, begun in self.begun.items():
            if self.nodes[key].state == "running":
                self.nodes[key].seconds = now - begun
        if time.time() - self.graph.heard > 2:
            self._write()

    def close(self) -> None:
        """The graph has ended, or is stopped."""
        for key in self.begun:
            if self.nodes[key].state == "running":
                self.nodes[key].state = "waiting"
        self.graph.ended = True
        self._write()

    def _write(self) -> None:
        self.graph.heard = time.time()
        with suppress(OSError):  # a full disk must not stop what still fits
            write_bytes(self.path, msgspec.json.encode(self.graph))


def graphs_in(store: Store) -> list[GraphStatus]:
    """The graphs that ran over a store from this machine (or, in a shared folder, from any), the newest first."""
    found = []
    for path in sorted((store.base / "graphs").glob("*.json"), reverse=True):
        with suppress(OSError, msgspec.DecodeError):  # removed just now, or of another version
            found.append(msgspec.json.decode(path.read_bytes(), type=GraphStatus))
    return found
