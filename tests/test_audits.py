"""What an audit says is true, verified, the same after a kill, and refused where it would mean nothing."""

import json
import subprocess
import time
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import torch
from scipy.optimize import minimize_scalar
from scipy.special import xlogy
from scipy.stats import beta, chi2
from torch import Tensor, nn

from brittle.attacks import L1, L2, Linf, against, pgd
from brittle.audits import EFFORTS, Journal, Proportion, audit, doctor, paired_interval, paired_p_value, to_8bit, verify
from brittle.audits.provenance import commit_of
from brittle.audits.statistics import chance_p_value
from brittle.ground import BrittleError, counted_from
from brittle.learning import build_net, classifier, load
from brittle.learning.nets import Normalize
from brittle.report import read_run

THREATS = (Linf(0.1), L2(0.5), L1(1.5))


def some(count: int = 60) -> tuple[Tensor, Tensor]:
    test = load("digits").test.take(count)
    return test.x(), test.labels


def test_intervals_are_exact() -> None:
    low, high = Proportion(8, 10).interval
    assert (low, high) == pytest.approx((beta.ppf(0.025, 8, 3), beta.ppf(0.975, 9, 2)))
    assert Proportion(0, 10).interval[0] == 0
    assert Proportion(10, 10).interval[1] == 1
    assert Proportion(0, 0).accuracy == 0
    assert paired_p_value(5, 0) == pytest.approx(1 / 32)


@pytest.mark.parametrize(
    ("first", "second", "n"), [(12, 2, 50), (2, 12, 50), (0, 0, 500), (5, 0, 500), (30, 29, 60), (10, 0, 10)]
)
def test_a_paired_interval_holds_the_differences_that_the_score_test_does_not_reject(
    first: int, second: int, n: int
) -> None:
    found = paired_interval(first, second, n)
    assert found.mean == (first - second) / n

    def statistic(difference: float) -> float:
        """(b - c - n d)^2 over its variance, where the likelihood is maximised numerically under p12 - p21 = d."""

        def unlikely(alone: float) -> float:
            both = 1 - 2 * alone - difference
            return float(-xlogy(first, alone + difference) - xlogy(second, alone) - xlogy(n - first - second, both))

        lowest, highest = max(0.0, -difference), (1 - difference) / 2
        alone = minimize_scalar(unlikely, bounds=(lowest, highest), method="bounded", options={"xatol": 1e-12}).x
        return float((first - second - n * difference) ** 2 / (n * (2 * alone + difference - difference**2)))

    for end in (found.low, found.high):
        if abs(end) < 1:
            inside = end + 0.01 * (found.mean - end)
            assert statistic(end) == pytest.approx(chi2.ppf(0.95, 1), rel=1e-3)
            assert statistic(inside) < chi2.ppf(0.95, 1)


def test_no_example_that_differs_is_no_proof_that_none_does() -> None:
    none = paired_interval(0, 0, 500)
    reach = chi2.ppf(0.95, 1) / (500 + chi2.ppf(0.95, 1))
    assert (none.low, none.mean, none.high) == pytest.approx((-reach, 0, reach))
    assert paired_interval(7, 7, 7 * 10**6).high < 1e-5
    assert paired_interval(10, 0, 10).high == -paired_interval(0, 10, 10).low == 1


def test_an_audit_counts_per_example_over_attacks_and_threats(digits_net: nn.Module) -> None:
    x, y = some()
    report = audit(digits_net, (x, y), THREATS, effort="quick")
    assert report.clean.correct == int((digits_net(x).argmax(1) == y).sum())
    assert report.union.correct == int(report.withstands.all(0).sum())
    assert report.union.correct <= min(robust.correct for robust in report.robust.values()) <= report.clean.correct
    for index, threat in enumerate(THREATS):
        record = report.record.threats[index]
        broken = ~report.withstands[index] & (digits_net(x).argmax(1) == y)
        assert sum(row.broke for row in record.attacks) == int(broken.sum())
        assert record.robust.correct == report.robust[str(threat)].correct
        # every image that broke an example does so when looked at afresh
        rows, x_adv = report.adversarial(threat)
        assert torch.equal(rows, broken.nonzero().squeeze(1))
        assert verify(digits_net, threat, x[rows], x_adv, y[rows]).broken.all()
        assert record.robust_8bit.correct >= record.robust.correct
        curve = record.curve
        assert curve.accuracy == sorted(curve.accuracy, reverse=True)
    assert {row.index for row in report.record.examples} == set(range(60))


