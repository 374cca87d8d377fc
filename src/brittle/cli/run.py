"""Verbs that compute: arguments to declarations, their run followed, the result put where it was asked for."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from brittle.errors import BrittleError

from .again import repeated
from .app import app
from .files import check_place, computed, copied, json_of, planned, run_folder
from .given import Given, about_a_model, count_asked
from .options import (
    Batch,
    Bpda,
    Data,
    DataDir,
    Device,
    Fresh,
    Json,
    On,
    OneThreat,
    Out,
    Reject,
    Seed,
    Threats,
    seconds_of,
    share_of,
    threat_of,
    threats_of,
    typed_in,
)


@app.command()
def train(
    data: Data,
    net: Annotated[str, typer.Option("--net", help="see: brittle nets")] = "small",
    goal: Annotated[str, typer.Option("--goal", help="see: brittle goals")] = "standard",
    threat: Threats = None,
    epochs: Annotated[float, typer.Option("--epochs", help="passes over the training images")] = 3,
    batch: Annotated[int, typer.Option("--batch", help="examples per step")] = 128,
    lr: Annotated[float, typer.Option("--lr", help="largest learning rate")] = 2e-3,
    optimizer: Annotated[str, typer.Option("--optimizer", help="adam or sgd")] = "adam",
    schedule: Annotated[str, typer.Option("--schedule", help="triangular, cosine, step or constant")] = "triangular",
    weight_decay: Annotated[float, typer.Option("--weight-decay")] = 0.0,
    averaging: Annotated[
        float,
        typer.Option("--averaging", help="of the running mean of parameters that is kept, such as 0.999; 0: none"),
    ] = 0.0,
    inner: Annotated[
        str | None, typer.Option("--inner", help="inner attack, such as pgd or mim; pgd,L2=mim: another in L2")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="steps of the inner attack")] = None,
    step: Annotated[
        float | None, typer.Option("--step", help="length of its steps as a share of eps; 2.5 / steps")
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="where it starts: random, clean or noise")] = None,
    weight: Annotated[float | None, typer.Option("--weight", help="beta of TRADES, lambda of ATDA, ...")] = None,
    static: Annotated[list[str] | None, typer.Option("--static", help="net to attack through; may be repeated")] = None,
    ramp: Annotated[float | None, typer.Option("--ramp", help="share of training in which eps rises from 0")] = None,
    precision: Annotated[str, typer.Option("--precision", help="fast or float32")] = "fast",
    log: Annotated[
        str | None, typer.Option("--log", help="where figures go meanwhile: csv:FOLDER, tensorboard:FOLDER, wandb:NAME")
    ] = None,
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    on: On = None,
    json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Train a net into one file; resumes after a kill."""
    from brittle.ground import plain_name
    from brittle.learning import Recipe, accuracy, check_log, goal_named, inner_attack_of, load_net, usual_threats
    from brittle.studies import DataSource, File, Train, hash_of

    from .terminal import as_json, console
    from .terminal import out as terminal

    if log is not None:
        check_log(log)
        if on is not None:
            raise BrittleError(
                "--log writes on the machine that trains; with --on that is a worker: drop one of the two"
            )
    threats = threats_of(threat, data) if threat else ()
    aim = goal_named(goal, threats, inner_attack_of(goal, inner, steps, step, start), ramp, weight)
    recipe = Recipe(epochs, batch, optimizer, lr, schedule, weight_decay, precision, averaging)
    source = DataSource.of(data, data_dir)
    lent = tuple(File.of(name).tried_on(source) for name in static or ())
    node = Train(source, net, aim, recipe, seed, lent, log or "")
    target = out or Path("runs") / f"{plain_name(node.title)}-{hash_of(node)[:8]}"
    if target.name in ("", ".."):
        raise BrittleError(f"--out {target} is a folder; give the name of a file, such as {target / 'net.safetensors'}")
    target = target.with_name(target.name.removesuffix(".safetensors") + ".safetensors")
    check_place(target.parent)
    if log is not None and not fresh and planned(node, device)["stored"]:
        console.print("note: it is trained already, so that nothing is logged; --fresh trains it again")
    copied(computed(node, None, device, fresh, on) / "model.safetensors", target)
    trained, header = load_net(target)
    history = header["history"]
    if json:
        as_json({"model": str(target), "history": history})
        return
    last = history[-1]
    robust = "" if last["robust"] is None else f", robust (PGD-10) {last['robust']:.1%}"
    made = data.partition(":")[0] == "made"
    where = "held-out images of the made set, by its labels" if made else "validation images"
    terminal.print(f"On {where}: clean {last['clean']:.1%}{robust}")
    if made:
        real = source.load().test
        terminal.print(f"On {len(real):,} images of {real.name}: clean {accuracy(trained, real):.1%}")
    usual = usual_threats(source.name)
    words = ["brittle", "audit", str(target), *(("--data-dir", str(data_dir)) if data_dir else ())]
    words += [] if usual else [word for one in header["threats"] or ("Linf:8/255",) for word in ("--threat", one)]
    terminal.print(f"The net: {target}\nNext: {shlex.join(words)}")


