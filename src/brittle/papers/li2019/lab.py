"""The nets of the paper and the attacks on them, at one scale."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from brittle.attacks import L1, L2, AttackSpec, Linf, Threat
from brittle.learning import (
    Adversarial,
    Atda,
    Average,
    Eat,
    Ensemble,
    Goal,
    InnerAttack,
    Maximum,
    Msd,
    Recipe,
    Standard,
    Trades,
)
from brittle.studies import Audit, Curve, DataSource, RunAttack, Train, Walk

from ..paper import Floor, find_data
from ..results import Reading
from .printed import DEFENCES, NORMS
from .scales import Li2019Scale

ROW_ATTACKS = {  # rows of Table 1: attack, and the norm that its threat is called after
    "PGD L2": ("pgd", "L2"),
    "PGD Linf": ("pgd", "Linf"),
    "S-O L2": ("second_order", "L2"),
    "S-O Linf": ("second_order", "Linf"),
}
STATIC_SEED = 100  # of the ensemble's static nets, added to the lab's own
SECOND_ORDER_INSIDE = "pgd,L2=second_order_mim,L1=second_order_mim"  # of training: with momentum, one draw a step
TRIAL_BETA = 6.0  # of TRADES on CIFAR-10, as its authors train it there
WALK_IMAGES, CURVATURE_IMAGES = 200, 100  # at most
FLOOR = 0.1  # robust accuracy below which a net counts as not trained: about what one answer for all images keeps


@dataclass(frozen=True)
class AuthorsSettings:
    """How the authors attack in one norm; the rest is the same for all: 40 steps from the image itself.

    Attributes:
        reach: the length of all steps together, in eps.
        sigma: scale of the second-order attack's noise.
        clamp: when it brings pixels into [0, 1].
    """

    reach: float
    sigma: float
    clamp: str


SIGMA_LINF, SIGMA_L2 = 0.1, 0.15
IN_LINF = AuthorsSettings(reach=40 * 0.01 / 0.3, sigma=SIGMA_LINF, clamp="each")  # steps of 0.01 at eps 0.3
IN_L2 = AuthorsSettings(reach=2.5, sigma=SIGMA_L2, clamp="end")


@dataclass(frozen=True)
class Li2019Lab:
    """The declarations of one scale, for one seed."""

    scale: Li2019Scale
    folder: Path | None
    seed: int

    @cached_property
    def data(self) -> DataSource:
        """The data set."""
        return DataSource.of(self.scale.data, self.folder)

    @cached_property
    def trial_data(self) -> DataSource | None:
        """The data of the CIFAR-10 remark, if they are at hand."""
        return find_data(self.scale.trial.data, self.folder)

    @cached_property
    def linf(self) -> Threat:
        """The Linf size of training and attacks."""
        return Linf(self.scale.sizes.linf)

    @cached_property
    def l2(self) -> Threat:
        """The L2 size of training and attacks."""
        return L2(self.scale.sizes.l2)

    @cached_property
    def small_l2(self) -> Threat:
        """The reduced size."""
        return L2(self.scale.sizes.small_l2)

    @cached_property
    def l1(self) -> Threat:
        """The L1 size of later work."""
        return L1(self.scale.sizes.l1)

    @cached_property
    def trial_linf(self) -> Threat:
        """The Linf size of the CIFAR-10 remark."""
        return Linf(self.scale.trial.linf)

    @cached_property
    def trial_l2(self) -> Threat:
        """The L2 size of the CIFAR-10 remark."""
        return L2(self.scale.trial.l2)

    def _train(
        self,
        net: str,
        goal: Goal,
        *,
        epochs: float,
        until: float | None = None,
        seed: int = 0,
        static: tuple[Train, ...] = (),
        data: DataSource | None = None,
    ) -> Train:
        recipe = Recipe(epochs, self.scale.batch, lr=self.scale.lr, until=until)
        return Train(data or self.data, net, goal, recipe, self.seed + seed, static)

    @cached_property
    def natural_madry(self) -> Train:
        """Madry's net, naturally trained."""
        return self._train(self.scale.madry_net, Standard(), epochs=self.scale.epochs.natural)

    @cached_property
    def natural_trades(self) -> Train:
        """TRADES' net, naturally trained."""
        return self._train(self.scale.trades_net, Standard(), epochs=self.scale.epochs.natural)

    @cached_property
    def defences(self) -> dict[tuple[str, str], Train]:
        """Every defence in L2, Linf and a mix of both, by its name and that of the norm."""
        return {(name, norm): self._defence(name, norm) for name in DEFENCES for norm in NORMS}

    def own_threats(self, norm: str) -> dict[str, Threat]:
        """What a defence in `norm` is trained in, by the norm's name."""
        every = {"L2": self.l2, "Linf": self.linf}
        return every if norm == "Mix" else {norm: every[norm]}

    def _defence(self, name: str, norm: str) -> Train:
        threats, madry, epochs = tuple(self.own_threats(norm).values()), self.scale.madry_net, self.scale.epochs
        inner = InnerAttack(steps=self.scale.inner_steps)
        if name == "Madry":
            return self._train(madry, Adversarial(threats, inner), epochs=epochs.defences)
        if name == "TRADES":
            goal = Trades(threats, replace(inner, start="noise"))
            return self._train(self.scale.trades_net, goal, epochs=epochs.defences)
        if name == "Ensemble":
            nets = tuple(
                self._train(net, Standard(), epochs=epochs.natural, seed=STATIC_SEED + k)
                for k, net in enumerate(self.scale.static_nets)
            )
            return self._train(madry, Ensemble(threats, inner), epochs=epochs.defences, static=nets)
        return self._train(madry, Atda(threats, InnerAttack(steps=10, step=0.25)), epochs=epochs.defences)

    @cached_property
    def on_its_way(self) -> dict[float, Train]:
        """Madry's net in Linf at several epochs of its one training, the last of them included."""
        whole = self.defences["Madry", "Linf"]
        stops = {epoch: replace(whole, recipe=replace(whole.recipe, until=epoch)) for epoch in self.scale.checkpoints}
        return stops | {whole.recipe.epochs: whole}

    def floor(self, name: str, norm: str) -> Floor:
        """What a defence must keep under S-O in its own norm; a Mix in one of its two, since whether it does in both is
        what is asked of it."""
        net = self.defences[name, norm]
        own = (Reading(self.attack_in_row(net, f"S-O {one}"), "robust") for one in self.own_threats(norm))
        return Floor(tuple(own), FLOOR)

    @cached_property
    def several_norms(self) -> dict[str, Train]:
        """Later defences, trained for three norms at once, and the last of them with S-O inside."""
        threats, inner = (self.linf, self.small_l2, self.l1), InnerAttack(steps=self.scale.inner_steps)
        goals: dict[str, Goal] = {
            "AVG": Average(threats, inner),
            "MAX": Maximum(threats, inner),
            "MSD": Msd(threats, inner),
            "E-AT": Eat(threats, inner),
            "E-AT, S-O inside": Eat(threats, replace(inner, attack=SECOND_ORDER_INSIDE)),
        }
        net, epochs = self.scale.madry_net, self.scale.epochs.several
        return {name: self._train(net, goal, epochs=epochs) for name, goal in goals.items()}

    def authors_attack(self, attack: str, threat: Threat) -> AttackSpec:
        """The attack with the authors' settings for this threat; with APGD's steps only their noise is left."""
        settings = IN_LINF if threat in (self.linf, self.trial_linf) else IN_L2
        steps, draws = self.scale.attack_steps, self.scale.draws
        step = settings.reach * threat.radius / steps
        if attack == "second_order_apgd":
            return AttackSpec.of(attack, steps=steps, start="random", draws=draws, sigma=settings.sigma)
        if attack == "second_order":
            plain = AttackSpec.of(attack, steps=steps, step=step, start="clean")
            return plain.changed(draws=draws, sigma=settings.sigma, clamp=settings.clamp)
        return AttackSpec.of(attack, steps=steps, step=step, start="clean")

    def attack_on(self, model: Train, attack: str, threat: Threat) -> RunAttack:
        """An attack with the authors' settings."""
        return self.run(model, self.authors_attack(attack, threat), threat)

    def run(self, model: Train, attack: AttackSpec, threat: Threat, restarts: int = 1) -> RunAttack:
        """Any attack, on the images that all attacks see."""
        return RunAttack(model, self.data, threat, attack, self.scale.n, self.seed, restarts=restarts)

    def attack_in_row(self, model: Train, row: str) -> RunAttack:
        """The attack of a row of Table 1."""
        attack, norm = ROW_ATTACKS[row]
        return self.attack_on(model, attack, {"L2": self.l2, "Linf": self.linf}[norm])

    def trial_attack(self, row: str, *, scaled: bool = False) -> RunAttack:
        """The attack of a row of Table 1 on the net of the CIFAR-10 remark, whose data are at hand; its noise as on
        MNIST, or scaled as L2 is."""
        assert self.trial_data is not None
        trial, (attack, norm) = self.scale.trial, ROW_ATTACKS[row]
        goal = Trades((self.trial_linf,), InnerAttack(steps=trial.inner_steps, start="noise"), beta=TRIAL_BETA)
        net = self._train(trial.net, goal, epochs=trial.epochs, data=self.trial_data)
        threat = {"L2": self.trial_l2, "Linf": self.trial_linf}[norm]
        spec = self.authors_attack(attack, threat)
        if scaled:
            share = self.trial_l2.radius / self.l2.radius
            spec = spec.changed(sigma=spec.settings["sigma"] * share)
        return RunAttack(net, self.trial_data, threat, spec, trial.n, self.seed)

    def audit_of(self, model: Train) -> Audit:
        """What the strongest attacks leave in all four threats."""
        return self._audit(model, (self.linf, self.small_l2, self.l2, self.l1))

    def audit_of_three(self, model: Train) -> Audit:
        """The same in the three threats of later work."""
        return self._audit(model, (self.linf, self.small_l2, self.l1))

    def _audit(self, model: Train, threats: tuple[Threat, ...]) -> Audit:
        return Audit(model, self.data, threats, self.scale.effort, self.scale.audited_n, self.seed)

    def walk(self, model: Train, attack: str) -> Walk:
        """The gradient along an attack's path in L2."""
        n = min(self.scale.n, WALK_IMAGES)
        return Walk(
            model, self.data, self.l2, self.authors_attack(attack, self.l2), n, self.seed, self.scale.draws, SIGMA_L2
        )

    def curvature_of(self, model: Train) -> Curve:
        """How the loss bends in L2."""
        return Curve(model, self.data, self.l2, min(self.scale.audited_n, CURVATURE_IMAGES), self.seed)
