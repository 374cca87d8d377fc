"""What an audit must not get wrong where a model is random, meets NaN, shares a large part of its logits, rejects
images, or is asked in several threats at once."""

import copy
import time
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from brittle.attacks import (
    L1,
    L2,
    AttackResult,
    AttackSpec,
    Detector,
    Linf,
    Spatial,
    against,
    evaluation_at,
    from_outside,
    objectives,
    pgd,
    session,
)
from brittle.attacks.objectives import UntilDone
from brittle.audits import EFFORTS, Journal, Report, audit, doctor, subject
from brittle.audits.masking import probes
from brittle.audits.pieces import Judged
from brittle.audits.state import Piece, first_state
from brittle.audits.subject import Subject
from brittle.audits.two_sided import prove
from brittle.ground import BrittleError, keys_of


class Coin(nn.Module):
    """Right with one probability, whatever the image: by majority it is always right."""

    def __init__(self, right: float) -> None:
        super().__init__()
        self.right = right

    def forward(self, x: Tensor) -> Tensor:
        right = (torch.rand(len(x), 1) < self.right).float()
        return 2 * torch.cat([right, 1 - right], 1) - 1 + 1e-3 * x.flatten(1)[:, :2]


class Seldom(nn.Module):
    """Another net at some of its calls."""

    def __init__(self, net: nn.Module, share: float) -> None:
        super().__init__()
        self.net, self.share = net, share

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.flip(-1) if float(torch.rand(())) < self.share else x)  # type: ignore[no-any-return]


