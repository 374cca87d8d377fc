"""Floor 2. From an objective and a threat to adversarial images: `pgd(against(model), Linf("8/255"), steps=40)(x, y)`."""

from .attack import Attack, check_examples, restarts, searching, stages, walking, worse, worst_of
from .curved import hessian, second_order, second_order_apgd, usual_sigma
from .estimators import augmented, curved, smoothed
from .loop import Found, Step, at_point, best_of, last_of, look, pick, walk
from .losses import LOSSES, Loss, cross_entropy, dlr, margin, targeted_dlr
from .minimum import Fmn, Minimum, fmn
from .named import Start, apgd, apgd_targeted, begin, climbing, default_step, direction, fgsm, mim, pgd
from .objectives import (
    ModelObjective,
    Objective,
    See,
    Seen,
    WithoutTransfer,
    against,
    classes_of,
    logits_of,
    session,
    toward,
    without_transfer,
)
from .rules import Here, Rule, chain, momentum, plain, scale, sparse, steepest
from .several import msd
from .square import square
from .table import ATTACKS, Named
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
    "Named",
    "Objective",
    "Rule",
    "See",
    "Seen",
    "Start",
    "Step",
    "Threat",
    "WithoutTransfer",
    "against",
    "apgd",
    "apgd_targeted",
    "at_point",
    "augmented",
    "begin",
    "best_of",
    "chain",
    "check_examples",
    "classes_of",
    "climbing",
    "cross_entropy",
    "curved",
    "default_step",
    "direction",
    "dlr",
    "fgsm",
    "fmn",
    "hessian",
    "last_of",
    "logits_of",
    "look",
    "margin",
    "mim",
    "momentum",
    "msd",
    "pgd",
    "pick",
    "plain",
    "restarts",
    "scale",
    "searching",
    "second_order",
    "second_order_apgd",
    "session",
    "smoothed",
    "sparse",
    "square",
    "stages",
    "steepest",
    "targeted_dlr",
    "toward",
    "usual_sigma",
    "walk",
    "walking",
    "without_transfer",
    "worse",
    "worst_of",
]
