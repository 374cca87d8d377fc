"""What a run shows on the terminal: one live line per node, results as tables, or JSON."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from brittle.studies import Event

console = Console(stderr=True, highlight=False)
out = Console(highlight=False, soft_wrap=True)
QUIET = 20.0  # seconds between lines where there is no terminal
SIGNS = {"fine": "[green]ok  [/]", "warn": "[yellow]warn[/]", "bad": "[red]BAD [/]", "skipped": "[dim]----[/]"}


def follow(events: Iterator["Event"]) -> Path:
    """Show progress with the time left on stderr (as a line now and then where that is no terminal); the last event's folder."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("[dim]{task.fields[said]}"),
    )
    tasks: dict[str, TaskID] = {}
    told = time.monotonic()
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        for event in events:
            if event.warning:
                bar.console.print(f"[yellow]note:[/] {event.warning}")
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


def audit_table(records: list[dict[str, Any]]) -> Table:
    """Models in rows; clean accuracy, robust accuracy per threat, and their union in columns."""
    table = Table(title="accuracy with 95 % interval", title_justify="left")
    table.add_column("model")
    for name in ("clean", *(threat["threat"] for threat in records[0]["threats"]), "union"):
        table.add_column(name, justify="right")
    for record in records:
        cells = [record["clean"], *(threat["robust"] for threat in record["threats"]), record["union"]]
        table.add_row(record["model"]["name"], *(_cell(cell) for cell in cells))
    return table


def _cell(proportion: dict[str, Any]) -> str:
    low, high = proportion["interval"]
    return f"[bold]{100 * proportion['accuracy']:.1f}[/] [dim]{100 * low:.1f}-{100 * high:.1f}[/]"


def findings_table(findings: list[dict[str, Any]]) -> Table:
    """Findings with sign, what was seen and what to do."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for finding in findings:
        hint = f" [italic]-> {finding['hint']}[/]" if finding["hint"] and finding["level"] in ("warn", "bad") else ""
        table.add_row(SIGNS[finding["level"]], finding["name"], finding["text"] + hint)
    return table


def as_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, indent=1)
    sys.stdout.write("\n")
