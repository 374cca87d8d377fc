"""Floor 3. What is attacked and how it learns: data sets, nets, goals, the one training loop, files of models."""

from .checkpoints import load_net, load_tensors, save_net, save_tensors, write_bytes
from .data import AUGMENTATIONS, Augment, DataSet, Split, available, batches, load
from .goals import (
    GOALS,
    Adversarial,
    Atda,
    Average,
    Eat,
    Ensemble,
    Goal,
    Inner,
    Learner,
    Maximum,
    Moment,
    Msd,
    Standard,
    Trades,
    goal_named,
)
from .models import Loaded, load_model
from .nets import NETS, Normalize, build_net, statistics_of
from .training import Progress, Recipe, accuracy, train

__all__ = [
    "AUGMENTATIONS",
    "GOALS",
    "NETS",
    "Adversarial",
    "Atda",
    "Augment",
    "Average",
    "DataSet",
    "Eat",
    "Ensemble",
    "Goal",
    "Inner",
    "Learner",
    "Loaded",
    "Maximum",
    "Moment",
    "Msd",
    "Normalize",
    "Progress",
    "Recipe",
    "Split",
    "Standard",
    "Trades",
    "accuracy",
    "available",
    "batches",
    "build_net",
    "goal_named",
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
