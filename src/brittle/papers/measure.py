"""From a paper and a store of finished nodes to one record, and its tables as CSV and LaTeX."""

import csv
import io
import json
from typing import Any

import torch
from torch import Tensor

from brittle.audits import circumstances
from brittle.ground import pick_device
from brittle.learning import load_tensors
from brittle.studies import Attack, Node, Store, hash_of

from .paper import Figure, Paper, Results, Share, Statement, Verdict

FORMAT = "brittle-paper/1"


def measured(paper: Paper, store: Store, device: str, command: str) -> dict[str, Any]:
    """The record of a paper whose nodes are all in the store."""

    def record_of(node: Node) -> dict[str, Any]:
        folder, _ = store.read(hash_of(node))
        if folder is None:
            raise LookupError(f"{node.title} is not in the store")
        name = next(name for name in node.results if name.endswith(".json"))
        return dict(json.loads((folder / name).read_text()))

    results = Results(record_of)
    statements = [_sentence(one, results, paper.carries) for one in paper.statements]
    seconds = sum(record_of(node)["run"]["seconds"] for node in paper.nodes)
    return {
        "format": FORMAT,
        "name": paper.name,
        "title": paper.title,
        "scale": paper.scale,
        "bibtex": paper.bibtex,
        "figures": [_row(figure, results, paper.carries) for figure in paper.figures],
        "slack": paper.slack,
        "statements": statements,
        "walks": {name: record_of(node) for name, node in paper.walks.items()},
        "audits": {name: _short(record_of(node)) for name, node in paper.audits.items()},
        "curvature": {name: record_of(node)["points"] for name, node in paper.bends.items()},
        "deviations": list(paper.deviations),
        "run": circumstances(pick_device(device), seconds, 0) | {"command": command},
    }


def _sentence(one: Statement, results: Results, carries: bool) -> dict[str, Any]:
    verdict, evidence = one.judge(results)
    said = {"name": one.name, "claim": one.claim, "where": one.where, "rule": one.rule}
    if carries:
        return said | {"verdict": verdict, "evidence": evidence}
    return said | {"verdict": "open", "evidence": f"{evidence} (this scale cannot carry the claim)"}


def wall(paper: Paper, store: Store, count: int = 12) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Randomly chosen images (by the node's seed) that an attack turned: what is said of each, and clean and attacked images."""
    node = paper.wall[1]
    folder, _ = store.read(hash_of(node))
    if folder is None or not isinstance(node, Attack):
        raise LookupError(f"{node.title} is not in the store")
    found, _ = load_tensors(folder / "attack.safetensors")
    turned = (found["broken"] & ~found["wrong"]).nonzero().squeeze(1)
    order = torch.randperm(len(turned), generator=torch.Generator().manual_seed(node.seed))
    rows = turned[order][:count]
    test = node.data.load().test
    clean, moved = test.x(rows), found["x_adv"][rows]
    sizes = node.threat.size(moved.double() - clean.double()).tolist()
    said = [
        {"index": row, "label": int(test.labels[row]), "answer": int(found["answers"][row]), "size": size}
        for row, size in zip(rows.tolist(), sizes, strict=True)
    ]
    return said, {"clean": test.images[rows], "adversarial": moved}


def _row(figure: Figure, results: Results, carries: bool) -> dict[str, Any]:
    share = results.share(figure.node, figure.read)
    return {
        "table": figure.table,
        "row": figure.row,
        "column": figure.column,
        "printed": figure.printed,
        "certainty": figure.certainty,
        "measured": dict(share),
        "slack": figure.slack,
        "verdict": _verdict(figure, share) if carries else "open",
        "node": hash_of(figure.node)[:16],
        "what": figure.node.title,
    }


def _verdict(figure: Figure, share: Share) -> Verdict:
    if figure.printed is None:
        return "open"
    low, high = (100 * end for end in share["interval"])
    return "agrees" if low - figure.slack <= figure.printed <= high + figure.slack else "differs"


def _short(record: dict[str, Any]) -> dict[str, Any]:
    """An audit without its single examples."""
    return {key: value for key, value in record.items() if key not in ("examples", "wall")}


def tables(record: dict[str, Any]) -> dict[str, str]:
    """The record's tables as file names and texts: one CSV and one LaTeX file each."""
    names = list(dict.fromkeys(figure["table"] for figure in record["figures"]))
    files = {}
    for name in names:
        figures = [figure for figure in record["figures"] if figure["table"] == name]
        plain = name.lower().replace(" ", "-")
        files[f"{plain}.csv"], files[f"{plain}.tex"] = _csv(figures), _latex(figures)
    return files


def _csv(figures: list[dict[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("row", "column", "printed", "measured", "low", "high", "n", "verdict", "certainty", "node"))
    for one in figures:
        share = one["measured"]
        ours = (100 * value for value in (share["accuracy"], *share["interval"]))
        cells = (one["row"], one["column"], one["printed"], *(f"{value:.2f}" for value in ours), share["n"])
        writer.writerow((*cells, one["verdict"], one["certainty"], one["node"]))
    return text.getvalue()


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
