"""Verbs of the features paper: what a model's features are worth, and data sets made of one kind of them."""

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brittle.errors import BrittleError

from .app import app
from .files import computed, json_of, run_folder
from .given import Given, about_a_model, count_asked
from .options import Device, Fresh, Json, On, OneThreat, Out, Seed, count_of, l2_or

if TYPE_CHECKING:
    from rich.console import RenderableType

    from brittle.attacks import Threat
    from brittle.science import Construction
    from brittle.studies import Make

SHOWN = 8  # images on a contact sheet
REACHED = 0.5  # of the images, on which the model must answer the label for a set to be worth learning


@app.command()
@about_a_model
def features(
    given: Given,
    threat: OneThreat = None,
    kind: Annotated[str, typer.Option("--kind", help="units, logits, random or components")] = "units",
    layer: Annotated[
        str | None, typer.Option("--layer", help="of the units; default what the last linear layer reads")
    ] = None,
    n: Annotated[
        str | None, typer.Option("-n", help="number of test images, or all; default 1000, of your own data all")
    ] = None,
    attacked: Annotated[
        int, typer.Option("--attacked", min=0, help="of the useful units, how many to attack; 0: all")
    ] = 32,
    steps: Annotated[int, typer.Option("--steps", min=1, help="steps of that attack")] = 20,
    count: Annotated[int, typer.Option("--count", min=1, help="how many random or principal features")] = 50,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Measure how useful and how robustly useful features are."""
    from brittle.report import write_features
    from brittle.studies import Score, test_examples

    from .terminal import as_json, features_table
    from .terminal import out as terminal

    file, source = given.subject()
    within, examples = l2_or(threat, source.name), count_asked(n, source, 1000)
    node = Score(file, source, within, kind, layer, examples, attacked, steps, count, seed)
    target = out or run_folder("features", node)
    record = json_of(computed(node, target, device, fresh) / "features.json")
    page = write_features(record, test_examples(source, node.n).images.numpy(), target)
    if json:
        as_json(record)
        return
    terminal.print(features_table(record))
    terminal.print(f"The page: {page}")


@app.command()
@about_a_model
def disentangle(
    given: Given,
    make: Annotated[str, typer.Option("--make", help="D_R, D_NR, D_rand, D_det, D_mis or D")] = "D_NR",
    threat: Annotated[
        list[str] | None,
        typer.Option(
            "--threat", help="bounds D_rand and D_det; in it the model is tested first; default the data's usual L2"
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option("--steps", help="gradient steps; 1,000 for D_R and D_NR, 100 for others")
    ] = None,
    step: Annotated[
        float | None, typer.Option("--step", help="their L2 length; default 0.1, or a fifth of eps")
    ] = None,
    start: Annotated[str | None, typer.Option("--start", help="of D_R and D_NR: image or noise")] = None,
    layer: Annotated[
        str | None, typer.Option("--layer", help="of D_R and D_NR: whose output is the representation")
    ] = None,
    copies: Annotated[
        int | None, typer.Option("--copies", help="of D_rand and D_det: average over augmented copies")
    ] = None,
    other: Annotated[
        list[str] | None,
        typer.Option("--other", help="of D_rand and D_det: a model that must not be fooled; may be repeated"),
    ] = None,
    n: Annotated[str, typer.Option("-n", help="number of training images, or all")] = "all",
    tensors: Annotated[
        bool, typer.Option("--tensors", help="write the two tensors of the authors' release too")
    ] = False,
    images: Annotated[
        bool, typer.Option("--images", help="write a folder of PNG images too (read as folder:PATH)")
    ] = False,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    on: On = None,
    json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Make a data set of one kind of features; resumes after a kill."""
    from brittle.studies import File, Make

    from .terminal import tell

    file, source = given.subject()
    others = tuple(File.of(name).tried_on(source) for name in other or ())
    within = l2_or(threat, source.name)
    changes = {"steps": steps, "step": step, "start": start, "layer": layer, "copies": copies}
    construction = _making(
        make, within, {name: value for name, value in changes.items() if value is not None}, bool(others)
    )
    node = Make(make, file, source, construction, within, count_of(n, len(source.load().train)), seed, others=others)
    target = out or run_folder(make, node)
    record = json_of(computed(node, target, device, fresh, on) / "set.json")
    _shown(node, target, tensors, images)
    tell(record, list(_told(make, record, target)), json)


def _told(make: str, record: dict[str, Any], target: Path) -> Iterator["RenderableType"]:
    """What is said of a made set on the terminal."""
    from .terminal import noted

    if record["source"]["warning"]:
        yield noted(record["source"]["warning"], "warning")
    shares = [f"{record[key]['accuracy']:.1%}" for key in ("reached", "reached_8bit")]
    yield f"{make}: {record['n']:,} images; the model answers the set's label on {shares[0]} (in 8 bits {shares[1]})"
    if record["distance"]:
        before, after = record["distance"]["before"]["mean"], record["distance"]["after"]["mean"]
        yield f"Representations were {before:.3g} apart (relative), and are {after:.3g}"
    yield f"What to expect: {target / 'sheet.png'}"
    if record["reached_8bit"]["accuracy"] < REACHED:
        yield noted(
            "on most images the model does not answer the label, so that there is little in this set to learn it from; "
            "try a larger --threat or more --steps",
            "warning",
        )
    else:
        yield f"Next: brittle train --data {shlex.quote(f'made:{target}')}"


def _making(name: str, threat: "Threat", changes: dict[str, Any], others: bool) -> "Construction":
    """The construction called `name`, with what was asked to be different."""
    from dataclasses import fields, replace

    from brittle.attacks import require_ball
    from brittle.science import CONSTRUCTIONS, Targeted

    if name not in CONSTRUCTIONS:
        raise BrittleError(f"no set is called {name!r}; known: {', '.join(CONSTRUCTIONS)}")
    construction = CONSTRUCTIONS[name]
    if isinstance(construction, Targeted):
        ball = require_ball(threat, f"the set {name}")
        construction = replace(construction, threat=ball, step=0.2 * ball.step_unit or 0.1, transfers=not others)
    elif others:
        raise BrittleError(f"--other is for D_rand and D_det, not for {name}")
    known = {field.name for field in fields(construction)}  # type: ignore[arg-type]
    if strange := [f"--{key}" for key in changes if key not in known]:
        raise BrittleError(f"{name} has no {', '.join(strange)}")
    return replace(construction, **changes)  # type: ignore[type-var]


def _shown(node: "Make", target: Path, tensors: bool, images: bool) -> None:
    """The contact sheet of a made set, and the set in the layouts asked for."""
    from brittle.ground import write_out
    from brittle.learning import load, load_tensors, write_folder, write_released
    from brittle.report import sheet
    from brittle.studies import contact_rows

    held, _ = load_tensors(target / "set.safetensors")
    lines = [(line.what, line.images.numpy(), line.labels) for line in contact_rows(node, held, SHOWN)]
    title = f"{node.label} of {node.data.name}, made with {node.model.title}: images and their labels"
    write_out(target / "sheet.png", sheet(title, lines))
    if tensors:
        prefix = "CIFAR" if node.data.name.partition(" (")[0] == "cifar10" else "SET"
        write_released(target / "tensors", held["images"], held["labels"], prefix)
    if images:
        write_folder(target / "images", load(f"made:{target}"))
