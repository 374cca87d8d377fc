"""How large the paper is taken: to see that all runs, on a laptop, on two cores over night, in full."""

from dataclasses import dataclass, replace

from brittle.learning import Recipe


@dataclass(frozen=True, kw_only=True)
class Recipes:
    """How nets are trained.

    Attributes:
        natural, robust: on the data as they are, adversarially.
        made_sets: on made sets.
        random_targets: on those whose images were moved towards classes drawn at random, of which a net learns nothing
            for some ten epochs, then much (appendix C.2 searches a recipe for each set).
        helpers: nets that are only asked what transfers to them.
        linear: the robust linear net.
    """

    natural: Recipe
    robust: Recipe
    made_sets: Recipe
    random_targets: Recipe
    helpers: Recipe
    linear: Recipe


@dataclass(frozen=True, kw_only=True)
class Hardening:
    """The inner attack of adversarial training: in L2 `eps`, `steps` steps."""

    eps: str
    steps: int


@dataclass(frozen=True, kw_only=True)
class Testing:
    """How robust accuracy is measured.

    Attributes:
        eps, larger_eps: L2 sizes, of all tables and of one column of appendix D.1.
        n, long_n, longest_n: test images: of all tables, of the strongest attacks and audits, of the longest.
        steps, long_steps, longest_steps: of PGD, of the strongest attacks, and of the longest.
    """

    eps: str
    larger_eps: str
    n: int
    long_n: int
    longest_n: int
    steps: int
    long_steps: int
    longest_steps: int


@dataclass(frozen=True, kw_only=True)
class Matching:
    """How D_R and D_NR are made: of `count` images (0: all), in `steps` steps of length `step`.

    Attributes:
        aside: images of their other versions: from noise, of test images.
    """

    count: int
    steps: int
    step: float
    aside: int


@dataclass(frozen=True, kw_only=True)
class Perturbing:
    """How images are moved towards another class: `count` of them (0: all) in L2 `eps`, in `steps` steps of length
    `step`."""

    eps: str
    count: int
    steps: int
    step: float


@dataclass(frozen=True, kw_only=True)
class Scoring:
    """The feature plane: `n` test images, `attacked` units, in `steps` steps."""

    n: int
    attacked: int
    steps: int


@dataclass(frozen=True, kw_only=True)
class Ilyas2019Scale:
    """How large everything is.

    Attributes:
        data, net: data set and architecture; architectures: those that D_R is taught to and transfer is asked of.
        hardening: of adversarial training. matching: of D_R and D_NR. perturbing: of D_rand and D_det.
        budgets: other L2 sizes of D_rand and D_det, of `budget_count` images.
        rates: learning rates at which D_rand and D_det are learned once more.
        learner_seeds: trainings of each net that learns from a made set, and of those that it is laid beside.
        bugs: of perturbations that do not transfer; bug_helpers: to how many other nets they must not.
        weak_epochs: of the net whose mistakes are learned from. effort: of audits.
        slack: points of disagreement that shorter trainings excuse; none: no verdict on printed figures.
        carries: whether a verdict on a claim means anything; compared: whether the data are the paper's (or stand for
            them).
    """

    name: str
    data: str
    net: str
    architectures: tuple[str, ...]
    recipes: Recipes
    hardening: Hardening
    testing: Testing
    matching: Matching
    perturbing: Perturbing
    budgets: tuple[str, ...]
    budget_count: int
    rates: tuple[float, ...]
    learner_seeds: int
    bugs: Perturbing
    bug_helpers: int
    weak_epochs: float
    scoring: Scoring
    effort: str
    slack: float | None
    carries: bool = True
    compared: bool = True

    def on(self, data: str) -> "Ilyas2019Scale":
        """The same on another data set; on Restricted ImageNet with the paper's sizes for it (appendix C).

        Those are L2 3, and for D_R twice as many steps, ten times as long, as on CIFAR-10; in which size it tests is
        not known.
        """
        if not data.startswith("restricted:"):
            return replace(self, data=data, compared=data == self.data)
        return replace(
            self,
            data=data,
            hardening=replace(self.hardening, eps="3"),
            testing=replace(self.testing, eps="1.5", larger_eps="3"),
            matching=replace(self.matching, steps=2 * self.matching.steps, step=10 * self.matching.step),
            perturbing=replace(self.perturbing, eps="3"),
            bugs=replace(self.bugs, eps="3"),
            budgets=(),
            compared=False,
        )


