"""From a paper and a store of finished nodes to one record, and its tables as CSV and LaTeX."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from brittle.audits import provenance
from brittle.ground import BrittleError, pick_device
from brittle.studies import Node, Store, all_nodes, hash_of

from .exhibits import KINDS
from .paper import Claim, Figure, Paper, Results, Share, Verdict, part_name, shares_of

FORMAT = "brittle-paper/2"
Images = dict[str, Tensor]
WIDE = 20  # points: where interval and slack reach further to each side, agreement would say nothing


def measure_paper(paper: Paper, store: Store, device: str, command: str) -> tuple[dict[str, Any], Images]:
    """The record of a paper whose nodes are all in the store, and the images that its exhibits show."""
    results = Results(store)
    shown, images = [], Images()
    for count, one in enumerate(paper.exhibits):
        data, pictures = KINDS[one.kind](one, results)
        shown.append({"kind": one.kind, "part": one.part, "title": one.title, "note": one.note, "data": data})
        images |= {f"{count}.{name}": tensor for name, tensor in pictures.items()}
    runs = [results.record_of(node)["run"] for node in all_nodes(paper.nodes)]
    run = provenance(pick_device(device), sum(run["seconds"] for run in runs), paper.seeds[0])
    made = {
        key: "; ".join(sorted({str(run.get(key) or "not recorded") for run in runs}))
        for key in ("hardware", "precision", "commit")
    }
    record = {
        "format": FORMAT,
        "name": paper.name,
        "title": paper.title,
        "scale": paper.scale,
        "seeds": list(paper.seeds),
        "bibtex": paper.bibtex,
        "figures": [_row(figure, results, paper.carries) for figure in paper.figures],
        "slack": paper.slack,
        "statements": [_sentence(one, results, paper.carries) for one in paper.claims],
        "exhibits": shown,
        "deviations": list(paper.deviations),
        "run": run | made | {"command": command},
    }
    return record, images


def _sentence(one: Claim, results: Results, carries: bool) -> dict[str, Any]:
    verdict, evidence = one.judge(results)
    said = {"part": one.part, "name": one.name, "claim": one.claim, "where": one.where, "rule": one.rule}
    if carries:
        return said | {"verdict": verdict, "evidence": evidence}
    return said | {"verdict": "open", "evidence": f"{evidence} (this scale cannot carry the claim)"}


class Again(NamedTuple):
    """A figure measured twice, and whether the second time lies in the interval of the first."""

    what: str
    stored: Share
    again: Share

    @property
    def comes_back(self) -> bool:
        low, high = self.stored["interval"]
        return bool(low <= self.again["accuracy"] <= high)


def compare_again(node: Node, store: Store, folder: Path) -> list[Again]:
    """The accuracies of a stored node beside those that `studies.recompute` left in `folder`."""
    (name,) = (name for name in node.results if name.endswith(".json"))
    again = shares_of(json.loads((folder / name).read_text()))
    return [Again(what, share, again[what]) for what, share in accuracies(node, store).items()]


def accuracies(node: Node, store: Store) -> dict[str, Share]:
    """The accuracies that a stored node holds, by what they are of.

    Raises:
        BrittleError: a node without any, such as a net.
    """
    if not (found := Results(store).shares(node)):
        raise BrittleError(f"{node.title} holds no accuracy to compare")
    return found


def _row(figure: Figure, results: Results, carries: bool) -> dict[str, Any]:
    share = results.pooled(figure.nodes, figure.read)
    return {
        "table": figure.table,
        "row": figure.row,
        "column": figure.column,
        "printed": figure.printed,
        "certainty": figure.certainty,
        "measured": dict(share),
        "slack": figure.slack,
        "verdict": _verdict(figure, share) if carries else "open",
        "node": " ".join(hash_of(node)[:16] for node in figure.nodes),
        "what": figure.nodes[0].title,
    }


def _verdict(figure: Figure, share: Share) -> Verdict:
    low, high = (100 * end for end in share["interval"])
    if figure.printed is None or figure.slack is None or (high - low) / 2 + figure.slack > WIDE:
        return "open"
    return "agrees" if low - figure.slack <= figure.printed <= high + figure.slack else "differs"


def tables(record: dict[str, Any]) -> dict[str, str]:
    """The record's tables as file names and texts: one CSV and one LaTeX file each."""
    names = list(dict.fromkeys(figure["table"] for figure in record["figures"]))
    files = {}
    for name in names:
        figures = [figure for figure in record["figures"] if figure["table"] == name]
        plain = part_name(name)
        files[f"{plain}.csv"], files[f"{plain}.tex"] = _csv(figures), _latex(figures)
    heads = ("name", "verdict", "evidence", "claim", "where", "rule")
    files["sentences.csv"] = _lines([heads, *([one[head] for head in heads] for one in record["statements"])])
    return files


def _lines(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _csv(figures: list[dict[str, Any]]) -> str:
    rows: list[Sequence[Any]] = [
        ("row", "column", "printed", "measured", "low", "high", "n", "verdict", "certainty", "node"),
    ]
    for one in figures:
        share = one["measured"]
        ours = (f"{100 * value:.2f}" for value in (share["accuracy"], *share["interval"]))
        rows.append(
            (
                one["row"],
                one["column"],
                one["printed"],
                *ours,
                share["n"],
                one["verdict"],
                one["certainty"],
                one["node"],
            )
        )
    return _lines(rows)


def _latex(figures: list[dict[str, Any]]) -> str:
    rows, columns = (list(dict.fromkeys(one[key] for one in figures)) for key in ("row", "column"))
    cells = {(one["row"], one["column"]): one for one in figures}

    def cell(row: str, column: str) -> str:
        one = cells.get((row, column))
        if one is None:
            return "--"
        printed = "" if one["printed"] is None else f" ({one['printed']:g})"
        return f"{100 * one['measured']['accuracy']:.1f}{printed}"

    lines = [" & ".join((row, *(cell(row, column) for column in columns))) + r" \\" for row in rows]
    head = " & ".join(("", *columns)) + r" \\"
    body = "\n".join((r"\toprule", head, r"\midrule", *lines, r"\bottomrule")).replace("%", r"\%").replace("_", r"\_")
    return f"% ours (printed), per cent\n\\begin{{tabular}}{{l{'r' * len(columns)}}}\n{body}\n\\end{{tabular}}\n"
