"""From a paper and a store of finished nodes to one record; and a stored node beside the same computed again."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from brittle.audits import provenance
from brittle.ground import BrittleError, pick_device
from brittle.studies import Node, Store, all_nodes, hash_of

from .paper import Claim, Exhibit, Figure, Paper, Verdict
from .results import Results, Share, record_in, shares_of

FORMAT = "brittle-paper/3"
Images = dict[str, Tensor]
WIDE = 20  # points: where interval and slack reach further to each side, agreement would say nothing


def measure_paper(paper: Paper, store: Store, device: str, command: str) -> tuple[dict[str, Any], Images]:
    """The record of a paper whose nodes are all in the store, and the images that its exhibits show.

    Images are named "COUNT.ROLE": the exhibit's place, and what its data call them.
    """
    results = Results(store)
    exhibits, images = exhibit_records(paper.exhibits, results)
    record = {
        "format": FORMAT,
        "name": paper.name,
        "title": paper.title,
        "link": paper.link,
        "about": list(paper.about),
        "scale": paper.scale,
        "seeds": list(paper.seeds),
        "bibtex": paper.bibtex,
        "figures": (figures := [figure_record(one, results, carries=paper.carries) for one in paper.figures]),
        "agreement": agreement(figures),
        "slack": paper.slack,
        "claims": [claim_record(one, results, carries=paper.carries) for one in paper.claims],
        "exhibits": exhibits,
        "deviations": list(paper.deviations),
        "run": _run_record(paper, results, device) | {"command": command},
    }
    return record, images


def _run_record(paper: Paper, results: Results, device: str) -> dict[str, Any]:
    """Time, hardware, precision and commit of all nodes together."""
    runs = [results.record_of(node)["run"] for node in all_nodes(paper.nodes)]
    run: dict[str, Any] = provenance(pick_device(device), sum(run["seconds"] for run in runs), paper.seeds[0])
    for key in ("hardware", "precision", "commit"):
        run[key] = "; ".join(sorted({str(run.get(key) or "not recorded") for run in runs}))
    return run


def exhibit_records(exhibits: Sequence[Exhibit], results: Results) -> tuple[list[dict[str, Any]], Images]:
    """What each exhibit shows, as JSON, and the images of all."""
    records, images = [], Images()
    for count, one in enumerate(exhibits):
        data, pictures = one.show(results)
        records.append({"kind": one.kind, "part": one.part, "title": one.title, "note": one.note, "data": data})
        images |= {f"{count}.{role}": tensor for role, tensor in pictures.items()}
    return records, images


def claim_record(one: Claim, results: Results, *, carries: bool) -> dict[str, Any]:
    """A claim with its ruling, as JSON; open where the scale carries no verdict."""
    verdict, evidence = one.evidence(results).ruling()
    if not carries:
        verdict, evidence = "open", f"{evidence} (this scale cannot carry the claim)"
    words = {"part": one.part, "name": one.name, "claim": one.claim, "where": one.where, "rule": one.rule}
    return words | {"verdict": verdict, "evidence": evidence}


def figure_record(figure: Figure, results: Results, *, carries: bool) -> dict[str, Any]:
    """A figure as it is printed and as it is measured, as JSON; open where the scale carries no verdict.

    Measured are the nets that are trained, and `untrained` counts the others; where none is, it is measured of them.
    """
    counted = figure.counted(results)
    share = results.pooled(counted or figure.nodes, figure.read)
    left_out = len(figure.nodes) - len(counted)
    return {
        "table": figure.table,
        "row": figure.row,
        "column": figure.column,
        "printed": figure.printed,
        "certainty": figure.certainty,
        "measured": share.record(),
        "slack": figure.slack,
        "verdict": figure_verdict(figure, share, results) if carries else "open",
        "of_zero": figure_verdict(figure, Share.of(0, share.n), results) if carries else "open",
        "read": figure.read,
        "node": " ".join(hash_of(node)[:16] for node in figure.nodes),
        "what": figure.nodes[0].title,
    } | ({"untrained": left_out} if left_out else {})


def agreement(figures: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Of each table with verdicts a sentence on its robust figures: clean ones agree by themselves, and where little is
    robust a net that keeps nothing agrees too, so that its count stands beside ours."""
    said = {}
    for table in dict.fromkeys(figure["table"] for figure in figures):
        some = [
            one for one in figures if one["table"] == table and one["read"] != "clean" and one["printed"] is not None
        ]
        judged = [one for one in some if one["verdict"] in ("agrees", "differs")]
        agree, of_zero = (sum(one[key] == "agrees" for one in judged) for key in ("verdict", "of_zero"))
        untrained = sum(one["verdict"] == "not trained" for one in some)
        if judged:
            left_out = f"; {untrained} more are of nets that are not trained, and not judged" if untrained else ""
            said[table] = (
                f"{agree} of {len(judged)} robust figures agree with the printed ones (a net that keeps nothing would "
                f"agree with {of_zero}){left_out}"
            )
    return said


def figure_verdict(figure: Figure, share: Share, results: Results) -> Verdict:
    """Whether the printed figure lies in our interval widened by the slack; open where that is too wide to tell."""
    if not figure.counted(results):
        return "not trained"
    if figure.printed is None or figure.slack is None:
        return "open"
    low, high = 100 * share.low - figure.slack, 100 * share.high + figure.slack
    if (high - low) / 2 > WIDE:
        return "open"
    return "agrees" if low <= figure.printed <= high else "differs"


class Repetition(NamedTuple):
    """A figure measured twice, and whether the second time lies in the interval of the first."""

    what: str
    stored: Share
    again: Share

    @property
    def comes_back(self) -> bool:
        return self.stored.low <= self.again.accuracy <= self.stored.high


def compare_with_stored(node: Node, store: Store, folder: Path) -> list[Repetition]:
    """The accuracies of a stored node beside those that `studies.recompute` left in `folder`."""
    again = shares_of(record_in(folder, node))
    return [Repetition(what, share, again[what]) for what, share in accuracies(node, store).items()]


def accuracies(node: Node, store: Store) -> dict[str, Share]:
    """The accuracies that a stored node holds, by what they are of.

    Raises:
        BrittleError: a node without any, such as a curvature.
    """
    if not (found := Results(store).shares(node)):
        raise BrittleError(f"{node.title} holds no accuracy to compare")
    return found
