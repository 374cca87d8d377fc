"""Floor 3. What is attacked and how it learns: data sets, nets, goals, the one training loop, files of models."""

from .checkpoints import load_net, load_tensors, save_net, save_tensors, write_bytes
from .data import AUGMENTATIONS, Augment, DataSet, Split, available, batches, load
from .goals import GOALS, Adversarial, Goal, Inner, Learner, Moment, Standard
from .models import Loaded, load_model
from .nets import NETS, Normalize, build_net, statistics_of
from .training import Progress, Recipe, accuracy, train

__all__ = [
    "AUGMENTATIONS",
    "GOALS",
    "NETS",
    "Adversarial",
    "Augment",
    "DataSet",
    "Goal",
    "Inner",
    "Learner",
    "Loaded",
    "Moment",
    "Normalize",
    "Progress",
    "Recipe",
    "Split",
    "Standard",
    "accuracy",
    "available",
    "batches",
    "build_net",
    "load",
    "load_model",
    "load_net",
    "load_tensors",
    "save_net",
    "save_tensors",
    "statistics_of",
    "train",
    "write_bytes",
]