def test_an_audit_is_at_least_as_strong_as_each_attack(digits_net: nn.Module) -> None:
    x, y = some()
    report = audit(digits_net, (x, y), [Linf(0.1)], effort="quick")
    alone = pgd(against(digits_net), Linf(0.1), steps=20).run(x, y)
    assert report.robust["Linf:0.1"].correct <= int((~alone.success).sum())


def test_an_audit_resumes_from_its_journal_and_gives_the_same(digits_net: nn.Module, tmp_path: Path) -> None:
    x, y = some(40)
    whole = audit(digits_net, (x, y), THREATS, effort="smoke").save(tmp_path / "whole")
    journal = Journal(tmp_path / "pieces", "this")
    audit(digits_net, (x, y), THREATS, effort="smoke", journal=journal)
    pieces = sorted((tmp_path / "pieces").iterdir())
    for piece in pieces[::2]:  # as if killed: half of the work is lost
        piece.unlink()
    pieces[1].write_bytes(b"damaged")
    again = audit(digits_net, (x, y), THREATS, effort="smoke", journal=journal).save(tmp_path / "again")
    assert timeless(whole) == timeless(again)
    other = Journal(tmp_path / "pieces", "other")
    assert other.read(pieces[3].stem, dict) is None


def test_the_batch_changes_no_figure(digits_net: nn.Module) -> None:
    whole, parts = (audit(digits_net, some(30), [Linf(0.1), L2(0.5)], effort="smoke", batch=size) for size in (250, 7))
    assert torch.equal(whole.withstands, parts.withstands)
    assert whole.record.examples == parts.record.examples
    for one, other in zip(whole.record.threats, parts.record.threats, strict=True):
        assert one.curve.n == other.curve.n == 30
        assert one.curve.accuracy == other.curve.accuracy
    assert [check.level for check in whole.record.checks] == [check.level for check in parts.record.checks]
    with pytest.raises(BrittleError, match="a batch must be at least 1"):
        audit(digits_net, some(30), [Linf(0.1)], batch=0)


def timeless(folder: Path) -> object:
    def strip(value: object) -> object:
        if isinstance(value, dict):
            return {key: strip(part) for key, part in value.items() if key not in ("seconds", "date", "command")}
        return [strip(part) for part in value] if isinstance(value, list) else value

    return strip(json.loads((folder / "audit.json").read_text())), (folder / "audit.safetensors").read_bytes()


def test_a_saved_audit_can_be_reported(digits_net: nn.Module, tmp_path: Path) -> None:
    x, y = some(30)
    report = audit(digits_net, (x, y), [Linf(0.1)], effort="quick")
    run = read_run(report.save(tmp_path))
    assert run.record["union"]["correct"] == report.union.correct
    assert len(run.clean) == len(run.record["wall"]) > 0
    assert str(report).count("\n") == 3


