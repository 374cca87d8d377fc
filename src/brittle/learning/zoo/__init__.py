"""The zoo: small nets that come with the package, so that a first audit needs no training. `scripts/zoo.py` made
them."""

from pathlib import Path

from brittle.ground import BrittleError

PREFIX = "zoo:"


def zoo_nets() -> dict[str, Path]:
    """The checkpoint of each net, by its name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.safetensors"))}


def zoo_file(name: str) -> Path:
    """The checkpoint of a net of the zoo.

    Raises:
        BrittleError: no net of that name.
    """
    known = zoo_nets()
    if name not in known:
        raise BrittleError(f"the zoo has no net {name!r}; it has {', '.join(known)}")
    return known[name]
