"""The audit: staged attacks in several threats at once, every success verified, survivors only, resumable."""

import dataclasses
import hashlib
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.progress import Progress, TextColumn
from torch import Tensor

from brittle.attacks import AttackSpec, Finite, Threat, check_kinds, check_model, fitting_batch
from brittle.ground import (
    OWN_CODE,
    BrittleError,
    ByteImages,
    Images,
    Labels,
    OutOfTime,
    bit_key,
    budget_began,
    check_count,
    check_number,
    check_seed,
    check_switch,
    path_of,
    until,
    world,
)
from brittle.learning import behaviour_of, digest_of_code, streamed_examples_of

from .agreement import agreed
from .findings import Finding
from .further_out import HALF, HARDLY, followed, outcome
from .jobs import Work, jobs, later
from .journal import Journal
from .masking import Probe, probe
from .pieces import read_piece, write_piece
from .provenance import circumstances
from .records import Asked, Check, GradientPath
from .report import Report
from .schedule import Effort, effort_named
from .second_look import every_image, second_look
from .state import AuditState, Piece, first_state
from .subject import Subject
from .two_sided import prove
from .verdict import record_of

BUDGET_SPENT = "the budget was spent before attacks could be compared"


@dataclass(frozen=True)
class AuditSettings:
    """How an audit is done, whatever the model.

    Attributes:
        effort: `quick`, `standard`, `thorough`, or `smoke`, which only shows that all runs.
        seed: the only source of randomness, beside the images.
        budget: seconds after which the model is asked no more.
        batch: examples whose activations are held at once; no figure depends on it.
        extra: attacks beside those of the effort, run last.
        certify: prove what withstands, as far as bounds and exact search go.
    """

    effort: str = "standard"
    seed: int = 0
    budget: float | None = None
    batch: int | None = None
    extra: tuple[AttackSpec, ...] = ()
    certify: bool = False

    def __post_init__(self) -> None:
        if self.batch is not None:
            check_count("a batch", self.batch)
        check_seed(self.seed)
        check_switch("certify", self.certify)
        check_number("a budget", self.budget)
        if self.budget == 0:
            raise BrittleError("a budget must be longer than 0 seconds; None sets none")
        if strange := [one for one in self.extra if not isinstance(one, AttackSpec)]:
            raise BrittleError(f'an extra attack is a text such as "mm:targets=9", not {type(strange[0]).__name__}')

    @property
    def asked(self) -> Asked:
        """As it stands in the record."""
        attacks = [str(spec) for spec in self.extra]
        return Asked(effort=self.effort, seed=self.seed, budget=self.budget, attacks=attacks, certify=self.certify)


@dataclass(frozen=True)
class AuditEvent:
    """Progress of an audit: pieces done, pieces in all, what is being done, and at the end the report."""

    done: int
    total: int
    text: str
    report: Report | None = None


def audit(
    model: Callable[[Tensor], Any],
    data: Any,
    threats: Iterable[Threat | str] | Threat | str,
    *,
    effort: str = "standard",
    seed: int = 0,
    budget: float | None = None,
    batch: int | None = None,
    journal: Journal | Path | str | None = None,
    extra: Sequence[AttackSpec | str] | AttackSpec | str = (),
    certify: bool = False,
    progress: bool = False,
) -> Report:
    """Robust accuracy of `model` in each threat and in their union, verified, with intervals and a verdict on the
    gradients.

    An example counts as robust if the model is right on it and on everything that any attack found. Attacks run in
    stages on the survivors; a success counts after a float32 forward pass and a float64 norm (`verify`).

    Args:
        model: images in [0, 1] to logits; a module on the device of the images.
        data: images [n, *S] float in [0, 1] and labels int64 [n], or whatever else `streamed_examples_of` takes:
            arrays, uint8, a torch `Dataset` or `DataLoader`.
        threats: such as `[Linf(0.3), L2(2), L1(10)]` or `["Linf:8/255"]`; several sizes of one kind give a curve.
        effort: `quick`, `standard` or `thorough`.
        budget: seconds after which the model is asked no more; what was left out is recorded, and figures are upper
            bounds.
        batch: examples whose activations are held at once; default 250, or as many as fit into the memory at hand.
        journal: a folder where finished pieces are kept, so that the same audit goes on after a kill.
        extra: attacks beside those of the effort, run last, such as `"mm:targets=9"`; also as `AttackSpec`.
        certify: also prove robust what withstands, where the net is made of affine layers, ReLUs and max-pools.
        progress: show on stderr (or in a notebook) how far it is.
    Raises:
        BrittleError: examples or model unfit to be attacked.
    Cost: at `standard` some 200 to 400 gradients for each example and threat that withstand, 5 to 30 where it breaks.
    Random: a function of `seed` and the images.
    """
    check_model(model)
    check_switch("progress", progress)
    named = _listed("extra", extra, (str, AttackSpec), '"mm:targets=9"')
    specs = tuple(AttackSpec.parse(one) if isinstance(one, str) else one for one in named)
    settings = AuditSettings(effort, seed, budget, batch, specs, certify)
    examples, within = streamed_examples_of(data), _listed("threats", threats, (str, Threat), '"Linf:8/255"')
    check_kinds(*examples)
    if journal is not None and not isinstance(journal, Journal):
        journal = Journal(path_of("a journal", journal), _identity(model, examples, within, settings))
    told = TextColumn("{task.description}", markup=False), *Progress.get_default_columns()[1:]
    with Progress(*told, disable=not progress, console=Console(stderr=True)) as bar:
        task = bar.add_task("audit", total=None)
        for event in audit_events(model, examples, within, settings, journal):
            bar.update(task, completed=event.done, total=event.total, description=event.text)
            report = event.report
    assert report is not None, "the last event carries the report"
    return report


