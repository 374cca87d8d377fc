"""Square, then Auto-PGD from where it ends: a search without gradients leaves the region in which they mislead."""

from torch import Tensor

from brittle.ground import Images

from ..attack import Attack
from ..combine import in_turn
from ..loop import AttackResult
from ..losses import Aim
from ..objectives import Objective, done_of
from ..registry import Cost, register
from ..starts import given
from ..threats import NormBall
from .apgd import apgd
from .square import square


@register(
    "square_apgd",
    what="Square, then APGD from where it ends, on the margin",
    source="ours, after Andriushchenko et al. 2020 and Croce and Hein 2020",
    needs=NormBall,
    cost=lambda queries, steps: Cost(queries + steps + 2, steps),
    loss="margin",
    precision="float32",
    images=True,
)
def square_apgd(
    objective: Objective, threat: NormBall, *, queries: int = 300, steps: int = 30, seed: int = 0
) -> Attack:
    """Square for `queries`, then APGD from its best image for `steps`, survivors only.

    Cost: `queries` + 1 forward passes, `steps` gradients, one forward pass. Random: those of Square.
    Source: ours, from Andriushchenko et al. 2020 (Square) and Croce and Hein 2020 (APGD); figures: docs/audits.md.
    """
    search = square(objective, threat, queries=queries)

    def run(x: Images, y: Aim, seed: int) -> AttackResult:
        best = search.seeded(seed).tried(x, y)

        def climb(x: Images, y: Aim, rows: Tensor) -> AttackResult:
            return apgd(objective, threat, steps=steps, start=given(x, best.x[rows])).tried(x, y)

        return in_turn(best, x, y, [climb], done_of(objective))

    return Attack(f"Square-{queries} then APGD-{steps}", run, seed)
