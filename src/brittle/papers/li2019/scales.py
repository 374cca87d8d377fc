"""How large the paper is taken: to see that all runs, on a laptop, on two cores over night, in full."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """The sizes of the threats, as they are written; `small_l2` is the reduced one."""

    linf: str
    l2: str
    small_l2: str
    l1: str


@dataclass(frozen=True, kw_only=True)
class Lengths:
    """Epochs of training: natural nets, the paper's defences, and later work's for several norms (AVG, MAX, MSD,
    E-AT)."""

    natural: float
    defences: float
    several: float


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
        epochs, batch, lr: of every training.
        checkpoints: epochs at which Madry's training in Linf is looked at on its way.
        n, audited_n: images under each attack, in each audit.
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
    epochs: Lengths
    checkpoints: tuple[float, ...]
    batch: int
    lr: float
    n: int
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
    epochs=Lengths(natural=3, defences=3, several=3),
    checkpoints=(1,),
    batch=128,
    lr=2e-3,
    n=60,
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
    madry_net="fast",
    trades_net="fast",
    static_nets=("fast", "mlp"),
    sizes=MNIST,
    inner_steps=7,
    epochs=Lengths(natural=6, defences=10, several=10),
    checkpoints=(0.5, 1, 2, 5),
    batch=128,
    lr=2e-3,
    n=500,
    audited_n=500,
    attack_steps=40,
    draws=20,
    effort="standard",
    slack=8,
    later_slack=None,  # a smaller net than that of later work
    trial=CifarTrial(data="cifar10", net="quick", linf="8/255", l2="0.5", inner_steps=5, epochs=12, n=500),
)
NIGHT = replace(
    LAPTOP,
    name="night",
    madry_net="madry",
    trades_net="trades",
    static_nets=("small", "madry"),
    epochs=Lengths(natural=10, defences=12, several=8),
)
FULL = Li2019Scale(
    name="full",
    data="mnist",
    madry_net="madry",
    trades_net="trades",
    static_nets=("small", "madry"),
    sizes=MNIST,
    inner_steps=40,
    epochs=Lengths(natural=20, defences=20, several=15),
    checkpoints=(0.5, 1, 2, 5, 10),
    batch=128,
    lr=1e-3,
    n=10_000,
    audited_n=1000,
    attack_steps=40,
    draws=20,
    effort="standard",
    slack=3,
    later_slack=3,
    trial=CifarTrial(data="cifar10", net="resnet18", linf="8/255", l2="0.5", inner_steps=10, epochs=30, n=10_000),
)
SCALES = {scale.name: scale for scale in (SMOKE, LAPTOP, NIGHT, FULL)}
