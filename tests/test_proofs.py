"""Proofs of robustness: linear minima by linear programs, CROWN by its formulas in numpy, nets by their exact truth."""

import threading
from collections.abc import Callable
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.optimize import linprog
from sklearn.datasets import load_digits
from torch import Tensor, nn

from brittle.attacks import L0, L1, L2, Certifiable, Linf, Spatial, parse_threat
from brittle.audits import AuditSettings, Journal, Report, audit, audit_events
from brittle.audits.proofs import METHODS, Layer, certify, decide, graph_of, margins
from brittle.ground import BrittleError
from test_exact import problem

Vector = NDArray[np.float64]
THREATS = [Linf(0.07), L2(0.3), L1(0.8), L0(2)]
ALL = 10**9


# the least of a linear function


def by_program(threat: Certifiable, x: Vector, w: Vector) -> float:
    """min <w, p - n> over 0 <= p <= 1 - x, 0 <= n <= x and the threat's own constraint."""
    size, costs = len(x), np.hstack([w, -w])
    box = [(0, high) for high in np.hstack([1 - x, x])]
    if isinstance(threat, L0):
        ways = [-sum(max(w[i] * x[i], -w[i] * (1 - x[i])) for i in some) for some in combinations(range(size), 2)]
        return float(min(ways))
    if str(threat).startswith("L1"):
        return float(linprog(costs, np.ones((1, 2 * size)), [threat.radius], bounds=box).fun)
    return float(linprog(costs, bounds=[(0, min(high, threat.radius)) for _, high in box]).fun)


@pytest.mark.parametrize("threat", [threat for threat in THREATS if not str(threat).startswith("L2")], ids=str)
def test_linear_functions_have_the_least_value_that_a_program_finds(threat: Certifiable) -> None:
    draws = np.random.default_rng(0)
    x, w = draws.random((20, 7)), draws.normal(size=(20, 7))
    x[:5], w[5:8, :3] = x[:5].round(), 0
    least = threat.least(torch.from_numpy(x), torch.from_numpy(w)).numpy()
    np.testing.assert_allclose(least, [by_program(threat, *one) for one in zip(x, w, strict=True)], atol=1e-9)


def test_the_least_value_in_l2_is_reached_and_never_undercut() -> None:
    """The nearest allowed point to one far away reaches it; a bound by duality lies below, and as near."""
    draws = torch.Generator().manual_seed(0)
    x, w = torch.rand(60, 9, generator=draws).double(), torch.randn(60, 9, generator=draws).double()
    x[:20], w[:10, :4] = x[:20].round(), 0
    for eps in (0.01, 0.3, 1, 2.5, 10):
        threat = L2(eps)
        least, reached = threat.least(x, w), (w * threat.linear_minimum(x, w)).sum(1)
        assert (least <= reached + 1e-12).all()
        assert torch.allclose(least, reached, rtol=1e-4, atol=1e-6)
    inside = torch.full_like(x, 0.5)
    assert torch.allclose(L2(0.3).least(inside, w), -0.3 * w.norm(dim=1), rtol=1e-5)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_intervals_hold_all_allowed_images(threat: Certifiable) -> None:
    x = torch.rand(30, 1, 3, 3)
    low, high = threat.interval(x)
    for seed in range(20):
        moved = threat.sample(x, seed)
        assert (moved >= low - 1e-6).all()
        assert (moved <= high + 1e-6).all()
    assert (low >= 0).all()
    assert (high <= 1).all()


# graphs and bounds


