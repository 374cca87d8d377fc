"""Goals: each at its edge is a plainer one; what each adds is what its paper says; batches of one do no harm."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from brittle.learning.goals.common import attack_batch
from brittle.learning.goals.regularised import class_margin, coral, divergence, mmd, update_centres
from torch import nn

from brittle.attacks import L1, L2, Linf, against, cross_entropy, msd, pgd
from brittle.ground import BrittleError
from brittle.learning import (
    GOALS,
    Adversarial,
    Atda,
    Average,
    DataSet,
    Eat,
    Ensemble,
    Goal,
    InnerAttack,
    Learner,
    Maximum,
    Moment,
    Msd,
    Recipe,
    Standard,
    Trades,
    build_net,
    goal_named,
    load,
    train,
)

ONE, TWO, THREE = Linf(0.1), L2(0.5), L1(2)
AT = Moment(step=3, done=0.7, seed=11)
SHORT = InnerAttack(steps=3)


def learner(kind: str = "small", *static: nn.Module) -> Learner:
    torch.manual_seed(0)
    net = build_net(kind, (1, 8, 8), 10).eval()
    return Learner(net, net, static)


def examples(count: int = 24) -> tuple[torch.Tensor, torch.Tensor]:
    part = load("digits").train.take(count)
    return part.x(), part.labels


def losses(goal: Goal, who: Learner, count: int = 24, at: Moment = AT) -> torch.Tensor:
    return goal.losses(who, *examples(count), at, {})[0]


PLAIN: dict[str, tuple[Goal, Goal]] = {
    "TRADES with beta 0": (Trades((ONE,), beta=0), Standard()),
    "ensemble without static nets": (Ensemble((ONE,), SHORT, clean=0, predicted=False), Adversarial((ONE,), SHORT)),
    "ensemble on clean images": (Ensemble((ONE,), SHORT, clean=1), Standard()),
    "AVG with one norm": (Average((TWO,), SHORT), Adversarial((TWO,), SHORT)),
    "MAX with one norm": (Maximum((TWO,), SHORT), Adversarial((TWO,), SHORT)),
    "MSD with one norm": (Msd((THREE,), SHORT), Adversarial((THREE,), SHORT)),
    "E-AT with one norm": (Eat((ONE,), SHORT), Adversarial((ONE,), SHORT)),
    "eps 0": (Adversarial((Linf(0),), SHORT), Standard()),
    "TRADES at eps 0": (Trades((Linf(0),), InnerAttack(steps=2)), Standard()),
}


@pytest.mark.parametrize("name", PLAIN)
def test_at_its_edge_each_goal_is_a_plainer_one(name: str) -> None:
    goal, plain = PLAIN[name]
    assert torch.equal(losses(goal, learner()), losses(plain, learner()))


def test_atda_with_weight_0_is_cross_entropy_on_both() -> None:
    who, (x, y) = learner(), examples()
    goal = Atda((ONE,), SHORT, weight=0, predicted=False)
    moved = attack_batch(goal, who.net, x, y, AT)
    assert torch.equal(losses(goal, who), cross_entropy(who.net(x), y) + cross_entropy(who.net(moved), y))


MIXED: dict[str, Callable[..., Goal]] = {
    "adversarial": lambda threats: Adversarial(threats, SHORT),
    "trades": lambda threats: Trades(threats, InnerAttack(steps=3, start="noise")),
    "ensemble": lambda threats: Ensemble(threats),
    "atda": lambda threats: Atda(threats),
}


@pytest.mark.parametrize("name", MIXED)
def test_mix_takes_the_norms_in_turn(name: str) -> None:
    build, who = MIXED[name], learner()
    both = build((ONE, TWO))
    for step, threat in ((0, ONE), (1, TWO), (4, ONE)):
        at = Moment(step, 0.9, 5)
        assert torch.equal(losses(both, who, at=at), losses(build((threat,)), who, at=at))
    assert torch.equal(losses(build((ONE, ONE)), who), losses(build((ONE,)), who))


def test_msd_with_one_norm_is_pgd_bit_for_bit() -> None:
    who, (x, y) = learner(), examples()
    for threat in (ONE, TWO, THREE):
        one, plain = msd(against(who.net), [threat], steps=5), pgd(against(who.net), threat, steps=5)
        assert torch.equal(one(x, y), plain(x, y))


def test_msd_stays_in_the_union_and_takes_the_steepest() -> None:
    who, (x, y) = learner(), examples()
    attack = msd(against(who.net), (ONE, TWO, THREE), steps=6, start="clean")
    assert attack.path is not None
    points = [step.x for step in attack.path(x, y, 0)]
    for point in points:
        inside = [threat.size(point - x) <= threat.radius * (1 + 1e-5) for threat in (ONE, TWO, THREE)]
        assert torch.stack(inside).any(0).all()
        assert ((point >= 0) & (point <= 1)).all()
    after_one = cross_entropy(who.net(points[1]), y)
    for threat in (ONE, TWO, THREE):
        alone = pgd(against(who.net), threat, steps=6, start="clean").path
        assert alone is not None
        assert (after_one >= cross_entropy(who.net([step.x for step in alone(x, y, 0)][1]), y) - 1e-6).all()


def test_max_is_the_worst_and_avg_the_mean_of_the_norms() -> None:
    who = learner()
    each = torch.stack([losses(Adversarial((threat,), SHORT), who) for threat in (ONE, TWO)])
    assert torch.allclose(losses(Maximum((ONE, TWO), SHORT), who), each.amax(0), atol=1e-5)
    assert torch.allclose(losses(Average((ONE, TWO), SHORT), who), each.mean(0), atol=1e-5)


def test_the_ensemble_attacks_through_every_source_and_changes_none() -> None:
    other, (x, _) = learner("mlp").net, examples()
    who = learner("small", other)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    alone = losses(Ensemble((ONE,)), learner())
    found = [torch.equal(losses(Ensemble((ONE,)), who, at=replace_seed(seed)), alone) for seed in range(12)]
    assert any(found)
    assert not all(found)
    assert all(torch.equal(value, before[name]) for name, value in other.state_dict().items())
    assert all(parameter.grad is None for parameter in other.parameters())
    assert not torch.equal(other(x), who.net(x))


def replace_seed(seed: int) -> Moment:
    return AT._replace(seed=seed)


def test_trades_moves_away_from_identical_logits() -> None:
    who, (x, y) = learner(), examples()
    goal = Trades((ONE,), InnerAttack(steps=5, start="noise"), ramp=0)
    there = who.net(x).detach()
    moved = attack_batch(goal, who.net, x, y, AT, lambda logits, y: divergence(there, logits))
    assert (divergence(there, who.net(moved)) > 0).all()
    assert (divergence(there, there) == 0).all()
    p, q = there.softmax(1), who.net(moved).softmax(1)
    assert torch.allclose(divergence(there, who.net(moved)), (p * (p / q).log()).sum(1), atol=1e-5)


def test_the_terms_of_atda_are_those_of_the_paper() -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = torch.randn(7, 4, generator=generator), torch.randn(7, 4, generator=generator)
    assert mmd(a, b) == pytest.approx(sum(abs(float(a[:, j].mean() - b[:, j].mean())) for j in range(4)) / 4, abs=1e-6)
    gap = torch.cov(a.T, correction=0) - torch.cov(b.T, correction=0)
    assert float(coral(a, b)) == pytest.approx(float(gap.abs().mean()), abs=1e-6)
    y, centres = torch.tensor([0, 1, 2, 3, 0, 1, 2]), torch.randn(4, 4, generator=generator)
    slow = [
        nn.functional.softplus((z - centres[own]).abs().sum() - (z - centres[j]).abs().sum())
        for z, own in zip(a, y.tolist(), strict=True)
        for j in range(4)
        if j != own
    ]
    assert float(class_margin(a, y, centres)) == pytest.approx(float(torch.stack(slow).mean()), abs=1e-5)
    assert float(mmd(a, a) + coral(a, a)) == 0


def test_class_centres_follow_their_class_and_absent_classes_stay() -> None:
    centres = torch.ones(3, 3)
    moved = update_centres(centres, torch.tensor([[2.0, 2, 2], [4, 4, 4]]), torch.tensor([0, 0]), alpha=0.1)
    assert torch.allclose(moved[0], torch.full((3,), 1 - 0.1 * (2 * 1 - 6) / 3))
    assert torch.equal(moved[1:], centres[1:])


def test_eat_prefers_the_threat_where_attacks_succeed() -> None:
    who, (x, y) = learner(), examples()
    goal = Eat((ONE, TWO), SHORT)
    memory = {"robust": torch.tensor([0.999, 0.0])}
    two = losses(Adversarial((TWO,), SHORT), who)
    drawn = [goal.losses(who, x, y, replace_seed(seed), memory)[0] for seed in range(5)]
    expected = [losses(Adversarial((TWO,), SHORT), who, at=replace_seed(seed)) for seed in range(5)]
    assert sum(torch.equal(a, b) for a, b in zip(drawn, expected, strict=True)) >= 4
    assert len(two) == len(x)
    _, after = goal.losses(who, x, y, AT, {"robust": torch.zeros(2)})
    assert ((after["robust"] >= 0) & (after["robust"] <= 0.05 + 1e-6)).all()


@pytest.mark.parametrize("name", [name for name in GOALS if name != "standard"])
def test_batches_of_one_and_points_without_gradient_give_numbers(name: str) -> None:
    flat = build_net("linear", (1, 8, 8), 10)
    nn.init.zeros_(flat[1][1].weight)  # type: ignore[union-attr, index, arg-type]
    for net in (flat, learner().net):
        for threats in ((TWO,), (ONE, TWO, THREE)):
            goal = goal_named(name, threats)
            x, y = examples(1)
            answer, memory = goal.losses(Learner(net, net), x, y, AT, {})
            assert answer.shape == (1,)
            assert answer.isfinite().all()
            assert all(value.isfinite().all() for value in memory.values())


@pytest.mark.parametrize("name", [name for name in GOALS if name != "standard"])
def test_every_goal_trains_and_resumes_to_the_same_bits(name: str, tmp_path: Path) -> None:
    data = load("digits")
    few = DataSet("digits", data.train.take(160), data.validation.take(20), data.test)
    goal, recipe = (
        goal_named(name, (ONE, TWO), InnerAttack(steps=2) if name not in ("ensemble", "atda") else None),
        Recipe(2, 32),
    )

    def run(state: Path, stops: tuple[int, ...]) -> dict[str, torch.Tensor]:
        for stop in (*stops, None):
            torch.manual_seed(0)
            net = build_net("mlp", (1, 8, 8), 10)
            for event in train(net, few, goal, recipe, static=(learner("mlp").net,), state_file=state, device="cpu"):
                if event.step == stop:
                    break
        return net.state_dict()

    whole, parts = run(tmp_path / "whole.safetensors", ()), run(tmp_path / "parts.safetensors", (5, 7))
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())


def test_what_does_not_fit_is_one_line() -> None:
    with pytest.raises(BrittleError, match="at least one threat"):
        goal_named("trades", ())
    with pytest.raises(BrittleError, match="no goal is called"):
        goal_named("magic", (ONE,))
    with pytest.raises(BrittleError, match="has no weight"):
        goal_named("avg", (ONE,), weight=2)
    with pytest.raises(BrittleError, match="its inner attack is pgd"):
        Msd((ONE,), InnerAttack("fgsm"))
    with pytest.raises(BrittleError, match="between 0 and 1"):
        Ensemble((ONE,), clean=2)
    few = DataSet("digits", load("digits").train.take(32), load("digits").validation.take(8), load("digits").test)
    for other, said in (
        (build_net("mlp", (1, 8, 8), 7), "has 7 classes"),
        (build_net("mlp", (1, 9, 9), 10), "does not take"),
    ):
        with pytest.raises(BrittleError, match=said):
            list(train(learner().net, few, Ensemble((ONE,)), Recipe(1), static=(other,), device="cpu"))
