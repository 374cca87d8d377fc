"""The verb that writes an audit in other forms."""

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .options import one_of


@app.command()
def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="folder with audit.json")],
    target: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="by its ending: csv or parquet, a row for each image; npz or safetensors, adversarial images; json, "
            "RobustBench's model information; md, a robustness card",
        ),
    ],
    threat: Annotated[list[str] | None, typer.Option("--threat", help="of images and model information")] = None,
) -> None:
    """Write an audit in other forms."""
    from brittle.report import export_audit

    from .terminal import out as terminal

    terminal.print(f"Written: {export_audit(run, target, one_of(threat))}")
