"""What more devices buy for a paper, by counting: no node is computed, nothing is timed.

    python benchmarks/scale.py [SCALE]

The work of a node is its gradients times the multiply-adds of its net's forward pass. Nodes are given to devices as
`run_graph` gives them: each as soon as what it needs is done, the longest chain first. Printed is the speed-up over one
device: with a node on each device, with as many devices as there are nodes (all work over the longest chain), and with
machines of eight devices that share a node, as if sharing cost nothing.
"""

import heapq
import sys
from collections import defaultdict
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

from brittle.learning import build_net
from brittle.papers import ilyas2019, li2019
from brittle.studies import Node, Train, all_nodes, hash_of

DEVICES = (2, 4, 8, 100)
MACHINES = (1, 12)  # of eight devices, which share a node


def net_of(node: Node) -> Train | None:
    """The training of the net that a node asks for gradients."""
    while node is not None and not isinstance(node, Train):
        node = getattr(node, "model", None)
    return node


@cache
def flops(net: str, shape: tuple[int, ...], classes: int) -> int:
    """Of a forward pass of one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        build_net(net, shape, classes).eval()(torch.zeros(1, *shape))
    return counter.get_total_flops()


def work_of(node: Node) -> float:
    train = net_of(node)
    if train is None:
        return 0.0
    data = train.data.source.load()
    return node.gradients * flops(train.net, data.shape, len(data.classes))


def makespan(nodes: list[Node], work: dict[str, float], devices: int) -> float:
    """How long the graph takes, in units of work, on so many devices with a node on each."""
    keys = [hash_of(node) for node in nodes]
    needs = {key: [hash_of(need) for need in node.needs] for key, node in zip(keys, nodes, strict=True)}
    followers, chain = defaultdict(list), dict(work)
    for key in reversed(keys):
        for need in needs[key]:
            followers[need].append(key)
            chain[need] = max(chain[need], work[need] + chain[key])
    waiting = {key: len(needs[key]) for key in keys}
    ready = [(-chain[key], key) for key in keys if not waiting[key]]
    heapq.heapify(ready)
    running: list[tuple[float, str]] = []
    now, free = 0.0, devices
    while ready or running:
        while ready and free:
            key = heapq.heappop(ready)[1]
            heapq.heappush(running, (now + work[key], key))
            free -= 1
        now, done = heapq.heappop(running)
        free += 1
        for key in followers[done]:
            waiting[key] -= 1
            if not waiting[key]:
                heapq.heappush(ready, (-chain[key], key))
    return now


def main() -> None:
    scale = sys.argv[1] if len(sys.argv) > 1 else "full"
    heads = [f"{count} devices" for count in DEVICES] + ["any number"] + [f"{count} x 8 sharing" for count in MACHINES]
    print(f"| {scale} | nodes | {' | '.join(heads)} |\n|---|---|{'---|' * len(heads)}")
    for paper in (li2019, ilyas2019):
        nodes = all_nodes(paper(scale).nodes)
        work = {hash_of(node): work_of(node) for node in nodes}
        total = sum(work.values())
        gains = [total / makespan(nodes, work, count) for count in (*DEVICES, len(nodes))]
        gains += [8 * total / makespan(nodes, work, count) for count in MACHINES]
        print(f"| {paper.__name__} | {len(nodes)} | {' | '.join(f'{gain:.1f}' for gain in gains)} |")


if __name__ == "__main__":
    main()
