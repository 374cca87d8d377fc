"""The one loop that every attack walks, and what can be read from the walk."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from brittle.ground import Flags, Images, PerExample, value_and_grad

from .early import Unfinished, taken
from .losses import Aim
from .objectives import Evaluate, Evaluation


class Memory(NamedTuple):
    """What estimator and rule carry from step to step; each may look at the other's."""

    estimator: Any
    rule: Any


class Iterate(NamedTuple):
    """Where the walk stands: clean images, current images, labels, number of the step, and what is remembered."""

    x0: Images
    x: Images
    y: Aim
    t: int
    memory: Memory


class Estimator(NamedTuple):
    """Where the gradient of a step is taken.

    `init(x0) -> memory`; `update(evaluate, at, memory) -> (evaluation at x, gradient, memory)`; `asks`: it does ask the
    model for gradients, and what it returns is made of them.
    """

    init: Callable[[Images], Any]
    update: Callable[[Evaluate, Iterate, Any], tuple[Evaluation, Images, Any]]
    asks: bool = True


class Rule(NamedTuple):
    """How a gradient becomes a move. `init(x0) -> memory`; `update(grad, evaluation, at, memory) -> (move, memory)`."""

    init: Callable[[Images], Any]
    update: Callable[[Tensor, Evaluation, Iterate, Any], tuple[Tensor, Any]]


Advance = Callable[[Evaluate, Iterate, Tensor], Images]  # from where the walk stands and a move to where it stands next


class PathPoint(NamedTuple):
    """One point of the walk: where it stands, what the model shows there (asked for: the last point is not evaluated
    unasked), the gradient followed from there (none at the last point, or where none is asked for), and which images
    are done with this point (none: not asked)."""

    x: Images
    evaluation: Callable[[], Evaluation]
    grad: Images | None
    done: Tensor | None = None


Path = Callable[[Images, Aim, int], Iterator[PathPoint]]


class _Result(NamedTuple):
    x: Images
    success: Flags
    margin: PerExample
    blind: Flags


class AttackResult(_Result):
    """The end of an attack.

    Attributes:
        x: images [B, *S].
        success: whether they succeed [B], by what `margin` [B].
        blind: the images that withstand though gradients were asked for, since every one of them was 0 [B]: they say
            nothing about robustness. Not told: none. Of APGD in L1 the last phase is looked at.
    """

    __slots__ = ()

    def __new__(cls, x: Images, success: Flags, margin: PerExample, blind: Flags | None = None) -> "AttackResult":
        return super().__new__(cls, x, success, margin, torch.zeros_like(success) if blind is None else blind)


def gradient_at(evaluate: Evaluate, x: Images, y: Aim) -> tuple[Evaluation, Images]:
    """What the model shows at x, and the gradient of each example's loss there. Cost: one gradient."""

    def f(x: Images) -> tuple[PerExample, Evaluation]:
        evaluation = evaluate(x, y)
        return evaluation.loss, evaluation.detach()

    return value_and_grad(f, x)


def evaluation_at(evaluate: Evaluate, x: Images, y: Aim) -> Evaluation:
    """What the model shows at x, without a gradient. Cost: one forward pass."""
    with torch.no_grad():
        return evaluate(x, y).detach()


PLAIN = Estimator(lambda x0: (), lambda evaluate, at, memory: (*gradient_at(evaluate, at.x, at.y), memory))


def projected(project: Callable[[Images, Images], Images]) -> Advance:
    """The usual advance: move, then back to the nearest allowed image."""
    return lambda evaluate, at, move: project(at.x0, at.x + move)


