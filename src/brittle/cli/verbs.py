"""The verbs. Each turns its arguments into declarations, follows their run, and says where the result is."""

import shutil
from pathlib import Path
from typing import Annotated, Any

import typer

from brittle.errors import BrittleError

from .options import (
    Data,
    DataDir,
    Device,
    Fresh,
    Json,
    Model,
    Out,
    Seed,
    Threats,
    Weights,
    count_of,
    seconds_of,
    threats_of,
)

app = typer.Typer(
    help="Attack, audit and train classifiers; find the features that are useful yet brittle.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        from brittle import __version__

        print(__version__)
        raise typer.Exit


@app.callback()
def _every(
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show tracebacks (accepted anywhere)")] = False,
) -> None:
    """Attack, audit and train classifiers; find the features that are useful yet brittle."""


@app.command()
def quickstart(
    data: Annotated[str, typer.Option("--data", help="digits, or mnist for a larger scale")] = "digits",
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Train a standard and a robust net, audit both in three norms, write a page."""
    from .quickstart import quick
    from .show import as_json, audit_table
    from .show import out as terminal

    page, records = quick(data, data_dir, out or Path("runs") / f"quickstart-{data}", seed, device)
    if json:
        as_json({"page": str(page), "audits": records})
        return
    terminal.print(audit_table(records))
    for record in records:
        terminal.print(f"{record['model']['name']}: [bold]{record['verdict']['level']}[/]. {record['verdict']['sentence']}")
    terminal.print(f"The page: {page}")


@app.command()
def doctor(
    model: Model,
    data: Data = None,
    weights: Weights = None,
    data_dir: DataDir = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Is this model fit to be attacked at all? Exit status 1 if it is not."""
    from brittle.audits import doctor as look
    from brittle.ground import pick_device
    from brittle.learning import load, load_model

    from .show import as_json, findings_table
    from .show import out as terminal

    loaded = load_model(model, weights)
    examples = load(_data(data, loaded.header), data_dir).test
    part = examples.take(min(100, len(examples))).to(pick_device(device))
    target = loaded.model.to(part.images.device) if hasattr(loaded.model, "to") else loaded.model
    findings = [finding._asdict() for finding in look(target, part.x(), part.labels)]
    if json:
        as_json(findings)
    else:
        terminal.print(findings_table(findings))
    if any(finding["level"] == "bad" for finding in findings):
        raise typer.Exit(1)


@app.command()
def train(
    data: Annotated[str, typer.Option("--data", help="data set to learn")],
    net: Annotated[str, typer.Option("--net", help="see: brittle nets")] = "small",
    goal: Annotated[str, typer.Option("--goal", help="standard or adversarial")] = "standard",
    threat: Threats = None,
    epochs: Annotated[float, typer.Option("--epochs", help="passes over the training images")] = 3,
    batch: Annotated[int, typer.Option("--batch", help="examples per step")] = 128,
    lr: Annotated[float, typer.Option("--lr", help="largest learning rate")] = 2e-3,
    optimizer: Annotated[str, typer.Option("--optimizer", help="adam or sgd")] = "adam",
    schedule: Annotated[str, typer.Option("--schedule", help="triangular, cosine, step or constant")] = "triangular",
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = 0.0,
    inner: Annotated[str, typer.Option("--inner", help="inner attack: pgd, fgsm, mim, second_order")] = "pgd",
    steps: Annotated[int, typer.Option("--steps", help="steps of the inner attack")] = 7,
    ramp: Annotated[float, typer.Option("--ramp", help="share of training in which eps rises from 0")] = 0.25,
    precision: Annotated[str, typer.Option("--precision", help="fast or float32")] = "fast",
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Train a net; resumes after a kill. The result is one safetensors file."""
    from brittle.learning import GOALS, Adversarial, Inner, Recipe, Standard, load_net
    from brittle.studies import Store, Train, running
    from brittle.studies.nodes import Source

    from .show import as_json, follow
    from .show import out as terminal

    if goal not in GOALS:
        raise BrittleError(f"no goal is called {goal!r}; known: {', '.join(GOALS)}")
    if goal == "standard" and threat:
        raise BrittleError("the standard goal withstands nothing: drop --threat, or use --goal adversarial")
    if goal == "adversarial" and not threat:
        raise BrittleError("say what to withstand: --goal adversarial --threat Linf:0.3")
    aim = Standard() if goal == "standard" else Adversarial(threats_of(threat, data), Inner(inner, steps), ramp)
    recipe = Recipe(epochs, batch, optimizer, lr, schedule, weight_decay, precision)
    node = Train(Source.of(data, data_dir), net, aim, recipe, seed)
    target = out or Path("runs") / f"{_plain(node.title)}-seed{seed}.safetensors"
    folder = follow(running(node, Store(), device=device, fresh=fresh))
    _copy(folder / "model.safetensors", target)
    history = load_net(target)[1]["history"]
    if json:
        as_json({"model": str(target), "history": history})
        return
    last = history[-1]
    robust = "" if last["robust"] is None else f", robust (PGD-10) {last['robust']:.1%}"
    terminal.print(f"On validation images: clean {last['clean']:.1%}{robust}\nThe net: {target}\nNext: brittle audit {target}")


@app.command()
def audit(
    model: Model,
    data: Data = None,
    threat: Threats = None,
    effort: Annotated[str, typer.Option("--effort", help="quick, standard or thorough")] = "standard",
    n: Annotated[str, typer.Option("-n", help="number of test images, or all")] = "500",
    budget: Annotated[str | None, typer.Option("--budget", help="time after which no new work begins: 90s, 2m, 1h")] = None,
    weights: Weights = None,
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Robust accuracy in each threat and in their union, verified, with a verdict; resumes after a kill."""
    from brittle.report import read_run, write_page
    from brittle.studies import Audit, File, Store, running
    from brittle.studies.nodes import Source

    from .show import as_json, audit_table, findings_table, follow
    from .show import out as terminal

    count, limit = count_of(n), seconds_of(budget)
    file = File.of(model, weights)
    source = Source.of(_data(data, file.load().header), data_dir)
    node = Audit(file, source, threats_of(threat, source.name), effort, count, seed, limit)
    target = out or Path("runs") / f"audit-{_plain(Path(model).stem)}"
    folder = follow(running(node, Store(), device=device, fresh=fresh))
    for name in ("audit.json", "audit.safetensors"):
        _copy(folder / name, target / name)
    run = read_run(target)
    page = write_page([run], target / "report.html")
    if json:
        as_json(run.record)
        return
    terminal.print(audit_table([run.record]))
    terminal.print(findings_table([check for check in run.record["checks"] if check["level"] != "fine"]))
    terminal.print(
        f"[bold]{run.record['verdict']['level']}[/]: {run.record['verdict']['sentence']}\nNext: {run.record['verdict']['next']}"
    )
    terminal.print(f"The page: {page}")


@app.command()
def attack(
    model: Model,
    data: Data = None,
    threat: Annotated[str, typer.Option("--threat", help="NORM:EPS, such as Linf:8/255")] = "Linf:8/255",
    name: Annotated[str, typer.Option("--attack", help="fgsm, pgd, mim, apgd or second_order")] = "pgd",
    steps: Annotated[int, typer.Option("--steps", help="number of steps")] = 40,
    n: Annotated[str, typer.Option("-n", help="number of test images, or all")] = "all",
    weights: Weights = None,
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    fresh: Fresh = False,
) -> None:
    """One attack on every image, verified: accuracy and adversarial images."""
    from brittle.attacks import Threat
    from brittle.studies import Attack, File, Store, running
    from brittle.studies.nodes import Source

    from .show import as_json, follow
    from .show import out as terminal

    file = File.of(model, weights)
    source = Source.of(_data(data, file.load().header), data_dir)
    node = Attack(file, source, Threat.parse(threat), name, steps, count_of(n), seed)
    folder = follow(running(node, Store(), device=device, fresh=fresh))
    record = _read(folder / "attack.json")
    if out:
        for part in ("attack.json", "attack.safetensors"):
            _copy(folder / part, out / part)
    if json:
        as_json(record)
        return
    robust = record["robust"]
    terminal.print(
        f"{record['attack']} in {record['threat']}: {robust['correct']} of {robust['n']} withstand ({robust['accuracy']:.2%})"
    )


@app.command()
def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="folders with audit.json")],
    out: Out = None,
    title: Annotated[str, typer.Option("--title")] = "brittle audit",
) -> None:
    """One self-contained page from one or several audits."""
    from brittle.report import read_run, write_page

    from .show import out as terminal

    page = write_page([read_run(run) for run in runs], out or Path("report.html"), title=title)
    terminal.print(f"The page: {page}")


