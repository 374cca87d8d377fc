"""The command and its verbs: `run.py` those that compute, `inspect.py` those that only look."""

from typing import Annotated

import typer

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
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="show tracebacks (accepted anywhere)")] = False,
) -> None:
    """Attack, audit and train classifiers; find the features that are useful yet brittle."""
