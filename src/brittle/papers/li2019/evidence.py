"""The figures that the paper's claims rest on, by name, and the rules that they decide; thresholds stand here once, for
the rules and for their words in `claims.py`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from brittle.audits import Interval

from ..paper import Ruling, rule_on
from ..results import Share

SHORT = 0.5  # of the length of another gradient, below which one is much shorter
MOST = 0.5  # of what PGD leaves, which another attack must break for PGD to overstate
FALLEN = 0.35  # robust accuracy below which a net has fallen
BARELY = 0.2  # of the images, by which a Mix net may beat the better single-norm net
TOGETHER = 0.05  # between attacks that agree
SIMILAR = 0.1  # between attacks, as on MNIST
SOME = 0.1  # robust accuracy below which a net keeps nothing to speak of
HALF = 0.5  # of a gap, which what explains it must close


def share_of_all(withstood: Sequence[Tensor]) -> Share:
    """The share of images [n] that withstand every attack."""
    kept = torch.stack(list(withstood)).all(0)
    return Share.of(int(kept.sum()), len(kept))


@dataclass(frozen=True)
class FlatAlongThePath:
    """Mean gradient length over PGD's path, of each defence in Linf and of the same net trained naturally."""

    defences: Mapping[str, Interval]
    natural: Mapping[str, Interval]

    def ruling(self) -> Ruling:
        pairs = [(one, self.natural[name]) for name, one in self.defences.items()]
        return rule_on(
            "mean gradient length over PGD's path: "
            + "; ".join(
                f"{name} {_short(one)}, the same net trained naturally {_short(self.natural[name])}"
                for name, one in self.defences.items()
            ),
            holds=[one.high < SHORT * natural.low for one, natural in pairs],
            fails=[one.low > SHORT * natural.high for one, natural in pairs],
        )


@dataclass(frozen=True)
class LongerAlongThePath:
    """How much longer gradients are over S-O's path than over PGD's, image by image: the plain ones, and the mean over
    noise."""

    plain: Interval
    averaged: Interval
    of_pgd: Interval

    def ruling(self) -> Ruling:
        return rule_on(
            f"over S-O's path the plain gradient is {_longer(self.plain)} than over PGD's, where it is "
            f"{_short(self.of_pgd)}; the mean over noise, beside it, is {_longer(self.averaged)}",
            holds=[self.plain.low > 0],
            fails=[self.plain.high < 0],
        )


@dataclass(frozen=True)
class PgdOverstates:
    """PGD - S-O in L2 on the same `n` images, and which share S-O breaks of those that PGD leaves, of each net trained
    in Linf."""

    differences: Mapping[str, Interval]
    broken: Mapping[str, Share]
    n: int

    def ruling(self) -> Ruling:
        asked = self.broken.values()
        return rule_on(
            f"on the same {self.n} images PGD - S-O in points: {_all_points(self.differences)}; of those that PGD "
            f"leaves S-O breaks: {'; '.join(f'{name} {share}' for name, share in self.broken.items())}",
            holds=[one.low > MOST for one in asked],
            fails=[one.high < MOST for one in asked],
        )


@dataclass(frozen=True)
class OneNormIsNotAnother:
    """Robust accuracy of nets under attack in a norm that they were not trained in; and nets that are not trained."""

    robust: Mapping[str, Share]
    untrained: Sequence[str]

    def ruling(self) -> Ruling:
        asked = self.robust.values()
        return rule_on(
            "; ".join(f"{where} {share}" for where, share in self.robust.items()),
            holds=[share.high < FALLEN for share in asked],
            fails=[share.low > FALLEN for share in asked],
            untrained=self.untrained,
        )


@dataclass(frozen=True)
class MixingBarelyHelps:
    """How many more images of the Mix net than of the better single-norm net withstand everything in both norms, and
    how many those are, by the defence.

    Attributes:
        reach: the most that a single-norm net keeps in its own norm, in that of both norms where it is less: more no
            Mix net can be expected to keep.
    """

    gains: Mapping[str, Interval]
    mix: Mapping[str, Share]
    reach: Share
    untrained: Sequence[str]

    def ruling(self) -> Ruling:
        asked, possible = self.gains.values(), self.reach.low > BARELY
        return rule_on(
            "; ".join(
                f"{name}: {self.mix[name]} of the Mix net's images withstand both, {_points(one)} points more than of "
                "the better single-norm net's"
                for name, one in self.gains.items()
            )
            + f"; the best single-norm net keeps {self.reach} in its own norm",
            holds=[one.high < BARELY and possible for one in asked],
            fails=[one.low > BARELY for one in asked],
            untrained=self.untrained,
        )


