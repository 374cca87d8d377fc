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
    Logits,
    PerExample,
    eval_mode,
    fast_dtype,
    full_float32,
    functional_model,
)

from .losses import Loss, cross_entropy, margin


class Evaluation(NamedTuple):
    """What one forward pass tells: the loss climbed [B], the margin of the wrong classes [B], whether the model is
    fooled [B]."""

    loss: PerExample
    margin: PerExample
    success: Flags

    def detach(self) -> "Evaluation":
        return Evaluation(self.loss.detach(), self.margin.detach(), self.success)


Evaluate = Callable[[Images, Labels], Evaluation]


@runtime_checkable
class Objective(Protocol):
    """Any function `(x, y) -> loss [B]`; larger is worse for the model."""

    def __call__(self, x: Images, y: Labels, /) -> PerExample: ...


@dataclass(frozen=True)
class ModelObjective:
    """A model's loss as an objective. While it is attacked the model is in eval mode and its parameters are held
    still."""

    model: Callable[[Tensor], Any]
    loss: Loss
    targeted: bool
    precision: str

    def __call__(self, x: Images, y: Labels) -> PerExample:
        with self.session() as evaluate:
            return evaluate(x, y).loss

    @contextmanager
    def session(self) -> Iterator[Evaluate]:
        """The objective as a function that shows loss, margin and success, while the model is held still."""
        dtypes: dict[str, Callable[[Tensor], Any]] = {}

        def evaluate(x: Images, y: Labels) -> Evaluation:
            kind = x.device.type
            if kind not in dtypes:
                fast = self.precision == "fast" and x.dtype == torch.float32
                dtypes[kind] = functional_model(self.model, fast_dtype(kind) if fast else torch.float32)
            logits = logits_of(dtypes[kind](x))
            logits = logits if logits.dtype == torch.float64 else logits.float()
            return self.judge(logits, y)

        with eval_mode(self.model), nullcontext() if self.precision == "fast" else full_float32():
            yield evaluate

    def judge(self, logits: Logits, y: Labels) -> Evaluation:
        """Loss, margin and success of these logits; labels [B, 2] are (true class, target)."""
        own = y if y.dim() == 1 else y[:, 0]
        sign = -1 if self.targeted else 1
        with torch.no_grad():
            held = logits.detach()
            wrong = sign * margin(held, own)
            success = (held.argmax(1) == own) if self.targeted else (held.argmax(1) != own)
        return Evaluation(sign * self.loss(logits, y), wrong, success)


def against(
    model: Callable[[Tensor], Any], loss: Loss = cross_entropy, *, precision: str = "float32"
) -> ModelObjective:
    """Untargeted: make `loss` at the true class large; the model is fooled when it answers another class.

    Args:
        model: `[B, *S]` in [0, 1] to logits `[B, C]`, a dict with "logits", or an object with `.logits`.
        loss: `(logits, y) -> [B]`.
        precision: `float32`, or `fast`: bfloat16 on devices that multiply it natively. Verify successes in float32.
    """
    return _objective(model, loss, False, precision)


def toward(model: Callable[[Tensor], Any], loss: Loss = cross_entropy, *, precision: str = "float32") -> ModelObjective:
    """Targeted: `y` is the class to reach; `loss` at it is made small, and the model is fooled when it answers `y`."""
    return _objective(model, loss, True, precision)


def _objective(model: Callable[[Tensor], Any], loss: Loss, targeted: bool, precision: str) -> ModelObjective:
    if precision not in ("float32", "fast"):
        raise BrittleError(f"precision is 'float32' or 'fast', not {precision!r}")
    if not callable(model):
        raise BrittleError(f"a model is a function from images to logits; {type(model).__name__} cannot be called")
    return ModelObjective(model, loss, targeted, precision)


@dataclass(frozen=True)
class WithoutTransfer:
    """-CE(f(x), t) - mean_i CE(f_i(x), y): reach t in one model, and stay y for all others. Labels [B, 2] are (y, t).

    Cost: a gradient of each model. Source: Nakkiran 2019, "Adversarial examples are just bugs, too" (Distill).
    """

    model: Callable[[Tensor], Any]
    others: tuple[Callable[[Tensor], Any], ...]
    precision: str

    def __call__(self, x: Images, y: Labels) -> PerExample:
        with self.session() as evaluate:
            return evaluate(x, y).loss

    @contextmanager
    def session(self) -> Iterator[Evaluate]:
        """What the one model shows at its target, and the loss over all."""
        with ExitStack() as held:
            one, *rest = (
                held.enter_context(toward(f, precision=self.precision).session()) for f in (self.model, *self.others)
            )

            def evaluate(x: Images, y: Labels) -> Evaluation:
                seen = one(x, y[:, 1])
                kept = torch.stack([other(x, y[:, 0]).loss for other in rest]).mean(0)
                return seen._replace(loss=seen.loss + kept)

            yield evaluate


def without_transfer(
    model: Callable[[Tensor], Any], others: Sequence[Callable[[Tensor], Any]], *, precision: str = "float32"
) -> WithoutTransfer:
    """Targeted at `model` alone: what the `others` see stays the true class. Labels [B, 2] are (true class, target).

    Raises:
        BrittleError: no other models.
    """
    if not others:
        raise BrittleError("perturbations that do not transfer need other models to be told apart from")
    return WithoutTransfer(model, tuple(others), precision)


def session(objective: Objective) -> AbstractContextManager[Evaluate]:
    """The objective's `session`; a plain function shows its loss as the margin and is never fooled."""
    if isinstance(objective, (ModelObjective, WithoutTransfer)):
        return objective.session()
    return nullcontext(partial(_plain, objective))


def _plain(objective: Objective, x: Images, y: Labels) -> Evaluation:
    loss = objective(x, y)
    return Evaluation(loss, loss.detach(), torch.zeros_like(loss, dtype=torch.bool))


def logits_of(output: Any) -> Logits:
    """The logits [B, C] in a model's answer: the tensor itself, `answer["logits"]` or `answer.logits`."""
    if isinstance(output, dict):
        output = output.get("logits", output)
    logits = getattr(output, "logits", output)
    if not isinstance(logits, Tensor) or logits.dim() != 2 or logits.shape[1] < 2:
        got = f"a tensor of shape {list(logits.shape)}" if isinstance(logits, Tensor) else type(logits).__name__
        raise BrittleError(
            "the model must answer logits [batch, classes >= 2], a dict with 'logits' or an object with .logits; it "
            f"answered {got}"
        )
    return logits


def classes_of(model: Callable[[Tensor], Any], x: Images, batch: int = 500) -> Labels:
    """The class that the model answers to each image [B], in eval mode and float32. Cost: one forward pass."""
    with torch.no_grad(), eval_mode(model), full_float32():
        return torch.cat([logits_of(model(part)).argmax(1) for part in torch.split(x, batch)])
