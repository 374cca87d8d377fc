"""The file from which a killed training goes on."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor, nn

from brittle.ground import BrittleError

from .checkpoints import load_tensors, save_tensors
from .data import DataSet
from .goals import Goal, Learner, Memory
from .recipe import Recipe

FORMAT = "brittle-training/1"


@dataclass
class State:
    """All that a resumed run needs beside the net and the optimiser: step, what was seen, what the goal remembers."""

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    memory: Memory = field(default_factory=dict)


def history_of(state_file: str | Path) -> list[dict[str, Any]]:
    """The epochs of a training run, from its state file."""
    return list(load_tensors(state_file)[1]["state"]["history"])


def identity_of(learner: Learner, data: DataSet, goal: Goal, recipe: Recipe, seed: int, half: bool) -> str:
    """SHA-256 (hex) of all that decides what a training does; a state is only taken up by the training that it belongs
    to."""
    digests = data.train.digest, data.validation.digest
    said = (
        f"{data.name} {digests} {goal!r} {recipe!r} seed {seed} half {half} torch {torch.__version__} {learner.net!r}"
    )
    digest = hashlib.sha256(said.encode())
    for net in learner.static:
        digest.update(save({name: value.contiguous().cpu() for name, value in net.state_dict().items()}))
    return digest.hexdigest()


def save_state(path: Path, modules: Mapping[str, nn.Module], optimizer: Any, state: State, identity: str) -> None:
    """Write the modules by their names, the optimiser's slots and the goal's memory, with step and history, whole or
    not at all."""
    tensors = {
        f"{kind}.{name}": value for kind, module in modules.items() for name, value in module.state_dict().items()
    }
    for index, slots in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in slots.items() if isinstance(value, Tensor)}
    tensors |= {f"memory.{name}": value for name, value in state.memory.items()}
    held = {"step": state.step, "history": state.history}
    save_tensors(path, tensors, {"format": FORMAT, "identity": identity, "state": held})


def load_state(path: Path | None, modules: Mapping[str, nn.Module], optimizer: Any, identity: str) -> State | None:
    """The state in a file, its parameters and slots loaded into `modules` and `optimizer`; None if there is no such
    file.

    Raises:
        BrittleError: a damaged file, or the state of other training.
    """
    if path is None or not path.exists():
        return None
    tensors, header = load_tensors(path)
    if header.get("format") != FORMAT or header.get("identity") != identity:
        raise BrittleError(f"{path} holds the state of other training; give another --out, or --fresh to start over")
    for kind, module in modules.items():
        module.load_state_dict(_part(tensors, kind))
    slots: dict[int, dict[str, Tensor]] = {}
    for name, value in _part(tensors, "optimizer").items():
        index, slot = name.split(".", 1)
        slots.setdefault(int(index), {})[slot] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": slots})
    return State(**header["state"], memory=_part(tensors, "memory"))


def _part(tensors: Mapping[str, Tensor], kind: str) -> dict[str, Tensor]:
    """The tensors whose names begin with `kind`, by the rest of their names."""
    return {name.removeprefix(f"{kind}."): value for name, value in tensors.items() if name.startswith(f"{kind}.")}
