"""DDN: the direction by the gradient, the length by what succeeded."""

from collections.abc import Iterator

import torch
from torch import Tensor

from brittle.ground import Images, PerExample, keys_of, normal, unit

from ..loop import Iterate, PathPoint, Rule, per_example, projected, select, walk
from ..losses import Aim, cross_entropy
from ..minimum import MinimumNormWalk, with_loss
from ..objectives import Evaluate, Evaluation, Objective
from ..registry import Cost, register
from ..rules import cosine
from ..starts import Start, start_named
from ..threats import NormBall


@register(
    "ddn",
    what="DDN: decoupled direction and norm, in L2",
    source="Rony et al. 2019",
    needs=lambda threat: isinstance(threat, NormBall) and threat.order == 2,
    cost=lambda steps: Cost(steps + 3, steps),
    loss=None,
    precision="float32",
)
def ddn(
    objective: Objective,
    threat: NormBall,
    *,
    steps: int = 100,
    gamma: float = 0.05,
    first: float = 1.0,
    start: Start = "clean",
    seed: int = 0,
) -> MinimumNormWalk:
    """The smallest L2 change: delta <- eps unit(delta + a unit(grad)), eps (1 - gamma) after a success, else eps (1 +
    gamma).

    The steps a fall from 1 to 0.01 along half a cosine; eps begins at `first`. Where the gradient vanishes a random
    direction is taken. The loss is cross-entropy.

    Cost: `steps` gradients, one forward pass, two more inside a threat. Random: directions where there is no gradient.
    Source: Rony et al. 2019, algorithm 1. Differs: images are not rounded to 256 levels.
    """

    def init(x0: Images) -> PerExample:
        return x0.new_full(x0.shape[:1], first)

    def update(grad: Tensor, evaluation: Evaluation, at: Iterate, eps: PerExample) -> tuple[Tensor, PerExample]:
        random = normal(keys_of(at.x0), at.x.shape[1:], seed=seed, draw=at.t).to(at.x.dtype)
        alive = grad.flatten(1).abs().amax(1) > 0
        delta = at.x - at.x0 + cosine(1, 0.01, at.t, steps) * select(alive, unit(grad), unit(random))
        eps = torch.where(evaluation.success, eps * (1 - gamma), eps * (1 + gamma))
        eps = torch.minimum(eps, torch.maximum(at.x0, 1 - at.x0).flatten(1).norm(dim=1))
        return at.x0 + per_example(eps, delta) * unit(delta) - at.x, eps

    def path(evaluate: Evaluate, x: Images, y: Aim, seed: int) -> Iterator[PathPoint]:
        at_first = start_named(start)(evaluate, threat, x, y, seed)
        pixels = projected(lambda x0, moved: moved.clamp(0, 1))
        yield from walk(evaluate, x, y, start=at_first, rule=Rule(init, update), advance=pixels, steps=steps)

    return MinimumNormWalk(f"DDN-{steps}", with_loss(objective, cross_entropy), threat, path, seed)