def walk(
    evaluate: Evaluate,
    x0: Images,
    y: Aim,
    *,
    start: Images,
    rule: Rule,
    advance: Advance,
    estimator: Estimator = PLAIN,
    steps: int,
) -> Iterator[PathPoint]:
    """Climb the objective from `start`: gradient, rule, back into what is allowed. Yields `steps` points and the last
    one.

    No value is read to the host and no shape changes, so a step can be captured as it is; unless `evaluate` tells which
    images are done: those leave the walk, and stand still in what it yields (`early.py`).
    Cost: `steps` updates of the estimator.
    """
    x, memory = start, Memory(estimator.init(x0), rule.init(x0))
    whole, unfinished = start, Unfinished(evaluate, x0)
    for t in range(steps):
        at = Iterate(x0, x, y, t, memory)
        evaluation, grad, seen = estimator.update(evaluate, at, memory.estimator)
        whole, shown = unfinished.whole(x, whole), partial(_same, unfinished.evaluation(evaluation))
        followed = unfinished.whole(grad, 0.0) if estimator.asks else None
        stay, done = unfinished.staying(x0, x, y, evaluation.success, t)
        yield PathPoint(whole, shown, followed, done)
        if stay is not None:
            held = (x0, x, grad, evaluation, Memory(seen, memory.rule))
            x0, x, grad, evaluation, memory = taken(held, stay, len(x0))
            y, seen = y[stay], memory.estimator
            if len(stay) == 0:
                return
        at = Iterate(x0, x, y, t, Memory(seen, memory.rule))
        move, own = rule.update(grad, evaluation, at, memory.rule)
        memory = Memory(seen, own)
        x = advance(evaluate, at._replace(memory=memory), move)
    last = partial(_last, evaluate, unfinished, x, y)
    yield PathPoint(unfinished.whole(x, whole), last, None)


def _last(evaluate: Evaluate, unfinished: Unfinished, x: Images, y: Aim) -> Evaluation:
    return unfinished.evaluation(evaluation_at(evaluate, x, y))


def _same(evaluation: Evaluation) -> Evaluation:
    return evaluation


def best_of(path: Iterable[PathPoint]) -> AttackResult:
    """The best point of the path per example. A NaN loss anywhere on it makes the margin NaN, to be reported."""
    points, sight = iter(path), Sight()
    first = sight.of(next(points))
    best_x, best = first.x, first.evaluation()
    losses = [best.loss]
    for point in points:
        evaluation = sight.of(point).evaluation()
        losses.append(evaluation.loss)
        best_x, best = worse_evaluation(point.x, evaluation, best_x, best, point.done)
    margin = torch.where(torch.stack(losses).isnan().any(0), torch.nan, best.margin)
    return AttackResult(best_x, best.success, margin, sight.blind(best.success) & ~best.success)


class Sight:
    """On which images of a walk every gradient was 0. NaN is not 0."""

    def __init__(self) -> None:
        self._edges: list[PerExample] = []  # the least and the largest entry of each gradient: no image is copied

    def of(self, point: PathPoint) -> PathPoint:
        """The same point, its gradient looked at."""
        if point.grad is not None:
            flat = point.grad.flatten(1)
            self._edges += [flat.amin(1), flat.amax(1)]
        return point

    def blind(self, like: Flags) -> Flags:
        """Flags [B] of the images on which every gradient was 0; none, where no gradient was asked for."""
        return ~torch.stack(self._edges).any(0) if self._edges else torch.zeros_like(like)


def worse_evaluation(
    x: Images, new: Evaluation, best_x: Images, best: Evaluation, done: Flags | None = None
) -> tuple[Images, Evaluation]:
    """Per example the worse of two points, for the model: success before none, then the larger loss; a point with which
    an image is done before all."""
    better = torch.where(new.success == best.success, new.loss > best.loss, new.success)
    better = better if done is None else better | done
    logits, loss, success = (select(better, a, b) for a, b in zip(new[:3], best[:3], strict=True))
    return select(better, x, best_x), best._replace(logits=logits, loss=loss, success=success)


def last_of(path: Iterable[PathPoint]) -> Images:
    """The last point of the path, not evaluated by the model: what adversarial training needs."""
    for point in path:
        x = point.x
    return x


def select(flags: Flags, new: Any, old: Any) -> Any:
    """`new` where the flag of its example is set, else `old`; both [B, *S]."""
    return torch.where(flags.view(-1, *[1] * (new.dim() - 1)), new, old)


def per_example(values: PerExample, like: Tensor) -> Tensor:
    """Numbers [B] in a shape that multiplies examples [B, *S]."""
    return values.view(-1, *[1] * (like.dim() - 1))