def test_once_the_budget_is_spent_the_model_is_asked_no_more(
    digits_net: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []  # each answer takes a second of a clock that nothing else moves
    monkeypatch.setattr(time, "monotonic", lambda: float(len(asked)))

    def model(x: Tensor) -> Tensor:
        asked.append(len(x))
        return digits_net(x)

    report = audit(model, some(40), THREATS, effort="quick", budget=60)
    spent = len(asked)
    assert 60 <= spent <= 60 + 10  # the clean images and the doctor's looks are asked in any case
    assert report.record.skipped
    whole = audit(model, some(40), THREATS, effort="quick")
    assert len(asked) - spent > 200
    assert bool((whole.withstands <= report.withstands).all())


def test_a_threat_is_found_by_any_of_its_names(digits_net: nn.Module) -> None:
    report = audit(digits_net, some(20), ["Linf:0.1", "L2:0.5"], effort="smoke")
    for same in ("Linf:1/10", "inf:0.1", Linf("1/10")):
        assert report.robust[same] == report.robust["Linf:0.1"]
        assert all(map(torch.equal, report.adversarial(same), report.adversarial("Linf:0.1")))
    for other in ("Linf:0.2", "L1:0.1"):
        with pytest.raises(BrittleError, match=r"was not audited; the threats are Linf:0\.1, L2:0\.5"):
            report.robust[other]


def test_a_spent_budget_is_said_and_gives_an_upper_bound(digits_net: nn.Module) -> None:
    x, y = some(30)
    report = audit(digits_net, (x, y), THREATS, effort="quick", budget=1e-9)
    assert report.union.correct == report.clean.correct
    stages = [stage for threat in THREATS for stage in EFFORTS["quick"].stages_of(threat)]
    left_out = [stage for stage in stages if stage.pilot or stage.noise is not False]  # no pilot ran: noise is kept
    assert len(report.record.skipped) == len(left_out) + 1 + len(THREATS)  # gradients further out, and comparisons
    assert report.verdict.level == "suspicious"
    assert "upper bound" in report.verdict.sentence


def test_a_budget_may_count_from_before_the_audit_began(digits_net: nn.Module) -> None:
    for ago, spent in ((30, True), (0, False)):
        with counted_from(time.monotonic() - ago):
            report = audit(digits_net, some(5), [Linf(0.01)], effort="smoke", budget=29)
        assert bool(report.record.skipped) is spent
        assert report.record.run.seconds < 29


def test_trust_is_not_given_where_gradients_were_not_looked_at(digits_net: nn.Module) -> None:
    report = audit(digits_net, some(30), [Linf(0)], effort="quick")
    assert report.verdict.level == "suspicious"
    assert "not looked at" in report.verdict.sentence


def test_tiny_radii_are_not_lost_to_rounding(digits_net: nn.Module) -> None:
    x, y = some(30)
    threat = Linf("0.5/255")
    moved = threat.project(x, x + 1)
    assert verify(digits_net, threat, x, moved, y).allowed.all()


def test_a_piece_for_other_survivors_is_not_taken(digits_net: nn.Module, tmp_path: Path) -> None:
    x, y = some(40)
    journal = Journal(tmp_path, "this")
    audit(digits_net, (x, y), [Linf(0.1)], effort="smoke", journal=journal)
    wrong = torch.where(torch.arange(40) < 5, (y + 1) % 10, y)  # other labels: other survivors under the same keys
    resumed = audit(digits_net, (x, wrong), [Linf(0.1)], effort="smoke", journal=journal)
    assert resumed.robust == audit(digits_net, (x, wrong), [Linf(0.1)], effort="smoke").robust


def test_claims_that_do_not_hold_are_said(digits_net: nn.Module) -> None:
    x, y = some(60)

    class Fickle(nn.Module):
        """Right when it is looked at without a gradient, wrong when it is attacked."""

        def forward(self, x: Tensor) -> Tensor:
            return digits_net(x) * (-1 if x.requires_grad else 1)

    report = audit(Fickle(), (x, y), [Linf(0.05)], effort="quick")
    assert report.verdict.level == "broken"
    assert any(check.name == "successes hold" and check.level == "bad" for check in report.record.checks)


def test_the_curve_counts_what_fools_in_float32(digits_net: nn.Module) -> None:
    x, y = some(40)
    curve = audit(digits_net, (x, y), [L2(0.5)], effort="quick").record.threats[0].curve
    assert curve.accuracy[0] == pytest.approx(float((digits_net(x).argmax(1) == y).float().mean()))
    assert curve.accuracy[-1] < curve.accuracy[0]


def test_half_precision_and_labels_that_are_no_classes_are_refused(digits_net: nn.Module) -> None:
    x, y = some(20)
    with pytest.raises(BrittleError, match="float32 or float64"):
        audit(digits_net, (x.bfloat16(), y), [Linf(0.1)])
    with pytest.raises(BrittleError, match="labels"):
        audit(digits_net, (x, y + 5), [Linf(0.1)])
    with pytest.raises(BrittleError, match="negative"):
        audit(digits_net, (x, y - 1), [Linf(0.1)])


class Masked(nn.Module):
    """A net behind a staircase: the same answers, no gradients."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net((x * 12).round() / 12 + 0 * x)


def test_masked_gradients_are_noticed(digits_net: nn.Module) -> None:
    x, y = some(60)
    report = audit(Masked(digits_net), (x, y), [Linf(0.15)], effort="quick")
    assert report.verdict.level == "broken"
    bad = {check.name for check in report.record.checks if check.level == "bad"}
    assert "gradient" in bad
    assert {"gradients are alive", "gradients beat guessing", "an unbounded attack wins"} & bad
    assert audit(digits_net, (x, y), [Linf(0.15)], effort="quick").verdict.level != "broken"


def test_verification_refuses_what_is_not_allowed(digits_net: nn.Module) -> None:
    x, y = some(20)
    far = (x + 0.5).clamp(0, 1)
    far_and_wrong = digits_net(far).argmax(1) != y
    assert far_and_wrong.any()
    assert not verify(digits_net, Linf(0.1), x, far, y).broken.any()
    assert not verify(digits_net, Linf(1), x, far + 1, y).allowed.any()
    assert not verify(digits_net, Linf(1), x, far * torch.nan, y).allowed.any()
    assert verify(digits_net, Linf(0.5), x, far, y).allowed.all()
    just = x + 0.1 * torch.where(x > 0.5, -1, 1)
    assert verify(digits_net, Linf(0.1), x, just, y).allowed.all()
    assert not verify(digits_net, Linf(0.0999), x, just, y).allowed.any()


def test_rounding_to_8_bits_stays_on_the_grid_and_in_the_ball() -> None:
    x, _ = some(20)
    moved = (x + 0.1 * (2 * torch.rand_like(x) - 1)).clamp(0, 1)
    rounded = to_8bit(x, moved)
    assert ((rounded * 255) - (rounded * 255).round()).abs().max() < 1e-3
    assert ((rounded - x).abs() <= (moved - x).abs() + 1e-5).all()
    assert ((rounded - moved).abs() <= 1 / 255 + 1e-5).all()
    assert torch.allclose(to_8bit(x, x + 3 / 255 * (x < 0.5)), x + 3 / 255 * (x < 0.5), atol=1e-6)


def test_where_nothing_is_left_attacks_are_not_compared(digits_net: nn.Module) -> None:
    report = audit(digits_net, some(30), [L2(8), L2(0.3)], effort="quick")
    told = {check.threat: check for check in report.record.checks if check.name == "comparisons"}
    right = report.clean.correct
    assert set(told) == {"L2:8"}
    assert told["L2:8"].text.startswith(f"{right} of {right} are broken")
    assert {path.threat for path in report.record.gradients} == {"L2:0.3"}


def names(findings: list) -> dict[str, str]:  # type: ignore[type-arg]
    return {finding.name: finding.level for finding in findings}


def test_the_doctor_finds_a_healthy_net_healthy(digits_net: nn.Module) -> None:
    assert {finding.level for finding in doctor(digits_net, *some())} == {"fine"}


class Dropping(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x + 0.3 * torch.randn_like(x))


class Shattered(torch.autograd.Function):
    """The identity, whose gradient has signs that mean nothing."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.clone()

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
        return grad * torch.sign(torch.sin(1e4 * grad))


CASES = {
    "shattered": ("finite differences", "bad", lambda net: lambda x: net(Shattered.apply(x))),
    "turned round": ("finite differences", "bad", lambda net: lambda x: net(x - 2 * (x - x.detach()))),
    "too long": ("finite differences", "bad", lambda net: lambda x: net(x + (x - x.detach()))),
    "jumping": ("finite differences", "bad", lambda net: lambda x: net(x + 0.3 * (x * 4000).round().remainder(2))),
    "probabilities": ("logits", "bad", lambda net: lambda x: net(x).softmax(1)),
    "missing normalisation": ("normalisation", "bad", lambda net: lambda x: net(x * 0.38 + 0.31)),
    "0 to 255": ("normalisation", "bad", lambda net: lambda x: net(x / 255)),
    "random": ("deterministic", "warn", Dropping),
    "NaN": ("finite", "bad", lambda net: lambda x: net(x) * torch.nan),
    "constant": ("constant", "bad", lambda net: lambda x: net(torch.zeros_like(x))),
    "few classes": ("classes", "note", lambda net: lambda x: net(x)[:, :3]),
    "too few classes": ("classes", "bad", lambda net: lambda x: net(x)[:, :4]),
    "wrong shape": ("answer", "bad", lambda net: lambda x: net(x)[:, :, None]),
    "crash": ("answer", "bad", lambda net: lambda x: net(x[:, :, :5])),
    "no gradient": ("gradient", "bad", lambda net: lambda x: net((x * 4).round() / 4)),
    "detached": ("gradient", "bad", lambda net: lambda x: net(x.detach())),
}


@pytest.mark.parametrize(
    "harmless",
    [
        lambda net: lambda x: net(x.clamp(0, 1)),
        lambda net: lambda x: net((x + 1e-4).sqrt()),
        lambda net: lambda x: net(x.double().float()) * 1e-6 + 1e3,
        lambda net: lambda x: net(x)[:, :2],
    ],
)
def test_differences_do_not_blame_honest_models(harmless: object, digits_net: nn.Module) -> None:
    x, y = some()
    model = harmless(digits_net)  # type: ignore[operator]
    for images in (x, (x > 0.5).float()):
        found = {one.name: one.level for one in doctor(model, images, y.clamp(max=1))}
        assert found["finite differences"] == "fine"


@pytest.mark.parametrize("case", CASES)
def test_the_doctor_finds_each_illness(case: str, digits_net: nn.Module) -> None:
    name, level, make = CASES[case]
    x, y = some(100)
    if case == "few classes":
        x, y = x[y < 3], y[y < 3]
    findings = doctor(make(digits_net), x, y)
    assert names(findings)[name] == level
    assert all(finding.hint for finding in findings if finding.level in ("warn", "bad"))


class Theirs(nn.Module):
    """As torchvision has it."""

    mean, std = (0.0,), (1.0,)

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean[0]) / self.std[0]


