"""Models as an attack should see them: random ones averaged over draws, and gradients passed straight through a module
that has none."""

import copy
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from brittle.ground import BrittleError, Images, Logits

from .answers import answer_of, output_of, rejects


class Averaged(nn.Module):
    """A random model as the log of its mean probabilities over fresh draws, so that every attack on it averages its
    gradients too (expectation over transformation, Athalye et al. 2018).

    Args:
        model: images to logits, otherwise at every call.
        draws: calls for each forward pass, which is what it costs.
    """

    def __init__(self, model: Callable[[Tensor], Any], draws: int) -> None:
        super().__init__()
        self.model, self.draws, self.last_class_rejects = model, draws, rejects(model)

    def forward(self, x: Images) -> Logits:
        drawn = [answer_of(self.model, x).log_softmax(1) for _ in range(self.draws)]
        return torch.stack(drawn).logsumexp(0) - math.log(self.draws)


class Tempered(nn.Module):
    """A model's logits divided by a temperature: the same answers, at a scale at which the softmax has a gradient."""

    def __init__(self, model: Callable[[Tensor], Any], temperature: float) -> None:
        super().__init__()
        self.model, self.temperature, self.last_class_rejects = model, temperature, rejects(model)

    def forward(self, x: Images) -> Logits:
        return answer_of(self.model, x) / self.temperature


class Voting(nn.Module):
    """A random model as the number of fresh draws that vote for each class: its answer is that of the majority. It has
    no gradient.

    Args:
        draws: votes for each image, which is what a forward pass costs.
    """

    def __init__(self, model: Callable[[Tensor], Any], draws: int) -> None:
        super().__init__()
        self.model, self.draws, self.last_class_rejects = model, draws, rejects(model)

    def forward(self, x: Images) -> Logits:
        drawn = (answer_of(self.model, x).detach() for _ in range(self.draws))
        votes = [torch.zeros_like(one).scatter(1, one.argmax(1, keepdim=True), 1) for one in drawn]
        return torch.stack(votes).sum(0)


class Detector(nn.Module):
    """A model one of whose classes says that it rejects the image. An attack has success where the answer is wrong and
    not rejected; a clean image that is rejected counts as wrong.

    Args:
        reject: the number of that class; it becomes the last one.
    Source: the usual reading of adaptive attacks on detectors (Tramer et al. 2020).
    """

    last_class_rejects = True

    def __init__(self, model: Callable[[Tensor], Any], reject: int = -1) -> None:
        super().__init__()
        self.model, self.reject = model, reject

    def forward(self, x: Tensor) -> Logits:
        logits = answer_of(self.model, x)
        if not -logits.shape[1] <= self.reject < logits.shape[1]:
            raise BrittleError(f"the class {self.reject} that rejects is none of {logits.shape[1]}")
        place = self.reject % logits.shape[1]
        return torch.cat([logits[:, :place], logits[:, place + 1 :], logits[:, place : place + 1]], 1)


class LabelOnly(nn.Module):
    """A model that answers nothing but classes [B], as logits: 1 for the class, 0 for the others. It has no gradient.

    Args:
        classes: how many are told apart; all larger ones count as the last.
    """

    def __init__(self, model: Callable[[Tensor], Any], classes: int) -> None:
        super().__init__()
        self.model, self.classes = model, classes

    def forward(self, x: Images) -> Logits:
        with torch.no_grad():
            answers: Tensor = output_of(self.model, x)
        return torch.nn.functional.one_hot(answers.long().clamp(max=self.classes - 1), self.classes).to(x.dtype)


def gives_only_classes(answers: Any) -> bool:
    """Whether a model's answers are classes [B], not logits."""
    return isinstance(answers, Tensor) and answers.dim() == 1 and not answers.is_floating_point()


class _Straight(torch.autograd.Function):
    """What a module answers, with the gradient of the identity."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, module: nn.Module) -> Tensor:
        with torch.no_grad():
            answer: Tensor = module(x)
        if answer.shape != x.shape:
            raise BrittleError(
                f"BPDA passes gradients straight through a module, so that its answer must have the shape of its input "
                f"{list(x.shape)}, not {list(answer.shape)}"
            )
        return answer

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


class StraightThrough(nn.Module):
    """A module whose gradient is taken to be that of the identity (BPDA, Athalye et al. 2018)."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = _Straight.apply(x, self.module)  # type: ignore[no-untyped-call]
        return found


def straight_through(model: Any, names: Sequence[str]) -> Any:
    """A copy of `model` in which gradients pass straight through some modules; its answers are the same.

    Args:
        names: dotted, as in `model.named_modules()`; modules that answer in the shape of their input, such as a JPEG
            step or a quantiser.
    Raises:
        BrittleError: no `nn.Module`, or no module of that name in it.
    """
    if not names:
        return model
    if not isinstance(model, nn.Module) or isinstance(model, torch.jit.ScriptModule):
        raise BrittleError("BPDA looks for modules by their names, so that the model must be an nn.Module")
    changed, known = copy.deepcopy(model), dict(model.named_modules(remove_duplicate=False))
    for name in names:
        if name not in known or not name:
            some = ", ".join(list(filter(None, known))[:20])
            raise BrittleError(f"the model has no module {name!r}; it has {some}")
    places = {place: one for place, one in known.items() if any(one is known[name] for name in names)}
    for place in sorted(places, key=lambda place: -place.count(".")):  # a module inside of another first
        holder, _, last = place.rpartition(".")
        inside = changed.get_submodule(holder)
        if not isinstance(inside.get_submodule(last), StraightThrough):
            setattr(inside, last, StraightThrough(inside.get_submodule(last)))
    return changed
