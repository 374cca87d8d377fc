"""What a model answers: logits, or one line that says why they are none."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from brittle.ground import (
    BrittleError,
    ByteImages,
    Images,
    Labels,
    Logits,
    OutOfMemory,
    OutOfTime,
    check_time,
    eval_mode,
    first_line,
    full_float32,
    in_parts,
)

from .losses import Aim, Targets

TYPES = {"double": torch.float64, "float": torch.float32, "half": torch.float16, "bfloat16": torch.bfloat16}
UNFIT = "check that it is made for images of this shape and type (--size brings those of a folder to another size)"
FIXED = "it takes batches of one size alone: export it with a dynamic batch dimension"


def output_of(model: Callable[[Tensor], Any], x: Images) -> Any:
    """What a model answers to images [B, *S], whatever it is. Where no gradient is asked it is shown a copy, so that
    one which writes into its images spoils nobody's.

    Raises:
        BrittleError: the model fails, runs out of the device's memory, or changes the images.
        OutOfTime: a limit of time (`until`) is reached.
    """
    check_time()
    shown = x if x.requires_grad else x.clone()
    before = 0 if shown.is_inference() else shown._version
    try:
        output = model(shown)
    except (BrittleError, OutOfTime):
        raise
    except torch.OutOfMemoryError:
        raise OutOfMemory(
            f"{len(x)} images at once do not fit into the device's memory; take a smaller --batch"
        ) from None
    except (Exception, SystemExit) as error:  # whatever the code of a model raises
        said = first_line(error)
        hint = _other_type(said, x.dtype) or (FIXED if re.search(r"size\(\)\[0\] ==", said) else UNFIT)
        raise BrittleError(f"the model fails on images {list(x.shape)}: {said}; {hint}") from error
    if not shown.is_inference() and shown._version != before:
        raise BrittleError("the model writes into the images that it is given; let it work on a copy (x.clone())")
    return output


def _other_type(said: str, own: torch.dtype) -> str:
    """What to do where torch says that images of a type met weights of another; "" where it says something else."""
    names = re.findall(r"(bfloat16|double|float|half)(?:tensor)?\b", said.lower()) if "type" in said else []
    others = {TYPES[name] for name in names} - {own}
    if len(others) != 1 or own not in TYPES.values():
        return ""
    weights, images = (str(one).removeprefix("torch.") for one in (*others, own))
    return f"its weights are {weights}, the images {images}: call .float() on {'it' if images == 'float32' else 'them'}"


def check_model(model: Any) -> None:
    """Raise `BrittleError` unless it can be called on images."""
    if isinstance(model, type):
        raise BrittleError(f"{model.__name__} is a class; a model is made by calling it: {model.__name__}()")
    if isinstance(model, str):
        raise BrittleError(f"{model!r} is a text; load the model first: brittle.learning.load_model({model!r}).model")
    if not callable(model):
        raise BrittleError(f"a model is a function from images to logits; {type(model).__name__} cannot be called")


def answer_of(model: Callable[[Tensor], Any], x: Images) -> Logits:
    """The logits [B, C] that a model answers to images [B, *S].

    Raises:
        BrittleError: the model fails, changes the images, or answers anything but a row of logits for each of them.
    """
    logits = logits_of(output_of(model, x))
    if len(logits) != len(x):
        raise BrittleError(
            f"the model answers {len(logits)} rows of logits to {len(x)} images; it must answer one for each"
        )
    return logits


def check_classes(y: Aim, classes: int, rejecting: bool = False) -> None:
    """Raise `BrittleError` if a label or a target is none of so many classes; of a model that rejects, of those beside
    the one that does."""
    for labels in (y.true, y.target) if isinstance(y, Targets) else (y,):
        low, high = torch.stack(labels.aminmax()).tolist() if len(labels) else (0, 0)
        if not 0 <= low <= high < classes:
            raise BrittleError(
                f"labels go from {low} to {high} but the model has {classes} classes"
                f"{' beside the one that rejects, counted without it' if rejecting else ''}; check that model and data "
                "set belong together"
            )


def logits_of(output: Any) -> Logits:
    """The logits [B, C] in a model's answer: the tensor itself, `answer["logits"]` or `answer.logits`.

    One logit [B, 1], of class 1 against class 0, becomes two.
    """
    if isinstance(output, dict):
        output = output.get("logits", output)
    logits = getattr(output, "logits", output)
    if isinstance(logits, Tensor) and logits.dim() == 2 and logits.shape[1] == 1:
        return torch.cat([torch.zeros_like(logits), logits], 1)
    if not isinstance(logits, Tensor):
        got = type(logits).__name__
    elif logits.layout != torch.strided:
        got = "a sparse tensor"
    elif not logits.is_floating_point() or logits.dim() != 2 or logits.shape[1] < 2:
        got = f"{logits.dtype} of shape {list(logits.shape)}"
    else:
        return logits
    hint = "wrap it so that it does"
    if isinstance(logits, Tensor) and logits.dim() == 1:
        hint = "one logit for each image is [batch, 1], and classes alone are for an audit, not for single attacks"
    raise BrittleError(
        "the model must answer logits [batch, classes] as floats, a dict with 'logits' or an object with .logits, "
        f"not {got}; {hint}"
    )


def classes_of(model: Callable[[Tensor], Any], x: Images | ByteImages, batch: int = 500) -> Labels:
    """The class that the model answers to each image [B], in eval mode and float32. Cost: one forward pass.

    Raises:
        BrittleError: the model fails, or answers NaN.
    """
    with torch.no_grad(), eval_mode(model), full_float32():
        found = in_parts(lambda which: answer_of(model, x[which]).max(1), len(x), batch)
    if broken := sum(int(part.values.isnan().sum()) for part in found):
        raise BrittleError(f"the model answers NaN on {broken} of {len(x)} images; find the layer that overflows")
    return torch.cat([part.indices for part in found])


def rejects(model: Any) -> bool:
    """Whether the last class of a model says that it rejects the image (`Detector`)."""
    return getattr(model, "last_class_rejects", False) is True


def accepted(logits: Logits, y: Labels) -> Tensor:
    """The logits [B, C - 1] of a model that rejects, as an attack must beat them: to be rejected is as good for the
    model as to be right."""
    own = torch.maximum(logits.gather(1, y[:, None]), logits[:, -1:])
    return logits[:, :-1].scatter(1, y[:, None], own)
