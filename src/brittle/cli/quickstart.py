"""`brittle quickstart`: the whole path once, small enough to wait for."""

from pathlib import Path
from typing import Any

from brittle.errors import BrittleError

from .files import check_place, computed, copied
from .options import threats_of

SCALES = {"digits": ("mlp", 20.0, 40.0, 7, 300), "mnist": ("madry", 1.0, 2.0, 5, 500)}


def quick(data: str, data_dir: Path | None, out: Path, seed: int, device: str) -> tuple[Path, list[dict[str, Any]]]:
    """Train a standard and a PGD-trained net, audit both, and write one page; the page and both records."""
    import torch

    from brittle.learning import Adversarial, Goal, InnerAttack, Recipe, Standard
    from brittle.report import read_run, write_page
    from brittle.studies import Audit, DataSource, File, Train

    if data not in SCALES:
        raise BrittleError(
            f"the quickstart knows {' and '.join(SCALES)}, not {data!r}; use brittle train and brittle audit"
        )
    check_place(out)
    if data == "digits":
        torch.set_num_threads(1)  # more are no faster for so small a net, and far slower where others compute too
    net, epochs, robust_epochs, steps, n = SCALES[data]
    source, threats, runs = DataSource.of(data, data_dir), threats_of(None, data), []
    goals: dict[str, tuple[Goal, Recipe]] = {
        "standard": (Standard(), Recipe(epochs)),
        "robust": (Adversarial(threats[:1], InnerAttack("pgd", steps)), Recipe(robust_epochs)),
    }
    for name, (goal, recipe) in goals.items():
        trained = computed(Train(source, net, goal, recipe, seed), None, device)
        model = out / f"{name}.safetensors"
        copied(trained / "model.safetensors", model)
        node = Audit(File.of(str(model)), source, threats, "quick", n, seed)
        runs.append(read_run(computed(node, out / name, device)))
    page = write_page(
        runs, out / "report.html", title=f"Which of two {data} classifiers is robust, and in which norms?"
    )
    return page, [run.record for run in runs]
