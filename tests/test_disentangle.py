"""Made data sets: each is what the paper says it is, checks itself, survives a kill to the same bytes, and can be
learned from."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from brittle.attacks import (
    L2,
    Evaluation,
    Linf,
    Targets,
    Threat,
    against,
    classes_of,
    pgd,
    session,
    toward,
    without_transfer,
)
from brittle.ground import BrittleError
from brittle.learning import Augment, Recipe, Split, Standard, accuracy, load, load_net, train
from brittle.science import (
    CONSTRUCTIONS,
    Construction,
    Matched,
    Mislabelled,
    Targeted,
    Unchanged,
    check_set,
    check_source,
    cycle,
    disentangle,
    fit_line,
    join_parts,
    leak,
    make_part,
    part_slices,
    representation_of,
)
from brittle.science.disentangle import Part
from conftest import Run
from killing import command, finished, killed_and_resumed

QUICK: dict[str, Construction] = {
    "D_R": Matched(20, 0.1),
    "D_NR": Matched(20, 0.1),
    "D_rand": Targeted("random", L2(1.5), 15, 0.3),
    "D_det": Targeted("shift", L2(1.5), 15, 0.3),
}


def few(n: int = 60) -> Split:
    return load("digits").train.take(n)


def made(model: nn.Module, construction: Construction, n: int = 60, seed: int = 0) -> Part:
    split = few(n)
    return join_parts([make_part(model, split, construction, which, seed=seed) for which in part_slices(n)])


def test_the_four_sets_are_what_the_paper_says(digits_net: nn.Module) -> None:
    split = few(150)
    with pytest.warns(UserWarning, match="D_R: the model is not robust"):
        sets = disentangle(digits_net, digits_net, split, constructions=QUICK, threat=L2(1.5))
    assert sets["D_R"].record["source"]["robust"] < sets["D_R"].record["source"]["clean"]
    assert list(sets) == ["D_R", "D_NR", "D_rand", "D_det"]
    for name in ("D_R", "D_NR"):
        assert torch.equal(sets[name].split.labels, split.labels)
        distance = sets[name].record["distance"]
        assert distance["after"]["mean"] < 0.5 * distance["before"]["mean"]
    assert torch.equal(sets["D_det"].split.labels, (split.labels + 1) % 10)
    counts = torch.bincount(sets["D_rand"].split.labels, minlength=10)
    assert int(counts.min()) > 0
    assert not torch.equal(sets["D_rand"].split.labels, split.labels)
    for name in ("D_rand", "D_det"):
        record = sets[name].record
        assert record["reached"]["accuracy"] > 0.6
        assert record["size"]["largest"] <= 1.5 * (1 + 1e-5)
        moved = sets[name].split.x() - split.x()
        assert float(moved.flatten(1).norm(dim=1).max()) < 1.5 + 0.03  # and what rounding to 8 bits adds
    assert sum(sets["D_det"].record["labels"].values()) == 150


def test_matching_starts_from_another_image_each_serving_once() -> None:
    for count in (2, 7, 100):
        after = cycle(count, seed=3)
        assert sorted(after.tolist()) == list(range(count))
        assert not bool((after == torch.arange(count)).any())
    assert torch.equal(cycle(50, 1), cycle(50, 1))
    assert not torch.equal(cycle(50, 1), cycle(50, 2))


def test_more_steps_match_no_worse(digits_net: nn.Module) -> None:
    short, long = (made(digits_net, Matched(steps, 0.1), 30).after for steps in (5, 40))
    assert bool((long <= short + 1e-6).all())
    noise = made(digits_net, Matched(20, 0.1, "noise"), 30)
    assert bool((noise.start == -1).all())
    assert float(noise.after.mean()) < float(noise.before.mean())


def test_matching_is_of_the_layer_that_is_named(digits_net: nn.Module) -> None:
    split = few(20)
    part = make_part(digits_net, split, Matched(30, 0.1, layer="1.2"), slice(0, 20))
    g = representation_of(digits_net, split.x(), "1.2")
    goal, got = g(split.x()), g(part.images.float() / 255)
    away = (got - goal).norm(dim=1) / goal.norm(dim=1)
    assert torch.allclose(away, part.after, atol=0.03)  # 8 bits


def test_a_part_depends_on_its_own_images_alone(digits_net: nn.Module) -> None:
    split = few(40)
    for construction in (*QUICK.values(), Matched(5, 0.1, "noise")):
        whole = make_part(digits_net, split, construction, slice(0, 40), seed=5)
        halves = join_parts(
            [make_part(digits_net, split, construction, which, seed=5) for which in (slice(0, 15), slice(15, 40))]
        )
        assert torch.equal(whole.labels, halves.labels)
        assert torch.equal(whole.start, halves.start)
        assert (
            float((whole.images.float() - halves.images.float()).abs().mean()) < 0.05
        )  # batches of other sizes round otherwise


def test_averaging_over_copies_is_the_mean_gradient(digits_net: nn.Module) -> None:
    from brittle.attacks import Estimator, Iterate, Memory, eot_gradient, gradient_at

    x, y = few(6).x(), few(6).labels
    augment = Augment(1)
    with session(against(digits_net)) as evaluate:

        def estimate(estimator: Estimator, t: int) -> tuple[Evaluation, Tensor]:
            return estimator.update(evaluate, Iterate(x, x, y, t, Memory((), ())), ())[:2]

        _, mean = estimate(eot_gradient(augment, 3, seed=7), 2)
        each = [gradient_at(lambda at, y, k=k: evaluate(augment(at, 7 + 6 + k), y), x, y)[1] for k in range(3)]
        assert torch.allclose(mean, torch.stack(each).mean(0), atol=1e-6)
        seen, plain = estimate(eot_gradient(Augment(), 2, seed=0), 0)
        assert torch.allclose(plain, gradient_at(evaluate, x, y)[1], atol=1e-6)
        assert torch.equal(seen.loss, evaluate(x, y).detach().loss)
    averaged = replace(Targeted("shift", L2(1.5), 5, 0.5), copies=2)
    usual = replace(few(20), name="cifar10/train")  # whose images are usually shifted and mirrored
    assert float(make_part(digits_net, usual, averaged, slice(0, 20)).size.max()) <= 1.5 + 1e-5
    with pytest.raises(BrittleError, match="not usually augmented"):
        make_part(digits_net, few(20), averaged, slice(0, 20))


def test_without_transfer_the_others_keep_the_true_class(digits_net: nn.Module) -> None:
    torch.manual_seed(1)
    from brittle.learning import build_net

    data = load("digits")
    other = build_net("mlp", data.shape, 10)  # type: ignore[arg-type]
    for _ in train(other, data, Standard(), Recipe(4), device="cpu"):
        pass
    x, y = data.test.take(80).x(), data.test.take(80).labels
    both = Targets(y, (y + 1) % 10)
    threat = L2(1.5)
    plain = pgd(toward(digits_net), threat, steps=20, start="clean")(x, both.target)
    alone = pgd(without_transfer(digits_net, [other.eval()]), threat, steps=20, start="clean")(x, both)
    moved = [
        (classes_of(model, x_adv) == both.target).float().mean()
        for model in (digits_net, other)
        for x_adv in (plain, alone)
    ]
    assert moved[1] > 0.5  # still reaches the target in the one model
    assert moved[3] < 0.5 * moved[2]  # and hardly in the other
    with session(without_transfer(digits_net, [other])) as evaluate:
        loss = evaluate(x, both).loss
    with session(toward(digits_net)) as one, session(toward(other)) as two:
        assert torch.allclose(loss, one(x, both.target).loss + two(x, y).loss, atol=1e-5)
    with pytest.raises(BrittleError, match="other models"):
        without_transfer(digits_net, [])


def test_mistakes_alone_are_kept_with_the_answers_as_labels(digits_net: nn.Module) -> None:
    split = load("digits").train
    part = join_parts([make_part(digits_net, split, Mislabelled(), which) for which in part_slices(len(split))])
    answers = classes_of(digits_net, split.x())
    wrong = (answers != split.labels).nonzero().squeeze(1)
    assert torch.equal(part.row, wrong)
    assert torch.equal(part.labels, answers[wrong])
    assert torch.equal(part.images, split.images[wrong])
    right = Split(split.images[answers == split.labels], split.labels[answers == split.labels], split.classes, "right")
    with pytest.raises(BrittleError, match="made no mistake"):
        disentangle(digits_net, digits_net, right.take(30), constructions={"D_mis": Mislabelled()}, threat=L2(0))


class Choosy(nn.Module):
    """Reshapes as many nets do, which fails on no images at all."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.view(x.size(0), 1, -1, 8))  # type: ignore[no-any-return]


