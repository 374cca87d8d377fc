"""Verbs that only look, and the quickstart."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .app import app
from .given import Given, about_a_model, sized
from .options import DataDir, Device, Json, OneThreat, Out, PageOut, Seed, Size, threat_of

if TYPE_CHECKING:
    from brittle.learning import DataSpec


@app.command()
def quickstart(
    data: Annotated[str, typer.Option("--data", help="digits, or mnist for a larger scale")] = "digits",
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train two nets, audit both in three norms, write a page."""
    from rich.text import Text

    from .quickstart import quick
    from .terminal import as_json, audit_table
    from .terminal import out as terminal

    page, records = quick(data, data_dir, out or Path("runs") / f"quickstart-{data}", seed, device)
    if json:
        as_json({"page": str(page), "audits": records})
        return
    terminal.print(audit_table(records))
    for record in records:
        verdict = record["verdict"]
        terminal.print(
            Text.assemble(f"{record['model']['name']}: ", (verdict["level"], "bold"), f". {verdict['sentence']}")
        )
    terminal.print(f"The page: {page}")


@app.command()
@about_a_model
def doctor(
    given: Given,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Look whether a model is fit to be attacked (else status 1)."""
    from brittle.attacks import fitting_batch
    from brittle.audits import doctor as look

    from .terminal import as_json, findings_table
    from .terminal import out as terminal

    target, part, _ = given.loaded(100, device)
    part = part.take(min(len(part), max(20, fitting_batch(target, part.x(slice(1))))))
    findings = [finding._asdict() for finding in look(target, part.x(), part.labels)]
    if json:
        as_json(findings)
    else:
        terminal.print(findings_table(findings))
        for option in filter(None, (finding["option"] for finding in findings)):
            then = shlex.join(["brittle", *sys.argv[1:], *option.split()])
            terminal.print(f"Next: {then}")
    if any(finding["level"] == "bad" for finding in findings):
        raise typer.Exit(1)


@app.command()
@about_a_model
def curvature(
    given: Given,
    threat: OneThreat = None,
    n: Annotated[str, typer.Option("-n", help="number of test images, or all")] = "100",
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure how the loss bends at the data and on attack paths."""
    from brittle.science import curvature as measure

    from .terminal import as_json, curvature_table
    from .terminal import out as terminal

    target, part, name = given.loaded(n, device)
    within = threat_of(threat, name)
    figures = measure(target, (part.x(), part.labels), within, seed=seed)
    if json:
        as_json({"threat": str(within), "seed": seed, "points": [figure.record() for figure in figures]})
    else:
        terminal.print(curvature_table(figures, str(within)))


@app.command()
def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="folders with audit.json, or one with paper.json, or one of many runs"),
    ],
    out: PageOut = None,
    title: Annotated[str | None, typer.Option("--title", help="of a page about audits")] = None,
) -> None:
    """Write one page from one or several audits, or a paper's; of a folder of runs, an index that compares them."""
    from brittle.report import read_paper, read_run, write_index, write_page, write_paper

    from .terminal import console
    from .terminal import out as terminal

    first, alone = runs[0], len(runs) == 1
    if (first / "paper.json").exists():
        page = write_paper(*read_paper(first), out or first)
    elif alone and first.is_dir() and not (first / "audit.json").exists():
        page, left_out = write_index(first, _page(out, first / "index.html"))
        for line in left_out:
            console.print(line, soft_wrap=True)
    else:
        page = write_page([read_run(run) for run in runs], _page(out, Path("report.html")), title=title)
    terminal.print(f"The page: {page}")


def _page(out: Path | None, usual: Path) -> Path:
    """Where a page goes: what was asked for, or the usual place; in a folder under its usual name."""
    if out is None:
        return usual
    return out if out.suffix.lower() in (".html", ".htm") and not out.is_dir() else out / usual.name


