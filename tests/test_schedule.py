"""The schedule of an audit: what runs in which threat, on whom, and how far an effort goes."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import schedule
import torch
from audits import Counted
from torch import Tensor

from brittle.attacks import EXAMPLES, L1, L2, Linf, MinimumNorm, Threat, parse_threat
from brittle.audits import EFFORTS, audit, effort_named
from brittle.audits.jobs import Job, jobs
from brittle.audits.schedule import PILOT_OF, SCHEDULE, Effort
from brittle.audits.state import first_state
from brittle.audits.subject import Subject
from brittle.errors import BrittleError
from brittle.learning import load, load_model

LINES = [line for line in SCHEDULE.splitlines() for order in line.split()[1:2] for _ in order.split(",")]


def test_an_effort_goes_further_on_the_same_way() -> None:
    quick, standard, thorough = (list(EFFORTS[name].stages) for name in ("quick", "standard", "thorough"))
    assert [one for one in standard if one in quick] == quick
    assert [one for one in thorough if one in standard] == standard
    assert len(quick) < len(standard) < len(thorough) == len(LINES)
    assert len(EFFORTS["smoke"].stages) == len(standard)  # all runs
    with pytest.raises(BrittleError, match=r"no effort is called 'huge'; known: quick, standard, thorough$"):
        effort_named("huge")


@pytest.mark.parametrize("text", EXAMPLES)
@pytest.mark.parametrize("name", EFFORTS)
def test_every_threat_has_its_stages(text: str, name: str) -> None:
    threat = parse_threat(text)
    stages = EFFORTS[name].stages_of(threat)
    assert len(stages) >= 2
    assert all(one.attack.entry.supports(threat) for one in stages)
    assert sum(one.curve for one in stages) <= 1
    assert EFFORTS[name].gradients([threat], 100) > 0


def test_stages_are_those_of_their_norm() -> None:
    def names(threat: Threat) -> set[float | None]:
        return {one.order for one in EFFORTS["thorough"].stages_of(threat)}

    assert names(Linf(0.1)) == {math.inf}
    assert names(L2(0.1)) == {2.0}
    assert names(L1(0.1)) == {1.0}
    assert names(parse_threat("L0:3")) == names(parse_threat("Spatial:30,3")) == {None}
    assert any("square" in one.attack.name for one in EFFORTS["quick"].stages_of(Linf(0.1), dims=4))
    assert not any("square" in one.attack.name for one in EFFORTS["quick"].stages_of(Linf(0.1), dims=2))


def test_what_is_read_from_a_line_of_the_schedule() -> None:
    read = list(zip(LINES, EFFORTS["thorough"].stages, strict=True))
    outside = [one for line, one in read if "outside=1" in line and "blind" not in line]
    assert [one.order for one in outside] == [2.0]
    assert all(one.outside == 1 and one.share == 0.2 and one.gives_up for one in outside)
    assert all(one.gives_up == ("~" in line) and one.curve == ("curve" in line) for line, one in read)
    assert all(one.blind == ("blind" in line) and one.pilot == ("pilot" in line) for line, one in read)
    assert {one.order for line, one in read if one.stuck == ("stuck" in line) is True} == {math.inf, 2.0}
    assert all(one.noise is {"noise": True, "plain": False}.get(line.split()[-1]) for line, one in read)
    for threat in (Linf(0.1), L2(0.1), L1(0.1)):
        seen, blind = (EFFORTS["quick"].stages_of(threat, blind=flag) for flag in (False, True))
        assert [one for one in blind if not one.blind] == seen
        assert {one.attack.name for one in blind if one.blind} >= {"square"}
    starts_outside = [one for one in EFFORTS["thorough"].stages if one.outside is not None]
    for stage in starts_outside:
        threat = {math.inf: Linf(1), 2.0: L2(1), 1.0: L1(1)}[stage.order or 0]
        assert isinstance(stage.attack.search(lambda x: x, threat), MinimumNorm)


def test_pilots_decide_whether_gradients_are_taken_with_noise() -> None:
    net, part = load_model("zoo:digits-standard").model, load("digits").test.take(60)
    whole = first_state(Subject(net, part.x(), part.labels, 25), [L1(1.5)])
    state, work = whole.threats[0], jobs(whole, EFFORTS["quick"], (), 0)
    tried = {}
    for job in work:
        if job.pilot is not None:
            pieces = [job.run(rows) for batches in job.parts() for rows in batches]
            tried[job.pilot] = torch.cat([piece.rows for piece in pieces]).tolist()
            for piece in pieces:
                state.enter(job.name, piece, job.pilot)
            assert state.pilots[job.pilot] == sum(int(piece.broken.sum()) for piece in pieces) > 0
    assert tried[True] == tried[False], "the second tries what the first broke, too"
    assert len(tried[True]) == PILOT_OF
    assert state.right[tried[True]].all()
    for broke, helps in (({False: 3, True: 4}, True), ({False: 4, True: 4}, False), ({}, True)):
        state.pilots = broke
        stages = [job.stage for job in work if isinstance(job, Job) and next(job.parts(), None)]
        assert {stage.noise for stage in stages if not stage.pilot} == {None, helps}


def stairs(x: Tensor) -> Tensor:
    """Black or white, without any gradient: a staircase of the mean."""
    mean = x.flatten(1).mean(1)
    return torch.stack([torch.zeros_like(mean), ((mean - 0.5) * 40).round() / 40 + (mean - mean.detach()) * 0], 1)


@pytest.mark.parametrize("threat", [Linf(0.2), L2(1.3), L1(11)], ids=str)
def test_an_audit_reaches_from_outside_what_no_gradient_shows(threat: Threat) -> None:
    generator = torch.Generator().manual_seed(0)
    grey = torch.cat([torch.full((30,), 0.4), torch.full((30,), 0.6)]).view(-1, 1, 1, 1)
    x = grey + 0.02 * torch.rand(60, 1, 7, 7, generator=generator)
    y = stairs(x).argmax(1)
    assert y.sum() == 30
    report = audit(stairs, (x, y), [threat], effort="standard")
    broke = {row.name: row.broke for row in report.record.threats[0].attacks}
    assert broke["FMN-50 from outside"] > 0
    assert report.union.correct == 0, broke


def test_a_replayed_schedule_is_the_audit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What benchmarks/schedule.py replays from single runs of each attack is what these stages do one after another."""
    some = ("fgsm", "pgd:steps=5", "square_apgd:queries=30,steps=5", "fmn:steps=10 outside=0", "apgd:steps=20")
    monkeypatch.setattr(schedule, "CANDIDATES", "\n".join(f"inf 1 {one}" for one in some))
    monkeypatch.setattr(schedule, "effort_named", lambda name: Effort((), (), 0))
    net, threat = load_model("zoo:digits-standard").model, Linf(0.1)
    table = schedule.measured("digits", "digits", lambda: net, str(threat), 80, tmp_path)
    assert table is not None
    shares = ((1.0, True), (0.2, False), (0.4, True), (1.0, True), (0.5, True))
    known = schedule.candidates(threat)
    stages = [replace(one, share=share, gives_up=up) for one, (share, up) in zip(known, shares, strict=True)]
    counted, part = Counted(net), load("digits").test.take(80)
    whole = first_state(Subject(counted, part.x(), part.labels, 250), [threat])
    left, before = [], counted.work
    for job in jobs(whole, Effort(tuple(stages), (), 0), (), 0):
        for batches in job.parts():
            for rows in batches:
                job.state.enter(job.name, job.run(rows))
        left.append(job.state.robust.correct)
    replayed = schedule.replayed(table, stages)
    assert [one for one, _ in replayed] == left
    assert left[0] > left[-1] > 0
    assert replayed[-1][1] == pytest.approx((counted.work - before) / 80, rel=0.1)
    again = schedule.measured("digits", "digits", lambda: pytest.fail("it was measured"), str(threat), 80, tmp_path)
    assert again is not None
    assert schedule.replayed(again, stages) == replayed
    chosen = schedule.greedy([table])
    assert table.best <= schedule.replayed(table, chosen)[-1][0] < left[0]
    better = schedule.improved([table], stages, 200)
    assert schedule.price([table], better) < schedule.price([table], stages)
