"""VMI-FGSM: momentum tuned by how the gradient varies around the image."""

import torch

from brittle.ground import Images, keys_of, uniform

from ..attack import Attack, check_step, gradient_attack
from ..loop import Estimator, Iterate, gradient_at
from ..objectives import Evaluate, Evaluation, Objective
from ..registry import Cost, register
from ..rules import chain, direction, momentum, scale
from ..starts import Start
from ..threats import Ball


@register(
    "vmi_fgsm",
    what="VMI-FGSM: MI-FGSM with the gradient's variation around the image added",
    source="Wang and He 2021",
    needs=Ball,
    cost=lambda steps, draws: Cost(steps * (draws + 1) + 1, steps * (draws + 1)),
)
def vmi_fgsm(
    objective: Objective,
    threat: Ball,
    *,
    steps: int = 20,
    step: float | None = None,
    decay: float = 1.0,
    draws: int = 5,
    width: float = 0.1,
    start: Start = "clean",
    seed: int = 0,
) -> Attack:
    """MI-FGSM along grad L(x_t) + v_t, where v_{t+1} = mean_k grad L(x_t + r_k) - grad L(x_t), r_k uniform in [-width,
    width].

    Args:
        draws: neighbours at each step; the paper takes 20.
        width: how far they lie at most in each pixel; the paper takes 1.5 eps (Linf 16/255).
    Cost: `steps` * (`draws` + 1) gradients, one forward pass. Random: the neighbours.
    Source: Wang and He 2021 (variance tuning), algorithm 1. Differs: `width` is in pixel units, for every norm.
    """
    step = threat.usual_step(steps) if step is None else step
    check_step(step, threat)

    def update(evaluate: Evaluate, at: Iterate, variation: Images) -> tuple[Evaluation, Images, Images]:
        evaluation, grad = gradient_at(evaluate, at.x, at.y)
        keys, around = keys_of(at.x0), torch.zeros_like(grad)
        for k in range(draws):
            offset = 2 * uniform(keys, at.x.shape[1:], seed=seed, draw=at.t * draws + k).to(at.x.dtype) - 1
            around += gradient_at(evaluate, at.x + width * offset, at.y)[1]
        return evaluation, grad + variation, around / draws - grad

    rule = chain(momentum(decay), direction(threat), scale(step))
    tuned = Estimator(torch.zeros_like, update)
    name = f"VMI-FGSM-{steps}x{draws}"
    return gradient_attack(name, objective, threat, rule, steps=steps, start=start, seed=seed, estimator=tuned)
