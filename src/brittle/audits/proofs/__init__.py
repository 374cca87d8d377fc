"""Proofs that no allowed image is answered otherwise: bounds of the logits, and exact search on tiny nets."""

from .bounds import METHODS, margins
from .certify import Proofs, certify
from .exact import decide
from .graph import Layer, graph_of

__all__ = ["METHODS", "Layer", "Proofs", "certify", "decide", "graph_of", "margins"]
