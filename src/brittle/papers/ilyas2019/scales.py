"""How large the paper is taken: to see that all runs, on a laptop, in full."""

from dataclasses import dataclass, replace

from brittle.learning import Recipe


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        data, net: data set and architecture; nets: those that transfer is asked of.
        natural, robust, learned, other, linear: recipes of training on the data, adversarially, on made sets, of nets
            that only serve, and of the robust linear net.
        trained, tested, larger: L2 threats of adversarial training, of the tables, and the larger one of appendix D.1.
        inner: steps of adversarial training.
        matched: images, steps and step of D_R and D_NR; noised: images of their versions from noise.
        eps, targeted: threat, images, steps and step of D_rand and D_det.
        bugs: threat, images, steps, step, and how many other nets, of perturbations that do not transfer.
        weak: epochs of the net whose mistakes are learned from.
        n, steps: images and PGD steps of all evaluations; long: steps of the strongest PGD.
        scored: test images, attacked units, steps of the feature plane.
        slack: points of disagreement that shorter trainings excuse; none: no verdict on printed figures.
        carries: whether a verdict on a sentence means anything; compared: whether the data are the paper's (or stand
            for them).
        beside: a scale of another data set, of which Figure 2 and Table 1 are measured too.
    """

    name: str
    data: str
    net: str
    nets: tuple[str, ...]
    natural: Recipe
    robust: Recipe
    learned: Recipe
    other: Recipe
    linear: Recipe
    trained: str
    tested: str
    larger: str
    inner: int
    matched: tuple[int, int, float]
    noised: int
    eps: str
    targeted: tuple[int, int, float]
    bugs: tuple[str, int, int, float, int]
    weak: float
    n: int
    steps: int
    long: int
    scored: tuple[int, int, int]
    slack: float | None
    carries: bool = True
    compared: bool = True
    beside: "Scale | None" = None

    def on(self, data: str) -> "Scale":
        """The same on another data set; on Restricted ImageNet with the paper's sizes for it (appendix C).

        Those are L2 3, and for D_R twice as many steps, ten times as long, as on CIFAR-10; in which size it tests is
        not known.
        """
        if not data.startswith("restricted:"):
            return replace(self, data=data, beside=None, compared=data == self.data)
        count, steps, step = self.matched
        matched = (count, 2 * steps, 10 * step)
        sizes = replace(self, trained="3", tested="1.5", larger="3", eps="3", bugs=("3", *self.bugs[1:]))
        return replace(sizes, data=data, beside=None, compared=False, matched=matched)


def _sgd(epochs: float, lr: float = 0.1) -> Recipe:
    return Recipe(epochs, 128, "sgd", lr, "cosine", 5e-4)


SMOKE = Scale(
    "smoke", "digits", "mlp", ("mlp", "small", "linear"),
    Recipe(6, 64), Recipe(4, 64), Recipe(6, 64), Recipe(3, 64), Recipe(6, 64),
    trained="0.6", tested="0.3", larger="0.6", inner=3,
    matched=(200, 15, 0.1), noised=100, eps="1", targeted=(300, 8, 0.25), bugs=("1", 100, 8, 0.25, 1), weak=0.5,
    n=60, steps=5, long=20, scored=(120, 6, 5), slack=None, carries=False,
)  # fmt: skip
MNIST = Scale(
    "mnist", "mnist", "madry", (),
    Recipe(1, 64, lr=1.5e-3), Recipe(1, 64, lr=1.5e-3), Recipe(6, 64, lr=1.5e-3), Recipe(1, 64, lr=1.5e-3), Recipe(1),
    trained="2", tested="1", larger="2", inner=5, matched=(4000, 60, 0.2), noised=0, eps="2", targeted=(4000, 20, 0.3),
    bugs=("2", 0, 20, 0.3, 0), weak=0, n=1000, steps=40, long=0, scored=(0, 0, 0), slack=None,
)  # fmt: skip
LAPTOP = Scale(
    "laptop", "cifar10", "quick", ("quick", "trades", "mlp", "linear"),
    Recipe(8, lr=4e-3), Recipe(4, lr=4e-3), Recipe(30, lr=4e-3), Recipe(3, lr=4e-3), Recipe(4, lr=1e-3),
    trained="0.5", tested="0.25", larger="0.5", inner=4,
    matched=(6000, 80, 0.1), noised=2500, eps="2", targeted=(16_000, 15, 0.3), bugs=("2", 4000, 15, 0.3, 2), weak=1,
    n=1000, steps=20, long=100, scored=(1000, 12, 20), slack=None, beside=MNIST,
)  # fmt: skip
FULL = Scale(
    "full", "cifar10", "resnet18", ("vgg16", "inceptionv3", "resnet18", "densenet121", "resnet50"),
    _sgd(30), _sgd(30), _sgd(50), _sgd(30), Recipe(15, lr=1e-3), trained="0.5", tested="0.25", larger="0.5", inner=7,
    matched=(0, 1000, 0.1), noised=0, eps="0.5", targeted=(0, 100, 0.1), bugs=("2.5", 0, 10, 0.5, 4), weak=2,
    n=10_000, steps=40, long=1000, scored=(10_000, 64, 40), slack=5,
)  # fmt: skip
SCALES = {scale.name: scale for scale in (SMOKE, LAPTOP, FULL)}
