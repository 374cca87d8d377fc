"""A paper's record as files for papers and talks: each table as CSV and as LaTeX, and the claims as CSV."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

from .paper import part_name

CLAIM_HEADS = ("name", "verdict", "evidence", "claim", "where", "rule")
FIGURE_HEADS = ("row", "column", "printed", "measured", "low", "high", "n", "untrained", "verdict", "certainty", "node")


def table_files(record: dict[str, Any]) -> dict[str, str]:
    """File names and texts: one CSV and one LaTeX file of each table, and `claims.csv`."""
    files = {}
    for name in dict.fromkeys(figure["table"] for figure in record["figures"]):
        figures = [figure for figure in record["figures"] if figure["table"] == name]
        plain = part_name(name)
        files[f"{plain}.csv"], files[f"{plain}.tex"] = _csv_table(figures), _latex_table(figures)
    claims = ([one[head] for head in CLAIM_HEADS] for one in record["claims"])
    files["claims.csv"] = _csv_text([CLAIM_HEADS, *claims])
    return files


def _csv_text(rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def _csv_table(figures: list[dict[str, Any]]) -> str:
    rows: list[Sequence[Any]] = [FIGURE_HEADS]
    for one in figures:
        share = one["measured"]
        ours = [f"{100 * value:.2f}" for value in (share["accuracy"], *share["interval"])]
        said = [one["verdict"], one["certainty"], one["node"]]
        rows.append([one["row"], one["column"], one["printed"], *ours, share["n"], one.get("untrained", 0), *said])
    return _csv_text(rows)


def _latex_table(figures: list[dict[str, Any]]) -> str:
    rows, columns = (list(dict.fromkeys(one[key] for one in figures)) for key in ("row", "column"))
    cells = {(one["row"], one["column"]): _latex_cell(one) for one in figures}
    lines = [" & ".join((row, *(cells.get((row, column), "--") for column in columns))) + r" \\" for row in rows]
    head = " & ".join(("", *columns)) + r" \\"
    body = "\n".join((r"\toprule", head, r"\midrule", *lines, r"\bottomrule")).replace("%", r"\%").replace("_", r"\_")
    return f"% ours (printed), per cent\n\\begin{{tabular}}{{l{'r' * len(columns)}}}\n{body}\n\\end{{tabular}}\n"


def _latex_cell(one: dict[str, Any]) -> str:
    printed = "" if one["printed"] is None else f" ({one['printed']:g})"
    return f"{100 * one['measured']['accuracy']:.1f}{printed}"
