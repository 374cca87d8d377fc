"""Nets on disk: one safetensors file whose header carries, as JSON, everything needed to build and to name the net."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from brittle.ground import BrittleError, first_line, write_by

from .nets import build_net

FORMAT = "brittle-net/1"
Length = Annotated[int, Meta(ge=1)]


class NetHeader(Struct):
    """What the header of a net says of it; more may stand there."""

    net: str
    shape: tuple[Length, Length, Length]
    classes: Annotated[list[str], Meta(min_length=2)]
    mean: list[float] | None
    std: list[float] | None
    name: str = ""
    data: str | None = None
    goal: str | None = None
    threats: list[str] = []
    epochs: float | None = None
    history: list[dict[str, float | str | None]] | None = None


def save_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header to one safetensors file, atomically: the file is whole or not there."""
    held = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    said = {"brittle": json.dumps(header, sort_keys=True)}
    try:
        write_by(Path(path), lambda place: save_file(held, place, said))  # which copies nothing, unlike `save`
    except SafetensorError as error:
        raise OSError(first_line(error)) from None


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON header of a file written by `save_tensors`.

    Raises:
        BrittleError: no such file, not safetensors, cut short, or without our header.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["brittle"])
            if not isinstance(header, dict):
                raise TypeError
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except FileNotFoundError:
        raise BrittleError(f"there is no file {path}") from None
    except (SafetensorError, OSError) as error:
        raise BrittleError(f"{path} is not a whole safetensors file ({first_line(error)})") from None
    except (KeyError, TypeError, ValueError, RecursionError):
        raise BrittleError(
            f"{path} was not written by brittle; give its architecture, module:callable, with --weights {path} (in "
            "Python weights=FILE)"
        ) from None


def save_net(path: str | Path, net: nn.Module, header: Mapping[str, Any]) -> None:
    """Write a net built by `build_net`. The header names it: net, shape, classes, mean, std, and how it was trained."""
    save_tensors(path, net.state_dict(), {"format": FORMAT, **header})


def load_net(path: str | Path) -> tuple[nn.Sequential, dict[str, Any]]:
    """The net in a checkpoint, in eval mode on the CPU, and its header.

    Raises:
        BrittleError: not a checkpoint of a net, or one that does not fit its own description.
    """
    tensors, header = load_tensors(path)
    if header.get("format") != FORMAT:
        raise BrittleError(f"{path} holds {header.get('format', 'something')!r}, not a net ({FORMAT})")
    try:
        said = msgspec.convert(header, NetHeader)
        net = build_net(said.net, said.shape, len(said.classes), said.mean, said.std)
        net.load_state_dict(tensors)
    except (msgspec.ValidationError, RuntimeError) as error:
        raise BrittleError(f"{path} does not fit its own description ({first_line(error)})") from None
    return net.eval(), header
