"""How one threat stands while an audit goes on."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from brittle.attacks import Threat
from brittle.ground import Flags, Images

from .statistics import Proportion


@dataclass
class ThreatState:
    """How one threat stands: which examples withstand, which attack broke which, and each attack's tally.

    An example goes on being attacked until an adversarial image of it also fools when it is rounded to 8 bits:
    minimum-norm images lie on the decision boundary, and rounding alone would undo them.
    """

    threat: Threat
    alive: Flags
    alive_8bit: Flags
    breaker: list[str | None]
    adversarial: Images
    sizes: Tensor
    minimum: (
        Tensor  # smallest size found by the minimum-norm attack; 0 where the model is wrong, NaN where it was not run
    )
    tally: dict[str, dict[str, Any]] = field(default_factory=dict)

    @classmethod
    def at_first(cls, threat: Threat, x: Images, right: Flags) -> "ThreatState":
        """Before any attack: alive is what the model gets right."""
        zeros = torch.zeros(len(x), dtype=torch.float64)
        return cls(
            threat,
            right.clone(),
            right.clone(),
            [None] * len(x),
            x.clone(),
            zeros,
            zeros.masked_fill(right.cpu(), torch.nan),
        )

    def note(self, name: str, rows: Tensor, job: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Enter the outcome of one attack on the examples `rows`."""
        news = job["broken"] & self.alive[rows]
        broken = rows[news]
        self.alive[broken] = False
        if "minimum" in job:
            self.minimum[rows.cpu()] = job["minimum"].cpu()
        self.alive_8bit[rows[job["broken_8bit"]]] = False
        self.adversarial[broken] = job["x"][news[job["broken"]]].to(self.adversarial)
        self.sizes[broken.cpu()] = job["size"].cpu()[news[job["broken"]].cpu()]
        for row in broken.tolist():
            self.breaker[row] = name
        row = self.tally.setdefault(
            name, {"name": name, "tried": 0, "claimed": 0, "verified": 0, "broke": 0, "seconds": 0.0}
        )
        row["tried"] += len(rows)
        row["claimed"] += facts["claimed"]
        row["verified"] += int(job["broken"].sum())
        row["broke"] += len(broken)
        row["seconds"] += facts["seconds"]
        row["left"] = Proportion(int(self.alive.sum()), len(self.alive)).record()
