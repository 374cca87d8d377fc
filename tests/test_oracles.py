"""Attacks on problems whose exact answer is known."""

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import (
    L0,
    L1,
    L2,
    Attack,
    AttackSpec,
    Evaluation,
    Iterate,
    Linf,
    MinimumNorm,
    NormBall,
    against,
    apgd,
    apgd_steps,
    cross_entropy,
    dlr,
    fgsm,
    given,
    margin,
    mim,
    pgd,
    second_order,
)

THREATS = (Linf(0.05), L2(0.3), L1(0.6))


class Linear(nn.Module):
    """Two classes, logits (0, w x + b): the worst perturbation of each norm is known."""

    def __init__(self, w: Tensor, b: float) -> None:
        super().__init__()
        self.w, self.b = nn.Parameter(w), b

    def forward(self, x: Tensor) -> Tensor:
        score = x.flatten(1) @ self.w + self.b
        return torch.stack([torch.zeros_like(score), score], 1)


def problem(count: int = 200, size: int = 16) -> tuple[Linear, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    w = torch.randn(size, generator=generator, dtype=torch.float64)
    x = 0.7 * torch.rand(count, size, generator=generator, dtype=torch.float64) + 0.15
    model = Linear(w, -float((x @ w).median()))
    y = (model(x)[:, 1] > 0).long()
    return model, x, y, w


def gradient_attacks(model: nn.Module, threat: NormBall) -> list[Attack]:
    ce, gap = against(model), against(model, margin)
    return [
        pgd(ce, threat, steps=100),
        mim(ce, threat, steps=100),
        apgd(ce, threat),
        apgd(gap, threat),
        second_order(ce, threat, steps=100, step=2.5 * threat.radius / 100, draws=2, clamp="each"),
    ]


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_attacks_find_the_worst_case_of_a_linear_classifier(threat: NormBall) -> None:
    model, x, y, w = problem()
    distance = (x @ w + model.b).abs()
    dual = threat.dual_size(w[None])[0]
    # without the box active the worst change of the score is eps ||w||_dual
    beatable = distance < threat.radius * dual * 0.99
    safe = distance > threat.radius * dual * 1.01
    assert beatable.sum() > 5
    assert safe.sum() > 5
    for attack in gradient_attacks(model, threat):
        success = attack.run(x, y).success
        assert not success[safe].any(), attack.name
        towards = threat.steepest(torch.where(y > 0, -1.0, 1.0)[:, None] * w)
        best = x + threat.radius * towards
        inside = (best.amin(1) >= 0) & (best.amax(1) <= 1)  # the box does not bind
        assert success[beatable & inside].float().mean() > 0.97, attack.name


def test_one_step_suffices_on_a_linear_classifier() -> None:
    model, x, y, w = problem()
    for threat in (Linf(0.05), L2(0.1)):
        found = fgsm(against(model), threat).run(x, y)
        change = ((found.x - x) @ w).abs()
        assert torch.allclose(change, threat.radius * threat.dual_size(w[None]).expand(len(x)), rtol=1e-9)


@pytest.mark.parametrize(
    ("name", "threat", "slack"),
    [
        ("fmn", L2(1), 1.01),
        ("fmn", Linf(1), 1.05),
        ("fmn", L1(1), 1.25),
        ("ddn", L2(1), 1.01),
        ("pdpgd", L2(1), 1.1),
        ("pdpgd", Linf(1), 1.1),
        ("pdpgd", L1(1), 1.1),
    ],
    ids=str,
)
def test_minimum_norm_attacks_find_the_distance_to_the_hyperplane(name: str, threat: NormBall, slack: float) -> None:
    model, x, y, w = problem()
    distance = (x @ w + model.b).abs() / threat.dual_size(w[None])
    search = AttackSpec.of(name, steps=300).search(model, threat)
    assert isinstance(search, MinimumNorm)
    result = search(x, y)
    reachable = distance < 0.1  # so that the box does not matter
    assert reachable.sum() > 20
    assert (result.size[reachable] >= distance[reachable] * (1 - 1e-6)).all()
    assert float((result.size / distance)[reachable].median()) < slack
    succeeded = result.size.isfinite()
    assert succeeded.float().mean() > 0.9
    assert torch.allclose(threat.size(x, result.x)[succeeded], result.size[succeeded])
    assert torch.equal(result.x[~succeeded], x[~succeeded])
    # inside a threat exactly those succeed whose size fits
    small = threat.scaled(float(result.size.median()))
    assert torch.equal(search.within(small).run(x, y).success, result.size <= small.radius)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_fab_reaches_the_boundary_of_a_linear_classifier_at_once(threat: NormBall) -> None:
    model, x, y, w = problem()
    distance = (x @ w + model.b).abs() / threat.dual_size(w[None])
    success = AttackSpec.of("fab_targeted", steps=3).build(model, threat).run(x, y).success
    assert not success[distance > threat.radius * 1.001].any()
    beatable = distance < 0.08 * threat.radius / 0.3  # far from the box's edges, which it overshoots by 1.05
    assert beatable.sum() > 10
    assert success[beatable].all()


def fewest_pixels(model: Linear, x: Tensor, y: Tensor) -> Tensor:
    """The exact L0 distance of each example: pixels by what each can gain."""
    down = torch.where(y > 0, 1.0, -1.0).double()[:, None] * model.w.detach()
    gains = torch.where(down > 0, x, 1 - x) * down.abs()
    needed = (x @ model.w.detach() + model.b).abs()
    return (gains.sort(dim=1, descending=True).values.cumsum(1) <= needed[:, None]).sum(1) + 1


def test_l0_attacks_find_the_fewest_pixels_of_a_linear_classifier() -> None:
    model, x, y, _ = problem()
    exact = fewest_pixels(model, x, y)
    search = AttackSpec.of("sigma_zero", steps=300).search(model, L0(1))
    assert isinstance(search, MinimumNorm)
    sizes = search(x, y).size
    assert (sizes >= exact).all()
    assert float((sizes == exact).float().mean()) > 0.7
    for name, share in (("pgd", 0.75), ("apgd", 0.75), ("sparse_search", 0.75)):
        settings = {"queries": 500} if name == "sparse_search" else {"steps": 100}
        success = AttackSpec.of(name, **settings).build(model, L0(2)).run(x, y).success
        assert not success[exact > 2].any(), name
        assert success[exact <= 2].float().mean() > share, name


@pytest.mark.parametrize("name", ["pgd", "mim", "apgd"])
def test_climbing_in_l0_exchanges_the_pixels_that_it_began_with(name: str) -> None:
    model, x, y, w = problem()
    worst = w.abs().argsort()[:3]  # the pixels that tell least, changed as far as they go
    start = x.clone()
    start[:, worst] = torch.where((y > 0)[:, None] == (w[worst] > 0), 0.0, 1.0).double()
    exact = fewest_pixels(model, x, y)
    found = AttackSpec.of(name, steps=20).entry.build(against(model), L0(3), steps=20, start=given(x, start)).run(x, y)
    within_reach = (exact <= 3) & (model(start).argmax(1) == y)  # and not there at the beginning
    assert within_reach.sum() > 50
    assert found.success[within_reach].float().mean() > 0.9
    assert not found.success[exact > 3].any()


class Bowl(nn.Module):
    """The loss a^T (x - c)^2 / 2 as a callable objective: the worst point of a Linf ball is at its corners."""

    def __init__(self, a: Tensor, c: Tensor) -> None:
        super().__init__()
        self.a, self.c = a, c

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return 0.5 * (self.a * (x - self.c).square()).sum(1)


def test_plain_objectives_are_climbed_to_the_corner_of_the_ball() -> None:
    generator = torch.Generator().manual_seed(0)
    a, c = torch.rand(6, generator=generator) + 0.1, torch.full((6,), 0.5)
    x = 0.5 + 0.2 * (torch.rand(30, 6, generator=generator) - 0.5)
    bowl, threat = Bowl(a, c), Linf(0.1)
    corner = x + 0.1 * (x - c).sign()
    found = pgd(bowl, threat, steps=20, start="clean")(x, torch.zeros(30, dtype=torch.int64))
    assert torch.allclose(bowl(found, torch.zeros(30)), bowl(corner, torch.zeros(30)), rtol=1e-5)


class Flat(nn.Module):
    """Logits whose gradient at the data is exactly zero, but not around it: what the second-order attack was made
    for."""

    def forward(self, x: Tensor) -> Tensor:
        away = (x - 0.5).flatten(1)
        score = 1 - 40 * away[:, 0].square()
        return torch.stack([score, torch.zeros_like(score)], 1)


@pytest.mark.parametrize("inertia", [None, 1.0, 0.4])
def test_apgd_steps_two_radii_at_first_and_keeps_some_of_the_step_before(inertia: float | None) -> None:
    """A turn by a right angle at the edge of a disc of radius 1/10, in closed form."""
    x, r = torch.full((1, 4), 0.5, dtype=torch.float64), 0.1
    d, e = torch.eye(4, dtype=torch.float64)[:2, None]
    rule = apgd_steps(L2(r), 100) if inertia is None else apgd_steps(L2(r), 100, inertia=inertia)
    y, a = torch.zeros(1, dtype=torch.int64), 0.75 if inertia is None else inertia
    seen = Evaluation(x[:, :0], x[:, 0], x[:, 0] > 1, y)
    first, memory = rule.update(d, seen, Iterate(x, x, y, 0, None), rule.init(x))
    assert torch.allclose(first, r * d)
    second, _ = rule.update(e, seen, Iterate(x, x + first, y, 1, None), memory)
    z = r * (d + 2 * e) / 5**0.5
    aim = r * d + a * (z - r * d) + (1 - a) * r * d
    assert torch.allclose(first + second, aim * min(1, r / float(aim.norm())))


def test_second_order_attack_leaves_a_point_without_gradient() -> None:
    x, y = torch.full((8, 1, 2, 2), 0.5), torch.zeros(8, dtype=torch.int64)
    threat = L2(0.3)
    assert not pgd(against(Flat()), threat, start="clean").run(x, y, warn=False).success.any()
    assert second_order(against(Flat()), threat).run(x, y).success.all()


def test_dlr_ignores_the_scale_of_the_logits() -> None:
    logits, y = torch.randn(50, 7, dtype=torch.float64), torch.randint(0, 7, (50,))
    assert torch.allclose(dlr(1000 * logits, y), dlr(logits, y))
    assert torch.equal(margin(logits, y) > 0, logits.argmax(1) != y)
    assert torch.allclose(cross_entropy(logits, y), -logits.log_softmax(1)[torch.arange(50), y])
