"""The goals by name: those of this folder, and those that installed packages add."""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

from brittle.attacks import Threat
from brittle.ground import INSTALLED, BrittleError, broken_line, plugins

from .goal import Goal, GoalEntry
from .inner import InnerAttack, require_settings

GROUP = "brittle.goals"


def goal_entries() -> dict[str, GoalEntry]:
    """Every goal by its name: the `GOAL` of each file in this folder, then the entry points of the group
    `brittle.goals`.

    Plugins that cannot be used are left out; `broken_goals` says why.
    """
    return dict(_found()[0])


def broken_goals() -> dict[str, str]:
    """The plugins that cannot be used, by the name of their entry point: one line each that says why."""
    return dict(_found()[1])


@cache
def _found() -> tuple[dict[str, GoalEntry], dict[str, str]]:
    entries = {entry.name: entry for entry in _ours()}
    offered = plugins(GROUP)
    broken = dict(offered.broken)
    for name, entry in offered.found.items():
        try:
            if not isinstance(entry, GoalEntry):
                raise BrittleError("it is no GoalEntry")
            if entry.name in entries:
                raise BrittleError(f"a goal is called {entry.name!r} already")
            entries[entry.name] = entry
        except BrittleError as error:
            broken[name] = broken_line(GROUP, name, error)
    return entries, broken


def _ours() -> Iterator[GoalEntry]:
    for file in pkgutil.iter_modules(importlib.import_module(__package__).__path__):
        entry = getattr(importlib.import_module(f"{__package__}.{file.name}"), "GOAL", None)
        if entry is not None:
            yield entry


def goal_entry(name: str) -> GoalEntry:
    """The entry of the goal called `name`.

    Raises:
        BrittleError: an unknown name, or a plugin that is broken.
    """
    entries, broken = _found()
    if name in entries:
        return entries[name]
    raise BrittleError(broken.get(name, f"no goal is called {name!r}; known: {', '.join(entries)}; {INSTALLED}"))


def goal_named(
    name: str,
    threats: tuple[Threat, ...] = (),
    inner: InnerAttack | None = None,
    ramp: float | None = None,
    weight: float | None = None,
) -> Goal:
    """The goal called `name`, with its own defaults where nothing is given.

    Raises:
        BrittleError: an unknown name, no threat for a goal that needs one, or something that the goal does not have.
    """
    entry = goal_entry(name)
    if threats and "threats" not in entry.settings:
        raise BrittleError(f"the goal {name!r} withstands nothing: drop --threat, or use --goal adversarial")
    asked = {"inner": inner, "ramp": ramp, entry.weight or "weight": weight}
    given = {key: value for key, value in asked.items() if value is not None}
    own = entry.settings if entry.weight else entry.settings - {"weight"}
    if strange := [key for key in given if key not in own]:
        raise BrittleError(f"the goal {name!r} has no {', '.join(strange)}")
    return entry.goal(threats, **given) if "threats" in entry.settings else entry.goal(**given)


def goal_name(goal: Goal) -> str:
    """The name of a goal; its class's, where no entry is of this class."""
    return next(
        (entry.name for entry in goal_entries().values() if entry.goal is type(goal)), type(goal).__name__.lower()
    )


def check_static(goal: Goal, count: int) -> None:
    """Raise `BrittleError` if a goal that attacks through static nets is given none, or another one is given some."""
    entry = next((entry for entry in goal_entries().values() if entry.goal is type(goal)), None)
    if entry and entry.static and not count:
        raise BrittleError(f"the goal {entry.name!r} attacks through nets trained before; name some: --static NET")
    if entry and count and not entry.static:
        raise BrittleError(f"the goal {entry.name!r} attacks through no other net; drop --static")


def inner_attack_of(
    name: str,
    attack: str | None = None,
    steps: int | None = None,
    step: float | None = None,
    start: str | None = None,
) -> InnerAttack | None:
    """The inner attack that the goal called `name` has by default, with what is given here changed; None if nothing is.

    Raises:
        BrittleError: an unknown goal, one that does not attack, or a setting that the attack does not have.
    """
    asked = {"attack": attack, "steps": steps, "step": step, "start": start}
    given = [key for key, value in asked.items() if value is not None]
    if not given:
        return None
    default = getattr(goal_entry(name).goal, "inner", None)
    if not isinstance(default, InnerAttack):
        raise BrittleError(f"the goal {name!r} attacks nothing: it has no {', '.join(given)}")
    require_settings(attack or default.attack, [key for key in given if key != "attack"])
    return InnerAttack(
        attack or default.attack,
        default.steps if steps is None else steps,
        default.step if step is None else step,
        default.start if start is None else start,
    )