@dataclass(frozen=True)
class NothingHidden:
    """PGD - S-O on the same images, for each net of Ensemble and ATDA that is trained, in each norm."""

    differences: Mapping[str, Interval]
    untrained: Sequence[str]

    def ruling(self) -> Ruling:
        asked = self.differences.values()
        return rule_on(
            f"PGD - S-O in points: {_all_points(self.differences)}",
            holds=[one.low > -TOGETHER and one.high < TOGETHER for one in asked],
            fails=[one.low > TOGETHER or one.high < -TOGETHER for one in asked],
            untrained=self.untrained,
        )


@dataclass(frozen=True)
class PartlyFixed:
    """What S-O in L2 leaves of nets trained in Linf: Ensemble and ATDA beside the better of Madry and TRADES."""

    asked: Mapping[str, Share]
    better: Share
    untrained: Sequence[str]

    def ruling(self) -> Ruling:
        shares = self.asked.values()
        return rule_on(
            "; ".join(f"{name} {share}" for name, share in self.asked.items()) + f"; Madry or TRADES {self.better}",
            holds=[share.low > self.better.high for share in shares],
            fails=[share.high < SOME for share in shares],
            untrained=self.untrained,
        )


@dataclass(frozen=True)
class NotOnCifar:
    """PGD - S-O in L2 on the same `n` images of CIFAR-10, by the scale of S-O's noise; what PGD leaves in Linf."""

    differences: Mapping[str, Interval]
    own: Share
    n: int

    def ruling(self) -> Ruling:
        asked = self.differences.values()
        return rule_on(
            f"on the same {self.n} images PGD - S-O in L2 in points: {_all_points(self.differences)}; in its own Linf "
            f"the net keeps {self.own}",
            holds=[one.high < SIMILAR for one in asked],
            fails=[one.low > SIMILAR for one in asked],
        )


@dataclass(frozen=True)
class OneDrawSuffices:
    """By the net: what one draw with APGD's steps leaves beyond 20 draws in the authors' form."""

    differences: Mapping[str, Interval]

    def ruling(self) -> Ruling:
        asked = self.differences.values()
        return rule_on(
            "one draw with APGD's steps leaves beyond 20 draws with the authors', in points: "
            + _all_points(self.differences),
            holds=[one.high < TOGETHER for one in asked],
            fails=[one.low > TOGETHER for one in asked],
        )


@dataclass(frozen=True)
class Explains:
    """Whether `what` does what S-O does. By the net: PGD - that part, less half of PGD - S-O; the two gaps beside."""

    what: str
    beyond_half: Mapping[str, Interval]
    part: Mapping[str, Interval]
    second_order: Mapping[str, Interval]

    def ruling(self) -> Ruling:
        asked = [(one, self.second_order[name].low > 0) for name, one in self.beyond_half.items()]
        said = "; ".join(
            f"{name}: {self.what} break {_points(self.part[name])} points beyond PGD, S-O "
            f"{_points(self.second_order[name])}"
            for name in self.beyond_half
        )
        return rule_on(
            said,
            holds=[one.low > 0 and effect for one, effect in asked],
            fails=[one.high < 0 and effect for one, effect in asked],
        )


def _all_points(gaps: Mapping[str, Interval]) -> str:
    return "; ".join(f"{name} {_points(gap)}" for name, gap in gaps.items())


def _points(gap: Interval) -> str:
    return f"{100 * gap.mean:.1f} [{100 * gap.low:.1f}, {100 * gap.high:.1f}]"


def _longer(by: Interval) -> str:
    """By how much something is longer, or shorter."""
    return f"longer by {_short(by)}" if by.mean >= 0 else f"shorter by {_short(Interval(-by.mean, -by.high, -by.low))}"


def _short(length: Interval) -> str:
    return f"{length.mean:.3g} [{length.low:.3g}, {length.high:.3g}]"