class Residual(nn.Module):
    """What a graph must follow: constants, a sum, a concatenation, batch norm, an average, a reshape."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3, 1, 1), nn.Conv2d(4, 4, 3, 1, 1)
        self.norm, self.last = nn.BatchNorm2d(4), nn.Linear(8 * 4, 5)

    def forward(self, x: Tensor) -> Tensor:
        start = torch.relu(self.first((0.5 - x) * 2))
        joined = torch.cat([self.norm(self.second(start)) + start, start - 0.1], 1)
        pooled = nn.functional.avg_pool2d(nn.functional.relu(joined), 3)
        return self.last(pooled.view(pooled.size(0), -1))  # type: ignore[no-any-return]


class Last(nn.Module):
    """Images [B, H, W, C] of images [B, C, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class Functional(nn.Module):
    """What converters write: channels last, a frame of zeros, weights as plain tensors, a mean, a matrix product."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.wide, self.last = (nn.Parameter(torch.randn(*n)) for n in ((4, 1, 3, 3), (4, 6), (5, 6)))

    def forward(self, x: Tensor) -> Tensor:
        convolved = nn.functional.conv2d(nn.functional.pad(x.permute(0, 3, 1, 2), (1, 1, 1, 1)), self.conv)
        pixels = torch.matmul(torch.relu(convolved).permute(0, 2, 3, 1).mean(2), self.wide)
        return nn.functional.linear(torch.relu(pixels + 1).sum(1), self.last)


def nets() -> dict[str, nn.Module]:
    torch.manual_seed(3)
    pooled = [nn.Conv2d(1, 4, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(2, padding=1), nn.Conv2d(4, 4, 2), nn.MaxPool2d(2)]
    found: dict[str, nn.Module] = {
        "linear": nn.Sequential(nn.Flatten(), nn.Linear(36, 5)),
        "dense": nn.Sequential(
            nn.Flatten(), nn.Linear(36, 12), nn.ReLU(), nn.Linear(12, 9), nn.ReLU(), nn.Linear(9, 5)
        ),
        "pooled": nn.Sequential(*pooled, nn.Flatten(), nn.ReLU(), nn.Linear(4, 5)),
        "residual": Residual(),
        "functional": nn.Sequential(Last(), Functional()),
    }
    for net in found.values():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean, module.running_var = torch.randn(4) / 4, torch.rand(4) + 0.5
                module.weight.data = torch.randn(4)
    return {name: net.eval() for name, net in found.items()}


def subject(net: nn.Module, count: int = 8) -> tuple[list[Layer], Tensor, Tensor]:
    x = torch.rand(count, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    return graph_of(net, x), x, net(x).argmax(1)


def differences(net: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """z_y - z_k in float64, infinite for y itself."""
    own = nn.Sequential(net).double()
    z = own(x.double()).detach()
    net.float()
    return (z.gather(1, y[:, None]) - z).scatter(1, y[:, None], torch.inf)


@pytest.mark.parametrize("threat", THREATS, ids=str)
@pytest.mark.parametrize("name", nets())
def test_bounds_lie_below_all_that_is_reached_and_grow_tighter(name: str, threat: Certifiable) -> None:
    net = nets()[name]
    layers, x, y = subject(net)
    reached = torch.stack([differences(net, threat.sample(x, seed), y) for seed in range(60)]).amin(0)
    found = [margins(layers, threat, x, y, method, ALL) for method in METHODS]
    assert (found[-1] <= reached + 1e-6).all()
    for loose, tight in pairwise(found):
        assert (tight >= loose - 1e-9).all()
    assert all(one.gather(1, y[:, None]).isinf().all() for one in found)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_bounds_of_a_linear_net_are_exact(threat: Certifiable) -> None:
    net = nets()["linear"]
    layers, x, y = subject(net)
    weight, clean = net[1].weight.detach().double(), differences(net, x, y)  # type: ignore[index]
    for k in range(5):
        slope = (weight[y] - weight[k]).view_as(x)
        exact = clean[:, k] + threat.least(x.double(), slope)
        for method in METHODS:
            found = margins(layers, threat, x, y, method, ALL)[:, k]
            assert torch.allclose(found[y != k], exact[y != k], rtol=0, atol=1e-9)


def crown(net: nn.Sequential, x: Vector, y: int, eps: float) -> Vector:
    """CROWN in Linf for one image and a dense net, layer by layer: Zhang et al. 2018, with slope 1 below a ReLU that is
    more on than off, else 0; where intervals from the layer before are tighter, these."""
    weights = [
        (part.weight.detach().numpy(), part.bias.detach().numpy()) for part in net if isinstance(part, nn.Linear)
    ]
    low, high = np.maximum(x - eps, 0), np.minimum(x + eps, 1)

    def lowest(row: Vector, depth: int) -> float:
        """Of <row, a> with a the outputs of the affine layer `depth`."""
        constant = 0.0
        for layer in range(depth, -1, -1):
            w, b = weights[layer]
            constant, row = constant + float(row @ b), row @ w
            if layer > 0:
                least, most = known[layer - 1]
                slope = np.where(least >= 0, 1, np.where(most <= 0, 0, most / np.where(most > least, most - least, 1)))
                below = np.where(least >= 0, 1, np.where(most <= 0, 0, most > -least))
                offset = np.where((least < 0) & (most > 0), -least * slope, 0)
                constant += float(np.minimum(row, 0) @ offset)
                row = np.where(row >= 0, row * below, row * slope)
        return constant + float(np.where(row >= 0, row * low, row * high).sum())

    known: list[tuple[Vector, Vector]] = []
    for depth in range(len(weights) - 1):
        w, b = weights[depth]
        before = (low, high) if depth == 0 else tuple(np.maximum(side, 0) for side in known[-1])
        middle, radius = w @ (before[0] + before[1]) / 2 + b, np.abs(w) @ (before[1] - before[0]) / 2
        eye = np.eye(len(b))
        lows, highs = [lowest(e, depth) for e in eye], [-lowest(-e, depth) for e in eye]
        known.append((np.maximum(lows, middle - radius), np.minimum(highs, middle + radius)))
    last = np.eye(len(weights[-1][1]))
    return np.array([np.inf if k == y else lowest(last[y] - last[k], len(weights) - 1) for k in range(len(last))])


def test_crown_is_its_formulas() -> None:
    net = nets()["dense"]
    with torch.no_grad():
        for weight in net.parameters():
            weight.mul_(1.5)
    layers, x, y = subject(net)
    found = margins(layers, Linf(0.2), x, y, "CROWN", ALL)
    assert isinstance(net, nn.Sequential)
    own = net.double()
    for row in range(len(x)):
        image = x[row].double().flatten().numpy()
        np.testing.assert_allclose(found[row], crown(own, image, int(y[row]), 0.2), atol=1e-9)
    assert (found.amin(1) > 0).any()
    assert (found.amin(1) < 0).any()


def test_what_cannot_be_bounded_is_one_line() -> None:
    x = torch.rand(2, 1, 6, 6)
    smooth = nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.Sigmoid(), nn.Linear(4, 3))
    squared = type("Squared", (nn.Module,), {"forward": lambda self, x: x.flatten(1) * x.flatten(1)})()
    branching = type("Branching", (nn.Module,), {"forward": lambda self, x: x if x.sum() > 0 else -x})()
    by_batch = nn.Sequential(nn.BatchNorm2d(1, track_running_stats=False), nn.Flatten())
    for model, said in (
        (smooth, "cannot be bounded: Sigmoid"),
        (squared, "cannot be bounded: mul"),
        (branching, "cannot be traced"),
        (by_batch, "normalises by the batch"),
        (lambda x: x.flatten(1), "only a plain nn.Module"),
    ):
        with pytest.raises(BrittleError, match=said) as caught:
            graph_of(model, x)
        assert "\n" not in str(caught.value)


class Tempered(nn.Module):
    """An argument with a default, and a constant that is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.scale = nn.Linear(36, 3), nn.Parameter(torch.ones(2, 3))

    def forward(self, x: Tensor, temperature: float = 2.0) -> Tensor:
        return self.layer(x.flatten(1)) * (self.scale * 2)[0] / temperature  # type: ignore[no-any-return]


class Overwriting(nn.Module):
    """A ReLU in place, whose input is read again by another name."""

    def __init__(self, view: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.relu, self.last, self.view = nn.Linear(36, 8), nn.ReLU(inplace=True), nn.Linear(8, 3), view

    def forward(self, x: Tensor) -> Tensor:
        before = self.layer(x.flatten(1))
        return self.last(self.relu(self.view(before)).reshape(-1, 8) + before)  # type: ignore[no-any-return]


def changed(how: str) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Linear(8, 3))
    first: nn.Module = net[1]
    if how == "forward":
        net[2].forward = torch.sin  # type: ignore[method-assign, assignment]
    elif how == "hook":
        first.register_forward_hook(lambda module, given, answer: answer.sin())
    elif how == "parametrised":
        torch.nn.utils.parametrizations.weight_norm(first)
    elif how == "lock":
        net.lock = threading.Lock()  # type: ignore[assignment]
    elif how == "subclass":
        net[1] = type("Doubled", (nn.Linear,), {"forward": lambda self, x: 2 * x[:, :8]})(36, 8)
    views: dict[str, Callable[[Tensor], Tensor]] = {"overwritten": lambda x: x.view(-1, 8)}
    views["overwritten, turned"] = lambda x: x.unsqueeze(2).transpose(1, 2)
    return Overwriting(views[how]) if how in views else net


@pytest.mark.parametrize(
    "how", ["forward", "hook", "parametrised", "lock", "subclass", "overwritten", "overwritten, turned"]
)
def test_what_would_deceive_a_bound_is_refused_in_one_line(how: str) -> None:
    with pytest.raises(BrittleError, match="overwrites" if "overwritten" in how else None) as caught:
        graph_of(changed(how), torch.rand(2, 1, 6, 6))
    assert "\n" not in str(caught.value)


class Called(nn.Module):
    """Three layers, with their weights as plain tensors."""

    def __init__(self, conv: nn.Conv2d, first: nn.Linear, last: nn.Linear) -> None:
        super().__init__()
        self.conv, self.first, self.last, self.bias = conv.weight, first.weight, last.weight, last.bias

    def forward(self, x: Tensor) -> Tensor:
        wide = torch.matmul(torch.relu(nn.functional.conv2d(x, self.conv)).flatten(1), self.first.T)
        return nn.functional.linear(torch.relu(wide), self.last, self.bias)


@pytest.mark.parametrize("threat", THREATS, ids=str)
def test_weights_as_plain_tensors_are_bounded_as_modules_are(threat: Certifiable) -> None:
    torch.manual_seed(0)
    conv, first, last = nn.Conv2d(1, 3, 3, bias=False), nn.Linear(48, 9, bias=False), nn.Linear(9, 4)
    modules = nn.Sequential(conv, nn.ReLU(), nn.Flatten(), first, nn.ReLU(), last)
    x = torch.rand(6, 1, 6, 6)
    y = modules(x).argmax(1)
    for method in METHODS:
        own, called = (
            margins(graph_of(net, x), threat, x, y, method, ALL) for net in (modules, Called(conv, first, last))
        )
        torch.testing.assert_close(called, own, rtol=1e-9, atol=1e-9)


def test_a_bias_that_is_a_buffer_does_not_shrink_an_interval() -> None:
    net = nets()["dense"]
    assert isinstance(net, nn.Sequential)
    bias = net[1].bias.data - 0.5
    del net[1].bias
    net[1].register_buffer("bias", bias)
    layers, x, y = subject(net, 40)
    reached = torch.stack([differences(net, Linf(0.3).sample(x, seed), y) for seed in range(60)]).amin(0)
    for method in METHODS:
        assert (margins(layers, Linf(0.3), x, y, method, ALL) <= reached + 1e-6).all()


def test_arguments_with_defaults_and_computed_constants_are_held_fixed() -> None:
    net = Tempered()
    layers, x, y = subject(net)
    reached = torch.stack([differences(net, Linf(0.1).sample(x, seed), y) for seed in range(60)]).amin(0)
    assert (margins(layers, Linf(0.1), x, y, "CROWN", ALL) <= reached + 1e-6).all()


class Brought(nn.Module):
    """Constants that are brought to the kind and the device of the images."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.last = nn.Linear(36, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - MEAN.to(x)) / x.new_tensor(0.5) + MEAN.type_as(x) - 0.1 * torch.ones_like(x)
        return self.last(self.layer(x.flatten(1)).relu())  # type: ignore[no-any-return]


MEAN = torch.full((1, 1, 1), 0.5)


def test_a_constant_brought_to_the_images_mixes_nothing() -> None:
    torch.manual_seed(0)
    net = Brought()
    layers, x, y = subject(net)
    reached = torch.stack([differences(net, Linf(0.1).sample(x, seed), y) for seed in range(60)]).amin(0)
    assert (margins(layers, Linf(0.1), x, y, "CROWN", ALL) <= reached + 1e-6).all()
    mixing = type("Mixing", (nn.Module,), {"forward": lambda self, x: x.flatten(1) - x.mean(0).to(x).flatten()})()
    with pytest.raises(BrittleError, match="mixes the images of a batch"):
        graph_of(mixing, torch.rand(2, 1, 6, 6))


# exact search


def test_a_margin_that_rounding_may_turn_is_no_proof() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    with torch.no_grad():
        net[1].weight.copy_(torch.tensor([[500.0, 500, 500, 500], [500, 500, 500, 500]]))
        net[1].bias.copy_(torch.tensor([3e-5, 0.0]))
    x, y = torch.full((1, 1, 2, 2), 0.5), torch.zeros(1, dtype=torch.int64)
    assert certify(graph_of(net, x), Linf(0.1), x, y).by == [None]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_exact_search_agrees_with_the_smallest_change_on_either_side(seed: int) -> None:
    net, x, y, exact = problem(seed)
    layers = graph_of(net, x)
    for row, solution in enumerate(exact):
        one, label = x[row : row + 1], int(y[row])
        others = [k for k in range(3) if k != label]
        if solution.size > 1:
            continue
        robust = decide(layers, Linf(repr(solution.size * 0.999)), one, label, others, 10)
        assert robust is not None
        assert robust.robust
        threat = Linf(repr(min(solution.size * 1.001, 1)))
        broken = decide(layers, threat, one, label, others, 10)
        assert broken is not None
        assert broken.x is not None
        assert net(broken.x).argmax(1) != label
        assert threat.contains(one, broken.x)


def test_exact_search_follows_convolutions_sums_and_decided_pools() -> None:
    for name in ("residual", "pooled"):
        net = nets()[name]
        layers, x, y = subject(net, 3)
        for row in range(3):
            others = [k for k in range(5) if k != int(y[row])]
            for eps in (1e-4, 0.05):
                one = x[row : row + 1]
                answer = decide(layers, Linf(eps), one, int(y[row]), others, 10)
                if answer is None:
                    assert eps == 0.05
                elif answer.x is not None:
                    assert net(answer.x).argmax(1) != y[row]
                    assert Linf(eps).contains(one, answer.x)
                else:
                    least = margins(layers, Linf(eps), one, y[row : row + 1], "intervals", ALL)
                    reached = differences(net, Linf(eps).sample(one, 0), y[row : row + 1])
                    assert (least <= reached + 1e-6).all()
                    assert (reached > 0).all()


# audits from both sides


@pytest.fixture(scope="module")
def tiny() -> tuple[nn.Sequential, Tensor, Tensor]:
    """A tiny net trained on digits, and forty of them that it did not see."""
    torch.manual_seed(0)
    raw = load_digits()
    x, y = torch.tensor(raw.images, dtype=torch.float32)[:, None] / 16, torch.tensor(raw.target)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 10))
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(300):
        adam.zero_grad()
        nn.functional.cross_entropy(net(x[:1500]), y[:1500]).backward()
        adam.step()
    return net.eval(), x[1500:1540], y[1500:1540]


def test_an_audit_reaches_the_exact_truth(tiny: tuple[nn.Sequential, Tensor, Tensor]) -> None:
    """lower bound <= truth <= audit; with exact search nothing is undecided, and attacks alone miss nothing."""
    net, x, y = tiny[0], tiny[1][:25], tiny[2][:25]
    alone = audit(net, (x, y), [Linf(0.06)], effort="thorough")
    report = audit(net, (x, y), [Linf(0.06), L2(0.4)], effort="quick", certify=True)
    record = report.record.threats[0]
    assert record.proved is not None
    assert 0 < record.proved.correct == record.robust.correct < report.clean.correct
    assert alone.robust["Linf:0.06"].correct == record.robust.correct
    in_l2 = report.record.threats[1]
    assert in_l2.proved is not None
    assert 0 < in_l2.proved.correct <= in_l2.robust.correct
    methods = {proof for one in report.record.examples for proof in one.proved_by.values()}
    assert {"CROWN", "exact search"} <= methods
    for one in report.record.examples:
        assert not any(one.broken_by[threat] for threat in one.proved_by)
    assert report.record.union_proved is not None
    assert f"between {report.record.union_proved.accuracy:.1%}"[:-1] in report.verdict.sentence


def test_what_exact_search_breaks_counts_as_broken(tiny: tuple[nn.Sequential, Tensor, Tensor]) -> None:
    """Behind a gradient that is turned round and an attack that cannot search, bounds still find the truth."""
    net, x, y = tiny
    layers, threat = graph_of(net, x), Linf(0.06)
    right = net(x).argmax(1) == y
    found = certify(layers, threat, x[right], y[right])
    assert all((proof is None) == bool(flag) for proof, flag in zip(found.by, found.broken, strict=True))
    assert len(found.x) == int(found.broken.sum()) > 0
    assert (net(found.x).argmax(1) != y[right][found.broken]).all()
    assert threat.contains(x[right][found.broken], found.x).all()


def test_proofs_resume_after_a_kill(tiny: tuple[nn.Sequential, Tensor, Tensor], tmp_path: Path) -> None:
    net, x, y = tiny
    asked = net, (x, y), [Linf(0.06)], AuditSettings("smoke", certify=True)

    def finished(folder: Path) -> Report:
        report = [event.report for event in audit_events(*asked, Journal(folder, "one"))][-1]
        assert report is not None
        return report

    whole = finished(tmp_path / "whole")
    events = audit_events(*asked, Journal(tmp_path / "cut", "one"))
    while "20 examples" not in (text := next(events).text) or "proofs" not in text:
        pass
    next(events)  # the first batch is kept, the second was begun
    events.close()
    again = finished(tmp_path / "cut")
    assert again.record.examples == whole.record.examples
    assert again.record.threats[0].proved == whole.record.threats[0].proved
    assert all(all(map(torch.equal, again.adversarial(one), whole.adversarial(one))) for one in whole.found)


def test_proofs_of_other_examples_in_the_journal_are_not_taken(
    tiny: tuple[nn.Sequential, Tensor, Tensor], tmp_path: Path
) -> None:
    """An audit that was cut short left more examples alive, so that its batches hold others under the same names."""
    net, x, y = tiny
    journal = Journal(tmp_path, "one")
    layers, right = graph_of(net, x), (net(x).argmax(1) == y).nonzero().squeeze(1)
    proofs = certify(layers, Linf(0.06), x[right[:20]], y[right[:20]])
    tensors = {"rows": right[:20], "broken": proofs.broken, "x": proofs.x}
    tensors |= {"held": proofs.broken[proofs.broken], "held_8bit": proofs.broken[proofs.broken]}
    tensors["size"] = torch.full((len(proofs.x),), 0.06, dtype=torch.float64)
    sharp = net, (x, y), [Linf(0.06)], AuditSettings("quick", certify=True)
    fresh = [event.report for event in audit_events(*sharp)][-1]
    assert fresh is not None
    first = int(fresh.withstands[0].nonzero()[0])
    journal.write(f"Linf:0.06 proofs {first}", tensors, {"by": proofs.by, "seconds": 0.0})
    again = [event.report for event in audit_events(*sharp, journal)][-1]
    assert again is not None
    assert again.record.examples == fresh.record.examples


def test_an_audit_says_why_nothing_is_proved(tiny: tuple[nn.Sequential, Tensor, Tensor]) -> None:
    net, x, y = tiny
    smooth = nn.Sequential(net, nn.Softplus())
    report = audit(smooth, (x, y), [Linf(0.06), Spatial(10, 1)], effort="quick", certify=True)
    said = {check.threat: check for check in report.record.checks if check.name == "proofs"}
    assert "Softplus" in said["Linf:0.06"].text
    assert [said[threat].level for threat in ("Linf:0.06", "Spatial:10,1")] == ["note", "fine"]
    assert "quote the union" not in report.verdict.sentence
    assert report.record.threats[0].proved is None
    assert report.record.union_proved is None
    in_space = report.record.threats[1]
    assert in_space.proved == in_space.robust
    plain = audit(net, (x, y), [parse_threat("Linf:0.06")], effort="smoke")
    assert plain.record.threats[0].proved is None
    assert plain.record.union_proved is None
