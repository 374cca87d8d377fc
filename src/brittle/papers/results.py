"""What finished nodes hold, as figures and claims ask for it: shares with intervals, gradient lengths, tensors."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # scipy.stats takes half a second to import
from torch import Tensor

from brittle.audits import Interval, Proportion, paired_interval
from brittle.learning import TRIED, load_tensors
from brittle.studies import Node, Store, hash_of

READ = (  # shares in records of nodes; the last two are of nets, see `held_out_of`
    "clean",
    "robust",
    "union",
    "shifted",
    "fooled",
    "reached",
    "reached_8bit",
    "held_out",
    "held_out_robust",
)

AND = " + "  # between threats that are asked together


@dataclass(frozen=True)
class Share:
    """`correct` of `n` images, with its 95 % interval from `low` to `high`.

    Attributes:
        seeds: the accuracy of each training, where `n` counts the images of all.
    """

    correct: int
    n: int
    low: float
    high: float
    seeds: tuple[float, ...] = ()

    @classmethod
    def of(cls, correct: int, n: int) -> "Share":
        """The share with its exact interval."""
        return cls(correct, n, *Proportion(correct, n).interval)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> "Share":
        """The share that stands in a record."""
        low, high = record["interval"]
        return cls(record["correct"], record["n"], low, high)

    @property
    def accuracy(self) -> float:
        """correct / n; 0 of 0 is 0."""
        return self.correct / self.n if self.n else 0.0

    def __str__(self) -> str:
        if not self.n:
            return "none"
        return f"{100 * self.accuracy:.1f} [{100 * self.low:.1f}, {100 * self.high:.1f}] %"

    def record(self) -> dict[str, Any]:
        """As it stands in JSON."""
        record = {"correct": self.correct, "n": self.n, "accuracy": self.accuracy, "interval": [self.low, self.high]}
        return record | ({"seeds": list(self.seeds)} if self.seeds else {})


class Reading(NamedTuple):
    """A share of a node's record."""

    node: Node
    read: str


def pool(shares: Sequence[Share]) -> Share:
    """The share over several trainings, on the same test images: all answers together; the interval is that of the mean
    over trainings, mean +- t(k - 1) sqrt(s^2 / k), and never narrower than that of one test sample. Of no training it
    is 0 of 0, which decides nothing."""
    if len(shares) < 2:
        return shares[0] if shares else Share.of(0, 0)
    k, seeds = len(shares), tuple(one.accuracy for one in shares)
    correct, n, images = sum(one.correct for one in shares), sum(one.n for one in shares), min(one.n for one in shares)
    mean, reach = correct / n, float(stdtrit(k - 1, 0.975)) * statistics.stdev(seeds) / math.sqrt(k)
    sample = Share.of(round(mean * images), images)
    return Share(correct, n, max(0.0, min(mean - reach, sample.low)), min(1.0, max(mean + reach, sample.high)), seeds)


class Results:
    """The results of finished nodes; each file is read once.

    Raises:
        LookupError: a node that is not in the store.
    """

    def __init__(self, store: Store) -> None:
        self.folder_of = cache(partial(_folder_of, store))
        self.record_of = cache(self._record_of)

    def _record_of(self, node: Node) -> dict[str, Any]:
        return record_in(self.folder_of(node), node)

    def tensors(self, node: Node) -> dict[str, Tensor]:
        """The tensors of a node: of an attack `x_adv`, and per example `broken`, `wrong` (when clean), `answers`; of a
        made set its `images`, `labels`, and what they were made of."""
        return load_tensors(
            self.folder_of(node) / next(name for name in node.results if name.endswith(".safetensors"))
        )[0]

    def survivors(self, node: Node) -> Tensor:
        """Which images withstand an attack [n]."""
        return ~self.tensors(node)["broken"]

    def shares(self, node: Node) -> dict[str, Share]:
        """All accuracies of an attack or an audit, by what they are of."""
        return shares_of(self.record_of(node))

    def share(self, node: Node, read: str) -> Share:
        """`clean`, `robust` or `union` of a node's record, or what withstands an audit in one of its threats, or in
        several: "Linf:0.3 + L2:2"."""
        if AND not in read:
            return self.shares(node)[read]
        kept = self.withstood(node, read.split(AND))
        return Share.of(int(kept.sum()), len(kept))

    def withstood(self, audit: Node, threats: Sequence[str]) -> Tensor:
        """Which images withstand everything that an audit tried in all of these threats [n]."""
        rows = [one["threat"] for one in self.record_of(audit)["threats"]]
        return self.tensors(audit)["withstands"][[rows.index(name) for name in threats]].all(0)

    def pooled(self, nodes: Sequence[Node], read: str) -> Share:
        """The same over several trainings."""
        return pool([self.share(node, read) for node in nodes])

    def path_lengths(self, walk: Node, kind: str = "plain") -> NDArray[np.float64]:
        """The mean length along a walk, for each image [n], of the `plain` or the `averaged` gradient."""
        return np.array(self.record_of(walk)[f"{kind}_of_images"])


def paired_difference(first: Tensor, second: Tensor) -> Interval:
    """How much more of the same images [n] are in the first than in the second, in shares of all."""
    return paired_interval(int((first & ~second).sum()), int((second & ~first).sum()), len(first))


def gaps(results: Results, pairs: Mapping[str, tuple[Node, Node]]) -> dict[str, Interval]:
    """What the first attack of each pair leaves beyond the second, on the same images."""
    return {
        name: paired_difference(results.survivors(first), results.survivors(second))
        for name, (first, second) in pairs.items()
    }


def record_in(folder: Path, node: Node) -> dict[str, Any]:
    """The JSON that a node left in a folder, or the header of a net with its shares."""
    name = next((name for name in node.results if name.endswith(".json")), None)
    if name:
        return dict(json.loads((folder / name).read_text()))
    header = load_tensors(folder / node.results[0])[1]
    return header | {what: share.record() for what, share in held_out_of(header).items()}


def held_out_of(header: Mapping[str, Any]) -> dict[str, Share]:
    """What a net reached at the end of its training on images of its own data that were held out: `held_out`, and under
    PGD in the worst of its threats `held_out_robust`."""
    last, n = (header.get("history") or [{}])[-1], header.get("tried", TRIED)
    found = {"held_out": last.get("clean"), "held_out_robust": last.get("robust")}
    return {what: Share.of(round(n * value), n) for what, value in found.items() if value is not None}


def shares_of(record: Mapping[str, Any]) -> dict[str, Share]:
    """All accuracies in the record of an attack or an audit: clean, robust or union, and each threat's."""
    shares = {name: record[name] for name in READ if name in record}
    of_audit = [one for one in record.get("threats", ()) if not isinstance(one, str)]  # a net's header only names them
    shares |= {threat["threat"]: threat["robust"] for threat in of_audit}
    return {name: Share.from_record(one) for name, one in shares.items()}


def _folder_of(store: Store, node: Node) -> Path:
    folder, _ = store.read(hash_of(node))
    if folder is None:
        raise LookupError(f"{node.title} is not in the store")
    return folder
