"""Whether images come to a model as it expects them: range, normalisation, layout."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from brittle.attacks import answer_of
from brittle.ground import BrittleError, Images, Labels, eval_mode
from brittle.learning import USUAL, Classifier, Inputs

from .findings import Finding


def range_of(low: float, high: float) -> Finding:
    """Whether pixels that go from `low` to `high` lie in [0, 1], as all threats take them to."""
    if low >= 0 and high <= 1:
        return Finding("range", "fine", f"pixels from {low:.2f} to {high:.2f}")
    return Finding(
        "range",
        "bad",
        f"pixels range from {low:.3g} to {high:.3g}",
        "give images in [0, 1] and put the normalisation inside the model",
    )


def normalisation(model: Callable[[Tensor], Any], x: Images, y: Labels, logits: Tensor) -> Finding:
    """Whether a model is right on 10 points more where images [B, *S] come in another usual scaling; its `logits` are
    those of the images as they are.

    Cost: nothing where it is right on 90 %; else a forward pass for each scaling, three to six.
    """
    here = _accuracy(logits, y)
    if here >= 0.9:
        return Finding("normalisation", "fine", f"accuracy {here:.0%} as given")
    axes = [0, *range(2, x.dim())]
    mean, std = x.mean(axes, keepdim=True), x.std(axes, keepdim=True).clamp(min=1e-3)
    readings = [(_accuracy(_read(inputs, model, x).float(), y), inputs) for inputs in _expected(x, mean, std)]
    best, inputs = max(readings, key=lambda one: one[0], default=(0.0, Inputs()))
    undone = _accuracy(answer_of(model, x * std + mean).float(), y)
    if max(best, undone) > here + 0.1:
        said = " ".join(f"--{option} {value}" for option, value in inputs.said.items())
        cause, hint = (
            (f"with {said}", f"give {said}, in Python brittle.classifier")
            if best >= undone
            else ("un-normalised", "the images seem to be normalised twice: drop one of the two")
        )
        sure = undone > best or inputs.preprocess in ("", *USUAL)  # the data's own mean may help any net on pale images
        return Finding(
            "normalisation",
            "bad" if sure else "warn",
            f"accuracy {here:.0%} as given but {max(best, undone):.0%} {cause}",
            hint,
        )
    chance = 1 / logits.shape[1]
    if here < 2 * chance and here < 0.6:
        return Finding(
            "accuracy", "warn", f"accuracy {here:.0%}, chance is {chance:.0%}", "check weights, labels and class order"
        )
    return Finding("normalisation", "fine", f"accuracy {here:.0%} as given; no other scaling of the pixels does better")


def _read(inputs: Inputs, model: Callable[[Tensor], Any], x: Images) -> Tensor:
    """What the model answers if it is shown what it would then expect."""
    prepared = inputs.around(model)
    if isinstance(prepared, Classifier):
        prepared.normalize.to(x.device)  # the model is there already
    return answer_of(prepared, x)


def _expected(x: Images, mean: Tensor, std: Tensor) -> list[Inputs]:
    """What models usually expect of images like these, whose channels have this mean and standard deviation."""
    own = ",".join(f"{float(one):.4g}" for one in (*mean.flatten(), *std.flatten()))
    usual = [name for name, values in USUAL.items() if x.dim() == 4 and len(values) == 2 * x.shape[1]]
    return [
        *(Inputs(preprocess=text) for text in (*usual, *([own] if x.dim() == 4 else []))),
        Inputs(input_range="0,255"),
        Inputs(input_range="-1,1"),
    ]


def _accuracy(logits: Tensor, y: Labels) -> float:
    return float((logits.argmax(1) == y).float().mean())


def takes_channels_last(model: Callable[[Tensor], Any], x: Images) -> bool:
    """Whether a model answers images [B, C, H, W] once they are laid out as [B, H, W, C]. Cost: one forward pass."""
    try:
        with torch.no_grad(), eval_mode(model):
            _read(Inputs(layout="NHWC"), model, x)
    except BrittleError:
        return False
    return True