@app.command()
def data(
    name: Annotated[str | None, typer.Argument(help="a data set to look up (and to download if it is missing)")] = None,
    size: Size = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """List the data sets, or look one up."""
    from brittle.learning import available, broken_packages, load

    from .terminal import as_json, console
    from .terminal import out as terminal

    if name is None:
        rows = [_data_row(spec) for spec in available()]
        for line in broken_packages():
            console.print(line, soft_wrap=True)
    else:
        found = load(sized(name, size), data_dir)
        parts = (found.train, found.validation, found.test)
        rows = [
            {"name": part.name, "what": f"{len(part)} images {list(found.shape)}, sha256 {part.digest[:12]}"}
            for part in parts
        ]
    if json:
        as_json(rows)
        return
    for row in rows:
        terminal.print(f"{row['name']:<24} {row['what']}")


def _data_row(spec: "DataSpec") -> dict[str, Any]:
    """None stands for what the data decide."""
    classes = len(spec.classes) or None
    return {
        "name": spec.typed,
        "what": spec.what,
        "shape": spec.shape,
        "classes": classes,
        "threats": spec.threats,
    }


@app.command()
def nets(json: Json = False) -> None:
    """List the networks."""
    from brittle.learning import NETS

    _listed(
        {name: f"{kind.what}; its representation: --layer {kind.representation}" for name, kind in NETS.items()}, json
    )


def _place(figure: tuple[str, str]) -> int:
    """Clean accuracy first, threats as they stand, all of them together last."""
    return {"clean": 0, "all": 2}.get(figure[0], 1)


@app.command()
def zoo(json: Json = False) -> None:
    """List the nets that come with the package, with what an audit left of them."""
    from brittle.learning import load_net, zoo_nets

    headers = {f"zoo:{name}": load_net(path)[1] for name, path in zoo_nets().items()}
    if json:
        from .terminal import as_json

        as_json(
            {name: {key: header[key] for key in ("what", "net", "data", "figures")} for name, header in headers.items()}
        )
        return
    rows = {}
    for name, header in headers.items():
        figures = ", ".join(f"{where} {figure}" for where, figure in sorted(header["figures"].items(), key=_place))
        rows[name] = f"{header['net']} on {header['data']}, {header['what']}: {figures}"
    _listed(rows, json)


@app.command()
def attacks(
    json: Json = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="as docs/attacks.md")] = False,
) -> None:
    """List the attacks, the threats they work in and what they cost."""
    from brittle.attacks import EXAMPLES, attack_entries, broken_attacks, parse_threat

    from .terminal import as_json, attacks_markdown, attacks_table, console
    from .terminal import out as terminal

    for line in broken_attacks().values():
        console.print(f"note: {line}", soft_wrap=True)

    kinds = {text.partition(":")[0]: parse_threat(text) for text in EXAMPLES}
    rows = {
        name: {
            "what": entry.what,
            "threats": [kind for kind, threat in kinds.items() if entry.supports(threat)],
            "cost": entry.cost_of({})._asdict(),
            "loss": entry.loss,
            "settings": entry.settings,
            "source": entry.source,
        }
        for name, entry in attack_entries().items()
    }
    if json:
        as_json(rows)
    elif markdown:
        terminal.print(attacks_markdown(rows), end="")
    else:
        terminal.print(attacks_table(rows))


@app.command()
def goals(json: Json = False) -> None:
    """List the training goals."""
    from brittle.learning import broken_goals, goal_entries

    from .terminal import as_json, console
    from .terminal import out as terminal

    for line in broken_goals().values():
        console.print(f"note: {line}", soft_wrap=True)
    entries = goal_entries()
    if json:
        as_json(
            {
                name: {
                    "what": entry.what,
                    "source": entry.source,
                    "weight": entry.weight,
                    "laws": entry.laws,
                    "cost": entry.usual.cost,
                }
                for name, entry in entries.items()
            }
        )
        return
    for name, entry in entries.items():
        source = f" ({entry.source})" if entry.source else ""
        terminal.print(f"{name:<12} {entry.what}{source}; {entry.usual.cost:.3g} gradients per example")


def _listed(rows: dict[str, str], json: bool) -> None:
    from .terminal import as_json
    from .terminal import out as terminal

    if json:
        as_json(rows)
        return
    for name, what in rows.items():
        terminal.print(f"{name:<{max(12, *map(len, rows))}} {what}")
