"""What an audit runs in a threat, in which order and on whom: one schedule as data; an effort is how far it goes."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from brittle.attacks import AttackSpec, NormBall, Threat
from brittle.ground import BrittleError

LEAST, BEFORE_GIVING_UP = 10, 20  # examples that any stage tries at least
CURVE_OF, PILOT_OF = 50, 30  # examples of the curve, and those that decide whether noise helps
AT_A_TIME = 0.2  # the share of a stage that tries until it gives up
SURVIVE = 0.5  # the share of examples that each attack is assumed to leave, for plans


@dataclass(frozen=True)
class Stage:
    """One attack of a schedule, and whom it tries of the examples that still withstand.

    Attributes:
        attack: by name and settings.
        order: the norm that it is meant for (inf, 2 or 1); none: threats that are no norm.
        share: at most this share of the examples that the model gets right (`LEAST` at least), nearest to breaking.
        gives_up: they are tried a fifth of what withstands (`AT_A_TIME`, `BEFORE_GIVING_UP` at least) at a time, until
            none of it breaks.
        outside: a minimum-norm attack starts at the image of the data that is called otherwise and is, after so many
            others, the nearest.
        blind: only where the model's gradients are known to be missing or wrong.
        noise: only where gradients with noise, in the pilots of its threat, broke more than gradients without (`False`:
            only where they did not).
        stuck: only where attacks hardly moved the margin of most that withstands.
        pilot: one of these two: `PILOT_OF` examples that the model gets right, drawn at random, broken or not.
        curve: it looks for the smallest change, of `CURVE_OF` examples drawn at random, broken or not.
    """

    attack: AttackSpec
    order: float | None
    share: float = 1.0
    gives_up: bool = False
    outside: int | None = None
    curve: bool = False
    blind: bool = False
    noise: bool | None = None
    stuck: bool = False
    pilot: bool = False

    def most(self, right: int) -> int:
        """How many examples it tries at most, of `right` that the model gets right."""
        return right if self.share == 1 else max(LEAST, math.ceil(self.share * right))

    def at_a_time(self, withstand: int) -> int:
        """How many examples it tries before it may give up, where so many withstand."""
        return max(BEFORE_GIVING_UP, math.ceil(AT_A_TIME * withstand)) if self.gives_up else max(1, withstand)

    def work(self, n: int) -> float:
        """About what it costs for `n` examples, in gradients."""
        tried = n * SURVIVE * self.share * (AT_A_TIME if self.gives_up else 1)
        if self.curve or self.pilot:
            tried = min(n, CURVE_OF if self.curve else PILOT_OF)
        elif self.noise is not None:
            tried /= 2  # as likely as not
        elif self.stuck:
            tried = 0  # as on most models
        return tried * self.attack.cost.gradients


@dataclass(frozen=True)
class Effort:
    """How hard an audit tries.

    Attributes:
        stages: those of all threats, in their order.
        compared: the short and the long attack, the averaged one and the black boxes that are compared with one
            another.
        probes: examples on which they are compared.
    """

    stages: tuple[Stage, ...]
    compared: tuple[AttackSpec, ...]
    probes: int

    def stages_of(self, threat: Threat, dims: int = 4, blind: bool = False) -> list[Stage]:
        """The stages of one threat, of those that work on batches of `dims` dimensions; `blind`: on a model whose
        gradients are missing or wrong."""
        order = threat.order if isinstance(threat, NormBall) else None
        known = {stage.order for stage in self.stages}
        meant = order if order in known else 2.0  # of a norm that is not in the schedule: that of L2
        fitting = (one for one in self.stages if one.order == meant and one.attack.entry.supports(threat, dims))
        return [one for one in fitting if blind or not one.blind]

    def gradients(self, threats: Iterable[Threat], n: int) -> float:
        """About what an audit of `n` examples costs, in gradients of one example."""
        each = 0.0
        for threat in threats:
            looks = sum(2 * spec.cost.gradients for spec in self.compared if spec.entry.supports(threat))
            each += sum(stage.work(n) for stage in self.stages_of(threat)) + min(n, self.probes) * looks
        return each


# From which effort on; in which norms (-: what is no norm); whom (a share, the nearest; ~: gives up); the attack; when.
# Put together from what a search on a zoo of ours proposed, tried on nets of others (benchmarks/schedule.py).
SCHEDULE = """
quick     inf 1    apgd:steps=8
quick     inf ~0.2 apgd:steps=30,loss=margin
quick     inf ~1   apgd:steps=30,loss=dlr
quick     inf ~0.2 square_apgd
quick     inf ~0.1 square_apgd:queries=600,steps=50
quick     inf 1    fmn:steps=30 curve
standard  inf ~0.1 apgd:steps=100
standard  inf 0.2  mm:steps=20,targets=3
standard  inf ~0.4 apgd_targeted:steps=30
standard  inf ~0.1 second_order_mim:look=4,sigma=0.1,start=random
standard  inf ~1   fmn:steps=50 outside=0
standard  inf ~0.1 square:queries=300
standard  inf ~0.1 square_apgd:queries=1000,steps=100
thorough  inf 1    apgd:steps=100
thorough  inf 1    apgd_targeted:steps=100
thorough  inf ~1   second_order_apgd:steps=50,draws=4
thorough  inf ~1   fmn:steps=100 outside=0
thorough  inf ~1   fab_targeted:steps=50
thorough  inf 0.5  square_apgd:queries=5000,steps=100
thorough  inf ~0.1 memetic:generations=60

