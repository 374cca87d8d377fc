"""The batch that fits: few images of what keeps much, all where memory does not matter; figures do not depend on it."""

import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from brittle.attacks import L2, against, fitting_batch, memory, pgd
from brittle.audits import audit
from brittle.ground import ByteImages, World, devices, free_memory
from brittle.learning import build_net, examples_of, load


class Seen(nn.Module):
    """A net that remembers the largest batch it was shown."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net, self.most = net, 0

    def forward(self, x: Tensor) -> Tensor:
        self.most = max(self.most, len(x))
        return self.net(x)  # type: ignore[no-any-return]


def given(monkeypatch: pytest.MonkeyPatch, free: int | None) -> None:
    monkeypatch.setattr(memory, "free_memory", lambda _: free)


def test_the_batch_follows_what_an_image_keeps_and_what_is_free(monkeypatch: pytest.MonkeyPatch) -> None:
    net, wide = build_net("mlp", (1, 28, 28), 10), build_net("resnet18", (3, 32, 32), 10)
    assert fitting_batch(net, torch.rand(3, 1, 28, 28)) == 250
    x = torch.rand(1, 3, 32, 32)
    kept = memory._kept(wide, torch.rand(2, 3, 32, 32)) - memory._kept(wide, x)
    assert 1e6 < kept < 1e8  # some megabytes of activations; weights, which all images share, are not among them
    for size in (100, 5):
        given(monkeypatch, round(2 * size * (memory.BACKWARD * kept + memory.HELD * 4 * x.numel())))
        assert fitting_batch(wide, x) == size
    given(monkeypatch, 0)
    assert fitting_batch(wide, x) == 1
    assert not any(module.training for module in wide.eval().modules())


@pytest.mark.parametrize("free", [None, 10**15])
def test_where_memory_cannot_be_told_or_is_plenty_it_is_250(free: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, free)
    assert fitting_batch(build_net("linear", (1, 8, 8), 10), torch.rand(1, 1, 8, 8)) == 250
    assert fitting_batch(lambda x: 1 / 0, torch.rand(1, 1, 8, 8)) == 250  # whoever uses it says what is wrong


def test_images_stay_as_they_are_whatever_the_model_does_to_them() -> None:
    x = torch.full((2, 1, 8, 8), 0.5)
    state = torch.get_rng_state()
    assert fitting_batch(lambda x: (x + torch.rand_like(x)).flatten(1), x) == 250
    assert torch.equal(torch.get_rng_state(), state)
    assert fitting_batch(lambda x: x.sub_(1).flatten(1), x) == 250
    assert torch.equal(x, torch.full((2, 1, 8, 8), 0.5))


def test_processes_that_share_work_take_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    given(monkeypatch, 0)
    monkeypatch.setattr(memory, "world", lambda: World(1, 2))
    assert fitting_batch(build_net("linear", (1, 8, 8), 10), torch.rand(1, 1, 8, 8)) == 250


def test_an_audit_shows_no_more_at_once_and_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    net, part = build_net("mlp", (1, 8, 8), 10).eval(), load("digits").test.take(60)
    x = part.x()
    y = net(x).argmax(1)
    plain = audit(net, (x, y), L2(0.5), effort="smoke")
    kept = memory._kept(net, x[:2]) - memory._kept(net, x[:1])
    given(monkeypatch, 2 * 20 * (memory.BACKWARD * kept + memory.HELD * 4 * 64))
    seen = Seen(net)
    small = audit(seen, (x, y), L2(0.5), effort="smoke")
    assert seen.most == 20
    assert torch.equal(small.withstands, plain.withstands)
    moved = pgd(against(net), L2(0.5), steps=3)(x, y)
    assert moved.shape == x.shape


def test_a_container_has_what_its_limit_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "CONTAINER", tmp_path)
    (tmp_path / "memory.current").write_text("1000\n")
    (tmp_path / "memory.max").write_text("max\n")
    assert (free_memory(torch.device("cpu")) or 0) > 2**20
    (tmp_path / "memory.max").write_text("5000\n")
    assert free_memory(torch.device("cpu")) == 4000


def test_free_memory_is_known_here_and_not_of_what_is_no_memory() -> None:
    free = free_memory(torch.device("cpu"))
    assert free is not None
    assert 2**20 < free <= os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert free_memory(torch.device("meta")) is None


def test_bytes_are_read_as_the_same_floats_by_row_by_list_and_by_slice() -> None:
    pixels = torch.arange(256, dtype=torch.uint8).view(64, 1, 2, 2)
    held = ByteImages(pixels, pixels.device)
    assert torch.equal(held[:], pixels.float() / 255)
    assert torch.equal(held[3], held[:][3])
    assert torch.equal(held[[5, 2]], held[torch.tensor([5, 2])])
    assert torch.equal(held[:], (pixels.double() / 255).float())


def test_a_loader_that_shows_few_of_many_takes_room_for_few() -> None:
    class Many(Dataset[tuple[Tensor, int]]):
        def __len__(self) -> int:
            return 10**12

        def __getitem__(self, row: int) -> tuple[Tensor, int]:
            return torch.full((1, 4, 4), row % 7, dtype=torch.uint8), row % 3

    x, y = examples_of(DataLoader(Many(), batch_size=4, sampler=range(10)))
    assert x.shape == (10, 1, 4, 4)
    assert y.tolist() == [row % 3 for row in range(10)]
