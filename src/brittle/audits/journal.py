"""The journal of an audit: each finished piece of work as one file, so that a kill loses only the piece at hand."""

from pathlib import Path
from typing import Any, TypeVar

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from brittle.ground import BrittleError, plain_name, write_bytes

Facts = TypeVar("Facts")


class Journal:
    """Pieces of work by key; without a folder it forgets everything.

    Args:
        folder: where the files are kept.
        identity: what the work belongs to; pieces written for anything else are not read.
    Raises:
        BrittleError: a file stands there.
    """

    def __init__(self, folder: Path | None = None, identity: str = "") -> None:
        if folder is not None and folder.exists() and not folder.is_dir():
            raise BrittleError(f"a journal is a folder; {folder} is a file")
        self.folder, self.identity = folder, identity

    def read(self, key: str, kind: type[Facts]) -> tuple[dict[str, Tensor], Facts] | None:
        """The tensors and the facts kept under `key`; none if they are not there, damaged, or of other work."""
        if self.folder is None:
            return None
        try:
            with safe_open(self._path(self.folder, key), "pt") as file:
                header = file.metadata() or {}
                if header["identity"] != self.identity:
                    return None
                facts = msgspec.json.decode(header["facts"], type=kind)
                return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, msgspec.MsgspecError):
            return None

    def write(self, key: str, tensors: dict[str, Tensor], facts: Any) -> None:
        """Keep the piece, atomically; `facts` are anything that msgspec writes as JSON."""
        if self.folder is not None:
            held = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
            header = {"identity": self.identity, "facts": msgspec.json.encode(facts).decode()}
            write_bytes(self._path(self.folder, key), save(held, header))

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        return folder / f"{plain_name(key)}.safetensors"
