"""How goals attack a batch: whose turn it is among several threats, and how eps rises."""

from typing import Protocol, runtime_checkable

import torch
from torch import nn

from brittle.attacks import Loss, Threat, cross_entropy, logits_of, require_threat
from brittle.ground import BrittleError, Images, Labels, Logits, eval_mode

from .goal import Moment
from .inner import ANY, InnerAttack, attacks_by_kind, kind_of


@runtime_checkable
class Attacking(Protocol):
    """A goal that attacks: in which threats, how, and during which share of training eps rises from 0."""

    @property
    def threats(self) -> tuple[Threat, ...]: ...
    @property
    def inner(self) -> InnerAttack: ...
    @property
    def ramp(self) -> float: ...


def attack_batch(
    goal: Attacking, net: nn.Module, x: Images, y: Labels, at: Moment, loss: Loss = cross_entropy
) -> Images:
    """Adversarial images [B, *S] in the threat whose turn it is: batches alternate (Mix). `net` is in eval mode
    meanwhile."""
    return attack_batch_in(goal, goal.threats[at.step % len(goal.threats)], net, x, y, at, loss)


def attack_batch_in(
    goal: Attacking, threat: Threat, net: nn.Module, x: Images, y: Labels, at: Moment, loss: Loss = cross_entropy
) -> Images:
    """Adversarial images [B, *S] in this threat: the last points of the inner attack."""
    return goal.inner.last_point(net, ramp_threat(threat, goal.ramp, at), x, y, seed=at.seed, loss=loss)


def ramp_threat(threat: Threat, ramp: float, at: Moment) -> Threat:
    """The threat, smaller during the first `ramp` of training: eps rises linearly from 0."""
    return threat.scaled(at.done / ramp) if at.done < ramp else threat


def check_attack(goal: Attacking) -> None:
    """Raise `BrittleError` if there is nothing to withstand, the ramp is no share, or the inner attack does not fit;
    texts of threats become threats."""
    object.__setattr__(goal, "threats", tuple(map(require_threat, goal.threats)))
    if not goal.threats:
        raise BrittleError("a goal that withstands attack needs at least one threat, such as --threat Linf:0.3")
    if not 0 <= goal.ramp <= 1:
        raise BrittleError(f"the ramp is a share of training between 0 and 1, not {goal.ramp}")
    kinds = {kind_of(threat) for threat in goal.threats}
    if strange := {kind for kind in attacks_by_kind(goal.inner.attack) if kind.lower() not in kinds | {ANY}}:
        raise BrittleError(f"an inner attack is for {', '.join(sorted(strange))}, but no threat is of this kind")
    for threat in goal.threats:
        goal.inner.check(threat)


def eval_logits(net: nn.Module, x: Images) -> Logits:
    """The net's logits in eval mode, without gradient."""
    with torch.no_grad(), eval_mode(net):
        return logits_of(net(x)).float()
