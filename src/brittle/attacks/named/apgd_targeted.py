"""APGD-T and MM: APGD towards one wrong class after another."""

from dataclasses import replace

import torch
from jaxtyping import Int
from torch import Tensor

from brittle.ground import Images, Labels

from ..attack import Attack
from ..combine import in_turn
from ..loop import AttackResult, evaluation_at
from ..losses import Loss, Targets, targeted_dlr, targeted_margin
from ..objectives import Evaluation, ModelObjective, session
from ..registry import Cost, register
from ..threats import Ball
from .apgd import apgd


@register(
    "apgd_targeted",
    what="APGD-T: Auto-PGD towards the most probable wrong classes in turn, on targeted DLR",
    source="Croce and Hein 2020",
    needs=Ball,
    cost=lambda steps, targets: Cost(2 + targets * (steps + 1), targets * steps),
    loss=None,
)
def apgd_targeted(
    objective: ModelObjective, threat: Ball, *, steps: int = 100, targets: int = 9, seed: int = 0
) -> Attack:
    """APGD towards each of the `targets` most probable wrong classes in turn (at most C - 1), survivors only.

    Args:
        objective: untargeted (`against(model)`); its loss is replaced by the targeted DLR loss.
    Cost: at most `targets` * (`steps` gradients + 1 forward pass) and 2 forward passes.
    Source: Croce and Hein 2020, APGD with targeted DLR.
    """
    return toward_each(
        f"APGD-T-{steps}x{targets}", objective, targeted_dlr, threat, steps=steps, targets=targets, seed=seed
    )


@register(
    "mm",
    what="MM: Auto-PGD on the targeted margin, towards the most probable wrong classes in turn",
    source="Gao et al. 2022",
    needs=Ball,
    cost=lambda steps, targets: Cost(2 + targets * (steps + 1), targets * steps),
    loss=None,
)
def mm(objective: ModelObjective, threat: Ball, *, steps: int = 20, targets: int = 3, seed: int = 0) -> Attack:
    """The minimum-margin attack: max over t of z_t - z_y, the `targets` most probable t in turn, survivors only.

    Cost: at most `targets` * (`steps` gradients + 1 forward pass) and 2 forward passes.
    Source: Gao et al. 2022 (MM3: 3 targets of 20 steps; MM5, MM9, MM+ take more).
    """
    return toward_each(
        f"MM-{steps}x{targets}", objective, targeted_margin, threat, steps=steps, targets=targets, seed=seed
    )


def toward_each(
    name: str, objective: ModelObjective, loss: Loss, threat: Ball, *, steps: int, targets: int, seed: int
) -> Attack:
    """APGD on a targeted loss, one wrong class after another, the most probable first; survivors only."""
    aimed = replace(objective, loss=loss)
    inner = apgd(aimed, threat, steps=steps)

    def search(x: Images, y: Labels, seed: int) -> AttackResult:
        with session(replace(objective, loss=_none)) as evaluate:
            clean = evaluation_at(evaluate, x, y)
        ranked = ranked_others(clean, y)

        def run(k: int, x: Images, y: Labels, rows: Tensor) -> AttackResult:
            return inner.seeded(seed + k).tried(x, Targets(y, ranked[rows, k]))

        runs = [lambda x, y, rows, k=k: run(k, x, y, rows) for k in range(min(targets, ranked.shape[1]))]
        if objective.done is not None:  # in bfloat16 alone the clean image may fool
            clean = clean._replace(success=torch.zeros_like(clean.success))
        begun = AttackResult(x, clean.success, clean.margin, ~clean.success)  # blind, until a run is not
        return in_turn(begun, x, y, runs, objective.done)

    return Attack(name, search, seed)


def ranked_others(clean: Evaluation, y: Labels) -> Int[Tensor, "B others"]:
    """The classes other than `y` [B, C - 1], the most probable first."""
    order = clean.logits.scatter(1, y[:, None], -torch.inf).argsort(dim=1, descending=True, stable=True)
    return order[:, :-1]


def _none(logits: Tensor, y: Labels) -> Tensor:
    return logits[:, 0]
