"""Features: functions of an image to a number, and how useful and how robustly useful each is. Ilyas et al. 2019,
section 2."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from brittle.attacks import Threat, answer_of, pgd, require_ball, require_norm, require_threat
from brittle.audits import Interval, mean_interval
from brittle.ground import BrittleError, Images, Labels, PerExample, eval_mode, full_float32, functional_model
from brittle.learning import Split, split_of

from .representation import representation_of

Values = Float[Tensor, "B F"]
LEAST = 0.05  # a smaller rho counts as none


@dataclass(frozen=True, eq=False)
class Features:
    """Features f_1 ... f_F of images.

    Attributes:
        names: one for each.
        session: a context that holds the model still and gives images [B, *S] -> values [B, F].
        weights: [F, *S] where f(x) = <weights, x> exactly, else none.
    """

    names: tuple[str, ...]
    session: Callable[[], AbstractContextManager[Callable[[Images], Values]]]
    weights: Tensor | None = None

    def __call__(self, x: Images, batch: int = 250) -> Values:
        """The values [B, F] on the CPU, without gradient.

        Raises:
            BrittleError: NaN among them.
        """
        with self.session() as f, torch.no_grad():
            values = torch.cat([f(part).cpu() for part in torch.split(x, batch)])
        if broken := int(values.isnan().any(1).sum()):
            raise BrittleError(f"features are NaN on {broken} of {len(x)} images; find the layer that overflows")
        return values


def units(model: Any, x: Images, layer: str | None = None) -> Features:
    """The units of a layer: what the last linear layer reads, or what the named layer says (as in
    `representation_of`)."""
    g = representation_of(model, x, layer)
    count = g(x[:1]).shape[1]
    return Features(tuple(f"unit {k}" for k in range(count)), g.session)


def logits(model: Any, classes: Sequence[str]) -> Features:
    """The logits of a model, a feature for each class."""

    @contextmanager
    def session() -> Iterator[Callable[[Images], Values]]:
        with eval_mode(model), full_float32():
            held = functional_model(model)
            yield lambda x: answer_of(held, x).float()

    return Features(tuple(f"logit of {name}" for name in classes), session)


def linear(weights: Float[Tensor, "F *S"], names: Sequence[str] | None = None) -> Features:
    """The linear features f_k(x) = <weights_k, x>."""
    flat = weights.flatten(1)
    told = tuple(names or (f"direction {k}" for k in range(len(weights))))
    return Features(told, lambda: nullcontext(lambda x: x.flatten(1) @ flat.to(x).T), weights)


def random_projections(shape: Sequence[int], count: int, seed: int = 0) -> Features:
    """`count` linear features with directions drawn uniformly from the unit sphere of images [*shape]."""
    drawn = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))
    return linear(
        drawn / drawn.flatten(1).norm(dim=1).view(-1, *[1] * len(shape)), [f"random {k}" for k in range(count)]
    )


def principal_components(x: Images, count: int) -> Features:
    """The `count` principal components of some images [B, *S], the most variable first."""
    flat = x.flatten(1).cpu().double()
    _, _, directions = torch.linalg.svd(flat - flat.mean(0), full_matrices=False)
    kept = directions[:count]
    return linear(kept.view(-1, *x.shape[1:]).float(), [f"component {k}" for k in range(len(kept))])


def custom(function: Callable[[Images], Values], names: Sequence[str]) -> Features:
    """A user's function of images [B, *S] to [B, F], with a name for each of its F values."""
    return Features(tuple(names), lambda: nullcontext(function))


@dataclass(frozen=True)
class Usefulness:
    """What one feature is worth for telling one class from the rest.

    Attributes:
        name: of the feature; index: its place.
        target: the class whose examples have y = +1, all others -1; sign: that of the feature in use.
        rho: E[y f(x)], of the feature with mean 0 and variance 1.
        gamma: E[inf over the threat of y f(x + delta)], or none where it was not measured.
        exact: whether gamma is the infimum itself; otherwise an attack's, which is an upper bound.
        verdict: `robustly useful`, `useful but not robust`, `useless` or `undecided`.
    """

    name: str
    index: int
    target: str
    sign: int
    rho: Interval
    gamma: Interval | None
    exact: bool
    verdict: str

    def record(self) -> dict[str, Any]:
        """As it stands in JSON."""
        return asdict(self)


