"""Models and data of Hugging Face's own libraries, from folders on disk: nothing is fetched."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path

import datasets
import huggingface_hub
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

import brittle
from brittle.attacks import answer_of
from brittle.learning import Inputs, load, load_model

Run = Callable[..., tuple[int, str, str]]
SIDE, CLASSES = 24, 3
MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.25]


@pytest.fixture
def vit(tmp_path: Path) -> Path:
    """A folder as `save_pretrained` writes it: a small ViT with random weights, and its processor."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    labels = {"id2label": {0: "ant", 1: "bee", 2: "cat"}, "label2id": {"ant": 0, "bee": 1, "cat": 2}}
    net = ViTForImageClassification(ViTConfig(image_size=SIDE, patch_size=8, **sizes, **labels))
    net.save_pretrained(tmp_path / "vit")
    processor = ViTImageProcessor(size={"height": SIDE, "width": SIDE}, image_mean=MEAN, image_std=STD)
    processor.save_pretrained(tmp_path / "vit")
    return tmp_path / "vit"


def pictures(count: int, height: int = SIDE, width: int = SIDE) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)) for _ in range(count)]


def shown(some: Iterable[Image.Image]) -> torch.Tensor:
    return torch.stack([torch.from_numpy(np.array(one)).permute(2, 0, 1) / 255 for one in some])


def rows(count: int, **sizes: int) -> datasets.Dataset:
    held = {"image": pictures(count, **sizes), "label": [place % CLASSES for place in range(count)]}
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["ant", "bee", "cat"])})
    return datasets.Dataset.from_dict(held, features=kinds)


def test_a_directory_answers_as_its_library_does(vit: Path) -> None:
    """The processor's scaling, mean and standard deviation come before the net."""
    some = pictures(5)
    theirs = ViTForImageClassification.from_pretrained(vit).eval()
    with torch.no_grad():
        expected = theirs(**ViTImageProcessor.from_pretrained(vit)(some, return_tensors="pt")).logits
    x = shown(some)
    ours = answer_of(load_model(f"hf:{vit}").model, x)
    assert torch.allclose(ours.detach(), expected, atol=1e-5)
    assert not torch.allclose(theirs(x).logits.detach(), expected, atol=1e-2)