class Hiding(nn.Module):
    """A model whose modules nobody sees."""

    def __init__(self, model: object) -> None:
        super().__init__()
        self.hidden = [model]

    def forward(self, x: Tensor) -> Tensor:
        return self.hidden[0](x)


def test_no_other_scaling_is_advised_to_a_net_that_normalises_by_itself(digits_net: nn.Module) -> None:
    (x, y), body = some(200), Hiding(lambda x: digits_net(x / 255))
    for inside, advised in ((nn.Identity(), True), (Theirs(), True), (Normalize(0.0, 1.0), False)):
        assert ("give --input-range 0,255" in told(doctor(nn.Sequential(inside, body), x, y))) is advised
    body = Hiding(lambda x: digits_net((x * 0.38 + 0.31).clamp(0, 1)))
    for inside, advised in ((nn.Identity(), True), (Theirs(), False), (Normalize(0.0, 1.0), False)):
        found = told(doctor(nn.Sequential(inside, body), x, y))
        assert ("give --preprocess" in found) is advised, found
        assert "twice" not in found
    strict = Hiding(lambda x: digits_net(torch.where((x > -0.1) & (x < 1.1), x, 0.5)))
    once = nn.Sequential(Normalize(0.31, 0.38), Normalize(-0.31 / 0.38, 1 / 0.38), strict)
    assert "normalised twice" in told(doctor(nn.Sequential(Normalize(0.31, 0.38), once), x, y))


