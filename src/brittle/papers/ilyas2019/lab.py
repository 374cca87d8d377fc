"""The nets and the made sets of the paper at one scale, and what is asked of them."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch

from brittle.attacks import L2, AttackSpec, Threat
from brittle.learning import Adversarial, Goal, InnerAttack, Recipe, Standard
from brittle.science import Construction, Matched, Mislabelled, Targeted, Unchanged
from brittle.studies import Answer, Audit, Correlate, DataSource, Leak, Make, RunAttack, Score, Train, Transfer

from ..paper import Floor, find_data
from ..results import Reading
from .scales import Ilyas2019Scale, Perturbing

HARDENING_REACH = 1.4  # appendix C.3: 7 steps of eps / 5
TRAINED = 2.0  # times 1 / classes, below which a net has not learned its set
BUG_HELPER_SEED, WEAK_SEED, RECEIVER_SEED, LEARNER_SEED = 10, 20, 30, 40  # added to the lab's own seed


@dataclass(frozen=True)
class Ilyas2019Lab:
    """The declarations of one scale, for one seed."""

    scale: Ilyas2019Scale
    folder: Path | None
    seed: int

    @cached_property
    def data(self) -> DataSource:
        """The data set."""
        return DataSource.of(self.scale.data, self.folder)

    @cached_property
    def new_test_set(self) -> DataSource | None:
        """CIFAR-10.1, if the data are CIFAR-10 and it is at hand."""
        return find_data("cifar10.1", self.folder) if self.scale.data == "cifar10" else None

    @cached_property
    def label_shares(self) -> list[float]:
        """The share of each test label, from the rarest to the commonest: what always answering it gets."""
        test = self.data.load().test
        counts = torch.bincount(test.labels, minlength=len(test.classes)).double()
        return sorted((counts / counts.sum()).tolist())

    @property
    def chance(self) -> float:
        """What always answering the commonest test label gets."""
        return max(self.label_shares)

    @property
    def threat(self) -> Threat:
        """In which robust accuracy is asked."""
        return L2(self.scale.testing.eps)

    @property
    def larger_threat(self) -> Threat:
        """The larger size of appendix D.1."""
        return L2(self.scale.testing.larger_eps)

    def _train(
        self, data: DataSource | Make, recipe: Recipe, net: str | None = None, goal: Goal | None = None, seed: int = 0
    ) -> Train:
        return Train(data, net or self.scale.net, goal or Standard(), recipe, self.seed + seed)

    @cached_property
    def standard_net(self) -> Train:
        """The net trained on the data as they are."""
        return self._train(self.data, self.scale.recipes.natural)

    @cached_property
    def robust_net(self) -> Train:
        """The adversarially trained net; each inner attack starts at the image itself."""
        steps = self.scale.hardening.steps
        inner = InnerAttack(steps=steps, step=HARDENING_REACH / steps, start="clean")
        goal = Adversarial((L2(self.scale.hardening.eps),), inner)
        return self._train(self.data, self.scale.recipes.robust, goal=goal)

    @cached_property
    def linear_net(self) -> Train:
        """A linear net trained to be robust: Goh's source of robust features."""
        goal = Adversarial((self.threat,), InnerAttack(steps=self.scale.hardening.steps, start="clean"))
        return self._train(self.data, self.scale.recipes.linear, "linear", goal)

    @cached_property
    def control_nets(self) -> tuple[Train, ...]:
        """Nets trained on D as others are on D_R and D_NR: on as many images, as long."""
        return self.nets_trained_on(self.unchanged_set())

    def receiving_net(self, net: str) -> Train:
        """A net trained on the data as they are, only to be asked what transfers to it."""
        return self._train(self.data, self.scale.recipes.helpers, net, seed=RECEIVER_SEED)

    @cached_property
    def other_standard_net(self) -> Train:
        """A standard net that no set was made with."""
        return self.receiving_net(self.scale.net)

    def net_trained_on(self, made: Make, net: str | None = None, *, lr: float | None = None, seed: int = 0) -> Train:
        """A net trained on a made set, at the learning rate of such sets unless another is given."""
        recipe = self._recipe_for(made)
        return self._train(made, replace(recipe, lr=lr or recipe.lr), net, seed=seed)

    def _recipe_for(self, made: Make) -> Recipe:
        """Mistakes, which are real images and many, are learned as the data themselves; random targets by a
        recipe of their own."""
        recipes, construction = self.scale.recipes, made.construction
        if isinstance(construction, Mislabelled):
            return recipes.natural
        if isinstance(construction, Targeted) and construction.wanted == "random":
            return recipes.random_targets
        return recipes.made_sets

    def other_rates(self, made: Make) -> tuple[float, ...]:
        """The learning rates at which a made set is learned once more."""
        return tuple(rate for rate in self.scale.rates if rate != self._recipe_for(made).lr)

    def nets_trained_on(self, made: Make) -> tuple[Train, ...]:
        """Several such nets, which differ in their seeds."""
        seeds = [0, *(LEARNER_SEED + k for k in range(1, self.scale.learner_seeds))]
        return tuple(self.net_trained_on(made, seed=seed) for seed in seeds)

    def floor(self, net: Train) -> Floor:
        """What a net that learns a made set must reach on images of that set which were held out; real ones are not
        asked. Of nets that learn the data as they are nothing is asked."""
        if isinstance(net.data, DataSource):
            return Floor((), 0.0)
        return Floor((Reading(net, "held_out"),), TRAINED / len(self.data.load().test.classes))

    def _make(
        self,
        label: str,
        model: Train,
        construction: Construction,
        n: int,
        part: str = "train",
        others: tuple[Train, ...] = (),
    ) -> Make:
        return Make(label, model, self.data, construction, self.threat, n, self.seed, part, others)

    def matched_set(
        self, label: Literal["D_R", "D_NR"], start: str = "image", part: str = "train", n: int | None = None
    ) -> Make:
        """D_R of the robust net or D_NR of the standard one."""
        matching, model = self.scale.matching, self.robust_net if label == "D_R" else self.standard_net
        construction = Matched(matching.steps, matching.step, start)
        return self._make(label, model, construction, matching.count if n is None else n, part)

    def unchanged_set(self) -> Make:
        """As many images of D as D_R and D_NR have, as they are."""
        return self._make("D", self.standard_net, Unchanged(), self.scale.matching.count)

    def matched_set_from_noise(self, label: Literal["D_R", "D_NR"]) -> Make:
        """The same from noise."""
        return self.matched_set(label, "noise", n=self.scale.matching.aside)

    def random_set(self, eps: str | None = None) -> Make:
        """D_rand: images moved towards a class drawn at random, which is their label; in L2 of another size if one is
        given."""
        perturbing = self._perturbing(eps)
        return self._make("D_rand", self.standard_net, _towards("random", perturbing), perturbing.count)

    def shifted_set(self, model: Train | None = None, eps: str | None = None) -> Make:
        """D_det: images moved towards the class after theirs, which is their label; of the standard net unless another
        is given."""
        perturbing = self._perturbing(eps)
        return self._make("D_det", model or self.standard_net, _towards("shift", perturbing), perturbing.count)

    def _perturbing(self, eps: str | None) -> Perturbing:
        usual = self.scale.perturbing
        if eps is None:
            return usual
        longer = L2(eps).radius / L2(usual.eps).radius
        return replace(usual, eps=eps, count=self.scale.budget_count, step=usual.step * longer)

    def shifted_test_images(self) -> Make:
        """Test images moved as those of D_det: what targeted transfer is asked of."""
        construction = _towards("shift", self.scale.perturbing)
        return self._make("D_det", self.standard_net, construction, self.scale.testing.n, "test")

    def bug_set(self, *, transfers: bool) -> Make:
        """Perturbations towards the class after, as PGD makes them or kept from transferring."""
        count = 0 if transfers else self.scale.bug_helpers
        seeds = [BUG_HELPER_SEED + k for k in range(count)]
        others = tuple(self._train(self.data, self.scale.recipes.helpers, seed=seed) for seed in seeds)
        construction = _towards("shift", self.scale.bugs, transfers=transfers)
        return self._make("D_det", self.standard_net, construction, self.scale.bugs.count, others=others)

    @cached_property
    def weak_net(self) -> Train:
        """A net trained for a short while, whose mistakes are learned from."""
        helpers = self.scale.recipes.helpers
        recipe = Recipe(self.scale.weak_epochs, helpers.batch, helpers.optimizer, helpers.lr)
        return self._train(self.data, recipe, seed=WEAK_SEED)

    def mistakes(self) -> Make:
        """The images that the weak net mistakes, with its answers as labels."""
        return self._make("D_mis", self.weak_net, Mislabelled(), 0)

    def attack_on(
        self,
        model: Train,
        threat: Threat | None = None,
        attack: AttackSpec | None = None,
        data: DataSource | Make | None = None,
        n: int | None = None,
        early: bool = True,
    ) -> RunAttack:
        """Clean and robust accuracy under PGD; `early`: its images are not asked for."""
        wanted, n = attack or AttackSpec.of("pgd", steps=self.scale.testing.steps), n or self.scale.testing.n
        return RunAttack(model, data or self.data, threat or self.threat, wanted, n, self.seed, early=early)

    def audit_of(self, model: Train) -> Audit:
        """What the strongest attacks leave."""
        threats = (self.threat, self.larger_threat)
        return Audit(model, self.data, threats, self.scale.effort, self.scale.testing.long_n, self.seed)

    def answers_of(self, model: Train, data: DataSource | Make | None = None) -> Answer:
        """What a model answers on all test images."""
        return Answer(model, data or self.data)

    def transfer_to(self, net: str) -> Transfer:
        """What untargeted adversarial images of the standard net, in the threat of D_det, do to another net."""
        attack = self.attack_on(self.standard_net, L2(self.scale.perturbing.eps), early=False)
        return Transfer(attack, self.receiving_net(net))

    def leakage_of(self, made: Make) -> Leak:
        """What a linear classifier learns of a made set through the robust linear net."""
        return Leak(self.linear_net, made)

    def robust_leakage_of(self, made: Make) -> Leak:
        """What it learns through the units of the adversarially trained net, which are robust features too."""
        return Leak(self.robust_net, made, units=True)

    def correlations_of(self, model: Train) -> Correlate:
        """What a net's features are worth on D and on the four made sets: equations 4, 7 and 8."""
        sets = (self.matched_set("D_R"), self.matched_set("D_NR"), self.random_set(), self.shifted_set())
        return Correlate(model, self.data, sets)

    def features_of(self, model: Train) -> Score:
        """The feature plane of a net's last units."""
        wanted = self.scale.scoring
        return Score(
            model,
            self.data,
            self.threat,
            n=wanted.n,
            attacked=wanted.attacked,
            steps=wanted.steps,
            seed=self.seed,
        )


def _towards(wanted: str, perturbing: Perturbing, *, transfers: bool = True) -> Targeted:
    return Targeted(wanted, L2(perturbing.eps), perturbing.steps, perturbing.step, transfers=transfers)