def test_a_part_without_mistakes_is_empty(digits_net: nn.Module) -> None:
    split = few(40)
    right = (classes_of(digits_net, split.x()) == split.labels).nonzero().squeeze(1)[:10]
    part = make_part(Choosy(digits_net), split.take(right), Mislabelled(), slice(0, 10))
    assert len(part.labels) == 0


def test_a_representation_that_is_nan_is_refused(digits_net: nn.Module) -> None:
    class Broken(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last = nn.Linear(64, 10)

        def forward(self, x: Tensor) -> Tensor:
            return self.last(x.flatten(1).sqrt() / (x.flatten(1).mean(1, keepdim=True) > 0.3))  # type: ignore[no-any-return]

    with pytest.raises(BrittleError, match="representation is NaN on"):
        make_part(Broken(), few(20), Matched(3), slice(0, 20))


def test_a_set_outside_of_its_threat_is_refused(digits_net: nn.Module) -> None:
    whole = made(digits_net, QUICK["D_det"], 20)
    assert check_set(whole, QUICK["D_det"], few().classes)["n"] == 20
    with pytest.raises(BrittleError, match="20 of 20 made images lie outside"):
        check_set(whole._replace(inside=~whole.inside), QUICK["D_det"], few().classes)


def test_a_source_that_does_not_fit_is_told(digits_net: nn.Module) -> None:
    test = load("digits").test
    assert "not robust" in check_source("D_R", digits_net, test, L2(1.5))["warning"]
    assert "is robust" in check_source("D_NR", digits_net, test, L2(0.01))["warning"]
    assert check_source("D_NR", digits_net, test, L2(1.5))["warning"] is None
    assert check_source("D_R", digits_net, test, L2(0))["warning"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Matched(0),
        lambda: Matched(5, -1.0),
        lambda: Matched(5, 0.1, "nowhere"),
        lambda: Targeted("best"),
        lambda: Targeted("shift", copies=0),
        lambda: Targeted("shift", copies=2, transfers=False),
    ],
)
def test_senseless_constructions_are_refused(wrong) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(BrittleError):
        wrong()