@pytest.mark.parametrize(
    ("wants", "said", "dropped"),
    [
        ({}, {"mean": 0.31, "std": 0.05}, "--preprocess"),
        ({"mean": 0.31, "std": 0.38}, {"mean": 0.31, "std": 0.38, "input_range": (0, 255)}, "--input-range"),
        ({"input_range": (0, 255)}, {"mean": 0.31, "std": 0.01, "input_range": (0, 255)}, "--preprocess"),
        ({}, {"mean": 0.31, "std": 0.38, "input_range": (0, 255)}, "--preprocess and --input-range"),
        ({}, {"layout": "NHWC"}, "--layout"),
    ],
)
def test_what_was_said_of_the_images_is_questioned_too(
    wants: dict[str, Any], said: dict[str, Any], dropped: str, digits_net: nn.Module
) -> None:
    (x, y), (low, high) = some(200), wants.get("input_range", (0, 1))

    def strict(z: Tensor) -> Tensor:
        plain = (z * wants.get("std", 1) + wants.get("mean", 0) - low) / (high - low)
        return digits_net(torch.where((plain > -0.01) & (plain < 1.01), plain, 0.5).expand(-1, 1, 8, 8))  # type: ignore[no-any-return]

    found = told(doctor(classifier(strict, **said), x, y))
    assert f"drop {dropped}, in Python" in found
    assert "drop" not in told(doctor(classifier(strict, **wants), x, y))


def test_on_colours_chance_may_come_of_the_order_of_channels() -> None:
    for channels in (1, 3):
        x, y = torch.rand(100, channels, 4, 4), torch.randint(10, (100,))
        found = told(doctor(nn.Sequential(nn.Flatten(), nn.Linear(channels * 16, 10)), x, y))
        assert ("channel order" in found) is (channels == 3)