SMOKE = Ilyas2019Scale(
    name="smoke",
    data="digits",
    net="mlp",
    architectures=("mlp", "small", "linear"),
    recipes=Recipes(
        natural=Recipe(epochs=6, batch=64),
        robust=Recipe(epochs=4, batch=64),
        made_sets=Recipe(epochs=6, batch=64),
        random_targets=Recipe(epochs=6, batch=64, lr=1e-3),
        helpers=Recipe(epochs=3, batch=64),
        linear=Recipe(epochs=6, batch=64),
    ),
    hardening=Hardening(eps="0.6", steps=3),
    testing=Testing(
        eps="0.3", larger_eps="0.6", n=60, long_n=40, longest_n=10, steps=5, long_steps=20, longest_steps=30
    ),
    matching=Matching(count=200, steps=15, step=0.1, aside=100),
    perturbing=Perturbing(eps="1", count=300, steps=8, step=0.25),
    budgets=("0.5",),
    budget_count=100,
    rates=(5e-4,),
    learner_seeds=2,
    bugs=Perturbing(eps="1", count=100, steps=8, step=0.25),
    bug_helpers=1,
    weak_epochs=0.5,
    scoring=Scoring(n=120, attacked=6, steps=5),
    effort="smoke",
    slack=None,
    carries=False,
)
LAPTOP = Ilyas2019Scale(
    name="laptop",
    data="cifar10",
    net="airbench",
    architectures=("airbench", "quick", "small", "trades", "fast"),
    recipes=Recipes(
        natural=Recipe(epochs=12, lr=4e-3),
        robust=Recipe(epochs=10, lr=4e-3),
        made_sets=Recipe(epochs=14, lr=4e-3),
        random_targets=Recipe(epochs=30, lr=4e-3),
        helpers=Recipe(epochs=6, lr=4e-3),
        linear=Recipe(epochs=4, lr=1e-3),
    ),
    hardening=Hardening(eps="0.5", steps=4),
    testing=Testing(
        eps="0.25",
        larger_eps="0.5",
        n=10_000,
        long_n=1000,
        longest_n=100,
        steps=20,
        long_steps=100,
        longest_steps=2500,
    ),
    matching=Matching(count=10_000, steps=150, step=0.1, aside=2500),
    perturbing=Perturbing(eps="0.5", count=0, steps=20, step=0.1),
    budgets=("0.25", "1", "2"),
    budget_count=10_000,
    rates=(),
    learner_seeds=3,
    bugs=Perturbing(eps="2.5", count=4000, steps=15, step=0.5),
    bug_helpers=2,
    weak_epochs=1,
    scoring=Scoring(n=1000, attacked=16, steps=20),
    effort="standard",
    slack=None,
)
NIGHT = replace(
    LAPTOP,
    name="night",
    matching=Matching(count=0, steps=300, step=0.1, aside=10_000),
    perturbing=Perturbing(eps="0.5", count=0, steps=100, step=0.1),
    budget_count=0,
    rates=(1e-3, 1.6e-2),
)
SGD = Recipe(epochs=30, optimizer="sgd", lr=0.1, schedule="cosine", weight_decay=5e-4)
FULL = Ilyas2019Scale(
    name="full",
    data="cifar10",
    net="resnet18",
    architectures=("vgg16", "inceptionv3", "resnet18", "densenet121", "resnet50"),
    recipes=Recipes(
        natural=SGD,
        robust=SGD,
        made_sets=replace(SGD, epochs=50),
        random_targets=replace(SGD, epochs=100, lr=0.05),
        helpers=SGD,
        linear=Recipe(epochs=15, lr=1e-3),
    ),
    hardening=Hardening(eps="0.5", steps=7),
    testing=Testing(
        eps="0.25",
        larger_eps="0.5",
        n=10_000,
        long_n=10_000,
        longest_n=1000,
        steps=40,
        long_steps=1000,
        longest_steps=2500,
    ),
    matching=Matching(count=0, steps=1000, step=0.1, aside=0),
    perturbing=Perturbing(eps="0.5", count=0, steps=100, step=0.1),
    budgets=("0.25", "1", "2"),
    budget_count=0,
    rates=(0.01, 0.1),
    learner_seeds=1,
    bugs=Perturbing(eps="2.5", count=0, steps=10, step=0.5),
    bug_helpers=4,
    weak_epochs=2,
    scoring=Scoring(n=10_000, attacked=64, steps=40),
    effort="standard",
    slack=5,
)
SCALES = {scale.name: scale for scale in (SMOKE, LAPTOP, NIGHT, FULL)}
