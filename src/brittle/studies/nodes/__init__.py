"""The kinds of work: train a net, attack a model, audit it. Each is a declaration and knows how to be computed in a
folder."""

from .attacking import RunAttack, Walk
from .auditing import Audit, Curve
from .common import Computation, DataSource, File, ModelRef, Node, NodeProgress, on_device, test_examples
from .evaluation import Answer, Leak, Transfer
from .made_sets import Make, contact_rows, examples_from
from .scoring import Correlate, Directions, Score
from .training import Train

__all__ = [
    "Answer",
    "Audit",
    "Computation",
    "Correlate",
    "Curve",
    "DataSource",
    "Directions",
    "File",
    "Leak",
    "Make",
    "ModelRef",
    "Node",
    "NodeProgress",
    "RunAttack",
    "Score",
    "Train",
    "Transfer",
    "Walk",
    "contact_rows",
    "examples_from",
    "on_device",
    "test_examples",
]
