"""How large the paper is taken: to see that all runs, on a laptop, in full."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """How the remark on CIFAR-10 is tried: TRADES in Linf on `net`, then PGD and S-O on the same `n` images.

    Attributes:
        linf, l2: sizes of training, and of both attacks.
    """

    data: str
    net: str
    linf: str
    l2: str
    steps: int
    epochs: float
    n: int

    @property
    def said(self) -> str:
        """As a clause."""
        return (
            f"{self.net} on {self.data}, TRADES (Linf {self.linf}), {self.epochs:g} epochs, attacks on {self.n} images"
        )


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
        remark: the remark on CIFAR-10.
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
    remark: Remark
    carries: bool = True


MNIST = ("0.3", "4", "2", "10")
SCALES = {
    "smoke": Scale(
        "smoke", "digits", ("mlp", "mlp"), ("linear", "mlp"), "0.15", "1.2", "0.6", "2", 3, 3, 3, 128, 2e-3,
        n=60, averaged=30, audited=20, attack_steps=10, draws=3, effort="smoke", slack=100,
        remark=Remark("digits", "small", "0.15", "0.6", 3, 1, 30), carries=False,
    ),
    "laptop": Scale(
        "laptop", "mnist", ("madry", "trades"), ("small", "madry"), *MNIST, 5, 0.8, 0.4, 64, 1.5e-3,
        n=500, averaged=100, audited=100, attack_steps=40, draws=20, effort="quick", slack=8,
        remark=Remark("cifar10", "quick", "8/255", "0.5", 5, 0.6, 100),
    ),
    "full": Scale(
        "full", "mnist", ("madry", "trades"), ("small", "madry"), *MNIST, 40, 20, 15, 128, 1e-3,
        n=10_000, averaged=10_000, audited=1000, attack_steps=40, draws=20, effort="standard", slack=3,
        remark=Remark("cifar10", "resnet18", "8/255", "0.5", 10, 30, 10_000),
    ),
}  # fmt: skip
