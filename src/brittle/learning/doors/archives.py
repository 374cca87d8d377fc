"""What a file of torch holds, told without running anything of it."""

import pickle
import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

import torch

from brittle.ground import BrittleError

TRUSTED = "trusted:"  # before a file whose loader may run code
SCRIPT, EXPORT = "TorchScript", "torch.export"


def program_in(path: Path) -> str:
    """Which kind of program a file is; "": none."""
    if not zipfile.is_zipfile(path):
        return ""
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(one.endswith(("archive_format", "serialized_exported_program.json", "models/model.json")) for one in names):
        return EXPORT
    return SCRIPT if any("/code/" in name or name.endswith("constants.pkl") for name in names) else ""


def plain_load(path: Path) -> Any:
    """The tensors in a file of `torch.save`, on the CPU, with dicts, lists and numbers around them.

    Raises:
        BrittleError: other objects, whose loader would run code, or a program.
    """
    if kind := program_in(path):
        model = f"{TRUSTED if kind == EXPORT else ''}{path}"
        raise BrittleError(f"{path} is a {kind} program, not weights: give {model} as MODEL, without --weights")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pickles that are refused in the next moment
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        found = re.search(r"GLOBAL (\S+)", str(error))
        what = f"pickled objects ({found[1]})" if found else "pickled objects"
        raise BrittleError(
            f"{path} holds {what}, as a whole model is, and nothing pickled is run: save model.state_dict() alone, and "
            "give that as --weights of module:callable"
        ) from None
