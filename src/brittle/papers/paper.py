"""What a paper is made of here: printed figures, sentences that can be tested, and the nodes that measure both again."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from brittle.studies import Node

Verdict = Literal["agrees", "differs", "open"]
Share = Mapping[str, Any]  # correct, n, accuracy, interval


class Results:
    """The records of finished nodes, as figures ask for them."""

    def __init__(self, record_of: Callable[[Node], dict[str, Any]]) -> None:
        self.record_of = record_of

    def share(self, node: Node, read: str) -> Share:
        """`clean`, `robust` or `union` of a node's record, or the robust accuracy of one threat of an audit."""
        record = self.record_of(node)
        if read in record:
            return dict(record[read])
        return next(dict(threat["robust"]) for threat in record["threats"] if threat["threat"] == read)


@dataclass(frozen=True)
class Figure:
    """One number of a table.

    Attributes:
        table, row, column: where it stands.
        printed: the figure in per cent; none where nothing was printed.
        certainty: how sure it is that the paper prints it there, and what was inferred.
        node, read: the node that measures ours, and which of its figures.
        slack: points by which a printed figure may lie outside our interval and still agree; why, the paper says.
    """

    table: str
    row: str
    column: str
    printed: float | None
    certainty: str
    node: Node
    read: str
    slack: float


class Finding(NamedTuple):
    """How a sentence fares: the verdict, and the figures it rests on."""

    verdict: Verdict
    evidence: str


@dataclass(frozen=True)
class Statement:
    """A sentence of a paper's argument, as a test.

    Attributes:
        name: short.
        claim: what the paper says, in our words; where it says it.
        rule: what counts as agreement, and why.
        judge: from results to a finding.
    """

    name: str
    claim: str
    where: str
    rule: str
    judge: Callable[[Results], Finding]


@dataclass(frozen=True)
class Paper:
    """A paper at one scale. Importing or building one runs nothing.

    Attributes:
        carries: whether verdicts mean anything at this scale; at `smoke` they do not.
        slack: why figures may differ by as much as they may.
        walks: gradient lengths along paths, drawn together: a name for each node.
        wall: an attack whose images are shown where the model is wrong, and what to say of them.
        audits: each model's audit, by the model's name.
        bends: curvature, by the model's name.
        deviations: what differs from the paper, and may explain gaps.
    """

    name: str
    title: str
    scale: str
    carries: bool
    bibtex: str
    figures: tuple[Figure, ...]
    statements: tuple[Statement, ...]
    slack: str
    walks: Mapping[str, Node]
    wall: tuple[str, Node]
    audits: Mapping[str, Node]
    bends: Mapping[str, Node]
    deviations: tuple[str, ...]

    @property
    def nodes(self) -> list[Node]:
        """All nodes that carry a figure; what they need comes with them."""
        each = (*(figure.node for figure in self.figures), *self.walks.values(), self.wall[1])
        return list(dict.fromkeys((*each, *self.audits.values(), *self.bends.values())))