def usefulness(
    features: Features | nn.Module,
    split: Any,
    threat: Threat | str,
    *,
    attacked: int = 32,
    steps: int = 20,
    images: int = 500,
    seed: int = 0,
) -> list[Usefulness]:
    """rho and gamma of every feature, the most useful first.

    Mean, variance, class and sign of each feature are taken from the first half of `split`, the figures from the
    second, so that choosing the class that fits best does not flatter it. gamma is exact for linear features (over ball
    and box), else PGD's.

    Args:
        features: as `units`, `logits`, `linear`, ... give them; a model stands for the units before its last layer.
        split: at least 20 images, on the model's device: a `Split`, or what else `audit` takes, of 8 bits.
        threat: what may be added.
        attacked: of features that are not linear, at most how many useful ones are attacked, evenly from the most
            useful to the least; 0 for all. The others' gamma stays unknown, their verdict undecided.
        steps: of PGD.
        images: on how many of the second half it is tried.
    Raises:
        BrittleError: too few images, or a model without a usable representation.
    Cost: a forward pass per image; `attacked` x `images` x `steps` gradients. Random: the starts of PGD and the
    bootstrap.
    Source: Ilyas et al. 2019, section 2, definitions 2.1 to 2.3. Differs: with more than two classes y is one against
    the rest, where rho is at most 2 sqrt(p (1 - p)) for a class of frequency p (0.6 for one in ten).
    """
    threat, split = require_threat(threat), split_of(split)
    if isinstance(features, nn.Module):
        features = units(features, split.take(1).x())
    if len(split) < 20:
        raise BrittleError(f"usefulness needs 20 images at least, not {len(split)}")
    half = len(split) // 2
    known, asked = split.take(half), split.take(slice(half, None))
    worth = _chosen(features(known.x()), known.labels.cpu(), len(split.classes))
    found = _useful(features, asked, worth, split.classes, seed)
    found.sort(key=lambda one: -one.rho.mean)
    wanted = [one for one in found if one.rho.low > LEAST]
    if features.weights is None:
        wanted = wanted[:: math.ceil(len(wanted) / attacked)] if attacked and wanted else wanted
        asked = asked.take(min(images, len(asked)))
    worst = {one.index: _worst(features, asked, worth, one, threat, steps, seed, split.classes) for one in wanted}
    return [_judged(replace(one, gamma=worst.get(one.index), exact=features.weights is not None)) for one in found]


def correlations(
    features: Features | nn.Module, known: Split, sets: Mapping[str, Split]
) -> dict[str, Float[Tensor, "F"]]:
    """E[y f(x)] - E[y] E[f(x)] of every feature on each of some sets, such as D, D_R, D_NR, D_rand and D_det.

    Standard deviation, class and sign of each feature are those of `known`, so that what a feature is worth on D is
    asked again where the labels, or the images, are others. Its mean is that of each set: y is mostly -1 with more than
    two classes, and a feature that a set merely shifts would else seem to tell something.

    Args:
        known: images that are in none of the sets.
    Cost: a forward pass per image.
    Source: Ilyas et al. 2019, equations 4, 7 and 8, which say what these are. Differs: one class against the rest, as
    in `usefulness`. Where the labels move on by one (D_det), a feature that tells one of C classes and is the same for
    all others is worth -1 / (C - 1) of what it is worth on D: equation 8 can give no more.
    """
    if isinstance(features, nn.Module):
        features = units(features, known.take(1).x())
    worth = _chosen(features(known.x()), known.labels.cpu(), len(known.classes))
    values = {name: features(split.x()).double() for name, split in sets.items()}
    return {
        name: replace(worth, mean=f.mean(0)).signed(f, sets[name].labels.cpu()).mean(0).float()
        for name, f in values.items()
    }