quick     2   1    apgd:steps=8
quick     2   ~0.1 apgd:steps=40
quick     2   ~1   second_order_apgd:steps=50,draws=1
quick     2   ~0.1 fmn:steps=30
quick     2   ~0.2 second_order_apgd:steps=100,draws=1
quick     2   ~1   fmn:steps=50 outside=0
quick     2   ~0.4 second_order_mim:look=4,loss=margin
quick     2   1    fmn:steps=30 curve
standard  2   ~0.2 mm:steps=20,targets=3
standard  2   ~0.1 second_order_mim:look=4,steps=100,start=random,loss=margin
standard  2   ~0.2 square_apgd
standard  2   ~0.1 apgd:steps=100,loss=dlr
standard  2   ~0.2 second_order_apgd:steps=100,draws=1,loss=margin
standard  2   ~0.2 fmn:steps=50 outside=1

quick     1   1    apgd:steps=20 pilot plain
quick     1   1    second_order_mim:look=4,sigma=0.2,steps=20 pilot noise
quick     1   1    second_order_mim:look=4,sigma=0.2 noise
quick     1   ~1   second_order_mim:look=4 noise
quick     1   ~1   second_order_mim:look=4,steps=100,draws=1,start=random,loss=margin noise
quick     1   ~0.2 apgd:steps=40 noise
quick     1   1    apgd:steps=20 plain
quick     1   ~0.4 apgd:steps=40,start=clean,loss=margin plain
quick     1   ~0.4 mm:steps=20,targets=3 plain
quick     1   1    fmn:steps=30 curve
standard  1   ~1   apgd:steps=40,loss=dlr
standard  1   ~0.2 mm:steps=20,targets=3 noise
standard  1   ~0.1 second_order_mim:look=4,steps=100,start=random,loss=margin noise
standard  1   ~0.1 second_order_mim:look=4,loss=margin noise
standard  1   ~0.1 apgd:steps=100 noise
standard  1   ~0.4 apgd:steps=100,start=clean,loss=margin plain
standard  1   ~0.1 second_order_mim:look=4 plain
standard  1   1    apgd:steps=30 plain
standard  1   ~0.1 apgd:steps=30 plain
standard  1   ~0.1 apgd:steps=30 plain
standard  1   ~0.1 apgd:steps=30 plain
standard  1   ~0.1 apgd:steps=30 plain
standard  1   ~1   mm:steps=30,targets=3 plain
standard  1   ~0.2 square_apgd
standard  1   ~1   fmn:steps=50 outside=0
standard  1   ~0.1 second_order_apgd:steps=100,draws=1,loss=margin

standard  inf,2 1  second_order_apgd:steps=25,draws=4 stuck

