"""Attacks that only look: every allowed image (grid search), or some at random (worst of k)."""

import torch

from brittle.ground import Images

from ..attack import Attack
from ..combine import in_turn, merged, survivors
from ..loop import AttackResult, evaluation_at
from ..losses import Aim
from ..objectives import Objective, session
from ..registry import LAWS, Cost, register
from ..threats import Finite, Threat


@register(
    "grid",
    what="every allowed image, so that what it leaves is proved robust",
    source="Engstrom et al. 2019 (grid search)",
    needs=Finite,
    cost=lambda: Cost(3000, 0),
    loss="margin",
    precision="float32",
)
def grid(objective: Objective, threat: Finite, *, seed: int = 0) -> Attack:
    """Each allowed image in turn, the smallest changes first, until one succeeds.

    Cost: as many forward passes as images are allowed (2,989 in Spatial:30,3), fewer where one succeeds. Random:
    nothing.
    Source: Engstrom et al. 2019 (grid search), over all of our finite threat.
    """

    def search(x: Images, y: Aim, seed: int) -> AttackResult:
        with session(objective) as evaluate:

            def member(index: int, x: Images, y: Aim) -> AttackResult:
                moved = threat.member(x, torch.full((len(x),), index, device=x.device))
                seen = evaluation_at(evaluate, moved, y)
                return AttackResult(moved, seen.success, seen.margin)

            runs = [lambda x, y, rows, k=k: member(k, x, y) for k in range(1, threat.count(x))]
            return in_turn(member(0, x, y), x, y, runs)

    return Attack("grid", search, seed)


@register(
    "random",
    what="the worst of some allowed images drawn at random, in any threat",
    source="Engstrom et al. 2019 (worst of k)",
    needs=Threat,
    cost=lambda draws: Cost(draws + 1, 0),
    loss="margin",
    laws=LAWS - {"larger eps never helps"},  # draws from a larger ball are other draws
    precision="float32",
)
def random(objective: Objective, threat: Threat, *, draws: int = 10, seed: int = 0) -> Attack:
    """Images drawn from the threat, one after another, survivors only.

    Cost: at most `draws` + 1 forward passes. Random: the draws, functions of the image and `seed`.
    Source: Engstrom et al. 2019 (worst of k).
    """

    def search(x: Images, y: Aim, seed: int) -> AttackResult:
        with session(objective) as evaluate:
            seen = evaluation_at(evaluate, x, y)
            best = AttackResult(x, seen.success, seen.margin)
            for k in range(draws):
                rows = survivors(best)
                if len(rows) == 0:
                    break
                drawn = threat.sample(x[rows], seed * draws + k)
                seen = evaluation_at(evaluate, drawn, y[rows])
                best = merged(best, rows, AttackResult(drawn, seen.success, seen.margin))
        return best

    return Attack(f"random-{draws}", search, seed)
