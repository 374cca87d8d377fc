"""What is to be looked at in a paper, from finished nodes to plain data and images: one function for each kind of
exhibit."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from brittle.science import example, fit_line, robust_likelihood
from brittle.studies import Audit, Correlate, Curve, Directions, Make, RunAttack, Score, Train, Walk, contact_rows

from .paper import Shown
from .results import Reading, Results

PAIRS, COLUMNS = 12, 8  # images of an attack, examples of each made set
VERDICTS = ("robustly useful", "useful but not robust", "undecided", "useless")


def along_paths(results: Results, walks: Mapping[str, tuple[Walk, str]]) -> Shown:
    """Mean lengths of the `plain` or the `averaged` gradient along attack paths: {name: points}."""
    return {name: results.record_of(walk)[kind] for name, (walk, kind) in walks.items()}, {}


def curvature(results: Results, nodes: Mapping[str, Curve]) -> Shown:
    """Curvature at the data and at the ends of attack paths: {name: points}."""
    return {name: results.record_of(node)["points"] for name, node in nodes.items()}, {}


def audit_verdicts(results: Results, audits: Mapping[str, Audit]) -> Shown:
    """The verdict of each model's audit, with its sentence."""
    return {name: results.record_of(node)["verdict"] for name, node in audits.items()}, {}


def fooling_images(results: Results, attack: RunAttack) -> Shown:
    """Images that fooled the model, drawn at random by the node's seed: what each is taken for; clean and attacked
    images."""
    found = results.tensors(attack)
    fooled = (found["broken"] & ~found["wrong"]).nonzero().squeeze(1)
    order = torch.randperm(len(fooled), generator=torch.Generator().manual_seed(attack.seed))
    rows = fooled[order][:PAIRS]
    test = attack.data.source.load().test
    clean, moved = test.x(rows), found["x_adv"][rows]
    sizes = attack.threat.size(clean.double(), moved.double()).tolist()
    captions = [
        {
            "label": test.classes[int(test.labels[row])],
            "answer": test.classes[int(found["answers"][row])],
            "note": f"example {row}, size {size:.3g}",
        }
        for row, size in zip(rows.tolist(), sizes, strict=True)
    ]
    return captions, {"clean": test.take(rows).images, "moved": moved}


def made_sets(results: Results, sets: Mapping[str, Make]) -> Shown:
    """The first examples of made sets beside the images they were made of: [{set, lines: [{name, labels}]}]."""
    shown, images = [], dict[str, Tensor]()
    for count, (name, made) in enumerate(sets.items()):
        rows = contact_rows(made, results.tensors(made), COLUMNS)
        shown.append({"set": name, "lines": [{"name": row.what, "labels": row.labels} for row in rows]})
        images |= {f"{count}.{k}": row.images for k, row in enumerate(rows)}
    return shown, images


def bars(
    results: Results, attacks: Mapping[str, RunAttack], printed: Mapping[str, tuple[float | None, float | None]]
) -> Shown:
    """Clean and robust accuracy of each attack's model, with the printed figures: [{name, clean, robust, printed}]."""
    return [
        {
            "name": name,
            "clean": results.share(attack, "clean").record(),
            "robust": results.share(attack, "robust").record(),
            "printed": printed.get(name),
        }
        for name, attack in attacks.items()
    ], {}


def scatter(results: Results, points: Mapping[str, tuple[Reading, Reading]], x: str, y: str) -> Shown:
    """Points of two shares with their names, the line through them and how their ranks agree; `x`, `y` name the
    axes."""
    shares = {name: (results.share(*across), results.share(*upwards)) for name, (across, upwards) in points.items()}
    line = fit_line([one.accuracy for one, _ in shares.values()], [one.accuracy for _, one in shares.values()])
    rows = [{"name": name, "x": across.record(), "y": up.record()} for name, (across, up) in shares.items()]
    return {"points": rows, "line": line._asdict() if line else None, "x": x, "y": y}, {}


def curves(results: Results, nets: Mapping[str, Train]) -> Shown:
    """Accuracy on real validation images after each epoch of training: {name: [[epoch, accuracy]]}."""
    histories = {name: results.record_of(net)["history"] for name, net in nets.items()}
    return {
        name: [[row["epoch"], row["clean"] if row["real"] is None else row["real"]] for row in history]
        for name, history in histories.items()
    }, {}


def robust_curves(results: Results, nets: Mapping[str, Train]) -> Shown:
    """Accuracy under PGD in the worst of a net's threats, on validation images after each epoch: {name: [[epoch,
    accuracy]]}."""
    histories = {name: results.record_of(net)["history"] for name, net in nets.items()}
    return {name: [[row["epoch"], row["robust"]] for row in history] for name, history in histories.items()}, {}


def features(results: Results, scores: Mapping[str, Score]) -> Shown:
    """Usefulness and robust usefulness of features that were attacked, and how many bear each verdict: {name: ...}."""
    shown = {}
    for name, score in scores.items():
        record = results.record_of(score)
        counts = {verdict: sum(row["verdict"] == verdict for row in record["features"]) for verdict in VERDICTS}
        kept = [{key: row[key] for key in ("rho", "gamma", "verdict")} for row in record["features"] if row["gamma"]]
        shown[name] = {"threat": record["threat"], "counts": counts, "features": kept}
    return shown, {}


def correlations(results: Results, nodes: Mapping[str, Correlate]) -> Shown:
    """What each net's units are worth on each set: {net: {set: [rho]}}."""
    return {name: results.record_of(node)["rho"] for name, node in nodes.items()}, {}


def gaussians(results: Results, budgets: Sequence[float]) -> Shown:
    """Robust maximum likelihood of the example's two Gaussians at each budget; computed on the spot."""
    truth = example()
    fits = [robust_likelihood(truth, eps).record() for eps in budgets]
    return {"mu": truth.mu.tolist(), "sigma": truth.sigma.tolist(), "fits": fits}, {}


def directions(results: Results, node: Directions) -> Shown:
    """Where the singular vectors of two classes' images stand, and two useful, fragile features made of them."""
    return results.record_of(node), {}
