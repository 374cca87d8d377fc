"""What a run shows on the terminal: one live line per node, results as tables, or JSON."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from brittle.audits import Judgement
    from brittle.science import Curvature
    from brittle.studies import GraphProgress, GraphStatus, NodeEvent, PlanRow

PLAIN: dict[str, Any] = {"highlight": False, "markup": False, "emoji": False}  # names and paths are shown as they are
console = Console(stderr=True, **PLAIN)
out = Console(soft_wrap=True, **PLAIN)
QUIET = 20.0  # seconds between lines where there is no terminal
SILENT = 60.0  # seconds after which a graph that says nothing is taken to have been killed
VERDICTS = {"agrees": ("=", "green"), "differs": ("≠", "red"), "open": (" ", ""), "not trained": ("∅", "")}
SIGNS = {
    "fine": ("ok  ", "green"),
    "note": ("note", ""),
    "warn": ("warn", "yellow"),
    "bad": ("BAD ", "red"),
    "skipped": ("----", "dim"),
}


def noted(text: str, word: str = "note") -> Text:
    """A line that begins with a coloured word."""
    return Text.assemble((f"{word}:", "yellow"), f" {text}")


def follow(events: Iterator["NodeEvent"]) -> Path:
    """Show progress with the time left on stderr (as a line now and then where that is no terminal); the last event's
    folder."""
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[said]}", style="dim", markup=False),
    )
    tasks: dict[str, TaskID] = {}
    told = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        for event in events:
            if event.warning:
                bar.console.print(noted(event.warning))
            if event.title not in tasks:
                tasks[event.title] = bar.add_task(event.title, total=event.total, said="")
            total, done = (event.total, event.done) if event.folder is None else (1, 1)
            bar.update(tasks[event.title], completed=done, total=total, said=event.text)
            if not console.is_terminal and (event.folder or time.monotonic() - told > QUIET):
                console.print(f"{event.title}: {done / max(total, 1):.0%} {event.text}", soft_wrap=True)
                told = time.monotonic()
            folder = event.folder
    assert folder is not None, "the last event carries the folder"
    return folder


def follow_graph(moves: Iterator["GraphProgress"]) -> bool:
    """One bar over all nodes with the time left, and what is being done; a line now and then where there is no
    terminal. Whether all nodes were done."""
    columns = (TextColumn("{task.fields[nodes]}"), BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("left"))
    told, began = time.monotonic(), time.monotonic()
    with Progress(
        *columns,
        TextColumn("{task.fields[left]}  {task.description}", markup=False),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task("", total=1.0, nodes="", left="")
        for move in moves:
            if move.warning:
                bar.console.print(noted(move.warning))
            share, spent = move.seconds / max(move.of_seconds, 1e-9), time.monotonic() - began
            pace = (
                spent / move.seconds if move.seconds > 5 else 1.0
            )  # planned seconds against true ones, once there are some
            left = _clock((move.of_seconds - move.seconds) * pace)
            nodes = f"{move.nodes} of {move.of_nodes} nodes"
            bar.update(task, completed=share, description=move.text[:100], nodes=nodes, left=left)
            if not console.is_terminal and (move.nodes == move.of_nodes or time.monotonic() - told > QUIET):
                console.print(f"{nodes}, {share:.0%}, about {left} left: {move.text}", soft_wrap=True)
                told = time.monotonic()
    return move.nodes == move.of_nodes


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def plan_table(rows: list["PlanRow"]) -> Table:
    """Every node with its cost, and the sum of what is left to do."""
    left = [row for row in rows if not row.stored]
    clock = _clock(sum(row.seconds for row in left))
    total = f"{len(left)} of {len(rows)} nodes left, about {clock} on this machine, node after node"
    table = Table(title=total, title_justify="left")
    for name, justify in (("node", "left"), ("gradients", "right"), ("seconds", "right"), ("", "left")):
        table.add_column(name, justify=justify)  # type: ignore[arg-type]
    for row in rows:
        table.add_row(row.node.title, f"{row.gradients:,.0f}", f"{row.seconds:.0f}", "stored" if row.stored else "")
    return table


def graph_table(graph: "GraphStatus") -> Table:
    """The nodes of a graph that are running or have failed; how many others there are, and what it cost, above."""
    done, silent = graph.count("stored", "done"), time.time() - graph.heard
    state = "ended" if graph.ended else "running" if silent < SILENT else f"not heard of for {_clock(silent)}"
    counts = [f"{done} of {len(graph.nodes)} nodes"] + [
        f"{count} {word}" for word in ("running", "waiting", "failed") if (count := graph.count(word))
    ]
    cost = f"{_clock(graph.seconds)} of computing in {_clock(graph.heard - graph.began)}"
    title = f"{graph.machine} {graph.process} on {graph.on}, {state}: {', '.join(counts)}; {cost}"
    shown = [node for node in graph.nodes if node.state in ("running", "failed")]
    table = Table(title=title, title_justify="left", box=None, show_header=bool(shown))
    for name in ("node", "where", "done", "time", ""):
        table.add_column(name, justify="right" if name in ("done", "time") else "left", overflow="fold")
    for node in shown:
        said = Text(node.text) if node.state == "running" else Text.assemble(("failed:", "red"), " ", node.text)
        table.add_row(node.title, node.where, f"{node.share:.0%}", _clock(node.seconds), said)
    return table


def plan_told(title: str, cost: dict[str, Any]) -> str:
    """What a piece of work costs, in one line."""
    line = f"{title}: about {cost['gradients']:,.0f} gradients, {cost['seconds']:,.0f} s here"
    return line + ("; it is stored, and costs nothing" if cost["stored"] else "")


def audit_told(record: dict[str, Any]) -> list[RenderableType]:
    """What is said of an audit: its figures, what checks found, the verdict, and what to do next."""
    told = [check for check in record["checks"] if check["level"] != "fine" or check["name"] == "proofs"]
    verdict = record["verdict"]
    said = Text.assemble((verdict["level"], "bold"), f": {verdict['sentence']}")
    said.append(f"\nNext: {verdict['next']}" if verdict["next"] else "")
    return [audit_table([record]), findings_table(told), said]


def tell(record: Any, lines: Sequence[RenderableType], machine: bool) -> None:
    """The record as JSON where a machine reads it, else the lines."""
    if machine:
        as_json(record)
        return
    for line in lines:
        out.print(line)


def paper_tables(record: dict[str, Any]) -> list[Table]:
    """Each table of a paper, ours with the printed figure in brackets and a sign for the verdict; then the
    claims."""
    tables = []
    for name in dict.fromkeys(figure["table"] for figure in record["figures"]):
        figures = [figure for figure in record["figures"] if figure["table"] == name]
        said = record.get("agreement", {}).get(name)
        table = Table(title=f"{name}: ours (printed)", title_justify="left", caption=said, caption_justify="left")
        rows, columns = (list(dict.fromkeys(figure[key] for figure in figures)) for key in ("row", "column"))
        cells = {(figure["row"], figure["column"]): _printed(figure) for figure in figures}
        if len(columns) > len(rows):  # terminals are taller than wide
            rows, columns, cells = columns, rows, {(column, row): cell for (row, column), cell in cells.items()}
        for column in ("", *columns):
            table.add_column(column, justify="left" if not column else "right")
        for row in rows:
            table.add_row(row, *(cells.get((row, column), "") for column in columns))
        tables.append(table)
    claims = Table(title="claims", title_justify="left")
    for head in ("", "verdict", "evidence"):
        claims.add_column(head)
    for one in record["claims"]:
        claims.add_row(one["name"], Text.assemble(VERDICTS[one["verdict"]], f" {one['verdict']}"), one["evidence"])
    return [*tables, claims] if record["claims"] else tables


def _printed(figure: dict[str, Any]) -> Text:
    printed = "" if figure["printed"] is None else f" ({figure['printed']:g})"
    measured = f"{100 * figure['measured']['accuracy']:.1f}{printed} "
    return Text.assemble(measured, VERDICTS[figure["verdict"]])


def audit_table(records: list[dict[str, Any]]) -> Table:
    """Clean accuracy, robust accuracy per threat, and their union in rows; models in columns, what is proved behind
    each."""
    table = Table(title="accuracy with 95 % interval", title_justify="left")
    columns: dict[str, list[str | Text]] = {
        "": ["clean", *(threat["threat"] for threat in records[0]["threats"]), "union"]
    }
    for record in records:
        found = [record["clean"], *(threat["robust"] for threat in record["threats"]), record["union"]]
        proved = [None, *(threat.get("proved") for threat in record["threats"]), record.get("union_proved")]
        columns[record["model"]["name"]] = [_cell(cell) for cell in found]
        if any(proved):
            columns[f"{record['model']['name']}, proved"] = [_cell(cell) if cell else "" for cell in proved]
    for name in columns:
        table.add_column(name, justify="right" if name else "left")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def judgements_table(found: list["Judgement"]) -> Table:
    """Threats in rows; in columns what became of the adversarial images, and how many of theirs withstand, which is
    not the model's robust accuracy where the file holds only some of the images."""
    table = Table(
        title=f"{found[0].n} adversarial images, {found[0].right} of images the model gets right", title_justify="left"
    )
    for name in (
        "threat",
        "in [0, 1]",
        "allowed",
        "largest change",
        "fool",
        "withstand, of those in the file",
        "in 8 bits",
    ):
        table.add_column(name, justify="left" if name == "threat" else "right")
    for one in found:
        counts = (one.in_box, one.allowed, f"{one.largest:.4g}", one.fooled)
        cells = [_cell(share.record()) for share in (one.robust, one.robust_8bit)]
        table.add_row(one.threat, *map(str, counts), *cells)
    return table


