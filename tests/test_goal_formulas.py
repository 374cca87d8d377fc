"""Each goal's loss and its gradient against its formula written out, on adversarial points found without the goal.

A formula is written once and read twice: by numpy in float64 for the numbers, by torch's autograd for the gradients.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import L1, L2, Linf, Threat, against, cross_entropy, fgsm, last_of, pgd
from brittle.learning import (
    Adversarial,
    Atda,
    Average,
    Eat,
    Ensemble,
    Goal,
    InnerAttack,
    Learner,
    Maximum,
    Memory,
    Moment,
    Msd,
    Standard,
    Trades,
    build_net,
    load,
)
from brittle.learning.goals.trades import divergence
from conftest import trained_net

ONE, TWO, THREE = Linf(0.1), L2(0.55), L1(3)
AT = Moment(step=3, done=0.7, seed=11)
SHORT = InnerAttack(steps=3)
NET, OTHER = trained_net(), build_net("linear", (1, 8, 8), 10)
WHO = Learner(NET, NET)
Array = Any  # of numpy, or a tensor
Logits = Callable[[Tensor], Array]
Formula = Callable[[Logits], Array]

PART = load("digits").test.take(20)
X, Y = PART.x(), PART.labels
OWN = Y.numpy()


def nearby(net: nn.Module, x: Tensor, y: Tensor, threat: Threat, loss: Any = cross_entropy, **settings: Any) -> Tensor:
    """Where PGD ends, without any goal."""
    path = pgd(against(net, loss, precision="fast"), threat, **{"steps": 3, **settings}).path
    assert path is not None
    return last_of(path(x, y, AT.seed))


def one_step(net: nn.Module, x: Tensor, y: Tensor, threat: Threat = ONE) -> Tensor:
    path = fgsm(against(net, precision="fast"), threat, start="clean").path
    assert path is not None
    return last_of(path(x, y, AT.seed))


# The parts of the formulas, for arrays of numpy and of torch


def log_softmax(z: Array) -> Array:
    library = np if isinstance(z, np.ndarray) else torch
    return z - library.log(library.exp(z).sum(1))[:, None]


def ce(z: Array, own: np.ndarray = OWN) -> Array:
    return -log_softmax(z)[np.arange(len(own)), own]


def kl(p: Array, q: Array) -> Array:
    library = np if isinstance(p, np.ndarray) else torch
    return (library.exp(log_softmax(p)) * (log_softmax(p) - log_softmax(q))).sum(1)


def mean_gap(z: Array, w: Array) -> Array:
    return abs(z.mean(0) - w.mean(0)).mean()


def covariance_gap(z: Array, w: Array) -> Array:
    covariances = [
        sum((row - part.mean(0))[:, None] * (row - part.mean(0)) for row in part) / len(part) for part in (z, w)
    ]
    return abs(covariances[0] - covariances[1]).mean()


def centre_margin(z: Array, own: np.ndarray, centres: Array) -> Array:
    library = np if isinstance(z, np.ndarray) else torch
    terms = [
        library.log1p(library.exp(abs(row - centres[y]).sum() - abs(row - centres[j]).sum()))
        for row, y in zip(z, own, strict=True)
        for j in range(len(centres))
        if j != y
    ]
    return sum(terms) / len(terms)


def follow(centres: np.ndarray, z: np.ndarray, own: np.ndarray, rate: float) -> np.ndarray:
    moved = centres.copy()
    for c in range(len(centres)):
        rows = z[own == c]
        moved[c] -= rate * sum(centres[c] - row for row in rows) / (1 + len(rows)) if len(rows) else 0
    return moved


def numbers(net: nn.Module) -> Logits:
    return lambda x: net(x).detach().double().numpy()


def hold(goal: Goal, formula: Formula, at: Moment = AT, memory: Memory | None = None, who: Learner = WHO) -> Memory:
    """The goal's losses and the gradient of their mean are the formula's; what the goal remembers afterwards."""
    losses, after = goal.losses(who, X, Y, at, memory or {})
    assert losses.shape == (len(X),)
    assert losses.detach().numpy() == pytest.approx(formula(numbers(who.net)), rel=1e-4, abs=1e-5)
    parameters = tuple(who.net.parameters())
    plain = torch.autograd.grad(formula(who.net).mean(), parameters)
    for ours, written in zip(torch.autograd.grad(losses.mean(), parameters), plain, strict=True):
        assert torch.allclose(ours, written, rtol=1e-3, atol=1e-5 * float(written.abs().max()) + 1e-7)
    return after


def test_standard_is_cross_entropy() -> None:
    hold(Standard(), lambda net: ce(net(X)))


@pytest.mark.parametrize("threat", [ONE, TWO, THREE], ids=str)
def test_adversarial_is_cross_entropy_at_the_end_of_the_walk(threat: Threat) -> None:
    moved = nearby(NET, X, Y, threat, steps=4, step=0.3 * threat.radius)
    hold(Adversarial((threat,), InnerAttack(steps=4, step=0.3)), lambda net: ce(net(moved)))
    assert not torch.equal(moved, X)


@pytest.mark.parametrize("beta", [1.0, 6.0])
def test_trades_is_cross_entropy_and_beta_times_the_divergence(beta: float) -> None:
    there = NET(X).detach()
    moved = nearby(NET, X, Y, ONE, lambda z, y: kl(there, z), start="noise")
    assert kl(there, NET(moved)).min() > 0
    goal = Trades((ONE,), InnerAttack(steps=3, start="noise"), beta=beta)
    hold(goal, lambda net: ce(net(X)) + beta * kl(net(X), net(moved)))


def test_trades_attacks_make_the_divergence_rise_step_by_step() -> None:
    there, reached = NET(X).detach(), []
    for steps in (1, 2, 3, 5, 8):
        seen: list[Tensor] = []
        who = Learner(NET, lambda x, seen=seen: seen.append(x) or NET(x))  # type: ignore[misc, func-returns-value]
        Trades((ONE,), InnerAttack(steps=steps, step=0.1, start="noise")).losses(who, X, Y, AT, {})
        reached.append(float(kl(there, NET(seen[-1])).mean().detach()))
    assert reached == sorted(reached)
    assert reached[-1] > 3 * reached[0] > 0


def test_the_divergence_is_exactly_0_between_the_same_logits() -> None:
    z = NET(X).detach()
    assert (divergence(z, z) == 0).all()
    assert divergence(z, z.flip(1)).numpy() == pytest.approx(
        kl(z.double().numpy(), z.flip(1).double().numpy()), rel=1e-5
    )


@pytest.mark.parametrize("predicted", [True, False])
@pytest.mark.parametrize("clean", [0.0, 0.3, 1.0])
def test_the_ensemble_mixes_clean_images_and_those_of_one_source(clean: float, predicted: bool) -> None:
    torch.manual_seed(0)
    static = build_net("mlp", (1, 8, 8), 10).eval()
    who, sources, met = Learner(NET, NET, (static,)), (NET, static), Counter[int]()
    goal = Ensemble((ONE,), clean=clean, predicted=predicted)
    assert (static(X).argmax(1) != Y).any(), "the source must err, or it would not matter what is attacked"
    for seed in range(12):
        at = AT._replace(seed=seed)
        losses = goal.losses(who, X, Y, at, {})[0].detach().numpy()
        moved = [one_step(net, X, net(X).argmax(1) if predicted else Y) for net in sources]
        mixtures = [clean * ce(numbers(NET)(X)) + (1 - clean) * ce(numbers(NET)(each)) for each in moved]
        which = [losses == pytest.approx(mixture, rel=1e-4, abs=1e-5) for mixture in mixtures].index(True)
        hold(goal, lambda net, x=moved[which]: clean * ce(net(X)) + (1 - clean) * ce(net(x)), at, who=who)  # type: ignore[misc]
        met[which] += 1
    assert clean == 1 or set(met) == {0, 1}


def test_the_ensemble_draws_its_sources_alike() -> None:
    torch.manual_seed(0)
    static = tuple(build_net("linear", (1, 8, 8), 10) for _ in range(2))
    who, x, y = Learner(NET, NET, static), X[:2], Y[:2]
    goal, met = Ensemble((ONE,), clean=0), Counter[int]()
    through = [cross_entropy(NET(one_step(net, x, net(x).argmax(1))), y) for net in (NET, *static)]
    for seed in range(150):
        losses = goal.losses(who, x, y, AT._replace(seed=seed), {})[0]
        met[[torch.allclose(losses, each, atol=1e-5) for each in through].index(True)] += 1
    assert all(25 < met[k] < 75 for k in range(3)), met  # each within four standard deviations of 50


@pytest.mark.parametrize("predicted", [True, False])
def test_atda_is_cross_entropy_on_both_and_three_terms_on_running_centres(predicted: bool) -> None:
    goal = Atda((ONE,), weight=0.7, centre_rate=0.3, predicted=predicted)
    away = NET(X).argmax(1) if predicted else Y
    assert not torch.equal(NET(X).argmax(1), Y), "the net must err, or it would not matter what is attacked"
    moved, both = one_step(NET, X, away), np.concatenate([OWN, OWN])
    memory: Memory = {}
    centres = np.zeros((10, 10))
    for _ in range(2):

        def formula(net: Logits, centres: np.ndarray = centres) -> Array:
            z, w = net(X), net(moved)
            numpy = isinstance(z, np.ndarray)
            all_ = np.concatenate([z, w]) if numpy else torch.cat([z, w])
            margin = centre_margin(all_, both, centres if numpy else torch.tensor(centres, dtype=torch.float32))
            terms = covariance_gap(z, w), mean_gap(z, w), margin
            if numpy:
                assert all(term > 0.02 for term in terms), terms
            return ce(z) + ce(w) + 0.7 * sum(terms)

        memory = hold(goal, formula, memory=memory)
        z = np.concatenate([numbers(NET)(X), numbers(NET)(moved)])
        centres = follow(centres, z, both, 0.3)
        assert memory["centres"].numpy() == pytest.approx(centres, rel=1e-4, abs=1e-5)
        assert not memory["centres"].requires_grad
    assert abs(centres).max() > 0.1


def test_the_centres_of_absent_classes_stay() -> None:
    centres = torch.randn(10, 10, generator=torch.Generator().manual_seed(0))
    _, after = Atda((ONE,)).losses(WHO, X[:3], Y[:3], AT, {"centres": centres})
    for c in range(10):
        assert torch.equal(after["centres"][c], centres[c]) == (c not in Y[:3].tolist())


def test_avg_is_the_mean_and_max_the_largest_over_the_threats() -> None:
    moved = [nearby(NET, X, Y, threat) for threat in (ONE, TWO, THREE)]
    hold(Average((ONE, TWO, THREE), SHORT), lambda net: sum(ce(net(x)) for x in moved) / 3)
    each = np.stack([ce(numbers(NET)(x)) for x in moved])
    worst = each.argmax(0)
    assert len(set(worst.tolist())) > 1, "no threat may be the worst for all"
    points = torch.stack(moved)[worst, np.arange(len(X))]
    hold(Maximum((ONE, TWO, THREE), SHORT), lambda net: ce(net(points)))
    largest = Maximum((ONE, TWO, THREE), SHORT).losses(WHO, X, Y, AT, {})[0].detach().numpy()
    assert largest == pytest.approx(each.max(0), rel=1e-4, abs=1e-5)


def test_msd_takes_at_each_step_the_threat_of_the_largest_loss() -> None:
    """Two steps inside the box and inside both balls, so that nothing has to be projected."""
    wide, x0 = L2(0.65), 0.4 + 0.2 * X
    share, x, taken = 0.4, x0, []
    for _ in range(2):
        grad = torch.autograd.grad(cross_entropy(NET(held := x.clone().requires_grad_()), Y).sum(), held)[0]
        length = grad.flatten(1).norm(dim=1).view(-1, 1, 1, 1)
        tried = [x + share * ONE.radius * grad.sign(), x + share * wide.radius * grad / length]
        each = np.stack([ce(numbers(NET)(point)) for point in tried])
        taken.append(each.argmax(0))
        x = torch.stack(tried)[each.argmax(0), np.arange(len(X))]
    assert len({int(choice) for choices in taken for choice in choices}) == 2, "each threat must win somewhere"
    goal = Msd((ONE, wide), InnerAttack(steps=2, step=share, start="clean"))
    ours = goal.losses(WHO, x0, Y, AT, {})[0].detach().numpy()
    apart = abs(ours - ce(numbers(NET)(x))) / ce(numbers(NET)(x)).clip(1e-2)
    assert (apart < 0.02).mean() >= 0.8, apart  # the walk itself is in bfloat16 where the device has it: signs may flip


def test_eat_attacks_in_one_threat_and_remembers_how_often_the_net_was_right() -> None:
    goal, robust = Eat((ONE, TWO, THREE), SHORT, decay=0.8), np.array([0.913, 0.217, 0.519], dtype=np.float32)
    met = set()
    for seed in range(8):
        at = AT._replace(seed=seed)
        memory = {"robust": torch.from_numpy(robust)}
        after = goal.losses(WHO, X, Y, at, memory)[1]["robust"].numpy()
        (drawn,) = np.flatnonzero(after != robust)
        path = pgd(against(NET, precision="fast"), goal.threats[drawn], steps=3).path
        assert path is not None
        moved = last_of(path(X, Y, seed))
        hold(goal, lambda net, x=moved: ce(net(x)), at, memory)  # type: ignore[misc]
        expected = robust.copy()
        expected[drawn] = 0.8 * robust[drawn] + 0.2 * (numbers(NET)(moved).argmax(1) == OWN).mean()
        assert after == pytest.approx(expected, abs=1e-6)
        met.add(drawn)
    assert len(met) > 1


@pytest.mark.parametrize("robust", [(0.25, 0.75), (0.1, 0.1), (0.9, 0.7)])
def test_eat_draws_threats_in_proportion_to_what_they_break(robust: tuple[float, float]) -> None:
    goal, x, y = Eat((ONE, TWO), InnerAttack("fgsm"), decay=0.0), X[:1], Y[:1]
    who, memory = Learner(OTHER, OTHER), {"robust": torch.tensor(robust)}
    changed = [
        goal.losses(who, x, y, AT._replace(seed=seed), memory)[1]["robust"] != memory["robust"] for seed in range(150)
    ]
    share = float(torch.stack(changed)[:, 0].float().mean())
    expected = (1 - robust[0]) / (2 - sum(robust))
    assert abs(share - expected) < 4 * (expected * (1 - expected) / 150) ** 0.5


def test_eat_begins_with_every_threat_alike_and_forgets_slowly() -> None:
    _, after = Eat((ONE, TWO), SHORT).losses(WHO, X, Y, AT, {})
    assert sorted(after["robust"].tolist())[0] == 0
    assert 0 < max(after["robust"].tolist()) <= 0.05 + 1e-6


GOALS: dict[str, tuple[Goal, Callable[[Threat], Tensor]]] = {
    "adversarial": (Adversarial((ONE,), SHORT, ramp=0.4), lambda threat: nearby(NET, X, Y, threat)),
    "msd": (Msd((ONE,), SHORT, ramp=0.4), lambda threat: nearby(NET, X, Y, threat)),
    "eat": (Eat((ONE,), SHORT, ramp=0.4), lambda threat: nearby(NET, X, Y, threat)),
    "avg": (Average((ONE,), SHORT, ramp=0.4), lambda threat: nearby(NET, X, Y, threat)),
    "max": (Maximum((ONE,), SHORT, ramp=0.4), lambda threat: nearby(NET, X, Y, threat)),
}


@pytest.mark.parametrize("name", GOALS)
@pytest.mark.parametrize(("done", "eps"), [(0.0, 0.0), (0.1, 0.025), (0.2, 0.05), (0.4, 0.1), (1.0, 0.1)])
def test_eps_is_its_share_of_the_ramp(name: str, done: float, eps: float) -> None:
    goal, points = GOALS[name]
    moved = points(Linf(eps))
    hold(goal, lambda net: ce(net(moved)), AT._replace(done=done))
