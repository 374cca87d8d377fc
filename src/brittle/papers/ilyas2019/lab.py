"""The nets and the made sets of the paper at one scale, and what is asked of them."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from brittle.attacks import AttackSpec, Threat
from brittle.learning import Adversarial, Goal, InnerAttack, Recipe, Standard
from brittle.science import Construction, Matched, Mislabelled, Targeted, Unchanged
from brittle.studies import Answer, Attack, DataSource, Leak, Make, Score, Train, Transfer

from ..paper import at_hand
from .scales import Scale

D_RAND, D_DET = "random", "shift"


@dataclass(frozen=True)
class Lab:
    """The declarations of one scale, for one seed."""

    scale: Scale
    folder: Path | None
    seed: int

    @cached_property
    def data(self) -> DataSource:
        """The data set."""
        return DataSource.of(self.scale.data, self.folder)

    @cached_property
    def new_tests(self) -> DataSource | None:
        """CIFAR-10.1, if the data are CIFAR-10 and it is at hand."""
        return at_hand("cifar10.1", self.folder) if self.scale.data == "cifar10" else None

    @property
    def tested(self) -> Threat:
        """In which robust accuracy is asked."""
        return Threat("L2", self.scale.tested)

    @property
    def larger(self) -> Threat:
        """The larger size of appendix D.1."""
        return Threat("L2", self.scale.larger)

    def train(
        self, data: DataSource | Make, recipe: Recipe, net: str | None = None, goal: Goal | None = None, seed: int = 0
    ) -> Train:
        return Train(data, net or self.scale.net, goal or Standard(), recipe, self.seed + seed)

    @cached_property
    def standard(self) -> Train:
        """The net that learned the data as they are."""
        return self.train(self.data, self.scale.natural)

    @cached_property
    def robust(self) -> Train:
        """The adversarially trained net. Appendix C.3: L2 PGD from the image itself, 7 steps of eps / 5."""
        inner = InnerAttack(steps=self.scale.inner, step=1.4 / self.scale.inner, start="clean")
        return self.train(self.data, self.scale.robust, goal=Adversarial((Threat("L2", self.scale.trained),), inner))

    def other(self, net: str, seed: int = 0) -> Train:
        """A net that learned the data as they are, only to be asked what transfers to it."""
        return self.train(self.data, self.scale.other, net, seed=seed)

    def make(
        self,
        label: str,
        model: Train,
        construction: Construction,
        n: int,
        part: str = "train",
        others: tuple[Train, ...] = (),
    ) -> Make:
        return Make(label, model, self.data, construction, self.tested, n, self.seed, part, others)

    def matched(self, label: str, start: str = "image", part: str = "train", n: int | None = None) -> Make:
        """D_R of the robust net or D_NR of the standard one."""
        count, steps, step = self.scale.matched
        model = self.robust if label == "D_R" else self.standard
        return self.make(label, model, Matched(steps, step, start), count if n is None else n, part)

    @cached_property
    def control(self) -> Train:
        """A net that learned D as the nets of D_R and D_NR learn theirs: as many images, as long."""
        count, _, _ = self.scale.matched
        return self.learned(self.make("D", self.standard, Unchanged(), count)) if count else self.standard

    def targeted(self, wanted: str, model: Train | None = None) -> Make:
        """D_rand or D_det; of the standard net unless another is given."""
        n, steps, step = self.scale.targeted
        label = {D_RAND: "D_rand", D_DET: "D_det"}[wanted]
        return self.make(label, model or self.standard, Targeted(wanted, Threat("L2", self.scale.eps), steps, step), n)

    def shifted_tests(self) -> Make:
        """Test images moved towards the class after theirs, as D_det: what targeted transfer is asked of."""
        _, steps, step = self.scale.targeted
        construction = Targeted(D_DET, Threat("L2", self.scale.eps), steps, step)
        return self.make("D_det", self.standard, construction, self.scale.n, "test")

    def bugs(self, transfers: bool) -> Make:
        """Perturbations towards the class after, as PGD makes them or kept from transferring."""
        eps, n, steps, step, count = self.scale.bugs
        others = () if transfers else tuple(self.other(self.scale.net, 10 + k) for k in range(count))
        return self.make(
            "D_det", self.standard, Targeted(D_DET, Threat("L2", eps), steps, step, 1, transfers), n, others=others
        )

    def mislabelled(self) -> Make:
        """The mistakes of a net that learned for a short while."""
        recipe = Recipe(self.scale.weak, self.scale.other.batch, self.scale.other.optimizer, self.scale.other.lr)
        return self.make("D_mis", self.train(self.data, recipe, seed=20), Mislabelled(), 0)

    def learned(self, data: Make, net: str | None = None) -> Train:
        """A net that learned a made set; mistakes, which are real images and many, as the data themselves are
        learned."""
        mistakes = isinstance(data.construction, Mislabelled)
        return self.train(data, self.scale.natural if mistakes else self.scale.learned, net)

    def judged(
        self,
        model: Train,
        threat: Threat | None = None,
        attack: AttackSpec | None = None,
        data: DataSource | Make | None = None,
    ) -> Attack:
        """Clean and robust accuracy under PGD."""
        n, wanted = self.scale.n, attack or AttackSpec("pgd", self.scale.steps)
        return Attack(model, data or self.data, threat or self.tested, wanted, n, self.seed)

    def answered(self, model: Train, data: DataSource | Make | None = None) -> Answer:
        """What a model answers on all test images."""
        return Answer(model, data or self.data)

    def transfer(self, net: str) -> Transfer:
        """What untargeted adversarial images of the standard net, in the threat of D_det, do to another net."""
        attack = Attack(
            self.standard,
            self.data,
            Threat("L2", self.scale.eps),
            AttackSpec("pgd", self.scale.steps),
            self.scale.n,
            self.seed,
        )
        return Transfer(attack, self.other(net, 30))

    @cached_property
    def linear(self) -> Train:
        """A linear net trained to be robust: Goh's source of robust features."""
        goal = Adversarial((self.tested,), InnerAttack(steps=self.scale.inner, start="clean"))
        return self.train(self.data, self.scale.linear, "linear", goal)

    def leak(self, wanted: str) -> Leak:
        """What a linear classifier learns of a made set through the robust linear net."""
        return Leak(self.linear, self.targeted(wanted))

    def score(self, model: Train) -> Score:
        """The feature plane of a net's last units."""
        n, attacked, steps = self.scale.scored
        return Score(model, self.data, self.tested, n=n, attacked=attacked, steps=steps, seed=self.seed)
