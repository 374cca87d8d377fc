"""A memetic search: a genetic one whose children are polished by steps along the gradient."""

from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from brittle.ground import BrittleError, Images, check_count, keys_of, uniform

from ..attack import BATCH, Attack, gradient_attack
from ..combine import ended, in_turn
from ..loop import AttackResult
from ..losses import Aim
from ..objectives import Objective, done_of
from ..registry import Cost, register
from ..rules import chain, direction, scheduled
from ..threats import NormBall
from .square import Window, another_change, first_change, numbers_of

SQUARES = 4  # drawn anew in each child
SMALL, PATCH = (0.07, 0.25), (0.1, 0.75)  # least and largest side of those, and of what the second parent gives
FIRST, LAST = 0.3, 0.01  # the steps of a polish, in units of the threat
LONGER = 3  # times as many steps for the first population
LARGEST = 1e30  # of a success that is not done: before all margins
ALIKE = 1e-4  # candidates whose margins differ by less, as a share of the largest, are one


class Generation(NamedTuple):
    """Polished candidates [B, P, *S], how far each came [B, P], and the worst one of each image for the model."""

    people: Tensor
    margins: Tensor
    worst: AttackResult


@register(
    "memetic",
    what="a genetic search whose children are polished by PGD on the margin: for the last images that are hard",
    source="ours, after Moscato 1989 and Andriushchenko et al. 2020",
    needs=NormBall,
    cost=lambda population, generations, steps: Cost(
        population * ((generations + LONGER) * steps + generations + 1),
        population * (generations + LONGER) * steps,
    ),
    loss="margin",
    precision="float32",
    images=True,
)
def memetic(
    objective: Objective,
    threat: NormBall,
    *,
    population: int = 16,
    generations: int = 30,
    steps: int = 12,
    seed: int = 0,
) -> Attack:
    """Candidates begin as Square does. In each generation, pairs of good ones give children: the first parent with a
    square patch of the second, and four small squares drawn anew. `steps` of PGD polish them; the best stay.

    PGD ends in the next local maximum, from wherever it starts; patches combine maxima, squares leave them.

    Cost: (`generations` + 3) `steps` `population` gradients, and `population` forward passes a generation. Random:
    parents, patches, squares, all functions of the image.
    Source: ours, from Moscato 1989 (memetic algorithms: each child climbs to its local maximum) and Andriushchenko et
    al. 2020 (Square's changes); figures: docs/audits.md.
    """
    for name, count in (("population", population), ("generations", generations), ("steps", steps)):
        check_count(name, count)

    def polished(x: Images, people: Tensor, y: Aim, steps: int) -> Generation:
        """Every candidate `people` [B P, *S] of the images x [B, *S] climbs."""
        rows = torch.arange(len(x), device=x.device).repeat_interleave(population)
        fall = (LAST / FIRST) ** (1 / max(steps - 1, 1))
        rule = chain(direction(threat), scheduled(lambda t: threat.step_unit * FIRST * fall**t))
        walk = gradient_attack("", objective, threat, rule, steps=steps, start=lambda *_: people, seed=0)
        found = walk.search(x[rows], y[rows], 0)
        over = ended(found, x[rows], y[rows], done_of(objective))
        margins = found.margin.nan_to_num(nan=-torch.inf)
        key = torch.where(over, torch.inf, torch.where(found.success, LARGEST, margins)).view(-1, population)
        best = key.argmax(1) + population * torch.arange(len(x), device=x.device)
        worst = AttackResult(*(part[best] for part in found))
        unknown = found.margin.view(-1, population).isnan().any(1)
        worst = worst._replace(margin=torch.where(unknown, torch.nan, worst.margin))
        return Generation(found.x.view(-1, population, *x.shape[1:]), margins.view(-1, population), worst)

    def run(x: Images, y: Aim, seed: int) -> AttackResult:
        if x.dim() != 4:
            raise BrittleError(f"the memetic attack needs images [B, C, H, W], not {list(x.shape)}")
        repeated = x.repeat_interleave(population, 0)
        begun = first_change(repeated, threat, lambda draw: _drawn(x, population, numbers_of(x), seed, draw))
        now = polished(x, threat.project(repeated, repeated + begun), y, LONGER * steps)
        people, margins = now.people.clone(), now.margins.clone()

        def generation(number: int, x: Images, y: Aim, rows: Tensor) -> AttackResult:
            children = _children(x, people[rows], margins[rows], threat, seed, number)
            new = polished(x, children, y, steps)
            both = torch.cat([people[rows], new.people], 1)
            kept, best = _fittest(torch.cat([margins[rows], new.margins], 1), population)
            people[rows], margins[rows] = both.gather(1, _across(kept, both).expand(-1, -1, *x.shape[1:])), best
            return new.worst

        runs = (partial(generation, number) for number in range(generations))
        return in_turn(now.worst, x, y, runs, done_of(objective))

    name = f"memetic-{population}x{generations}x{steps}"
    return Attack(name, run, seed, batch=max(1, BATCH // population))


def _children(x: Images, people: Tensor, margins: Tensor, threat: NormBall, seed: int, number: int) -> Tensor:
    """Two parents each, the better the likelier; a patch of the second in the first; then squares drawn anew
    [B P, *S]."""
    count, draws = margins.shape[1], 2 + SQUARES
    order = margins.argsort(1, descending=True)

    def draw(which: int) -> Tensor:
        return _drawn(x, count, numbers_of(x), seed, 1000 + draws * number + which)

    chosen = draw(0)[:, :2].view(len(x), count, 2).square() * count
    parents = [order.gather(1, chosen[..., k].long()) for k in (0, 1)]
    first, second = (people.gather(1, _across(one, people).expand_as(people)).flatten(0, 1) for one in parents)
    numbers = draw(1)
    patch = Window.at(first, _side(x, PATCH, number, 7), numbers[:, 0], numbers[:, 1]).inside
    repeated = x.repeat_interleave(count, 0)
    delta = torch.where(patch, second, first) - repeated
    for k in range(SQUARES):
        share = (_side(x, SMALL, number + k, 5) ** 2) / (x.shape[2] * x.shape[3])
        delta = another_change(delta, threat, share, draw(2 + k))
    return threat.project(repeated, repeated + delta)


def _side(x: Images, sides: tuple[float, float], number: int, count: int) -> int:
    """One of `count` sides, from the least to the largest, in turn."""
    least, largest = sides
    share = least + (largest - least) * (number % count) / (count - 1)
    return max(1, round(share * min(x.shape[2:])))


def _drawn(x: Images, count: int, shape: torch.Size, seed: int, draw: int) -> Tensor:
    """Numbers for each candidate [B count, *shape]."""
    return uniform(keys_of(x), torch.Size([count, *shape]), seed=seed, draw=draw).flatten(0, 1)


def _fittest(margins: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Which of all candidates stay, and their margins [B, count]: the best, of several alike one."""
    sorted_, order = margins.sort(1, descending=True)
    apart = torch.ones_like(sorted_, dtype=torch.bool)
    apart[:, 1:] = sorted_[:, :-1] - sorted_[:, 1:] > ALIKE * sorted_[:, :1].abs()
    kept = torch.where(apart, 0, 1).argsort(dim=1, stable=True)[:, :count]
    return order.gather(1, kept), sorted_.gather(1, kept)


def _across(rows: Tensor, like: Tensor) -> Tensor:
    return rows.view(*rows.shape, *[1] * (like.dim() - 2))
