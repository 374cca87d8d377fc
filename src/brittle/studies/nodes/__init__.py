"""The kinds of work: train a net, attack a model, audit it. Each is a declaration and knows how to be computed in a folder."""

from .attacking import Attack, Walk
from .auditing import Audit, Curve
from .common import File, Model, Node, Source, Step, Work, examples_of, placed
from .training import Train

__all__ = ["Attack", "Audit", "Curve", "File", "Model", "Node", "Source", "Step", "Train", "Walk", "Work", "examples_of", "placed"]
