"""Defences that an audit must see through: random models, steps without a gradient, models with one logit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import (
    L1,
    L2,
    Averaged,
    Detector,
    Linf,
    Voting,
    accepted,
    against,
    hessian,
    logits_of,
    pgd,
    session,
    straight_through,
)
from brittle.audits import AuditSettings, Journal, Proportion, audit, audit_events, doctor
from brittle.audits.proofs import graph_of, margins
from brittle.ground import BrittleError, NoGradient
from brittle.learning import accuracy, load
from conftest import Run


class Noisy(nn.Module):
    """A net behind Gaussian noise on its images."""

    def __init__(self, net: nn.Module, sigma: float) -> None:
        super().__init__()
        self.net, self.sigma = net, sigma

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x + self.sigma * torch.randn_like(x))  # type: ignore[no-any-return]


class Coin(nn.Module):
    """Right with a probability that the first pixel tells, else the other class."""

    def forward(self, x: Tensor) -> Tensor:
        heads = torch.rand(len(x)) < x.flatten(1)[:, 0]
        return torch.stack([heads.float(), (~heads).float()], 1)


def test_an_average_is_the_log_of_the_mean_probability() -> None:
    torch.manual_seed(0)
    shown: list[Tensor] = []

    def model(x: Tensor) -> Tensor:
        shown.append(torch.randn(len(x), 3))
        return shown[-1]

    found = Averaged(model, 5)(torch.rand(4, 2))
    z = torch.stack(shown).numpy()
    p = (np.exp(z) / np.exp(z).sum(2, keepdims=True)).mean(0)
    assert len(shown) == 5
    np.testing.assert_allclose(found.exp().numpy(), p, rtol=1e-5)


def test_a_vote_counts_answers() -> None:
    torch.manual_seed(0)
    x = torch.tensor([[0.0], [0.2], [0.8], [1.0]])
    votes = Voting(Coin(), 200)(x)
    assert votes.sum(1).tolist() == [200] * 4
    assert votes[0].tolist() == [0, 200]
    assert votes[3].tolist() == [200, 0]
    for row, share in ((1, 0.2), (2, 0.8)):
        low, high = Proportion(int(votes[row, 0]), 200).interval
        assert low - 0.05 < share < high + 0.05


def test_attacks_on_an_average_see_the_mean_gradient(digits_net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    """With noise whose draws are fixed, one gradient of the average is that of log mean p."""
    x, y = digits[0][:6], digits[1][:6]
    draws = [0.3 * torch.randn_like(x) for _ in range(4)]

    def model(x: Tensor, turn: list[int] = [0]) -> Tensor:  # noqa: B006
        turn[0] += 1
        return digits_net(x + draws[turn[0] % 4])  # type: ignore[no-any-return]

    at = x.clone().requires_grad_()
    p = torch.stack([digits_net(at + draw).softmax(1) for draw in draws]).mean(0)
    (by_hand,) = torch.autograd.grad(-p.gather(1, y[:, None]).log().sum(), at)
    at = x.clone().requires_grad_()
    with session(against(Averaged(model, 4))) as evaluate:
        (found,) = torch.autograd.grad(evaluate(at, y).loss.sum(), at)
    assert torch.allclose(found, by_hand, atol=1e-6)


def test_a_random_model_is_averaged_and_judged_by_majority(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    x, y = digits[0][:40], digits[1][:40]
    noisy, threat = Noisy(digits_net, 0.3), Linf(0.1)
    asked = noisy, (x, y), [threat], AuditSettings("quick", certify=True)
    reports = [[event.report for event in audit_events(*asked)][-1] for _ in range(2)]
    first, second = reports
    assert first is not None
    assert second is not None
    assert first.record.examples == second.record.examples
    assert all(map(torch.equal, first.adversarial(threat), second.adversarial(threat)))
    said = {check.name: check.text for check in first.record.checks}
    assert "majority of 25" in said["draws"]
    assert first.record.threats[0].curve is None
    assert "may be a tie" in said["majority"]
    assert first.verdict.level == "suspicious"
    assert "other answers when asked again" in first.verdict.sentence
    torch.manual_seed(1)
    alone = pgd(against(noisy), threat, steps=40).run(x, y)
    by_majority = Voting(noisy, 101)(alone.x).argmax(1) == y
    assert first.union.correct < int(by_majority.sum())
    fooled, x_adv = first.adversarial(threat)
    fresh = Voting(noisy, 101)(x_adv).argmax(1)
    assert (fresh != y[fooled]).float().mean() > 0.7  # the others are ties


def test_a_random_audit_resumes_to_the_same_bits(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    data = digits[0][:20], digits[1][:20]
    asked = Noisy(digits_net, 0.3), data, [Linf(0.1)], AuditSettings("smoke")
    whole = [event.report for event in audit_events(*asked)][-1]
    events = audit_events(*asked, Journal(tmp_path, "one"))
    for _ in range(5):
        next(events)
    events.close()
    torch.manual_seed(17)  # whatever was drawn meanwhile
    again = [event.report for event in audit_events(*asked, Journal(tmp_path, "one"))][-1]
    assert whole is not None
    assert again is not None
    assert all(map(torch.equal, again.adversarial("Linf:0.1"), whole.adversarial("Linf:0.1")))
    assert again.record.examples == whole.record.examples


class Quantised(nn.Module):
    """A net behind a step that rounds its images, whose gradient is 0 everywhere."""

    def __init__(self, net: nn.Module, levels: int) -> None:
        super().__init__()
        self.defence, self.net = Rounding(levels), net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(self.defence(x))  # type: ignore[no-any-return]


class Rounding(nn.Module):
    def __init__(self, levels: int) -> None:
        super().__init__()
        self.levels = levels

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.levels).round() / self.levels


def test_gradients_pass_straight_through_a_module(digits_net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits[0][:50], digits[1][:50]
    masked = Quantised(digits_net, 7)
    through = straight_through(masked, ["defence"])
    assert torch.equal(through(x), masked(x))
    assert type(masked.defence) is Rounding  # the model itself is as it was
    at = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(through(at).square().sum(), at)
    rounded = masked.defence(x).requires_grad_()
    (expected,) = torch.autograd.grad(digits_net(rounded).square().sum(), rounded)
    assert torch.allclose(found, expected)
    threat = Linf(0.1)
    attacks = (pgd(against(model), threat, steps=20) for model in (masked, through))
    blind, seeing = (int(attack.run(x, y, warn=False).success.sum()) for attack in attacks)
    assert blind < 10
    assert seeing > 25


def test_bpda_reaches_a_module_in_all_its_places_and_one_inside_of_another(digits_net: nn.Module) -> None:
    shared, x = Rounding(7), torch.rand(3, 1, 8, 8)
    twice = nn.Sequential(shared, nn.Identity(), shared, digits_net)
    nested = nn.Sequential(nn.Sequential(Rounding(7), nn.Identity()), digits_net)
    for model, names in ((twice, ["0"]), (nested, ["0", "0.0"]), (nested, ["0.0", "0"])):
        through = straight_through(model, names)
        at = x.clone().requires_grad_()
        (grad,) = torch.autograd.grad(through(at).square().sum(), at)
        assert torch.equal(through(x), model(x))
        assert grad.abs().sum() > 0


def test_bpda_has_clear_lines(digits_net: nn.Module) -> None:
    wide = nn.Sequential(nn.Flatten(), digits_net)
    with pytest.raises(BrittleError, match="no module 'defense'; it has"):
        straight_through(Quantised(digits_net, 3), ["defense"])
    with pytest.raises(BrittleError, match="must be an nn"):
        straight_through(lambda x: x, ["a"])
    with pytest.raises(BrittleError, match="must have the shape of its input"):
        straight_through(wide, ["0"])(torch.rand(2, 1, 8, 8))
    assert straight_through(wide, []) is wide


def test_bpda_on_the_command_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "defended.py").write_text(
        "from pathlib import Path\nimport torch\nfrom brittle.learning import load_net\n"
        "class Rounding(torch.nn.Module):\n"
        "    def forward(self, x):\n        return (x * 7).round() / 7\n"
        "class Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.defence, self.net = Rounding(), load_net(Path('net.safetensors'))[0]\n"
        "    def forward(self, x):\n        return self.net(self.defence(x))\n"
    )
    run("train", "--data", "digits", "--net", "mlp", "--epochs", "4", "--out", "net.safetensors", "--device", "cpu")
    asked = "defended:Net", "--data", "digits", "--threat", "Linf:0.1", "-n", "60", "--device", "cpu", "--json"
    shares = [json.loads(run("attack", *asked, *more)[1])["robust"]["correct"] for more in ((), ("--bpda", "defence"))]
    assert shares[1] < shares[0]
    status, out, _ = run("audit", *asked, "--effort", "smoke", "--bpda", "defence", "--out", "one")
    assert status == 0
    assert json.loads(out)["model"]["bpda"] == ["defence"]
    status, _, err = run("audit", *asked, "--bpda", "elsewhere")
    assert status == 2
    assert "no module 'elsewhere'" in err


def test_one_logit_is_audited_and_proved_as_two() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 6), nn.ReLU(), nn.Linear(6, 1))
    x = torch.rand(40, 1, 3, 3)
    with torch.no_grad():
        net[3].bias -= net(x).median()
    y = (net(x).squeeze(1) > 0).long()
    both = nn.Sequential(net, nn.Linear(1, 2))
    with torch.no_grad():
        both[1].weight.copy_(torch.tensor([[0.0], [1.0]]))
        both[1].bias.zero_()
    assert torch.equal(logits_of(net(x)), both(x))
    one, two = (audit(model, (x, y), [Linf(0.03)], effort="quick", certify=True) for model in (net, both))
    assert one.clean.correct == 40
    assert one.record.examples == two.record.examples
    assert one.record.threats[0].proved == two.record.threats[0].proved
    layers = graph_of(net, x)
    assert torch.allclose(
        margins(layers, Linf(0.03), x, y, "CROWN", 99), margins(graph_of(both, x), Linf(0.03), x, y, "CROWN", 99)
    )
    assert one.verdict.level == "trust"  # two classes are no reason to doubt
    assert all(finding.level != "bad" for finding in doctor(net, x, y))


def test_a_model_that_gives_classes_alone_is_attacked_by_its_answers(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    x, y = digits[0][:60], digits[1][:60]
    asked = []

    def labels(x: Tensor) -> Tensor:
        asked.append(torch.is_grad_enabled())
        return digits_net(x).argmax(1)  # type: ignore[no-any-return]

    for threat in (Linf(0.15), L2(0.8)):
        seen, blind = (audit(model, (x, y), [threat], effort="quick") for model in (digits_net, labels))
        assert not any(asked)
        assert blind.clean == seen.clean
        assert seen.union.correct <= blind.union.correct < 0.75 * blind.clean.correct
        assert blind.verdict.level == "suspicious"
        assert "answers alone" in blind.verdict.sentence
        assert all("Square" in one.name or "HSJ" in one.name for one in blind.record.threats[0].attacks)


def test_a_model_without_a_gradient_is_searched_without_one(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    """Without being asked: PGD and its kin would leave all that the model gets right in L2."""
    x, y = digits[0][:60], digits[1][:60]
    report = audit(lambda x: digits_net(x).detach(), (x, y), [L2(0.8)], effort="quick")
    broke = {one.name: one.broke for one in report.record.threats[0].attacks}
    assert broke["Square-500"] + broke["HSJ-10x30 from outside"] > 0.4 * report.clean.correct
    assert report.verdict.level == "broken"
    assert not any("HSJ" in one.name for one in audit(digits_net, (x, y), [L2(0.8)]).record.threats[0].attacks)


class Guarded(nn.Module):
    """A net with one more class, in the first place, that wins where the image is far from clean digits' brightness."""

    def __init__(self, net: nn.Module, level: float) -> None:
        super().__init__()
        self.net, self.level = net, level

    def forward(self, x: Tensor) -> Tensor:
        noise = (x[..., 1:] - x[..., :-1]).abs().flatten(1).mean(1, keepdim=True)
        return torch.cat([1000 * (noise - self.level), self.net(x)], 1)


