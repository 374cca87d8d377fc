"""The one list of attacks: command line, training, audits, plans, docs and the tests' laws are made from it."""

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import (
    Any,
    Concatenate,
    Literal,
    NamedTuple,
    ParamSpec,
    Protocol,
    TypeVar,
    cast,
    get_args,
    get_origin,
    runtime_checkable,
)

from torch import Tensor, nn

from brittle.ground import INSTALLED, BrittleError, check_count, check_number, check_seed, plugins

from .answers import check_model
from .losses import loss_named
from .objectives import SessionObjective, against
from .threats import Threat, require_threat

LAWS = frozenset({"alone as in a batch", "eps 0 is clean", "larger eps never helps", "two classes", "NaN is an error"})
Target = TypeVar("Target", contravariant=True)
Within = TypeVar("Within", contravariant=True)
Built = TypeVar("Built", covariant=True)
Settings = ParamSpec("Settings")


@runtime_checkable
class Taking(Protocol[Target, Within, Settings, Built]):
    """What builds an attack, of a model and of the text of a threat too."""

    def __call__(
        self,
        objective: Target | Callable[[Tensor], Any],
        threat: Within | str,
        *more: Settings.args,
        **settings: Settings.kwargs,
    ) -> Built: ...


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

    def check(self, given: Mapping[str, Any]) -> None:
        """Raise `BrittleError` unless these settings are numbers of their kind: counts of at least 1, others finite and
        at least 0, and the seed."""
        kinds = {one.name: one.annotation for one in inspect.signature(self.build).parameters.values()}
        for name, value in given.items():
            if name == "seed":
                check_seed(value)
            elif get_origin(kinds.get(name)) is Literal and value not in get_args(kinds[name]):
                raise BrittleError(f"{name} is one of {', '.join(get_args(kinds[name]))}, not {value!r}")
            elif kinds.get(name) is int:
                check_count(name, value)
            elif kinds.get(name) in (float, float | None):
                check_number(name, value)

    def cost_of(self, given: dict[str, Any]) -> Cost:
        """What it costs per image with these settings, if no image is finished early."""
        settings = self.settings | given
        return self.cost(**{name: settings[name] for name in inspect.signature(self.cost).parameters})


PLACES = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
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
) -> Callable[[Callable[Concatenate[Target, Within, Settings], Built]], Taking[Target, Within, Settings, Built]]:
    """Enter the attack that the decorated function builds, under `name`. The arguments are those of `AttackEntry`.

    It may then be called with a model, a callable of images alone, which stands for `against(model)` with the attack's
    own loss, and with the text of a threat.

    Raises:
        BrittleError: another attack has the name; from the attack itself, a threat that it does not work in
            or a setting that is no such number.
    """

    def enter(
        build: Callable[Concatenate[Target, Within, Settings], Built],
    ) -> Taking[Target, Within, Settings, Built]:
        @functools.wraps(build)
        def checked(objective: Any, threat: Any, *more: Settings.args, **settings: Settings.kwargs) -> Built:
            entry, within = _ENTRIES[name], require_threat(threat)
            if not entry.supports(within):
                raise BrittleError(f"the attack {name!r} does not work in {threat}; brittle attacks tells which do")
            entry.check(settings)
            if _is_model(objective):
                objective = against(objective, loss_named(entry.loss or "cross_entropy"))
            return build(objective, cast(Within, within), *more, **settings)

        before = _ENTRIES.get(name)
        if before is not None and before.build.__module__ != build.__module__:
            raise BrittleError(
                f"two attacks are called {name!r}: in {before.build.__module__} and in {build.__module__}"
            )
        _ENTRIES[name] = AttackEntry(name, checked, what, source, needs, cost, loss, laws, precision, images)
        return checked

    return enter


def _is_model(objective: Any) -> bool:
    """Whether this is a model, which is shown images alone, and no objective of images and labels."""
    if isinstance(objective, SessionObjective):
        return False
    check_model(objective)
    try:
        shown = inspect.signature(objective.forward if isinstance(objective, nn.Module) else objective)
    except (TypeError, ValueError):  # a program of TorchScript has no signature
        return isinstance(objective, nn.Module)
    needed = [one for one in shown.parameters.values() if one.default is one.empty and one.kind in PLACES]
    return len(needed) == 1 or (not needed and isinstance(objective, nn.Module))


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
        raise BrittleError("; ".join([told, *(plugins(GROUP).broken.values() or [INSTALLED])]))
    return known[name]
