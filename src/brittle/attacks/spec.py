"""An attack by its name and settings, as it is declared, typed and built."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from brittle.ground import BrittleError

from .attack import Attack
from .losses import loss_named
from .minimum import MinimumNorm
from .objectives import ModelObjective, Objective, against
from .registry import AttackEntry, Cost, attack_named
from .starts import StartFunction, start_named
from .threats import Threat, number_of

Value = int | float | str


@dataclass(frozen=True)
class AttackSpec:
    """An attack by its name and settings, as declarations and the command line carry it: `AttackSpec.of("pgd",
    steps=40)`.

    Attributes:
        name: of an entry of the registry.
        given: the settings that are not left at the attack's own default, sorted by name.
        loss: what is made large, where that is not the attack's usual loss.
    Raises:
        BrittleError: an unknown name, or a setting that the attack does not have, or that is no number of its kind.
    """

    name: str
    given: tuple[tuple[str, Value], ...] = ()
    loss: str | None = None

    def __post_init__(self) -> None:
        entry = attack_named(self.name)
        strange = [name for name, _ in self.given if name not in entry.settings]
        if strange:
            known = ", ".join(entry.settings) or "none"
            raise BrittleError(f"the attack {self.name!r} has no {strange[0]!r}; its settings: {known}")
        entry.check(dict(self.given))
        if "start" in dict(self.given):
            start_named(str(dict(self.given)["start"]))
        if self.loss is not None:
            if entry.loss is None:
                raise BrittleError(f"the attack {self.name!r} brings its own loss; leave {self.loss!r} away")
            loss_named(self.loss)

    @classmethod
    def of(cls, name: str, *, loss: str | None = None, **given: Value | None) -> "AttackSpec":
        """The attack with these settings; what is None stays at its default."""
        return cls(name, tuple(sorted(_without_none(given).items())), loss)

    @classmethod
    def parse(cls, text: str) -> "AttackSpec":
        """The attack written `NAME` or `NAME:SETTING=VALUE,...`, such as `mm:targets=9,steps=20`; `loss` is a setting
        too.

        Raises:
            BrittleError: a text that says no attack.
        """
        name, _, rest = text.partition(":")
        pairs = [part.partition("=") for part in rest.split(",")] if rest else []
        if any(not sign for _, sign, _ in pairs):
            raise BrittleError(
                f"an attack is written NAME or NAME:SETTING=VALUE,..., such as pgd:steps=40, not {text!r}"
            )
        given = {key.strip(): _value(value.strip()) for key, _, value in pairs}
        if len(given) < len(pairs):
            raise BrittleError(f"a setting stands twice in {text!r}; give each once")
        loss = given.pop("loss", None)
        return cls(name.strip(), tuple(sorted(given.items())), None if loss is None else str(loss))

    def changed(self, *, loss: str | None = None, **given: Value | None) -> "AttackSpec":
        """The same with some settings changed; what is None stays as it is."""
        return AttackSpec.of(self.name, loss=loss or self.loss, **(dict(self.given) | _without_none(given)))

    def __str__(self) -> str:
        """As it is written on the command line, for `parse`."""
        loss = () if self.loss is None else (("loss", self.loss),)
        settings = ",".join(f"{key}={value}" for key, value in (*self.given, *loss))
        return f"{self.name}:{settings}" if settings else self.name

    @property
    def entry(self) -> AttackEntry:
        """The attack in the registry."""
        return attack_named(self.name)

    @property
    def settings(self) -> dict[str, Any]:
        """All settings, given or default."""
        return self.entry.settings | dict(self.given)

    @property
    def title(self) -> str:
        """The name, with the loss where it is not the usual one."""
        return self.name if self.loss is None else f"{self.name} ({self.loss})"

    @property
    def cost(self) -> Cost:
        """What it costs per image."""
        return self.entry.cost_of(dict(self.given))

    def objective(self, model: Callable[[Tensor], Any]) -> ModelObjective:
        """What it makes large on `model`, in the precision that it runs in."""
        return against(
            model, loss_named(self.loss or self.entry.loss or "cross_entropy"), precision=self.entry.precision
        )

    def build(self, model: Callable[[Tensor], Any], threat: Threat, seed: int = 0) -> Attack:
        """The attack on a model inside a threat.

        Raises:
            BrittleError: a threat that the attack does not work in.
        """
        return within(self.search(model, threat, seed), threat)

    def search(self, model: Callable[[Tensor], Any], threat: Threat, seed: int = 0) -> Attack | MinimumNorm:
        """As `build`, but a minimum-norm attack as such."""
        return self.search_on(self.objective(model), threat, seed)

    def search_on(
        self, objective: Objective, threat: Threat, seed: int = 0, **more: StartFunction
    ) -> Attack | MinimumNorm:
        """As `search`, on any objective.

        Args:
            more: `start`, a function that no declaration can carry.
        Raises:
            BrittleError: a threat that the attack does not work in.
        """
        found: Attack | MinimumNorm = self.entry.build(objective, threat, seed=seed, **dict(self.given) | more)
        return found


def _without_none(given: Mapping[str, Value | None]) -> dict[str, Value]:
    return {key: value for key, value in given.items() if value is not None}


def _value(text: str) -> Value:
    """A whole number, a number (8/255 too), or the text."""
    if text.removeprefix("-").isdecimal():
        return int(text)
    try:
        return number_of(text)
    except BrittleError:
        return text


def within(search: Attack | MinimumNorm, threat: Threat) -> Attack:
    """An attack inside the threat, also of a minimum-norm attack."""
    return search.within(threat) if isinstance(search, MinimumNorm) else search
