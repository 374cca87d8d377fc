"""What passes from one model, or one set, to another: Goh's leakage test, and how transfer goes with what a model
learns."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from brittle.audits import Proportion
from brittle.ground import BrittleError
from brittle.learning import Split

from .features import Features, logits


def leak(model: nn.Module | Features, learned: Split, test: Split, *, device: torch.device | str = "cpu") -> Proportion:
    """Test accuracy of a linear classifier that learns the labels of a made set from some features alone.

    If the outputs are robustly useful features, and the set's labels go with non-robust ones only, nothing can be
    learned: accuracy above chance on the real `test` means that robust features leak into the set.

    Args:
        model: such as a linear classifier trained to be robust, whose logits are the features; or features, such as the
            `units` of a robust net.
        learned: the made set (D_rand or D_det); test: images with their true labels.
    Cost: a forward pass per image and a multinomial logistic regression (L2 penalty 1, as scikit-learn's).
    Source: Goh 2019, "Two examples of useful, non-robust features" and its leakage discussion (Distill).
    """
    from sklearn.linear_model import LogisticRegression  # here, because importing it takes a second
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    if len(torch.unique(learned.labels)) < 2:
        raise BrittleError("a made set of one label alone teaches no classifier")
    fit = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    features = logits(model, test.classes) if isinstance(model, nn.Module) else model
    fit.fit(_values(features, learned, device).numpy(), learned.labels.numpy())
    said = torch.from_numpy(fit.predict(_values(features, test, device).numpy()))
    return Proportion(int((said == test.labels).sum()), len(test))


def _values(features: Features, split: Split, device: torch.device | str, batch: int = 500) -> Tensor:
    parts = (split.take(slice(start, start + batch)).to(device) for start in range(0, len(split), batch))
    return torch.cat([features(part.x()) for part in parts])


class FittedLine(NamedTuple):
    """A least-squares line y = intercept + slope x, its r, and Spearman's rank correlation with its one-sided p-value.

    For up to seven points the p-value is exact, over all orders; beyond, over 9,999 random ones.
    """

    slope: float
    intercept: float
    r: float
    rank: float
    p: float


def fit_line(x: Sequence[float], y: Sequence[float]) -> FittedLine | None:
    """The line through some points, and how their ranks agree; none for fewer than three points, or where one does not
    vary."""
    if len(x) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return None
    from scipy.stats import PermutationMethod, linregress, pearsonr, rankdata  # here: half a second

    orders = PermutationMethod(n_resamples=9999, rng=np.random.default_rng(0))
    line, ranks = linregress(x, y), pearsonr(rankdata(x), rankdata(y), alternative="greater", method=orders)
    return FittedLine(
        *(float(value) for value in (line.slope, line.intercept, line.rvalue, ranks.statistic, ranks.pvalue))
    )
