"""Exact truth by mixed-integer programming: the smallest Linf change of a tiny ReLU net, and attacks beside it."""

from functools import cache
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from torch import Tensor, nn

from brittle.attacks import AttackSpec, Linf, MinimumNorm, attack_entries, attack_named
from brittle.audits import audit

Vector = NDArray[np.float64]
PIXELS, HIDDEN, CLASSES, COUNT = 6, 8, 3, 10
SHORT = {"steps": 12, "queries": 60, "draws": 4}
IN_LINF = [name for name, entry in attack_entries().items() if entry.supports(Linf(0.1))]
MEDIANS = {"fmn": 1.02, "pdpgd": 1.1}  # the most that half of the images may lie above the exact size


class Solution(NamedTuple):
    """Of one image: the smallest change that makes another class win, and the image there."""

    size: float
    x: Vector


class Problem(NamedTuple):
    net: nn.Sequential
    x: Tensor
    y: Tensor
    exact: list[Solution]


@cache
def problem(seed: int) -> Problem:
    """A net of random weights, ten images that it is asked about, and their exact distances."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Flatten(), nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, CLASSES)).double()
    with torch.no_grad():
        for part in net.parameters():
            part.copy_(torch.randn(part.shape, generator=generator, dtype=torch.float64) / 2)
        x = torch.rand(COUNT, 1, 2, 3, generator=generator, dtype=torch.float64)
        net[3].bias -= net(x).mean(0)  # so that no class wins everywhere
        y = net(x).argmax(1)
    exact = [smallest_change(net, image.flatten().numpy(), int(label)) for image, label in zip(x, y, strict=True)]
    return Problem(net, x, y, exact)


def smallest_change(net: nn.Sequential, x0: Vector, y: int) -> Solution:
    """The best over the programs of the wrong classes."""
    return min((crossing(net, x0, y, other) for other in range(CLASSES) if other != y), key=lambda found: found.size)


def crossing(net: nn.Sequential, x0: Vector, y: int, other: int) -> Solution:
    """min r over |x - x0| <= r, 0 <= x <= 1, z_other >= z_y; variables (x, h, s, r), s the units that are switched on.

    h = relu(a), a = W x + b in [low, high]:  h >= 0,  h >= a,  h <= a - low (1 - s),  h <= high s.
    """
    w, b, v, c = (part.detach().numpy() for part in net.parameters())
    low, high = (np.minimum(w, 0).sum(1) + b, np.maximum(w, 0).sum(1) + b)  # over the box
    none, zero, one = np.zeros((HIDDEN, PIXELS)), np.zeros((HIDDEN, HIDDEN)), np.eye(HIDDEN)
    column, pixels, to_hidden = np.zeros((HIDDEN, 1)), np.eye(PIXELS), np.zeros((PIXELS, 2 * HIDDEN))
    answer = np.hstack([np.zeros(PIXELS), v[other] - v[y], np.zeros(HIDDEN + 1)])
    rows = [
        (np.hstack([pixels, to_hidden, -np.ones((PIXELS, 1))]), -np.inf, x0),
        (np.hstack([pixels, to_hidden, np.ones((PIXELS, 1))]), x0, np.inf),
        (np.hstack([-w, one, zero, column]), b, np.inf),
        (np.hstack([-w, one, -np.diag(low), column]), -np.inf, b - low),
        (np.hstack([none, one, -np.diag(high), column]), -np.inf, 0),
        (answer[None], c[y] - c[other], np.inf),
    ]
    size = PIXELS + 2 * HIDDEN + 1
    most = np.hstack([np.ones(PIXELS), np.full(HIDDEN, np.inf), np.ones(HIDDEN + 1)])
    found = milp(
        np.eye(size)[-1],
        constraints=[LinearConstraint(matrix, least, most) for matrix, least, most in rows],
        bounds=Bounds(np.zeros(size), most),
        integrality=np.hstack([np.zeros(PIXELS + HIDDEN), np.ones(HIDDEN), 0]),
        options={"mip_rel_gap": 0},
    )
    return Solution(float(found.fun), found.x[:PIXELS]) if found.success else Solution(np.inf, x0)


SEEDS = pytest.mark.parametrize("seed", [0, 1, 2])


@SEEDS
def test_the_exact_solution_lies_on_the_boundary_at_its_distance(seed: int) -> None:
    net, x, y, exact = problem(seed)
    assert len(y.unique()) == CLASSES
    at = torch.from_numpy(np.stack([solution.x for solution in exact]))
    sizes = torch.tensor([solution.size for solution in exact], dtype=torch.float64)
    assert torch.allclose((at - x.flatten(1)).abs().amax(1), sizes, rtol=0, atol=1e-9)
    assert ((at >= 0) & (at <= 1)).all()
    z = net(at).detach()
    rest = z.scatter(1, y[:, None], -torch.inf).amax(1)
    assert torch.allclose(rest, z.gather(1, y[:, None]).squeeze(1), rtol=0, atol=1e-8)


@pytest.mark.parametrize("name", IN_LINF)
def test_no_attack_succeeds_inside_a_ball_that_is_exactly_robust(name: str) -> None:
    net, x, y, exact = problem(0)
    settings = {key: value for key, value in SHORT.items() if key in attack_named(name).settings}
    for row, solution in enumerate(exact):
        one = slice(row, row + 1)
        found = AttackSpec.of(name, **settings).build(net, Linf(solution.size * (1 - 1e-6))).run(x[one], y[one])
        assert not found.success.any()
        assert net(found.x).argmax(1) == y[one]


@SEEDS
@pytest.mark.parametrize("name", MEDIANS)
def test_no_smallest_change_is_smaller_than_the_exact_one(name: str, seed: int) -> None:
    net, x, y, exact = problem(seed)
    search = AttackSpec.of(name, steps=200).search(net, Linf(1))
    assert isinstance(search, MinimumNorm)
    ratio = search(x, y).size / torch.tensor([solution.size for solution in exact], dtype=torch.float64)
    assert (ratio >= 1 - 1e-6).all()
    assert ratio.median() < MEDIANS[name]


@SEEDS
def test_an_audits_ensemble_breaks_what_can_be_broken(seed: int) -> None:
    net, x, y, exact = problem(seed)
    broken = []
    for row, solution in enumerate(exact):
        one, threat = slice(row, row + 1), Linf(min(1.02 * solution.size, 1))
        broken.append(audit(net, (x[one], y[one]), [threat]).union.correct == 0)
    assert sum(broken) >= 0.9 * COUNT
