"""What a model expects of its images, where that is not [0, 1] and [B, C, H, W]."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

import numpy as np
from torch import Tensor, nn

from brittle.attacks import check_model
from brittle.ground import BrittleError

from ..nets import Normalize

LAYOUTS = ("NCHW", "NHWC")
USUAL = {  # means, then standard deviations
    "imagenet": (0.485, 0.456, 0.406, 0.229, 0.224, 0.225),
    "cifar10": (0.4914, 0.4822, 0.4465, 0.2470, 0.2435, 0.2616),
    "mnist": (0.1307, 0.3081),
}


@dataclass(frozen=True)
class Inputs:
    """What a model expects, in the words of the command line.

    Attributes:
        preprocess: means, then standard deviations, of each channel ("0.5,0.25"), or a usual one: `imagenet`,
            `cifar10`, `mnist`; none: "".
        input_range: what 0 and 1 become before that: "0,255".
        layout: NCHW or NHWC.
    Raises:
        BrittleError: a text that says nothing of the kind.
    """

    preprocess: str = ""
    input_range: str = "0,1"
    layout: str = "NCHW"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layout", self.layout.upper())
        self.around(nn.Identity())

    def around(self, model: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
        """The model behind this; the model itself where nothing is asked."""
        if not self.said:
            return model
        values = USUAL.get(self.preprocess.lower()) or _numbers("--preprocess", self.preprocess)
        half, odd = divmod(len(values), 2)
        if odd:
            raise BrittleError(
                f"--preprocess takes the means and then the standard deviations of all channels, or one of "
                f"{', '.join(USUAL)}, not {self.preprocess!r}"
            )
        span = _numbers("--input-range", self.input_range)
        return classifier(model, mean=values[:half], std=values[half:], input_range=span, layout=self.layout)

    @property
    def said(self) -> dict[str, str]:
        """What differs from the usual, by the names of the command line's options."""
        asked = {field.name: (getattr(self, field.name), field.default) for field in fields(self)}
        return {name.replace("_", "-"): value for name, (value, usual) in asked.items() if value != usual}


class Classifier(nn.Module):
    """A model behind the preparation of its images; see `classifier`.

    Attributes:
        said: the arguments of `classifier` that differ from the usual, by their options on the command line.
    """

    def __init__(
        self, model: Callable[[Tensor], Any], normalize: nn.Module, layout: str, said: dict[str, dict[str, Any]]
    ) -> None:
        super().__init__()
        self.normalize, self.model, self.layout, self.said = normalize, model, layout, said

    def without(self, *options: str) -> "Classifier":
        """The same model, where these were not said."""
        kept = [arguments for option, arguments in self.said.items() if option not in options]
        return classifier(self.model, **{name: value for arguments in kept for name, value in arguments.items()})

    def forward(self, x: Tensor) -> Any:
        if isinstance(x, Tensor) and isinstance(self.normalize, Normalize):  # torch.fx shows it something else
            means = self.normalize.get_buffer("mean")
            if means.dim() and (x.dim() != 4 or x.shape[1] != len(means)):
                grey = "; they are grey: save them as RGB" if x.dim() == 4 and x.shape[1] == 1 else ""
                raise BrittleError(
                    f"the model is prepared for {len(means)} channels, but the images are {list(x.shape)}{grey}"
                )
        x = self.normalize(x)
        return self.model(x.permute(0, 2, 3, 1) if self.layout == "NHWC" else x)


def classifier(
    model: Callable[[Tensor], Any],
    *,
    mean: float | Sequence[float] = (),
    std: float | Sequence[float] = (),
    input_range: Sequence[float] = (0, 1),
    layout: str = "NCHW",
) -> Classifier:
    """A model that takes images [B, C, H, W] in [0, 1], made of one that expects something else.

    x becomes low + (high - low) x, then (x - mean) / std for each channel, then [B, H, W, C] where asked. Sizes of
    threats stay in units of [0, 1].

    Args:
        model: any callable; its answer is passed on as it is.
        mean: one number for all, or one for each channel, in units of `input_range`; none: nothing is normalised.
        std: likewise, as many.
        input_range: what 0 and 1 become: (0, 255), (-1, 1).
        layout: `NCHW` or `NHWC`.
    Raises:
        BrittleError: no model, counts that differ, a standard deviation or a range of 0, an unknown layout.
    """
    try:
        means, stds = (np.atleast_1d(np.asarray(v, dtype=float)).tolist() for v in (mean, std))
    except (TypeError, ValueError):
        raise BrittleError(f"means and deviations are numbers, not {mean!r} and {std!r}") from None
    check_model(model)
    try:
        span = tuple(map(float, input_range))
    except (TypeError, ValueError):
        span = ()
    if len(means) != len(stds) or not all(map(isfinite, (*means, *stds))) or not all(one > 0 for one in stds):
        raise BrittleError(f"each channel needs a mean and a positive standard deviation, not {means} and {stds}")
    if len(span) != 2 or not all(map(isfinite, span)) or not span[0] < span[1]:
        raise BrittleError(f"the range of a model's images is two numbers, such as 0,255, not {input_range!r}")
    if str(layout).upper() not in LAYOUTS:
        raise BrittleError(f"the layout of a model's images is {' or '.join(LAYOUTS)}, not {layout!r}")
    low, length = span[0], span[1] - span[0]
    plain = not means and (low, length) == (0, 1)
    shifted = [(one - low) / length for one in means or [0.0]]
    scaled = [one / length for one in stds or [1.0]]
    several = len(shifted) > 1
    normalize = Normalize(shifted if several else shifted[0], scaled if several else scaled[0])
    said: dict[str, dict[str, Any]] = {"--preprocess": {"mean": means, "std": stds}} if means else {}
    said |= {"--input-range": {"input_range": span}} if span != (0, 1) else {}
    said |= {"--layout": {"layout": layout.upper()}} if layout.upper() != LAYOUTS[0] else {}
    made = Classifier(model, nn.Identity() if plain else normalize, layout.upper(), said)
    made.training = getattr(model, "training", False)  # the model's own mode is left as it is
    return made


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(word) for word in text.split(",")) if text else ()
    except ValueError:
        raise BrittleError(f"{option} takes numbers with commas between them, not {text!r}") from None
