"""How a made data set comes to be: the constructions of Ilyas et al. 2019, section 3, as frozen data."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from torch import Tensor

from brittle.attacks import (
    L2,
    PLAIN,
    Aim,
    Evaluation,
    Objective,
    Targets,
    Threat,
    best_of,
    chain,
    classes_of,
    direction,
    eot_gradient,
    gradient_attack,
    projected,
    require_ball,
    scale,
    steepest,
    toward,
    walk,
    without_transfer,
)
from brittle.ground import BrittleError, Images, Labels, Model, keys_of, normal
from brittle.learning import Augment

from .representation import Representation, distance, representation_of

EPS = L2("0.5")  # of the paper, on CIFAR-10


class Task(NamedTuple):
    """What one part is made from: images and labels [B], an unrelated image for each [B, *S], the label wanted [B]; and
    how images of these data are usually augmented."""

    x: Images
    y: Labels
    start: Images
    target: Labels
    augment: Augment


class MadeImages(NamedTuple):
    """Images [B, *S] in [0, 1] with their labels [B], which only some constructions change.

    `rows` says which of the task's examples they are, `origin` where each set out from, `starts` whether that was an
    unrelated image; `before` and `after` are distances of representations [B], NaN where none is matched.
    """

    x: Images
    labels: Labels
    rows: Tensor
    origin: Images
    starts: bool
    before: Tensor
    after: Tensor


@runtime_checkable
class Construction(Protocol):
    """A construction: frozen data.

    `threat` bounds the change, if anything does; `cost` is in gradients of one example; `targets` are the labels wanted
    [N]; `moved` makes one part, a function of its arguments.
    """

    @property
    def threat(self) -> Threat | None: ...
    @property
    def cost(self) -> float: ...
    def targets(self, y: Labels, classes: int, seed: int) -> Labels: ...
    def construct(self, model: Model, task: Task, others: Sequence[Model], seed: int) -> MadeImages: ...


@dataclass(frozen=True)
class Matched:
    """An unrelated image moved until the model represents it as x, with the label of x: D_R (robust model), D_NR
    (standard).

    min over x_r in [0, 1] of ||g(x_r) - g(x)||_2

    Attributes:
        steps, step: normalised gradient descent by steps of this L2 length; the closest point of the path is kept.
        start: `image` (another training image) or `noise` (clamp(N(0, 1) / 20 + 1/2), as the authors' library draws
            it).
        layer: the representation g; None: what the last linear layer reads.
    Cost: `steps` gradients, three forward passes.
    Source: Ilyas et al. 2019, appendix C.4 and Figure 5 (step 0.1, 1,000 iterations on CIFAR-10); from noise: appendix
    D.1.
    Differs: the closest point is kept, not the last; gradients are those of the model itself, also behind its last
    ReLU.
    """

    steps: int = 1000
    step: float = 0.1
    start: str = "image"
    layer: str | None = None

    def __post_init__(self) -> None:
        _check(self.steps, self.step)
        if self.start not in ("image", "noise"):
            raise BrittleError(f"matching starts from 'image' or 'noise', not {self.start!r}")

    @property
    def threat(self) -> Threat | None:
        return None

    @property
    def cost(self) -> float:
        return float(self.steps)

    def targets(self, y: Labels, classes: int, seed: int) -> Labels:
        return y

    def construct(self, model: Model, task: Task, others: Sequence[Model], seed: int) -> MadeImages:
        g = representation_of(model, task.x, self.layer)
        start = task.start if self.start == "image" else noise_like(task.x, seed)
        moved, goal = self.matched(g, task.x, start), g(task.x)
        before, after = distance(g(start), goal), distance(g(moved), goal)
        return MadeImages(moved, task.y, torch.arange(len(moved)), start, self.start == "image", before, after)

    def matched(self, g: Representation, x: Images, start: Images) -> Images:
        """The image [B, *S] on the way down from each `start` whose representation is closest to that of its `x`."""
        goal, rule = g(x), chain(steepest(EPS), scale(self.step))
        none = torch.zeros(len(x), dtype=torch.int64, device=x.device)  # no label is looked at
        with g.session("fast") as represent:

            def evaluate(at: Images, y: Aim) -> Evaluation:
                near = -distance(represent(at), goal)
                return Evaluation(at[:, :0], near, torch.zeros_like(near, dtype=torch.bool), none)

            pixels = projected(lambda x0, moved: moved.clamp(0, 1))
            found = best_of(walk(evaluate, start, none, start=start, rule=rule, advance=pixels, steps=self.steps))
        if broken := int(found.margin.isnan().sum()):
            raise BrittleError(
                f"the model's representation is NaN on {broken} of {len(x)} images; nothing can be matched to it"
            )
        return found.x


@dataclass(frozen=True)
class Targeted:
    """x moved inside `threat` towards a class t, which is then its label: its robust features say y, its non-robust
    ones t.

    Attributes:
        wanted: `random` makes D_rand (t uniform over all classes), `shift` makes D_det (t = y + 1 mod C).
        threat, steps, step: of the targeted PGD, which starts at the image itself.
        copies: gradients are averaged over so many copies, augmented as the data usually are; 1: the image as it is.
        transfers: if false, the perturbation is kept from meaning anything to the other models that are handed in.
    Cost: `steps` x `copies` gradients (`steps` of each other model), one forward pass.
    Source: Ilyas et al. 2019, appendix C.5 and Figure 6 (L2 eps 0.5, step 0.1, 100 iterations on CIFAR-10); without
    transfer: Nakkiran 2019 (Distill). Differs: the best point of the path is kept, not the last.
    """

    wanted: str
    threat: Threat = EPS
    steps: int = 100
    step: float = 0.1
    copies: int = 1
    transfers: bool = True

    def __post_init__(self) -> None:
        _check(self.steps, self.step)
        if self.wanted not in ("random", "shift"):
            raise BrittleError(f"the label wanted is 'random' or 'shift', not {self.wanted!r}")
        if self.copies < 1:
            raise BrittleError(f"copies must be at least 1, not {self.copies}")
        if self.copies > 1 and not self.transfers:
            raise BrittleError(
                "perturbations that do not transfer are made without augmented copies; leave copies at 1"
            )

    @property
    def cost(self) -> float:
        return float(self.steps * self.copies)

    def targets(self, y: Labels, classes: int, seed: int) -> Labels:
        if self.wanted == "shift":
            return (y + 1) % classes
        return torch.randint(classes, y.shape, generator=torch.Generator().manual_seed(seed))

    def construct(self, model: Model, task: Task, others: Sequence[Model], seed: int) -> MadeImages:
        ball = require_ball(self.threat, "a set of targeted images")
        rule, none = chain(direction(ball), scale(self.step)), torch.full(task.y.shape, torch.nan)
        if self.transfers:
            if self.copies > 1 and task.augment == Augment():
                raise BrittleError(
                    "these data are not usually augmented, so copies of an image would all be the same; leave copies "
                    "at 1"
                )
            estimator = eot_gradient(task.augment, self.copies, seed) if self.copies > 1 else PLAIN
            objective: Objective = toward(model, precision="fast")
            labels: Aim = task.target
        else:
            estimator, objective = PLAIN, without_transfer(model, others, precision="fast")
            labels = Targets(task.y, task.target)
        attack = gradient_attack(
            "targeted", objective, ball, rule, steps=self.steps, start="clean", seed=seed, estimator=estimator
        )
        moved = replace(attack, batch=len(task.x)).run(task.x, labels, warn=False).x
        return MadeImages(moved, task.target, torch.arange(len(none)), task.x, False, none, none)


@dataclass(frozen=True)
class Mislabelled:
    """The images that the model gets wrong, each with the model's answer as its label. Source: Wallace 2019 (Distill).

    Cost: a forward pass.
    """

    @property
    def threat(self) -> Threat | None:
        return None

    @property
    def cost(self) -> float:
        return 0.4

    def targets(self, y: Labels, classes: int, seed: int) -> Labels:
        return y

    def construct(self, model: Model, task: Task, others: Sequence[Model], seed: int) -> MadeImages:
        answer = classes_of(model, task.x)
        (rows,) = (answer != task.y).nonzero(as_tuple=True)
        none = torch.full((len(rows),), torch.nan)
        return MadeImages(task.x[rows], answer[rows], rows, task.x[rows], False, none, none)


@dataclass(frozen=True)
class Unchanged:
    """The images as they are, with their labels: the control for sets that are made of only so many of them.

    Cost: none.
    """

    @property
    def threat(self) -> Threat | None:
        return None

    @property
    def cost(self) -> float:
        return 0.0

    def targets(self, y: Labels, classes: int, seed: int) -> Labels:
        return y

    def construct(self, model: Model, task: Task, others: Sequence[Model], seed: int) -> MadeImages:
        none = torch.full(task.y.shape, torch.nan)
        return MadeImages(task.x, task.y, torch.arange(len(none)), task.x, False, none, none)


def noise_like(x: Images, seed: int) -> Images:
    """clamp(N(0, 1) / 20 + 1/2, 0, 1) [B, *S], a function of each image and `seed`."""
    return (normal(keys_of(x), x.shape[1:], seed=seed) / 20 + 0.5).clamp(0, 1).to(x.dtype)


def _check(steps: int, step: float) -> None:
    if steps < 1 or not 0 < step < math.inf:
        raise BrittleError(f"making a set needs steps >= 1 and a finite step > 0, not {steps} and {step}")


CONSTRUCTIONS: dict[str, Construction] = {
    "D_R": Matched(),
    "D_NR": Matched(),
    "D_rand": Targeted("random"),
    "D_det": Targeted("shift"),
    "D_mis": Mislabelled(),
    "D": Unchanged(),
}
