"""Whether images come to a model as it expects them: range, normalisation, layout."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import combinations
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from brittle.attacks import answer_of, rejects
from brittle.ground import BrittleError, Flags, Images, Labels, eval_mode
from brittle.learning import USUAL, Classifier, Inputs, Normalize

from .findings import Finding
from .statistics import chance_p_value, paired_p_value

DARK = 0.05  # of a largest pixel in [0, 1]: less, and images were surely divided once too often
SURE = 0.001  # of all other scalings together: how likely one would seem to do better where none does


def range_of(low: float, high: float) -> Finding:
    """Whether pixels that go from `low` to `high` lie in [0, 1], as all threats take them to."""
    if low >= 0 and 0 < high < DARK:
        text = f"pixels range from {low:.3g} to {high:.3g}, nearly black"
        return Finding("range", "warn", text, "if they were made from 0 or 1 in 8 bits, give them as floats in [0, 1]")
    if low >= 0 and high <= 1:
        return Finding("range", "fine", f"pixels from {low:.2f} to {high:.2f}")
    return Finding(
        "range",
        "bad",
        f"pixels range from {low:.3g} to {high:.3g}",
        "give images in [0, 1] and put the normalisation inside the model",
    )


class Proposal(NamedTuple):
    """Another scaling of the images: in words, what to do, the options that do it, and whether models often want it."""

    cause: str
    hint: str
    said: str = ""
    usual: bool = True


TWICE = Proposal("un-normalised", "the images seem to be normalised twice: drop one of the two")


def normalisation(model: Callable[[Tensor], Any], x: Images, y: Labels, logits: Tensor) -> Finding:
    """Whether a model is surely right on 10 points more where images [B, *S] come in another usual scaling; its
    `logits` are those of the images as they are. One that normalises by itself may only want another range, and of
    ours that is known too. Where its user has said what it expects, it is tried without.

    Cost: nothing where it is right on 90 %; else a forward pass for each scaling, none to six.
    """
    right = _named(model, logits) == y
    here = _share(right)
    if here >= 0.9:
        return Finding("normalisation", "fine", f"accuracy {here:.0%} as given")
    axes = [0, *range(2, x.dim())]
    mean, std = x.mean(axes, keepdim=True), x.std(axes, keepdim=True).clamp(min=1e-3)
    inside = _normalisers(model)
    ours = any(isinstance(one, Normalize) for one in inside)
    answers: dict[Proposal, Tensor] = {}
    dark = float(x.max()) < DARK  # whatever makes them brighter may seem to help
    for proposal, other in () if dark else _without(model):
        answers[proposal] = answer_of(_on(other, x), x)
    for inputs in () if ours or dark else _expected(x, mean, std):
        if not (inside and inputs.preprocess):
            answers[_with(inputs)] = _read(inputs, model, x)
    if len(inside) != 1 or float(x.min()) < 0 or float(x.max()) > 1:  # once inside, of images in [0, 1], is not twice
        answers[TWICE] = answer_of(model, x * std + mean)
    found = {proposal: _named(model, answer.float()) == y for proposal, answer in answers.items()}
    best = max(found, key=lambda one: _share(found[one]), default=TWICE)
    chance = 1 / logits.shape[1]
    if found and _share(found[best]) > here + 0.1 and _surely(found[best], right, y, chance, len(found)):
        return Finding(
            "normalisation",
            "bad" if best.usual else "warn",
            f"accuracy {here:.0%} as given but {_share(found[best]):.0%} {best.cause}",
            best.hint,
            best.said,
        )
    if here < 2 * chance and here < 0.6:
        channels = ", channel order" if x.dim() == 4 and x.shape[1] == 3 else ""
        hint = f"check weights, labels{channels} and class order"
        return Finding("accuracy", "warn", f"accuracy {here:.0%}, chance is {chance:.0%}", hint)
    none = "; no other scaling of the pixels surely does better" if found else ""
    return Finding("normalisation", "fine", f"accuracy {here:.0%} as given{none}")


def _with(inputs: Inputs) -> Proposal:
    said = " ".join(f"--{option} {value}" for option, value in inputs.said.items())
    usual = inputs.preprocess in ("", *USUAL)  # the data's own mean may help any net on pale images
    return Proposal(f"with {said}", f"give {said}, in Python brittle.classifier", said, usual)


def _without(model: Callable[[Tensor], Any]) -> Iterator[tuple[Proposal, Callable[[Tensor], Any]]]:
    """The model without some of what its user said of the range and the normalisation, the least dropped first."""
    if not isinstance(model, Classifier):
        return
    said = [option for option in model.said if option != "--layout"]
    for count in range(1, len(said) + 1):
        for dropped in combinations(said, count):
            options = " and ".join(dropped)
            proposal = Proposal(f"without {options}", f"drop {options}, in Python from brittle.classifier")
            yield proposal, model.without(*dropped)


def _named(model: Callable[[Tensor], Any], logits: Tensor) -> Labels:
    """The classes that the answers name; of a detector's, the best that is a class: what it rejects is not asked here,
    since it rejects less of whatever makes its logits larger."""
    return (logits[:, :-1] if rejects(model) else logits).argmax(1)


def _normalisers(model: Callable[[Tensor], Any]) -> list[nn.Module]:
    """The modules of a model that have a mean and a standard deviation, as far as they show them."""
    numbers = (Tensor, list, tuple, float, int)
    modules = list(model.modules()) if isinstance(model, nn.Module) else []
    return [one for one in modules if all(isinstance(getattr(one, name, None), numbers) for name in ("mean", "std"))]


def _surely(right: Flags, before: Flags, y: Labels, chance: float, tried: int) -> bool:
    """Whether the best of so many scalings is right more often than the images as given, and than a guess, surely."""
    better = tried * paired_p_value(int((right & ~before).sum()), int((before & ~right).sum()))
    guessed = max(chance, float(y.bincount().max()) / len(y))
    return max(better, tried * chance_p_value(int(right.sum()), len(y), guessed)) < SURE


def _read(inputs: Inputs, model: Callable[[Tensor], Any], x: Images) -> Tensor:
    """What the model answers if it is shown what it would then expect."""
    return answer_of(_on(inputs.around(model), x), x)


def _on(prepared: Callable[[Tensor], Any], x: Images) -> Callable[[Tensor], Any]:
    if isinstance(prepared, Classifier):
        prepared.normalize.to(x.device)  # the model is there already
    return prepared


def _expected(x: Images, mean: Tensor, std: Tensor) -> list[Inputs]:
    """What models usually expect of images like these, whose channels have this mean and standard deviation."""
    own = ",".join(f"{float(one):.4g}" for one in (*mean.flatten(), *std.flatten()))
    usual = [name for name, values in USUAL.items() if x.dim() == 4 and len(values) == 2 * x.shape[1]]
    return [
        *(Inputs(preprocess=text) for text in (*usual, *([own] if x.dim() == 4 else []))),
        Inputs(input_range="0,255"),
        Inputs(input_range="-1,1"),
    ]


def _share(right: Flags) -> float:
    return float(right.float().mean())


def relaid(model: Callable[[Tensor], Any], x: Images) -> tuple[str, str] | None:
    """How images that a model does not answer should be laid out for it to answer them: a hint, and the option of the
    command line, if there is one; none where no other layout helps. Cost: at most three forward passes."""
    with torch.no_grad(), eval_mode(model):
        if isinstance(model, Classifier) and "--layout" in model.said:
            with suppress(BrittleError):
                answer_of(_on(model.without("--layout"), x), x)
                return "it takes images [B, C, H, W]: drop --layout, in Python from brittle.classifier", ""
        with suppress(BrittleError):
            _read(Inputs(layout="NHWC"), model, x)
            return "it takes images [B, H, W, C]: give --layout NHWC, in Python brittle.classifier", "--layout NHWC"
        with suppress(BrittleError):
            if x.dim() == 3:
                answer_of(model, x[:, None])
                return "these images have no channels: give them as [B, 1, H, W], such as x[:, None]", ""
    return None
