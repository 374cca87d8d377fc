"""The verb that computes what theory says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from brittle.errors import BrittleError

from .app import app
from .files import json_of
from .options import Json, Out, Seed

if TYPE_CHECKING:
    from rich.table import Table

    from brittle.science import Gaussians

FEW = 6  # eigenvalues shown in the table


@app.command()
def gaussian(
    eps: Annotated[
        list[str] | None, typer.Option("--eps", help="budget E||delta||^2; may be repeated; default 0 1 10")
    ] = None,
    mu: Annotated[
        str | None, typer.Option("--mu", help="mean of class +1, such as 5,0; class -1 has its opposite")
    ] = None,
    sigma: Annotated[str | None, typer.Option("--sigma", help="variances, such as 16,1: a diagonal covariance")] = None,
    covariance: Annotated[
        Path | None, typer.Option("--covariance", help="JSON or CSV file with a covariance matrix")
    ] = None,
    simulate: Annotated[bool, typer.Option("--simulate", help="train adversarially on samples, and compare")] = False,
    n: Annotated[int, typer.Option("-n", min=2, help="samples for --simulate")] = 10_000,
    seed: Seed = 0,
    out: Out = None,
    json: Json = False,
) -> None:
    """Compute what robust training learns of two Gaussians."""
    from brittle.science import robust_likelihood

    from .terminal import as_json, console, noted
    from .terminal import out as terminal

    truth = _truth(mu, sigma, covariance)
    fits = [robust_likelihood(truth, one) for one in dict.fromkeys(_budget(text) for text in eps or ("0", "1", "10"))]
    record: dict[str, Any] = {
        "mu": truth.mu.tolist(),
        "sigma": truth.sigma.tolist(),
        "fits": [fit.record() for fit in fits],
    }
    if simulate:
        record["simulation"] = {"n": n, "seed": seed, "runs": _simulated(truth, [fit.eps for fit in fits], n, seed)}
    if out:
        from json import dumps

        from brittle.ground import write_out
        from brittle.report import standing, two_gaussians

        write_out(out / "gaussian.json", dumps(record, indent=1) + "\n")
        try:
            write_out(out / "gaussian.svg", standing(two_gaussians(truth, [fit.eps for fit in fits])))
        except BrittleError as error:
            console.print(noted(f"no gaussian.svg: {error}"), soft_wrap=True)
    if json:
        as_json(record)
        return
    terminal.print(_table(record))
    for run in record["simulation"]["runs"] if simulate else ():
        terminal.print(
            f"eps {run['eps']:g}: training on {n:,} samples came to {run['from_samples']:.1e} of the samples' closed "
            f"form, {run['from_truth']:.1e} of the truth's, in {run['evaluations']} evaluations"
        )
    if out:
        terminal.print(f"The files: {out}")


def _truth(mu: str | None, sigma: str | None, covariance: Path | None) -> "Gaussians":
    """The Gaussians described, or the example's mean or covariance where nothing is said."""
    import numpy as np

    from brittle.science import Gaussians, example

    if sigma is not None and covariance:
        raise BrittleError("--sigma and --covariance both give the covariance; leave out one")
    mean = np.array(_numbers("--mu", mu)) if mu is not None else example().mu
    matrix = example().sigma
    if sigma is not None or covariance:
        matrix = np.array(_matrix(covariance)) if covariance else np.diag(_numbers("--sigma", sigma or ""))
    if len(mean) != len(matrix):
        raise BrittleError(
            f"the mean has {len(mean)} entries and the covariance {len(matrix)} rows; give --mu and --sigma (or "
            "--covariance) alike"
        )
    return Gaussians(mean, matrix)


def _numbers(flag: str, text: str) -> list[float]:
    try:
        return [float(word) for word in text.split(",")]
    except ValueError:
        raise BrittleError(f"{flag} takes numbers with commas between them, such as 5,0, not {text!r}") from None


def _budget(text: str) -> float:
    above, _, below = text.partition("/")
    try:
        return float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        raise BrittleError(f"--eps takes a number or a fraction, such as 1 or 1/4, not {text!r}") from None


def _matrix(path: Path) -> list[list[float]]:
    """The rows of a JSON list of lists, or of a CSV file without a head."""
    try:
        if path.suffix.lower() == ".json":
            rows = [[float(cell) for cell in row] for row in json_of(path)]
        else:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
            rows = [[float(cell) for cell in line.split(",")] for line in lines if line.strip()]
    except OSError as error:
        raise BrittleError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, RecursionError) as error:
        raise BrittleError(
            f"{path}: no matrix of numbers, as JSON [[4, 1], [1, 2]] or as CSV without a head ({error})"
        ) from None
    if not rows or {len(row) for row in rows} != {len(rows)}:
        raise BrittleError(
            f"{path}: a covariance has as many columns as rows, not rows of {sorted({len(row) for row in rows})}"
        )
    return rows


def _simulated(truth: "Gaussians", eps: list[float], n: int, seed: int) -> list[dict[str, Any]]:
    """For each eps, how far training on samples ends from the closed form of the samples and of the truth."""
    from brittle.science import adversarial_training, folded, maximum_likelihood, robust_likelihood

    samples = folded(*truth.draw(n, seed))
    runs, own = [], maximum_likelihood(samples)
    for one in eps:
        trained = adversarial_training(samples, one)
        runs.append(
            {
                "eps": one,
                "mu": trained.learned.mu.tolist(),
                "sigma": trained.learned.sigma.tolist(),
                "evaluations": len(trained.losses),
                "loss": trained.losses[-1],
                "gradient": trained.gradient,
                "from_samples": trained.distance(robust_likelihood(own, one).learned),
                "from_truth": trained.distance(robust_likelihood(truth, one).learned),
            }
        )
    return runs


def _table(record: dict[str, Any]) -> "Table":
    """Budgets in rows; the multiplier, the learned covariance, the gradient's direction and the accuracies in
    columns."""
    from rich.table import Table

    table = Table(
        title=f"robust maximum likelihood of two Gaussians in {len(record['mu'])} dimensions", title_justify="left"
    )
    what = "cos: between gradient and mean; worst: over all means; robust: in L2 of sqrt(eps)"
    table.caption = f"{what}; eps 0: that of the rule of eps 0"
    for head in ("eps", "lambda", "cond", "eigenvalues", "cos", "worst", "clean", "robust", "eps 0"):
        table.add_column(head, justify="right")
    for fit in record["fits"]:
        values = [f"{value:.4g}" for value in reversed(fit["eigenvalues"])]
        table.add_row(
            f"{fit['eps']:g}",
            "∞" if fit["lambda"] is None else f"{fit['lambda']:.4g}",
            f"{fit['condition']:.4g}",
            " ".join(values if len(values) <= FEW else [*values[: FEW // 2], "…", *values[-FEW // 2 :]]),
            f"{fit['alignment']:.3f}",
            f"{fit['worst_alignment']:.3f}",
            *(f"{100 * fit[f'{which}_accuracy']:.1f}" for which in ("clean", "robust", "standard_robust")),
        )
    return table
