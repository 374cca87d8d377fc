"""How a model's loss bends along the input: gradient, largest Hessian eigenvalue, local linearity, at the data and on
paths."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from brittle.attacks import (
    Evaluate,
    Evaluation,
    Threat,
    against,
    check_examples,
    evaluation_at,
    gradient_at,
    pgd,
    require_norm,
    second_order,
    session,
)
from brittle.audits import Interval, mean_interval
from brittle.ground import BrittleError, Images, Labels, PerExample, grad_and_hessian, keys_of, normal, unit
from brittle.learning import examples_of

Product = Callable[[Images], Images]
AT_DATA = "at the data"


@dataclass(frozen=True)
class Curvature:
    """Figures of one set of points, means over examples with bootstrap intervals of 95 %.

    Attributes:
        where: which points: the data, or the end of an attack path.
        gradient: ||grad L||_2.
        eigenvalue: the Hessian's eigenvalue of largest size.
        linearity: mean |L(x + delta) - L(x) - <grad L(x), delta>| over random delta in the threat.
        flat: share of points whose gradient is exactly zero.
        n: number of examples.
    """

    where: str
    gradient: Interval
    eigenvalue: Interval
    linearity: Interval
    flat: float
    n: int

    def record(self) -> dict[str, Any]:
        """The figures as JSON."""
        return asdict(self)


def curvature(
    model: Callable[[Tensor], Any],
    data: Any,
    threat: Threat | str,
    *,
    iterations: int = 10,
    draws: int = 5,
    steps: int = 20,
    seed: int = 0,
    batch: int = 100,
) -> list[Curvature]:
    """Curvature of the cross-entropy at the data and at the ends of a PGD and of a second-order path inside `threat`.

    Args:
        model: images in [0, 1] to logits.
        data: images [n, *S] and labels [n], or whatever else `examples_of` takes.
        iterations: products with the Hessian per example.
        draws: random perturbations for the linearity error.
        steps: of both attack paths (10 noise draws each in the second-order one).
    Cost: per example about 13 `steps` + 3 (2 `iterations` + `draws`) gradients. Random: a function of `seed` and the
    images.
    """
    x, y = examples_of(data)
    check_examples(x, y)
    ball = require_norm(threat, "the curvature along attack paths")
    paths = {
        "end of a PGD path": pgd(against(model), ball, steps=steps, start="clean"),
        "end of a second-order path": second_order(against(model), ball, steps=steps, draws=10),
    }
    sets: dict[str, list[tuple[Tensor, Tensor, Tensor]]] = {AT_DATA: [], **{name: [] for name in paths}}
    for part, labels in zip(torch.split(x.clone(), batch), torch.split(y, batch), strict=True):  # a model may write
        with session(against(model)) as evaluate:
            sets[AT_DATA].append(_figures(evaluate, part, labels, ball, iterations, draws, seed))
            for name, attack in paths.items():
                assert attack.path is not None
                *_, last = attack.path(part, labels, seed)
                sets[name].append(_figures(evaluate, last.x, labels, ball, iterations, draws, seed))
    return [_mean_of(name, parts, seed) for name, parts in sets.items()]


Figures = tuple[PerExample, PerExample, PerExample]


def _figures(
    evaluate: Evaluate, x: Images, y: Labels, threat: Threat, iterations: int, draws: int, seed: int
) -> Figures:
    _, grad = gradient_at(evaluate, x, y)
    values, _ = top_eigenvalue(evaluate, x, y, iterations=iterations, seed=seed)
    return grad.flatten(1).norm(dim=1), values, linearity_error(evaluate, x, y, threat, draws=draws, seed=seed)


def _mean_of(name: str, parts: Iterable[tuple[Tensor, Tensor, Tensor]], seed: int) -> Curvature:
    gradient, eigenvalue, linearity = (torch.cat(figure).double().cpu().numpy() for figure in zip(*parts, strict=True))
    if broken := int(sum(np.isnan(figure) for figure in (gradient, eigenvalue, linearity)).astype(bool).sum()):
        raise BrittleError(
            f"the loss or its derivatives are NaN on {broken} of {len(gradient)} images; ask brittle doctor"
        )
    return Curvature(
        name,
        mean_interval(gradient, seed),
        mean_interval(eigenvalue, seed),
        mean_interval(linearity, seed),
        float((gradient == 0).mean()),
        len(gradient),
    )


def top_eigenvalue(
    evaluate: Evaluate, x: Images, y: Labels, *, iterations: int = 10, seed: int = 0
) -> tuple[PerExample, Images]:
    """The Hessian's eigenvalue of largest size at each example [B] and its direction [B, *S], as power iteration finds
    them.

    Cost: 2 `iterations` + 3 gradients. Random: the first direction, a function of the image and `seed`.
    """

    def f(x: Images) -> tuple[PerExample, Evaluation]:
        seen = evaluate(x, y)
        return seen.loss, seen.detach()

    _, _, product = grad_and_hessian(f, x)
    start = normal(keys_of(x), x.shape[1:], seed=seed).to(x.dtype)
    direction = power_iteration(product, start, iterations)
    return (product(direction) * direction).flatten(1).sum(1), direction


def power_iteration(product: Product, start: Images, iterations: int) -> Images:
    """The direction of length 1 [B, *S] that d <- H d / ||H d|| arrives at; 0 where H d vanishes.

    Cost: `iterations` products. With `product(d) = (grad L(x + xi d) - grad L(x)) / xi` it is Li et al. 2019, eq. 3.
    """
    direction = unit(start)
    for _ in range(iterations):
        direction = unit(product(direction))
    return direction


def linearity_error(
    evaluate: Evaluate, x: Images, y: Labels, threat: Threat, *, draws: int = 5, seed: int = 0
) -> PerExample:
    """Mean of |L(x + delta) - L(x) - <grad L(x), delta>| over `draws` uniform delta in the threat's ball and the box
    [B].

    Cost: one gradient, `draws` forward passes. Source: Qin et al. 2019 (local linearity regularization), eq. 5, with a
    mean over random delta in place of the maximum.
    """
    seen, grad = gradient_at(evaluate, x, y)
    errors = []
    for draw in range(draws):
        delta = threat.sample(x, seed + draw) - x
        told = (grad * delta).flatten(1).sum(1)
        errors.append((evaluation_at(evaluate, x + delta, y).loss - seen.loss - told).abs())
    return torch.stack(errors).mean(0)
