"""Whoever gives a path may give a text."""

import inspect
from pathlib import Path

import torch

import brittle
from brittle.learning import history_of, load, load_model


def test_where_a_path_is_taken_a_text_is() -> None:
    public = {name: getattr(brittle, name) for name in brittle.__all__} | {"load_model": load_model}
    taken = {
        (name, one.name): str(one.annotation)
        for name, thing in public.items()
        if inspect.isfunction(thing)
        for one in inspect.signature(thing).parameters.values()
        if "pathlib.Path" in str(one.annotation)
    }
    assert len(taken) >= 5
    assert not {where: how for where, how in taken.items() if "str" not in how}


def test_files_are_written_and_read_by_texts(tmp_path: Path) -> None:
    data, net = load(Path("digits")), brittle.build_net("mlp", (1, 8, 8), 10)
    state, file, plain = (str(tmp_path / name) for name in ("state.safetensors", "net.safetensors", "plain.pt"))
    assert list(brittle.train(net, data, brittle.Standard(), brittle.Recipe(epochs=1), state_file=state))
    assert len(history_of(state)) == 1
    header = {"net": "mlp", "shape": [1, 8, 8], "classes": list(data.classes), "mean": None, "std": None}
    brittle.save_net(file, net, header)
    torch.save(net.state_dict(), plain)
    x = data.test.take(3).x()
    expected = net.eval()(x)
    assert torch.equal(brittle.load_net(file)[0](x), expected)
    assert torch.equal(load_model("mlp", plain, data=data).model(x), expected)  # type: ignore[arg-type]
