"""The one loop that every gradient attack walks, and what can be read from the walk."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch

from brittle.ground import Flags, Images, Labels, PerExample, value_and_grad

from .objectives import Evaluate, Evaluation
from .rules import Iterate, Rule

Estimator = Callable[[Evaluate, Images, Labels, int], tuple[Evaluation, Images]]
Allow = Callable[[Images, Images], Images]


class PathPoint(NamedTuple):
    """One point of the walk: where it stands, what the model shows there (asked for: the last point is not looked at
    unasked), and the gradient followed from there (none at the last point)."""

    x: Images
    seen: Callable[[], Evaluation]
    grad: Images | None


Path = Callable[[Images, Labels, int], Iterator[PathPoint]]


class AttackResult(NamedTuple):
    """The end of an attack: images [B, *S], whether they fool the model [B], by what margin [B]."""

    x: Images
    success: Flags
    margin: PerExample


def walk(
    evaluate: Evaluate,
    x0: Images,
    y: Labels,
    *,
    start: Images,
    rule: Rule,
    allow: Allow,
    estimate: Estimator,
    steps: int,
) -> Iterator[PathPoint]:
    """Climb the objective from `start`: gradient, rule, back into what is allowed. Yields `steps` points and the last
    one.

    No value is read to the host and no shape changes, so a step can be captured as it is.
    Cost: `steps` calls of `estimate`.
    """
    x, memory = start, rule.init(x0)
    for t in range(steps):
        seen, grad = estimate(evaluate, x, y, t)
        yield PathPoint(x, partial(_same, seen), grad)
        move, memory = rule.update(grad, Iterate(x0, x, seen.loss, t), memory)
        x = allow(x0, x + move)
    yield PathPoint(x, partial(evaluation_at, evaluate, x, y), None)


def _same(seen: Evaluation) -> Evaluation:
    return seen


def evaluation_at(evaluate: Evaluate, x: Images, y: Labels) -> Evaluation:
    """What the model shows at x, without a gradient. Cost: one forward pass."""
    with torch.no_grad():
        return evaluate(x, y).detach()


def best_of(path: Iterable[PathPoint]) -> AttackResult:
    """The best point of the path per example. A NaN loss anywhere on it makes the margin NaN, to be reported."""
    points = iter(path)
    first = next(points)
    best_x, best = first.x, first.seen()
    broken = best.loss.isnan()
    for point in points:
        seen = point.seen()
        broken = broken | seen.loss.isnan()
        best_x, best = worse_evaluation(point.x, seen, best_x, best)
    return AttackResult(best_x, best.success, torch.where(broken, torch.nan, best.margin))


def worse_evaluation(x: Images, seen: Evaluation, best_x: Images, best: Evaluation) -> tuple[Images, Evaluation]:
    """Per example the worse of two points, for the model: fooled before not fooled, then the larger loss."""
    better = (seen.success & ~best.success) | ((seen.success == best.success) & (seen.loss > best.loss))
    return select(better, x, best_x), Evaluation(*(torch.where(better, a, b) for a, b in zip(seen, best, strict=True)))


def last_of(path: Iterable[PathPoint]) -> Images:
    """The last point of the path, not looked at by the model: what adversarial training needs."""
    for step in path:
        x = step.x
    return x


def plain_gradient(evaluate: Evaluate, x: Images, y: Labels, t: int) -> tuple[Evaluation, Images]:
    """The gradient at x itself. Cost: one gradient."""

    def f(x: Images) -> tuple[PerExample, Evaluation]:
        seen = evaluate(x, y)
        return seen.loss, seen.detach()

    return value_and_grad(f, x)


def select(flags: Flags, new: Any, old: Any) -> Any:
    """`new` where the flag of its example is set, else `old`; both [B, *S]."""
    return torch.where(flags.view(-1, *[1] * (new.dim() - 1)), new, old)
