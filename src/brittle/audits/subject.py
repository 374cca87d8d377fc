"""What an audit is of: a model as attacks should see it, and the examples."""

import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from brittle.attacks import (
    Averaged,
    Evaluation,
    LabelOnly,
    Tempered,
    Voting,
    accepted,
    against,
    answer_of,
    check_classes,
    check_examples,
    classes_of,
    gives_only_classes,
    gradient_at,
    margin,
    output_of,
    rejects,
    session,
)
from brittle.ground import (
    BackwardFails,
    BrittleError,
    ByteImages,
    Flags,
    Images,
    Labels,
    NoGradient,
    eval_mode,
    fast_dtype,
    functional_model,
    keys_of,
    uniform,
)

from .doctor import checked, gradients_of
from .records import Check

MOST_CLASSES = 100_000  # a larger answer is a mistake, not a class
DRAWS, VOTES = (4, 16), 25  # of a random model: for an average, at least and at most; for a majority
LEVEL, SATURATED = 0.01, 60.0  # leads of the largest logit, below and above which cross-entropy's gradient is of no use
COARSE = 0.05  # of a margin: more, and bfloat16 is not fit to attack with
OF_LOGITS = ("logits", "gradient", "finite differences")  # findings that mean nothing where there are none


@dataclass(frozen=True)
class Subject:
    """The model, the examples that it is asked about, and how many of them are held at once.

    Attributes:
        seed: of what is drawn, the images aside.
        gradients: whether any reaches the images, even if it is wrong; classes alone give none.
        majority: of a random model, the majority of fresh draws; `model` is then its average over draws.
        temperature: by which attacks see the logits divided.
        blind: gradients, as attacks see them, are missing or not those of the answers.
        precise: attacks ask in float32 alone: bfloat16 would round the answers too coarsely.
    """

    model: Callable[[Tensor], Any]
    x: Images | ByteImages
    y: Labels
    batch: int
    seed: int = 0
    majority: Voting | None = None
    gradients: bool = True
    temperature: float = 1.0
    blind: bool = False
    precise: bool = False

    @property
    def target(self) -> Callable[[Tensor], Any]:
        """The model as attacks see it."""
        return self.model if self.temperature == 1 else Tempered(self.model, self.temperature)

    @property
    def judge(self) -> Callable[[Tensor], Any]:
        """The model whose answers count."""
        return self.majority or self.model

    @property
    def batches(self) -> list[slice]:
        """All examples, as many at a time as are held at once."""
        return [slice(start, start + self.batch) for start in range(0, len(self.y), self.batch)]

    def answers(self, images: Images | ByteImages) -> Labels:
        """The classes that the model names for some images."""
        with self.draws("answers"):
            return classes_of(self.judge, images, self.batch)

    @contextmanager
    def draws(self, key: str) -> Iterator[None]:
        """The draws of a random model begin anew, as `key` says, so that a piece of work is always the same; torch's
        generator alone is set, and afterwards as it was."""
        if self.majority is None:
            yield
            return
        with torch.random.fork_rng():
            torch.manual_seed(int.from_bytes(hashlib.sha256(f"{self.seed} {key}".encode()).digest()[:6], "big"))
            yield

    def drawn(self, count: int, of: Flags | None = None) -> Tensor:
        """The rows of some examples, which their own pixels draw; of those of `of` alone, where it is given."""
        keys = torch.cat([keys_of(self.x[which]) for which in self.batches])
        order = uniform(keys, torch.Size([1]), seed=0)[:, 0].argsort(stable=True)
        return (order if of is None else order[of[order]])[:count].sort().values

    def clean(self) -> Evaluation:
        """What the model shows of the clean examples.

        Raises:
            BrittleError: a label that is no class of the model.
        """
        with torch.no_grad(), eval_mode(self.model):
            rejecting = rejects(self.model)
            check_classes(self.y, answer_of(self.model, self.x[:1]).shape[1] - rejecting, rejecting)
        with session(against(self.model)) as evaluate, torch.no_grad(), self.draws("clean"):
            found = [evaluate(self.x[which], self.y[which]) for which in self.batches]
        logits, loss, success, own = (torch.cat(part) for part in zip(*(one[:4] for one in found), strict=True))
        whole = Evaluation(logits, loss, success, own)
        if self.majority is None and not rejects(self.model):
            return whole
        return whole._replace(success=self.answers(self.x) != self.y)


