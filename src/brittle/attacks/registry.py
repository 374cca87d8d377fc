"""The one list of attacks: command line, training, audits, plans, docs and the tests' laws are made from it."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from torch import Tensor

from brittle.ground import BrittleError, plugins

from .attack import Attack
from .losses import loss_named
from .minimum import MinimumNorm
from .objectives import ModelObjective, Objective, against
from .starts import start_named
from .threats import Ball, Finite, NormBall, Threat, number_of

LAWS = frozenset({"alone as in a batch", "eps 0 is clean", "larger eps never helps", "two classes", "NaN is an error"})
Value = int | float | str
Builder = TypeVar("Builder", bound=Callable[..., Any])


class Cost(NamedTuple):
    """What an attack asks of the model per image: images shown to it, and images whose gradient is asked (shown as
    well)."""

    forwards: float
    backwards: float

    @property
    def work(self) -> float:
        """In forward passes, a backward pass counted as two."""
        return self.forwards + 2 * self.backwards

    @property
    def gradients(self) -> float:
        """In gradients, a forward pass counted as a third of one."""
        return self.work / 3


@dataclass(frozen=True)
class AttackEntry:
    """An attack as the registry knows it.

    Attributes:
        name: as it is typed.
        build: `(objective, threat, *, ..., seed) -> Attack or MinimumNorm`; its other parameters are the attack's
            settings.
        what: one line.
        source: paper.
        needs: the kind of threat it works in (`Threat`, `Ball`, `NormBall`, `Finite`), or a test of a threat.
        cost: `(settings) -> Cost`, of those settings that it names.
        loss: the loss it climbs unless another is asked for; none: it brings its own.
        laws: what holds of it, of `LAWS`; the tests hold it to them.
        precision: `fast`, or `float32` where bfloat16 would spoil it.
        images: whether examples must be images [B, C, H, W].
    Raises:
        BrittleError: a cost of something that is no setting, a loss or a law that is not known.
    """

    name: str
    build: Callable[..., Any]
    what: str
    source: str
    needs: Any
    cost: Callable[..., Cost]
    loss: str | None = "cross_entropy"
    laws: frozenset[str] = LAWS
    precision: str = "fast"
    images: bool = False

    def __post_init__(self) -> None:
        strange = [*(set(inspect.signature(self.cost).parameters) - set(self.settings)), *(self.laws - LAWS)]
        if strange:
            raise BrittleError(f"the attack {self.name!r} has no setting or law {strange[0]!r}")
        if self.loss is not None:
            loss_named(self.loss)

    def supports(self, threat: Threat, dims: int = 4) -> bool:
        """Whether it works in this threat, on batches of `dims` dimensions."""
        if self.images and dims != 4:
            return False
        if isinstance(self.needs, type):
            return isinstance(threat, self.needs)
        return bool(self.needs(threat))

    @property
    def settings(self) -> dict[str, Any]:
        """Its parameters by name, with their defaults."""
        known = inspect.signature(self.build).parameters.values()
        return {one.name: one.default for one in known if one.kind is one.KEYWORD_ONLY and one.name != "seed"}

    def cost_of(self, given: dict[str, Any]) -> Cost:
        """What it costs per image with these settings, if no image is finished early."""
        settings = self.settings | given
        return self.cost(**{name: settings[name] for name in inspect.signature(self.cost).parameters})


GROUP = "brittle.attacks"  # of entry points
_ENTRIES: dict[str, AttackEntry] = {}


def register(
    name: str,
    *,
    what: str,
    source: str,
    needs: Any,
    cost: Callable[..., Cost],
    loss: str | None = "cross_entropy",
    laws: frozenset[str] = LAWS,
    precision: str = "fast",
    images: bool = False,
) -> Callable[[Builder], Builder]:
    """Enter the attack that the decorated function builds, under `name`. The arguments are those of `AttackEntry`.

    Raises:
        BrittleError: another attack has the name.
    """

    def enter(build: Builder) -> Builder:
        before = _ENTRIES.get(name)
        if before is not None and before.build.__module__ != build.__module__:
            raise BrittleError(
                f"two attacks are called {name!r}: in {before.build.__module__} and in {build.__module__}"
            )
        _ENTRIES[name] = AttackEntry(name, build, what, source, needs, cost, loss, laws, precision, images)
        return build

    return enter


def attack_entries() -> dict[str, AttackEntry]:
    """All attacks by name: a file each in `brittle.attacks.named`, and those of the entry-point group
    `brittle.attacks`."""
    from . import named

    for module in pkgutil.iter_modules(named.__path__):
        importlib.import_module(f"{named.__name__}.{module.name}")
    plugins(GROUP)  # importing one registers it
    return dict(sorted(_ENTRIES.items()))


def broken_attacks() -> dict[str, str]:
    """The plugins that cannot be used, by the name of their entry point: one line each that says why."""
    return plugins(GROUP).broken


def attack_named(name: str) -> AttackEntry:
    """The attack called `name`.

    Raises:
        BrittleError: an unknown name.
    """
    known = _ENTRIES if name in _ENTRIES else attack_entries()  # other packages are only asked for what is not here
    if name not in known:
        told = f"no attack is called {name!r}; known: {', '.join(known)}"
        raise BrittleError("; ".join([told, *plugins(GROUP).broken.values()]))
    return known[name]


@dataclass(frozen=True)
class AttackSpec:
    """An attack by its name and settings, as declarations and the command line carry it: `AttackSpec.of("pgd",
    steps=40)`.

    Attributes:
        name: of an entry of the registry.
        given: the settings that are not left at the attack's own default, sorted by name.
        loss: what is made large, where that is not the attack's usual loss.
    Raises:
        BrittleError: an unknown name, or a setting that the attack does not have.
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
        if "start" in dict(self.given):
            start_named(str(dict(self.given)["start"]))
        if self.loss is not None:
            if entry.loss is None:
                raise BrittleError(f"the attack {self.name!r} brings its own loss; leave {self.loss!r} away")
            loss_named(self.loss)

    @classmethod
    def of(cls, name: str, *, loss: str | None = None, **given: Value | None) -> "AttackSpec":
        """The attack with these settings; what is None stays at its default."""
        return cls(name, tuple(sorted(_said(given).items())), loss)

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
        loss = given.pop("loss", None)
        return cls(name.strip(), tuple(sorted(given.items())), None if loss is None else str(loss))

    def changed(self, *, loss: str | None = None, **given: Value | None) -> "AttackSpec":
        """The same with some settings changed; what is None stays as it is."""
        return AttackSpec.of(self.name, loss=loss or self.loss, **(dict(self.given) | _said(given)))

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

    def search_on(self, objective: Objective, threat: Threat, seed: int = 0) -> Attack | MinimumNorm:
        """As `search`, on any objective.

        Raises:
            BrittleError: a threat that the attack does not work in.
        """
        if not self.entry.supports(threat):
            raise BrittleError(f"the attack {self.name!r} does not work in {threat}; brittle attacks tells which do")
        found: Attack | MinimumNorm = self.entry.build(objective, threat, seed=seed, **dict(self.given))
        return found


def _said(given: Mapping[str, Value | None]) -> dict[str, Value]:
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


__all__ = [
    "LAWS",
    "AttackEntry",
    "AttackSpec",
    "Ball",
    "Cost",
    "Finite",
    "NormBall",
    "attack_entries",
    "attack_named",
    "broken_attacks",
    "register",
    "within",
]
