"""Li, Chen, Wang, Carin 2019, *On Norm-Agnostic Robustness of Adversarial Training* (arXiv 1905.06455), as declarations.

The paper trains four defences in L2, in Linf and in a mix of both, and attacks each with PGD and with its second-order attack.
Which column of its table means what, and the sizes of the perturbations, are read from figures that later leaderboards and the
authors' code share with it; the certainty stands beside each figure.
"""

from collections.abc import Callable
from dataclasses import dataclass

from brittle.attacks import Named, Threat
from brittle.ground import BrittleError
from brittle.learning import (
    Adversarial,
    Atda,
    Average,
    Eat,
    Ensemble,
    Goal,
    Inner,
    Maximum,
    Msd,
    Recipe,
    Standard,
    Trades,
)
from brittle.studies import Attack, Audit, Curve, Node, Source, Train, Walk

from .paper import Figure, Finding, Paper, Results, Statement

BIBTEX = """@article{li2019norm,
  title  = {On Norm-Agnostic Robustness of Adversarial Training},
  author = {Li, Bai and Chen, Changyou and Wang, Wenlin and Carin, Lawrence},
  journal = {arXiv preprint arXiv:1905.06455},
  year   = {2019}
}"""
DEFENCES = ("Madry", "TRADES", "Ensemble", "ATDA")
NORMS = ("L2", "Linf", "Mix")
ROWS = ("Natural", "PGD L2", "PGD Linf", "S-O L2", "S-O Linf")
TABLE_1 = {  # per cent; columns L2, Linf, Mix of each defence
    "Natural": ((98.2, 98.8, 98.7), (99.4, 99.5, 99.4), (99.4, 99.0, 98.7), (99.2, 98.8, 99.0)),
    "PGD L2": ((97.0, 92.8, 73.2), (91.7, 91.7, 90.4), (99.0, 65.3, 58.2), (98.8, 63.6, 57.9)),
    "PGD Linf": ((0.4, 92.5, 82.2), (19.7, 95.6, 15.3), (0.0, 90.2, 81.4), (0.0, 62.6, 81.3)),
    "S-O L2": ((96.6, 0.0, 18.3), (81.7, 3.2, 84.2), (98.9, 65.8, 58.4), (97.2, 64.0, 56.8)),
    "S-O Linf": ((0.0, 91.3, 84.2), (16.9, 94.7, 14.5), (0.0, 88.9, 82.1), (0.0, 61.3, 83.4)),
}
HEADS = "table read from the paper; heads of rows and columns inferred (strong)"
LATER = {  # Maini et al. 2020, MNIST, first 1,000 images, 10 restarts: clean, Linf 0.3, L2 2, L1 10, all
    "AVG": (99.1, 65.2, 60.1, 39.2, 34.9),
    "MAX": (98.6, 51.0, 61.9, 52.6, 42.1),
    "MSD": (98.3, 62.7, 67.9, 65.0, 58.4),
}


@dataclass(frozen=True)
class Scale:
    """How large everything is.

    Attributes:
        data: data set; nets: the Madry net, the TRADES net, and those of the ensemble.
        linf, l2, small_l2, l1: the sizes of the threats; `small_l2` is the reduced one.
        steps: of inner attacks; epochs, batch, lr: of every training; several: epochs of AVG, MAX, MSD, E-AT.
        n, averaged, audited: images under PGD, under the second-order attack, in each audit.
        attack_steps, draws: of PGD and S-O, and noise draws of S-O.
        effort: of the audits. slack: points of disagreement that shorter trainings excuse.
        carries: whether a verdict at this scale means anything.
    """

    name: str
    data: str
    nets: tuple[str, str]
    static: tuple[str, ...]
    linf: str
    l2: str
    small_l2: str
    l1: str
    steps: int
    epochs: float
    several: float
    batch: int
    lr: float
    n: int
    averaged: int
    audited: int
    attack_steps: int
    draws: int
    effort: str
    slack: float
    carries: bool = True


