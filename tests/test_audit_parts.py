"""The parts of an audit by themselves: intervals, verification, tallies, the union, the budget, the journal, the
verdict, the record."""

import json
import math
from dataclasses import replace
from importlib import import_module
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest
import torch
from scipy.stats import beta
from torch import Tensor, nn

from brittle.attacks import L1, L2, Attack, AttackResult, AttackSpec, Evaluation, Linf, against, session
from brittle.audits import (
    DataRecord,
    Interval,
    Journal,
    ModelRecord,
    Proportion,
    Stage,
    audit,
    decode_record,
    mean_interval,
    paired_p_value,
    verify,
)
from brittle.audits.jobs import Job
from brittle.audits.pieces import Judged, PieceFacts, read_piece, write_piece
from brittle.audits.records import Asked, Check, ProportionRecord, Provenance, Verdict
from brittle.audits.state import AuditState, Piece, ThreatState
from brittle.audits.subject import Subject
from brittle.audits.verdict import record_of, verdict_of
from brittle.cli.terminal import audit_told
from brittle.learning import load

N = 8
PROVENANCE = msgspec.convert(
    {
        "seconds": 1.5,
        "seed": 7,
        "date": "today",
        "versions": {"torch": "2"},
        "commit": "abc+",
        "hardware": "a machine",
        "precision": "float32",
        "command": "brittle audit",
        "effort": "quick",
    },
    type=Provenance,
)


def some(n: int = 40) -> tuple[Tensor, Tensor]:
    test = load("digits").test.take(n)
    return test.x(), test.labels


# Intervals


@pytest.mark.parametrize(("correct", "n"), [(0, 7), (1, 7), (8, 10), (12, 500), (434, 500), (7, 7)])
def test_the_interval_of_a_share_leaves_a_fortieth_on_each_side(correct: int, n: int) -> None:
    low, high = Proportion(correct, n).interval
    assert low == pytest.approx(beta.ppf(0.025, correct, n - correct + 1) if correct else 0)
    assert high == pytest.approx(beta.ppf(0.975, correct + 1, n - correct) if correct < n else 1)
    assert ProportionRecord.of(Proportion(correct, n)) == msgspec.convert(
        Proportion(correct, n).record(), ProportionRecord
    )
    assert str(Proportion(correct, n)) == f"{100 * correct / n:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


def test_the_interval_of_a_mean_is_that_of_the_normal_law_for_many_values() -> None:
    values = np.random.default_rng(0).normal(3, 2, 4000)
    found, half = mean_interval(values), 1.96 * values.std() / 4000**0.5
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.mean == pytest.approx(half, rel=0.1)
    assert found.mean - found.low == pytest.approx(half, rel=0.1)
    assert mean_interval(values) == found
    assert mean_interval(values, seed=1) != found


def test_the_interval_of_few_or_equal_values() -> None:
    assert mean_interval(np.array([3.0])) == Interval(3.0, 3.0, 3.0)
    assert mean_interval(np.array([2.0, 2.0, 2.0])) == Interval(2.0, 2.0, 2.0)
    assert mean_interval(np.array([0.0, 1.0])) == Interval(0.5, 0.0, 1.0)  # a quarter of the resamples are (0, 0)


def test_the_interval_is_that_of_percentiles() -> None:
    """Of few and skewed values, where other bootstraps (BCa, basic) differ by more than resampling does."""
    values, draws = np.random.default_rng(3).exponential(size=30), np.random.default_rng(4)
    means = values[draws.integers(0, 30, (100_000, 30))].mean(1)
    found = mean_interval(values)
    low, high = np.percentile(means, [2.5, 97.5])
    assert abs(found.low - low) < 0.02 * low
    assert abs(found.high - high) < 0.02 * high


def test_the_p_value_is_that_of_the_upper_tail() -> None:
    assert paired_p_value(8, 2) == pytest.approx((45 + 10 + 1) / 1024)
    assert paired_p_value(2, 8) == pytest.approx(1 - (1 + 10) / 1024)
    assert paired_p_value(5, 5) == pytest.approx((1 + 252 / 1024) / 2)
    assert paired_p_value(0, 0) == 1


# Verification


