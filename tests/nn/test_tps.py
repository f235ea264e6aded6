from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.interpolate import RBFInterpolator

from napari_dtn.nn.tps import fiducials_of, fold_over, lattice, pixel_centres, spline_grid, spline_matrix

SIZES = [(28, 28), (7, 12), (13, 5), (1, 9), (1, 1)]


def test_lattice_is_the_cell_centres_strictly_inside() -> None:
    assert lattice(4)[:4].tolist() == [[-0.75, -0.75], [-0.25, -0.75], [0.25, -0.75], [0.75, -0.75]]
    assert lattice(7).abs().max() < 1
    torch.testing.assert_close(lattice(5).mean(0), torch.zeros(2, dtype=torch.float64))


def test_pixel_centres_end_at_the_border_pixels() -> None:
    points = pixel_centres(3, 5).view(3, 5, 2)
    assert points[0, 0].tolist() == [-1, -1]
    assert points[2, 4].tolist() == [1, 1]
    assert points[0, 1].tolist() == [-0.5, -1]
    assert pixel_centres(1, 1).tolist() == [[0, 0]]


@pytest.mark.parametrize("side", [2, 3, 4, 6])
def test_spline_is_scipys_thin_plate_spline(side: int) -> None:
    moved = lattice(side) + 0.3 * torch.randn(side**2, 2, dtype=torch.float64)
    points = 2.4 * torch.rand(200, 2, dtype=torch.float64) - 1.2
    oracle = RBFInterpolator(lattice(side).numpy(), moved.numpy(), kernel="thin_plate_spline", degree=1)
    ours = (spline_matrix(points, side) @ moved).numpy()
    np.testing.assert_allclose(ours, oracle(points.numpy()), rtol=0, atol=1e-12)


def test_spline_passes_through_the_fiducial_points() -> None:
    moved = lattice(4) + 0.3 * torch.randn(16, 2, dtype=torch.float64)
    torch.testing.assert_close(spline_matrix(lattice(4), 4) @ moved, moved, rtol=0, atol=1e-13)


@pytest.mark.parametrize("size", SIZES)
def test_fiducial_points_at_rest_give_the_identity(double_device: str, size: tuple[int, int]) -> None:
    grid = spline_grid(lattice(4)[None].to(double_device), *size)
    identity = pixel_centres(*size).view(1, *size, 2).to(double_device)
    torch.testing.assert_close(grid, identity, rtol=0, atol=5e-15)


@pytest.mark.parametrize("size", SIZES)
def test_affine_fiducial_points_give_an_affine_grid(double_device: str, size: tuple[int, int]) -> None:
    linear = torch.tensor([[0.8, 0.3], [-0.2, 0.6]], dtype=torch.float64)
    shift = torch.tensor([0.1, -0.05], dtype=torch.float64)
    grid = spline_grid((lattice(4) @ linear.T + shift)[None].to(double_device), *size)
    expected = (pixel_centres(*size) @ linear.T + shift).view(1, *size, 2).to(double_device)
    torch.testing.assert_close(grid, expected, rtol=0, atol=1e-14)


def test_float32_grid_is_the_float64_grid(device: str) -> None:
    moved = lattice(4) + 0.2 * torch.randn(3, 16, 2, dtype=torch.float64)
    grid = spline_grid(moved.float().to(device), 28, 31)
    assert grid.dtype == torch.float32
    torch.testing.assert_close(grid.cpu().double(), spline_grid(moved, 28, 31), rtol=0, atol=2e-6)


def test_autocast_leaves_the_grid_alone(device: str) -> None:
    moved = (lattice(4) + 0.2 * torch.randn(2, 16, 2, dtype=torch.float64)).float().to(device)
    with torch.autocast(device, torch.bfloat16):
        grid = spline_grid(moved, 28, 28)
    assert grid.dtype == torch.float32
    assert torch.equal(grid, spline_grid(moved, 28, 28))


def test_a_matrix_first_used_for_inference_still_trains(device: str) -> None:
    with torch.inference_mode():
        spline_grid(lattice(4)[None].float().to(device), 11, 17)
    moved = lattice(4)[None].float().to(device).requires_grad_()
    spline_grid(moved, 11, 17).square().sum().backward()
    assert moved.grad is not None
    assert torch.isfinite(moved.grad).all()
    assert moved.grad.abs().max() > 0


