"""The figures that the paper's claims rest on, by name, and the rules that they decide; thresholds stand here once, for
the rules and for their words in `claims.py`."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from brittle.audits import Interval, mean_interval

from ..paper import Ruling, rule_on
from ..results import Share

LONGER_SHARE = 0.5  # of the steps, at which S-O's gradient must be longer
FALLEN = 0.35  # robust accuracy below which a net has fallen
WITHSTOOD = 0.5  # of the images, which a robust net would keep
TOGETHER = 0.05  # between attacks that agree
SIMILAR = 0.1  # between attacks, as on MNIST


def paired_difference(pgd: Tensor, second_order: Tensor, seed: int) -> Interval:
    """PGD - S-O, in shares: how much more of the images [n] withstand PGD; with an interval over the images."""
    return mean_interval((pgd.double() - second_order.double()).numpy(), seed)


def share_of_all(withstood: list[Tensor]) -> Share:
    """The share of images [n] that withstand every attack."""
    kept = torch.stack(withstood).all(0)
    return Share.of(int(kept.sum()), len(kept))


@dataclass(frozen=True)
class FlatNearTheData:
    """Mean gradient lengths at the data: of TRADES and Madry in Linf, and of their nets trained naturally."""

    trades: Interval
    natural_trades: Interval
    madry: Interval
    natural_madry: Interval

    def ruling(self) -> Ruling:
        return rule_on(
            f"mean gradient length at the data {self.trades.mean:.3g} (TRADES) against {self.natural_trades.mean:.3g} "
            f"(the same net, natural); {self.madry.mean:.3g} (Madry) against {self.natural_madry.mean:.3g}",
            holds=[self.trades.high < self.natural_trades.low, self.madry.high < self.natural_madry.low],
            fails=[self.trades.low > self.natural_trades.high, self.madry.low > self.natural_madry.high],
        )


@dataclass(frozen=True)
class LongerAlongThePath:
    """Mean gradient lengths at each step of PGD and of S-O."""

    pgd: tuple[Interval, ...]
    second_order: tuple[Interval, ...]

    def ruling(self) -> Ruling:
        steps = len(self.pgd)
        longer = sum(ours.low > plain.high for ours, plain in zip(self.second_order, self.pgd, strict=True))
        mean, plain = (sum(one.mean for one in path) / steps for path in (self.second_order, self.pgd))
        return Ruling(
            "agrees" if longer > LONGER_SHARE * steps else "differs",
            f"S-O lies above PGD at {longer} of {steps} steps; mean over steps {mean:.3g} against {plain:.3g}",
        )


@dataclass(frozen=True)
class PgdOverstates:
    """PGD - S-O on the same `n` images."""

    difference: Interval
    n: int

    def ruling(self) -> Ruling:
        return rule_on(
            f"on the same {self.n} images PGD - S-O is {_points(self.difference)} points",
            holds=[self.difference.low > 0],
            fails=[self.difference.high < 0],
        )


@dataclass(frozen=True)
class OneNormIsNotAnother:
    """Robust accuracy of nets under attack in a norm that they were not trained in."""

    robust: Mapping[str, Share]

    def ruling(self) -> Ruling:
        return rule_on(
            "; ".join(f"{where} {share}" for where, share in self.robust.items()),
            holds=[share.high < FALLEN for share in self.robust.values()],
            fails=[share.low > FALLEN for share in self.robust.values()],
        )


@dataclass(frozen=True)
class AllAttacks:
    """Shares of images that withstand all four attacks: of the Mix net, and of the better net of a single norm."""

    mix: Share
    better_single: Share

    def __str__(self) -> str:
        single = f"{100 * self.better_single.accuracy:.1f} %"
        return (
            f"{self.mix} of the Mix net's images withstand all four attacks, {single} of the better single-norm net's"
        )


@dataclass(frozen=True)
class MixingBarelyHelps:
    """What withstands all four attacks, of Madry's nets and of TRADES'."""

    madry: AllAttacks
    trades: AllAttacks

    def ruling(self) -> Ruling:
        asked = (self.madry.mix, self.trades.mix)
        return rule_on(
            f"Madry: {self.madry}; TRADES: {self.trades}",
            holds=[share.high < WITHSTOOD for share in asked],
            fails=[share.low > WITHSTOOD for share in asked],
        )


@dataclass(frozen=True)
class EnsemblesHideNothing:
    """PGD - S-O on the same images, for each net of the ensemble defence in each norm."""

    differences: Mapping[str, Interval]

    def ruling(self) -> Ruling:
        asked = self.differences.values()
        return rule_on(
            "PGD - S-O in points: " + "; ".join(f"{where} {_points(one)}" for where, one in self.differences.items()),
            holds=[one.low > -TOGETHER and one.high < TOGETHER for one in asked],
            fails=[one.low > TOGETHER or one.high < -TOGETHER for one in asked],
        )


@dataclass(frozen=True)
class NotOnCifar:
    """PGD - S-O in L2 on the same `n` images of CIFAR-10."""

    difference: Interval
    n: int

    def ruling(self) -> Ruling:
        return rule_on(
            f"on the same {self.n} images PGD - S-O in L2 is {_points(self.difference)} points",
            holds=[self.difference.high < SIMILAR],
            fails=[self.difference.low > SIMILAR],
        )


def _points(gap: Interval) -> str:
    return f"{100 * gap.mean:.1f} [{100 * gap.low:.1f}, {100 * gap.high:.1f}]"
