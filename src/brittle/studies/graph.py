"""The nodes of a plan, each as soon as what it needs is there, the longest chain of nodes first."""

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from pathlib import Path

from brittle.ground import BrittleError, device_count

from .declare import hash_of
from .executors import Executor, InProcess, Said, what_went_wrong
from .planning import PlanRow
from .processes import Processes
from .ray_cluster import OnRay
from .status import StatusFile
from .store import Store


@dataclass(frozen=True)
class GraphProgress:
    """Progress of a graph: seconds of planned work done and in all, nodes done and in all, what is being done."""

    seconds: float
    of_seconds: float
    nodes: int
    of_nodes: int
    text: str
    warning: str | None = None


def run_graph(
    planned: list[PlanRow],
    store: Store,
    *,
    device: str = "auto",
    jobs: int | None = None,
    limit: float = math.inf,
    on: str | None = None,
) -> Iterator[GraphProgress]:
    """Compute what is not stored yet. Interrupted, it goes on: finished nodes stay, a training loses at most 20
    seconds, an audit the piece at hand, an attack and a made set the batch at hand, a walk begins again.

    A node that fails stops those that need it and no others; one whose process dies is begun again, up to three times.

    Args:
        planned: as `plan` gives it.
        jobs: nodes at a time; default one. Here they are processes side by side, which share the threads: two pay on a
            CPU (docs/benchmarks.md), more on a GPU that a small net does not fill. On a cluster: see `OnRay`.
        limit: seconds after which it stops as if interrupted; the last progress then counts fewer nodes than there are.
        on: `ray` or `ray:ADDRESS`, for a Ray cluster; default this machine.
    Raises:
        BrittleError: nodes failed, once all that do not need them are done; or there is no such cluster.
    """
    ends = time.monotonic() + limit
    left, count = [row for row in planned if not row.stored], len(planned)
    now = GraphProgress(0.0, sum(row.seconds for row in left), count - len(left), count, "")
    for row in planned:
        if row.warning:
            yield replace(now, text=row.node.title, warning=row.warning)
    if left:
        with (
            closing(StatusFile(store, planned, on or "here")) as status,
            closing(_executor(left, store, device, jobs, on, status.path)) as executor,
        ):
            for move in _moves(now, left, executor, status):
                yield move
                if time.monotonic() > ends and move.nodes < count:
                    return
    yield replace(now, seconds=now.of_seconds, nodes=count, text="done")


def _executor(rows: list[PlanRow], store: Store, device: str, jobs: int | None, on: str | None, sign: Path) -> Executor:
    name, _, address = (on or "").partition(":")
    if name == "ray":
        return OnRay(store, device, jobs, address, sign)
    if name:
        raise BrittleError(f"a graph runs on ray or ray:ADDRESS, not on {on}")
    slots = min(jobs or 1, len(rows))
    if slots > 1 and device_count(device) > 1:
        raise BrittleError(f"{slots} nodes at a time cannot each have {device}; take --jobs 1")
    return Processes(store, device, slots) if slots > 1 else InProcess(store, device)


def _moves(now: GraphProgress, rows: list[PlanRow], executor: Executor, status: StatusFile) -> Iterator[GraphProgress]:
    """What an executor makes of these rows, as it goes."""
    walk = _Walk(rows)
    while walk.begin(executor, status):
        heard: list[Said | None] = [one for one in executor.hear() if one.key in walk.running]
        for said in heard or [None]:
            warning = walk.hear(said, status) if said else None
            status.moves()
            yield walk.progress(now, warning)
    if walk.failed:
        raise walk.failure() from next(iter(walk.failed.values()))


class _Walk:
    """Which of the nodes are ready, which are running, and what became of the others."""

    def __init__(self, rows: list[PlanRow]) -> None:
        self.rows, self.chains = {row.key: row for row in rows}, _chains(rows)
        needs = {row.key: [key for key in map(hash_of, row.node.needs) if key in self.rows] for row in rows}
        self.order = TopologicalSorter(needs)
        self.order.prepare()
        self.ready: list[str] = []
        self.running: dict[str, Said] = {}
        self.failed: dict[str, Exception] = {}
        self.done: list[str] = []

    def begin(self, executor: Executor, status: StatusFile) -> bool:
        """Give away the nodes that are ready, as many as are taken; whether any is running, or waits for room."""
        self.ready = sorted([*self.ready, *self.order.get_ready()], key=self.chains.__getitem__)
        while self.ready and len(self.running) < executor.slots:
            key = self.ready.pop()
            executor.start(self.rows[key])
            self.running[key] = Said(key)
            status.begins(key)
        return bool(self.running or self.ready)

    def hear(self, said: Said, status: StatusFile) -> str | None:
        """What is said of a running node; a line that the user should see, if there is one."""
        status.hears(said)
        if not said.end:
            self.running[said.key] = said
            return said.warning
        del self.running[said.key]
        if not said.error:
            self.order.done(said.key)
            self.done.append(said.key)
            return said.warning
        self.failed[said.key] = said.error
        return f"{self._why(said.key)}; what does not need it goes on"

    def progress(self, now: GraphProgress, warning: str | None) -> GraphProgress:
        """`now`, with what has been done since."""
        past = sum(self.rows[key].seconds for key in self.done)
        seconds = past + sum(self.rows[key].seconds * said.share for key, said in self.running.items())
        lines = [self.rows[key].node.title for key in self.running]
        if len(lines) == 1:
            lines = [f"{lines[0]}: {said.text}" for said in self.running.values()]
        return replace(now, seconds=seconds, nodes=now.nodes + len(self.done), text="; ".join(lines), warning=warning)

    def failure(self) -> BrittleError:
        """What failed, what is left because of it, and how to go on."""
        said = [self._why(key) for key in self.failed]
        more = f"; and {len(said) - 5} more failed" if len(said) > 5 else ""
        left = len(self.rows) - len(self.done) - len(said)
        rest = f"left because they need it: {left}; done and stored: {len(self.done)}; the same command goes on"
        return BrittleError(f"{'; '.join(said[:5])}{more} ({rest})")

    def _why(self, key: str) -> str:
        return f"{self.rows[key].node.title}: {what_went_wrong(self.failed[key])}"


def _chains(rows: list[PlanRow]) -> dict[str, float]:
    """For each node the seconds of the longest chain that begins with it."""
    after: dict[str, float] = defaultdict(float)
    chains = {}
    for row in reversed(rows):
        chains[row.key] = row.seconds + after[row.key]
        for need in row.node.needs:
            after[hash_of(need)] = max(after[hash_of(need)], chains[row.key])
    return chains
