"""A batch shared by several processes, and its mean loss."""

from typing import Any

from torch import Tensor

from brittle.ground import BrittleError, PerExample, World

from .goals import Memory


def own_rows(count: int, world: World) -> slice:
    """This process's part of a batch of `count` examples; the whole batch where it is too small to share."""
    return slice(world.rank, None, world.size) if _shared(count, world) else slice(None)


def own_mean(losses: PerExample, count: int, world: World, memory: Memory) -> Tensor:
    """The mean loss of this process's part, so weighted that the mean over all processes is that of the batch.

    Raises:
        BrittleError: a goal that remembers what it saw, which several processes would remember differently.
    """
    if memory and world.size > 1:
        raise BrittleError("this goal looks at each batch as a whole, since it has a memory; train it on one device")
    mean = losses.mean()
    return mean * (len(losses) * world.size / count) if world.size > 1 and _shared(count, world) else mean


def _shared(count: int, world: World) -> bool:
    return count >= 2 * world.size  # a batch norm needs two examples


def strategy_of(world: World) -> dict[str, Any]:
    """How Fabric is to spread a net over the processes."""
    return {"devices": world.size, "strategy": "ddp"} if world.size > 1 else {}