@app.command()
@about_a_model
def audit(
    context: typer.Context,
    given: Given,
    threat: Threats = None,
    effort: Annotated[str, typer.Option("--effort", help="quick, standard or thorough")] = "standard",
    n: Annotated[
        str | None, typer.Option("-n", help="number of test images, or all; default 500, of your own data all")
    ] = None,
    budget: Annotated[
        str | None,
        typer.Option("--budget", help="time from the start, after which the model is asked no more: 90s, 2m, 1h"),
    ] = None,
    extra: Annotated[
        list[str] | None, typer.Option("--with", help="one more attack, as for brittle attack; may be repeated")
    ] = None,
    again: Annotated[
        Path | None,
        typer.Option("--again", help="do the audit of this folder anew and compare it image by image (else status 1)"),
    ] = None,
    plan: Annotated[
        bool, typer.Option("--plan", help="say about what it would cost (without proofs), and run nothing")
    ] = False,
    at_least: Annotated[
        str | None,
        typer.Option(
            "--at-least", help="such as 60%: status 1 unless as many withstand all threats, with verdict trust"
        ),
    ] = None,
    certify: Annotated[
        bool, typer.Option("--certify", help="also prove what withstands: affine layers, ReLU and max-pool only")
    ] = False,
    bpda: Bpda = None,
    reject: Reject = None,
    batch: Batch = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    on: On = None,
    json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Measure robust accuracy over threats; resumes after a kill."""
    from brittle.attacks import AttackSpec
    from brittle.ground import counted_from
    from brittle.report import read_run, write_page
    from brittle.studies import Audit

    from .terminal import audit_told, console, plan_told, tell

    if again is not None:
        typed = typed_in(context)
        own = "threat effort n budget extra plan at_least certify bpda reject out seed"
        if typed & set(own.split()):
            raise BrittleError("--again takes threats, effort, examples, seed and attacks from the report")
        with counted_from(context.obj):
            repeated(again, given, typed, device, batch, json, on)
        return
    asked = None if at_least is None else share_of(at_least)
    file, source = given.subject()
    node = Audit(
        model=file,
        data=source,
        threats=threats_of(threat, source.name),
        effort=effort,
        n=count_asked(n, source),
        seed=seed,
        budget=seconds_of(budget),
        batch=batch,
        extra=tuple(AttackSpec.parse(text) for text in extra or ()),
        certify=certify,
        bpda=tuple(bpda or ()),
        reject=reject,
    )
    if plan:
        cost = planned(node, device)
        tell(cost, [plan_told(node.title, cost)], json)
        return
    target = out or run_folder("audit", node)
    with counted_from(context.obj):
        run = read_run(computed(node, target, device, fresh, on))
    page = write_page([run], target / "report.html")
    tell(run.record, [*audit_told(run.record), f"The page: {page}"], json)
    union, level = run.record["union"]["accuracy"] or 0, run.record["verdict"]["level"]
    if asked is not None and (union < asked or level != "trust"):
        console.print(f"below what was asked: {union:.1%} with {level!r}, not {asked:.1%} with 'trust'")
        raise typer.Exit(1)


@app.command()
@about_a_model
def attack(
    given: Given,
    threat: OneThreat = None,
    name: Annotated[
        str, typer.Option("--attack", help="see: brittle attacks; settings as in mm:targets=9,steps=20")
    ] = "pgd",
    steps: Annotated[int | None, typer.Option("--steps", help="number of steps")] = None,
    step: Annotated[float | None, typer.Option("--step", help="length of a step in pixel units")] = None,
    start: Annotated[str | None, typer.Option("--start", help="clean, random or noise")] = None,
    loss: Annotated[str | None, typer.Option("--loss", help="cross_entropy, margin, dlr or probability_margin")] = None,
    n: Annotated[str, typer.Option("-n", help="number of test images, or all")] = "all",
    bpda: Bpda = None,
    reject: Reject = None,
    batch: Batch = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Run one attack on every image, verified."""
    from brittle.attacks import AttackSpec, blind_told
    from brittle.studies import RunAttack

    from .terminal import as_json, findings_table
    from .terminal import out as terminal

    file, source = given.subject()
    asked, typed = AttackSpec.parse(name), {"steps": steps, "step": step, "start": start, "loss": loss}
    for setting in dict(asked.given) | ({} if asked.loss is None else {"loss": asked.loss}):
        if typed.get(setting) is not None:
            raise BrittleError(f"{setting} stands twice, in --attack {name} and in --{setting}; give it once")
    spec = asked.changed(steps=steps, step=step, start=start, loss=loss)
    one, count = threat_of(threat, source.name), count_asked(n, source)
    node = RunAttack(file, source, one, spec, count, seed, batch, tuple(bpda or ()), reject)
    record = json_of(computed(node, out, device, fresh) / "attack.json")
    if json:
        as_json(record)
        return
    robust = record["robust"]
    told = [check for check in record.get("checks", ()) if check["level"] != "fine"]
    if told:
        terminal.print(findings_table(told))
    terminal.print(
        f"{record['attack']} in {record['threat']}: {robust['correct']} of {robust['n']} withstand "
        f"({robust['accuracy']:.2%})"
    )
    if blind := record.get("blind", 0):
        terminal.print(blind_told(blind, robust["correct"]))
