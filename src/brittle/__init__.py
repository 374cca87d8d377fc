# ruff: noqa: F401 - the second half of the file tells type checkers what the first tells the interpreter
"""Attack, audit and train classifiers; find the features that are useful yet brittle.

x_adv = brittle.pgd(brittle.against(model), Linf("8/255"), steps=40)(x, y)
report = brittle.audit(model, (x, y), threats=[Linf(0.3), L2(2), L1(10)])
sets = brittle.disentangle(robust, standard, split)
scores = brittle.usefulness(model, split, L2(0.25))
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "brittle.errors": ("BrittleError",),
    "brittle.attacks": (
        "L1",
        "L2",
        "Attack",
        "Linf",
        "Threat",
        "against",
        "apgd",
        "apgd_targeted",
        "cross_entropy",
        "dlr",
        "fgsm",
        "fmn",
        "hessian",
        "margin",
        "mim",
        "msd",
        "pgd",
        "restarts",
        "second_order",
        "second_order_apgd",
        "square",
        "stages",
        "targeted_dlr",
        "toward",
        "without_transfer",
        "worst_of",
    ),
    "brittle.learning": (
        "Adversarial",
        "Atda",
        "Average",
        "Eat",
        "Ensemble",
        "InnerAttack",
        "Maximum",
        "Msd",
        "Recipe",
        "Standard",
        "Trades",
        "build_net",
        "load",
        "load_net",
        "save_net",
        "train",
    ),
    "brittle.audits": ("Report", "audit", "doctor", "verify"),
    "brittle.science": (
        "Gaussians",
        "Matched",
        "Mislabelled",
        "Targeted",
        "Unchanged",
        "adversarial_training",
        "curvature",
        "disentangle",
        "representation_of",
        "robust_likelihood",
        "units",
        "usefulness",
    ),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}
__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    """Public names are imported when they are first used, so that `brittle --help` does not wait for torch."""
    if name not in _HOME:
        raise AttributeError(f"module 'brittle' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


if TYPE_CHECKING:
    from brittle.attacks import (
        L1,
        L2,
        Attack,
        Linf,
        Threat,
        against,
        apgd,
        apgd_targeted,
        cross_entropy,
        dlr,
        fgsm,
        fmn,
        hessian,
        margin,
        mim,
        msd,
        pgd,
        restarts,
        second_order,
        second_order_apgd,
        square,
        stages,
        targeted_dlr,
        toward,
        without_transfer,
        worst_of,
    )
    from brittle.audits import Report, audit, doctor, verify
    from brittle.errors import BrittleError
    from brittle.learning import (
        Adversarial,
        Atda,
        Average,
        Eat,
        Ensemble,
        InnerAttack,
        Maximum,
        Msd,
        Recipe,
        Standard,
        Trades,
        build_net,
        load,
        load_net,
        save_net,
        train,
    )
    from brittle.science import (
        Gaussians,
        Matched,
        Mislabelled,
        Targeted,
        Unchanged,
        adversarial_training,
        curvature,
        disentangle,
        representation_of,
        robust_likelihood,
        units,
        usefulness,
    )
