"""Threats: the sets of images that an adversary may hand in instead of `x`. One file for each kind, and how they are
written."""

from brittle.ground import BrittleError, plugins

from .l0 import L0
from .lp import L1, L2, Linf, LpBall
from .protocol import Ball, NormBall, Threat
from .spatial import Finite, Spatial

THREATS = {"Linf": Linf, "L2": L2, "L1": L1, "L0": L0.parse, "Spatial": Spatial.parse}
EXAMPLES = ("Linf:0.3", "L2:2", "L1:10", "L0:10", "Spatial:30,3")  # one of each kind that comes with the library
SHORT = {"inf": "Linf", "linfinity": "Linf", "2": "L2", "1": "L1", "0": "L0"}


def parse_threat(text: str) -> Threat:
    """The threat written `KIND:SIZE`, such as `Linf:8/255`, `L2:0.5`, `L0:10`, `Spatial:30,3`.

    Other packages add kinds through the entry-point group `brittle.threats`: a function from the text behind the colon
    to a threat, under the kind's name.

    Raises:
        BrittleError: an unknown kind, or a size that does not fit.
    """
    kind, colon, size = text.partition(":")
    known = THREATS | plugins("brittle.threats")
    names = {name.lower(): name for name in known}
    short = kind.strip().lower()
    name = names.get(short) or SHORT.get(short) or ""
    if not colon or name not in known:
        raise BrittleError(
            f"a threat is written KIND:SIZE with one of {', '.join(known)}, such as Linf:8/255, not {text!r}"
        )
    threat = known[name](size)
    if not isinstance(threat, Threat):
        raise BrittleError(f"the threat {name} of another package lacks what a threat needs (brittle.attacks.Threat)")
    return threat


__all__ = [
    "EXAMPLES",
    "L0",
    "L1",
    "L2",
    "THREATS",
    "Ball",
    "Finite",
    "Linf",
    "LpBall",
    "NormBall",
    "Spatial",
    "Threat",
    "parse_threat",
]
