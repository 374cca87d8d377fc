"""Threats: what each allows, how it is written, and the laws that all of them keep."""

import pytest
import torch
from torch import Tensor

from brittle.attacks import EXAMPLES, L0, L1, L2, Ball, Linf, LpBall, NormBall, Spatial, Threat, parse_threat
from brittle.attacks.threats.spatial import transformed
from brittle.ground import BrittleError

SMALL = ("Linf:0.2", "L2:0.7", "L1:2", "L0:3", "Spatial:20,1")
all_threats = pytest.mark.parametrize("text", SMALL)


def images(count: int = 6, channels: int = 1, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(count, channels, 6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(dtype)


def test_threats_are_written_and_read() -> None:
    assert parse_threat("linf:8/255") == Linf("8/255") == LpBall("inf", "8/255")
    assert parse_threat("2:0.5") == L2(0.5)
    assert len({Linf("3/10"), Linf(0.3), Linf("0.30"), L2(0.3), Linf(0.31)}) == 3
    assert parse_threat("L0:10") == L0(10)
    assert parse_threat("spatial:30,3") == Spatial(30, 3)
    assert [str(parse_threat(text)) for text in (*EXAMPLES, "Linf:8/255")] == [*EXAMPLES, "Linf:8/255"]
    assert Linf("8/255").radius == 8 / 255
    assert L1(12).radius == 12
    assert [L0(10).radius, Spatial(30, 3).radius] == [10, 1]


@pytest.mark.parametrize(
    "text",
    [
        *("Linf:-1", "L2:nan", "L2:inf", "L1:eight", "L2:1/0", "L2:__import__('os')", "L0:2.5", "L0:-1", "L0:all"),
        *("Spatial:30", "Spatial:a,b", "Spatial:-1,2", "Spatial:nan,1", "Linf", "", ":3", "L3:1", "Wasserstein:1"),
    ],
)
def test_what_is_no_threat_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BrittleError) as said:
        parse_threat(text)
    assert "\n" not in str(said.value)


def test_an_eps_in_steps_of_255_is_suspected_on_the_command_line_too() -> None:
    for build in (lambda: Linf(8), lambda: parse_threat("Linf:8")):
        with pytest.raises(BrittleError, match="write Linf:8/255"):
            build()


def test_kinds_of_threats_are_told_apart() -> None:
    kinds = {text: parse_threat(text) for text in SMALL}
    assert all(isinstance(threat, Threat) for threat in kinds.values())
    assert [text for text, threat in kinds.items() if isinstance(threat, Ball)] == list(SMALL[:4])
    assert [text for text, threat in kinds.items() if isinstance(threat, NormBall)] == list(SMALL[:3])


@all_threats
@pytest.mark.parametrize("channels", [1, 3])
def test_projections_and_samples_are_allowed(text: str, channels: int) -> None:
    threat, x = parse_threat(text), images(channels=channels)
    for moved in (x, x + 3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)), 0 * x, 1 - x):
        assert threat.contains(x, threat.project(x, moved)).all()
    for seed in range(3):
        sample = threat.sample(x, seed)
        assert threat.contains(x, sample).all()
        assert torch.equal(sample[2:3], threat.sample(x[2:3], seed))
    assert not torch.equal(threat.sample(x, 0), threat.sample(x, 1))


@all_threats
def test_allowed_images_stay_where_they_are(text: str) -> None:
    threat, x = parse_threat(text), images()
    sample = threat.sample(x, 3)
    assert torch.allclose(threat.project(x, sample), sample, atol=1e-6)
    assert torch.equal(threat.project(x, x), x)


@all_threats
def test_the_projection_is_nearer_than_any_other_allowed_image(text: str) -> None:
    threat, x = parse_threat(text), images()
    moved = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(2))
    near = (threat.project(x, moved) - moved).flatten(1).norm(dim=1)
    for seed in range(100):
        assert (near <= (threat.sample(x, seed) - moved).flatten(1).norm(dim=1) + 1e-6).all()


@all_threats
def test_sizes_and_scales_go_together(text: str) -> None:
    threat, x = parse_threat(text), images()
    sample = threat.sample(x, 5)
    size = threat.size(x, sample)
    assert (size <= threat.radius * (1 + 1e-5)).all()
    assert (threat.size(x, x) == 0).all()
    assert threat.scaled(2).contains(x, sample).all()
    assert threat.scaled(0).contains(x, x).all()
    assert not threat.scaled(0).contains(x, sample)[size > 0].any()
    assert (size > 0).any()
    largest = threat.whole(x)
    assert largest.contains(x, largest.sample(x, 1)).all()
    if isinstance(threat, Ball):
        assert largest.contains(x, (x < 0.5).to(x.dtype)).all()  # every image is within the whole


@all_threats
def test_images_outside_of_the_box_or_not_numbers_are_not_allowed(text: str) -> None:
    threat, x = parse_threat(text).scaled(5), images()
    assert not threat.contains(x, x + 2).any()
    assert not threat.contains(x, x * torch.nan).any()
    barely = x.clone()
    barely[:, :, 0, 0] = 1 + 1e-6
    assert not threat.contains(x, barely).any()


