"""The nodes of a graph on a Ray cluster: one task a node, begun again where its worker dies."""

import os
import socket
import sys
import time
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from brittle.ground import OWN_CODE, BrittleError, device_count, first_line

from .executors import TRIES, Said, told
from .nodes import Node
from .planning import PlanRow
from .store import Store

QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}  # nothing is sent, no tip is shown


class OnRay:
    """As many nodes at a time as `jobs`, each with an equal part of the cluster; by default one for each GPU, or for
    each processor core where there is no GPU. With a device such as `8xcuda` each node takes eight of one machine.

    Args:
        address: of a cluster (`auto`, HOST:PORT, ray://HOST:PORT); none: `$RAY_ADDRESS`, or a cluster of this machine
            alone, which ends with the graph.
        sign: a file in the store's folder, by which a worker sees that it has the same folder.
    Raises:
        BrittleError: Ray is not installed, there is no cluster at the address, or no GPU where one is asked for.
    """

    def __init__(self, store: Store, device: str, jobs: int | None, address: str | None, sign: Path) -> None:
        self.ray, self.place, self.sign = _ray(), store.place, None if store.shared else sign
        self.ours = not self.ray.is_initialized()
        try:
            _knock(address)
            if self.ours:
                os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
                self.ray.init(address or None, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
        except (OSError, RuntimeError, ValueError) as error:
            where = address or "this machine"
            raise BrittleError(f"there is no Ray cluster at {where} ({first_line(error)})") from error
        self.device = "cuda" if device == "auto" and self._machines("GPU") else device
        self.kind, self.several = ("GPU" if "cuda" in self.device else "CPU"), device_count(self.device)
        if not self._machines(self.kind, self.several):
            if self.ours:
                self.ray.shutdown()
            raise BrittleError(f"no machine of this Ray cluster has {self.several} {self.kind}; try another --device")
        self.jobs, self.part = jobs, self._part(jobs)
        self.board = self.ray.remote(num_cpus=0, max_restarts=-1)(_Board).remote()
        self.compute = self.ray.remote(max_retries=TRIES - 1)(_compute)
        self.tasks: dict[Any, str] = {}

    def _machines(self, kind: str, least: int = 1) -> list[dict[str, float]]:
        """What those machines have that have so many GPUs, or processor cores."""
        there = [machine["Resources"] for machine in self.ray.nodes() if machine["Alive"]]
        return [machine for machine in there if machine.get(kind, 0) >= least]

    def _part(self, jobs: int | None) -> dict[str, float]:
        """What one node takes: as many devices as are asked for, or a part of one, and the cores that go with them."""
        machines = self._machines(self.kind, self.several)
        part = sum(machine[self.kind] for machine in machines) / jobs if jobs else 1.0
        if self.kind == "GPU" or self.several > 1:
            part = min(1.0, part) if self.several == 1 else float(self.several)
        cores = min(machine.get("CPU", 1.0) * min(1.0, part / machine[self.kind]) for machine in machines)
        return {"num_cpus": float(int(cores)) if cores > 1 else cores, "num_gpus": part if self.kind == "GPU" else 0.0}

    @property
    def slots(self) -> int:
        """Counted anew each time, since machines come and go."""
        return self.jobs or int(sum(machine[self.kind] // self.several for machine in self._machines(self.kind)))

    def start(self, row: PlanRow) -> None:
        threads = max(1, int(self.part["num_cpus"]))
        words = row.key, row.node, self.place, OWN_CODE, self.sign, self.device, threads, self.board, sys.argv
        self.tasks[self.compute.options(name=row.node.title, **self.part).remote(*words)] = row.key

    def hear(self) -> Iterator[Said]:
        if not self.tasks:  # no machine is there at the moment
            time.sleep(1.0)
            return
        done, _ = self.ray.wait(list(self.tasks), timeout=1.0)
        with suppress(self.ray.exceptions.RayError):  # where the board's machine is gone, it begins anew elsewhere
            yield from self.ray.get(self.board.news.remote(), timeout=10)
        for task in done:
            key = self.tasks.pop(task)
            try:
                yield self.ray.get(task)
            except self.ray.exceptions.RayTaskError as error:
                yield Said(key, end=True, error=BrittleError(f"it could not begin on its worker ({error.cause})"))
            except self.ray.exceptions.RayError as error:
                why = f"its worker died {TRIES} times ({first_line(error)})"
                yield Said(key, end=True, error=BrittleError(why))

    def close(self) -> None:
        for task in self.tasks:
            self.ray.cancel(task, force=True)
        self.ray.kill(self.board)
        if self.ours:
            self.ray.shutdown()


class _Board:
    """What workers tell, until it is asked for. (What a task itself yields would be lost where it is begun again.)"""

    def __init__(self) -> None:
        self.said: deque[Said] = deque(maxlen=10_000)

    def tell(self, said: Said) -> None:
        self.said.append(said)

    def news(self) -> list[Said]:
        said = list(self.said)
        self.said.clear()
        return said


def _compute(
    key: str,
    node: Node,
    place: str,
    code: str,
    sign: Path | None,
    device: str,
    threads: int,
    board: Any,
    argv: list[str],
) -> Said:
    """Compute a node on this worker; what is said last is its end."""
    where = f"{socket.gethostname()} {os.getpid()}"
    if sign and not sign.exists():
        hint = "set BRITTLE_STORE to a folder that all machines see, or to a URL"
        return Said(key, end=True, error=BrittleError(f"{place} on {where} is another store than here; {hint}"))
    torch.set_num_threads(threads)
    sys.argv = argv  # records name the command
    board.tell.remote(Said(key, text="begun", where=where))
    for said in told(key, node, place, code, device, where):
        if not said.end:
            board.tell.remote(said)
    return said


def _knock(address: str | None) -> None:
    """Raise `OSError` where an address is one at which nobody answers (Ray itself would wait for many minutes)."""
    if address and address != "auto":
        host, _, port = address.removeprefix("ray://").rpartition(":")
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()


def _ray() -> Any:
    """Ray.

    Raises:
        BrittleError: it is not installed.
    """
    try:
        import ray
        import ray.exceptions
    except ImportError:
        raise BrittleError("Ray is not installed; get it with: pip install 'brittle[cluster]'") from None
    return ray
