"""Objectives: what an attack makes large. `(x [B, *S] in [0, 1], y [B]) -> loss [B]`."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from brittle.ground import (
    BrittleError,
    Flags,
    Images,
    Labels,
    OutOfMemory,
    PerExample,
    eval_mode,
    fast_dtype,
    full_float32,
    functional_model,
)

from .answers import accepted, answer_of, check_classes, check_model, rejects
from .losses import Aim, Loss, Targets, cross_entropy, loss_named, margin, true_class


class Evaluation(NamedTuple):
    """What one forward pass tells, per example.

    Attributes:
        logits: [B, C]; [B, 0] where the objective has none. Gradients go through them unless they are detached.
        loss: the loss climbed [B].
        success: whether the attack has what it wants: a wrong class, or the target [B].
        own: the class that the margin is about [B]; sign: 1, or -1 if it is to be reached.
    """

    logits: Tensor
    loss: PerExample
    success: Flags
    own: Labels
    sign: int = 1

    @property
    def margin(self) -> PerExample:
        """By how much the wrong class wins, or the target [B]; without logits, the loss."""
        if self.logits.shape[1] == 0:
            return self.loss.detach()
        return self.sign * margin(self.logits.detach(), self.own)

    def detach(self) -> "Evaluation":
        return self._replace(logits=self.logits.detach(), loss=self.loss.detach())


Evaluate = Callable[[Images, Aim], Evaluation]
Done = Callable[[Images, Images, Aim], Flags]  # (clean images, images that succeed, labels) -> is that all one wants?


@runtime_checkable
class Objective(Protocol):
    """Any function `(x, y) -> loss [B]`; larger is worse for the model."""

    def __call__(self, x: Images, y: Any, /) -> PerExample: ...


@runtime_checkable
class SessionObjective(Objective, Protocol):
    """An objective that tells more than its loss, and may hold a model still meanwhile. Any objective may offer it."""

    def session(self) -> AbstractContextManager[Evaluate]: ...


def session(objective: Objective) -> AbstractContextManager[Evaluate]:
    """The objective's own session; a plain function shows its loss as the margin and never has success."""
    if isinstance(objective, SessionObjective):
        return objective.session()
    return nullcontext(partial(_plain, objective))


def _plain(objective: Objective, x: Images, y: Aim) -> Evaluation:
    loss = objective(x, y)
    return Evaluation(x.new_zeros(len(x), 0), loss, torch.zeros_like(loss, dtype=torch.bool), true_class(y))


@dataclass(frozen=True)
class UntilDone:
    """An evaluation that says which images need no further search."""

    evaluate: Evaluate
    done: Done

    def __call__(self, x: Images, y: Aim) -> Evaluation:
        return self.evaluate(x, y)


def done_of(objective: Objective) -> Done | None:
    """By what an objective knows that an image needs no further search; none: success is enough."""
    return objective.done if isinstance(objective, ModelObjective) else None


def to_the_end(evaluate: Evaluate) -> Evaluate:
    """The same evaluation, which calls no image done: for walks whose points are not handed out."""
    return evaluate.evaluate if isinstance(evaluate, UntilDone) else evaluate