def test_two_classes_shift_to_each_other_and_random_targets_may_be_the_label() -> None:
    y = torch.tensor([0, 1, 0, 1])
    assert torch.equal(Targeted("shift").targets(y, 2, 0), 1 - y)
    many = torch.zeros(5000, dtype=torch.int64)
    drawn = torch.bincount(Targeted("random").targets(many, 10, 0), minlength=10)
    assert int(drawn.min()) > 400  # uniform over all classes, the label's own too


def test_eps_0_moves_nothing(digits_net: nn.Module) -> None:
    part = made(digits_net, Targeted("shift", L2(0), 3, 0.1), 10)
    assert torch.equal(part.images, few(10).images)
    assert float(part.size.max()) == 0


def test_nothing_leaks_through_features_that_the_labels_ignore() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6000, 1, 4, 4), generator=generator, dtype=torch.uint8)
    truth = (images[:, 0, 0, 0] > 127).long()
    test, noise = Split(images[3000:], truth[3000:], ("a", "b"), "test"), (images[:3000, 0, 3, 3] > 127).long()

    class Seeing(nn.Module):  # sees the pixel that tells the class
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([1 - x[:, 0, 0, 0], x[:, 0, 0, 0]], 1)

    told = leak(Seeing(), Split(images[:3000], truth[:3000], ("a", "b"), "told"), test)
    against = leak(Seeing(), Split(images[:3000], 1 - truth[:3000], ("a", "b"), "against"), test)
    assert told.accuracy > 0.99
    assert against.accuracy < 0.01

    class Blind(nn.Module):  # sees another pixel, which tells these labels and not the class
        def forward(self, x: Tensor) -> Tensor:
            return torch.stack([1 - x[:, 0, 3, 3], x[:, 0, 3, 3]], 1)

    untold = leak(Blind(), Split(images[:3000], noise, ("a", "b"), "untold"), test)
    assert untold.interval[0] < 0.52
    assert untold.interval[1] > 0.48
    with pytest.raises(BrittleError, match="one label"):
        leak(Seeing(), Split(images[:3000], noise * 0, ("a", "b"), "one"), test)


