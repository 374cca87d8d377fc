"""Models that are programs in a file: TorchScript, torch.export, ONNX."""

import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from brittle.ground import BrittleError, first_line, package, quiet

PROGRAMS = (".pt", ".ts", ".pth", ".pt2", ".torchscript", ".onnx")
TRUSTED = "trusted:"  # before a file whose loader may run code


def load_program(path: Path, trusted: bool) -> Callable[[Tensor], Any]:
    """The program in a file, in eval mode.

    Raises:
        BrittleError: no such file, no program in it, or one whose loader may run code and that nobody trusts.
    """
    if not path.is_file():
        raise BrittleError(f"there is no file {path}")
    if path.suffix == ".onnx":
        return _load_onnx(path)
    if not zipfile.is_zipfile(path):
        raise BrittleError(
            f"{path} is neither TorchScript nor torch.export; nothing pickled is run: give module:callable with "
            f"--weights {path}"
        )
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    exported = any(
        name.endswith(("archive_format", "serialized_exported_program.json", "models/model.json")) for name in names
    )
    scripted = any("/code/" in name or name.endswith("constants.pkl") for name in names)
    if not exported and not scripted:
        raise BrittleError(
            f"{path} holds no program but (probably) weights; give its architecture with --weights {path}: "
            "module:callable, one of `brittle nets`, timm:NAME, torchvision:NAME or robustbench:ID"
        )
    if exported and not trusted:
        raise BrittleError(
            f"{path} is a torch.export program: its loader runs code that someone may have hidden in it; if you trust "
            f"where it is from, write {TRUSTED}{path}"
        )
    try:
        if exported:
            with quiet():
                return torch.export.load(path).module()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            module: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        return module.eval()
    except Exception as error:
        why = first_line(error).partition(" Please check the warnings")[0]
        raise BrittleError(f"{path} cannot be loaded as a program ({why})") from None


def _load_onnx(path: Path) -> nn.Module:
    """The graph in an ONNX file as torch modules, so that gradients pass."""
    converter = package("onnx2torch", str(path), "hub")
    try:
        return converter.convert(str(path)).eval()  # type: ignore[no-any-return]
    except Exception as error:
        raise BrittleError(
            f"{path} cannot be turned into torch modules ({first_line(error)}); export it as TorchScript"
        ) from None
