"""What is to be looked at in a paper, from finished nodes to plain data and images: one function for each kind of
exhibit."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from brittle.science import example, fit_line, robust_likelihood
from brittle.studies import Attack, Make, Score, contact_rows

from .paper import Exhibit, Results

Images = dict[str, Tensor]
Shown = tuple[Any, Images]
PAIRS, COLUMNS = 12, 8  # images of an attack, examples of each made set


def walks(one: Exhibit, results: Results) -> Shown:
    """Mean gradient lengths along attack paths: {name: points}."""
    return {name: results.record_of(node)["points"] for name, node in one.nodes.items()}, {}


def verdicts(one: Exhibit, results: Results) -> Shown:
    """The verdict of each model's audit, with its sentence."""
    return {name: results.record_of(node)["verdict"] for name, node in one.nodes.items()}, {}


def turned(one: Exhibit, results: Results) -> Shown:
    """Images that an attack turned, drawn at random by the node's seed: what is said of each; clean and attacked
    images."""
    (node,) = one.nodes.values()
    if not isinstance(node, Attack):
        raise TypeError(f"{node.title} keeps no images")
    found = results.tensors(node)
    broken = (found["broken"] & ~found["wrong"]).nonzero().squeeze(1)
    order = torch.randperm(len(broken), generator=torch.Generator().manual_seed(node.seed))
    rows = broken[order][:PAIRS]
    test = node.data.source.load().test
    clean, moved = test.x(rows), found["x_adv"][rows]
    sizes = node.threat.size(moved.double() - clean.double()).tolist()
    said = [
        {
            "label": test.classes[int(test.labels[row])],
            "answer": test.classes[int(found["answers"][row])],
            "note": f"example {row}, size {size:.3g}",
        }
        for row, size in zip(rows.tolist(), sizes, strict=True)
    ]
    return said, {"clean": test.images[rows], "moved": moved}


def sets(one: Exhibit, results: Results) -> Shown:
    """The first examples of made sets beside the images they were made of: [{set, labels, made_of, started_from}]."""
    said, images = [], Images()
    for count, (name, node) in enumerate(one.nodes.items()):
        if not isinstance(node, Make):
            raise TypeError(f"{node.title} makes no set")
        lines = contact_rows(node, results.tensors(node), COLUMNS)
        said.append({"set": name, "lines": [{"name": line.what, "labels": line.labels} for line in lines]})
        images |= {f"{count}.{k}": line.images for k, line in enumerate(lines)}
    return said, images


def bars(one: Exhibit, results: Results) -> Shown:
    """Clean and robust accuracy of each attack's model, with the printed figures: [{name, clean, robust, printed}]."""
    printed = one.more.get("printed", {})
    return [
        {
            "name": name,
            **{read: results.share(node, read) for read in ("clean", "robust")},
            "printed": printed.get(name),
        }
        for name, node in one.nodes.items()
    ], {}


def scatter(one: Exhibit, results: Results) -> Shown:
    """Points (x, y) of shares with their names, the line through them and how their ranks agree.

    `more` has `points`: {name: (node of x, its share, node of y, its share)} by the names of nodes; `x` and `y` say
    what they are.
    """
    points = [
        {"name": name, "x": results.share(one.nodes[a], read_a), "y": results.share(one.nodes[b], read_b)}
        for name, (a, read_a, b, read_b) in one.more["points"].items()
    ]
    line = fit_line([point["x"]["accuracy"] for point in points], [point["y"]["accuracy"] for point in points])
    return {"points": points, "line": line._asdict() if line else None, "x": one.more["x"], "y": one.more["y"]}, {}


def curves(one: Exhibit, results: Results) -> Shown:
    """Accuracy on real validation images after each epoch of training: {name: [[epoch, accuracy]]}."""
    told = {name: results.record_of(node)["history"] for name, node in one.nodes.items()}
    return {
        name: [[row["epoch"], row["clean"] if row["real"] is None else row["real"]] for row in rows]
        for name, rows in told.items()
    }, {}


def features(one: Exhibit, results: Results) -> Shown:
    """Usefulness and robust usefulness of features that were attacked, and how many bear each verdict: {name: ...}."""
    shown = {}
    for name, node in one.nodes.items():
        if not isinstance(node, Score):
            raise TypeError(f"{node.title} measures no features")
        record = results.record_of(node)
        counts = {verdict: sum(row["verdict"] == verdict for row in record["features"]) for verdict in VERDICTS}
        kept = [{key: row[key] for key in ("rho", "gamma", "verdict")} for row in record["features"] if row["gamma"]]
        shown[name] = {"threat": record["threat"], "counts": counts, "features": kept}
    return shown, {}


def gaussians(one: Exhibit, results: Results) -> Shown:
    """Robust maximum likelihood of the example's two Gaussians at each budget of `more["eps"]`; computed on the
    spot."""
    truth = example()
    fits = [robust_likelihood(truth, eps).record() for eps in one.more["eps"]]
    return {"mu": truth.mu.tolist(), "sigma": truth.sigma.tolist(), "fits": fits}, {}


def directions(one: Exhibit, results: Results) -> Shown:
    """Where the singular vectors of two classes' images stand, and two useful, fragile features made of them."""
    (node,) = one.nodes.values()
    return results.record_of(node), {}


VERDICTS = ("robustly useful", "useful but not robust", "undecided", "useless")
KINDS: dict[str, Callable[[Exhibit, Results], Shown]] = {
    "walks": walks,
    "curvature": walks,
    "audits": verdicts,
    "turned": turned,
    "sets": sets,
    "bars": bars,
    "scatter": scatter,
    "curves": curves,
    "features": features,
    "directions": directions,
    "gaussians": gaussians,
}
