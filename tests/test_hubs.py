"""timm, torchvision, RobustBench and onnx2torch themselves, in processes that find them; nothing is fetched."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

HERE = Path(__file__).parent
COMPARE = """
import sys, torch, with_hubs
from brittle.attacks import answer_of
from brittle.learning import load_model

def same(spec, theirs, mean, std):
    "Whether what is loaded with the weights of `theirs` answers as that does on normalised images."
    torch.manual_seed(1)
    for layer in theirs.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):  # so that no two nets answer alike by chance
            torch.nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(layer.weight, 0.5, 1)
    torch.save(theirs.eval().state_dict(), "theirs.pt")
    x = torch.rand(4, 3, 32, 32)
    across = lambda numbers: torch.tensor(numbers).view(-1, 1, 1)
    expected = theirs((x - across(mean)) / across(std))
    ours = answer_of(load_model(spec, weights="theirs.pt").model, x)
    assert torch.allclose(ours, expected, atol=1e-5), (ours - expected).abs().max()
    assert (expected - expected.flip(0)).abs().max() > 1e-3, "no two images are told apart"

IMAGENET = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
"""
ROBUSTBENCH = "robustbench:cifar10/Linf/Andriushchenko2020Understanding"
THEIRS = {
    "timm:resnet18": "import timm; same(SPEC, timm.create_model('resnet18'), *IMAGENET)",
    "timm:resnet10t": "import timm; same(SPEC, timm.create_model(SPEC[5:], num_classes=7), *IMAGENET)",
    "torchvision:resnet18": "from torchvision import models; same(SPEC, models.resnet18(), *IMAGENET)",
    ROBUSTBENCH: """
from robustbench.model_zoo.models import model_dicts as lists
[entry] = [models["Andriushchenko2020Understanding"] for threats in lists.values() for models in threats.values()
           if "Andriushchenko2020Understanding" in models]
same(SPEC, entry["model"](), [0.0, 0.0, 0.0], [1.0, 1.0, 1.0])
""",
    "net.onnx": """
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
weights = np.random.default_rng(0).normal(size=(10, 192)).astype(np.float32)
shapes = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 8, 8])], [
    helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 10])]
nodes = [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("Gemm", ["flat", "w"], ["logits"], transB=1)]
graph = helper.make_graph(nodes, "net", *shapes, [numpy_helper.from_array(weights, "w")])
made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
onnx.save(made, "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)
digest = load_model(SPEC).digest
assert load_model(SPEC).digest == digest
held = open("net.data", "rb").read()
open("net.data", "wb").write(np.zeros_like(weights).tobytes())
assert load_model(SPEC).digest != digest, "weights in another file are part of the model"
open("net.data", "wb").write(held)
x = torch.rand(4, 3, 8, 8, requires_grad=True)
logits = answer_of(load_model(SPEC).model, x)
w = torch.from_numpy(weights)
assert torch.allclose(logits, x.flatten(1) @ w.T, atol=1e-4)
[slope] = torch.autograd.grad(logits[:, 3].sum(), x)
assert torch.allclose(slope.flatten(1), w[3].expand(4, -1), atol=1e-4)
""",
    "one.onnx": """
import numpy as np, onnx
from onnx import TensorProto, helper, numpy_helper
w = np.random.default_rng(0).normal(size=(10, 192)).astype(np.float32)
shapes = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)]
          for name, shape in (("x", [1, 3, 8, 8]), ("logits", [1, 10]))]
last = helper.make_node("Gemm", ["row", "w"], ["logits"], transB=1)
nodes = [helper.make_node("Reshape", ["x", "flat"], ["row"]), last]
flat = numpy_helper.from_array(np.array([1, -1]), "flat")  # of a batch of two it makes one long row
graph = helper.make_graph(nodes, "net", *shapes, [numpy_helper.from_array(w, "w"), flat])
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), SPEC)
x = torch.rand(4, 3, 8, 8, requires_grad=True)
logits = answer_of(load_model(SPEC).model, x)
assert torch.allclose(logits, x.flatten(1) @ torch.from_numpy(w).T, atol=1e-4)
[slope] = torch.autograd.grad(logits[:, 3].sum(), x)
assert torch.allclose(slope.flatten(1), torch.from_numpy(w)[3].expand(4, -1), atol=1e-4)
""",
}


def python(folder: Path, *words: str) -> str:
    more = {"PYTHONPATH": os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=folder, env=os.environ | more, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def answers_alike(what: str, folder: Path) -> None:
    python(folder, "-c", f"SPEC = {what!r}\n{COMPARE}{THEIRS[what]}")


@pytest.mark.parametrize("what", sorted(set(THEIRS) - {ROBUSTBENCH}))
def test_a_model_answers_as_its_library_does(what: str, tmp_path: Path) -> None:
    answers_alike(what, tmp_path)


@pytest.mark.parametrize(("name", "weights"), [("timm:resnet18", "random"), (ROBUSTBENCH, "theirs.pt")])
def test_one_command_audits_it_on_photos_of_any_size(name: str, weights: str, tmp_path: Path) -> None:
    if weights != "random":
        answers_alike(name, tmp_path)
    rng = np.random.default_rng(0)
    for place, of in enumerate(("ant", "bee")):
        (tmp_path / "photos/test" / of).mkdir(parents=True)
        for k, (height, width) in enumerate(((40, 30), (64, 64), (50, 90))):
            held = rng.integers(0, 256, (height, width, 3), dtype=np.uint8) // 2 + 120 * place
            Image.fromarray(held).save(tmp_path / "photos/test" / of / f"{k}.jpg")
    words = f"--weights {weights} --data folder:photos --size 32 --effort smoke --threat Linf:4/255 --json"
    record = json.loads(python(tmp_path, str(HERE / "with_hubs.py"), "audit", name, *words.split()))
    assert (record["model"]["source"], record["model"]["weights"]) == (name, weights)
    assert [threat["threat"] for threat in record["threats"]] == ["Linf:4/255"]
    assert len(record["data"]["files"]) == record["clean"]["n"] == 6
