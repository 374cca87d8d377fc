"""What a paper is made of here: printed figures, sentences that can be tested, and the nodes that measure both
again."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from torch import Tensor

from brittle.ground import BrittleError, plain_name
from brittle.learning import load, load_tensors
from brittle.studies import DataSource, Node, Store, hash_of

READ = ("clean", "robust", "union", "shifted", "fooled", "reached", "reached_8bit")  # shares in records of nodes
Verdict = Literal["agrees", "differs", "open"]
Share = Mapping[str, Any]  # correct, n, accuracy, interval


class Results:
    """What finished nodes hold, as figures and sentences ask for it; each file is read once.

    Raises:
        LookupError: a node that is not in the store.
    """

    def __init__(self, store: Store) -> None:
        self.folder_of = cache(partial(_folder_of, store))
        self.record_of = cache(self._record_of)

    def _record_of(self, node: Node) -> dict[str, Any]:
        """The JSON of a node, or the header of a net."""
        name = next((name for name in node.results if name.endswith(".json")), None)
        folder = self.folder_of(node)
        return dict(json.loads((folder / name).read_text())) if name else load_tensors(folder / node.results[0])[1]

    def tensors(self, node: Node) -> dict[str, Tensor]:
        """The tensors of a node: of an attack `x_adv`, and per example `broken`, `wrong` (when clean), `answers`; of a
        made set its `images`, `labels`, and what they were made of."""
        return load_tensors(
            self.folder_of(node) / next(name for name in node.results if name.endswith(".safetensors"))
        )[0]

    def shares(self, node: Node) -> dict[str, Share]:
        """All accuracies of an attack or an audit, by what they are of."""
        return shares_of(self.record_of(node))

    def share(self, node: Node, read: str) -> Share:
        """`clean`, `robust` or `union` of a node's record, or the robust accuracy of one threat of an audit."""
        return self.shares(node)[read]

    def pooled(self, nodes: Sequence[Node], read: str) -> Share:
        """The share over several seeds: all examples together, and the hull of the seeds' intervals, since their images
        are the same and each training differs."""
        each = [self.share(node, read) for node in nodes]
        correct, n = (sum(one[key] for one in each) for key in ("correct", "n"))
        hull = [min(one["interval"][0] for one in each), max(one["interval"][1] for one in each)]
        pooled = {"correct": correct, "n": n, "accuracy": correct / n, "interval": hull}
        return pooled | ({"seeds": [one["accuracy"] for one in each]} if len(each) > 1 else {})


def shares_of(record: Mapping[str, Any]) -> dict[str, Share]:
    """All accuracies in the record of an attack or an audit: clean, robust or union, and each threat's."""
    held = {name: record[name] for name in READ if name in record}
    return held | {threat["threat"]: threat["robust"] for threat in record.get("threats", ())}


def _folder_of(store: Store, node: Node) -> Path:
    folder, _ = store.read(hash_of(node))
    if folder is None:
        raise LookupError(f"{node.title} is not in the store")
    return folder


@dataclass(frozen=True)
class Figure:
    """One number of a table.

    Attributes:
        table, row, column: where it stands.
        printed: the figure in per cent; none where nothing was printed.
        certainty: how sure it is that the paper prints it there, and what was inferred.
        nodes, read: the nodes that measure ours, one per seed, and which of their figures.
        slack: points by which a printed figure may lie outside our interval and still agree; none: no verdict at this
            scale.
    """

    table: str
    row: str
    column: str
    printed: float | None
    certainty: str
    nodes: tuple[Node, ...]
    read: str
    slack: float | None


class Ruling(NamedTuple):
    """How a sentence fares: the verdict, and the figures it rests on."""

    verdict: Verdict
    evidence: str


def rule_on(said: str, holds: Sequence[bool], fails: Sequence[bool]) -> Ruling:
    """Agreement where everything holds, disagreement where something fails, else open; `said` is the evidence."""
    return Ruling("agrees" if all(holds) else "differs" if any(fails) else "open", said)


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper's argument, as a test.

    Attributes:
        part: of the paper, as `Figure.table` names it.
        name: short.
        claim: what the paper says, in our words; where it says it.
        rule: what counts as agreement, and why.
        judge: from results to a finding.
        nodes: what `judge` reads.
    """

    part: str
    name: str
    claim: str
    where: str
    rule: str
    judge: Callable[[Results], Ruling]
    nodes: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Exhibit:
    """Something to be looked at.

    Attributes:
        kind: how it is shown: a key of `exhibits.KINDS`.
        part: of the paper, as `Figure.table` names it.
        title, note: what it is, what to look for.
        nodes: what it shows, by the names it shows.
        more: plain data that its kind asks for.
    """

    kind: str
    part: str
    title: str
    note: str
    nodes: Mapping[str, Node]
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Paper:
    """A paper at one scale. Importing or building one runs nothing.

    Attributes:
        carries: whether verdicts mean anything at this scale; at `smoke` they do not.
        slack: why figures may differ by as much as they may.
        deviations: what differs from the paper, and may explain gaps.
    """

    name: str
    title: str
    scale: str
    seeds: tuple[int, ...]
    carries: bool
    bibtex: str
    figures: tuple[Figure, ...]
    claims: tuple[Claim, ...]
    exhibits: tuple[Exhibit, ...]
    slack: str
    deviations: tuple[str, ...]

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts of the paper that can be asked for by name, such as "table-1"."""
        named = (
            *(one.table for one in self.figures),
            *(one.part for one in self.claims),
            *(one.part for one in self.exhibits),
        )
        return tuple(dict.fromkeys(map(part_name, named)))

    def only(self, parts: Sequence[str]) -> "Paper":
        """The paper cut down to these parts; all of it for none.

        Raises:
            BrittleError: a part that it does not have.
        """
        if strange := [part for part in parts if part not in self.parts]:
            raise BrittleError(f"{self.name} has no part {strange[0]!r}; it has {', '.join(self.parts)}")
        if not parts:
            return self
        return replace(
            self,
            figures=tuple(one for one in self.figures if part_name(one.table) in parts),
            claims=tuple(one for one in self.claims if part_name(one.part) in parts),
            exhibits=tuple(one for one in self.exhibits if part_name(one.part) in parts),
        )

    @property
    def nodes(self) -> list[Node]:
        """All nodes that carry something; what they need comes with them."""
        told = (*(one.nodes for one in self.figures), *(one.nodes for one in self.claims))
        shown = (tuple(one.nodes.values()) for one in self.exhibits)
        return list(dict.fromkeys(node for nodes in (*told, *shown) for node in nodes))


def part_name(part: str) -> str:
    """A part's name as it is typed and as its files are called: "Table 1" is "table-1"."""
    return plain_name(part).lower()


def at_hand(name: str, folder: Path | None) -> DataSource | None:
    """A data set, if it is found without a download."""
    try:
        load(name, folder, download=False)
    except BrittleError:
        return None
    return DataSource.of(name, folder)