def prepared(subject: Subject) -> tuple[Subject, list[Check]]:
    """The subject as attacks should see it, and what the doctor says: a random model is averaged and judged by
    majority; classes alone are taken for logits.

    Raises:
        BrittleError: examples or a model that are unfit to be attacked.
    """
    check_examples(subject.x, subject.y)
    if subject.x.dtype not in (torch.float32, torch.float64):
        kind = subject.x.dtype
        raise BrittleError(f"an audit is done in float32 or float64, not {kind}: half precision rounds eps away")
    some, classes = slice(0, max(20, min(100, subject.batch))), _only_classes(subject)
    if classes:
        subject = replace(subject, model=LabelOnly(subject.model, classes + 1))
    findings = checked(subject.model, subject.x[some], subject.y[some], subject.seed)
    subject = replace(subject, gradients=not classes and _differentiable(subject))
    checks = [Check.of(finding) for finding in findings if not classes or finding.name not in OF_LOGITS]
    if classes:
        text = "the model gives no logits, so that attacks go by its answers alone"
        checks.append(Check("classes only", None, "warn", text, "give its logits"))
    if any(finding.name == "deterministic" and finding.level != "fine" for finding in findings):
        subject, draws = _averaged(subject, some)
        text = f"attacks average over {draws} draws, answers are by majority of {VOTES}"
        checks.append(Check("draws", None, "fine", text, ""))
    elif not classes and not LEVEL <= (apart := _apart(subject, some) or 1.0) <= SATURATED:
        to, why = (10, "where the softmax has no gradient") if apart > 1 else (1, "too little for cross-entropy")
        subject = replace(subject, temperature=apart / to)
        text = f"logits are {apart:,.4g} apart, {why}: attacks see them at {to}"
        checks.append(Check("temperature", None, "note", text, "other tools need a loss that minds no scale, as DLR"))
        findings = gradients_of(subject.target, subject.x[some], subject.y[some])
    elif not classes and (coarse := _coarse(subject, some)):
        subject = replace(subject, precise=True)
        text = f"{coarse}: attacks ask in float32"
        checks.append(Check("precision", None, "note", text, "nothing to do; it takes longer"))
    bad = any(one.name in ("gradient", "finite differences") and one.level == "bad" for one in findings)
    return replace(subject, blind=bad or not subject.gradients), checks


def _coarse(subject: Subject, some: slice) -> str:
    """Why the dtype of attacks is not fit for this model: it fails in it, or margins differ by a large part of their
    own size on the median image, as where logits share a large part; empty where it is."""
    if fast_dtype(subject.x.device.type) == torch.float32:
        return ""
    try:
        with torch.no_grad(), eval_mode(subject.model):
            answer_of(functional_model(subject.model, fast_dtype(subject.x.device.type)), subject.x[:1])
    except BrittleError:
        return "the model fails in bfloat16"
    with torch.no_grad(), eval_mode(subject.model):
        rejecting = rejects(subject.model)
        check_classes(subject.y, answer_of(subject.model, subject.x[:1]).shape[1] - rejecting, rejecting)
    shown = []
    for precision in ("fast", "float32"):
        with session(against(subject.target, precision=precision)) as evaluate, torch.enable_grad():
            seen = evaluate(subject.x[some].clone().requires_grad_(), subject.y[some])
            shown.append(seen.margin.detach())
    change = float(((shown[0] - shown[1]).abs() / shown[1].abs().clamp(min=1e-12)).median())
    return f"bfloat16 changes margins by {change:.0%} of their size" if change > COARSE else ""


def _apart(subject: Subject, some: slice) -> float:
    """By how much the largest logit leads, on the median image."""
    with torch.no_grad(), eval_mode(subject.model):
        first, second = answer_of(subject.model, subject.x[some]).topk(2).values.T
    return float((first - second).median())


def _only_classes(subject: Subject) -> int:
    """How many classes there are, of a model that answers with classes; 0: it answers something else, or fails.

    Raises:
        BrittleError: answers that are no classes, or not one for each image.
    """
    try:
        with torch.no_grad(), eval_mode(subject.model):
            if not gives_only_classes(output_of(subject.model, subject.x[:2])):
                return 0
            answers = [output_of(subject.model, subject.x[which]) for which in subject.batches]
    except BrittleError:  # the doctor says what is wrong with it
        return 0
    said = torch.cat([*answers, subject.y])
    if len(said) != 2 * len(subject.y) or not 0 <= int(said.min()) <= int(said.max()) < MOST_CLASSES:
        raise BrittleError(
            f"the model answers {len(said) - len(subject.y)} classes from {int(said.min())} to {int(said.max())} to "
            f"{len(subject.y)} images; it must answer one of at least 0 for each, or logits"
        )
    return int(said.max()) + 1


def _differentiable(subject: Subject) -> bool:
    """Whether any gradient reaches an image."""
    try:
        with session(against(subject.model)) as evaluate:
            gradient_at(evaluate, subject.x[:1], subject.y[:1])
    except (NoGradient, BackwardFails, RuntimeError):
        return False
    return True


def _averaged(subject: Subject, some: slice) -> tuple[Subject, int]:
    """A random model as its average and its majority; as many draws for the average as its margins ask for.

    The mean margin of an image should be told from 0, at which attacks end, with some certainty: so many draws that its
    standard error is half of its length, on the median image.
    """
    x, y = subject.x[some], subject.y[some]
    majority = replace(subject, majority=Voting(subject.model, VOTES))
    with majority.draws("draws"), torch.no_grad(), eval_mode(subject.model):
        shown = [answer_of(subject.model, x).log_softmax(1) for _ in range(8)]
        drawn = torch.stack([margin(accepted(one, y) if rejects(subject.model) else one, y) for one in shown])
    needed = float((2 * drawn.std(0) / drawn.mean(0).abs().clamp(min=1e-6)).square().median())
    draws = min(max(math.ceil(needed), DRAWS[0]), DRAWS[1])
    return replace(majority, model=Averaged(subject.model, draws)), draws
