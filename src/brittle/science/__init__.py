"""Floor 5. The papers' ideas as tools: curvature, features and their usefulness, made data sets, transfer."""

from .curvature import Curvature, curvature, linearity_error, power_iteration, top_eigenvalue
from .directions import containment, ensemble, placed_at, singular_directions, two_classes
from .disentangle import MadeSet, Part, checked, cycle, disentangle, joined, make_part, parts_of, source_checked
from .features import (
    Features,
    Usefulness,
    custom,
    linear,
    logits,
    principal_components,
    random_projections,
    units,
    usefulness,
)
from .gaussian import Gaussians, Robust, adversarial_gap, example, folded, maximum_likelihood, robust_likelihood
from .gaussian_training import Trained, adversarial_training, gap_of_samples, multiplier, robust_loss
from .making import MAKES, Making, Matched, Mislabelled, Moved, Targeted, Task, noise_like
from .representation import Representation, distance, representation_of
from .toy import Rule, judged, linear_training, plain_and_robust, toy
from .transfer import Line, fitted, leak

__all__ = [
    "MAKES",
    "Curvature",
    "Features",
    "Gaussians",
    "Line",
    "MadeSet",
    "Making",
    "Matched",
    "Mislabelled",
    "Moved",
    "Part",
    "Representation",
    "Robust",
    "Rule",
    "Targeted",
    "Task",
    "Trained",
    "Usefulness",
    "adversarial_gap",
    "adversarial_training",
    "checked",
    "containment",
    "curvature",
    "custom",
    "cycle",
    "disentangle",
    "distance",
    "ensemble",
    "example",
    "fitted",
    "folded",
    "gap_of_samples",
    "joined",
    "judged",
    "leak",
    "linear",
    "linear_training",
    "linearity_error",
    "logits",
    "make_part",
    "maximum_likelihood",
    "multiplier",
    "noise_like",
    "parts_of",
    "placed_at",
    "plain_and_robust",
    "power_iteration",
    "principal_components",
    "random_projections",
    "representation_of",
    "robust_likelihood",
    "robust_loss",
    "singular_directions",
    "source_checked",
    "top_eigenvalue",
    "toy",
    "two_classes",
    "units",
    "usefulness",
]