@dataclass(frozen=True, eq=False)
class _Worth:
    """Of each feature [F]: mean, standard deviation (0: a constant), class and sign with the largest |E[y f]|."""

    mean: Tensor
    std: Tensor
    target: Tensor
    sign: Tensor

    def signed(self, values: Tensor, y: Labels, k: int | slice = slice(None)) -> Tensor:
        """y f(x) of each example, for all features [B, F] or for the feature `k` [B], standardised, with the sign in
        use."""
        std = self.std[k]
        f = (values.double() - self.mean[k]) / torch.where(std > 0, std, torch.ones_like(std))
        f = torch.where(std > 0, f, torch.zeros_like(f))
        own = y.view(-1, *[1] * (f.dim() - 1)) == self.target[k]
        return torch.where(own, f, -f) * self.sign[k]


def _chosen(values: Values, y: Labels, classes: int) -> _Worth:
    values = values.double()
    mean, std = values.mean(0), values.std(0, correction=0)
    std = torch.where(std > 1e-6 * (1 + mean.abs()), std, torch.zeros_like(std))
    f = torch.where(
        std > 0, (values - mean) / torch.where(std > 0, std, torch.ones_like(std)), torch.zeros_like(values)
    )
    signs = 2.0 * nn.functional.one_hot(y, classes).double() - 1
    scores = signs.T @ f / len(y)
    target = scores.abs().argmax(0)
    sign = torch.where(scores.gather(0, target[None])[0] < 0, -1, 1)
    return _Worth(mean, std, target, sign)


def _useful(features: Features, asked: Split, worth: _Worth, classes: Sequence[str], seed: int) -> list[Usefulness]:
    held = worth.signed(features(asked.x()), asked.labels.cpu()).numpy()
    return [
        Usefulness(
            name,
            k,
            classes[int(worth.target[k])],
            int(worth.sign[k]),
            mean_interval(held[:, k], seed),
            None,
            False,
            "",
        )
        for k, name in enumerate(features.names)
    ]


def _worst(
    features: Features,
    asked: Split,
    worth: _Worth,
    one: Usefulness,
    threat: Threat,
    steps: int,
    seed: int,
    classes: Sequence[str],
) -> Interval:
    """E[inf y f(x + delta)] of one feature."""
    x, y, k = asked.x(), asked.labels.cpu(), one.index
    own = (y == worth.target[k]).long()
    if features.weights is not None:
        ball = require_norm(threat, "the exact robust usefulness of linear features")
        x, weight = x.cpu().double(), features.weights[k].cpu().double()
        slope = weight * torch.where(own == 1, 1.0, -1.0).view(-1, *[1] * weight.dim()) * one.sign
        values = ((x + ball.linear_minimum(x, slope)) * weight).flatten(1).sum(1)
        return mean_interval(worth.signed(values, y, k).numpy(), seed)
    with features.session() as f:

        def harm(x: Images, own: Labels) -> PerExample:
            value = f(x)[:, k]
            return torch.where(own == 1, -value, value) * one.sign

        climbed = require_ball(threat, "robust usefulness")
        margin = pgd(harm, climbed, steps=steps, seed=seed).run(x, own.to(x.device), warn=False).margin.cpu()
    values = torch.where(own == 1, -margin, margin) * one.sign
    return mean_interval(worth.signed(values, y, k).numpy(), seed)


def _judged(one: Usefulness) -> Usefulness:
    return replace(one, verdict=verdict_of(one.rho, one.gamma))


def verdict_of(rho: Interval, gamma: Interval | None) -> str:
    """Useful: rho's interval above 0.05; useless: below. Robustly so: gamma's above 0; not: below. Else undecided.

    Where gamma is an attack's, "robustly useful" holds as far as that attack reaches; "not robust" holds in any case.
    """
    if rho.high < LEAST:
        return "useless"
    if rho.low <= LEAST or gamma is None or gamma.low <= 0 <= gamma.high:
        return "undecided"
    return "robustly useful" if gamma.low > 0 else "useful but not robust"
