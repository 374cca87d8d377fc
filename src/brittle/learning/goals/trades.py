"""TRADES."""

from dataclasses import dataclass

from torch.nn import functional as F

from brittle.attacks import Threat, cross_entropy
from brittle.ground import Images, Labels, Logits, PerExample, check_number

from .batch import attack_batch, check_attack, eval_logits
from .goal import FORWARD_PASS, PARAMETER_GRADIENT, GoalEntry, Learner, Memory, Moment
from .inner import InnerAttack


@dataclass(frozen=True)
class Trades:
    """CE(f(x), y) + beta KL(f(x) || f(x')), where x' makes the same divergence large.

    Attributes:
        beta: weight of the divergence (1 / lambda in the paper; its MNIST figure is made with 1).
    Cost: the inner attack's gradients, one forward pass, two gradients for the parameters.
    Source: Zhang et al. 2019, algorithm 1. The walk starts from Gaussian noise of 0.001, since the divergence is flat
    at x.
    Differs: L2 steps are those of PGD, not of an optimiser on delta; several norms (Mix); the ramp.
    """

    threats: tuple[Threat, ...]
    inner: InnerAttack = InnerAttack(start="noise")
    ramp: float = 0.25
    beta: float = 1.0

    def __post_init__(self) -> None:
        check_attack(self)
        check_number("the weight of TRADES", self.beta)

    @property
    def cost(self) -> float:
        return self.inner.cost + 2 * PARAMETER_GRADIENT + FORWARD_PASS

    def losses(self, learner: Learner, x: Images, y: Labels, at: Moment, memory: Memory) -> tuple[PerExample, Memory]:
        if self.beta == 0:
            return cross_entropy(learner.forward(x), y), memory
        there = eval_logits(learner.net, x)
        x_adv = attack_batch(self, learner.net, x, y, at, lambda logits, y: divergence(there, logits))
        clean = learner.forward(x)
        return cross_entropy(clean, y) + self.beta * divergence(clean, learner.forward(x_adv)), memory


def divergence(clean: Logits, moved: Logits) -> PerExample:
    """KL(softmax(clean) || softmax(moved)) of each example [B]; exactly 0 where both are the same."""
    return F.kl_div(moved.log_softmax(1), clean.log_softmax(1), reduction="none", log_target=True).sum(1)


GOAL = GoalEntry(
    "trades",
    Trades,
    "TRADES: cross-entropy, and beta (the weight) times KL towards attacked images",
    "Zhang et al. 2019",
    weight="beta",
    laws=("mix", "standard at eps 0", "standard at weight 0"),
)
