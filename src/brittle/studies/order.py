"""In which order nodes are computed."""

from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter

from brittle.ground import BrittleError

from .declare import hash_of
from .nodes import Node


def all_nodes(nodes: Iterable[Node]) -> list[Node]:
    """The nodes and all that they need, each once, what is needed before what needs it.

    Raises:
        BrittleError: nodes that need one another.
    """
    found: dict[str, Node] = {}
    needs: dict[str, list[str]] = {}
    queue = list(nodes)
    for node in queue:  # grows while it is walked
        key = hash_of(node)
        if key not in found:
            found[key], needs[key] = node, [hash_of(need) for need in node.needs]
            queue += node.needs
    try:
        return [found[key] for key in TopologicalSorter(needs).static_order()]
    except CycleError as error:
        circle = " <- ".join(found[key].title for key in error.args[1])
        raise BrittleError(f"nodes that need one another cannot be computed: {circle}") from None
