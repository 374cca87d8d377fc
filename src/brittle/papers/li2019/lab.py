"""The nets of the paper, the attacks on them, and its tables, at one scale."""

from pathlib import Path

from brittle.attacks import AttackSpec, Threat, usual_sigma
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
from brittle.studies import Attack, Audit, Curve, DataSource, Train, Walk

from ..paper import Figure, at_hand
from .printed import DEFENCES, HEADS, LATER, LATER_SAID, NORMS, ROWS, TABLE_1
from .scales import Scale

KINDS = {"PGD": "pgd", "S-O": "second_order", "S-O with APGD steps": "second_order_apgd", "exact curvature": "hessian"}


class Lab:
    """The declarations of one scale: nets, attacks on them, tables."""

    def __init__(self, scale: Scale, data_dir: str | None, seed: int) -> None:
        self.scale, self.seed = scale, seed
        folder = Path(data_dir) if data_dir else None
        self.data, self.other = DataSource.of(scale.data, folder), at_hand(scale.remark.data, folder)
        self.linf, self.l2 = Threat("Linf", scale.linf), Threat("L2", scale.l2)
        self.small, self.l1 = Threat("L2", scale.small_l2), Threat("L1", scale.l1)
        self.recipe = Recipe(scale.epochs, scale.batch, lr=scale.lr)
        self.static = tuple(self.train(net, Standard(), seed=seed + 100 + k) for k, net in enumerate(scale.static))
        self.natural, self.natural_trades = (self.train(net, Standard()) for net in scale.nets)
        self.defended = {(name, norm): self.defence(name, norm) for name in DEFENCES for norm in NORMS}
        self.several = self.modern()

    def train(
        self, net: str, goal: Goal, epochs: float | None = None, seed: int | None = None, static: bool = False
    ) -> Train:
        recipe = self.recipe if epochs is None else Recipe(epochs, self.scale.batch, lr=self.scale.lr)
        return Train(self.data, net, goal, recipe, self.seed if seed is None else seed, self.static if static else ())

    def defence(self, name: str, norm: str) -> Train:
        threats = {"L2": (self.l2,), "Linf": (self.linf,), "Mix": (self.linf, self.l2)}[norm]
        madry, trades = self.scale.nets
        inner = InnerAttack(steps=self.scale.steps)
        if name == "Madry":
            return self.train(madry, Adversarial(threats, inner))
        if name == "TRADES":
            return self.train(trades, Trades(threats, InnerAttack(steps=self.scale.steps, start="noise")))
        if name == "Ensemble":
            return self.train(madry, Ensemble(threats), static=True)
        return self.train(madry, Atda(threats))

    def modern(self) -> dict[str, Train]:
        threats, inner = (self.linf, self.small, self.l1), InnerAttack(steps=self.scale.steps)
        goals: dict[str, Goal] = {
            "AVG": Average(threats, inner),
            "MAX": Maximum(threats, inner),
            "MSD": Msd(threats, inner),
            "E-AT": Eat(threats, inner),
        }
        return {name: self.train(self.scale.nets[0], goal, self.scale.several) for name, goal in goals.items()}

    def attack(self, model: Train, row: str) -> Attack:
        kind, _, norm = row.partition(" ")
        threat = self.linf if norm == "Linf" else self.l2
        return self.attack_in(model, "second_order" if kind == "S-O" else "pgd", threat)

    def attack_in(self, model: Train, kind: str, threat: Threat) -> Attack:
        count = self.scale.n if kind == "pgd" else self.scale.averaged
        return Attack(model, self.data, threat, self.named(kind, threat), count, self.seed)

    def named(self, kind: str, threat: Threat) -> AttackSpec:
        """The authors' settings: 40 steps from the image itself, of 0.01 in Linf and 2.5 eps / steps in L2."""
        steps = self.scale.attack_steps
        step = threat.radius / 30 if threat.norm == "Linf" else 2.5 * threat.radius / steps
        step = step * 40 / steps if threat.norm == "Linf" else step
        if kind == "second_order_apgd":
            return AttackSpec(kind, steps, None, "random", self.scale.draws, usual_sigma(threat))
        if kind == "second_order":
            return AttackSpec(kind, steps, step, "clean", self.scale.draws, usual_sigma(threat))
        return AttackSpec(kind, steps, step, "clean")

    def table_1(self) -> list[Figure]:
        return [
            Figure(
                "Table 1",
                row,
                f"{name} {norm}",
                TABLE_1[row][i][j],
                HEADS,
                (self.attack(self.defended[name, norm], "PGD Linf" if row == "Natural" else row),),
                "clean" if row == "Natural" else "robust",
                self.scale.slack,
            )
            for row in ROWS
            for i, name in enumerate(DEFENCES)
            for j, norm in enumerate(NORMS)
        ]

    def audit(self, model: Train) -> Audit:
        threats = (self.linf, self.small, self.l2, self.l1)
        return Audit(model, self.data, threats, self.scale.effort, self.scale.audited, self.seed)

    def audit_of_three(self, model: Train) -> Audit:
        return Audit(
            model, self.data, (self.linf, self.small, self.l1), self.scale.effort, self.scale.audited, self.seed
        )

    def beyond(self) -> list[Figure]:
        """What the strongest attacks leave of each defence, in each threat and in all at once; nothing of it was
        printed."""
        threats = [str(threat) for threat in (self.linf, self.small, self.l2, self.l1)]
        return [
            Figure("What is left", f"{name} {norm}", read, None, "not in the paper", (self.audit(model),), read, None)
            for (name, norm), model in {("natural", "net"): self.natural, **self.defended}.items()
            for read in ("clean", *threats, "union")
        ]

    def later(self) -> list[Figure]:
        """Training for several norms at once, beside the figures of later work."""
        reads = ("clean", str(self.linf), str(self.small), str(self.l1), "union")
        return [
            Figure(
                "Several norms at once",
                name,
                read,
                LATER[name][i] if name in LATER else None,
                LATER_SAID if name in LATER else "no figure for MNIST is known",
                (self.audit_of_three(model),),
                read,
                self.scale.slack if self.scale.name == "full" else None,  # short trainings are not those of later work
            )
            for name, model in self.several.items()
            for i, read in enumerate(reads)
        ]

    def reduced(self) -> list[Figure]:
        """The reduced size, and which part of the second-order attack carries its effect there."""
        certainty = "size (first commit of the authors' code) inferred; accuracy not found"
        return [
            Figure(
                "Reduced size", title, name, None, certainty, (self.attack_in(model, kind, self.small),), "robust", None
            )
            for name, model in (
                ("TRADES Linf", self.defended["TRADES", "Linf"]),
                ("Madry Linf", self.defended["Madry", "Linf"]),
            )
            for title, kind in KINDS.items()
        ]

    def remark(self, row: str) -> Attack:
        """PGD or S-O, in Linf or L2, on the net of the CIFAR-10 remark, if its data are at hand."""
        assert self.other is not None
        said, (kind, _, norm) = self.scale.remark, row.partition(" ")
        linf, l2 = Threat("Linf", said.linf), Threat("L2", said.l2)
        recipe = Recipe(said.epochs, self.scale.batch, lr=self.scale.lr)
        net = Train(
            self.other,
            said.net,
            Trades((linf,), InnerAttack(steps=said.steps, start="noise"), beta=6.0),
            recipe,
            self.seed,
        )
        threat = linf if norm == "Linf" else l2
        return Attack(net, self.other, threat, self.named(KINDS[kind], threat), said.n, self.seed)

    def remarked(self) -> list[Figure]:
        """The remark on CIFAR-10: nothing of it was printed but that nothing similar is seen."""
        return [
            Figure("CIFAR-10", "TRADES Linf", row, None, "no figure printed", (self.remark(attacked),), read, None)
            for row, attacked, read in (("Natural", "PGD Linf", "clean"), *((row, row, "robust") for row in ROWS[1:]))
            if self.other
        ]

    def figures(self) -> list[Figure]:
        """All tables."""
        return [*self.table_1(), *self.reduced(), *self.beyond(), *self.later(), *self.remarked()]

    def walks(self) -> dict[str, Walk]:
        """The paths of Figure 1."""
        trades = self.defended["TRADES", "Linf"]
        return {
            "natural, PGD": self.walk(self.natural_trades, "pgd"),
            "TRADES, PGD": self.walk(trades, "pgd"),
            "TRADES, S-O": self.walk(trades, "second_order"),
        }

    def walk(self, model: Train, kind: str) -> Walk:
        return Walk(model, self.data, self.l2, self.named(kind, self.l2), min(self.scale.averaged, 200), self.seed)

    def curve(self, model: Train) -> Curve:
        return Curve(model, self.data, self.l2, min(self.scale.audited, 100), self.seed)

    def curves(self) -> dict[str, Curve]:
        """Curvature of the natural net, and of each defence in Linf."""
        bent = {"natural net": self.natural} | {f"{name} Linf": self.defended[name, "Linf"] for name in DEFENCES}
        return {name: self.curve(model) for name, model in bent.items()}