@dataclass(frozen=True)
class ModelObjective:
    """A model's loss as an objective. While it is attacked the model is in eval mode and its parameters are held
    still.

    Attributes:
        done: asked of images that succeed; those that are done are searched no further (none: all are).
        checked: labels are known to be classes of the model, so that none is read from the device.
    """

    model: Callable[[Tensor], Any]
    loss: Loss
    targeted: bool
    precision: str
    done: Done | None = None
    checked: bool = False

    def __call__(self, x: Images, y: Aim) -> PerExample:
        with self.session() as evaluate:
            return evaluate(x, y).loss

    @contextmanager
    def session(self) -> Iterator[Evaluate]:
        """The objective as a function from images to an `Evaluation`, while the model is held still."""
        models: dict[str, Callable[[Tensor], Any]] = {}

        def evaluate(x: Images, y: Aim) -> Evaluation:
            kind = x.device.type
            first = kind not in models
            if first:
                models[kind], logits = self._at_first(x)
            else:
                logits = answer_of(models[kind], x)
            if first and not self.checked:  # once, since it reads from the device
                rejecting = rejects(self.model) and not self.targeted
                check_classes(y, logits.shape[1] - rejecting, rejecting)
            return self.evaluation(logits if logits.dtype == torch.float64 else logits.float(), y)

        with eval_mode(self.model), nullcontext() if self.precision == "fast" else full_float32():
            yield evaluate if self.done is None else UntilDone(evaluate, self.done)

    def _at_first(self, x: Images) -> tuple[Callable[[Tensor], Any], Tensor]:
        """The model, held still, and what it answers: in the dtype of attacks, or in float32 where it fails in that,
        since it leaves torch on its way, say, or asks for a dtype."""
        dtype = fast_dtype(x.device.type) if self.precision == "fast" and x.dtype == torch.float32 else torch.float32
        if dtype != torch.float32:
            fast = functional_model(self.model, dtype)
            try:
                return fast, answer_of(fast, x)
            except OutOfMemory:
                raise
            except BrittleError:
                pass
        exact = functional_model(self.model, torch.float32)
        return exact, answer_of(exact, x)

    def evaluation(self, logits: Tensor, y: Aim) -> Evaluation:
        """Loss and success of these logits [B, C]."""
        own = true_class(y)
        if rejects(self.model) and not self.targeted:
            logits = accepted(logits, own)
        answers, loss = logits.detach().argmax(1), self.loss(logits, y)
        if loss.shape != answers.shape:
            raise BrittleError(f"a loss gives one number for each image, not {list(loss.shape)}: take reduction='none'")
        success = answers == own if self.targeted else answers != own
        return Evaluation(logits, -loss if self.targeted else loss, success, own, -1 if self.targeted else 1)


def against(
    model: Callable[[Tensor], Any], loss: Loss | str = cross_entropy, *, precision: str = "float32"
) -> ModelObjective:
    """Untargeted: make `loss` at the true class large; success is another class's answer.

    Args:
        model: `[B, *S]` in [0, 1] to logits `[B, C]`, a dict with "logits", or an object with `.logits`.
        loss: `(logits, y) -> [B]`, or the name of one: `margin`, `dlr`, ...
        precision: `float32`, or `fast`: bfloat16 on devices that multiply it natively. Verify successes in float32.
    """
    return _objective(model, loss, False, precision)


def toward(
    model: Callable[[Tensor], Any], loss: Loss | str = cross_entropy, *, precision: str = "float32"
) -> ModelObjective:
    """Targeted: `y` is the class to reach; `loss` at it is made small, and success is the answer `y`."""
    return _objective(model, loss, True, precision)


def _objective(model: Callable[[Tensor], Any], loss: Loss | str, targeted: bool, precision: str) -> ModelObjective:
    if precision not in ("float32", "fast"):
        raise BrittleError(f"precision is 'float32' or 'fast', not {precision!r}")
    check_model(model)
    loss = loss_named(loss) if isinstance(loss, str) else loss
    if not callable(loss):
        raise BrittleError(f"a loss is a name or a function of logits and labels, not {type(loss).__name__}")
    return ModelObjective(model, loss, targeted, precision)


@dataclass(frozen=True)
class WithoutTransfer:
    """-CE(f(x), t) - mean_i CE(f_i(x), y): reach t in one model, and stay y for all others. Takes `Targets`.

    Cost: a gradient of each model. Source: Nakkiran 2019, "Adversarial examples are just bugs, too" (Distill).
    """

    model: Callable[[Tensor], Any]
    others: tuple[Callable[[Tensor], Any], ...]
    precision: str

    def __call__(self, x: Images, y: Targets) -> PerExample:
        with self.session() as evaluate:
            return evaluate(x, y).loss

    @contextmanager
    def session(self) -> Iterator[Evaluate]:
        """What the one model shows at its target, and the loss over all."""
        with ExitStack() as open_sessions:
            models = (self.model, *self.others)
            one, *rest = (open_sessions.enter_context(toward(f, precision=self.precision).session()) for f in models)

            def evaluate(x: Images, y: Targets) -> Evaluation:
                aimed = one(x, y.target)
                kept = torch.stack([other(x, y.true).loss for other in rest]).mean(0)
                return aimed._replace(loss=aimed.loss + kept)

            yield evaluate  # type: ignore[misc]


def without_transfer(
    model: Callable[[Tensor], Any], others: Sequence[Callable[[Tensor], Any]], *, precision: str = "float32"
) -> WithoutTransfer:
    """Targeted at `model` alone: what the `others` see stays the true class. Takes `Targets` for labels.

    Raises:
        BrittleError: no other models.
    """
    if not others:
        raise BrittleError("perturbations that do not transfer need other models to be told apart from")
    return WithoutTransfer(model, tuple(others), precision)