MNIST = ("0.3", "4", "2", "10")
SCALES = {
    "smoke": Scale(
        "smoke", "digits", ("mlp", "mlp"), ("linear", "mlp"), "0.15", "1.2", "0.6", "2", 3, 3, 3, 128, 2e-3,
        n=60, averaged=30, audited=20, attack_steps=10, draws=3, effort="smoke", slack=100, carries=False,
    ),
    "laptop": Scale(
        "laptop", "mnist", ("madry", "trades"), ("small", "madry"), *MNIST, 5, 0.8, 0.4, 64, 1.5e-3,
        n=500, averaged=100, audited=100, attack_steps=40, draws=20, effort="quick", slack=10,
    ),
    "full": Scale(
        "full", "mnist", ("madry", "trades"), ("small", "madry"), *MNIST, 40, 20, 15, 128, 1e-3,
        n=10_000, averaged=10_000, audited=1000, attack_steps=40, draws=20, effort="standard", slack=3,
    ),
}  # fmt: skip


def li2019(scale: str = "laptop", data_dir: str | None = None, seed: int = 0) -> Paper:
    """The paper at `smoke`, `laptop` or `full`.

    Raises:
        BrittleError: an unknown scale, or a data set that cannot be had.
    """
    if scale not in SCALES:
        raise BrittleError(f"no scale is called {scale!r}; known: {', '.join(SCALES)}")
    return _Li(SCALES[scale], data_dir, seed).paper()