def test_fiducial_points_come_back_from_their_grid(double_device: str) -> None:
    moved = (lattice(4) + 0.2 * torch.randn(3, 16, 2, dtype=torch.float64)).to(double_device)
    torch.testing.assert_close(fiducials_of(spline_grid(moved, 9, 14), 4), moved, rtol=0, atol=1e-11)


def test_fold_over_counts_folded_cells(device: str) -> None:
    identity = pixel_centres(6, 9).float().view(6, 9, 2).to(device)
    mirrored = identity * torch.tensor([-1.0, 1.0], device=device)
    halved = torch.stack([identity[..., 0].abs(), identity[..., 1]], dim=-1)
    rotated = identity.flip(-1) * torch.tensor([-1.0, 1.0], device=device)
    shares = fold_over(torch.stack([identity, mirrored, halved, rotated]))
    assert shares.tolist() == [0.0, 1.0, 0.5, 0.0]


def test_fold_over_of_a_spline_that_swaps_two_columns() -> None:
    crossed = lattice(4).view(1, 4, 4, 2)[:, :, [0, 2, 1, 3]].flatten(1, 2)
    share = fold_over(spline_grid(crossed, 41, 41)).item()
    assert 0.2 < share < 0.3, "it turns back between the swapped columns: a quarter of the width"


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (5, 1)])
def test_fold_over_of_a_map_without_cells(size: tuple[int, int]) -> None:
    assert fold_over(pixel_centres(*size).view(1, *size, 2)).tolist() == [0.0]


# ---- "we expect the patches to include the pixel in question at least" (paper Sec. 3.1)


def square(side: float, points: int = 64) -> torch.Tensor:
    """Outline of a square around 0, anticlockwise in (x, y), shape (points, 2)."""
    t = torch.arange(points, dtype=torch.float64) / points * 4
    corners = torch.tensor([[1, -1], [1, 1], [-1, 1], [-1, -1], [1, -1]], dtype=torch.float64)
    index = t.long()
    part = (t - index)[:, None]
    return 0.5 * side * ((1 - part) * corners[index] + part * corners[index + 1])


def winding(outlines: torch.Tensor, centres: torch.Tensor) -> torch.Tensor:
    """How often each outline (P, V, 2) runs around its centre (P, 2)."""
    spokes = outlines - centres[:, None]
    angles = torch.atan2(spokes[..., 1], spokes[..., 0])
    turns = (angles.roll(-1, 1) - angles + math.pi) % (2 * math.pi) - math.pi
    return (turns.sum(1) / (2 * math.pi)).round()


def warped(moved: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    return (spline_matrix(points.reshape(-1, 2), 4) @ moved).view(points.shape)


def determinant(moved: torch.Tensor, points: torch.Tensor, step: float = 1e-5) -> torch.Tensor:
    shift = step * torch.eye(2, dtype=torch.float64)
    dx, dy = ((warped(moved, points + d) - warped(moved, points - d)) / (2 * step) for d in shift)
    return dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]


def patches(moved: torch.Tensor, side: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Windings of the learned patches around their pixels, lowest and highest determinant within each.

    The network sees a square of the warped map around q; through T it is the learned patch of the pixel
    p = T(q).
    """
    q = pixel_centres(16, 16)
    within = side * (pixel_centres(9, 9) / 2)
    determinants = determinant(moved, q[:, None] + within)
    windings = winding(warped(moved, q[:, None] + square(side)), warped(moved, q))
    return windings, determinants.min(1).values, determinants.max(1).values


@pytest.mark.parametrize("pixels", [3, 11])
@pytest.mark.parametrize("amount", [0.03, 0.08, 0.2])
def test_learned_patch_contains_its_pixel_where_the_determinant_is_positive(
    pixels: int, amount: float
) -> None:
    for _ in range(3):
        moved = lattice(4) + amount * torch.randn(16, 2, dtype=torch.float64)
        windings, lowest, _ = patches(moved, side=pixels * 2 / 27)
        upright = lowest > 0
        assert (windings[upright] >= 1).all()
        assert upright.double().mean() > 0.3, "the test must have something to look at"
    if amount == 0.03:
        assert upright.all(), "a small smooth warp does not fold"


def test_learned_patch_of_a_folded_region_is_inside_out() -> None:
    crossed = lattice(4).view(4, 4, 2)[:, [0, 2, 1, 3]].flatten(0, 1)
    windings, _, highest = patches(crossed, side=3 * 2 / 27)
    assert (highest < 0).any()
    assert (windings[highest < 0] == -1).all()