class Wrong(nn.Module):
    """Right on what is as dark as it was given, wrong on everything else."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.stack([x.flatten(1).sum(1) * 0, torch.ones(len(x))], 1)


@pytest.mark.parametrize(
    ("threat", "power", "eps"),
    [
        (Linf("8/255"), np.inf, 8 / 255),
        (Linf("0.5/255"), np.inf, 0.5 / 255),  # where float32 rounds by more than a hundred-thousandth of eps
        (L2(0.5), 2, 0.5),
        (L1(12), 1, 12.0),
    ],
)
def test_a_change_of_exactly_eps_is_allowed_and_a_ten_thousandth_more_is_not(
    threat: object, power: float, eps: float
) -> None:
    x = 0.3 + 0.4 * torch.rand(20, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    delta = torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double().flatten(1)
    if power == np.inf:
        delta = delta.sign()
    delta = (eps * delta / torch.linalg.vector_norm(delta, power, dim=1, keepdim=True)).view(x.shape)
    y = torch.zeros(20, dtype=torch.int64)

    def allowed(factor: float) -> Tensor:
        return verify(Wrong(), threat, x, (x.double() + factor * delta).float(), y).allowed  # type: ignore[arg-type]

    assert allowed(1.0).all()
    assert allowed(1 - 1e-4).all()
    assert not allowed(1 + 1e-4).any()


def test_a_pixel_just_outside_of_the_range_is_not_allowed() -> None:
    x, y = torch.tensor([[[[0.0]]], [[[1.0]]]]), torch.zeros(2, dtype=torch.int64)
    assert verify(Wrong(), Linf(0.1), x, x, y).allowed.all()
    assert not verify(Wrong(), Linf(0.1), x, x + torch.tensor([-1e-6, 1e-6]).view(2, 1, 1, 1), y).allowed.any()


class Brighter(nn.Module):
    """Class 1 where the pixel is above 0.5 + 1.5 / 255."""

    def forward(self, x: Tensor) -> Tensor:
        gap = x.flatten(1).sum(1) - 0.5 - 1.5 / 255
        return torch.stack([-gap, gap], 1)


def test_an_image_that_fools_only_unrounded_is_broken_but_not_in_8_bits() -> None:
    x = torch.full((3, 1, 1, 1), 0.5)
    moved = x + torch.tensor([1.0, 1.9, 2.1]).view(3, 1, 1, 1) / 255
    seen = verify(Brighter(), Linf("3/255"), x, moved, torch.zeros(3, dtype=torch.int64))
    assert seen.broken.tolist() == [False, True, True]
    assert seen.broken_8bit.tolist() == [False, False, True]
    assert torch.allclose(seen.size, torch.tensor([1.0, 1.9, 2.1], dtype=torch.float64) / 255, atol=1e-7)
    outside = verify(Brighter(), Linf("2/255"), x, moved, torch.zeros(3, dtype=torch.int64))
    assert outside.broken.tolist() == [False, True, False]
    assert outside.broken_8bit.tolist() == [False, False, False]


def test_nan_is_no_wrong_answer() -> None:
    x, y = torch.full((2, 1, 1, 1), 0.5), torch.tensor([0, 1])
    nowhere = verify(lambda x: torch.full((len(x), 2), torch.nan), Linf(0.1), x, x, y)
    assert not nowhere.broken.any()
    assert not nowhere.broken_8bit.any()


# Tallies and the union


def first(right: list[int], *threats: object) -> AuditState:
    """An audit of N black images, of which the model gets some right, before any attack."""
    flags = torch.tensor([row in right for row in range(N)])
    x, y = torch.zeros(N, 1, 2, 2), torch.zeros(N, dtype=torch.int64)
    subject = Subject(lambda x: torch.stack([1 - x.amax((1, 2, 3)), x.amax((1, 2, 3))], 1), x, y, 3)
    clean = Evaluation(torch.zeros(N, 0), torch.linspace(-1, 0, N), ~flags, y)
    return AuditState(subject, flags, y, [ThreatState.at_first(one, clean) for one in threats], [])  # type: ignore[arg-type]


def job(subject: Subject, state: ThreatState, search: object = None, number: int = 0, **more: object) -> Job:
    stage = Stage(AttackSpec.of("fmn"), math.inf, **more)  # type: ignore[arg-type]
    found = search or Attack("B", lambda x, y, seed: None)  # type: ignore[arg-type, return-value]
    return Job(number, stage, found, Judged(subject, state))  # type: ignore[arg-type]


def tried(state: AuditState, **more: object) -> list[list[int]]:
    return [part.tolist() for parts in job(state.subject, state.threats[0], **more).parts() for part in parts]


def piece(rows: list[int], broken: list[int], rounded: list[int] | None = None, **more: object) -> Piece:
    """What an attack did: it broke some of the rows, and some of them in 8 bits too, by images that say which row."""
    rounded = broken if rounded is None else rounded
    facts = {"claimed": len(broken), "seconds": 0.5, "margin": torch.full((len(rows),), -2.0), **more}
    return Piece(
        rows=torch.tensor(rows),
        broken=torch.tensor([row in broken for row in rows]),
        broken_8bit=torch.tensor([row in rounded for row in rows]),
        x=torch.tensor(broken).float().view(-1, 1, 1, 1).expand(-1, 1, 2, 2) / N,
        size=torch.tensor(broken, dtype=torch.float64) / 100,
        **facts,  # type: ignore[arg-type]
    )


def test_the_union_is_taken_example_by_example_and_not_threat_by_threat() -> None:
    state = first([0, 1, 2, 3, 4, 5], Linf(0.1), L2(1))
    one, other = state.threats
    one.enter("A", piece([0, 1, 2, 3, 4, 5], [0, 1], rounded=[0]))
    other.enter("A", piece([0, 1, 2, 3, 4, 5], [1, 2, 3], rounded=[1]))
    assert state.clean == Proportion(6, N)
    assert state.robust == {"Linf:0.1": Proportion(4, N), "L2:1": Proportion(3, N)}
    assert state.union == Proportion(2, N)
    assert state.union_8bit == Proportion(4, N)
    assert state.withstands.tolist()[0] == [False, False, True, True, True, True, False, False]


def test_what_rounding_saves_goes_on_being_attacked() -> None:
    whole = first(list(range(6)), Linf(0.1))
    (state,) = whole.threats
    state.enter("A", piece([0, 1, 2, 3, 4, 5], [1, 2], rounded=[2]))
    assert tried(whole) == [[5, 4, 3], [0, 1]]  # what is broken already comes last
    state.enter("B", piece([0, 1, 3, 4, 5], [1, 4]))
    assert state.breaker == [None, "A", "A", None, "B", None, None, None]
    assert tried(whole) == [[5, 3, 0]]


def test_those_nearest_to_breaking_are_tried_first_and_a_stage_may_give_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = first(list(range(7)), Linf(0.1))
    (state,) = whole.threats
    state.enter("A", piece([2, 4], [], margin=torch.tensor([5.0, -9.0])))  # the largest margin that was seen counts
    for least in ("LEAST", "BEFORE_GIVING_UP"):
        monkeypatch.setattr(import_module("brittle.audits.schedule"), least, 2)
    assert tried(whole) == [[2, 6, 5], [4, 3, 1], [0]]
    assert tried(whole, share=0.5) == [[2, 6, 5], [4]]  # a share of the seven, not of those left
    assert tried(whole, share=0.1) == [[2, 6]]
    assert tried(whole, gives_up=True) == [[2, 6]]
    parts = job(whole.subject, state, gives_up=True).parts()
    assert [part.tolist() for part in next(parts)] == [[2, 6]]
    state.enter("B", piece([2, 6], [6]))
    assert [part.tolist() for part in next(parts)] == [[5, 4]]
    state.enter("B", piece([5, 4], [5]))
    assert [part.tolist() for some in parts for part in some] == [[3, 1]]  # nothing breaks: the last is not tried
    assert sorted(row for part in tried(whole, curve=True) for row in part) == list(range(N))  # broken or not


def test_the_first_fifth_is_one_of_all_that_withstands_and_not_of_a_share(monkeypatch: pytest.MonkeyPatch) -> None:
    for least in ("LEAST", "BEFORE_GIVING_UP"):
        monkeypatch.setattr(import_module("brittle.audits.schedule"), least, 1)
    whole = first(list(range(N)), Linf(0.1))
    assert tried(whole, share=0.5, gives_up=True) == [[7, 6]]  # a fifth of eight; of the share's four it were one


def test_some_stages_run_only_where_margins_hardly_move() -> None:
    whole = first(list(range(N)), Linf(0.1))
    (state,) = whole.threats
    assert tried(whole, stuck=True), "before any attack nothing has moved"
    moved = state.clean * 0.95  # by a twentieth
    state.enter("A", piece(list(range(N)), [], margin=moved))
    assert tried(whole, stuck=True) == tried(whole)
    moved[:5] = state.clean[:5] * 0.8
    state.enter("A", piece(list(range(N)), [], margin=moved))
    assert tried(whole, stuck=True) == []


def test_a_tally_counts_over_batches_and_an_example_is_broken_once() -> None:
    (state,) = first(list(range(7)), Linf(0.1)).threats
    state.enter("A", piece([0, 1, 2, 3], [1, 2], rounded=[1], claimed=4, seconds=1.0))
    state.enter("A", piece([4, 5, 6], [6], claimed=2, seconds=2.5))
    state.enter("B", piece([0, 2, 3, 4, 5], [2, 3], claimed=2, seconds=1.0))
    a, b = state.tally["A"], state.tally["B"]
    assert (a.name, a.tried, a.claimed, a.verified, a.broke, a.seconds) == ("A", 7, 6, 3, 3, 3.5)
    assert (b.name, b.tried, b.claimed, b.verified, b.broke, b.seconds) == ("B", 5, 2, 2, 1, 1.0)
    assert (a.left.correct, a.left.n, b.left.correct) == (4, N, 3)
    assert state.robust == Proportion(3, N)
    # the first image that broke an example stays, with its size
    assert {row: float(image.flatten()[0] * N) for row, image in state.found.items()} == {1: 1, 2: 2, 3: 3, 6: 6}
    assert state.sizes.tolist() == [0, 0.01, 0.02, 0.03, 0, 0, 0.06, 0]


def test_a_curve_is_the_share_whose_smallest_change_is_larger_than_eps() -> None:
    state = first(list(range(6)), L2(1))
    smallest = torch.tensor([0.5, 1.0, 1.5, torch.inf], dtype=torch.float64)
    state.threats[0].enter("FMN", piece([0, 1, 2, 3], [], minimum=smallest))
    record = record_of(state, PROVENANCE)
    (threat,) = record.threats
    curve = threat.curve
    assert curve is not None
    assert (curve.attack, curve.n, curve.radius) == ("FMN", 4, 1.0)
    assert curve.eps == pytest.approx([0.05 * step for step in range(21)])
    for step, correct in {0: 4, 9: 4, 10: 3, 19: 3, 20: 2}.items():
        drawn = curve.accuracy[step], curve.low[step], curve.high[step]
        assert drawn == pytest.approx((correct / 4, *Proportion(correct, 4).interval))
    state.threats[0].enter("S-O", piece([3], [3]))  # of size 0.03, where FMN found none
    again = record_of(state, PROVENANCE).threats[0].curve
    assert again is not None
    assert [round(4 * again.accuracy[step]) for step in (0, 1, 9, 20)] == [4, 3, 3, 1]
    several = first(list(range(6)), L2(1), L2(2), Linf(0.5))
    for one, found in zip(several.threats, ([0.5, torch.inf], [1.5, 1.9], [0.1, 0.1]), strict=True):
        one.enter("FMN", piece([0, 1], [], minimum=torch.tensor(found, dtype=torch.float64)))
    small, large, _ = (one.curve for one in record_of(several, PROVENANCE).threats)
    assert small is not None
    assert large is not None
    assert [round(2 * small.accuracy[step]) for step in (9, 10, 20)] == [2, 1, 1]
    assert [round(2 * large.accuracy[step]) for step in (4, 5, 18, 19, 20)] == [2, 1, 1, 0, 0]  # as the smaller found
    at_eps = first([0, 1], L2(1))
    at_eps.threats[0].enter("FMN", piece([0, 1], [1], minimum=torch.full((2,), 2.0, dtype=torch.float64)))
    at_eps.threats[0].sizes[1] = 1 + 1e-8  # allowed: the threat tolerates rounding
    curve = record_of(at_eps, PROVENANCE).threats[0].curve
    assert curve is not None
    assert (curve.eps[20], curve.accuracy[20]) == (1.0, 0.5)
    assert first([0], L2(1)).threats[0].minimum_by is None
    assert record_of(first([0], L2(1)), PROVENANCE).threats[0].curve is None


def test_what_an_attack_claims_outside_of_the_ball_does_not_count() -> None:
    state, rows = first(list(range(N)), Linf(0.1)), torch.tensor([1, 2, 5])

    def cheat(x: Tensor, y: Tensor, seed: int) -> AttackResult:
        moved = x + torch.tensor([0.15, 0.05, 0.1]).view(3, 1, 1, 1)
        return AttackResult(moved, torch.tensor([True, True, False]), torch.zeros(3))

    found = job(state.subject, state.threats[0], Attack("cheat", cheat)).run(rows)
    assert found.rows.tolist() == [1, 2, 5]
    assert found.broken.tolist() == [False, False, False]
    assert (found.claimed, len(found.x), len(found.size), found.minimum) == (2, 0, 0, None)
    bright = replace(state.subject, model=lambda x: torch.stack([0 * x.amax((1, 2, 3)), x.amax((1, 2, 3))], 1))
    found = job(bright, state.threats[0], Attack("cheat", cheat)).run(rows)
    assert found.broken.tolist() == [False, True, False]  # what is not claimed is not looked at
    assert found.x.amax((1, 2, 3)).tolist() == found.size.float().tolist() == pytest.approx([0.05])


def test_a_smallest_change_is_searched_once(digits_net: nn.Module) -> None:
    x, y = some(12)
    asked = []

    def model(x: Tensor) -> Tensor:
        asked.append(len(x))
        return digits_net(x)

    threat = Linf(0.1)
    search = AttackSpec.of("fmn", steps=20).search(model, threat)
    search(x, y)
    searched, rows = sum(asked), torch.arange(len(x))
    with session(against(digits_net)) as evaluate:
        clean = evaluate(x, y).detach()
    asked.clear()
    state = ThreatState.at_first(threat, clean)
    found = job(Subject(model, x, y, len(x)), state, search, curve=True).run(rows)
    assert found.minimum is not None
    assert 0 < int(found.broken.sum()) < len(x)
    assert sum(asked) <= searched + 6 * len(x)  # fitted into the ball and verified, not searched again


def test_a_piece_is_read_back_for_the_survivors_that_it_was_made_for(tmp_path: Path) -> None:
    whole = first(list(range(N)), Linf(0.1))
    (state,) = whole.threats
    one, journal = job(whole.subject, state), Journal(tmp_path, "this")
    for kept in (piece([0, 1, 2], [1], rounded=[]), piece([0, 1], [0], minimum=torch.tensor([0.5, 1.0]).double())):
        write_piece(journal, one.key(kept.rows), kept)
        found = read_piece(journal, one.key(kept.rows), kept.rows)
        assert found is not None
        for part, other in zip(found, kept, strict=True):
            assert torch.equal(part, other) if isinstance(part, Tensor) else part == other
        assert read_piece(journal, one.key(kept.rows), torch.tensor([0, 3])) is None
        assert read_piece(journal, one.key(kept.rows), torch.tensor([0])) is None
        assert read_piece(journal, job(whole.subject, state, number=1).key(kept.rows), kept.rows) is None


# The verdict and the record


def test_a_record_says_who_broke_what_and_shows_it() -> None:
    state = first([0, 1, 2, 3, 4, 5, 6], Linf(0.1), L2(1))
    state.threats[0].enter("A", piece([0, 1, 2, 3, 4, 5, 6], [5, 6]))
    state.threats[1].enter("B", piece([0, 1, 2, 3, 4, 5, 6], [6], rounded=[]))
    record = record_of(state, PROVENANCE)
    assert record.format == "brittle-audit/2"
    assert [one.broken_by for one in record.examples][5:] == [
        {"Linf:0.1": "A", "L2:1": None},
        {"Linf:0.1": "A", "L2:1": "B"},
        {"Linf:0.1": None, "L2:1": None},
    ]
    assert {(one.index, one.label, one.answer) for one in record.examples} == {(row, 0, 0) for row in range(N)}
    shown = [(one.index, one.threat, one.attack, one.size, one.answer) for one in record.wall]
    assert shown == [(5, "Linf:0.1", "A", 0.05, 1), (6, "Linf:0.1", "A", 0.06, 1), (6, "L2:1", "B", 0.06, 1)]
    assert (record.clean.correct, record.union.correct, record.union_8bit.correct) == (7, 5, 5)
    assert [one.robust.correct for one in record.threats] == [5, 6]
    assert [one.robust_8bit.correct for one in record.threats] == [5, 7]
    assert record.run == PROVENANCE


def check(level: str, threat: str | None = None, text: str = "it was seen", hint: str = "do this") -> Check:
    return Check("a check", threat, level, text, hint)  # type: ignore[arg-type]


AGAIN = "brittle audit MODEL --effort thorough -n all"
VERDICTS = [
    ([check("fine")], [], "trust", "and no sign of masked gradients was seen", AGAIN),
    (
        [check("fine"), check("note", "L2:1")],
        [],
        "trust",
        "and no sign of masked gradients was seen; in L2:1 it was seen: quote the union, not single attacks",
        AGAIN,
    ),
    ([], ["S-O"], "suspicious", "an upper bound: the budget left out 1 piece of work", "brittle audit MODEL"),
    ([check("skipped")], [], "suspicious", "but whether gradients can be trusted was not looked at", AGAIN),
    (
        [check("warn", "L2:1"), check("warn")],
        [],
        "suspicious",
        "but in L2:1 it was seen: do this",
        AGAIN,
    ),
    (
        [check("warn"), check("skipped"), check("bad", "L2:1"), check("bad")],
        ["S-O"],
        "broken",
        "but do not trust it: in L2:1 it was seen",
        "do this",
    ),
    ([check("bad")], [], "broken", "but do not trust it: it was seen", "do this"),
]


@pytest.mark.parametrize(("checks", "skipped", "level", "why", "then"), VERDICTS)
def test_the_verdict_follows_from_the_checks(
    checks: list[Check], skipped: list[str], level: str, why: str, then: str
) -> None:
    state = first([0, 1], Linf(0.1), L2(1))
    state.checks, state.skipped = checks, skipped
    low, high = (100 * end for end in Proportion(2, N).interval)
    figure = f"25.0 % [{low:.1f}, {high:.1f}] of 8 images withstand every attack in Linf:0.1 or L2:1"
    assert verdict_of(state) == Verdict(level, f"{figure}, {why}.", then)  # type: ignore[arg-type]


def test_what_is_to_be_looked_at_first_is_the_next_thing() -> None:
    state, asked = first([0, 1], Linf(0.1)), Asked(effort="quick", seed=0, budget=None, attacks=[], certify=False)
    accuracy = Check("accuracy", None, "warn", "accuracy 0%, chance is 10%", "check weights, labels and class order")
    for before in (check("warn"), check("skipped")):
        state.checks = [before, accuracy]
        assert verdict_of(state, asked).next == accuracy.hint
    option, hint = "--input-range 0,255", "give it, in Python brittle.classifier"
    state.checks = [check("warn"), Check("normalisation", None, "bad", "accuracy 0% as given", hint, option)]
    assert verdict_of(state, asked).next == "brittle audit MODEL --input-range 0,255 --effort quick -n 8"


@pytest.mark.parametrize(
    ("effort", "of", "next_one"), [("quick", 40, True), ("thorough", 41, True), ("thorough", 40, False)]
)
def test_a_whole_audit_is_not_asked_for_again(
    effort: str, of: int, next_one: bool, digits_net: nn.Module, tmp_path: Path
) -> None:
    report = audit(digits_net, some(), [Linf(0.1)], effort="smoke")
    asked = msgspec.structs.replace(report.record.asked, effort=effort)
    verdict = verdict_of(first([0, 1], Linf(0.1)), asked)
    assert bool(verdict.next) is (effort != "thorough")
    report = replace(report, record=msgspec.structs.replace(report.record, asked=asked, verdict=verdict))
    model = ModelRecord(name="net", source="net.safetensors", digest="ab", parameters=5, training=None)
    folder = report.save(tmp_path, model, DataRecord("digits/test", 40, of, list("0123456789"), "cd"))
    then = decode_record((folder / "audit.json").read_bytes()).verdict.next
    assert then == ("brittle audit net.safetensors --threat Linf:0.1 --effort thorough -n all" if next_one else "")
    told = audit_told(json.loads((folder / "audit.json").read_text()))[-1]
    assert ("Next: " in str(told)) is next_one


def test_a_saved_report_comes_back_and_names_its_model_in_the_next_command(
    digits_net: nn.Module, tmp_path: Path
) -> None:
    report = audit(digits_net, some(), [Linf(0.1)], effort="smoke", seed=3)
    assert decode_record((report.save(tmp_path / "bare") / "audit.json").read_bytes()) == report.record
    assert report.record.run.seed == 3
    assert report.record.run.effort == "smoke"
    model = ModelRecord(name="net", source="net.safetensors", digest="ab", parameters=5, training=None)
    data = DataRecord("digits/test", 40, 360, list("0123456789"), "cd")
    record = decode_record((report.save(tmp_path / "named", model, data) / "audit.json").read_bytes())
    assert (record.model, record.data) == (model, data)
    asked = report.verdict.next.replace("MODEL", "net.safetensors --threat Linf:0.1 --seed 3")
    assert record.verdict.next == asked != report.verdict.next
    assert record.union == report.record.union


# The budget and the journal


def test_a_budget_is_in_seconds_from_the_beginning(digits_net: nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    clock = SimpleNamespace(monotonic=lambda: float(next(ticks)))  # each look at the clock takes a second
    monkeypatch.setattr(import_module("brittle.audits.audit"), "time", clock)
    report = audit(digits_net, some(), [Linf(0.1)], effort="smoke", budget=60)
    assert [row.name for row in report.record.threats[0].attacks][:2] == ["APGD-5", "APGD-5 (margin)"]
    assert len(report.record.skipped) > 5
    assert report.record.skipped[0].startswith("Square-20 then APGD-5 in Linf:0.1 on ")
    assert any(one.name == "probes" and one.level == "skipped" for one in report.record.checks)


def test_a_journal_spares_all_work_even_when_the_budget_is_spent(digits_net: nn.Module, tmp_path: Path) -> None:
    threats = [Linf("8/255"), L2(0.5)]
    whole = audit(digits_net, some(), threats, effort="smoke", batch=25, journal=Journal(tmp_path, "this")).record
    assert not whole.skipped
    pieces = {path.name for path in tmp_path.iterdir()}
    assert {"L2-0.5-probes.safetensors", "Linf-8-255-probes.safetensors"} <= pieces
    assert sum(name.startswith("Linf-8-255-APGD-5-0-") for name in pieces) == 2  # two batches
    again = audit(digits_net, some(), threats, effort="smoke", batch=25, budget=1e-9, journal=Journal(tmp_path, "this"))
    assert not again.record.skipped
    assert msgspec.structs.replace(again.record, run=whole.run, asked=whole.asked) == whole
    other = audit(digits_net, some(), threats, effort="smoke", batch=25, budget=1e-9, journal=Journal(tmp_path, "that"))
    assert len(other.record.skipped) > 2 * 2 * 6


def test_an_audit_whose_budget_ends_in_what_comes_after_the_attacks_is_not_whole(
    digits_net: nn.Module, tmp_path: Path
) -> None:
    threats, kept = [Linf("8/255"), L2(0.5)], Journal(tmp_path, "this")
    audit(digits_net, some(), threats, effort="smoke", journal=kept)
    for name in ("L2-0.5-probes", "followed"):
        (tmp_path / f"{name}.safetensors").unlink()
    cut = audit(digits_net, some(), threats, effort="smoke", budget=1e-9, journal=kept).record
    assert cut.skipped == ["whether gradients hold further out", "comparisons of attacks in L2:0.5"]
    assert cut.verdict.level == "suspicious"


def test_a_journal_gives_back_what_was_kept_for_the_same_work_only(tmp_path: Path) -> None:
    journal, facts = Journal(tmp_path, "this"), PieceFacts(3, 1.5)
    kept = {"rows": torch.arange(3), "flags": torch.tensor([True, False])}
    journal.write("Linf:8/255 PGD 0", kept, facts)
    tensors, said = journal.read("Linf:8/255 PGD 0", PieceFacts)  # type: ignore[misc]
    assert said == facts
    assert all(torch.equal(tensors[name], kept[name]) for name in kept)
    assert journal.read("Linf:8/255 PGD 1", PieceFacts) is None
    assert Journal(tmp_path, "that").read("Linf:8/255 PGD 0", PieceFacts) is None
    assert journal.read("Linf:8/255 PGD 0", Verdict) is None  # other facts than were written
    assert Journal().read("Linf:8/255 PGD 0", PieceFacts) is None
