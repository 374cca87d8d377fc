"""Data sets: `load` one by name, walk it in `batches`, `Augment` a batch."""

from .augment import AUGMENTATIONS, Augment, default_augment
from .catalogue import Row, available, load
from .fetch import Progress
from .splits import DataSet, Split, batches

__all__ = [
    "AUGMENTATIONS",
    "Augment",
    "DataSet",
    "Progress",
    "Row",
    "Split",
    "available",
    "batches",
    "default_augment",
    "load",
]