def test_a_line_through_points_and_their_ranks() -> None:
    line = fit_line([0.1, 0.2, 0.3, 0.4, 0.5], [0.3, 0.5, 0.7, 0.9, 1.1])
    assert line is not None
    assert (line.slope, line.intercept, line.rank) == pytest.approx((2, 0.1, 1))
    assert line.p == pytest.approx(1 / 120)  # one order of five is as good
    three = fit_line([1, 2, 3], [1, 2, 3])
    assert three is not None
    assert three.p == pytest.approx(1 / 6)
    assert fit_line([0.1, 0.2], [1, 2]) is None
    assert fit_line([0.1, 0.1, 0.1], [1, 2, 3]) is None


STRANGER = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 25, 16), nn.ReLU(), nn.Linear(16,
    2))
"""


def strangers(folder: Path) -> None:
    """A model and pictures that brittle has never seen."""
    (folder / "stranger.py").write_text(STRANGER)
    rng = np.random.default_rng(0)
    for part, count in (("train", 300), ("test", 20)):
        for k, name in enumerate(("dark", "light")):
            place = folder / "pictures" / part / name
            place.mkdir(parents=True)
            for row in range(count):
                Image.fromarray((rng.random((12, 12, 3)) * 100 + 120 * k).astype(np.uint8)).save(place / f"{row}.png")


def test_an_unknown_model_and_data_set_killed_three_times_give_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    strangers(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = [
        "disentangle",
        "stranger:net",
        "--data",
        "folder:pictures",
        "--make",
        "D_det",
        "--threat",
        "L2:1",
        "--steps",
        "150",
    ]
    hits = killed_and_resumed(tmp_path / "b", "*/*.work/parts/*.safetensors", [*words, "--out", "broken"])
    assert hits >= 1
    finished(command(tmp_path / "c", *words, "--out", "whole"))
    whole, broken = (tmp_path / name / "set.safetensors" for name in ("whole", "broken"))
    assert whole.read_bytes() == broken.read_bytes()
    data = load(f"made:{tmp_path / 'whole'}")
    assert data.name == "folder:pictures (D_det)"
    assert (
        len(data.train) + len(data.validation) == 540
    )  # nine tenths of 600 images: a tenth is the source's validation


def test_disentangle_writes_every_layout_and_trains(run: Run, model: str) -> None:
    words = [
        "disentangle",
        model,
        "--make",
        "D_rand",
        "--threat",
        "L2:1.5",
        "--steps",
        "10",
        "-n",
        "200",
        "--device",
        "cpu",
    ]
    status, out, error = run(*words, "--out", "set", "--tensors", "--images")
    assert (status, "answers the set's label" in out) == (0, True), error
    assert {path.name for path in Path("set").iterdir()} == {
        "set.safetensors",
        "set.json",
        "sheet.png",
        "tensors",
        "images",
    }
    record = json.loads(Path("set/set.json").read_text())
    assert record["n"] == 200
    assert record["data"]["of"] == len(load("digits").train)
    assert record["model"]["digest"]
    assert record["making"]["threat"]["eps"] == "1.5"
    with Image.open("set/sheet.png") as sheet:
        assert sheet.width > 500
    made_set = load("made:set")
    assert made_set.name == "digits (D_rand)"
    assert torch.equal(made_set.test.images, load("digits").test.images)
    folder = load("folder:set/images")
    assert sorted(folder.test.images.flatten(1).sum(1).tolist()) == sorted(
        made_set.test.images.flatten(1).sum(1).tolist()
    )
    released = load("made:set/tensors")
    assert len(released.train) + len(released.validation) + len(released.test) == 200
    train = "train --data made:set --net mlp --epochs 2 --out learned.safetensors --device cpu"
    status, out, error = run(*train.split())
    assert status == 0, error
    real = accuracy(load_net(Path("learned.safetensors"))[0], load("digits").test)
    assert f"On 359 images of digits/test: clean {real:.1%}" in out
    assert "On held-out images of the made set, by its labels: clean " in out
    status, out, _ = run(*words, "--out", "again", "--json")
    assert json.loads(out)["reached"] == record["reached"]


def test_a_full_disk_leaves_nothing_half_written(
    run: Run,
    model: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = ("disentangle", model, "--make", "D_det", "--steps", "2", "-n", "600", "--device", "cpu", "--out", "set")
    written, real = [], os.fsync

    def full(handle: int) -> None:
        written.append(handle)
        if len(written) == 2:
            raise OSError(28, "No space left on device")
        real(handle)

    monkeypatch.setattr(os, "fsync", full)
    status, _, error = run(*words)
    assert status == 2
    assert "No space left" in error
    assert not Path("set/set.safetensors").exists()
    monkeypatch.setattr(os, "fsync", real)
    assert run(*words)[0] == 0
    assert json.loads(Path("set/set.json").read_text())["n"] == 600


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--make", "D_best"), "no set is called"),
        (("--make", "D_R", "--copies", "3"), "D_R has no --copies"),
        (("--make", "D_det", "--start", "noise"), "D_det has no --start"),
        (("--make", "D_NR", "--layer", "nowhere"), "no layer is called"),
        (("--make", "D_NR", "--other", "net.safetensors"), "--other is for D_rand and D_det"),
        (("--make", "D_det", "--steps", "0"), "steps >= 1"),
        (
            (
                "--data",
                "made:nowhere",
            ),
            "there is no file",
        ),
    ],
)
def test_bad_input_is_one_clear_line(
    run: Run,
    model: str,
    words: tuple[str, ...],
    said: str,
) -> None:
    status, _, error = run("disentangle", model, *words, "-n", "20", "--device", "cpu")
    assert status == 2
    assert said in error
    assert error.count("\n") == 1


def test_a_compiled_program_makes_no_matched_set(run: Run, tmp_path: Path, digits_net: nn.Module) -> None:
    batch = ({0: torch.export.Dim("batch")},)
    torch.export.save(torch.export.export(digits_net, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=batch), "net.pt2")
    status, _, error = run(
        "disentangle", "trusted:net.pt2", "--data", "digits", "--make", "D_NR", "-n", "20", "--device", "cpu"
    )
    assert status == 2
    assert "no linear layer" in error


def test_made_sets_of_another_kind_of_file_are_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"images": torch.zeros(1)}, tmp_path / "set.safetensors")
    with pytest.raises(BrittleError, match="not written by brittle"):
        load(f"made:{tmp_path}")


def test_the_control_holds_the_images_as_they_are(digits_net: nn.Module) -> None:
    split = load("digits").train.take(40)
    made = disentangle(digits_net, digits_net, split, constructions={"D": Unchanged()})["D"]
    assert torch.equal(made.split.images, split.images)
    assert torch.equal(made.split.labels, split.labels)
    assert made.record["size"]["largest"] == 0
    assert made.record["source"]["warning"] is None


def test_every_construction_says_what_it_costs() -> None:
    assert {name: construction.cost for name, construction in CONSTRUCTIONS.items()} == {
        "D_R": 1000,
        "D_NR": 1000,
        "D_rand": 100,
        "D_det": 100,
        "D_mis": 0.4,
        "D": 0,
    }
    assert math.isclose(Targeted("shift", Linf("8/255"), 10, 0.01, copies=4).cost, 40)
    assert isinstance(Linf(0.1), Threat)


def test_what_a_net_learns_of_made_sets_is_tried_on_real_images(digits_net: nn.Module, tmp_path: Path) -> None:
    from brittle.learning import build_net
    from brittle.learning.training_state import history_of

    data = load("digits")
    torch.manual_seed(0)
    net = build_net("mlp", data.shape, 10)  # type: ignore[arg-type]
    state = tmp_path / "state.safetensors"
    for _ in train(net, data, Standard(), Recipe(2), probe=data.validation, state_file=state, device="cpu"):
        pass
    last = history_of(state)[-1]
    assert last["real"] == last["clean"] == accuracy(net, data.validation)
