"""How large the paper is taken: to see that all runs, on a laptop, in full."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of the threats, as they are written; `small_l2` is the reduced one."""

    linf: str
    l2: str
    small_l2: str
    l1: str


@dataclass(frozen=True, kw_only=True)
class CifarTrial:
    """How the remark on CIFAR-10 is tried: TRADES in Linf on `net`, then PGD and S-O on the same `n` images.

    Attributes:
        linf, l2: sizes of training, and of both attacks.
        inner_steps: of the attack inside training.
    """

    data: str
    net: str
    linf: str
    l2: str
    inner_steps: int
    epochs: float
    n: int

    def __str__(self) -> str:
        return (
            f"{self.net} on {self.data}, TRADES (Linf {self.linf}), {self.epochs:g} epochs, attacks on {self.n} images"
        )


@dataclass(frozen=True, kw_only=True)
class Li2019Scale:
    """How large everything is.

    Attributes:
        madry_net, trades_net: architectures; static_nets: those of the ensemble.
        inner_steps: of the attacks inside training.
        epochs, batch, lr: of every training; several_epochs: of AVG, MAX, MSD, E-AT.
        n, averaged_n, audited_n: images under PGD, under the second-order attack, in each audit.
        attack_steps, draws: of PGD and S-O, and noise draws of S-O.
        effort: of the audits.
        slack: points of disagreement that shorter trainings excuse; later_slack: the same for the figures of later
            work; none: no verdict on them.
        trial: of the remark on CIFAR-10.
        carries: whether a verdict at this scale means anything.
    """

    name: str
    data: str
    madry_net: str
    trades_net: str
    static_nets: tuple[str, ...]
    sizes: Sizes
    inner_steps: int
    epochs: float
    several_epochs: float
    batch: int
    lr: float
    n: int
    averaged_n: int
    audited_n: int
    attack_steps: int
    draws: int
    effort: str
    slack: float
    later_slack: float | None
    trial: CifarTrial
    carries: bool = True


MNIST = Sizes(linf="0.3", l2="4", small_l2="2", l1="10")
SMOKE = Li2019Scale(
    name="smoke",
    data="digits",
    madry_net="mlp",
    trades_net="mlp",
    static_nets=("linear", "mlp"),
    sizes=Sizes(linf="0.15", l2="1.2", small_l2="0.6", l1="2"),
    inner_steps=3,
    epochs=3,
    several_epochs=3,
    batch=128,
    lr=2e-3,
    n=60,
    averaged_n=30,
    audited_n=20,
    attack_steps=10,
    draws=3,
    effort="smoke",
    slack=100,
    later_slack=None,
    trial=CifarTrial(data="digits", net="small", linf="0.15", l2="0.6", inner_steps=3, epochs=1, n=30),
    carries=False,
)
LAPTOP = Li2019Scale(
    name="laptop",
    data="mnist",
    madry_net="madry",
    trades_net="trades",
    static_nets=("small", "madry"),
    sizes=MNIST,
    inner_steps=5,
    epochs=0.8,
    several_epochs=0.4,
    batch=64,
    lr=1.5e-3,
    n=500,
    averaged_n=100,
    audited_n=100,
    attack_steps=40,
    draws=20,
    effort="quick",
    slack=8,
    later_slack=None,  # short trainings are not those of later work
    trial=CifarTrial(data="cifar10", net="quick", linf="8/255", l2="0.5", inner_steps=5, epochs=0.6, n=100),
)
FULL = Li2019Scale(
    name="full",
    data="mnist",
    madry_net="madry",
    trades_net="trades",
    static_nets=("small", "madry"),
    sizes=MNIST,
    inner_steps=40,
    epochs=20,
    several_epochs=15,
    batch=128,
    lr=1e-3,
    n=10_000,
    averaged_n=10_000,
    audited_n=1000,
    attack_steps=40,
    draws=20,
    effort="standard",
    slack=3,
    later_slack=3,
    trial=CifarTrial(data="cifar10", net="resnet18", linf="8/255", l2="0.5", inner_steps=10, epochs=30, n=10_000),
)
SCALES = {scale.name: scale for scale in (SMOKE, LAPTOP, FULL)}
