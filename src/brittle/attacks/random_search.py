"""Random search on the one loop: a proposal is kept where it is worse for the model. It asks for no gradient."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor

from brittle.ground import Flags, Images, Keys, PerExample, check_count, keys_of, uniform

from .attack import Attack
from .loop import AttackResult, Estimator, Iterate, PathPoint, Rule, best_of, evaluation_at, select, walk
from .losses import Aim
from .objectives import Evaluate, Evaluation, Objective, session
from .threats import Threat
from .threats.protocol import nearest

Draw = Callable[[int, torch.Size], Tensor]  # (number of the draw, shape) -> numbers in [0, 1) per image [B, *shape]
Noted = Tensor  # what a search remembers of a proposal beside its pixels, [B, ...]
Start = Callable[[Images, Draw], tuple[Images, Noted]]  # (clean images, draw) -> the first proposals
Propose = Callable[[Images, Images, Noted, int, Draw], tuple[Images, Noted]]  # (clean, best, its notes, query, draw)


class SearchState(NamedTuple):
    """Per example: the key of its numbers; the best image with what is noted of it, its loss and whether it succeeds;
    what is noted of the proposal at hand."""

    keys: Keys
    best_x: Images
    noted: Noted
    loss: PerExample
    success: Flags
    proposed: Noted


def random_search(
    name: str, objective: Objective, threat: Threat, start: Start, propose: Propose, *, queries: int, seed: int
) -> Attack:
    """Proposals made from the best image so far, one a query, each brought into the threat.

    Cost: `queries` + 1 forward passes. Random: what is drawn, functions of the image and `seed`.
    """
    check_count("queries", queries)

    def path(evaluate: Evaluate, x: Images, y: Aim, seed: int) -> Iterator[PathPoint]:
        yield PathPoint(x, lambda: evaluation_at(evaluate, x, y), None)
        begun, noted = start(x, _draw(keys_of(x), seed))
        begun, rule = threat.project(x, begun), _keeping_the_best(propose, noted, seed)
        near = nearest(threat)
        advance = lambda evaluate, at, proposal: near(at.x0, proposal)  # noqa: E731
        steps = queries - 1
        yield from walk(evaluate, x, y, start=begun, rule=rule, advance=advance, estimator=LOOK, steps=steps)

    def search(x: Images, y: Aim, seed: int) -> AttackResult:
        with session(objective) as evaluate:
            return best_of(path(evaluate, x, y, seed))

    return Attack(name, search, seed)


def _look(evaluate: Evaluate, at: Iterate, memory: Any) -> tuple[Evaluation, Images, Any]:
    return evaluation_at(evaluate, at.x, at.y), at.x.new_zeros(()).expand_as(at.x), memory


LOOK = Estimator(lambda x0: (), _look, asks=False)


def _keeping_the_best(propose: Propose, noted: Noted, seed: int) -> Rule:
    def init(x0: Images) -> SearchState:
        none = x0.new_full(x0.shape[:1], -torch.inf)
        return SearchState(keys_of(x0), x0, noted, none, none > 0, noted)

    def update(grad: Tensor, seen: Evaluation, at: Iterate, was: SearchState) -> tuple[Tensor, SearchState]:
        better = (seen.success & ~was.success) | ((seen.success == was.success) & (seen.loss > was.loss))
        best_x, loss = select(better, at.x, was.best_x), torch.where(better, seen.loss, was.loss)
        kept = select(better, was.proposed, was.noted)
        proposal, proposed = propose(at.x0, best_x, kept, at.t + 1, _draw(was.keys, seed))
        return proposal, SearchState(was.keys, best_x, kept, loss, was.success | seen.success, proposed)

    return Rule(init, update)


def _draw(keys: Keys, seed: int) -> Draw:
    return lambda number, shape: uniform(keys, shape, seed=seed, draw=number)
