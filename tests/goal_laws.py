"""The one table of laws that every goal joins, ours or a package's: each is a fact about a `GoalEntry`."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from brittle.attacks import L1, L2, Linf, Threat
from brittle.learning import (
    Adversarial,
    DataSet,
    Goal,
    GoalEntry,
    InnerAttack,
    Learner,
    Moment,
    Recipe,
    Standard,
    build_net,
    load,
    train,
)
from conftest import trained_net

ONE, TWO, THREE = Linf(0.1), L2(0.5), L1(2)
AT = Moment(step=3, done=0.7, seed=11)  # after any usual ramp


def learner(kind: str = "small", *static: nn.Module) -> Learner:
    torch.manual_seed(0)
    net = build_net(kind, (1, 8, 8), 10).eval()
    return Learner(net, net, static)


def examples(count: int = 24) -> tuple[Tensor, Tensor]:
    part = load("digits").train.take(count)
    return part.x(), part.labels


def losses(goal: Goal, who: Learner, count: int = 24, at: Moment = AT) -> Tensor:
    return goal.losses(who, *examples(count), at, {})[0]


def short(entry: GoalEntry) -> InnerAttack:
    """The goal's own inner attack, with few steps."""
    return replace(entry.usual.inner, steps=3)  # type: ignore[attr-defined]


def aimed(entry: GoalEntry, *threats: Threat, **changes: Any) -> Goal:
    """The goal in these threats, with few steps; as it is, if it attacks nothing."""
    if "threats" not in entry.settings:
        return entry.goal(**changes)
    return entry.goal(threats or (ONE,), **{"inner": short(entry), **changes})


def learned_from(goal: Goal, at: Moment, who: Learner | None = None) -> Tensor:
    """The images that the goal shows the net to learn from [K, B, *S], K times the batch."""
    who, seen = who or learner(), []

    def forward(x: Tensor) -> Tensor:
        seen.append(x)
        return who.forward(x)

    x, y = examples()
    goal.losses(who._replace(forward=forward), x, y, at, {})
    return torch.cat(seen).view(-1, *x.shape)


def inside(threat: Threat, moved: Tensor, x: Tensor) -> Tensor:
    return threat.contains(x, moved)


# Of every goal


def numbers_come_out_of_batches_of_one_and_of_nets_without_gradient(entry: GoalEntry) -> None:
    flat = build_net("linear", (1, 8, 8), 10)
    nn.init.zeros_(flat[1][1].weight)  # type: ignore[union-attr, index, arg-type]
    x, y = examples(1)
    for net in (flat, learner().net):
        for threats in ((TWO,), (ONE, TWO, THREE)):
            answer, memory = aimed(entry, *threats).losses(Learner(net, net), x, y, AT, {})
            assert answer.shape == (1,)
            assert answer.isfinite().all()
            assert all(value.isfinite().all() for value in memory.values())


def the_same_moment_gives_the_same_bits_and_nothing_is_changed(entry: GoalEntry) -> None:
    who, (x, y), goal = learner("small", learner("mlp").net), examples(), aimed(entry, ONE, TWO)
    first, memory = goal.losses(who, x, y, AT, {})
    held = {name: value.clone() for name, value in memory.items()}
    before, clean, numbers = (
        [value.clone() for value in who.net.state_dict().values()],
        x.clone(),
        torch.random.get_rng_state(),
    )
    who.net.training = True  # its own flag alone: the modules inside stay in eval mode
    again = [goal.losses(who, x, y, AT, memory) for _ in range(2)]
    assert [module.training for module in who.net.modules()].count(True) == 1
    assert torch.equal(first, goal.losses(learner("small", learner("mlp").net), x, y, AT, {})[0])
    assert torch.equal(again[0][0], again[1][0])
    assert all(torch.equal(again[0][1][name], again[1][1][name]) for name in memory)
    assert all(torch.equal(value, held[name]) for name, value in memory.items()), "memory is handed back, not changed"
    assert all(torch.equal(a, b) for a, b in zip(before, who.net.state_dict().values(), strict=True))
    assert all(parameter.grad is None for net in (who.net, *who.static) for parameter in net.parameters())
    assert torch.equal(x, clean)
    assert torch.equal(torch.random.get_rng_state(), numbers)


def every_parameter_learns(entry: GoalEntry) -> None:
    who = learner()
    losses(aimed(entry, ONE, TWO), who).mean().backward()  # type: ignore[no-untyped-call]
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in who.net.parameters())
    assert sum(float(parameter.grad.abs().sum()) for parameter in who.net.parameters()) > 0  # type: ignore[union-attr]


