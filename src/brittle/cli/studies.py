"""The verb that tells of graphs: what runs where, how far it is, what failed, and what it cost so far."""

from typing import Annotated

import typer

from .app import app
from .options import Json

studies = typer.Typer(help="Look after graphs of work.", no_args_is_help=True)
app.add_typer(studies, name="studies")


@studies.callback()
def _every() -> None:
    """Look after graphs of work."""


@studies.command()
def status(
    every: Annotated[bool, typer.Option("--all", help="every graph that is remembered, not the last alone")] = False,
    json: Json = False,
) -> None:
    """What runs where, how far it is, what failed, and what it cost so far."""
    import msgspec

    from brittle.studies import Store, graphs_in

    from .terminal import as_json, graph_table
    from .terminal import out as terminal

    graphs = graphs_in(Store())[: None if every else 1]
    if json:
        as_json(msgspec.to_builtins(graphs))
        return
    for graph in graphs:
        terminal.print(graph_table(graph))
    if not graphs:
        terminal.print("no graph has run over this store (BRITTLE_STORE says which)")
