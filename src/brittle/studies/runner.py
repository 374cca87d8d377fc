"""One runner for all nodes: what is needed first, what is stored already, the rest computed and kept."""

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from brittle.ground import BrittleError

from . import ranks
from .declare import declaration_of, hash_of
from .nodes import Computation, Node
from .order import all_nodes
from .spawning import check_guarded
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
    check_guarded()
    results: dict[Node, Path] = {}
    *needed, _ = all_nodes([node])
    for one in needed:
        results[one] = yield from _run(one, store, results, device)
    yield from _run(node, store, results, device, fresh)


def recompute(node: Node, store: Store, folder: Path, device: str = "auto") -> Iterator[NodeEvent]:
    """Compute a node once more into `folder`, from the stored results of what it needs, whatever is stored of it."""
    results: dict[Node, Path] = {}
    for need in node.needs:
        found, _ = store.read(hash_of(need), need.results)
        if found is None:
            raise BrittleError(f"{node.title} needs {need.title}, which is not stored; run the whole first")
        results[need] = found
    yield from _events(node, node.compute(folder, results, device))
    yield NodeEvent(node.title, 1, 1, "done", folder)


def _run(
    node: Node, store: Store, results: Mapping[Node, Path], device: str, fresh: bool = False
) -> Generator[NodeEvent, None, Path]:
    """The folder of a node whose needs are all in `results`."""
    key = hash_of(node)
    if store.held(key):
        yield NodeEvent(node.title, 0, 1, "another process computes it; this one waits for the result")
    with store.lock(key):
        if fresh:
            store.forget(key)
        folder, warning = store.read(key, node.results)
        if folder is not None:
            yield NodeEvent(node.title, 1, 1, "stored", folder, stored=True)
            return folder
        yield NodeEvent(node.title, 0, 1, "starting", warning=warning)
        complete = yield from _events(node, ranks.compute(node, store.work(key), results, device))
        # what a budget cut short is shown, and goes on from its journal when it is asked for again
        folder = store.finish(key, declaration_of(node), node.results) if complete else store.work(key)
        yield NodeEvent(node.title, 1, 1, "done" if complete else "cut short", folder)
        return folder


def _events(node: Node, computation: Computation) -> Generator[NodeEvent, None, bool]:
    """The progress of one node; at the end whether its result is complete."""
    while True:
        try:
            step = next(computation)
        except StopIteration as ended:
            return bool(ended.value)
        yield NodeEvent(node.title, step.done, step.total, step.text)
