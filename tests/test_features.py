"""Features: usefulness as the paper defines it, robust usefulness exact where it can be, an upper bound elsewhere."""

import numpy as np
import pytest
import torch
from scipy.optimize import LinearConstraint, linprog, minimize
from torch import Tensor, nn

from brittle.attacks import L1, L2, Linf, LpBall
from brittle.audits import Interval
from brittle.ground import BrittleError
from brittle.learning import Split, build_net, load
from brittle.science import (
    containment,
    correlations,
    custom,
    ensemble,
    linear,
    logits,
    place_directions,
    principal_components,
    random_projections,
    representation_of,
    singular_directions,
    two_classes,
    units,
    usefulness,
)
from brittle.science.features import verdict_of

GENERATOR = torch.Generator().manual_seed(0)


def made_up(n: int = 400, classes: int = 2) -> Split:
    """Images of 3 x 3 whose first pixel tells the class robustly, whose second tells it by a hair, and whose rest is
    noise."""
    labels = torch.arange(n) % classes
    x = torch.rand(n, 1, 3, 3, generator=GENERATOR) * 0.2 + 0.4
    x[:, 0, 0, 0] = torch.where(labels == 0, 0.2, 0.8) + 0.1 * torch.rand(n, generator=GENERATOR)
    x[:, 0, 0, 1] = torch.where(labels == 0, 0.48, 0.52) + 0.01 * torch.rand(n, generator=GENERATOR)
    return Split(
        (x * 255).round().to(torch.uint8),
        labels,
        tuple("ab"[:classes] if classes == 2 else map(str, range(classes))),
        "made up",
    )


def test_a_feature_is_worth_on_other_labels_what_the_sums_say() -> None:
    known, split = made_up(200), made_up(600)
    features = linear(torch.eye(9).view(9, 1, 3, 3))
    turned = Split(split.images, 1 - split.labels, split.classes, "turned")
    found = correlations(features, known, {"D": split, "turned": turned})
    x, at = split.x().flatten(1).double().numpy(), known.x().flatten(1).double().numpy()
    f, y = (x - at.mean(0)) / at.std(0), 2.0 * split.labels.numpy() - 1
    for pixel in (0, 1):  # both rise with the second class
        assert float(found["D"][pixel]) == pytest.approx((f[:, pixel] * y).mean(), rel=1e-4)
    assert found["D"][:2].min() > 0.9
    assert torch.allclose(found["turned"], -found["D"])


def test_a_feature_that_a_set_shifts_is_worth_what_it_was() -> None:
    known, split = made_up(200, classes=4), made_up(600, classes=4)
    features = linear(torch.eye(9).view(9, 1, 3, 3))
    brighter = Split(split.images + 20, split.labels, split.classes, "brighter")
    found = correlations(features, known, {"D": split, "brighter": brighter})
    assert float(found["D"][0]) > 0.4
    assert torch.allclose(found["brighter"], found["D"], atol=1e-5)


def test_labels_that_tell_nothing_are_worth_nothing_on_images_of_another_mean() -> None:
    known, split = made_up(200, classes=4), made_up(4000, classes=4)
    features = linear(torch.eye(9).view(9, 1, 3, 3))
    drawn = torch.randint(0, 128, split.images.shape, generator=GENERATOR, dtype=torch.uint8)
    shuffled = split.labels[torch.randperm(len(split), generator=GENERATOR)]
    sets = {
        "noise": Split(drawn, split.labels, split.classes, "noise"),
        "shuffled": Split(split.images, shuffled, split.classes, "shuffled"),
    }
    found = correlations(features, known, sets)
    for name, split in sets.items():
        spread = split.x().flatten(1).std(0) / known.x().flatten(1).std(0)
        assert bool((found[name].abs() < 5 * spread / len(split) ** 0.5).all()), name  # five standard errors


def test_where_labels_move_on_by_one_a_feature_speaks_against_them_with_its_share() -> None:
    labels = torch.arange(1000) % 10
    images = torch.full((1000, 1, 1, 1), 100, dtype=torch.uint8)
    images[labels == 3] = 200  # it tells one class, and nothing of the others
    split = Split(images, labels, tuple("abcdefghij"), "one")
    moved = Split(images, (labels + 1) % 10, split.classes, "moved on")
    found = correlations(linear(torch.ones(1, 1, 1, 1)), split, {"D": split, "moved on": moved})
    assert float(found["D"]) == pytest.approx(0.6)
    assert float(found["moved on"]) == pytest.approx(-0.6 / 9)