def _listed(what: str, given: Any, kinds: tuple[type, ...], such: str) -> list[Any]:
    """What was given alone or several at a time, as a list.

    Raises:
        BrittleError: it is neither.
    """
    if isinstance(given, kinds):
        return [given]
    if not isinstance(given, Iterable):
        raise BrittleError(f"{what} takes one or a list, such as {such}, not {type(given).__name__}")
    return list(given)


def _identity(
    model: Callable[[Tensor], Any],
    examples: tuple[Images | ByteImages, Labels],
    threats: Sequence[Threat | str],
    asked: AuditSettings,
) -> str:
    """What an audit's journal belongs to: the model by its weights and answers, images, threats and settings."""
    x, y = examples
    decide = (
        effort_named(asked.effort),
        asked.seed,
        tuple(map(str, asked.extra)),
        asked.certify,
    )  # budget and batch change no piece
    where, pixels = bit_key(x.device), x.pixels if isinstance(x, ByteImages) else x
    behaviour = behaviour_of(model, x[:16])
    code = digest_of_code(model)
    if code != digest_of_code(model):
        warnings.warn(
            "this model is a function, or typed into a notebook or a prompt: what it depends on cannot be known, so "
            "that its journal is never taken up again; import it as a module from a file",
            stacklevel=3,
        )
    parts = [OWN_CODE, code, behaviour, repr(decide), " ".join(map(str, threats)), where]
    sha = hashlib.sha256(" ".join(parts).encode())
    for one in (pixels, y):
        sha.update(one.cpu().contiguous().numpy().data)
    return sha.hexdigest()


def audit_events(
    model: Callable[[Tensor], Any],
    data: tuple[Images | ByteImages, Labels],
    threats: Iterable[Threat | str],
    settings: AuditSettings,
    journal: Journal | None = None,
) -> Iterator[AuditEvent]:
    """`audit`, step by step: an event before each piece of work, the last with the report."""
    started, journal = time.monotonic(), journal or Journal()
    clock = _Clock(settings.budget, started, budget_began() or started)
    effort = effort_named(settings.effort)
    batch = settings.batch or fitting_batch(model, data[0][:2])
    state = agreed(first_state(Subject(model, *data, batch, settings.seed), threats), journal)
    if settings.batch is None and state.subject.majority is not None:  # attacks see it many times over
        state.subject = dataclasses.replace(state.subject, batch=fitting_batch(state.subject.model, data[0][:2]))
    work = jobs(state, effort, settings.extra, settings.seed)
    total = len(work) + len(state.threats) * (2 if settings.certify else 1)
    for done, text in _attack(state, work, journal, clock):
        yield AuditEvent(done, total, text)
    for text in _without_gradients(state, effort, settings.seed, journal, clock):
        yield AuditEvent(len(work), total, text)
    yield AuditEvent(len(work), total, "a second look at what broke")
    state.checks += second_look(state, lambda: clock.spent)
    for done, text in _compare(state, effort, settings.seed, journal, clock):
        yield AuditEvent(len(work) + done, total, text)
    if settings.certify:
        for done, text in prove(state, journal, lambda: clock.spent):
            yield AuditEvent(len(work) + len(state.threats) + done, total, text)
    run = circumstances(data[0].device, clock.seconds, settings.seed, settings.effort)
    found = {str(one.threat): one.found for one in state.threats}
    asked = msgspec.structs.replace(settings.asked, batch=state.subject.batch)
    report = Report(record_of(state, run, asked), state.withstands.cpu(), found, data[0])
    yield AuditEvent(total, total, "done", report)


