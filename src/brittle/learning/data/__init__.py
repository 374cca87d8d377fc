"""Data sets: `load` one by name, walk it in `batches`, `Augment` a batch."""

from .arrays import read_arrays
from .augment import Augment
from .catalogue import (
    available,
    broken_packages,
    default_augment,
    register_data,
    statistics_of,
    usual_threats,
)
from .examples import examples_of, split_of, streamed_examples_of
from .fetch import DownloadProgress
from .files import NOT_ORIGINAL
from .folders import write_folder
from .loading import load
from .made import real_name, write_made
from .parsers import parse_cifar, parse_idx, parse_npy, parse_svhn
from .released import read_released, write_released
from .spec import DataSpec, Files
from .splits import DataSet, Split, batches

__all__ = [
    "NOT_ORIGINAL",
    "Augment",
    "DataSet",
    "DataSpec",
    "DownloadProgress",
    "Files",
    "Split",
    "available",
    "batches",
    "broken_packages",
    "default_augment",
    "examples_of",
    "load",
    "parse_cifar",
    "parse_idx",
    "parse_npy",
    "parse_svhn",
    "read_arrays",
    "read_released",
    "real_name",
    "register_data",
    "split_of",
    "statistics_of",
    "streamed_examples_of",
    "usual_threats",
    "write_folder",
    "write_made",
    "write_released",
]
