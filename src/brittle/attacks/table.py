"""The attacks by name, and an attack as data: what declarations and the command line carry."""

import inspect
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from torch import Tensor

from brittle.ground import BrittleError

from .attack import Attack
from .curved import hessian, second_order, second_order_apgd
from .losses import LOSSES
from .named import Start, apgd, fgsm, mim, pgd
from .objectives import ModelObjective, Objective, against
from .threats import Threat

ATTACKS: dict[str, Callable[..., Attack]] = {
    "fgsm": fgsm,
    "pgd": pgd,
    "mim": mim,
    "apgd": apgd,
    "second_order": second_order,
    "second_order_apgd": second_order_apgd,
    "hessian": hessian,
}


@dataclass(frozen=True)
class AttackSpec:
    """An attack by its name and settings; what is None keeps the attack's own default.

    Attributes:
        name: a key of `ATTACKS`.
        steps: number of steps; one is fgsm's only choice.
        step: length of a step in pixel units.
        start: `clean`, `random` or `noise`.
        draws, sigma: of the noise, for the second-order attacks.
        loss: what is made large: a key of `LOSSES`.
    Raises:
        BrittleError: an unknown name or start, or a setting that the attack does not have.
    """

    name: str = "pgd"
    steps: int | None = None
    step: float | None = None
    start: str | None = None
    draws: int | None = None
    sigma: float | None = None
    loss: str = field(default="cross_entropy", metadata={"added": True})

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise BrittleError(f"no loss is called {self.loss!r}; known: {', '.join(LOSSES)}")
        if self.name not in ATTACKS:
            raise BrittleError(f"no attack is called {self.name!r}; known: {', '.join(ATTACKS)}")
        known = inspect.signature(ATTACKS[self.name]).parameters
        if self.start is not None and self.start not in get_args(Start):
            raise BrittleError(f"start is one of {', '.join(get_args(Start))}, not {self.start!r}")
        strange = [key for key in self._given() if key not in known]
        if strange:
            raise BrittleError(f"the attack {self.name!r} has no {', '.join(strange)}")

    def build(self, objective: Objective, threat: Threat, seed: int = 0) -> Attack:
        """The attack."""
        return ATTACKS[self.name](objective, threat, seed=seed, **self._given())

    def objective(self, model: Callable[[Tensor], Any]) -> ModelObjective:
        """What it makes large on `model`, in the precision that it runs in."""
        return against(model, LOSSES[self.loss], precision=self.precision)

    @property
    def title(self) -> str:
        """The name, with the loss where it is not the usual one."""
        return self.name if self.loss == "cross_entropy" else f"{self.name} ({self.loss})"

    @property
    def precision(self) -> str:
        """At which the attack runs: exact curvature needs float32, the rest takes what is fast."""
        return "float32" if self.name == "hessian" else "fast"

    @property
    def gradients(self) -> float:
        """About what it costs per example."""
        known = inspect.signature(ATTACKS[self.name]).parameters
        settings = {key: known[key].default for key in ("steps", "draws") if key in known} | self._given()
        each = settings.get("draws", 1) if self.name != "hessian" else 7
        return float(settings.get("steps", 1) * each)

    def _given(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key not in ("name", "loss") and value is not None}