def training_resumes_to_the_same_bits_and_lowers_the_loss(entry: GoalEntry) -> None:
    import tempfile
    from pathlib import Path

    data = load("digits")
    few = DataSet("digits", data.train.take(160), data.validation.take(20), data.test)
    goal, said = aimed(entry, ONE, TWO), []

    def run(state: Path, stops: tuple[int, ...]) -> dict[str, Tensor]:
        for stop in (*stops, None):
            torch.manual_seed(0)
            net, other = build_net("mlp", (1, 8, 8), 10), learner("mlp").net
            for event in train(net, few, goal, Recipe(4, 32), static=(other,), state_file=state, device="cpu"):
                said.append(event.loss)
                if event.step == stop:
                    break
        return net.state_dict()

    with tempfile.TemporaryDirectory() as folder:
        whole = run(Path(folder) / "whole", ())
        losses = [loss for loss in said if loss is not None]
        parts = run(Path(folder) / "parts", (5, 7))
    assert all(torch.equal(value, parts[key]) for key, value in whole.items())
    assert losses[-1] < losses[0]


# Of every goal that attacks


def it_learns_inside_its_threats(entry: GoalEntry) -> None:
    x, _ = examples()
    for threats in ((ONE,), (TWO,), (ONE, TWO, THREE)):
        for moved in learned_from(aimed(entry, *threats), AT):
            assert torch.stack([inside(threat, moved, x) for threat in threats]).any(0).all()
            assert ((moved >= 0) & (moved <= 1)).all()


def eps_rises_during_the_ramp(entry: GoalEntry) -> None:
    (x, _), goal = examples(), aimed(entry, ONE, ramp=0.4)
    reached = []
    for done, share in ((0.0, 0.0), (0.2, 0.5), (0.4, 1.0), (0.9, 1.0)):
        largest = (learned_from(goal, Moment(3, done, 11)) - x).abs().max()
        assert largest <= share * ONE.radius + 1e-6
        reached.append(float(largest))
    assert reached[0] == 0
    assert reached[1] > 0.45 * ONE.radius
    assert reached[2] > 0.9 * ONE.radius


def attacked_images_are_harder(entry: GoalEntry) -> None:
    who = Learner(trained_net(), trained_net())
    clean, attacked = (float(losses(aimed(entry, threat), who).mean().detach()) for threat in (Linf(0), ONE))
    assert attacked > clean + 0.05


def attacks_see_the_net_in_eval_mode(entry: GoalEntry) -> None:
    moved = []
    for training in (False, True):
        who, other = learner(), learner().net  # with batch norm; what is learned from is recorded and not run
        who.net.train(training)
        moved.append(learned_from(aimed(entry, ONE, TWO), AT, who._replace(forward=other)))
        assert who.net.training == training
    assert torch.equal(*moved)


# Of those that say so


def mix(entry: GoalEntry) -> None:
    who, both = learner(), aimed(entry, ONE, TWO)
    for step, threat in ((0, ONE), (1, TWO), (4, ONE), (5, TWO)):
        at = Moment(step, 0.9, 5)
        assert torch.equal(losses(both, who, at=at), losses(aimed(entry, threat), who, at=at))
    assert not torch.equal(losses(aimed(entry, ONE), who), losses(aimed(entry, TWO), who))


def adversarial_in_one_threat(entry: GoalEntry) -> None:
    who, inner = learner(), InnerAttack(steps=3)
    for threat in (ONE, TWO, THREE):
        alone = losses(Adversarial((threat,), inner), who)
        assert torch.equal(losses(aimed(entry, threat, inner=inner), who), alone)


def standard_at_eps_0(entry: GoalEntry) -> None:
    who = learner()
    for threats in ((Linf(0),), (Linf(0), L2(0), L1(0))):
        assert torch.allclose(losses(aimed(entry, *threats), who), losses(Standard(), who), atol=1e-6)


def standard_at_weight_0(entry: GoalEntry) -> None:
    who = learner()
    assert entry.weight is not None
    assert torch.allclose(losses(aimed(entry, ONE, **{entry.weight: 0.0}), who), losses(Standard(), who), atol=1e-6)


Fact = Callable[[GoalEntry], None]
EVERY: tuple[Fact, ...] = (
    numbers_come_out_of_batches_of_one_and_of_nets_without_gradient,
    the_same_moment_gives_the_same_bits_and_nothing_is_changed,
    every_parameter_learns,
    training_resumes_to_the_same_bits_and_lowers_the_loss,
)
ATTACKING: tuple[Fact, ...] = (
    it_learns_inside_its_threats,
    eps_rises_during_the_ramp,
    attacked_images_are_harder,
    attacks_see_the_net_in_eval_mode,
)
CLAIMED: dict[str, Fact] = {
    "mix": mix,
    "adversarial in one threat": adversarial_in_one_threat,
    "standard at eps 0": standard_at_eps_0,
    "standard at weight 0": standard_at_weight_0,
}


def laws_of(entry: GoalEntry) -> list[Fact]:
    """What must hold of a goal: what holds of all, and what its entry says."""
    attacking = ATTACKING if "threats" in entry.settings else ()
    return [*EVERY, *attacking, *(CLAIMED[law] for law in entry.laws)]
