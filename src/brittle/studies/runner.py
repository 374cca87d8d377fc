"""One runner for all nodes: what is needed first, what is stored already, the rest computed and kept."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

from .declare import declaration_of, hash_of
from .nodes import Node, Work
from .store import Store


@dataclass(frozen=True)
class NodeEvent:
    """Progress: which node, how far, a line.

    `folder` comes at the end of a node, `stored` if it was there already, `warning` if an entry was damaged.
    """

    title: str
    done: int
    total: int
    text: str
    folder: Path | None = None
    stored: bool = False
    warning: str | None = None


def run_node(node: Node, store: Store, *, device: str = "auto", fresh: bool = False) -> Iterator[NodeEvent]:
    """Compute `node`, or find it in the store; the last event carries its folder.

    Interrupted work goes on where it stopped. `fresh` forgets this node's result (not those it needs) and computes it
    again.
    """
    inputs = []
    for need in node.needs:
        for event in run_node(need, store, device=device):
            yield event
        assert event.folder is not None
        inputs.append(event.folder)
    key = hash_of(node)
    with store.lock(key):
        if fresh:
            store.forget(key)
        folder, warning = store.read(key)
        if folder is not None:
            yield NodeEvent(node.title, 1, 1, "stored", folder, stored=True)
            return
        yield NodeEvent(node.title, 0, 1, "starting", warning=warning)
        complete = yield from _told(node, node.compute(store.work(key), tuple(inputs), device))
        # what a budget cut short is shown, and goes on from its journal when it is asked for again
        folder = store.finish(key, declaration_of(node), node.results) if complete else store.work(key)
        yield NodeEvent(node.title, 1, 1, "done" if complete else "cut short", folder)


def _told(node: Node, work: Work) -> Generator[NodeEvent, None, bool]:
    while True:
        try:
            step = next(work)
        except StopIteration as ended:
            return bool(ended.value)
        yield NodeEvent(node.title, step.done, step.total, step.text)