class Rooted(nn.Module):
    """A net behind sqrt and square: the same answers, no derivative at 0."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.sqrt().square())  # type: ignore[no-any-return]


class Shifted(nn.Module):
    """A net with a number added to all of its logits, in the dtype of its last layer: the same function."""

    def __init__(self, net: nn.Module, by: float) -> None:
        super().__init__()
        self.net, self.by = net, by

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x) + self.by  # type: ignore[no-any-return]


def checks_of(report: Report) -> dict[str, tuple[str, str]]:
    return {check.name: (check.level, check.text) for check in report.record.checks}


def test_of_many_looks_at_a_random_model_the_luckiest_does_not_count() -> None:
    x, y = torch.rand(30, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(30, dtype=torch.int64)
    report = audit(Coin(0.6), (x, y), ["Linf:0.1"], effort="quick")
    (threat,) = report.record.threats
    broken, back, *_ = (int(word) for word in checks_of(report)["majority"][1].split() if word.isdecimal())
    assert back > broken / 2
    assert report.clean.correct - report.union.correct == broken - back
    assert sum(row.broke for row in threat.attacks) == report.clean.correct - report.union.correct
    assert threat.attacks[-1].left.correct == report.union.correct
    assert len(report.adversarial("Linf:0.1")[0]) == report.clean.correct - report.union.correct


@pytest.mark.parametrize("seed", range(5))
def test_a_model_that_is_seldom_another_one_is_found_random(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor], seed: int
) -> None:
    torch.manual_seed(seed)
    found = {one.name: one.level for one in doctor(Seldom(digits_net, 0.3), digits[0][:50], digits[1][:50])}
    assert found["deterministic"] == "warn"


def test_where_gradients_are_nan_the_figure_comes_from_attacks_without(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    x, y = digits[0][:20], digits[1][:20]
    with pytest.raises(BrittleError, match=r"NaN came up on .* gradients"):
        pgd(against(Rooted(digits_net)), L2(1.5))(x, y)
    report = audit(Rooted(digits_net), (x, y), [L2(1.5)], effort="quick")
    assert report.verdict.level == "broken"
    assert any(check.name == "finite" and "NaN" in check.text for check in report.record.checks)
    broke = {row.name: row.broke for row in report.record.threats[0].attacks}
    assert report.union.correct < report.clean.correct, broke


def test_a_shared_part_of_all_logits_makes_attacks_ask_in_float32(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (objectives, subject):
        monkeypatch.setattr(place, "fast_dtype", lambda kind: torch.bfloat16)
    x, y = digits[0][:30], digits[1][:30]
    plain = audit(digits_net, (x, y), [Linf(0.1)], effort="smoke")
    shifted = audit(Shifted(digits_net, 3000.0), (x, y), [Linf(0.1)], effort="smoke")
    assert "precision" not in checks_of(plain)
    assert checks_of(shifted)["precision"][0] == "note"
    assert abs(shifted.union.correct - plain.union.correct) <= 1
    first, again = (report.record.threats[0].attacks[0].broke for report in (plain, shifted))
    assert abs(first - again) <= 1, "the first attack finds as much, not only a later one in float32"


def test_nothing_is_proved_by_a_search_that_was_cut_short(
    digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    net, threat, asked = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)), Spatial(5, 1), []
    x = digits[0][:30]
    y = net(x).argmax(1)

    def model(x: Tensor) -> Tensor:
        asked.append(len(x))
        return net(x)  # type: ignore[no-any-return]

    monkeypatch.setattr(time, "monotonic", lambda: float(len(asked)))
    whole = audit(model, (x, y), [threat], effort="quick", batch=10, certify=True)
    total, cut_short = len(asked), 0
    for share in (0.5, 0.7, 0.9):
        asked.clear()
        report = audit(model, (x, y), [threat], effort="quick", batch=10, certify=True, budget=share * total)
        for then, now in zip(whole.record.examples, report.record.examples, strict=True):
            assert not (now.proved_by and then.broken_by[str(threat)])
        level, _ = checks_of(report)["every image is tried"]
        cut_short += level == "skipped"
    assert cut_short
    assert checks_of(whole)["every image is tried"][0] == "fine"
    assert whole.record.threats[0].proved.correct == whole.union.correct > 0  # type: ignore[union-attr]


def test_an_image_is_proved_where_the_grid_tried_all_on_it_without_a_success() -> None:
    x, net = torch.rand(4, 1, 8, 8), nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    state = first_state(Subject(net, x, net(x).argmax(1), 4), [Spatial(5, 1)])
    (one,) = state.threats
    none, margin = torch.zeros(3, dtype=torch.bool), torch.tensor([-0.5, 0.1, -torch.inf])  # withstands, claimed, NaN
    one.enter("grid", Piece(torch.arange(3), none, none, x[:0], torch.zeros(0).double(), margin, 1, 1.0))
    list(prove(state, Journal(), lambda: False))
    assert [proof is not None for proof in one.proved] == [True, False, False, False]  # the last was not tried


def test_nothing_is_proved_of_a_random_model(digits_net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return digits_net(x + 0.05 * torch.randn_like(x))  # type: ignore[no-any-return]

    report = audit(Noisy(), (digits[0][:15], digits[1][:15]), [Spatial(2, 0)], effort="quick", certify=True)
    assert not any(one.proved_by for one in report.record.examples)
    assert "all of these are proved" not in report.verdict.sentence


def test_a_start_from_outside_is_not_an_image_that_is_rejected() -> None:
    class Three(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            place = x.flatten(1)[:, :1]  # below 0.4 class 0, between rejected, from 0.6 on class 1
            return torch.cat([0.4 - place, place - 0.6, 0.1 - (place - 0.5).abs()], 1) * 10

    model, pool = Detector(Three()), torch.tensor([0.1, 0.5, 0.9]).view(3, 1, 1, 1)
    answers = torch.tensor([0, -1, 1])
    begin = from_outside(pool, answers, bisections=8)
    with session(against(model)) as evaluate:
        start = begin(evaluate, Linf(1), pool[:1], torch.tensor([0]), 0)
        assert evaluation_at(evaluate, start, torch.tensor([0])).success.all()


@pytest.mark.parametrize("loss", ["cross_entropy", "margin"])
def test_looking_seldom_changes_the_way_of_no_image(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor], loss: str
) -> None:
    x, y = digits[0][:40], digits[1][:40]
    often, seldom = (
        AttackSpec.of("second_order_mim", steps=13, look=look, loss=loss).build(digits_net, L2(0.6), 0)
        for look in (1, 4)
    )
    assert often.path is not None
    assert seldom.path is not None
    ends = [[point.x for point in one.path(x, y, 0)] for one in (often, seldom)]  # type: ignore[misc]
    assert all(map(torch.equal, *ends))
    asked: list[int] = []

    def model(x: Tensor) -> Tensor:
        asked.append(len(x))
        return digits_net(x)  # type: ignore[no-any-return]

    broken = []
    for look in (1, 4):
        asked.clear()
        spec = AttackSpec.of("second_order_mim", steps=13, look=look, loss=loss)
        broken.append((spec.build(model, L2(0.6), 0).run(x, y).success.sum(), sum(asked)))
    assert broken[1][0] >= broken[0][0] - 2
    assert broken[1][1] < broken[0][1]


def test_what_breaks_in_one_threat_is_tried_in_the_others(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    x, y = digits[0][:40], digits[1][:40]
    threats = [Linf(0.15), L2(1), L1(4)]
    report = audit(digits_net, (x, y), threats, effort="quick", journal=tmp_path)
    tallies = [{row.name: row.broke for row in one.attacks} for one in report.record.threats]
    assert tallies[0].get("replay", 0) < tallies[1]["replay"] + tallies[2]["replay"]
    again = audit(digits_net, (x, y), threats, effort="quick", journal=tmp_path)
    assert again.record.examples == report.record.examples
    alone = audit(digits_net, (x, y), [threats[1]], effort="quick")
    assert report.robust["L2:1"].correct <= alone.robust["L2:1"].correct


def test_images_in_float64_are_tried_in_other_threats_too(digits_net: nn.Module, digits: tuple[Tensor, Tensor]) -> None:
    x, y = digits[0][:20].double(), digits[1][:20]
    net = copy.deepcopy(digits_net).double()
    report = audit(net, (x, y), [Linf(0.2), L2(1)], effort="smoke")
    assert "replay" in {row.name for row in report.record.threats[1].attacks}


def test_to_be_rejected_by_most_draws_is_not_to_be_broken() -> None:
    class Unsure(nn.Module):
        """On images that were moved: rejected at three calls of five, wrong at the others."""

        def forward(self, x: Tensor) -> Tensor:
            moved = (x.flatten(1) - 0.5).abs().sum(1, keepdim=True) > 1e-3
            wrong = (torch.rand(len(x), 1) < 0.4).float()
            unsure = torch.cat([torch.zeros_like(wrong), wrong, 1 - wrong], 1)
            noise = 1e-3 * torch.rand(len(x), 3)
            return torch.where(moved, unsure, torch.tensor([1.0, 0.0, 0.0])) * 5 + x.flatten(1).sum(1)[:, None] + noise

    x, y = torch.full((12, 1, 2, 2), 0.5), torch.zeros(12, dtype=torch.int64)
    x = x + torch.linspace(0, 1e-5, 12).view(12, 1, 1, 1)
    report = audit(Detector(Unsure()), (x, y), [Linf(0.2)], effort="smoke")
    assert report.union.correct == report.clean.correct == 12


def test_who_is_taken_back_is_counted_where_it_was_left() -> None:
    x, y = torch.zeros(4, 1, 2, 2), torch.zeros(4, dtype=torch.int64)
    subject = Subject(lambda x: torch.stack([1 - x.amax((1, 2, 3)), x.amax((1, 2, 3))], 1), x, y, 4)
    (state,) = first_state(subject, [Linf(0.3)]).threats

    def breaks(name: str, *rows: int) -> None:
        flags = torch.tensor([row in rows for row in range(4)])
        images, sizes = torch.ones(len(rows), 1, 2, 2), torch.ones(len(rows), dtype=torch.float64)
        state.enter(name, Piece(torch.arange(4), flags, flags, images, sizes, torch.zeros(4), len(rows), 1.0))

    breaks("A", 0)
    breaks("replay")
    breaks("B")
    breaks("replay", 1)
    state.withdraw(1)
    told = [(name, row.broke, row.left.correct) for name, row in state.tally.items()]
    assert told == [("A", 1, 3), ("B", 0, 3), ("replay", 0, 3)]  # each where it ran last
    state.withdraw(0)
    assert {row.left.correct for row in state.tally.values()} == {4}
    assert state.robust.correct == 4
    assert not state.found


def test_comparisons_count_what_holds_in_float32(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in (objectives, subject):
        monkeypatch.setattr(place, "fast_dtype", lambda kind: torch.bfloat16)
    x, y = digits[0][:40], digits[1][:40]
    right = digits_net(x).argmax(1) == y
    broken = {}
    for name, model, precise in (("plain", digits_net, True), ("loose", Shifted(digits_net, 3000.0), False)):
        attacks = dict(probes(model, Linf(0.01), EFFORTS["quick"], x, 0, precise))
        broken[name] = int((attacks["long"].tried(x, y).success & right).sum())
    assert broken["loose"] <= broken["plain"] <= 6


def test_what_was_judged_on_the_way_is_known_bit_by_bit() -> None:
    def model(x: Tensor) -> Tensor:
        return torch.cat([0.5 - x.flatten(1), x.flatten(1) - 0.5], 1)

    x, y = torch.linspace(0.3, 0.45, 4).view(4, 1, 1, 1), torch.zeros(4, dtype=torch.int64)
    state = first_state(Subject(model, x, y, 4), [Linf(0.3)])
    judged = Judged(state.subject, state.threats[0])
    moved = x + 0.1
    assert judged(x, moved, y).tolist() == judged.held(x, moved, y).tolist() == [False, False, False, True]
    assert not judged.held(x, moved + 1e-6, y).any()
    assert not judged.held(x, moved, 1 - y).any(), "of another label"
    so_far = judged.so_far(torch.arange(4))
    assert so_far is not None
    assert (so_far.rows.tolist(), so_far.size.tolist()) == ([3], pytest.approx([0.1]))
    assert torch.equal(so_far.x, moved[3:])
    assert judged.so_far(torch.arange(4)) is None
    other = torch.zeros(1, 1, 1)
    judged.known = {(int(key), 0): (other, moved[0]) for key in keys_of(x)}  # keys that meet by chance
    assert not judged.held(x, moved, y).any()


def test_what_was_found_before_a_budget_ended_counts(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y, asked = digits[0][:60], digits[1][:60], []

    def model(x: Tensor) -> Tensor:
        asked.append(len(x))
        return digits_net(x)  # type: ignore[no-any-return]

    monkeypatch.setattr(time, "monotonic", lambda: float(len(asked)))
    figures = []
    for budget in (30, 50, 60, 90, 10_000):
        asked.clear()
        report = audit(model, (x, y), [Linf(0.15)], effort="quick", budget=budget)
        rows, x_adv = report.adversarial("Linf:0.15")
        assert (digits_net(x_adv).argmax(1) != y[rows]).all()
        assert bool(report.record.skipped) == (budget < 10_000)
        figures.append(report.union.correct)
    assert figures == sorted(figures, reverse=True)
    assert figures[1] < report.clean.correct, "inside of the first piece"


def test_what_is_not_done_is_asked_about_less_and_less() -> None:
    """An image that succeeds but is not done for good is looked at after 1, 2, 4 ... steps."""
    asked: list[int] = []

    def done(x0: Tensor, x: Tensor, y: Tensor) -> Tensor:
        asked.append(len(x))
        return torch.zeros(len(x), dtype=torch.bool)

    class Always:
        def __call__(self, x: Tensor, y: Tensor) -> Tensor:
            return x.flatten(1).sum(1)

        def session(self):  # type: ignore[no-untyped-def]
            from contextlib import contextmanager

            @contextmanager
            def whole():  # type: ignore[no-untyped-def]
                def evaluate(x: Tensor, y: Tensor):  # type: ignore[no-untyped-def]
                    logits = torch.stack([-x.flatten(1).sum(1), x.flatten(1).sum(1) + 1], 1)
                    return objectives.Evaluation(logits, logits[:, 1], torch.ones(len(x), dtype=torch.bool), y)

                yield UntilDone(evaluate, done)

            return whole()

    x, y = torch.rand(3, 1, 2, 2), torch.zeros(3, dtype=torch.int64)
    found: AttackResult = pgd(Always(), Linf(0.1), steps=20).run(x, y)
    assert found.success.all()
    assert asked == [3] * 5  # at steps 0, 1, 3, 7, 15


def test_trust_says_what_it_rests_on_and_how_close_images_are_to_breaking(
    digits_net: nn.Module, digits: tuple[Tensor, Tensor]
) -> None:
    report = audit(digits_net, (digits[0][:60], digits[1][:60]), [L2(0.2)], effort="quick")
    assert report.verdict.level == "trust"
    assert "was seen in 6 comparisons of attacks" in report.verdict.sentence
    level, text = checks_of(report)["how close"]
    told = [float(word) for word in text.replace(",", " ").split() if "." in word]
    assert level == "fine"
    assert 1 < told[0] < told[1]
    few = audit(digits_net, (digits[0][:60], digits[1][:60]), [L2(3)], effort="quick")
    assert "how close" not in checks_of(few)