def _cell(proportion: dict[str, Any]) -> Text:
    low, high = proportion["interval"]
    return Text.assemble(
        (f"{100 * proportion['accuracy']:.1f}", "bold"), " ", (f"{100 * low:.1f}-{100 * high:.1f}", "dim")
    )


def curvature_table(figures: list["Curvature"], threat: str) -> Table:
    """Points in rows; gradient length, largest eigenvalue and linearity error, with their intervals, in columns."""
    table = Table(title=f"curvature of the loss in {threat}, {figures[0].n} images", title_justify="left")
    for name in ("where", "gradient length", "top eigenvalue", "linearity error", "gradient 0"):
        table.add_column(name, justify="left" if name == "where" else "right", overflow="fold")
    for figure in figures:
        cells = [
            Text.assemble(f"{one.mean:.3g} ", (f"{one.low:.2g}..{one.high:.2g}", "dim"))
            for one in (figure.gradient, figure.eigenvalue, figure.linearity)
        ]
        table.add_row(figure.where, *cells, f"{figure.flat:.0%}")
    return table


def attacks_table(rows: dict[str, dict[str, Any]]) -> Table:
    """Every attack: threats, cost per image (images shown, gradients asked), settings with their defaults."""
    table = Table(title="attacks (cost per image: images shown + gradients)", title_justify="left")
    for name in ("name", "what", "threats", "cost", "settings"):
        table.add_column(name, overflow="fold")
    for name, row in rows.items():
        settings = " ".join(f"{key}={value}" for key, value in row["settings"].items())
        cost = f"{row['cost']['forwards']:g} + {row['cost']['backwards']:g}"
        table.add_row(
            name,
            Text.assemble(f"{row['what']} ", (f"({row['source']})", "dim")),
            " ".join(row["threats"]),
            cost,
            settings,
        )
    return table


