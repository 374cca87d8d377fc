"""Floor 2. From an objective and a threat to adversarial images: `pgd(against(model), Linf("8/255"), steps=40)(x, y)`."""

from .attack import Attack, check_examples, restarts, searching, stages, walking, worse, worst_of
from .estimators import smoothed
from .loop import Found, Step, at_point, best_of, last_of, walk
from .losses import LOSSES, Loss, cross_entropy, dlr, margin, targeted_dlr
from .minimum import Fmn, Minimum, fmn
from .named import ATTACKS, apgd, apgd_targeted, begin, climbing, default_step, direction, fgsm, mim, named_attack, pgd, second_order
from .objectives import ModelObjective, Objective, See, Seen, against, logits_of, session, toward
from .rules import Here, Rule, chain, momentum, plain, scale, sparse, steepest
from .square import square
from .threats import L1, L2, Linf, Threat

__all__ = [
    "ATTACKS",
    "L1",
    "L2",
    "LOSSES",
    "Attack",
    "Fmn",
    "Found",
    "Here",
    "Linf",
    "Loss",
    "Minimum",
    "ModelObjective",
    "Objective",
    "Rule",
    "See",
    "Seen",
    "Step",
    "Threat",
    "against",
    "apgd",
    "apgd_targeted",
    "at_point",
    "begin",
    "best_of",
    "chain",
    "check_examples",
    "climbing",
    "cross_entropy",
    "default_step",
    "direction",
    "dlr",
    "fgsm",
    "fmn",
    "last_of",
    "logits_of",
    "margin",
    "mim",
    "momentum",
    "named_attack",
    "pgd",
    "plain",
    "restarts",
    "scale",
    "searching",
    "second_order",
    "session",
    "smoothed",
    "sparse",
    "square",
    "stages",
    "steepest",
    "targeted_dlr",
    "toward",
    "walk",
    "walking",
    "worse",
    "worst_of",
]
