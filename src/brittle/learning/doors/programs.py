"""Models that are programs in a file: TorchScript, torch.export, ONNX."""

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


def _load_onnx(path: Path) -> nn.Module:
    """The graph in an ONNX file as torch modules, so that gradients pass."""
    converter = package("onnx2torch", str(path), "hub")
    try:
        return converter.convert(str(path)).eval()  # type: ignore[no-any-return]
    except Exception as error:
        raise BrittleError(
            f"{path} cannot be turned into torch modules ({first_line(error)}); export it as TorchScript"
        ) from None
