"""Nets that learn made sets, and which of them learned anything: verdicts rest on those alone."""

from collections.abc import Mapping
from dataclasses import dataclass

from brittle.studies import Train

from ..paper import Ruling
from ..results import Results
from .lab import TRAINED, Ilyas2019Lab

Nets = tuple[Train, ...]  # the same training with several seeds
CHANCE = "chance is the share of the commonest test label"
OF_TRAINED = (
    f"; asked of nets that are right on {TRAINED:g} / classes or more of the images of their own set that were held out"
)


@dataclass(frozen=True)
class NotTrained:
    """The evidence where nets that a claim rests on learned nothing."""

    untrained: tuple[str, ...]

    def ruling(self) -> Ruling:
        return Ruling("open", f"not trained: {', '.join(self.untrained)}")


def trained(lab: Ilyas2019Lab, results: Results, nets: Nets) -> Nets:
    """Those that learned their set."""
    return tuple(net for net in nets if lab.floor(net).reached(results))


def untrained(lab: Ilyas2019Lab, results: Results, named: Mapping[str, Nets]) -> tuple[str, ...]:
    """The others, by name and seed, with what they reach on images of their set that were held out."""
    return tuple(
        f"{name}, seed {net.seed} ({results.share(net, 'held_out')} of its own held-out images)"
        for name, nets in named.items()
        for net in nets
        if not lab.floor(net).reached(results)
    )
