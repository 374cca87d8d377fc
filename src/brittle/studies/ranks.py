"""One node on several devices of a machine: a process for each, in one folder."""

import logging
import multiprocessing
import socket
from collections.abc import Generator, Mapping
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from brittle.ground import BrittleError, budget_began, counted_from, device_count, join_world

from .nodes import Computation, Node, NodeProgress
from .spawning import GUARD, end_with_parent, sent


def compute(node: Node, folder: Path, results: Mapping[Node, Path], device: str) -> Computation:
    """`node.compute`, in as many processes as `device` names (`8xcuda`), which share the work; what the first one says.

    Raises:
        BrittleError: what a process raises, or that one ended.
    """
    count = device_count(device)
    if count == 1:
        return (yield from node.compute(folder, results, device))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sent(node)  # raises in one line, before any process is begun
    context, threads = multiprocessing.get_context("spawn"), max(1, torch.get_num_threads() // count)
    pipes, processes = [], []
    for rank in range(count):
        pipe, theirs = context.Pipe(duplex=False)
        words = theirs, rank, port, threads, node, folder, dict(results), device, budget_began()
        process = context.Process(target=_serve, args=words, daemon=True)
        process.start()
        theirs.close()
        pipes.append(pipe)
        processes.append(process)
    try:
        return (yield from _relayed(pipes))
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.join()


def _relayed(pipes: list[Any]) -> Generator[NodeProgress, None, bool]:
    """What the first process says, until it says whether the result is complete."""
    while True:
        for pipe in [one for one in pipes if one in wait(pipes)]:
            try:
                said = pipe.recv()
            except (EOFError, OSError):
                raise BrittleError(
                    f"one of its processes ended; the same command goes on where it was ({GUARD})"
                ) from None
            if isinstance(said, Exception):
                raise said
            if isinstance(said, NodeProgress):
                yield said
            elif pipe is pipes[0]:
                return bool(said)
            else:
                pipes = [one for one in pipes if one is not pipe]


def _serve(
    pipe: Connection,
    rank: int,
    port: int,
    threads: int,
    node: Node,
    folder: Path,
    results: Mapping[Node, Path],
    device: str,
    began: float | None,
) -> None:
    """One of the processes: the first tells its progress; each, whether it is complete, or what went wrong. A budget
    counts from where it `began` (a clock that all processes of a machine share)."""
    end_with_parent()
    for module in ("distributed", "rank_zero"):  # not a line from each process
        logging.getLogger(f"lightning_fabric.utilities.{module}").setLevel("WARNING")
    torch.set_num_threads(threads)
    join_world(rank, device_count(device), port)
    kind = device.partition("x")[2]
    try:
        with counted_from(began):
            computation = node.compute(folder, results, f"cuda:{rank}" if kind == "cuda" else kind)
            while True:
                step = next(computation)
                if rank == 0:
                    pipe.send(step)
    except StopIteration as ended:
        pipe.send(bool(ended.value))
    except Exception as error:
        why = str(error) if isinstance(error, BrittleError) else f"{type(error).__name__}: {error}"
        pipe.send(BrittleError(why))
    if distributed.is_initialized():  # by a training
        distributed.destroy_process_group()