def test_weights_in_a_file_of_its_library_fit(vit: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Which names them as older versions did."""
    torch.manual_seed(1)
    theirs = ViTForImageClassification(ViTForImageClassification.from_pretrained(vit).config).eval()
    theirs.save_pretrained(tmp_path / "other")
    torch.save(theirs.state_dict(), tmp_path / "plain.pt")
    x = shown(pictures(3))
    expected = answer_of(load_model(f"hf:{vit}", weights=tmp_path / "plain.pt").model, x)
    assert not torch.allclose(answer_of(load_model(f"hf:{vit}").model, x), expected, atol=1e-3)
    capfd.readouterr()
    found = load_model(f"hf:{vit}", weights=tmp_path / "other/model.safetensors").model
    assert capfd.readouterr() == ("", "")
    assert torch.allclose(answer_of(found, x), expected, atol=1e-6)
    held = load_file(tmp_path / "other/model.safetensors")
    save_file({name: value for name, value in held.items() if "classifier" not in name}, tmp_path / "part.safetensors")
    with pytest.raises(brittle.BrittleError, match="do not fit"):
        load_model(f"hf:{vit}", weights=tmp_path / "part.safetensors")


def test_code_of_a_models_own_is_neither_run_nor_asked_about(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "cache"))
    ran, code = (
        tmp_path / "ran",
        "from transformers import PretrainedConfig\n\nclass Odd(PretrainedConfig):\n    pass\n",
    )
    (tmp_path / "odd_code.py").write_text(f"from pathlib import Path\n\nPath({str(ran)!r}).touch()\n{code}")
    (tmp_path / "config.json").write_text('{"model_type": "odd", "auto_map": {"AutoConfig": "odd_code.Odd"}}')
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5], "image_std": [0.5]}')
    with pytest.raises(brittle.BrittleError, match="custom code"):
        load_model(f"hf:{tmp_path}")
    assert not ran.exists()


def test_a_directory_that_does_not_say_how_images_are_prepared_is_told_it(vit: Path) -> None:
    x = shown(pictures(5))
    expected = answer_of(load_model(f"hf:{vit}").model, x)
    for file in vit.glob("*processor_config.json"):
        file.unlink()
    with pytest.raises(brittle.BrittleError, match="give --preprocess"):
        load_model(f"hf:{vit}")
    said = Inputs(preprocess=",".join(map(str, (*MEAN, *STD))))
    assert torch.allclose(answer_of(load_model(f"hf:{vit}", inputs=said).model, x), expected, atol=1e-5)


def test_loading_is_silent(vit: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load_model(f"hf:{vit}")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("look", [load, load_model])
def test_without_a_network_nothing_is_waited_for(
    look: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def no_address(*_: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr("socket.getaddrinfo", no_address)
    monkeypatch.setattr("time.sleep", no_address)
    monkeypatch.setattr("brittle.learning.reach.getproxies", dict)
    with pytest.raises(brittle.BrittleError, match="nowhere/nothing"):
        look("hf:nowhere/nothing")
    assert capfd.readouterr() == ("", "")
    assert not huggingface_hub.constants.HF_HUB_OFFLINE


def test_classes_go_by_their_names(vit: Path, tmp_path: Path) -> None:
    """A folder numbers its classes by the alphabet, a model as it was trained."""

    def answers(*names: str) -> torch.Tensor:
        for name in names:
            (tmp_path / "-".join(names) / "test" / name).mkdir(parents=True)
            pictures(1)[0].save(tmp_path / "-".join(names) / "test" / name / "0.png")
        data = load(f"folder:{tmp_path / '-'.join(names)}")
        assert data.classes == names
        return answer_of(load_model(f"hf:{vit}", data=data).model, x)

    x = shown(pictures(4))
    plain = answer_of(load_model(f"hf:{vit}").model, x)
    assert torch.allclose(answers("Cat", "ant", "bee"), plain[:, [2, 0, 1]])
    assert torch.equal(answers("ant", "bee", "dog"), plain)


def test_a_saved_data_set_is_read_picture_by_picture(tmp_path: Path) -> None:
    rows(12).save_to_disk(tmp_path / "alone")
    datasets.DatasetDict({"train": rows(30), "validation": rows(9)}).save_to_disk(tmp_path / "both")
    rows(6, height=40, width=30).save_to_disk(tmp_path / "odd")
    alone, both = load(f"hf:{tmp_path / 'alone'}"), load(f"hf:{tmp_path / 'both'}")
    order = list(alone.test.rows)
    assert sorted(order) == list(range(12))
    assert torch.equal(alone.test.x(), shown(pictures(12))[order])
    assert alone.test.labels.tolist() == [place % CLASSES for place in order]
    assert (alone.classes, both.classes) == (("ant", "bee", "cat"),) * 2
    assert len(both.test) == 9
    assert load(f"hf:{tmp_path / 'odd'}@{SIDE}").test.x().shape == (6, 3, SIDE, SIDE)


def test_labels_may_be_words(tmp_path: Path) -> None:
    words = rows(4).remove_columns("label").add_column("label", ["dog", "cat", "owl", "cat"])
    unread = rows(2).remove_columns("label").add_column("label", ["?", "?"])
    datasets.DatasetDict({"test": words, "more": unread}).save_to_disk(tmp_path / "words")
    data = load(f"hf:{tmp_path / 'words'}")
    assert data.classes == ("cat", "dog", "owl")
    assert data.test.labels[torch.tensor(data.test.rows).argsort()].tolist() == [1, 0, 2, 0]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "cannot be read as a data set of Hugging Face"),
        (
            lambda path: datasets.Dataset.from_dict({"text": ["a"]}).save_to_disk(path),
            "it needs a column of type datasets.Image and one called label",
        ),
        (
            lambda path: rows(3).remove_columns("label").add_column("label", [0.0, 1.5, 2.5]).save_to_disk(path),
            "column label holds 0.0, which is no class",
        ),
        (
            lambda path: rows(3).remove_columns("label").add_column("label", [None, 1, 0]).save_to_disk(path),
            "column label holds None, which is no class",
        ),
        (
            lambda path: datasets.DatasetDict({"train": rows(9).remove_columns("label"), "test": rows(3)}).save_to_disk(
                path
            ),
            "do not stand in both",
        ),
        (lambda path: datasets.DatasetDict({"more": rows(3)}).save_to_disk(path), "neither a train nor a test part"),
    ],
)
def test_what_is_no_data_set_of_theirs_is_said_in_one_line(
    make: Callable[[Path], None], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    make(tmp_path / "it")
    with pytest.raises(brittle.BrittleError, match=said) as told:
        load(f"hf:{tmp_path / 'it'}")
    assert "\n" not in str(told.value)


def test_one_command_audits_a_directory_on_a_saved_data_set(vit: Path, tmp_path: Path, run: Run) -> None:
    net = load_model(f"hf:{vit}").model
    held = rows(20)
    x = shown(held["image"])
    with torch.no_grad():
        answers = answer_of(net, x).argmax(1).tolist()
    named = held.remove_columns("label").add_column("label", answers, feature=held.features["label"])
    named.save_to_disk(tmp_path / "data")
    words = ["audit", f"hf:{vit}", "--data", f"hf:{tmp_path / 'data'}", "--threat", "Linf:8/255", "--effort", "quick"]
    status, out, err = run(*words, "--json")
    record = json.loads(out)
    assert status == 0, err
    assert record["clean"]["accuracy"] == 1
    assert record["union"]["accuracy"] < 1
