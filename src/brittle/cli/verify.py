"""The verb that judges adversarial images of any library."""

from pathlib import Path
from typing import Annotated

import typer

from .app import app
from .given import Given, about_a_model
from .options import Device, Json, Threats, threats_of


@app.command()
@about_a_model
def verify(
    file: Annotated[Path, typer.Argument(help="adversarial images: npz, npy, safetensors or pt")],
    given: Given,
    threat: Threats = None,
    key: Annotated[str | None, typer.Option("--key", help="the array's name in the file")] = None,
    device: Device = "auto",
    json: Json = False,
) -> None:
    """Judge adversarial images made elsewhere: allowed, in [0, 1], fooling in float32 and in 8 bits?"""
    from brittle.audits import adversarial_of, judge
    from brittle.learning import read_arrays

    from .terminal import as_json, judgements_table, noted
    from .terminal import out as terminal

    target, part, name = given.loaded("all", device)
    x, moved, y = adversarial_of(read_arrays(file), key, part.x(), part.labels, part.rows)
    found = [judge(target, one, x, moved, y) for one in threats_of(threat, name)]
    if json:
        as_json([one.record() for one in found])
        return
    terminal.print(judgements_table(found))
    for one in found:
        if one.allowed < one.n / 2:
            outside = f"{one.n - one.allowed} of {one.n} are not allowed in {one.threat} and prove nothing"
            asked = "are they made of these images, in this order, with pixels in [0, 1], and not rounded since?"
            terminal.print(noted(f"{outside}: {asked}", "warning"))