def lowest_by_solver(threat: LpBall, x: Tensor, w: Tensor) -> float:
    """min <w, delta> over ball and box, by a general convex solver."""
    size, low, high = len(x), -x.numpy(), 1 - x.numpy()
    if threat.norm == "L2":
        found = minimize(
            lambda d: float(w.numpy() @ d),
            np.zeros(size),
            jac=lambda d: w.numpy(),
            bounds=list(zip(low, high, strict=True)),
            constraints={"type": "ineq", "fun": lambda d: threat.radius**2 - d @ d, "jac": lambda d: -2 * d},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        return float(found.fun)
    if threat.norm == "Linf":
        bounds = [(max(a, -threat.radius), min(b, threat.radius)) for a, b in zip(low, high, strict=True)]
        return float(linprog(w.numpy(), bounds=bounds).fun)
    # L1: delta = up - down, sum of both at most eps
    bounds = [(0, b) for b in high] + [(0, -a) for a in low]
    budget = LinearConstraint(np.ones((1, 2 * size)), -np.inf, threat.radius)
    return float(linprog(np.concatenate([w, -w]), A_ub=budget.A, b_ub=[threat.radius], bounds=bounds).fun)


@pytest.mark.parametrize("threat", [L2(0.3), L2(1.5), Linf(0.1), L1(0.5), L1(3)], ids=str)
def test_the_infimum_of_a_linear_feature_is_the_convex_solvers(threat: LpBall) -> None:
    for _ in range(10):
        x = torch.rand(1, 8, generator=GENERATOR, dtype=torch.float64)
        w = torch.randn(1, 8, generator=GENERATOR, dtype=torch.float64)
        delta = threat.linear_minimum(x, w)
        assert float(threat.size(x, x + delta)) <= threat.radius * (1 + 1e-9)
        assert bool(((x + delta >= -1e-12) & (x + delta <= 1 + 1e-12)).all())
        assert float((w * delta).sum()) == pytest.approx(lowest_by_solver(threat, x[0], w[0]), abs=1e-6)


@pytest.mark.parametrize("threat", [L2(0.01), Linf(0.01), L1(0.01)], ids=str)
def test_where_the_box_does_not_bind_it_is_the_dual_norm(threat: LpBall) -> None:
    x = 0.4 + 0.2 * torch.rand(20, 8, generator=GENERATOR, dtype=torch.float64)
    w = torch.randn(20, 8, generator=GENERATOR, dtype=torch.float64)
    dual = threat.dual_size(w)
    assert torch.allclose((w * threat.linear_minimum(x, w)).sum(1), -threat.radius * dual, atol=1e-9)


def test_rho_and_gamma_of_a_linear_feature_are_those_of_the_definitions() -> None:
    split, threat = made_up(), Linf(0.05)
    weights = torch.zeros(2, 1, 3, 3)
    weights[0, 0, 0, 0], weights[1, 0, 0, 1] = 1, 1
    robust, brittle = sorted(
        usefulness(linear(weights, ["robust", "brittle"]), split, threat), key=lambda one: one.index
    )
    half = len(split) // 2
    known, asked = split.x(slice(half))[:, 0, 0], split.x(slice(half, None))[:, 0, 0]
    y = torch.where(split.labels[half:] == 0, 1.0, -1.0)
    for one, pixel in ((robust, 0), (brittle, 1)):
        f = (asked[:, pixel] - known[:, pixel].mean()) / known[:, pixel].std(correction=0)
        sign = -1 if one.target == "a" else 1
        assert one.sign == sign
        assert one.exact
        y_used = y if one.target == "a" else -y
        assert one.rho.mean == pytest.approx(float((y_used * sign * f).mean()), abs=1e-5)
        drop = 0.05 / float(known[:, pixel].std(correction=0))  # eps ||w||_1 / sigma
        assert one.gamma is not None
        assert one.gamma.mean == pytest.approx(one.rho.mean - drop, abs=1e-3)
    assert robust.verdict == "robustly useful"
    assert brittle.verdict == "useful but not robust"
    assert brittle.rho.mean > 0.9


def test_an_attack_finds_at_most_what_is_exact() -> None:
    split, threat = made_up(), L2(0.3)
    weights = torch.randn(3, 1, 3, 3, generator=GENERATOR)
    exact = {one.name: one for one in usefulness(linear(weights), split, threat)}
    flat = weights.flatten(1)
    names = [f"direction {k}" for k in range(3)]
    found = usefulness(custom(lambda x: x.flatten(1) @ flat.T, names), split, threat, attacked=0, steps=100, images=200)
    for one in found:
        known = exact[one.name].gamma
        if one.gamma is None or known is None:
            continue
        assert not one.exact
        assert one.gamma.mean >= known.mean - 1e-4
        assert one.gamma.mean == pytest.approx(known.mean, rel=0.04, abs=0.02)


def test_noise_and_constants_are_useless() -> None:
    split = made_up(2000)
    weights = torch.zeros(2, 1, 3, 3)
    weights[0, 0, 2, 2] = 1
    found = {one.name: one for one in usefulness(linear(weights, ["noise", "nothing"]), split, L2(0.1))}
    assert found["nothing"].rho == Interval(0, 0, 0)
    assert found["nothing"].verdict == "useless"
    assert found["noise"].verdict in ("useless", "undecided")
    assert abs(found["noise"].rho.mean) < 0.1


def test_verdicts_follow_the_intervals() -> None:
    sure, low, unsure = Interval(0.5, 0.4, 0.6), Interval(0.02, 0.01, 0.03), Interval(0.06, 0.01, 0.1)
    below, across = Interval(-0.2, -0.3, -0.1), Interval(0.0, -0.1, 0.1)
    assert verdict_of(sure, sure) == "robustly useful"
    assert verdict_of(sure, below) == "useful but not robust"
    assert verdict_of(sure, across) == verdict_of(sure, None) == verdict_of(unsure, sure) == "undecided"
    assert verdict_of(low, None) == "useless"


def test_more_than_two_classes_are_one_against_the_rest(digits_net: nn.Module) -> None:
    test = load("digits").test
    found = usefulness(logits(digits_net, test.classes), test, L2(0.3), attacked=0, steps=5, images=40)
    assert {(one.name, one.target) for one in found} == {(f"logit of {name}", name) for name in test.classes}
    assert all(one.sign == 1 and one.gamma is not None and one.gamma.mean < one.rho.mean for one in found)
    assert all(one.rho.mean <= 2 * (0.1 * 0.9) ** 0.5 + 0.05 for one in found)


def test_more_reach_is_never_more_useful(digits_net: nn.Module) -> None:
    test = load("digits").test
    features = principal_components(test.x(), 6)
    small, large = (sorted(usefulness(features, test, L2(eps)), key=lambda one: one.index) for eps in (0.1, 0.4))
    pairs = [(a.gamma, b.gamma) for a, b in zip(small, large, strict=True)]
    assert all(a.mean >= b.mean for a, b in pairs if a and b)
    none = usefulness(features, test, L2(0))
    assert all(one.gamma.mean == pytest.approx(one.rho.mean, abs=1e-6) for one in none if one.gamma)


def test_the_representation_is_what_the_last_linear_layer_reads(digits_net: nn.Module) -> None:
    x = load("digits").test.x(slice(7))
    g = representation_of(digits_net, x)
    head = digits_net.get_submodule(g.layer)
    assert torch.allclose(head(g(x)), digits_net(x), atol=1e-5)
    assert g(x).shape == (7, 256)
    named = representation_of(digits_net, x, "1.2")
    assert torch.equal(named(x), torch.relu(digits_net.get_submodule("1.1")(x.flatten(1))))
    assert not any(module._forward_hooks for module in digits_net.modules())
    assert len(units(digits_net, x).names) == 256


def test_layers_beside_a_batch_norm_are_what_they_say_though_others_are_folded() -> None:
    torch.manual_seed(0)
    net = build_net("quick", (3, 16, 16), 4)
    net(torch.rand(32, 3, 16, 16))
    net.eval()
    x, said = torch.rand(3, 3, 16, 16), {}
    layers = ("1.0.0", "1.0.1", "1.0.3")
    for layer in layers:
        net.get_submodule(layer).register_forward_hook(
            lambda module, given, out, layer=layer: said.update({layer: out})
        )
    with torch.no_grad():
        net(x)
    for module in net.modules():
        module._forward_hooks.clear()
    for layer in layers:
        assert torch.allclose(representation_of(net, x, layer)(x), said[layer].flatten(1), atol=1e-4), layer


def test_models_without_a_representation_are_refused() -> None:
    x = torch.rand(2, 1, 8, 8)
    with pytest.raises(BrittleError, match="function or a program"):
        representation_of(lambda x: x.flatten(1), x)
    with pytest.raises(BrittleError, match="no linear layer"):
        representation_of(nn.Sequential(nn.Conv2d(1, 10, 8), nn.Flatten()), x)
    with pytest.raises(BrittleError, match="no layer is called"):
        representation_of(build_net("mlp", (1, 8, 8), 10), x, "nowhere")
    with pytest.raises(BrittleError, match="20 images"):
        usefulness(random_projections((1, 3, 3), 2), made_up(10), L2(0.1))


def test_random_projections_have_length_one_and_a_seed() -> None:
    one, same, other = (random_projections((1, 3, 3), 4, seed).weights for seed in (1, 1, 2))
    assert one is not None
    assert same is not None
    assert other is not None
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.allclose(one.flatten(1).norm(dim=1), torch.ones(4))


def test_directions_are_as_robust_as_their_data_vary_and_ensembles_are_useful_though_fragile() -> None:
    test = load("digits").train
    task = two_classes(test.x(), test.labels, 3, 8)
    directions = singular_directions(task)
    on_device = place_directions(directions, task)
    spread = (task.x @ directions.T).std(0, correction=0)
    assert torch.allclose(on_device.robustness, spread.log())
    assert bool((on_device.robustness.diff() <= 1e-9).all())
    values = task.x @ directions[0]
    assert float(on_device.usefulness[0].exp()) == pytest.approx(
        float((task.y * values).mean().abs() / values.std(correction=0))
    )
    below = float(on_device.robustness.median())
    together = place_directions(ensemble(directions, task, below), task)
    fragile = on_device.robustness < below
    assert float(together.usefulness) > float(on_device.usefulness[fragile].median())
    assert float(together.robustness) < below
    contained = containment(directions[0], directions[-1], 0.1)
    assert float(contained.norm()) == pytest.approx(1)
    with pytest.raises(BrittleError, match="no direction"):
        ensemble(directions, task, -100)
    with pytest.raises(BrittleError, match="two classes"):
        two_classes(test.x(), test.labels, 3, 3)
