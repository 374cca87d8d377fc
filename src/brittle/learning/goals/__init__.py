"""Goals: what training makes small. A goal is data; `losses(learner, x, y, at, memory)` gives the loss of each example
[B]."""

from typing import Any, NamedTuple

from brittle.attacks import Threat
from brittle.ground import BrittleError

from .adversarial import Adversarial, Ensemble, Standard
from .common import Goal, InnerAttack, Learner, Memory, Moment
from .regularised import Atda, Trades
from .several import Average, Eat, Maximum, Msd


class GoalEntry(NamedTuple):
    """A goal by its name: what it is, its class, and which of its fields `--weight` sets."""

    what: str
    goal: Any
    weight: str | None = None


GOALS = {
    "standard": GoalEntry("cross-entropy on clean images", Standard),
    "adversarial": GoalEntry("cross-entropy on attacked images; several norms alternate (Mix)", Adversarial),
    "trades": GoalEntry(
        "TRADES: cross-entropy, and beta (the weight) times KL towards attacked images", Trades, "beta"
    ),
    "ensemble": GoalEntry(
        "attacked through static nets (--static) and the net itself; weight of clean images", Ensemble, "clean"
    ),
    "atda": GoalEntry(
        "ATDA: clean and attacked logits distributed alike; weight of CORAL + MMD + margin", Atda, "weight"
    ),
    "avg": GoalEntry("AVG: mean over threats", Average),
    "max": GoalEntry("MAX: the worst threat per example", Maximum),
    "msd": GoalEntry("MSD: the steepest threat per step", Msd),
    "eat": GoalEntry("E-AT: one threat per batch, the weaker the likelier", Eat),
}


def goal_named(
    name: str,
    threats: tuple[Threat, ...],
    inner: InnerAttack | None = None,
    ramp: float | None = None,
    weight: float | None = None,
) -> Goal:
    """The goal called `name`, with its own defaults where nothing is given.

    Raises:
        BrittleError: an unknown name, no threat, or a weight for a goal that has none.
    """
    if name not in GOALS:
        raise BrittleError(f"no goal is called {name!r}; known: {', '.join(GOALS)}")
    kind = GOALS[name]
    if weight is not None and kind.weight is None:
        raise BrittleError(f"the goal {name!r} has no weight")
    if kind.goal is Standard:
        if threats:
            raise BrittleError("the standard goal withstands nothing: drop --threat, or use --goal adversarial")
        return Standard()
    given = {"inner": inner, "ramp": ramp, kind.weight or "": weight}
    goal: Goal = kind.goal(threats, **{key: value for key, value in given.items() if value is not None})
    return goal


def default_inner(name: str) -> InnerAttack:
    """The inner attack that the goal called `name` has by default."""
    inner: InnerAttack = getattr(GOALS[name].goal, "inner", InnerAttack()) if name in GOALS else InnerAttack()
    return inner


__all__ = [
    "GOALS",
    "Adversarial",
    "Atda",
    "Average",
    "Eat",
    "Ensemble",
    "Goal",
    "GoalEntry",
    "InnerAttack",
    "Learner",
    "Maximum",
    "Memory",
    "Moment",
    "Msd",
    "Standard",
    "Trades",
    "default_inner",
    "goal_named",
]
