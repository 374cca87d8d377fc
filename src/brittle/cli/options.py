"""Options that several verbs share, and how their texts become values."""

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brittle.errors import BrittleError

if TYPE_CHECKING:
    from brittle.attacks import Threat

Data = Annotated[str, typer.Option("--data", help="data set (see: brittle data)")]
Size = Annotated[
    int | None, typer.Option("--size", min=1, help="of a folder of pictures: resize and crop all to this many pixels")
]
DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", exists=True, file_okay=False, help="where data files are looked for first"),
]
Threats = Annotated[
    list[str] | None,
    typer.Option("--threat", help="KIND:SIZE, such as Linf:8/255, L0:10, Spatial:30,3; may be repeated"),
]
OneThreat = Annotated[list[str] | None, typer.Option("--threat", help="KIND:SIZE, such as Linf:8/255")]
Bpda = Annotated[
    list[str] | None,
    typer.Option("--bpda", help="pass gradients straight through this module of the model; may be repeated"),
]
Reject = Annotated[
    int | None,
    typer.Option("--reject", min=0, help="number of the class by which the model rejects an image (a detector)"),
]
Batch = Annotated[
    int | None,
    typer.Option("--batch", min=1, max=2**31 - 1, help="images held at once; default 250, or as many as memory holds"),
]


def _place(text: str) -> Path:
    if not text:
        raise typer.BadParameter("it names no place")
    return Path(text)


Out = Annotated[Path | None, typer.Option("--out", parser=_place, metavar="PATH", help="where the result is written")]
PageOut = Annotated[
    Path | None,
    typer.Option(
        "--out",
        parser=_place,
        metavar="PATH",
        help="a page (.html), or the folder for it; default report.html here, of a folder of runs index.html in it",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, max=2**32 - 1, help="the only source of randomness")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu, cuda, mps; 8xcuda: eight, which share the work")]
On = Annotated[
    str | None, typer.Option("--on", help="ray or ray:ADDRESS: a Ray cluster, a node on each GPU or else on each core")
]
Json = Annotated[bool, typer.Option("--json", help="machine-readable result on stdout")]
Fresh = Annotated[bool, typer.Option("--fresh", help="compute again what is stored")]


def threats_of(texts: list[str] | None, data: str) -> tuple["Threat", ...]:
    """The threats written, or those usual for the data set.

    Raises:
        BrittleError: a text that is no threat; none given where none is usual.
    """
    from brittle.attacks import parse_threat
    from brittle.learning import usual_threats

    asked = texts or usual_threats(data)
    if not asked:
        raise BrittleError(f"say what to withstand on {data}: --threat Linf:8/255 --threat L2:0.5")
    return tuple(dict.fromkeys(parse_threat(text) for text in asked))


def one_of(texts: list[str] | None) -> str | None:
    """The one threat written, if there is one.

    Raises:
        BrittleError: several are written.
    """
    if len(texts or ()) > 1:
        raise BrittleError(f"one --threat at a time, not {' and '.join(texts or ())}; run the command once for each")
    return texts[0] if texts else None


def threat_of(texts: list[str] | None, data: str) -> "Threat":
    """The one threat written, or the first that is usual for the data set."""
    one = one_of(texts)
    return threats_of(None if one is None else [one], data)[0]


def l2_or(texts: list[str] | None, data: str) -> "Threat":
    """The one threat written, or the usual L2."""
    return threat_of(texts, data) if texts else usual_l2(data)


def usual_l2(data: str) -> "Threat":
    """The L2 threat that is usual for the data set; 0.5 where none is."""
    from brittle.attacks import L2, NormBall, parse_threat
    from brittle.learning import usual_threats

    usual = map(parse_threat, usual_threats(data))
    return next((threat for threat in usual if isinstance(threat, NormBall) and threat.order == 2), L2("0.5"))


def seconds_of(text: str | None) -> float | None:
    """A duration: 90s, 2m, 1h, or a number of seconds."""
    if text is None:
        return None
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", text.strip())
    seconds = float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600}[found[2]] if found else 0
    if not seconds:
        raise BrittleError(f"a budget is written 90s, 2m or 1h, not {text!r}")
    return seconds


def share_of(text: str) -> float:
    """A share of the examples: 60% or 0.6."""
    percent = text.strip().removesuffix("%")
    try:
        share = float(percent) / (100 if "%" in text else 1)
    except ValueError:
        share = math.nan
    if not 0 <= share <= 1:
        raise BrittleError(f"a share is written 60% or 0.6, not {text!r}")
    return share


def count_of(text: str, there: int) -> int:
    """A number of examples, of those that are `there`: a positive number, or `all` (0). Where it is more than that, a
    note says so, and all are taken."""
    if text.strip().lower() == "all":
        return 0
    if not text.strip().isdecimal() or int(text) < 1:
        raise BrittleError(f"-n is a number of examples of at least 1, or all, not {text!r}")
    if int(text) > there:
        from .terminal import console

        console.print(f"note: {there:,} images are there, and all are taken")
    return min(int(text), there)


def typed_in(context: typer.Context) -> frozenset[str]:
    """The parameters that were typed, be it at their defaults."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return frozenset(name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE")
