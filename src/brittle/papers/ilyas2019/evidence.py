"""The figures that the paper's claims rest on, by name, and the rules that they decide; thresholds stand here once, for
the rules and for their words in `claims.py`."""

from collections.abc import Mapping
from dataclasses import dataclass

from brittle.audits import Interval
from brittle.science import FittedLine

from ..paper import Ruling, rule_on
from ..results import Share

SHARE_OF_D = 0.5  # of the accuracy on D, which D_NR must give
MASKED = 0.02  # of the images, which stronger attacks may break beyond the first
CORRELATED_P = 0.05  # one-sided, of the rank correlation
FOOLED = 0.5  # of the images, which perturbations must fool
LITTLE = 0.1  # robust accuracy that is called little
KEPT = 0.5  # of what robust features are worth on D, which they must be on D_R
NOTHING = 0.1  # of what features are worth on D, below which they are worth nothing


@dataclass(frozen=True)
class NonRobustFeaturesSuffice:
    """Accuracy on the real test set of nets trained on D, D_rand and D_det, and what leaks of the sets through a robust
    net's features."""

    d: Share
    d_rand: Share
    d_det: Share
    leak_rand: Share
    leak_det: Share
    chance: float
    untrained: tuple[str, ...] = ()

    def ruling(self) -> Ruling:
        asked = ((self.d_rand, self.leak_rand), (self.d_det, self.leak_det))
        return rule_on(
            f"D {self.d}, D_rand {self.d_rand}, D_det {self.d_det}; through a robust net's features D_rand "
            f"{self.leak_rand}, D_det {self.leak_det}",
            holds=[one.low > max(self.chance, leak.high) for one, leak in asked],
            fails=[one.high < max(self.chance, leak.low) for one, leak in asked],
            untrained=self.untrained,
        )


@dataclass(frozen=True)
class RobustFeaturesGiveRobustness:
    """Robust accuracy of standard training on as much of D, on D_R and on D_NR; accuracy of that on D_R."""

    control: Share
    d_r: Share
    d_nr: Share
    d_r_clean: Share
    chance: float
    untrained: tuple[str, ...] = ()

    def ruling(self) -> Ruling:
        return rule_on(
            f"robust accuracy as much of D {self.control}, D_R {self.d_r}, D_NR {self.d_nr}; accuracy of D_R "
            f"{self.d_r_clean}",
            holds=[
                self.d_r.low > self.control.high,
                self.d_r.low > self.d_nr.high,
                self.d_r_clean.low > self.chance,
            ],
            fails=[
                self.d_r.high < self.control.low,
                self.d_r.high < self.d_nr.low,
                self.d_r_clean.high < self.chance,
            ],
            untrained=self.untrained,
        )


@dataclass(frozen=True)
class NonRobustFeaturesGiveAccuracyAlone:
    """Accuracy of standard training on D and D_NR; robust accuracy of that on D_R and D_NR."""

    d: Share
    d_nr: Share
    d_r_robust: Share
    d_nr_robust: Share
    untrained: tuple[str, ...] = ()

    def ruling(self) -> Ruling:
        enough = SHARE_OF_D * self.d.accuracy
        return rule_on(
            f"accuracy D {self.d}, D_NR {self.d_nr}; robust accuracy D_R {self.d_r_robust}, D_NR {self.d_nr_robust}",
            holds=[self.d_nr.low > enough, self.d_nr_robust.high < self.d_r_robust.low],
            fails=[self.d_nr.high < enough, self.d_nr_robust.low > self.d_r_robust.high],
            untrained=self.untrained,
        )


def most_lost(n: int) -> str:
    """How many of `n` images may be lost for "no masking" to agree, in words."""
    agree = [k for k in range(round(MASKED * n) + 1) if Share.of(k, n).high < MASKED]
    return f"at most {max(agree)} of {n:,} images" if agree else f"{n:,} images are too few to show it"


@dataclass(frozen=True)
class NoMasking:
    """Robust accuracy of the net trained on D_R under each attack, and the share of images that withstand the first
    attack and not all of them."""

    robust: Mapping[str, Share]
    lost: Share

    def ruling(self) -> Ruling:
        each = ", ".join(f"{attack} {share}" for attack, share in self.robust.items())
        return rule_on(
            f"{each}; together they break {self.lost} more than the first",
            holds=[self.lost.high < MASKED],
            fails=[self.lost.low > MASKED],
        )


@dataclass(frozen=True)
class SurvivesAnAudit:
    """What an audit leaves of the net trained on D_R and of its control, on the same images.

    Attributes:
        gained: images that withstand in the first and not in the second, less the reverse.
        pgd: what plain PGD leaves of the first, on more images.
    """

    d_r: Share
    control: Share
    gained: Interval
    pgd: Share

    def ruling(self) -> Ruling:
        return rule_on(
            f"an audit leaves {self.d_r} of D_R's net (plain PGD {self.pgd}) and {self.control} of the net that "
            f"learned as much of D: {100 * self.gained.mean:.1f} [{100 * self.gained.low:.1f}, "
            f"{100 * self.gained.high:.1f}] points more",
            holds=[self.gained.low > 0, self.d_r.low > LITTLE],
            fails=[self.gained.high < 0, self.d_r.high < LITTLE],
        )