@pytest.mark.parametrize("text", SMALL[:3])
def test_the_edge_of_a_ball_is_allowed_in_float32_and_little_beyond_is_not(text: str) -> None:
    threat = parse_threat(text)
    assert isinstance(threat, NormBall)
    x = 0.4 + 0.2 * images()  # far from the edge of the box
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
    direction = noise / threat.size(0 * noise, noise).view(-1, 1, 1, 1)
    assert threat.contains(x, x + threat.radius * direction).all()
    assert not threat.contains(x, x + threat.radius * (1 + 3e-4) * direction).any()
    exact = x.double() + threat.radius * (1 + 1e-4) * direction.double()
    assert not threat.contains(x.double(), exact).any()


def test_a_tiny_radius_is_not_lost_to_rounding() -> None:
    x = images()
    threat = Linf("0.5/255")
    assert threat.contains(x, threat.project(x, x + 1)).all()


def test_l0_counts_pixels_and_not_channels_and_tolerates_nothing() -> None:
    x = images(channels=3)
    one = x.clone()
    one[:, :, 2, 3] = 1 - one[:, :, 2, 3]
    assert L0(1).contains(x, one).all()
    assert L0(1).size(x, one).tolist() == [1] * len(x)
    two = one.clone()
    two[:, 1, 0, 0] += torch.where(two[:, 1, 0, 0] < 0.5, 1e-7, -1e-7)
    assert not L0(1).contains(x, two).any()
    assert not L0(3).contains(x, 1 - x).any()  # all pixels inverted
    assert L0(30).whole(x) == L0(30)


def test_l0_projection_keeps_the_pixels_that_come_closest_inside_the_box() -> None:
    x = torch.tensor([[[[0.9, 0.5, 0.5, 0.1]]]])
    moved = torch.tensor([[[[2.0, 0.8, 0.45, 0.1]]]])  # the first may only move by 0.1, though it wants 1.1
    # what each pixel gains: 1.1^2 - 1.0^2 = 0.21, 0.3^2 = 0.09, 0.05^2, 0
    assert torch.allclose(L0(1).project(x, moved), torch.tensor([[[[1.0, 0.5, 0.5, 0.1]]]]))
    assert torch.allclose(L0(2).project(x, moved), torch.tensor([[[[1.0, 0.8, 0.5, 0.1]]]]))
    assert torch.equal(L0(0).project(x, moved), x)


def test_l0_steps_move_the_pixels_with_the_largest_gradients_over_their_channels() -> None:
    grad = torch.zeros(1, 3, 2, 2)
    grad[0, :, 0, 1], grad[0, 0, 1, 1], grad[0, 1, 0, 0] = torch.tensor([0.5, -0.5, 0.5]), 1.2, -0.1
    expected = torch.zeros(1, 3, 2, 2)
    expected[0, :, 0, 1] = torch.tensor([1.0, -1.0, 1.0])
    assert torch.equal(L0(1).steepest(grad), expected)
    expected[0, 0, 1, 1] = 1
    assert torch.equal(L0(2).steepest(grad), expected)
    assert torch.equal(L0(0).steepest(grad), torch.zeros_like(grad))


def test_rotations_by_quarters_and_shifts_are_those_of_the_array() -> None:
    x = torch.rand(1, 2, 5, 5, dtype=torch.float64)

    def by(*how: float) -> Tensor:
        return transformed(x, torch.tensor([how], dtype=torch.float64))

    assert torch.allclose(by(90, 0, 0), torch.rot90(x, -1, (2, 3)), atol=1e-9)  # clockwise, as the rows grow downwards
    assert torch.allclose(by(180, 0, 0), x.flip(2, 3), atol=1e-9)
    right = torch.zeros_like(x)
    right[..., 2:] = x[..., :-2]
    assert torch.allclose(by(0, 2, 0), right, atol=1e-9)
    down = torch.zeros_like(x)
    down[..., 1:, :] = x[..., :-1, :]
    assert torch.allclose(by(0, 0, 1), down, atol=1e-9)
    assert torch.allclose(by(90, 0, 1), transformed(by(90, 0, 0), torch.tensor([[0.0, 0, 1]]).double()), atol=1e-9)
    assert torch.equal(by(0, 0, 0), x)


def test_rotations_keep_the_shape_of_things_in_images_that_are_not_square() -> None:
    x = torch.zeros(1, 1, 9, 15, dtype=torch.float64)
    x[0, 0, 3:6, 6:9] = 1  # a square in the middle stays one
    quarter = transformed(x, torch.tensor([[90.0, 0, 0]], dtype=torch.float64))
    assert torch.allclose(quarter, x, atol=1e-9)


def test_spatial_is_the_finite_set_it_says() -> None:
    x, threat = images(3), Spatial(3, 1)
    assert threat.count(x) == 7 * 3 * 3
    everything = torch.stack([threat.member(x, torch.full((3,), k)) for k in range(threat.count(x))])
    assert torch.equal(everything[0], x)
    assert all(threat.contains(x, one).all() for one in everything)
    assert Spatial(1, 0).size(x, transformed(x, torch.tensor([[1.0, 0, 0]]).expand(3, 3))).tolist() == [1, 1, 1]
    turned = transformed(x, torch.tensor([[2.0, 0, 0]]).expand(3, 3))
    assert Spatial(4, 1).size(x, turned).tolist() == pytest.approx([0.5] * 3)
    assert not Spatial(1, 1).contains(x, turned).any()
    assert not threat.contains(x, (turned + 1e-3).clamp(0, 1)).any()  # no rotation, though near one
    assert Spatial(3.9, 1.9).count(x) == threat.count(x)


def test_spatial_needs_images() -> None:
    with pytest.raises(BrittleError, match="need images"):
        Spatial(3, 1).sample(torch.rand(3, 10), 0)
