"""The verb that measures a paper again."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from brittle.errors import BrittleError

from .app import app
from .options import DataDir, Device, Json, On, Out, Seed, seconds_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from brittle.papers import Paper
    from brittle.studies import PlanRow, Store


@app.command()
def paper(
    name: Annotated[str, typer.Argument(metavar="NAME", help="ilyas2019 or li2019")],
    parts: Annotated[list[str] | None, typer.Argument(metavar="[PART...]", help="such as table-1; default all")] = None,
    scale: Annotated[str, typer.Option("--scale", help="smoke, laptop, night or full")] = "laptop",
    plan: Annotated[
        bool, typer.Option("--plan", help="print every node, its cost and whether it is stored; run nothing")
    ] = False,
    again: Annotated[
        str | None, typer.Option("--again", help="compute one stored node once more (its key in the CSV) and compare")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="nodes side by side; default 4 on each GPU, else 2")
    ] = None,
    on: On = None,
    limit: Annotated[
        str | None, typer.Option("--for", help="stop after 90s, 30m or 2h, as Ctrl-C does (status 130)")
    ] = None,
    browse: Annotated[bool, typer.Option("--open", help="open the page when it is done")] = False,
    data: Annotated[str | None, typer.Option("--data", help="of ilyas2019: another data set than the scale's")] = None,
    net: Annotated[str | None, typer.Option("--net", help="of ilyas2019: another architecture")] = None,
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    seeds: Annotated[
        int, typer.Option("--seeds", min=1, help="trainings of each net, with seeds from --seed upwards")
    ] = 1,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure a paper's tables and figures again; resumes after a kill."""
    import torch

    from brittle.ground import device_count, pick_device
    from brittle.studies import Store, run_graph
    from brittle.studies import plan as planned_for

    from .terminal import follow_graph

    changes = {key: value for key, value in (("data", data), ("net", net)) if value}
    whole = _paper(name, changes)(scale, str(data_dir) if data_dir else None, tuple(range(seed, seed + seeds)))
    if again is not None and plan:
        raise BrittleError("--plan runs nothing and --again computes a node; drop one of the two")
    here = "auto" if on else device  # on a cluster the device is that of the workers
    place, store, seconds = pick_device(here), Store(), seconds_of(limit) or math.inf
    declared = whole.only(parts or ())
    rows = planned_for(declared.nodes, store, here)
    if plan:
        _show_plan(rows, json)
        return
    if again is not None:
        _once_more(again, rows, store, here)
        return
    usual = 4 * torch.cuda.device_count() if place.type == "cuda" else min(2, torch.get_num_threads())
    usual = 1 if device_count(device) > 1 else usual
    side = jobs if on else jobs or usual
    if not follow_graph(run_graph(rows, store, device=device, jobs=side, limit=seconds, on=on)):
        raise KeyboardInterrupt  # as if somebody had stopped it
    page = _write(declared, store, here, out or Path("runs") / f"{name}-{scale}", json)
    if browse:
        typer.launch(str(page))


def _show_plan(rows: list["PlanRow"], json: bool) -> None:
    from .terminal import as_json, plan_table
    from .terminal import out as terminal

    if json:
        told = [{"title": row.node.title, "key": row.key, "stored": row.stored, "seconds": row.seconds} for row in rows]
        as_json(told)
    else:
        terminal.print(plan_table(rows))


def _write(declared: "Paper", store: "Store", device: str, folder: Path, json: bool) -> Path:
    """Tables, page and images of a paper whose nodes are done; the path of the page."""
    from brittle.audits import command
    from brittle.ground import write_out
    from brittle.learning import save_tensors
    from brittle.papers import measure_paper, table_files
    from brittle.report import write_paper

    from .terminal import as_json, paper_tables
    from .terminal import out as terminal

    record, images = measure_paper(declared, store, device, command())
    for file, text in table_files(record).items():
        write_out(folder / file, text)
    save_tensors(folder / "images.safetensors", images, {"paper": declared.name})
    page = write_paper(record, {name: tensor.numpy() for name, tensor in images.items()}, folder)
    if json:
        as_json(record)
    else:
        for table in paper_tables(record):
            terminal.print(table)
        terminal.print(f"The page: {page}")
    return page


def _paper(name: str, changes: dict[str, str]) -> "Callable[..., Paper]":
    """The function that declares this paper, with other data or another net where that is asked for."""
    from functools import partial

    from brittle.papers import PAPERS

    if name not in PAPERS:
        raise BrittleError(f"no paper is called {name!r}; known: {', '.join(PAPERS)}")
    if changes and name != "ilyas2019":
        raise BrittleError(f"{name} is about its own data and nets; --data and --net are for ilyas2019")
    declared: Callable[..., Paper] = PAPERS[name]
    return partial(declared, **changes)


def _once_more(key: str, rows: list["PlanRow"], store: "Store", device: str) -> None:
    """Compute one node again beside the store; status 1 if a figure does not come back."""
    import tempfile

    from brittle.papers import accuracies, compare_with_stored
    from brittle.studies import recompute

    from .terminal import follow
    from .terminal import out as terminal

    found = [row for row in rows if row.key.startswith(key) and row.stored]
    if len(found) != 1:
        raise BrittleError(
            f"{len(found)} stored nodes have a key that begins with {key!r}; see the CSV files, or --plan --json"
        )
    accuracies(found[0].node, store)  # before anything is computed
    with tempfile.TemporaryDirectory() as folder:
        follow(recompute(found[0].node, store, Path(folder), device))
        figures = compare_with_stored(found[0].node, store, Path(folder))
    for one in figures:
        verdict = "comes back" if one.comes_back else "DOES NOT COME BACK"
        terminal.print(
            f"{found[0].node.title}, {one.what}: {one.stored.accuracy:.4f} [{one.stored.low:.4f}, "
            f"{one.stored.high:.4f}], again {one.again.accuracy:.4f}: {verdict}"
        )
    if not all(one.comes_back for one in figures):
        raise typer.Exit(1)