def test_a_detector_is_broken_only_by_what_it_does_not_reject(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    x, y = digits[0][:30], digits[1][:30]
    sharp, never = Detector(Guarded(digits_net, 0.0), 0), Detector(Guarded(digits_net, 9.0), 0)
    report = audit(sharp, (x, y), [Linf(0.15)], effort="smoke")
    assert report.clean.correct == 0, "a clean image that is rejected counts as wrong"
    assert not pgd(against(sharp), Linf(0.15), steps=5).run(x, y, warn=False).success.any()
    plain = audit(digits_net, (x, y), [Linf(0.15)], effort="quick")
    beside = audit(never, (x, y), [Linf(0.15)], effort="quick", certify=True)
    assert (beside.clean, beside.robust) == (plain.clean, plain.robust)
    assert any("no class that rejects" in check.text for check in beside.record.checks)
    some = audit(Detector(Guarded(digits_net, 0.32), 0), (x, y), [Linf(0.15)], effort="quick")
    assert some.clean.correct > 10
    assert some.robust["Linf:0.15"].correct >= plain.robust["Linf:0.15"].correct


def test_a_model_rejects_only_where_it_is_said_to(digits_net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits[0][:20], digits[1][:20]

    class Stranger(nn.Module):
        rejects = last_class_rejects = "a name for something else"

        def forward(self, x: Tensor) -> Tensor:
            return digits_net(x)  # type: ignore[no-any-return]

    with session(against(Stranger())) as evaluate:
        assert evaluate(x, y).logits.shape == (20, 10)
    with session(against(Averaged(Detector(digits_net), 2))) as evaluate:
        assert evaluate(x, y.clamp(max=8)).logits.shape == (20, 9)


@pytest.mark.parametrize("cut", ["no_grad", "detach", "inside"])
def test_a_cut_gradient_is_an_error_and_not_a_zero(
    cut: str, digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    x, y = digits[0][:20], digits[1][:20]

    def model(x: Tensor) -> Tensor:
        with torch.set_grad_enabled(cut != "no_grad"):
            logits: Tensor = digits_net(x.detach() if cut == "inside" else x)
        return logits.detach() if cut == "detach" else logits

    for attack in (pgd, hessian):
        with pytest.raises(NoGradient, match="no gradient reaches the image"):
            attack(against(model), Linf(0.1), steps=2)(x, y)
    report = audit(model, (x, y), [Linf(0.3)], effort="smoke")
    assert all(row.name.startswith(("Square", "HSJ")) for row in report.record.threats[0].attacks)


def test_a_model_too_large_for_the_device_says_what_to_do(digits: tuple[Tensor, Tensor]) -> None:
    def model(x: Tensor) -> Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(BrittleError, match="take a smaller --batch"):
        accuracy(model, load("digits").test.take(5))


def test_a_rejected_image_is_as_good_as_a_right_one() -> None:
    logits = torch.tensor([[1.0, 2.0, 0.0, 5.0], [1.0, 2.0, 0.0, -5.0]])
    assert accepted(logits, torch.tensor([0, 0])).tolist() == [[5.0, 2.0, 0.0], [1.0, 2.0, 0.0]]
    assert Detector(lambda x: x, 1)(logits)[:, -1].tolist() == [2.0, 2.0]
    with pytest.raises(BrittleError, match="is none of 4"):
        Detector(lambda x: x, 4)(logits)


def test_random_classes_alone_are_a_majority_attacked_by_answers(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    noisy, data = Noisy(digits_net, 0.1), (digits[0][:20], digits[1][:20])
    for seed in range(5):  # whatever is drawn, it is noticed
        torch.manual_seed(seed)
        one_hot = doctor(lambda x: noisy(x).argmax(1).eq(torch.arange(10)[:, None]).T.float(), *data)
        assert next(finding for finding in one_hot if finding.name == "deterministic").level == "warn"
    report = audit(lambda x: noisy(x).argmax(1), data, [Linf(0.15)], effort="quick")
    assert {"classes only", "draws", "majority"} <= {check.name for check in report.record.checks}
    assert {one.name.partition("-")[0] for one in report.record.threats[0].attacks} == {"Square", "HSJ"}


class Hot(nn.Module):
    """The same answers at a scale at which the softmax is 0 or 1, and its gradient 0."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return 1e4 * self.net(x)


def test_the_scale_of_logits_hides_nothing_and_is_said(digits_net: nn.Module) -> None:
    data = load("digits").test.take(60)
    threats = [Linf(0.1), L2(0.5), L1(2)]
    plain, hot = (audit(model, data, threats, effort="quick") for model in (digits_net, Hot(digits_net)))
    for threat in map(str, threats):
        assert abs(plain.robust[threat].correct - hot.robust[threat].correct) <= 1
    told = {check.name: check for check in hot.record.checks}
    assert told["temperature"].level == "note"
    assert hot.verdict.level == "broken"  # other tools find nothing
    assert "temperature" not in {check.name for check in plain.record.checks}
    tried = [sum(row.tried for one in report.record.threats for row in one.attacks) for report in (plain, hot)]
    assert tried[1] < 1.5 * tried[0]
    ran = [[{row.name for row in one.attacks} for one in report.record.threats] for report in (plain, hot)]
    assert ran[0] == ran[1]  # none of those that are for nets without gradients
    turned = audit(Hot(Turned(digits_net)), data, [Linf(0.1)], effort="quick")
    assert "Square-500" in [row.name for row in turned.record.threats[0].attacks]


class Turned(nn.Module):
    """The same answers, and the gradient the other way round."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(2 * x.detach() - x)


class Staircase(nn.Module):
    """Pixels on steps that lean: the gradient is the true one wherever it is asked, and half of it points away from
    where the steps lead."""

    def __init__(self, net: nn.Module, step: float = 0.0625, lean: float = 0.5) -> None:
        super().__init__()
        self.net, self.step, self.lean = net, step, lean
        signs = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)) < 0.5
        self.register_buffer("signs", 1 - 2 * signs.float())

    def forward(self, x: Tensor) -> Tensor:
        level = (x / self.step).round() * self.step
        logits: Tensor = self.net(level + self.lean * self.signs * (x - level))
        return logits


class Wobbling(nn.Module):
    """The same classes in the same order, with gaps between logits that swing many times within eps."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.register_buffer("waves", 10 * torch.randn(64, 9, generator=torch.Generator().manual_seed(0)))

    def forward(self, x: Tensor) -> Tensor:
        logits, order = self.net(x).sort(1)
        gaps = logits.diff(dim=1) * (2 * (x.flatten(1) @ self.waves).sin()).exp()
        lowest = torch.zeros_like(logits[:, :1])
        found: Tensor = logits.scatter(1, order, torch.cat([lowest, gaps.cumsum(1)], 1))
        return found


@pytest.mark.parametrize("deceive", [Staircase, Wobbling])
def test_gradients_that_are_true_at_hand_and_false_further_out_are_found(
    digits_net: nn.Module, deceive: type[nn.Module]
) -> None:
    data = load("digits").test.take(80)
    honest, masked = (audit(model, data, [L2(0.5)], effort="quick") for model in (digits_net, deceive(digits_net)))
    said = {check.name: check for check in masked.record.checks}
    assert said["finite differences"].level == "fine"  # at the images themselves nothing is wrong
    assert said["gradients hold further out"].level in ("bad", "warn")
    assert masked.verdict.level != "trust"
    ran = {row.name.partition("-")[0] for row in masked.record.threats[0].attacks}
    assert {"Square", "HSJ"} <= ran
    assert {check.name: check.level for check in honest.record.checks}["gradients hold further out"] == "fine"
    assert not {"HSJ"} & {row.name.partition("-")[0] for row in honest.record.threats[0].attacks}


def test_searches_without_gradients_come_back_from_the_journal(digits_net: nn.Module, tmp_path: Path) -> None:
    data, model = load("digits").test.take(30), Staircase(digits_net, step=0.25)
    first, again = (audit(model, data, [L2(0.5)], effort="smoke", journal=Journal(tmp_path, "one")) for _ in range(2))
    assert [(check.name, check.text) for check in first.record.checks] == [
        (check.name, check.text) for check in again.record.checks
    ]
    assert first.record.examples == again.record.examples


def test_a_model_that_is_never_right_is_not_asked_about_no_images(digits_net: nn.Module) -> None:
    data = load("digits").test.take(20)

    def model(x: Tensor) -> Tensor:
        assert len(x), "no images at all"
        return digits_net(x)  # type: ignore[no-any-return]

    wrong = (digits_net(data.x()).argmax(1) + 1) % 10
    assert audit(model, (data.x(), wrong), [Linf(0.1)], effort="smoke").clean.correct == 0


class Smaller(nn.Module):
    """The same answers at another scale."""

    def __init__(self, net: nn.Module, scale: float) -> None:
        super().__init__()
        self.net, self.scale = net, scale

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * self.net(x)


def test_small_logits_change_neither_figure_nor_verdict(digits_net: nn.Module) -> None:
    data = load("digits").test.take(60)
    plain, small = (
        audit(model, data, [Linf(0.1)], effort="quick") for model in (digits_net, Smaller(digits_net, 1e-6))
    )
    assert abs(plain.union.correct - small.union.correct) <= 1
    assert plain.verdict.level == small.verdict.level == "trust"
    assert {check.name: check for check in small.record.checks}["temperature"].level == "note"
    noisy = doctor(Smaller(Noisy(digits_net, 0.2), 1e-6), data.x(), data.labels)
    assert {finding.name: finding for finding in noisy}["deterministic"].level == "warn"


class Unsure(nn.Module):
    """A detector that rejects wherever its logits lie close together."""

    def __init__(self, net: nn.Sequential) -> None:
        super().__init__()
        self.net, self.less, self.over = net[1], float(net[0].mean), float(net[0].std)

    def forward(self, x: Tensor) -> Tensor:
        logits = self.net((x - self.less) / self.over)
        first, second = logits.topk(2).values.T
        return torch.cat([logits, (first - 3 * (first - second - 5))[:, None]], 1)


def test_what_a_detector_rejects_is_no_sign_of_a_wrong_range(digits_net: nn.Sequential) -> None:
    data = load("digits").test.take(100)
    model = Detector(Unsure(digits_net), 10)
    assert float((model(data.x()).argmax(1) == data.labels).float().mean()) < 0.9
    found = {one.name: one for one in doctor(model, data.x(), data.labels)}
    assert found["normalisation"].level == "fine"
