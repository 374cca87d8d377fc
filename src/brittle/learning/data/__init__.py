"""Data sets: `load` one by name, walk it in `batches`, `Augment` a batch."""

from .augment import AUGMENTATIONS, Augment, default_augment
from .catalogue import Row, available, load
from .cifar10_1 import read_cifar10_1
from .fetch import DownloadProgress
from .made import write_made
from .own import write_folder
from .released import read_released, write_released
from .splits import DataSet, Split, batches

__all__ = [
    "AUGMENTATIONS",
    "Augment",
    "DataSet",
    "DownloadProgress",
    "Row",
    "Split",
    "available",
    "batches",
    "default_augment",
    "load",
    "read_cifar10_1",
    "read_released",
    "write_folder",
    "write_made",
    "write_released",
]