def test_another_scaling_is_advised_where_it_is_surely_better(digits_net: nn.Module) -> None:
    x, y = some(100)
    for some_of, advised in ((2, False), (8, False), (100, True)):
        found = doctor(lambda x: digits_net(x / 255), x[:some_of], y[:some_of])
        assert ("0,255" in told(found)) is advised
    constant = doctor(lambda x: 9 * (x.flatten(1).sum(1, keepdim=True) > 100) * torch.eye(10)[:1], x[y == 0], y[y == 0])
    assert "0,255" not in told(constant)  # right on all, as any guess would be


def told(findings: list) -> str:
    return " ".join(f"{one.text} {one.hint}" for one in findings)


def test_a_guess_is_right_by_chance() -> None:
    assert chance_p_value(0, 10, 0.1) == 1
    assert chance_p_value(2, 2, 0.1) == pytest.approx(0.01)
    assert chance_p_value(1, 2, 0.5) == pytest.approx(0.75)


def test_the_doctor_sees_train_mode_and_pixel_range(digits_net: nn.Module) -> None:
    x, y = some()
    moving = build_net("small", (1, 8, 8), 10).train()
    assert names(doctor(moving, x, y))["mode"] == "note"
    assert moving.training
    assert names(doctor(digits_net, x * 2 - 1, y))["range"] == "bad"


def test_the_doctor_tells_a_sigmoid_from_a_logit(digits_net: nn.Module) -> None:
    x, y = some()
    logit = lambda x: digits_net(x)[:, :1]  # noqa: E731
    two = (y == 0).long()
    said = {one.name: one for one in doctor(lambda x: logit(x).sigmoid(), x, two)}
    assert said["logits"].level == "bad"
    assert "normalisation" not in said
    assert names(doctor(logit, x, two))["logits"] == "fine"
    assert names(doctor(lambda x: digits_net(x).sigmoid(), x, y))["logits"] == "note"


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda x: x.flatten(1)[:, :3], "cannot be attacked.*classes"),
        (lambda x: torch.full((len(x), 10), torch.nan), "cannot be attacked.*NaN"),
        (lambda x: "cat", "cannot be attacked.*logits"),
    ],
)
def test_unfit_models_are_refused(model: object, said: str) -> None:
    with pytest.raises(BrittleError, match=said):
        audit(model, some(20), [Linf(0.1)])  # type: ignore[arg-type]


def test_an_audit_without_threats_or_of_unknown_effort_is_refused(digits_net: nn.Module) -> None:
    with pytest.raises(BrittleError, match="at least one threat"):
        audit(digits_net, some(20), [])
    with pytest.raises(BrittleError, match="no effort is called"):
        audit(digits_net, some(20), [Linf(0.1)], effort="heroic")


def test_verdict_and_figures_do_not_depend_on_the_batch(digits_net: nn.Module) -> None:
    reports = [audit(digits_net, some(30), [Linf(0.1)], effort="smoke", batch=batch) for batch in (1, 7, 250)]
    assert len({(one.verdict, one.union, one.union_8bit) for one in reports}) == 1


def test_eps_zero_is_clean_accuracy(digits_net: nn.Module) -> None:
    report = audit(digits_net, some(30), [Linf(0)], effort="quick")
    assert report.robust["Linf:0"].correct == report.clean.correct


def test_a_record_names_the_commit_of_the_checkout_and_of_no_other(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def git(*words: str) -> str:
        words = ("git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@b", *words)
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()

    moments = count(2_000_000_000)  # after everything that is written here
    git("init", "-q")
    file = tmp_path / "package" / "audits" / "about.py"
    file.parent.mkdir(parents=True)
    file.write_text("one")
    assert commit_of(file, next(moments)) is None  # a repository lies around it, but it is not part of it
    git("add", ".")
    git("commit", "-qm", "one")
    assert commit_of(file, next(moments)) == git("rev-parse", "HEAD")
    assert commit_of(file, 0) == git("rev-parse", "HEAD") + "+"  # written after it was imported
    (file.parent.parent / "new.py").write_text("untracked, yet imported")
    assert commit_of(file, next(moments)) == git("rev-parse", "HEAD") + "+"
    monkeypatch.setenv("PATH", "")
    assert commit_of(file, 0) is not None  # git is asked once
    assert commit_of(file, next(moments)) is None
