"""What a paper is made of here: printed figures, claims that can be tested, and the nodes that measure both again."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from torch import Tensor

from brittle.ground import BrittleError, plain_name
from brittle.learning import NOT_ORIGINAL, load
from brittle.studies import DataSource, Node

from .results import Reading, Results

Verdict = Literal["agrees", "differs", "open", "not trained"]
OVER_TRAININGS = (
    "an interval is that of the mean over trainings (Student's t), and never narrower than that of the test sample"
)
Shown = tuple[Any, dict[str, Tensor]]  # plain data, and images by their role


@dataclass(frozen=True)
class Floor:
    """What a net must reach before anything is judged by it, so that no verdict rests on one that learned nothing.

    Attributes:
        asked: figures of the net, of which one at least must reach `least`; none: any net will do.
        least: an accuracy.
    """

    asked: tuple[Reading, ...]
    least: float

    def reached(self, results: Results) -> bool:
        """Whether the net is trained."""
        return not self.asked or max(results.share(*one).accuracy for one in self.asked) >= self.least


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
        floors: what the net of each node must reach, or its figure is left out; none: nothing.
    """

    table: str
    row: str
    column: str
    printed: float | None
    certainty: str
    nodes: tuple[Node, ...]
    read: str
    slack: float | None
    floors: tuple[Floor, ...] = ()

    def counted(self, results: Results) -> tuple[Node, ...]:
        """The nodes whose nets are trained."""
        floors = self.floors or (Floor((), 0.0),) * len(self.nodes)
        return tuple(node for node, floor in zip(self.nodes, floors, strict=True) if floor.reached(results))


class Ruling(NamedTuple):
    """How a claim fares: the verdict, and in words the figures it rests on."""

    verdict: Verdict
    evidence: str


def rule_on(evidence: str, holds: Sequence[bool], fails: Sequence[bool], untrained: Sequence[str] = ()) -> Ruling:
    """Agreement where everything holds, disagreement where something fails, else open. Asked of the nets that are
    trained, the others named; open where there are none."""
    if untrained and not holds:
        return Ruling("open", f"no net is trained: {', '.join(untrained)}")
    verdict: Verdict = "agrees" if all(holds) else "differs" if any(fails) else "open"
    return Ruling(verdict, f"{evidence}; not trained, and not asked: {', '.join(untrained)}" if untrained else evidence)


class Evidence(Protocol):
    """The figures that a claim rests on, by name, and the rule that they decide."""

    def ruling(self) -> Ruling: ...


@dataclass(frozen=True)
class Claim:
    """A sentence of a paper's argument, as a test.

    Attributes:
        part: of the paper, as `Figure.table` names it.
        name: short.
        claim: what the paper says, in our words; where it says it.
        rule: what counts as agreement, and why.
        nodes: what the evidence is read from.
        evidence: from results to the figures that decide.
    """

    part: str
    name: str
    claim: str
    where: str
    rule: str
    nodes: tuple[Node, ...]
    evidence: Callable[[Results], Evidence]


@dataclass(frozen=True)
class Exhibit:
    """Something to be looked at.

    Attributes:
        kind: how the page shows it.
        part: of the paper, as `Figure.table` names it.
        title, note: what it is, what to look for.
        nodes: what it is read from.
        show: from results to plain data and images, as its kind needs them: one of `exhibits`.
    """

    kind: str
    part: str
    title: str
    note: str
    nodes: tuple[Node, ...]
    show: Callable[[Results], Shown]


@dataclass(frozen=True)
class Paper:
    """A paper at one scale. Importing or building one runs nothing.

    Attributes:
        link: where the paper is found. about: what it says and what its terms mean, a sentence or two each.
        carries: whether verdicts mean anything at this scale; at `smoke` they do not.
        slack: why figures may differ by as much as they may.
        deviations: what differs from the paper, and may explain gaps.
    """

    name: str
    title: str
    link: str
    about: tuple[str, ...]
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
        names = (
            *(one.table for one in self.figures),
            *(one.part for one in self.claims),
            *(one.part for one in self.exhibits),
        )
        return tuple(dict.fromkeys(map(part_name, names)))

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
        of_figures, of_claims, of_exhibits = (
            [node for one in some for node in one.nodes] for some in (self.figures, self.claims, self.exhibits)
        )
        of_floors = [reading.node for one in self.figures for floor in one.floors for reading in floor.asked]
        return list(dict.fromkeys((*of_figures, *of_claims, *of_exhibits, *of_floors)))


def part_name(part: str) -> str:
    """A part's name as it is typed and as its files are called: "Table 1" is "table-1"."""
    return plain_name(part).lower()


def across_seeds(tables: Sequence[Sequence[Figure]]) -> tuple[Figure, ...]:
    """The same tables of several seeds as one: each figure with the nodes of all."""

    def joined(same: Sequence[Figure]) -> Figure:
        nodes = tuple(node for one in same for node in one.nodes)
        return replace(same[0], nodes=nodes, floors=tuple(floor for one in same for floor in one.floors))

    return tuple(map(joined, zip(*tables, strict=True)))


def seeds_in_words(seeds: int) -> str:
    """What the number of trainings means for intervals."""
    if seeds == 1:
        return "One training of each net: intervals hold the error of the test sample alone."
    return f"{seeds} trainings of each net: {OVER_TRAININGS}."


def pixels_in_words(data: DataSource) -> tuple[str, ...]:
    """What is to be said of data whose files are not the publisher's; nothing of others."""
    if NOT_ORIGINAL not in data.name:
        return ()
    return (
        f"The files of {data.typed} that were at hand do not hold the original pixels. Where they are JPEG copies of "
        "CIFAR-10 (quality 75), images lie about 1.7 in L2 from the originals, further than perturbations of L2 0.5 "
        "reach. On the original files in FOLDER: the same command with --data-dir FOLDER.",
    )


def find_data(name: str, folder: Path | None) -> DataSource | None:
    """A data set, if it is found without a download."""
    try:
        load(name, folder, download=False)
    except BrittleError:
        return None
    return DataSource.of(name, folder)
