"""Which attacks an audit runs in a threat, the cheap ones first: settings of the registry's attacks, as data."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from brittle.attacks import Attack, AttackSpec, MinimumNorm, Threat
from brittle.ground import BrittleError

SURVIVE = 0.5  # the share of examples that each attack is assumed to leave, for plans


@dataclass(frozen=True)
class Effort:
    """How hard an audit tries.

    Attributes:
        attacks: in the order in which they run; each runs in the threats that it works in.
        compared: the short and the long attack, the averaged one and the black boxes that are compared with one
            another.
        probes: examples on which they are compared.
    """

    attacks: tuple[AttackSpec, ...]
    compared: tuple[AttackSpec, ...]
    probes: int

    def gradients(self, threats: Iterable[Threat], n: int) -> float:
        """About what an audit of `n` examples costs, in gradients of one example."""
        each = 0.0
        for threat in threats:
            tried = sum(SURVIVE * spec.cost.gradients for spec in self.attacks if spec.entry.supports(threat))
            looks = sum(2 * spec.cost.gradients for spec in self.compared if spec.entry.supports(threat))
            each += n * tried + min(n, self.probes) * looks
        return each


def _effort(
    *, steps: int, pgd: int, minimum: int, targets: int, averaged: tuple[int, int], queries: int, probes: int
) -> Effort:
    of, (averaged_steps, draws) = AttackSpec.of, averaged
    second = of("second_order", steps=averaged_steps, draws=draws, start="random")
    black = (of("square", queries=queries), of("sparse_search", queries=queries))
    attacks = (
        of("fmn", steps=minimum),
        of("sigma_zero", steps=2 * minimum),
        of("pgd", steps=pgd),
        of("apgd", steps=steps),
        of("apgd", steps=steps, loss="dlr"),
        of("apgd_targeted", steps=steps, targets=targets),
        second,
        *black,
        of("random", draws=10),
        of("grid"),
    )
    return Effort(attacks, (of("pgd", steps=max(5, pgd // 4)), of("pgd", steps=pgd), second, *black), probes)


EFFORTS = {
    "smoke": _effort(steps=10, pgd=5, minimum=10, targets=1, averaged=(5, 2), queries=20, probes=10),  # all runs
    "quick": _effort(steps=30, pgd=20, minimum=40, targets=1, averaged=(15, 5), queries=150, probes=50),
    "standard": _effort(steps=100, pgd=40, minimum=100, targets=3, averaged=(40, 10), queries=1000, probes=100),
    "thorough": _effort(steps=100, pgd=100, minimum=300, targets=9, averaged=(60, 20), queries=5000, probes=200),
}


def effort_named(name: str) -> Effort:
    """The effort called `smoke`, `quick`, `standard` or `thorough`."""
    if name not in EFFORTS:
        raise BrittleError(f"no effort is called {name!r}; known: {', '.join(EFFORTS)}")
    return EFFORTS[name]


def ensemble(
    model: Callable[[Tensor], Any], threat: Threat, specs: Iterable[AttackSpec], *, dims: int, seed: int
) -> dict[str, Attack | MinimumNorm]:
    """The attacks of one threat by their names, in the order in which they run.

    Minimum-norm attacks stand first: they also draw the accuracy-versus-eps curve.

    Args:
        dims: of a batch of examples; some attacks need [B, C, H, W].
    Raises:
        BrittleError: a threat in which none of them works.
    """
    able = [spec for spec in specs if spec.entry.supports(threat, dims)]
    if not able:
        raise BrittleError(
            f"no attack of this audit works in {threat}; brittle attacks tells which do, --with adds one"
        )
    built = ((spec, spec.search(model, threat, seed)) for spec in able)
    return {f"{one.name} ({spec.loss})" if spec.loss else one.name: one for spec, one in built}
