"""How one threat stands while an audit goes on."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from brittle.attacks import Threat
from brittle.ground import Flags, Images

from .statistics import Proportion


@dataclass
class Standing:
    """How one threat stands: which examples withstand, which attack broke which, and each attack's tally.

    An example goes on being attacked until an adversarial image of it also fools when it is rounded to 8 bits: minimum-norm
    images lie on the decision boundary, and rounding alone would undo them.
    """

    threat: Threat
    alive: Flags
    alive_8bit: Flags
    breaker: list[str | None]
    adversarial: Images
    sizes: Tensor
    tally: dict[str, dict[str, Any]] = field(default_factory=dict)
    minimum: Tensor | None = None  # smallest sizes on the first chunk [k]

    def note(self, name: str, rows: Tensor, piece: dict[str, Tensor], facts: dict[str, Any]) -> None:
        """Enter the outcome of one attack on the examples `rows`."""
        news = piece["broken"] & self.alive[rows]
        broken = rows[news]
        self.alive[broken] = False
        self.alive_8bit[rows[piece["broken_8bit"]]] = False
        self.adversarial[broken] = piece["x"][news[piece["broken"]]].to(self.adversarial)
        self.sizes[broken.cpu()] = piece["size"].cpu()[news[piece["broken"]].cpu()]
        for row in broken.tolist():
            self.breaker[row] = name
        row = self.tally.setdefault(name, {"name": name, "tried": 0, "claimed": 0, "verified": 0, "broke": 0, "seconds": 0.0})
        row["tried"] += len(rows)
        row["claimed"] += facts["claimed"]
        row["verified"] += int(piece["broken"].sum())
        row["broke"] += len(broken)
        row["seconds"] += facts["seconds"]
        row["left"] = Proportion(int(self.alive.sum()), len(self.alive)).record()
