"""Every data set that is known by name: ours, those of installed packages, and those that a program adds."""

from __future__ import annotations

from functools import cache

from brittle.ground import BrittleError, broken_line, plugins

from .augment import Augment
from .folders import read_folder
from .hugging_face import read_hugging_face
from .imagenet import RANGES, read_restricted
from .made import read_made
from .own import read_npz, read_tensors
from .spec import DataSpec
from .well_known import WELL_KNOWN

GROUP = "brittle.data_sets"  # of entry points

AT_A_PATH = (
    DataSpec(
        "folder",
        "pictures in PATH/train/CLASS and PATH/test/CLASS, or in PATH/CLASS, or listed in PATH.csv; PATH@224: resized "
        "and cut to 224 pixels",
        read_folder,
    ),
    DataSpec("hf", "a data set that Hugging Face's datasets saved to disk, or knows by its name", read_hugging_face),
    DataSpec("made", "a set that brittle disentangle made, or the tensors that Ilyas et al. released", read_made),
    DataSpec(
        "restricted",
        "nine super-classes of ImageNet in PATH/train and PATH/val; PATH@64: 64 pixels",
        read_restricted,
        classes=tuple(RANGES),
        mean=(0.4717, 0.4499, 0.3837),  # those of its authors' library
        std=(0.2600, 0.2516, 0.2575),
    ),
    DataSpec(
        "npz",
        "arrays of numpy: images and labels, or x_test and y_test; PATH.npy@5: severity 5 of CIFAR-10-C",
        read_npz,
    ),
    DataSpec("tensors", "a safetensors file with images and labels", read_tensors),
)

_known = {spec.name: spec for spec in (*WELL_KNOWN, *AT_A_PATH)}


def register_data(spec: DataSpec) -> None:
    """Make a data set known by its name, in this process.

    Raises:
        BrittleError: another one is called so.
    """
    if _known.setdefault(spec.name, spec) is not spec:
        raise BrittleError(f"there is a data set called {spec.name!r} already; choose another name")


def broken_packages() -> tuple[str, ...]:
    """One line for each installed package that has data sets but cannot give them."""
    return _discover()


@cache
def _discover() -> tuple[str, ...]:
    """Register the data sets of installed packages, once, and tell what went wrong."""
    offered = plugins(GROUP)
    problems = list(offered.broken.values())
    for name, found in offered.found.items():
        try:
            for spec in [found] if isinstance(found, DataSpec) else list(found):
                if not isinstance(spec, DataSpec):
                    raise BrittleError(f"{spec!r} is no DataSpec")
                register_data(spec)
        except (BrittleError, TypeError) as error:
            problems.append(broken_line(GROUP, name, error))
    return tuple(problems)


def available() -> tuple[DataSpec, ...]:
    """What `load` accepts, data sets of packages last. Those that cannot be had are left out: see `broken_packages`."""
    _discover()
    return tuple(_known.values())


def find_spec(name: str) -> DataSpec | None:
    """The data set of exactly this name. Packages are asked only for a name that is not known without them."""
    if name not in _known:
        _discover()
    return _known.get(name)


def _base(name: str) -> DataSpec | None:
    """What "cifar10 (D_R)" and "restricted:PATH" are based on: a remark and a path do not count."""
    return find_spec(name.partition(" (")[0].partition(":")[0])


def default_augment(name: str) -> Augment:
    """What the data set of this name, or the one that it was made of, is usually trained with; nothing for one's own
    data."""
    spec = _base(name)
    return spec.augment if spec else Augment()


def statistics_of(name: str, channels: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation that nets on this data set are given; 0 and 1 where nothing is usual (MNIST)."""
    spec = _base(name)
    if spec is None or not spec.mean:
        return [0.0] * channels, [1.0] * channels
    return list(spec.mean), list(spec.std)


def usual_threats(name: str) -> tuple[str, ...]:
    """What models of this data set, or of the one that it was made of, are usually attacked in: texts such as
    "Linf:8/255"; none where nothing is usual."""
    spec = _base(name)
    return spec.threats if spec else ()
