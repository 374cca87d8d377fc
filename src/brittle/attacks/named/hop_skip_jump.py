"""HopSkipJump: along the decision boundary by answers alone, for models that give no more than a class."""

import math
from collections.abc import Iterator

import torch

from brittle.ground import Images, Keys, PerExample, keys_of, normal, uniform, unit

from ..loop import Estimator, Iterate, PathPoint, Rule, evaluation_at, per_example, select, walk
from ..losses import Aim, margin
from ..minimum import MinimumNormWalk, with_loss
from ..objectives import Evaluate, Evaluation, Objective
from ..registry import Cost, register
from ..starts import Start, start_named
from ..threats import NormBall, Threat

BISECTIONS, HALVINGS = 12, 8  # of the way back to the image, and of a step that leads back over the boundary
FLOOR = 1e-5  # of a pixel: shorter moves are lost in float32
BLENDS = 20  # uniform noise images that are tried for a start


def _queries(steps: int, draws: int) -> Cost:
    return Cost(sum(_draws_at(t, draws) + HALVINGS + BISECTIONS + 1 for t in range(steps)) + BLENDS + BISECTIONS + 2, 0)


def _draws_at(t: int, draws: int) -> int:
    return round(draws * math.sqrt(t + 1))


@register(
    "hop_skip_jump",
    what="HopSkipJump: along the boundary by answers alone; asks for no gradient and no logit",
    source="Chen et al. 2020",
    needs=lambda threat: isinstance(threat, NormBall) and threat.order in (2, math.inf),
    cost=_queries,
    loss=None,
    precision="float32",
)
def hop_skip_jump(
    objective: Objective,
    threat: NormBall,
    *,
    steps: int = 10,
    draws: int = 30,
    start: Start = "noise",
    seed: int = 0,
) -> MinimumNormWalk:
    """The smallest change by decisions alone: at the boundary, a mean of random directions weighted by the answers
    there points outwards; a step along it, and back to the boundary on the way to the image.

    Args:
        draws: directions in the first step; sqrt(t) as many in step t.
        start: `noise`: the first of 20 images of uniform noise that is called otherwise; or a function, such as
            `from_outside`.
    Cost: about `steps` (30 + `draws` sqrt(`steps`)) forward passes. Random: directions and start, by image.
    Source: Chen, Jordan and Wainwright 2020 (HopSkipJumpAttack), algorithm 2. Differs: at most 8 halvings of a step,
    12 bisections whatever the number of pixels, directions never shorter than float32 can tell.
    """

    def move(grad: Images, evaluation: Evaluation, at: Iterate, memory: None) -> tuple[Images, None]:
        length = threat.size(at.x0, at.x) / math.sqrt(at.t + 1)
        return per_example(length, grad) * threat.steepest(grad), None

    def advance(evaluate: Evaluate, at: Iterate, move: Images) -> Images:
        """The longest of the halved steps that succeeds, back to the boundary; without any, where it was."""
        found, settled = at.x, torch.zeros(len(at.x), dtype=torch.bool, device=at.x.device)
        for halving in range(HALVINGS):
            tried = (at.x + move / 2**halving).clamp(0, 1)
            success = evaluation_at(evaluate, tried, at.y).success & ~settled
            found, settled = select(success, tried, found), settled | success
        return to_boundary(evaluate, threat, at.x0, found, at.y)

    def path(evaluate: Evaluate, x: Images, y: Aim, seed: int) -> Iterator[PathPoint]:
        begin = _blended if start == "noise" else start_named(start)
        first = to_boundary(evaluate, threat, x, begin(evaluate, threat, x, y, seed), y)
        rule, votes = Rule(lambda x0: None, move), voted_direction(threat, draws, seed)
        yield from walk(evaluate, x, y, start=first, rule=rule, advance=advance, estimator=votes, steps=steps)

    return MinimumNormWalk(f"HSJ-{steps}x{draws}", with_loss(objective, margin), threat, path, seed)


def voted_direction(threat: NormBall, draws: int, seed: int) -> Estimator:
    """The mean of (answer - mean answer) u over directions u, with 1 for an answer that succeeds and -1 for one that
    does not, close to x: equations 9 and 16 of the paper. Cost: `draws` sqrt(t) forward passes."""
    kind = normal if threat.order == 2 else _signed

    def update(evaluate: Evaluate, at: Iterate, keys: Keys) -> tuple[Evaluation, Images, Keys]:
        count, pixels = _draws_at(at.t, draws), at.x[0].numel()
        radius = per_example((threat.size(at.x0, at.x) / pixels).clamp(min=FLOOR * math.sqrt(pixels)), at.x)
        total, votes, toward = torch.zeros_like(at.x), at.x.new_zeros(len(at.x)), torch.zeros_like(at.x)
        for draw in range(count):
            u = unit(kind(keys, at.x.shape[1:], seed=seed, draw=1000 * at.t + draw).to(at.x))
            near = (at.x + radius * u).clamp(0, 1)
            u = (near - at.x) / radius.clamp(min=1e-12)
            vote = torch.where(evaluation_at(evaluate, near, at.y).success, 1.0, -1.0).to(at.x)
            votes, total, toward = votes + vote, total + u, toward + per_example(vote, u) * u
        mean = votes / count
        same = mean.abs() == 1  # all answers alike: the paper takes their own direction
        grad = select(same, per_example(mean, total) * total, toward - per_example(mean, total) * total)
        return evaluation_at(evaluate, at.x, at.y), grad / count, keys

    return Estimator(keys_of, update, asks=False)


def _signed(keys: Keys, shape: torch.Size, *, seed: int, draw: int) -> Images:
    return uniform(keys, shape, seed=seed, draw=draw) * 2 - 1


def to_boundary(evaluate: Evaluate, threat: NormBall, x0: Images, x: Images, y: Aim) -> Images:
    """From an image that succeeds back towards x0, as far as it still succeeds: along a line, in Linf by smaller and
    smaller balls. An image that does not succeed stays where it is."""
    least, most = x.new_zeros(len(x)), torch.ones(len(x), dtype=x.dtype, device=x.device)
    size = threat.size(x0, x)
    for _ in range(BISECTIONS):
        middle = (least + most) / 2
        success = evaluation_at(evaluate, _nearer(threat, x0, x, size * middle), y).success
        least, most = torch.where(success, least, middle), torch.where(success, middle, most)
    nearest: Images = select(most < 1, _nearer(threat, x0, x, size * most), x)
    return nearest


def _nearer(threat: NormBall, x0: Images, x: Images, radius: PerExample) -> Images:
    return threat.project_to(x0, x, radius)


def _blended(evaluate: Evaluate, threat: Threat, x: Images, y: Aim, seed: int) -> Images:
    """The first image of uniform noise that succeeds; without any, the image itself."""
    found, settled, keys = x, torch.zeros(len(x), dtype=torch.bool, device=x.device), keys_of(x)
    for draw in range(BLENDS):
        noise = uniform(keys, x.shape[1:], seed=seed, draw=-2 - draw).to(x)
        success = evaluation_at(evaluate, noise, y).success & ~settled
        found, settled = select(success, noise, found), settled | success
    return found
