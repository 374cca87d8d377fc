"""Floor 2. From an objective and a threat to adversarial images: `pgd(against(model), Linf("8/255"), steps=40)(x,
y)`."""

from .attack import Attack, check_examples, gradient_attack, path_attack
from .combine import restarts, stages, worse_result, worst_of
from .estimators import eot_gradient, gradient_of, hessian_gradient, smoothed_gradient
from .loop import (
    PLAIN,
    AttackResult,
    Estimator,
    Iterate,
    PathPoint,
    Rule,
    best_of,
    evaluation_at,
    gradient_at,
    last_of,
    projected,
    select,
    walk,
)
from .losses import (
    LOSSES,
    Aim,
    Loss,
    Targets,
    cross_entropy,
    dlr,
    loss_named,
    margin,
    probability_margin,
    targeted_dlr,
    targeted_margin,
)
from .minimum import MinimumNorm, MinimumResult, fitting, stretched
from .named.apgd import apgd
from .named.apgd_targeted import apgd_targeted, mm
from .named.ddn import ddn
from .named.exhaustive import grid, random
from .named.fab import fab_targeted
from .named.fgsm import fgsm
from .named.fmn import fmn
from .named.hessian import hessian
from .named.mim import mim
from .named.msd import msd
from .named.ni_fgsm import ni_fgsm
from .named.pdpgd import pdpgd
from .named.pgd import pgd
from .named.pma import pma
from .named.second_order import second_order, second_order_apgd
from .named.sigma_zero import sigma_zero
from .named.sparse_search import sparse_search
from .named.square import square
from .named.vmi_fgsm import vmi_fgsm
from .objectives import (
    Evaluate,
    Evaluation,
    ModelObjective,
    Objective,
    SessionObjective,
    WithoutTransfer,
    against,
    classes_of,
    logits_of,
    session,
    toward,
    without_transfer,
)
from .registry import LAWS, AttackEntry, AttackSpec, Cost, attack_entries, attack_named, register, within
from .rules import IDENTITY, chain, default_step, direction, momentum, scale, scheduled, stateless, steepest
from .starts import Start, StartFunction, from_outside, given
from .threats import (
    EXAMPLES,
    L0,
    L1,
    L2,
    Ball,
    Finite,
    Linf,
    LpBall,
    NormBall,
    Spatial,
    Threat,
    parse_threat,
)

__all__ = [
    "EXAMPLES",
    "IDENTITY",
    "L0",
    "L1",
    "L2",
    "LAWS",
    "LOSSES",
    "PLAIN",
    "Aim",
    "Attack",
    "AttackEntry",
    "AttackResult",
    "AttackSpec",
    "Ball",
    "Cost",
    "Estimator",
    "Evaluate",
    "Evaluation",
    "Finite",
    "Iterate",
    "Linf",
    "Loss",
    "LpBall",
    "MinimumNorm",
    "MinimumResult",
    "ModelObjective",
    "NormBall",
    "Objective",
    "PathPoint",
    "Rule",
    "SessionObjective",
    "Spatial",
    "Start",
    "StartFunction",
    "Targets",
    "Threat",
    "WithoutTransfer",
    "against",
    "apgd",
    "apgd_targeted",
    "attack_entries",
    "attack_named",
    "best_of",
    "chain",
    "check_examples",
    "classes_of",
    "cross_entropy",
    "ddn",
    "default_step",
    "direction",
    "dlr",
    "eot_gradient",
    "evaluation_at",
    "fab_targeted",
    "fgsm",
    "fitting",
    "fmn",
    "from_outside",
    "given",
    "gradient_at",
    "gradient_attack",
    "gradient_of",
    "grid",
    "hessian",
    "hessian_gradient",
    "last_of",
    "logits_of",
    "loss_named",
    "margin",
    "mim",
    "mm",
    "momentum",
    "msd",
    "ni_fgsm",
    "parse_threat",
    "path_attack",
    "pdpgd",
    "pgd",
    "pma",
    "probability_margin",
    "projected",
    "random",
    "register",
    "restarts",
    "scale",
    "scheduled",
    "second_order",
    "second_order_apgd",
    "select",
    "session",
    "sigma_zero",
    "smoothed_gradient",
    "sparse_search",
    "square",
    "stages",
    "stateless",
    "steepest",
    "stretched",
    "targeted_dlr",
    "targeted_margin",
    "toward",
    "vmi_fgsm",
    "walk",
    "within",
    "without_transfer",
    "worse_result",
    "worst_of",
]
