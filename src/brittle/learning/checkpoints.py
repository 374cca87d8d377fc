"""Nets on disk: one safetensors file whose header carries, as JSON, everything needed to build and to name the net."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from brittle.ground import BrittleError, write_bytes

from .nets import build_net

FORMAT = "brittle-net/1"


def save_tensors(path: Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write tensors and a JSON header to one safetensors file, atomically: the file is whole or not there."""
    held = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
    write_bytes(path, save(held, {"brittle": json.dumps(header, sort_keys=True)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and JSON header of a file written by `save_tensors`.

    Raises:
        BrittleError: no such file, not safetensors, cut short, or without our header.
    """
    try:
        with safe_open(path, "pt") as file:
            header = json.loads((file.metadata() or {})["brittle"])
            return {name: file.get_tensor(name) for name in file.keys()}, header  # noqa: SIM118
    except FileNotFoundError:
        raise BrittleError(f"there is no file {path}") from None
    except (SafetensorError, OSError) as error:
        raise BrittleError(f"{path} is not a whole safetensors file ({str(error).splitlines()[0]})") from None
    except (KeyError, json.JSONDecodeError):
        raise BrittleError(
            f"{path} was not written by brittle; give such weights as module:callable with weights=FILE"
        ) from None


def save_net(path: Path, net: nn.Module, header: Mapping[str, Any]) -> None:
    """Write a net built by `build_net`. The header names it: net, shape, classes, mean, std, and how it was trained."""
    save_tensors(path, net.state_dict(), {"format": FORMAT, **header})


def load_net(path: Path) -> tuple[nn.Sequential, dict[str, Any]]:
    """The net in a checkpoint, in eval mode on the CPU, and its header.

    Raises:
        BrittleError: not a checkpoint of a net, or one that does not fit its own description.
    """
    tensors, header = load_tensors(path)
    if header.get("format") != FORMAT:
        raise BrittleError(f"{path} holds {header.get('format', 'something')!r}, not a net ({FORMAT})")
    try:
        net = build_net(header["net"], tuple(header["shape"]), len(header["classes"]), header["mean"], header["std"])
        net.load_state_dict(tensors)
    except (KeyError, RuntimeError) as error:
        raise BrittleError(f"{path} does not fit its own description ({str(error).splitlines()[0]})") from None
    return net.eval(), header
