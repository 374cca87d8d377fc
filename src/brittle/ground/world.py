"""Several processes that do one piece of work together, each on a device of its own: rank and world size, as torch's
distributed package has them."""

import os
from typing import NamedTuple

NAME = "BRITTLE_WORLD"  # of the environment variable by which a process knows that it is one of several: RANK/SIZE


class World(NamedTuple):
    """Which of how many processes this is. The first makes the result; the others help it."""

    rank: int
    size: int

    @property
    def helps(self) -> bool:
        """Whether it leaves the result to the first."""
        return self.rank > 0

    def takes(self, number: int) -> bool:
        """Whether the part of this number is its own: they are dealt in turn."""
        return number % self.size == self.rank


def world() -> World:
    """That of this process; alone it is the first of one."""
    rank, _, size = os.environ.get(NAME, "0/1").partition("/")
    return World(int(rank), int(size))


def join_world(rank: int, size: int, port: int) -> None:
    """Make this process one of several on this machine, and tell torch.distributed where to meet."""
    os.environ |= {NAME: f"{rank}/{size}", "LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1"}
    os.environ["MASTER_PORT"] = str(port)
