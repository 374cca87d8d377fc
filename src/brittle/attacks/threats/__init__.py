"""Threats: the sets of images that an adversary may hand in instead of `x`. One file for each kind, and how they are
written."""

from typing import Any

from brittle.ground import INSTALLED, BrittleError, Plugins, broken_line, plugins

from .l0 import L0
from .lp import L1, L2, Linf, LpBall, in_box, number_of
from .protocol import Ball, Certifiable, NormBall, Threat
from .spatial import Finite, Spatial

GROUP = "brittle.threats"  # of entry points
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
    short = kind.strip().lower()
    ours = {name.lower(): name for name in THREATS} | SHORT
    offered = plugins(GROUP) if short not in ours else Plugins({}, {})  # packages are asked only for what is not here
    known = THREATS | offered.found
    name = ours.get(short) or next((name for name in offered.found if name.lower() == short), "")
    if not colon or not name:
        written = f"a threat is written KIND:SIZE with one of {', '.join(known)}, such as Linf:8/255, not {text!r}"
        missing = [INSTALLED] if colon and short else []
        raise BrittleError("; ".join([written, *(offered.broken.values() or missing)]))
    if name in THREATS and ":" in size:
        raise BrittleError(f"{text!r} is more than one threat: give each in a --threat of its own, in Python a list")
    try:
        threat = known[name](size)
        if not isinstance(threat, Threat):
            raise TypeError("it gives nothing that has all a threat needs (brittle.attacks.Threat)")
    except BrittleError:
        raise
    except Exception as error:  # whatever another package's code raises must be one line
        raise BrittleError(broken_line(GROUP, name, error)) from error
    return threat


def require_threat(threat: Any) -> Threat:
    """The threat, or the one that a text such as "Linf:8/255" names.

    Raises:
        BrittleError: it is something else.
    """
    if isinstance(threat, str):
        return parse_threat(threat)
    if not isinstance(threat, Threat):
        got = repr(threat) if isinstance(threat, int | float) else type(threat).__name__
        raise BrittleError(f'a threat is "Linf:8/255" or an object such as Linf("8/255"), not {got}')
    return threat


def require_ball(threat: Threat | str, who: str) -> Ball:
    """The threat, if gradients can be climbed in it.

    Raises:
        BrittleError: they cannot; the line says what needs it.
    """
    threat = require_threat(threat)
    if not isinstance(threat, Ball):
        raise BrittleError(f"{who} follows gradients, such as in L2:0.5; it does not work in {threat}")
    return threat


def require_norm(threat: Threat | str, who: str) -> NormBall:
    """The threat, if it is the ball of a norm.

    Raises:
        BrittleError: it is not; the line says what needs it.
    """
    threat = require_threat(threat)
    if not isinstance(threat, NormBall):
        raise BrittleError(f"{who} needs a norm, such as L2:0.5; it does not work in {threat}")
    return threat


__all__ = [
    "EXAMPLES",
    "L0",
    "L1",
    "L2",
    "THREATS",
    "Ball",
    "Certifiable",
    "Finite",
    "Linf",
    "LpBall",
    "NormBall",
    "Spatial",
    "Threat",
    "in_box",
    "number_of",
    "parse_threat",
    "require_ball",
    "require_norm",
    "require_threat",
]