@app.command()
def data(
    name: Annotated[str | None, typer.Argument(help="a data set to look up (and to download if it is missing)")] = None,
    data_dir: DataDir = None,
    json: Json = False,
) -> None:
    """The data sets; with a name, find it, check it and say what is in it."""
    from brittle.learning import available, load

    from .show import as_json
    from .show import out as terminal

    if name is None:
        rows = [row._asdict() for row in available()]
    else:
        found = load(name, data_dir)
        parts = (found.train, found.validation, found.test)
        rows = [{"name": part.name, "what": f"{len(part)} images {list(found.shape)}, sha256 {part.digest[:12]}"} for part in parts]
    if json:
        as_json(rows)
        return
    for row in rows:
        terminal.print(f"{row['name']:<24} {row['what']}", markup=False)


@app.command()
def nets(json: Json = False) -> None:
    """The networks that `brittle train --net` builds."""
    from brittle.learning import NETS

    from .show import as_json
    from .show import out as terminal

    if json:
        as_json({name: kind.what for name, kind in NETS.items()})
        return
    for name, kind in NETS.items():
        terminal.print(f"{name:<12} {kind.what}", markup=False)


def _data(asked: str | None, header: dict[str, Any] | None) -> str:
    if asked:
        return asked
    if header and header.get("data"):
        return str(header["data"]).partition(" (")[0]
    raise BrittleError("say on which data set: --data mnist (see: brittle data)")


def _plain(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in ".-" else "-" for letter in text).strip("-")


def _copy(source: Path, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        shutil.copyfile(source, part)
        part.replace(target)
    except OSError as error:
        raise BrittleError(f"{target} cannot be written ({error.strerror}); give another --out") from None


def _read(path: Path) -> Any:
    import json

    return json.loads(path.read_text())
