"""What a goal is: frozen data with a loss per example, and the entry under which it is known by name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Literal, NamedTuple, Protocol, runtime_checkable

from torch import Tensor, nn

from brittle.attacks import Linf, Threat
from brittle.ground import BrittleError, Images, Labels, Logits, PerExample

PARAMETER_GRADIENT = 1.6  # what a gradient with respect to the parameters costs, in gradients at the input
FORWARD_PASS = 0.4  # and a forward pass alone
Memory = Mapping[str, Tensor]  # what a goal carries from step to step, empty before the first; part of the saved state
Law = Literal["mix", "adversarial in one threat", "standard at eps 0", "standard at weight 0"]


class Learner(NamedTuple):
    """The net that is attacked; its forward pass whose gradients are learned from (spread over devices, in mixed
    precision); nets trained before, which only lend adversarial images."""

    net: nn.Module
    forward: Callable[[Images], Logits]
    static: tuple[nn.Module, ...] = ()


class Moment(NamedTuple):
    """Where training stands: number of the step, share of all steps done in [0, 1], seed of this step."""

    step: int
    done: float
    seed: int


@runtime_checkable
class Goal(Protocol):
    """A training goal: frozen data with a loss per example, and a memory handed in and handed back.

    `cost` is about what a step takes per example, in gradients with respect to the input.
    """

    @property
    def threats(self) -> tuple[Threat, ...]: ...
    @property
    def cost(self) -> float: ...
    def losses(
        self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory
    ) -> tuple[PerExample, Memory]: ...


@dataclass(frozen=True)
class GoalEntry:
    """A goal by its name. The file of a goal ends with one, called `GOAL`; a package of yours names one as an entry
    point of the group `brittle.goals`.

    Attributes:
        name: as `brittle train --goal` takes it.
        goal: its frozen dataclass. One that attacks has the fields `threats`, `inner` and `ramp`, with defaults for
            all but the threats.
        what: one line for `brittle goals`.
        source: the paper.
        weight: the field that `--weight` sets.
        laws: what holds beside the laws of all goals; the tests hold it to them. `mix`: batches take the threats in
            turn; `adversarial in one threat`: with one threat it is `Adversarial`; `standard at eps 0`, `standard at
            weight 0`: there it is `Standard`.
        static: whether it attacks through nets trained before (`--static`).
    Raises:
        BrittleError: the class is no goal, or has no such field.
    """

    name: str
    goal: Callable[..., Goal]
    what: str
    source: str = ""
    weight: str | None = None
    laws: tuple[Law, ...] = ()
    static: bool = False

    def __post_init__(self) -> None:
        parts = is_dataclass(self.goal) and hasattr(self.goal, "cost") and hasattr(self.goal, "losses")
        if not (parts and isinstance(self.usual, Goal)):
            raise BrittleError(f"the goal {self.name!r} is no dataclass with threats, cost and losses")
        if self.weight is not None and self.weight not in self.settings:
            raise BrittleError(f"the goal {self.name!r} has no field {self.weight!r} for its weight")

    @property
    def settings(self) -> frozenset[str]:
        """The fields of the goal."""
        return frozenset(field.name for field in fields(self.goal))  # type: ignore[arg-type]

    @property
    def usual(self) -> Goal:
        """The goal with its own defaults, in one threat if it attacks."""
        return self.goal((Linf("8/255"),)) if "threats" in self.settings else self.goal()