def attacks_markdown(rows: dict[str, dict[str, Any]]) -> str:
    """The same as a page of the documentation."""
    lines = [
        "# Attacks",
        "",
        "Written by `make docs` from the registry; [one file adds one](adding-an-attack.md). Costs are per image, with",
        "the settings left alone: images shown + gradients asked. `brittle attacks` tells the settings.",
        "",
        "| name | what | threats | cost | loss | source |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        cost = f"{row['cost']['forwards']:g} + {row['cost']['backwards']:g}"
        cells = (f"`{name}`", row["what"], ", ".join(row["threats"]), cost, row["loss"] or "its own", row["source"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def features_table(record: dict[str, Any]) -> Table:
    """How many features bear each verdict, and the most useful ones of each."""
    verdicts = dict.fromkeys(one["verdict"] for one in record["features"])
    table = Table(
        title=f"{len(record['features'])} features ({record['kind']}) in {record['threat']}", title_justify="left"
    )
    for name in ("verdict", "how many", "most useful", "rho", "gamma"):
        table.add_column(name, justify="left" if name in ("verdict", "most useful") else "right")
    for verdict in verdicts:
        some = [one for one in record["features"] if one["verdict"] == verdict]
        for row, one in enumerate(some[:3]):
            gamma = "" if one["gamma"] is None else f"{one['gamma']['mean']:.2f}"
            what = f"{one['name']} {'for' if one['sign'] > 0 else 'against'} {one['target']}"
            table.add_row(
                *((verdict, str(len(some))) if row == 0 else ("", "")), what, f"{one['rho']['mean']:.2f}", gamma
            )
    return table


def findings_table(findings: list[dict[str, Any]]) -> Table:
    """Findings with sign, what was seen and what to do."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        told = finding["hint"] and finding["level"] in ("note", "warn", "bad")
        hint = (f" -> {finding['hint']}" if told else "", "italic")
        where = f" in {finding['threat']}" if finding.get("threat") else ""
        table.add_row(Text(*SIGNS[finding["level"]]), finding["name"] + where, Text.assemble(finding["text"], hint))
    return table


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, indent=1)
    sys.stdout.write("\n")
