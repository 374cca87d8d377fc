"""What is to be asked of a GPU can be asked: at toy size on the CPU; test_simulated_device.py asks a simulated one."""

import json
from pathlib import Path

import gpu
import pytest

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")  # of profiler and peers


def test_every_question_has_an_answer_and_none_is_asked_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu, "peers", lambda *_: iter(()))  # they are not installed everywhere
    out = tmp_path / "gpu.json"
    asked = ["--toy", "--device", "cpu", "--out", str(out)]
    assert gpu.main([*asked, "--seconds", "0"]) == gpu.CUT_SHORT
    assert gpu.main(asked) == 0
    rows = json.loads(out.read_text())["rows"]
    assert set(rows) == set(gpu.questions(gpu.scale_of("cpu", True)))
    assert all(row["differ"] == 0 for name, row in rows.items() if name.startswith("same"))
    assert all(row["ours"]["images_per_second"] > 0 for name, row in rows.items() if name.startswith("speed"))
    capsys.readouterr()
    assert gpu.main(asked) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1
