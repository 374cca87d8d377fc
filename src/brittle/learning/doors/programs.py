"""Models that are programs in a file: TorchScript, torch.export, ONNX."""

import math
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

from brittle.ground import BrittleError, first_line, package, quiet

from .archives import EXPORT, TRUSTED, plain_load, program_in

PROGRAMS = (".pt", ".ts", ".pth", ".pt2", ".torchscript", ".onnx")


def load_program(path: Path, trusted: bool) -> Callable[[Tensor], Any]:
    """The program in a file, in eval mode.

    Raises:
        BrittleError: no such file, no program in it, or one whose loader may run code and that nobody trusts.
    """
    if not path.is_file():
        raise BrittleError(f"there is no file {path}")
    if path.suffix == ".onnx":
        return _load_onnx(path)
    kind = program_in(path)
    if not kind:
        _say_what_it_is(path)
    if kind == EXPORT and not trusted:
        raise BrittleError(
            f"{path} is a torch.export program: its loader runs code that someone may have hidden in it; if you trust "
            f"where it is from, write {TRUSTED}{path}"
        )
    try:
        if kind == EXPORT:
            with quiet():
                return torch.export.load(path).module()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        return module.eval()
    except Exception as error:
        why = first_line(error).partition(" Please check the warnings")[0]
        raise BrittleError(f"{path} cannot be loaded as a program ({why})") from None


def _say_what_it_is(path: Path) -> NoReturn:
    """Raise `BrittleError` on a file that holds no program."""
    try:
        plain_load(path)
    except BrittleError:
        raise
    except Exception:  # whatever a file that is none of torch makes its reader raise
        raise BrittleError(f"{path} is neither TorchScript nor torch.export, nor weights of torch") from None
    raise BrittleError(
        f"{path} holds no program but weights; give its architecture with --weights {path}: module:callable, one of "
        "`brittle nets`, timm:NAME, torchvision:NAME or robustbench:ID"
    )


class OneByOne(nn.Module):
    """A model made for one image [1, ...] at a time, on batches [B, ...]."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = torch.vmap(lambda one: self.model(one[None])[0])(x)
        return found


def _load_onnx(path: Path) -> nn.Module:
    """The graph in an ONNX file as torch modules, so that gradients pass; a graph that is made for one image works on
    batches too."""
    converter = package("onnx2torch", str(path), "hub")
    try:
        net: nn.Module = converter.convert(str(path)).eval()
        graph = package("onnx", str(path), "hub").load(str(path), load_external_data=False).graph
        shape = [dim.dim_value for dim in graph.input[0].type.tensor_type.shape.dim]  # 0: any size
        return net if not all(shape) or shape[0] > 1 or _takes_batches(net, shape) else OneByOne(net)
    except Exception as error:
        raise BrittleError(
            f"{path} cannot be turned into torch modules ({first_line(error)}); export it as TorchScript"
        ) from None


def _takes_batches(net: nn.Module, shape: list[int]) -> bool:
    """Whether two images of `shape` get together what they get alone."""
    pair = torch.linspace(0, 1, 2 * math.prod(shape)).view(2, *shape[1:])
    with torch.no_grad():
        alone = torch.cat([net(pair[:1]), net(pair[1:])])
        try:
            together = net(pair)
        except Exception:  # whatever a graph for one image makes of two
            return False
    return together.shape == alone.shape and torch.allclose(together, alone, rtol=1e-3, atol=1e-5)
