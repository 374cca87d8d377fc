"""The record of an audit, as it is written and shown: typed, versioned, one JSON document."""

from fractions import Fraction
from typing import Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from brittle.ground import BrittleError

from .findings import Finding, Level
from .statistics import Proportion

FORMAT = "brittle-audit/2"
READABLE = (FORMAT, "brittle-audit/1")


class ProportionRecord(Struct, frozen=True):
    """`correct` of `n`, its share, and the exact 95 % interval (low, high) of that."""

    correct: int
    n: int
    accuracy: float | None
    interval: tuple[float, float]

    @classmethod
    def of(cls, proportion: Proportion) -> "ProportionRecord":
        return cls(proportion.correct, proportion.n, proportion.accuracy, proportion.interval)


class Verdict(Struct, frozen=True):
    """What to think of the figures, in one sentence, and the next command (MODEL stands for the model)."""

    level: Literal["trust", "suspicious", "broken"]
    sentence: str
    next: str


class AttackTally(Struct, frozen=True):
    """What one attack did: examples tried, successes claimed and verified, examples it was the first to break, and
    what was left after it."""

    name: str
    tried: int
    claimed: int
    verified: int
    broke: int
    seconds: float
    left: ProportionRecord


class AccuracyCurve(Struct, frozen=True, kw_only=True):
    """Accuracy against eps on `n` examples, with 95 % intervals; `radius` is the size of the threat itself.

    Both are None only in records of version 1, which may lack them.
    """

    attack: str
    n: int | None = None
    radius: float | None = None
    eps: list[float]
    accuracy: list[float | None]
    low: list[float | None]
    high: list[float | None]


class ThreatRecord(Struct, frozen=True, omit_defaults=True):
    """How one threat, named as it is written ("Linf:8/255"), ended.

    `robust` withstood every attack, `proved` is proved robust (if that was asked for): the truth lies between. `norm`
    and `eps` stand in records of version 1.
    """

    threat: str
    robust: ProportionRecord
    robust_8bit: ProportionRecord
    attacks: list[AttackTally]
    curve: AccuracyCurve | None
    proved: ProportionRecord | None = None
    norm: str | None = None
    eps: str | None = None


class Check(Struct, frozen=True, omit_defaults=True):
    """What was looked at, in which threat (if in one), how it stands, what was seen, what to do, and by which option of
    the command line."""

    name: str
    threat: str | None
    level: Level
    text: str
    hint: str | None
    option: str = ""

    @classmethod
    def of(cls, finding: Finding, threat: str | None = None) -> "Check":
        return cls(finding.name, threat, finding.level, finding.text, finding.hint, finding.option)


class GradientPath(Struct, frozen=True):
    """Mean gradient length at each step of an attack, and the share of examples whose first is 0; None is NaN."""

    threat: str
    path: str
    mean_norm: list[float | None]
    zero_share: float | None


class Example(Struct, frozen=True, omit_defaults=True):
    """One example: its label, the model's answer, and for each threat the attack that broke it first, or the method
    that proved it robust."""

    index: int
    label: int
    answer: int
    broken_by: dict[str, str | None]
    proved_by: dict[str, str] = {}


class WallEntry(Struct, frozen=True):
    """An adversarial image that is shown: of which example, what the model answers, how large the change is."""

    index: int
    label: int
    answer: int
    threat: str
    attack: str
    size: float


class TrainingRecord(Struct, frozen=True):
    """How the model was trained, as far as its checkpoint says so; `history` has a row for each epoch."""

    goal: str | None = None
    epochs: int | float | None = None
    net: str | None = None
    history: list[dict[str, int | float | str | None]] | None = None
    threat: str | None = None


class ModelRecord(Struct, frozen=True, kw_only=True):
    """The model: its name, where it is from (and its weights, if they are apart), through which modules gradients are
    passed straight, which class rejects, what was said of its inputs, and a digest of its content, where it can be
    told."""

    name: str
    source: str = ""
    weights: str | None = None
    bpda: list[str] = []
    reject: int | None = None
    inputs: dict[str, str] = {}
    digest: str
    parameters: int | None
    training: TrainingRecord | None


class DataRecord(Struct, frozen=True):
    """The examples: `n` of the `of` images of one part of a data set, called `given` on the command line; the names of
    their files, where they have any, and their rows in the user's own file, where they were shuffled; the folder that
    was named to look in."""

    name: str
    n: int
    of: int
    classes: list[str]
    digest: str
    given: str = ""
    files: list[str] = []
    rows: list[int] = []
    folder: str = ""


class Provenance(Struct, frozen=True, kw_only=True):
    """What a reader needs to repeat a run; `commit` is None outside of a checkout, and ends in + where more changed."""

    seconds: float
    seed: int
    date: str
    versions: dict[str, str]
    commit: str | None = None
    hardware: str
    precision: str
    command: str
    effort: str | UnsetType = UNSET


class Asked(Struct, frozen=True, kw_only=True):
    """How an audit was asked for, beside model, data and threats: enough to do it again. `batch` is the one that was
    used, on which the draws of a random model depend."""

    effort: str
    seed: int
    budget: float | None
    attacks: list[str]
    certify: bool
    batch: int | None = None


class AuditRecord(Struct, frozen=True, kw_only=True):
    """All that an audit found, but for the images."""

    model: ModelRecord
    data: DataRecord
    format: str = FORMAT
    verdict: Verdict
    clean: ProportionRecord
    union: ProportionRecord
    union_8bit: ProportionRecord
    union_proved: ProportionRecord | None = None
    threats: list[ThreatRecord]
    checks: list[Check]
    gradients: list[GradientPath]
    skipped: list[str] = []
    examples: list[Example]
    wall: list[WallEntry]
    asked: Asked | None = None
    run: Provenance


def encode_record(record: AuditRecord) -> bytes:
    """The record as JSON."""
    return msgspec.json.format(msgspec.json.encode(record), indent=1)


def decode_record(content: bytes) -> AuditRecord:
    """The record in some JSON, of this version or of an earlier one.

    Raises:
        BrittleError: no JSON, a format that is not known, or something missing or of the wrong type in it.
    """
    try:
        written = msgspec.json.decode(content, type=_Head).format
        if written not in READABLE:
            raise BrittleError(f"its format is {written!r}, this version of brittle reads {' and '.join(READABLE)}")
        record = msgspec.json.decode(content, type=AuditRecord)
    except msgspec.ValidationError as error:
        raise BrittleError(f"damaged: {error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BrittleError("damaged: not JSON") from None
    return msgspec.structs.replace(record, threats=[_with_radius(threat) for threat in record.threats])


class _Head(Struct):
    format: str | None = None


def _with_radius(threat: ThreatRecord) -> ThreatRecord:
    """Version 1 said a threat's size beside its curve, as it was written."""
    if threat.curve is None or threat.curve.radius is not None or threat.eps is None:
        return threat
    return msgspec.structs.replace(
        threat, curve=msgspec.structs.replace(threat.curve, radius=float(Fraction(threat.eps)))
    )
