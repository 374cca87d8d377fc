"""The kinds of work: train a net, attack a model, audit it. Each is a declaration and knows how to be computed in a
folder."""

from .attacking import Attack, Walk
from .auditing import Audit, Curve
from .common import DataSource, File, Model, Node, NodeProgress, Work, on_device, test_examples
from .evaluation import Answer, Leak, Transfer
from .made_sets import Make, contact_rows, examples_from
from .scoring import Directions, Score
from .training import Train

__all__ = [
    "Answer",
    "Attack",
    "Audit",
    "Curve",
    "DataSource",
    "Directions",
    "File",
    "Leak",
    "Make",
    "Model",
    "Node",
    "NodeProgress",
    "Score",
    "Train",
    "Transfer",
    "Walk",
    "Work",
    "contact_rows",
    "examples_from",
    "on_device",
    "test_examples",
]
