"""The verb that measures a paper again."""

from pathlib import Path
from typing import Annotated

import typer

from brittle.errors import BrittleError

from .app import app
from .files import written
from .options import DataDir, Device, Json, Out, Seed


@app.command()
def paper(
    name: Annotated[str, typer.Argument(metavar="NAME", help="li2019")],
    scale: Annotated[str, typer.Option("--scale", help="smoke, laptop or full")] = "laptop",
    plan: Annotated[bool, typer.Option("--plan", help="print every node, its cost and whether it is stored; run nothing")] = False,
    jobs: Annotated[int, typer.Option("--jobs", min=1, help="nodes side by side; on a GPU 4 is a good start")] = 1,
    browse: Annotated[bool, typer.Option("--open", help="open the page when it is done")] = False,
    data_dir: DataDir = None,
    out: Out = None,
    seed: Seed = 0,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Measure a paper's tables and figures again; resumes after a kill."""
    from brittle.audits.about import command
    from brittle.learning import save_tensors
    from brittle.papers import PAPERS, measured, tables, wall
    from brittle.report import write_paper
    from brittle.studies import Store, run_graph
    from brittle.studies import plan as planned_for

    from .show import as_json, follow_graph, paper_tables, plan_table
    from .show import out as terminal

    if name not in PAPERS:
        raise BrittleError(f"no paper is called {name!r}; known: {', '.join(PAPERS)}")
    declared, store = PAPERS[name](scale, str(data_dir) if data_dir else None, seed), Store()
    rows = planned_for(declared.nodes, store, device)
    if plan:
        if json:
            as_json([{"title": row.node.title, "key": row.key, "stored": row.stored, "seconds": row.seconds} for row in rows])
        else:
            terminal.print(plan_table(rows))
        return
    follow_graph(run_graph(rows, store, device=device, jobs=jobs))
    record = measured(declared, store, device, command())
    record["wall"], images = wall(declared, store)
    folder = out or Path("runs") / f"{name}-{scale}"
    save_tensors(folder / "wall.safetensors", images, {"attack": declared.wall[0]})
    for file, text in tables(record).items():
        written(folder / file, text)
    page = write_paper(record, images["clean"].numpy(), images["adversarial"].numpy(), folder)
    if json:
        as_json(record)
    else:
        for table in paper_tables(record):
            terminal.print(table)
        terminal.print(f"The page: {page}")
    if browse:
        typer.launch(str(page))