class _Li:
    """Builds the declarations of one scale."""

    def __init__(self, scale: Scale, data_dir: str | None, seed: int) -> None:
        from pathlib import Path

        self.scale, self.seed = scale, seed
        self.data = Source.of(scale.data, Path(data_dir) if data_dir else None)
        self.linf, self.l2 = Threat("Linf", scale.linf), Threat("L2", scale.l2)
        self.small, self.l1 = Threat("L2", scale.small_l2), Threat("L1", scale.l1)
        self.recipe = Recipe(scale.epochs, scale.batch, lr=scale.lr)
        self.static = tuple(self.train(net, Standard(), seed=seed + 100 + k) for k, net in enumerate(scale.static))
        self.natural = self.train(scale.nets[0], Standard())
        self.defended = {(name, norm): self.defence(name, norm) for name in DEFENCES for norm in NORMS}
        self.several = self.modern()

    def train(self, net: str, goal: Goal, epochs: float | None = None, seed: int | None = None, static: bool = False) -> Train:
        recipe = self.recipe if epochs is None else Recipe(epochs, self.scale.batch, lr=self.scale.lr)
        return Train(self.data, net, goal, recipe, self.seed if seed is None else seed, self.static if static else ())

    def defence(self, name: str, norm: str) -> Train:
        threats = {"L2": (self.l2,), "Linf": (self.linf,), "Mix": (self.linf, self.l2)}[norm]
        madry, trades = self.scale.nets
        inner = Inner(steps=self.scale.steps)
        if name == "Madry":
            return self.train(madry, Adversarial(threats, inner))
        if name == "TRADES":
            return self.train(trades, Trades(threats, Inner(steps=self.scale.steps, start="noise")))
        if name == "Ensemble":
            return self.train(madry, Ensemble(threats), static=True)
        return self.train(madry, Atda(threats))

    def modern(self) -> dict[str, Train]:
        threats, inner = (self.linf, self.small, self.l1), Inner(steps=self.scale.steps)
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
        second = kind == "second_order"
        count = self.scale.averaged if second else self.scale.n
        return Attack(model, self.data, threat, self.named(kind, threat), count, self.seed)

    def named(self, kind: str, threat: Threat) -> Named:
        """The authors' settings: 40 steps from the image itself, of 0.01 in Linf and 2.5 eps / steps in L2."""
        steps = self.scale.attack_steps
        step = threat.radius / 30 if threat.norm == "Linf" else 2.5 * threat.radius / steps
        step = step * 40 / steps if threat.norm == "Linf" else step
        return Named(kind, steps, step, "clean", self.scale.draws if kind == "second_order" else None)

    def table_1(self) -> list[Figure]:
        return [
            Figure(
                "Table 1",
                row,
                f"{name} {norm}",
                TABLE_1[row][i][j],
                HEADS,
                self.attack(self.defended[name, norm], "PGD Linf" if row == "Natural" else row),
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
        return Audit(model, self.data, (self.linf, self.small, self.l1), self.scale.effort, self.scale.audited, self.seed)

    def beyond(self) -> list[Figure]:
        """What the strongest attacks leave of each defence, in each threat and in all at once; nothing of it was printed."""
        threats = [str(threat) for threat in (self.linf, self.small, self.l2, self.l1)]
        return [
            Figure("What is left", f"{name} {norm}", read, None, "not in the paper", self.audit(model), read, 0)
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
                "Maini et al. 2020, README (quoted): more epochs, 10 restarts, 1,000 images",
                self.audit_of_three(model),
                read,
                self.scale.slack,
            )
            for name, model in self.several.items()
            for i, read in enumerate(reads)
        ]

    def reduced(self) -> list[Figure]:
        model = self.defended["TRADES", "Linf"]
        return [
            Figure(
                "Reduced size",
                f"{title} {self.small}",
                "TRADES Linf",
                None,
                "size (first commit of the authors' code) inferred; accuracy not found",
                self.attack_in(model, kind, self.small),
                "robust",
                0,
            )
            for title, kind in (("PGD", "pgd"), ("S-O", "second_order"))
        ]

    def walk(self, model: Train, kind: str) -> Walk:
        return Walk(model, self.data, self.l2, self.named(kind, self.l2), min(self.scale.averaged, 200), self.seed)

    def statements(self, walks: dict[str, Node]) -> tuple[Statement, ...]:
        def robust(name: str, norm: str, row: str) -> Callable[[Results], tuple[float, float, float]]:
            def read(results: Results) -> tuple[float, float, float]:
                share = results.share(self.attack(self.defended[name, norm], row), "robust")
                return share["accuracy"], *share["interval"]

            return read

        def flat(results: Results) -> Finding:
            natural, trades = (results.record_of(walks[name])["points"][0] for name in ("natural, PGD", "TRADES, PGD"))
            evidence = f"mean gradient length at the data {trades['mean']:.3g} (TRADES) against {natural['mean']:.3g} (natural)"
            return Finding("agrees" if trades["interval"][1] < natural["interval"][0] else "differs", evidence)

        def longer(results: Results) -> Finding:
            plain, averaged = (results.record_of(walks[name])["points"] for name in ("TRADES, PGD", "TRADES, S-O"))
            a, b = (sum(point["mean"] for point in points) / len(points) for points in (plain, averaged))
            return Finding("agrees" if b > a else "differs", f"mean over steps {b:.3g} (S-O) against {a:.3g} (PGD)")

        def overstated(results: Results) -> Finding:
            pgd, averaged = (robust("TRADES", "Linf", f"{kind} L2")(results) for kind in ("PGD", "S-O"))
            evidence = f"PGD leaves {pgd[0]:.1%}, S-O {averaged[0]:.1%}"
            return Finding("agrees" if averaged[2] < pgd[1] else "differs", evidence)

        def falls(results: Results) -> Finding:
            there = {name: robust(name, "L2", "PGD Linf")(results)[0] for name in DEFENCES}
            back = {name: robust(name, "Linf", "S-O L2")(results)[0] for name in ("Madry", "TRADES")}
            said = [f"{name} L2 under PGD Linf {value:.1%}" for name, value in there.items()]
            said += [f"{name} Linf under S-O L2 {value:.1%}" for name, value in back.items()]
            return Finding("agrees" if max(*there.values(), *back.values()) < 0.25 else "differs", "; ".join(said))

        def mixing(results: Results) -> Finding:
            worst = {name: min(robust(name, "Mix", row)(results)[0] for row in ROWS[1:]) for name in ("Madry", "TRADES")}
            said = "; ".join(f"{name} Mix: worst of four attacks {value:.1%}" for name, value in worst.items())
            return Finding("agrees" if max(worst.values()) < 0.5 else "differs", said)

        def together(results: Results) -> Finding:
            apart = []
            for norm in NORMS:
                for end in ("L2", "Linf"):
                    pgd, averaged = (robust("Ensemble", norm, f"{kind} {end}")(results) for kind in ("PGD", "S-O"))
                    if pgd[1] > averaged[2] or averaged[1] > pgd[2]:
                        apart.append(f"{norm} net in {end}: PGD {pgd[0]:.1%}, S-O {averaged[0]:.1%}")
            return Finding("differs" if apart else "agrees", "; ".join(apart) or "intervals overlap for all six pairs")

        return (
            Statement(
                "flat near the data",
                "An adversarially trained net has small gradients near the data, smaller than a naturally trained one.",
                "section 3 and Figure 1",
                "the interval of TRADES' mean gradient length at the data lies below that of the natural net",
                flat,
            ),
            Statement(
                "noise finds gradients",
                "Averaged over noise, the gradient along the attack path is larger than the plain one.",
                "Figure 1",
                "the mean over steps under S-O exceeds that under PGD, on the TRADES net trained in Linf",
                longer,
            ),
            Statement(
                "PGD overstates",
                "The second-order attack breaks in L2 what PGD leaves of a net that was trained in Linf.",
                "Table 1, TRADES",
                "the interval under S-O lies below that under PGD",
                overstated,
            ),
            Statement(
                "one norm is not another",
                "A net trained in one norm falls to attacks in the other.",
                "Table 1",
                "less than a quarter is left of L2 nets under PGD Linf, and of Madry and TRADES in Linf under S-O L2",
                falls,
            ),
            Statement(
                "mixing barely helps",
                "Alternating between the norms does not give robustness in both.",
                "Table 1, Mix",
                "Madry's and TRADES' Mix nets keep less than half under the worst of four attacks (printed: 18.3 and 14.5)",
                mixing,
            ),
            Statement(
                "ensembles have no hidden weakness",
                "With ensemble adversarial training PGD and the second-order attack agree.",
                "Table 1, Ensemble",
                "the intervals of PGD and S-O overlap for each of three nets in both norms",
                together,
            ),
        )

    def paper(self) -> Paper:
        trades = self.defended["TRADES", "Linf"]
        walks: dict[str, Node] = {
            "natural, PGD": self.walk(self.natural, "pgd"),
            "TRADES, PGD": self.walk(trades, "pgd"),
            "TRADES, S-O": self.walk(trades, "second_order"),
        }
        scale = self.scale
        named = {"natural net": self.natural} | {f"{name} {norm}": model for (name, norm), model in self.defended.items()}
        reduced = self.reduced()
        return Paper(
            "li2019",
            "On Norm-Agnostic Robustness of Adversarial Training",
            scale.name,
            scale.carries,
            BIBTEX,
            (*self.table_1(), *reduced, *self.beyond(), *self.later()),
            self.statements(walks),
            f"a printed figure agrees if it lies within our 95 % interval widened by {scale.slack:g} points: here trainings "
            "are shorter than the paper's, and its recipes for L2, Mix, ensemble and ATDA are not known",
            walks,
            (f"TRADES (Linf) under the second-order attack in {self.small}", reduced[1].node),
            {name: self.audit(model) for name, model in named.items()}
            | {n: self.audit_of_three(m) for n, m in self.several.items()},
            {name: Curve(model, self.data, self.l2, min(scale.audited, 100), self.seed) for name, model in self._bent().items()},
            self.deviations(),
        )

    def _bent(self) -> dict[str, Train]:
        return {"natural net": self.natural} | {f"{name} Linf": self.defended[name, "Linf"] for name in DEFENCES}

    def deviations(self) -> tuple[str, ...]:
        scale = self.scale
        return (
            f"Training: {scale.epochs:g} epochs of batch {scale.batch} (Adam, triangular to {scale.lr:g}), inner attacks of "
            f"{scale.steps} steps, eps rising over the first quarter. The paper's recipes are known for Linf only.",
            f"Sizes: Linf {scale.linf}, L2 {scale.l2} (from the authors' code); the reduced size {scale.small_l2} is inferred.",
            f"PGD on {scale.n} test images, S-O on {scale.averaged} with {scale.draws} draws, audits on {scale.audited}.",
            f"Static nets of the ensemble: {' and '.join(scale.static)}, naturally trained; which the paper used is not known.",
            "Here a success counts where any point of the walk fools, verified in float32; the paper counts the last point.",
            *(
                ("Digits of 8 x 8 pixels and tiny nets: this scale shows that everything runs, not what is true.",)
                if not scale.carries
                else ()
            ),
        )
