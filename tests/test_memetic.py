"""The memetic search, on a maximum that gradients lead away from."""

import pytest
import torch
from torch import Tensor

from brittle.attacks import AttackSpec, Linf, restarts
from brittle.attacks.named.memetic import _children, _fittest

EPS, SIDE, HALF = 0.1, 8, 4
SIGNS = torch.tensor([[1.0, -1.0], [-1.0, 1.0]])  # where each quarter must go, so that no column goes one way


def deceptive(x: Tensor) -> Tensor:
    """Two classes. Each quarter is worth 1 where its mean has gone all the way to its sign, 0.5 where it went the other
    way, which is where the gradient leads from the middle; the second class wins with more than 3.7 quarters."""
    gone = (x - 0.5).div(EPS).view(-1, 2, HALF, 2, HALF).mean((2, 4)) * SIGNS
    worth = torch.maximum(1.25 * (gone - 0.2).relu(), 0.5 * (0.1 - gone).relu()).sum((1, 2))
    return torch.stack([torch.full_like(worth, 3.7), worth], 1)


@pytest.fixture
def examples() -> tuple[Tensor, Tensor]:
    x = 0.5 + 0.002 * torch.rand(6, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    return x, torch.zeros(6, dtype=torch.int64)


def test_it_finds_what_steps_from_any_start_do_not(examples: tuple[Tensor, Tensor]) -> None:
    x, y = examples
    walk = AttackSpec.parse("pgd:steps=40,loss=margin,start=random").build(deceptive, Linf(EPS), 0)
    assert not restarts(walk, 20).run(x, y).success.any()
    search = AttackSpec.parse("memetic:generations=60").build(deceptive, Linf(EPS), 0)
    found = search.run(x, y)
    assert found.success.any()
    assert found.success.equal(deceptive(found.x).argmax(1) != y)


def test_of_candidates_that_are_alike_one_stays() -> None:
    margins = torch.tensor([[0.1, 5.0, 5.0001, 3.0, -1.0, 3.0]])
    kept, best = _fittest(margins, 4)
    assert kept.tolist() == [[2, 3, 0, 4]]
    assert best.tolist() == margins[:, [2, 3, 0, 4]].tolist()


def test_children_of_the_same_parents_differ_by_squares(examples: tuple[Tensor, Tensor]) -> None:
    """Patches alone would give the parents back: squares of the size of the threat leave a maximum."""
    x, _ = examples
    people, margins = x[:, None].repeat(1, 5, 1, 1, 1), torch.zeros(6, 5)
    children = _children(x, people, margins, Linf(EPS), 0, 3).view_as(people)
    changed = (children != people).flatten(2).sum(2)
    assert changed.min() > 0
    assert changed.max() < SIDE * SIDE / 2
    assert Linf(EPS).contains(x.repeat_interleave(5, 0), children.flatten(0, 1)).all()
    assert len({tuple(one.flatten().tolist()) for one in children[0]}) == 5
