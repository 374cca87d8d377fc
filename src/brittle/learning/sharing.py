"""A batch shared by several processes, and its mean loss."""

from typing import Any

from torch import Tensor

from brittle.ground import BrittleError, Crew, PerExample

from .goals import Memory


def own_rows(count: int, crew: Crew) -> slice:
    """This process's part of a batch of `count` examples; the whole batch where it is too small to share."""
    return slice(crew.rank, None, crew.size) if _shared(count, crew) else slice(None)


def own_mean(losses: PerExample, count: int, crew: Crew, memory: Memory) -> Tensor:
    """The mean loss of this process's part, so weighted that the mean over all processes is that of the batch.

    Raises:
        BrittleError: a goal that remembers what it saw, which several processes would remember differently.
    """
    if memory and crew.size > 1:
        raise BrittleError("this goal looks at each batch as a whole, since it has a memory; train it on one device")
    mean = losses.mean()
    return mean * (len(losses) * crew.size / count) if crew.size > 1 and _shared(count, crew) else mean


def _shared(count: int, crew: Crew) -> bool:
    return count >= 2 * crew.size  # a batch norm needs two examples


def strategy_of(crew: Crew) -> dict[str, Any]:
    """How Fabric is to spread a net over the processes."""
    return {"devices": crew.size, "strategy": "ddp"} if crew.size > 1 else {}
