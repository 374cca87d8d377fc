"""What an audit found, in memory and on disk."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from brittle.ground import write_bytes
from brittle.learning import save_tensors

from .statistics import Proportion


@dataclass(frozen=True)
class Report:
    """What an audit found. `record` is its JSON; per-example results and the wall of images are beside it.

    Attributes:
        clean, union, union_8bit: accuracies, over all n examples, with 95 % intervals.
        robust: accuracy per threat, by its name ("Linf:0.3").
        withstands: threats in rows, examples in columns: right on the clean example and under every attack.
        adversarial: for each threat the verified adversarial image of each broken example, else the clean image [T, n,
            *S].
    """

    clean: Proportion
    union: Proportion
    union_8bit: Proportion
    robust: dict[str, Proportion]
    verdict: dict[str, str]
    record: dict[str, Any]
    withstands: Tensor
    adversarial: Tensor
    images: Tensor

    def save(self, folder: Path, about: dict[str, Any] | None = None) -> Path:
        """Write `audit.json` and `audit.safetensors` (wall, survivors, adversarial images) into `folder`; `about` joins
        the JSON.

        The tensors: `withstands` [T, n]; `wall_clean`, `wall_adversarial` [k, *S]; per threat the broken rows and their
            images.
        """
        shape = list(self.images.shape[1:])
        unsaid = {
            "model": {"name": "model", "digest": "", "parameters": None, "training": None},
            "data": {"name": f"images {shape}", "n": self.clean.n, "of": self.clean.n, "classes": [], "digest": ""},
        }
        record = {**unsaid, **self.record, **(about or {})}
        places = {entry["threat"]: index for index, entry in enumerate(record["threats"])}
        wall = [(places[entry["threat"]], entry["index"]) for entry in record["wall"]]
        kinds, rows = (torch.tensor([pair[side] for pair in wall], dtype=torch.int64) for side in (0, 1))
        tensors = {
            "withstands": self.withstands,
            "wall_clean": (self.images[rows] * 255).round().to(torch.uint8),
            "wall_adversarial": self.adversarial[kinds, rows],
        }
        for name, index in places.items():
            broken = torch.tensor(
                [one["index"] for one in record["examples"] if one["broken_by"][name]], dtype=torch.int64
            )
            tensors |= {f"rows/{name}": broken, f"adversarial/{name}": self.adversarial[index][broken]}
        save_tensors(folder / "audit.safetensors", tensors, {"format": record["format"]})
        write_bytes(folder / "audit.json", json.dumps(record, indent=1).encode())
        return folder

    def __str__(self) -> str:
        lines = [f"{'clean':<14}{self.clean}"]
        lines += [f"{threat:<14}{robust}" for threat, robust in self.robust.items()]
        lines += [f"{'union':<14}{self.union}", f"{self.verdict['level']}: {self.verdict['sentence']}"]
        return "\n".join(lines)
