"""A success counts only after it was looked at afresh: float32 forward pass, float64 norm, range, 8-bit rounding."""

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from jaxtyping import Float64
from torch import Tensor

from brittle.attacks import Evaluation, Threat, against, require_threat, session
from brittle.ground import Flags, Images, Labels


class Verified(NamedTuple):
    """Per example: fooled by an allowed image [B]; by it in 8 bits [B]; the change's size [B] (on the CPU); allowed
    [B]."""

    broken: Flags
    broken_8bit: Flags
    size: Float64[Tensor, "B"]
    allowed: Flags


def verify(model: Callable[[Tensor], Any], threat: Threat | str, x: Images, x_adv: Images, y: Labels) -> Verified:
    """Judge adversarial images [B, *S] by themselves, whatever the attack claimed.

    Cost: two forward passes in float32.
    """
    threat = require_threat(threat)
    size = threat.size(x.cpu().double(), x_adv.cpu().double())
    allowed = threat.contains(x, x_adv)
    with session(against(model)) as evaluate, torch.no_grad():
        success, success_8bit = (_fooled(evaluate(images, y)) for images in (x_adv, to_8bit(x, x_adv)))
    return Verified(success & allowed, success_8bit & allowed, size, allowed)


def _fooled(shown: Evaluation) -> Flags:
    """NaN is no wrong answer."""
    return shown.success & ~shown.logits.isnan().any(1)


def to_8bit(x: Images, x_adv: Images) -> Images:
    """`x_adv` with each pixel's change from `x` cut to a whole number of 1/255.

    If x is an 8-bit image so is the result, and it is in every ball that held `x_adv`: no pixel moves further than
    before (but for a thousandth of 1/255, which absorbs rounding errors of x itself).
    """
    return (x + ((x_adv - x) * 255 + 1e-3 * (x_adv - x).sign()).trunc() / 255).clamp(0, 1)
