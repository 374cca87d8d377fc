"""The kinds of work: train a net, attack a model, audit it. Each is a declaration and knows how to be computed in a folder."""

from .asking import Answer, Leak, Transfer
from .attacking import Attack, Walk
from .auditing import Audit, Curve
from .common import File, Model, Node, Source, Step, Work, examples_of, placed
from .making import Make, asked, beside
from .scoring import Directions, Score
from .training import Train

__all__ = [
    "Answer",
    "Attack",
    "Audit",
    "Curve",
    "Directions",
    "File",
    "Leak",
    "Make",
    "Model",
    "Node",
    "Score",
    "Source",
    "Step",
    "Train",
    "Transfer",
    "Walk",
    "Work",
    "asked",
    "beside",
    "examples_of",
    "placed",
]
