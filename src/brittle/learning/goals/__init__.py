"""Goals: what training makes small. A goal is data, one to a file; `losses(learner, x, y, at, memory)` gives the loss
of each example [B]."""

from .adversarial import Adversarial
from .atda import Atda
from .avg import Average
from .batch import Attacking, attack_batch, attack_batch_in, check_attack, eval_logits, ramp_threat
from .eat import Eat
from .ensemble import Ensemble
from .goal import FORWARD_PASS, PARAMETER_GRADIENT, Goal, GoalEntry, Law, Learner, Memory, Moment
from .inner import InnerAttack
from .max import Maximum
from .msd import Msd
from .registry import broken_goals, check_static, goal_entries, goal_entry, goal_name, goal_named, inner_attack_of
from .standard import Standard
from .trades import Trades

__all__ = [
    "FORWARD_PASS",
    "PARAMETER_GRADIENT",
    "Adversarial",
    "Atda",
    "Attacking",
    "Average",
    "Eat",
    "Ensemble",
    "Goal",
    "GoalEntry",
    "InnerAttack",
    "Law",
    "Learner",
    "Maximum",
    "Memory",
    "Moment",
    "Msd",
    "Standard",
    "Trades",
    "attack_batch",
    "attack_batch_in",
    "broken_goals",
    "check_attack",
    "check_static",
    "eval_logits",
    "goal_entries",
    "goal_entry",
    "goal_name",
    "goal_named",
    "inner_attack_of",
    "ramp_threat",
]
