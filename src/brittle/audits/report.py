"""What an audit found, in memory and on disk."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from msgspec.structs import replace
from torch import Tensor

from brittle.attacks import Threat, require_threat
from brittle.ground import BrittleError, ByteImages, Images, empty_or_mapped, path_of, write_bytes
from brittle.learning import save_tensors

from .records import AuditRecord, DataRecord, ModelRecord, ProportionRecord, Verdict, encode_record
from .statistics import Proportion
from .verdict import MOST

V = TypeVar("V")


class ByThreat(dict[str, V]):
    """What belongs to each threat, by the name it was audited by ("Linf:8/255"), by any name of the same threat
    ("inf:8/255", "Linf:16/510"), and by the threat itself.

    Raises:
        BrittleError: a threat that was not audited.
    """

    def __missing__(self, threat: Threat | str) -> V:
        same = (name for name in self if require_threat(name) == require_threat(threat))
        if (name := next(same, None)) is None:
            raise BrittleError(f"{threat} was not audited; the threats are {', '.join(self)}")
        return self[name]


@dataclass(frozen=True)
class Report:
    """What an audit found.

    Attributes:
        record: all figures, as they are written.
        withstands: threats in rows, examples in columns: right on the clean example and under every attack.
        found: for each threat ("Linf:0.3") the verified adversarial image [*S] of each broken example, by its place.
        images: the clean examples [n, *S].
    """

    record: AuditRecord
    withstands: Tensor
    found: Mapping[str, Mapping[int, Tensor]]
    images: Images | ByteImages

    @property
    def clean(self) -> Proportion:
        """Examples on which the model is right."""
        return _proportion(self.record.clean)

    @property
    def union(self) -> Proportion:
        """Examples on which it is right under every attack of every threat."""
        return _proportion(self.record.union)

    @property
    def union_8bit(self) -> Proportion:
        """The same, where an adversarial image counts if it fools when it is rounded to 8 bits."""
        return _proportion(self.record.union_8bit)

    @property
    def robust(self) -> ByThreat[Proportion]:
        """Examples on which it is right under every attack of one threat, by the threat ("Linf:0.3")."""
        return ByThreat({one.threat: _proportion(one.robust) for one in self.record.threats})

    @property
    def verdict(self) -> Verdict:
        """`trust`, `suspicious` or `broken`, a sentence, and what to do next."""
        return self.record.verdict

    def adversarial(self, threat: Threat | str) -> tuple[Tensor, Tensor]:
        """The examples that a threat breaks, by their places int64 [b], and their adversarial images [b, *S].

        Raises:
            BrittleError: a threat that was not audited.
        """
        found = ByThreat(self.found)[str(threat)]
        rows = sorted(found)
        return torch.tensor(rows, dtype=torch.int64), self._stacked([found[row] for row in rows])

    def _stacked(self, images: Sequence[Tensor]) -> Tensor:
        whole = empty_or_mapped((len(images), *self.images.shape[1:]), self.images.dtype)
        return torch.stack(list(images), out=whole) if images else whole

    def save(self, folder: Path | str, model: ModelRecord | None = None, data: DataRecord | None = None) -> Path:
        """Write `audit.json` and `audit.safetensors` into `folder`, and give the folder back.

        The tensors: `withstands` [T, n]; `wall_clean`, `wall_adversarial` [k, *S]; per threat the broken rows and their
        images.

        Args:
            model: what the record says of it, where it is known.
            data: the same of the images.
        """
        folder, record = path_of("the folder of a report", folder), self._named(model, data)
        rows = torch.tensor([entry.index for entry in record.wall], dtype=torch.int64)
        clean = self.images[rows].cpu()
        tensors = {
            "withstands": self.withstands,
            "wall_clean": (clean * 255).round().to(torch.uint8),
            "wall_adversarial": self._stacked([self.found[entry.threat][entry.index] for entry in record.wall]),
        }
        for name in self.found:
            tensors[f"rows/{name}"], tensors[f"adversarial/{name}"] = self.adversarial(name)
        try:
            save_tensors(folder / "audit.safetensors", tensors, {"format": record.format})
            write_bytes(folder / "audit.json", encode_record(record))
        except (FileExistsError, NotADirectoryError, FileNotFoundError, PermissionError) as error:
            raise BrittleError(f"{folder} cannot be made a folder with a report ({error.strerror})") from None
        return folder

    def _named(self, model: ModelRecord | None, data: DataRecord | None) -> AuditRecord:
        record = replace(self.record, data=data or self.record.data)
        if model is None:
            return record
        asked = _asked(model, record.data, record)
        then = record.verdict.next.replace("brittle audit MODEL", asked)
        if not then and record.data.n < record.data.of:  # all that was given, but not all that there is
            then = f"{asked} {MOST}"
        verdict = replace(record.verdict, next=then)
        return replace(record, model=model, verdict=verdict)

    def __str__(self) -> str:
        lines = [f"{'clean':<14}{self.clean}"]
        lines += [f"{threat:<14}{robust}" for threat, robust in self.robust.items()]
        lines += [f"{'union':<14}{self.union}", f"{self.verdict.level}: {self.verdict.sentence}"]
        return "\n".join(lines)


def _asked(model: ModelRecord, data: DataRecord, record: AuditRecord) -> str:
    """The command that asks the same of the same model: data and threats are part of the question."""
    words = ["brittle", "audit", model.source or "MODEL"]
    words += ["--weights", model.weights] if model.weights else []
    words += [word for option, value in model.inputs.items() for word in (f"--{option}", value)]
    words += ["--data", data.given] if data.given else []
    words += ["--data-dir", data.folder] if data.folder else []
    words += [word for threat in record.threats for word in ("--threat", threat.threat)]
    words += [word for module in model.bpda for word in ("--bpda", module)]
    words += [] if model.reject is None else ["--reject", str(model.reject)]
    if record.asked is not None:
        words += [word for attack in record.asked.attacks for word in ("--with", attack)]
        words += ["--certify"] if record.asked.certify else []
        words += ["--seed", str(record.asked.seed)] if record.asked.seed else []
    return shlex.join(words)


def _proportion(record: ProportionRecord) -> Proportion:
    return Proportion(record.correct, record.n)
