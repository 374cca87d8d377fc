"""The journal of an audit: each finished piece of work as one file, so that a kill loses only the piece at hand."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from brittle.ground import write_bytes


class Journal:
    """Pieces of work by key; without a folder it forgets everything.

    Args:
        folder: where the files are kept.
        identity: what the work belongs to; pieces written for anything else are not read.
    """

    def __init__(self, folder: Path | None, identity: str) -> None:
        self.folder, self.identity = folder, identity

    def read(self, key: str) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The tensors and facts kept under `key`; none if they are not there, damaged, or of other work."""
        if self.folder is None:
            return None
        try:
            with safe_open(self.folder / f"{key}.safetensors", "pt") as file:
                header = json.loads((file.metadata() or {})["brittle"])
                if header["identity"] != self.identity:
                    return None
                return {name: file.get_tensor(name) for name in file.keys()}, header["facts"]  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, ValueError):
            return None

    def write(self, key: str, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Keep the piece, atomically."""
        if self.folder is not None:
            held = {name: value.detach().contiguous().cpu() for name, value in tensors.items()}
            header = {"brittle": json.dumps({"identity": self.identity, "facts": facts})}
            write_bytes(self.folder / f"{key}.safetensors", save(held, header))