@dataclass(frozen=True)
class EquationsHold:
    """Mean worth of a standard and of a robust net's features on D and on made sets, by the set's name; the standard
    net is another than the one that the sets were made with."""

    standard: Mapping[str, Interval]
    robust: Mapping[str, Interval]

    def ruling(self) -> Ruling:
        kept = KEPT * self.robust["D"].mean
        names = ("D", "D_R", "D_NR", "D_rand", "D_det")
        none = [(of[name], NOTHING * of["D"].mean) for of, name in ((self.standard, "D_R"), (self.robust, "D_rand"))]
        return rule_on(
            "; ".join(
                f"{net}: " + ", ".join(f"{name} {_worth(of[name])}" for name in names)
                for net, of in (("another standard net", self.standard), ("robust net", self.robust))
            ),
            holds=[
                self.robust["D_R"].low > kept,
                self.standard["D_rand"].low > 0,
                self.standard["D_det"].low > 0,
                self.robust["D_det"].high < 0,
                *(-width < one.low and one.high < width for one, width in none),
            ],
            fails=[
                self.robust["D_R"].high < kept,
                self.standard["D_rand"].high < 0,
                self.standard["D_det"].high < 0,
                self.robust["D_det"].low > 0,
                *(one.high < -width or one.low > width for one, width in none),
            ],
        )


@dataclass(frozen=True)
class TransferFollowsLearning:
    """The line through transfer rate against what is learned of D_det, over some architectures (none where there is
    none), and the mean one-sided p of its ranks where each point is drawn anew from its own test: that they rise, and
    that they fall."""

    architectures: int
    line: FittedLine | None
    p: float
    p_reverse: float
    untrained: tuple[str, ...] = ()

    def ruling(self) -> Ruling:
        if self.line is None:
            left_out = f"; not trained: {', '.join(self.untrained)}" if self.untrained else ""
            return Ruling("open", f"too few architectures, or no difference between them{left_out}")
        rank = self.line.rank
        return rule_on(
            f"over {self.architectures} architectures the rank correlation is {rank:.2f}, slope {self.line.slope:.2f}; "
            f"one-sided p {self.line.p:.2g}, and {self.p:.2g} with the uncertainty of each point (of the reverse "
            f"{self.p_reverse:.2g})",
            holds=[rank > 0, self.p < CORRELATED_P],
            fails=[rank < 0 and self.p_reverse < CORRELATED_P],
            untrained=self.untrained,
        )


@dataclass(frozen=True)
class OppositeLabels:
    """Shares of test labels y and y + 1 that nets answer which were trained on the standard net's D_det, and on the
    robust net's."""

    standard_y: Share
    standard_next: Share
    robust_y: Share
    robust_next: Share

    def ruling(self) -> Ruling:
        return rule_on(
            f"standard net, y {self.standard_y}, standard net, y + 1 {self.standard_next}, robust net, y "
            f"{self.robust_y}, robust net, y + 1 {self.robust_next}",
            holds=[self.standard_y.low > self.standard_next.high, self.robust_y.high < self.robust_next.low],
            fails=[self.standard_y.high < self.standard_next.low, self.robust_y.low > self.robust_next.high],
        )


@dataclass(frozen=True)
class NoLeakage:
    """Accuracy on true labels through robust linear features of D_rand and D_det; shares of the rarest and of the
    commonest test label."""

    d_rand: Share
    d_det: Share
    rarest: float
    commonest: float

    def ruling(self) -> Ruling:
        return rule_on(
            f"D_rand {self.d_rand}, D_det {self.d_det}",
            holds=[self.d_det.high < self.rarest],
            fails=[self.d_det.low > self.commonest],
        )


@dataclass(frozen=True)
class SomeAreBugs:
    """Of perturbations by PGD and of those kept from transferring: how many fool the net, how many another, and how
    accurate a net is that was trained on them; and how often that of the latter answers the label that it was taught,
    y + 1."""

    fooling_pgd: Share
    fooling: Share
    transfer_pgd: Share
    transfer: Share
    learned_pgd: Share
    learned: Share
    taught: Share
    chance: float

    def ruling(self) -> Ruling:
        return rule_on(
            f"success PGD {self.fooling_pgd}, without transfer {self.fooling}; transfer PGD {self.transfer_pgd}, "
            f"without transfer {self.transfer}; learned, on the test set PGD {self.learned_pgd}, without transfer "
            f"{self.learned}; without transfer, on labels y + 1 {self.taught}",
            holds=[
                self.fooling.low > FOOLED,
                self.transfer.high < self.transfer_pgd.low,
                self.learned.low <= self.chance,
                self.learned_pgd.low > self.chance,
                self.taught.low > self.chance,
            ],
            fails=[
                self.fooling.high < FOOLED,
                self.transfer.low > self.transfer_pgd.high,
                self.learned.low > self.chance,
            ],
        )


@dataclass(frozen=True)
class MistakesTeach:
    """Accuracy on the real test set of a net that was trained on mistakes."""

    accuracy: Share
    chance: float

    def ruling(self) -> Ruling:
        return rule_on(
            str(self.accuracy), holds=[self.accuracy.low > self.chance], fails=[self.accuracy.high < self.chance]
        )


def _worth(one: Interval) -> str:
    return f"{one.mean:.3f} [{one.low:.3f}, {one.high:.3f}]"
