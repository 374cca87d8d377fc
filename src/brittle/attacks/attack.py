"""An attack ready to be called."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from brittle.ground import BrittleError, ByteImages, Flags, Images, check_count, in_parts, keep_freed_memory, seeded

from .loop import PLAIN, Advance, AttackResult, Estimator, Path, Rule, best_of, projected, walk
from .losses import Aim, Targets, true_class
from .objectives import Objective, session
from .starts import Start, start_named
from .threats import Threat
from .threats.protocol import nearest

BATCH = 500  # examples whose activations are held at once


@dataclass(frozen=True)
class Attack:
    """A search for adversarial images: `attack(x, y)` gives images like `x`, `attack.run(x, y)` says which succeed.

    Attributes:
        name: as it stands in reports.
        search: `(x, y, seed) -> AttackResult` on one batch, without checks.
        seed: the only source of randomness; an image's noise depends on it and on the image alone, never on the batch.
        batch: how many examples are searched at once; fewer, where the device's memory runs out.
        path: for attacks that walk: `(x, y, seed) -> points`, one by one, for training (`last_of`) and for diagnosis.
    """

    name: str
    search: Callable[[Images, Any, int], AttackResult]
    seed: int = 0
    batch: int = BATCH
    path: Path | None = None

    def __call__(self, x: Images, y: Aim) -> Images:
        """Adversarial images [B, *S] for `x` with labels (or targets) `y`; without success, the worst image seen."""
        return self._run(x, y, True).x

    def run(self, x: Images, y: Aim, *, warn: bool = True) -> AttackResult:
        """The images, whether each succeeds, by what margin, and which withstand for want of a gradient.

        The model (modes, buffers, gradients) and the global random state are afterwards as they were before.

        Args:
            warn: of images that withstand because every gradient was 0.
        Raises:
            BrittleError: images outside [0, 1], labels that do not fit, or a model that answers NaN.
        """
        return self._run(x, y, warn)

    def _run(self, x: Images, y: Aim, warn: bool) -> AttackResult:
        result = self.tried(x, y)
        broken, blind, left = counted(result.margin.isnan(), result.blind, ~result.success)
        if broken:
            raise BrittleError(
                f"NaN came up on {broken} of {len(x)} examples, in the model's answers or in its gradients: find the "
                "operation without a value or a derivative there (sqrt or log of 0), or audit the model"
            )
        if warn and blind:
            warnings.warn(blind_told(blind, left), stacklevel=3)
        return result

    def tried(self, x: Images, y: Aim) -> AttackResult:
        """The same without a warning, where an image on which NaN came up has NaN for its margin; a success there is to
        be verified."""
        check_examples(x, y)
        if x.device.type == "cpu":
            keep_freed_memory()
        x = x.detach()
        with seeded(self.seed, x.device):  # for models that draw numbers themselves
            parts = in_parts(  # of copies: a model may write into what it is shown
                lambda which: self.search(x[which].clone(), y[which], self.seed), len(x), self.batch
            )
        return AttackResult(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def seeded(self, seed: int) -> "Attack":
        """The same attack with another seed."""
        return replace(self, seed=seed)


def blind_told(blind: int, left: int) -> str:
    """What to say of images that withstand because every gradient was 0."""
    return (
        f"on {blind} of the {left} images that withstand every gradient was 0, which says nothing about robustness: "
        "ask brittle.doctor, pass gradients through the step that makes them 0 (--bpda, "
        "brittle.attacks.straight_through), climb another loss (margin), or attack without any gradient (square)"
    )


def path_attack(name: str, path: Path, seed: int) -> Attack:
    """An attack that hands out the best point of a path per example."""
    return Attack(name, lambda x, y, seed: best_of(path(x, y, seed)), seed, path=path)


def gradient_attack(
    name: str,
    objective: Objective,
    threat: Threat,
    rule: Rule,
    *,
    steps: int,
    start: Start,
    seed: int,
    estimator: Estimator = PLAIN,
    advance: Advance | None = None,
) -> Attack:
    """An attack that walks the loop by `rule` from `start` and keeps the best point of the walk per example.

    Args:
        advance: from a move to the next point; default: the nearest allowed image.
    """
    check_count("steps", steps)
    begin = start_named(start)

    def path(x: Images, y: Aim, seed: int) -> Any:
        with session(objective) as evaluate:
            yield from walk(
                evaluate,
                x,
                y,
                start=begin(evaluate, threat, x, y, seed),
                rule=rule,
                advance=advance or projected(nearest(threat)),
                estimator=estimator,
                steps=steps,
            )

    return path_attack(name, path, seed)


def check_kinds(x: Any, y: Any) -> None:
    """Raise `BrittleError` unless `x` [B, *S] is floating and `y` [B] (or `Targets`) holds int64 labels, both on one
    device."""
    if isinstance(x, Tensor) and x.layout != torch.strided:
        raise BrittleError("images must be a dense tensor, not a sparse one; call .to_dense() on it")
    if not isinstance(x, Tensor | ByteImages) or not x.dtype.is_floating_point or x.dim() < 2:
        got = f"{x.dtype} of shape {list(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
        how = "scale uint8 images by 1/255" if isinstance(x, Tensor) else "torch.from_numpy makes one of an array"
        raise BrittleError(f"images must be a floating tensor [batch, ...], not {got}; {how}")
    for labels in (y.true, y.target) if isinstance(y, Targets) else (y,):
        if not isinstance(labels, Tensor) or labels.dtype != torch.int64 or labels.shape != x.shape[:1]:
            is_tensor = isinstance(labels, Tensor)
            got = f"{labels.dtype} of shape {list(labels.shape)}" if is_tensor else type(labels).__name__
            raise BrittleError(f"labels must be an int64 tensor [{len(x)}], not {got}")
        if labels.device != x.device:
            raise BrittleError(f"images are on {x.device} and labels on {labels.device}; put both on one device")


def check_examples(x: Any, y: Any) -> None:
    """Raise `BrittleError` unless `check_kinds` is content, there are examples, and `x` lies in [0, 1]."""
    check_kinds(x, y)
    if len(x) == 0:
        raise BrittleError("there are no examples to attack")
    lowest, *extremes = _read(true_class(y).min(), *(x.detach().aminmax() if isinstance(x, Tensor) else ()))
    low, high = extremes or (0.0, 1.0)
    if lowest < 0:
        raise BrittleError(f"labels must not be negative; there is {int(lowest)}")
    if not (low >= 0 and high <= 1):
        raise BrittleError(
            f"images must lie in [0, 1]; these range from {low:.3g} to {high:.3g}. "
            "Put the normalisation inside the model"
        )


def counted(*flags: Flags) -> list[int]:
    """How many of each flags [B] are set. The device waits once."""
    return [int(number) for number in _read(*(one.sum() for one in flags))]


def _read(*numbers: Tensor) -> list[float]:
    """Numbers of a device, which waits for the host once."""
    return torch.stack([number.double() for number in numbers]).tolist()


def check_step(step: float, threat: Any) -> None:
    """Raise `BrittleError` at a step that leads nowhere; warn about one that leaves the ball at once."""
    if step == 0 < threat.step_unit:
        raise BrittleError("a step must be longer than 0")
    if step > threat.step_unit > 0:
        warnings.warn(f"a step of {step:.4g} is larger than what {threat} allows", stacklevel=3)