thorough  2,1 1    apgd:steps=100
thorough  2,1 1    apgd_targeted:steps=100
thorough  2,1 ~1   second_order_apgd:steps=100,draws=10
thorough  2,1 1    fmn:steps=100 outside=0
thorough  2,1 ~1   fmn:steps=100 outside=2
thorough  2,1 ~1   fab_targeted:steps=50
thorough  2,1 0.5  square_apgd:queries=5000,steps=100

quick     inf,2,1 1 square:queries=500 blind
quick     inf,2 1  hop_skip_jump outside=0 blind
standard  inf,2,1 1 square:queries=2000 blind
standard  inf,2 1  hop_skip_jump:steps=20,draws=50 outside=0 blind
thorough  inf,2,1 1 square:queries=5000 blind
thorough  inf,2 1  hop_skip_jump:steps=40,draws=100 outside=1 blind

quick     -   1    sigma_zero:steps=60
quick     -   1    sigma_zero:steps=60 curve
quick     -   1    pgd:steps=20
quick     -   1    apgd:steps=30
quick     -   1    second_order_mim
quick     -   1    sparse_search:queries=150
standard  -   1    sigma_zero:steps=200
standard  -   1    apgd:steps=50,loss=margin
standard  -   1    mm:steps=30,targets=3
standard  -   1    sparse_search:queries=1000
thorough  -   1    apgd_targeted:steps=100
thorough  -   1    sparse_search:queries=5000
quick     -   1    random:draws=10
quick     -   1    grid
"""


def _stages(upto: str) -> Iterator[Stage]:
    names = ("quick", "standard", "thorough")
    for line in filter(None, SCHEDULE.splitlines()):
        effort, orders, share, attack, *more = line.split()
        outside = [int(word.removeprefix("outside=")) for word in more if word.startswith("outside=")]
        for order in orders.split(",") if names.index(effort) <= names.index(upto) else ():
            yield Stage(
                AttackSpec.parse(attack),
                None if order == "-" else float(order),
                float(share.removeprefix("~")),
                gives_up=share.startswith("~"),
                outside=outside[0] if outside else None,
                curve="curve" in more,
                blind="blind" in more,
                noise="noise" in more if {"noise", "plain"} & set(more) else None,
                stuck="stuck" in more,
                pilot="pilot" in more,
            )


def _effort(upto: str, *, short: int, long: int, queries: int, probes: int) -> Effort:
    of = AttackSpec.of
    white = of("pgd", steps=short), of("pgd", steps=long), of("second_order_mim", steps=long, start="random")
    black = of("square", queries=queries), of("sparse_search", queries=queries)
    return Effort(tuple(_stages(upto)), (*white, *black), probes)


def _tiny(stage: Stage) -> Stage:
    """The same stage, only to show that it runs."""
    small = {"steps": 5, "queries": 20, "targets": 1, "draws": 2}
    settings = {name: value for name, value in small.items() if name in stage.attack.entry.settings}
    given = tuple(sorted((dict(stage.attack.given) | settings).items()))
    return replace(stage, attack=replace(stage.attack, given=given))


def _efforts() -> dict[str, Effort]:
    quick = _effort("quick", short=4, long=15, queries=100, probes=20)
    standard = _effort("standard", short=5, long=20, queries=300, probes=40)
    thorough = _effort("thorough", short=25, long=100, queries=2000, probes=200)
    compared = tuple(_tiny(Stage(spec, None)).attack for spec in standard.compared)
    stages = tuple(_tiny(stage) for stage in standard.stages)
    smoke = Effort(stages, (compared[0].changed(steps=3), *compared[1:]), probes=10)
    return {"smoke": smoke, "quick": quick, "standard": standard, "thorough": thorough}


EFFORTS = _efforts()


def effort_named(name: str) -> Effort:
    """The effort called `smoke`, `quick`, `standard` or `thorough`."""
    if name not in EFFORTS:
        known = ", ".join(one for one in EFFORTS if one != "smoke")  # which says nothing of a model
        raise BrittleError(f"no effort is called {name!r}; known: {known}")
    return EFFORTS[name]