@dataclass(frozen=True)
class _Clock:
    """How long an audit has taken, and whether its budget is spent."""

    budget: float | None
    started: float
    began: float

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    @property
    def spent(self) -> bool:
        return self.budget is not None and time.monotonic() - self.began > self.budget


def _attack(state: AuditState, work: Sequence[Work], journal: Journal, clock: _Clock) -> Iterator[tuple[int, str]]:
    """Do the work, or take it from the journal; before a piece is begun, its number and a line about it."""
    me = world()
    for number, job in enumerate(work):
        for batches in job.parts():
            own = [rows for place, rows in enumerate(batches) if me.takes(place)]
            for rows in own if me.size > 1 else ():  # before it waits for those of the others
                if not clock.spent and read_piece(journal, job.key(rows), rows) is None:
                    yield number, _said(job, rows)
                    _run(job, state, rows, journal, clock)
            for place, rows in enumerate(batches):
                piece = read_piece(journal, job.key(rows), rows)
                while piece is None and not me.takes(place) and not clock.spent:
                    time.sleep(0.02)
                    piece = read_piece(journal, job.key(rows), rows)
                if piece is None and not clock.spent:
                    yield number, _said(job, rows)
                    piece = _run(job, state, rows, journal, clock)
                if piece is None:
                    state.skipped.append(f"{job.name} in {job.state.threat} on {len(rows)} examples")
                    piece = job.judged.so_far(rows) if me.size == 1 else None
                if piece is not None:
                    job.state.enter(job.name, piece, job.pilot)


def _without_gradients(state: AuditState, effort: Effort, seed: int, journal: Journal, clock: _Clock) -> Iterator[str]:
    """Where gradients turn out to mislead, search without them; a line before each piece."""
    kept = journal.read("followed", dict)
    shares: dict[str, float] = kept[1] if kept is not None else {}
    if kept is None:
        try:
            with until(lambda: clock.spent):
                shares = followed(state)
            journal.write("followed", {}, shares)
        except OutOfTime:
            state.skipped.append("whether gradients hold further out")
    asked = [(one, shares[name], int(one.alive.sum())) for one in state.threats if (name := str(one.threat)) in shares]
    for one, share, _ in asked:
        if share < HALF:  # where hardly any image follows its gradient, the nearest ones tell nothing of the others
            work = later(state, one, effort, seed, gives_up=share >= HARDLY)
            yield from (text for _, text in _attack(state, work, journal, clock))
    state.checks += [outcome(*one) for one in asked]


def _said(job: Work, rows: Tensor) -> str:
    return f"{job.state.threat} {job.name}, {len(rows)} examples, {job.state.robust} withstand so far"


def _run(job: Work, state: AuditState, rows: Tensor, journal: Journal, clock: _Clock) -> Piece | None:
    """A piece of work, kept in the journal; none if the budget is spent before it is done."""
    try:
        with until(lambda: clock.spent):
            piece = job.run(rows)
    except OutOfTime:
        return None
    write_piece(journal, job.key(rows), piece)
    return piece


def _compare(
    state: AuditState, effort: Effort, seed: int, journal: Journal, clock: _Clock
) -> Iterator[tuple[int, str]]:
    """Compare attacks threat by threat, on a few examples that the model gets right."""
    model, x, y = state.subject.target, state.subject.x, state.subject.y
    rows = state.right.nonzero().squeeze(1)[: effort.probes]
    for number, one in enumerate(state.threats):
        threat = one.threat
        yield number, f"{threat} comparing attacks"
        if not state.subject.gradients:
            continue
        kept = journal.read(f"{threat} probes", Probe)
        if isinstance(threat, Finite):
            found = Probe([every_image(state, one, threat.count(x[:1]))], [])
        elif kept is None and one.lost:
            found = Probe([Finding("comparisons", "fine", one.lost)], [])
        elif kept is not None:
            found = kept[1]
        else:
            try:
                with state.subject.draws(f"probes {threat}"), until(lambda: clock.spent):
                    subject = state.subject
                    how = {"precise": subject.precise, "random": subject.majority is not None}
                    found = probe(model, threat, x[rows], y[rows], effort, seed, subject.batch, **how)
                journal.write(f"{threat} probes", {}, found)
            except OutOfTime:
                state.skipped.append(f"comparisons of attacks in {threat}")
                found = Probe([Finding("probes", "skipped", BUDGET_SPENT, "give a larger --budget")], [])
        state.checks += [Check.of(finding, str(threat)) for finding in found.findings]
        state.gradients += [msgspec.convert(path, GradientPath) for path in found.gradients]
