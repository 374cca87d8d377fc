"""A success counts only after it was looked at afresh: float32 forward pass, float64 norm, range, 8-bit rounding."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from numpy.typing import NDArray
from torch import Tensor

from brittle.attacks import Evaluation, Threat, against, check_kinds, require_threat, session
from brittle.ground import BrittleError, Flags, Images, Labels
from brittle.learning import examples_of

Array = NDArray[Any]


class Verified(NamedTuple):
    """Per example: fooled by an allowed image [B]; by it in 8 bits [B]; the change's size [B] (on the CPU); allowed
    [B]."""

    broken: Flags
    broken_8bit: Flags
    size: Float64[Tensor, "B"]
    allowed: Flags


def verify(
    model: Callable[[Tensor], Any],
    threat: Threat | str,
    x: Images | Array,
    x_adv: Images | Array,
    y: Labels | Array,
) -> Verified:
    """Judge adversarial images [B, *S] by themselves, whatever the attack claimed. Arrays of numpy will do.

    Raises:
        BrittleError: no images and labels, adversarial images of another shape, or a model that fails.
    Cost: two forward passes in float32.
    """
    threat = require_threat(threat)
    x, x_adv, y = as_tensors(x, x_adv, y)
    size = threat.size(x.cpu().double(), x_adv.cpu().double())
    allowed = threat.contains(x, x_adv)
    with session(against(model)) as evaluate, torch.no_grad():
        success, success_8bit = (_fooled(evaluate(images, y)) for images in (x_adv, to_8bit(x, x_adv)))
    return Verified(success & allowed, success_8bit & allowed, size, allowed)


def as_tensors(x: Any, x_adv: Any, y: Any) -> tuple[Images, Images, Labels]:
    """Images, adversarial images and labels as they are, or as `audit` takes them where one is no tensor.

    Raises:
        BrittleError: no images and labels, or adversarial images of another shape, kind or device.
    """
    if not all(isinstance(one, Tensor) for one in (x, x_adv, y)):
        (x, y), (x_adv, _) = examples_of((x, y)), examples_of((x_adv, y))
    check_kinds(x, y)
    if x_adv.shape != x.shape or not x_adv.is_floating_point() or x_adv.device != x.device:
        kinds = [f"{one.dtype} {list(one.shape)} on {one.device}" for one in (x, x_adv)]
        raise BrittleError(f"adversarial images must be like the clean ones, {kinds[0]}, not {kinds[1]}")
    return x, x_adv, y


def _fooled(shown: Evaluation) -> Flags:
    """NaN is no wrong answer."""
    return shown.success & ~shown.logits.isnan().any(1)


def to_8bit(x: Images, x_adv: Images) -> Images:
    """`x_adv` with each pixel's change from `x` cut to a whole number of 1/255.

    If x is an 8-bit image so is the result, and it is in every ball that held `x_adv`: no pixel moves further than
    before (but for a thousandth of 1/255, which absorbs rounding errors of x itself).
    """
    return (x + ((x_adv - x) * 255 + 1e-3 * (x_adv - x).sign()).trunc() / 255).clamp(0, 1)
