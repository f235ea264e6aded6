from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from scipy.interpolate import RegularGridInterpolator
from scipy.optimize import root
from skimage.measure import points_in_poly

from napari_dtn.nn import quadrilaterals
from napari_dtn.nn.checkpoint import ModelCard, load_card, load_model, save_model
from napari_dtn.nn.dtn import build_network
from napari_dtn.nn.losses import masked_cross_entropy
from napari_dtn.nn.optimise import Trainee
from napari_dtn.nn.quadrilaterals import FLAT, invert
from napari_dtn.nn.sampling import fill_holes, restore, sample
from napari_dtn.nn.tps import fold_over, lattice, pixel_centres, spline_grid
from napari_dtn.nn.transformer import TransformerDecoder
from napari_dtn.settings import NetworkSettings, TrainSettings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import Tensor

SIZES = [(8, 8), (7, 12), (13, 5), (1, 6), (5, 1), (1, 1)]
DOUBLE = torch.float64


def pixels_of(height: int, width: int) -> Tensor:
    """Pixel coordinates (height, width, 2), (x, y)."""
    y, x = torch.meshgrid(
        torch.arange(height, dtype=DOUBLE), torch.arange(width, dtype=DOUBLE), indexing="ij"
    )
    return torch.stack([x, y], dim=-1)


def normalised(pixels: Tensor) -> Tensor:
    """Pixel coordinates of a whole map (..., H, W, 2) -> the grid that a network would have."""
    height, width = pixels.shape[-3:-1]
    return pixels * 2 / torch.tensor([width - 1, height - 1], dtype=pixels.dtype) - 1


def in_pixels(grid: Tensor) -> Tensor:
    height, width = grid.shape[-3:-1]
    return (grid + 1) * torch.tensor([width - 1, height - 1], dtype=grid.dtype) / 2


def covered(grid: Tensor) -> Tensor:
    """Where a cell holds the pixel, (N, 1, H, W): there alone the value depends on the pixel's own cell."""
    batch, height, width, _ = grid.shape
    cells = quadrilaterals._cells(quadrilaterals._with_ring(quadrilaterals._in_pixels(grid)))
    return (quadrilaterals._holders(cells, batch, height, width) >= 0).view(batch, 1, height, width)


def row(positions: list[float]) -> Tensor:
    """Grid (1, 3, W, 2) of three rows at rest whose columns lie at ``positions``."""
    pixels = pixels_of(3, len(positions))
    pixels[..., 0] = torch.tensor(positions, dtype=DOUBLE)
    return normalised(pixels)[None]


def columns(width: int) -> Tensor:
    """A map (1, 1, 3, W) whose value is its column."""
    return torch.arange(width, dtype=DOUBLE).expand(1, 1, 3, width)


# ---- there and back


@pytest.mark.parametrize("size", SIZES)
def test_the_identity_restores_exactly(double_device: str, size: tuple[int, int]) -> None:
    values = torch.randn(2, 3, *size, dtype=DOUBLE, device=double_device)
    grid = pixel_centres(*size).view(1, *size, 2).expand(2, -1, -1, -1).to(double_device)
    torch.testing.assert_close(invert(values, grid), values, rtol=0, atol=1e-14)


@pytest.mark.parametrize("fiducials", [2, 4, 16])
@pytest.mark.parametrize("size", [(28, 28), (112, 97), (1, 40)])
def test_no_pixel_is_lost_to_rounding_at_the_identity(
    device: str, size: tuple[int, int], fiducials: int
) -> None:
    grid = spline_grid(lattice(fiducials).float()[None].to(device), *size)
    values = torch.randn(1, 2, *size, device=device)
    torch.testing.assert_close(invert(values, grid), values, rtol=0, atol=5e-3)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("amount", [0.0, 0.1, 0.5])
def test_a_constant_map_comes_back_constant_also_where_nothing_is_read(
    double_device: str, size: tuple[int, int], amount: float, smooth_grid: Callable[..., Tensor]
) -> None:
    grid = (0.6 * smooth_grid(2, *size, amount=amount)).to(double_device).requires_grad_()
    constant = torch.full((2, 1, *size), 3.7, dtype=DOUBLE, device=double_device)
    out = invert(constant, grid)
    torch.testing.assert_close(out, constant, rtol=1e-12, atol=0)
    (gradient,) = torch.autograd.grad((out * torch.randn_like(out)).sum(), grid)
    torch.testing.assert_close(gradient, torch.zeros_like(gradient), rtol=0, atol=1e-9)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("amount", [0.1, 0.6])
def test_values_stay_between_the_lowest_and_the_highest(
    device: str, size: tuple[int, int], amount: float, smooth_grid: Callable[..., Tensor]
) -> None:
    grid = (0.7 * smooth_grid(3, *size, amount=amount)).float().to(device)
    values = torch.randn(3, 2, *size, device=device)
    out = invert(values, grid)
    assert (out.amax((2, 3)) <= values.amax((2, 3)) + 1e-5).all()
    # a map that no cell reaches is 0
    assert (out.amin((2, 3)) >= values.amin((2, 3)).clamp(max=0) - 1e-5).all()


@pytest.mark.parametrize("size", [(28, 28), (40, 48)])
@pytest.mark.parametrize("amount", [0.02, 0.05, 0.1])
def test_a_smooth_map_comes_back_closer_than_by_the_weighted_mean(
    double_device: str, size: tuple[int, int], amount: float, smooth_grid: Callable[..., Tensor]
) -> None:
    grid = smooth_grid(8, *size, amount=amount).to(double_device)
    points = pixel_centres(*size).view(1, *size, 2).expand(8, -1, -1, -1).to(double_device)
    smooth = torch.sin(6 * points).movedim(-1, 1)
    warped = sample(smooth, grid)
    by_mean, by_cells = (
        (function(warped, grid) - smooth).abs().mean(dim=(1, 2, 3)) for function in (restore, invert)
    )
    assert (by_cells < by_mean).all()


@pytest.mark.parametrize("seed", range(5))
def test_an_affine_warp_is_undone_in_closed_form(double_device: str, seed: int) -> None:
    # A map that is linear in its pixels is read exactly wherever T^-1(m) = A^-1 (m - t) lies in the map.
    height, width = 14, 17
    random = torch.Generator().manual_seed(seed)
    A = torch.eye(2, dtype=DOUBLE) + 0.4 * torch.randn(2, 2, dtype=DOUBLE, generator=random)
    A[0] *= torch.linalg.det(A).sign()  # a mirror would be all folded
    t = 2 * torch.randn(2, dtype=DOUBLE, generator=random)
    pixels = pixels_of(height, width)
    grid = normalised(pixels @ A.T + t)[None].to(double_device)
    position = (pixels - t) @ torch.linalg.inv(A).T
    inside = ((position >= 0) & (position <= torch.tensor([width - 1, height - 1], dtype=DOUBLE))).all(-1)
    assert inside.sum() > 20
    out = invert(pixels.movedim(-1, 0)[None].to(double_device), grid)[0].movedim(0, -1).cpu()
    torch.testing.assert_close(out[inside], position[inside], rtol=0, atol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_lower_precision_is_computed_in_float32(
    device: str, dtype: torch.dtype, smooth_grid: Callable[..., Tensor]
) -> None:
    values = torch.randn(2, 3, 29, 31).to(device, dtype)
    grid = smooth_grid(2, 29, 31)
    with torch.autocast(device, torch.bfloat16):
        out = invert(values, grid.float().to(device))
    assert out.dtype == torch.float32
    exact = invert(values.cpu().double(), grid.float().double())
    torch.testing.assert_close(out.cpu().double(), exact, rtol=0, atol=1e-3)


# ---- against independent solvers


@pytest.mark.parametrize("seed", range(3))
def test_positions_and_coverage_agree_with_scipy_and_the_outline(seed: int) -> None:
    height, width = 9, 11
    torch.manual_seed(seed)
    grid = spline_grid(lattice(4) + 0.06 * torch.randn(1, 16, 2, dtype=DOUBLE), height, width)
    assert fold_over(grid).item() == 0
    values = torch.randn(height, width, dtype=DOUBLE)
    out = invert(values[None, None], grid)[0, 0]
    axes = (np.arange(height), np.arange(width))
    warp = RegularGridInterpolator(axes, in_pixels(grid)[0].numpy(), bounds_error=False, fill_value=None)
    read = RegularGridInterpolator(axes, values.numpy())
    pixels = in_pixels(grid)[0]
    outline = torch.cat([pixels[0], pixels[:, -1], pixels[-1].flip(0), pixels[:, 0].flip(0)]).numpy()
    checked = 0
    for y, x in product(range(height), range(width)):
        if points_in_poly([[x, y]], outline)[0]:
            starts = (pixels - torch.tensor([x, y])).norm(dim=-1).flatten().argsort()[:9].tolist()
            tries = (
                root(lambda q, m=(x, y): warp(q)[0] - m, divmod(start, width), tol=1e-13) for start in starts
            )
            position = next(found.x for found in tries if found.success)
            assert out[y, x].item() == pytest.approx(read(position).item(), abs=1e-8)
            checked += 1
    assert checked > height * width / 2


def solutions(corners: np.ndarray, pixel: np.ndarray) -> list[tuple[float, float]]:
    """All (u, v) of a cell (2, 2, 2) that are at a pixel with positive orientation; another way round."""
    (a, b), (c, d) = corners
    e, f, g = b - a, c - a, a - b - c + d

    def cross(p: np.ndarray, q: np.ndarray) -> float:
        return float(p[0] * q[1] - p[1] * q[0])

    h = pixel - a
    # Here v is eliminated, and u found by the eigenvalues of the companion matrix.
    roots = np.roots([cross(g, e), cross(h, g) - cross(e, f), cross(h, f)])
    found = []
    for u in roots[np.abs(roots.imag) < 1e-12].real:
        along = f + u * g
        v = float((h - u * e) @ along / (along @ along))
        if 0 <= u <= 1 and 0 <= v <= 1 and cross(e + v * g, along) > 0:
            found.append((float(u), v))
    return found


def test_a_pixel_in_line_with_the_edge_of_a_crossed_cell_is_found(device: str) -> None:
    # h is parallel to e, so v = 0 solves the quadratic with negative orientation, and by (u, v) = (0.5, 0.2)
    # the cell comes back: T = (0, 0) - 0.5 (1, 0) + 0.2 (0, 1) + 0.1 (4, -2) = (-0.1, 0).
    cells = torch.tensor([[0.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [4.0, -2.0]], device=device)[..., None]
    place = quadrilaterals._place(cells, torch.tensor([[-0.1], [0.0]], device=device))
    assert [number.item() for number in place] == pytest.approx([0.5, 0.2, 0.8], abs=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_the_rule_for_folds_agrees_with_a_search_of_all_cells(seed: int) -> None:
    height, width = 7, 8
    torch.manual_seed(seed)
    grid = spline_grid(lattice(4) + 0.5 * torch.randn(1, 16, 2, dtype=DOUBLE), height, width)
    assert fold_over(grid) > 0.05
    values = torch.randn(height, width, dtype=DOUBLE)
    ringed = quadrilaterals._with_ring(quadrilaterals._in_pixels(grid))[:, 0].movedim(0, -1).numpy()
    read = RegularGridInterpolator(
        (np.arange(-1, height + 1), np.arange(-1, width + 1)), np.pad(values.numpy(), 1, mode="edge")
    )
    expected = torch.zeros(1, 1, height, width, dtype=DOUBLE)
    holds = torch.zeros_like(expected)
    several = 0
    for y, x in product(range(height), range(width)):
        found = [
            ((i + 0.5 - y) ** 2 + (j + 0.5 - x) ** 2, i, j, i + v, j + u)
            for i, j in product(range(-1, height), range(-1, width))
            for u, v in solutions(ringed[i + 1 : i + 3, j + 1 : j + 3], np.array([x, y]))
        ]
        if found:
            expected[0, 0, y, x] = float(read(min(found)[3:]))
            holds[0, 0, y, x] = 1
        several += len(found) > 1
    assert several > 0
    assert torch.equal(covered(grid), holds.bool())
    torch.testing.assert_close(
        invert(values[None, None], grid), fill_holes(torch.cat([expected, holds], dim=1))
    )


def test_wild_warps_are_looked_at_in_parts(
    monkeypatch: pytest.MonkeyPatch, device: str, smooth_grid: Callable[..., Tensor]
) -> None:
    values = torch.randn(3, 2, 12, 13, device=device)
    grid = smooth_grid(3, 12, 13, amount=0.6).float().to(device)
    at_once = invert(values, grid)
    monkeypatch.setattr(quadrilaterals, "_PAIRS", 7)
    assert torch.equal(invert(values, grid), at_once)


# ---- folds and borders, by hand

# Sheets of positive, negative, positive orientation over the pixels 3 to 5, all of the same slope.
FOLDED = [2.5, 3.5, 4.5, 5.5, 4.5, 3.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5]


def test_where_the_warp_folds_the_nearest_positive_cell_is_read(double_device: str) -> None:
    out = invert(columns(12).to(double_device), row(FOLDED).to(double_device))[0, 0, 1].cpu()
    # Pixel 4 lies in the cells 1, 4 and 7 (centres 1.5, 4.5, 7.5); cell 4 is nearest, but turned over.
    assert out[3:6].tolist() == pytest.approx([0.5, 1.5, 2.5])
    # Pixel 7 is in cell 10 alone.
    assert out[7].item() == pytest.approx(10.5)


def test_the_nearest_sheet_may_be_any(double_device: str) -> None:
    # Seen from the other end, the sheets change places and their orientation stays.
    mirrored = [11 - x for x in reversed(FOLDED)]
    out = invert(columns(12).to(double_device), row(mirrored).to(double_device))[0, 0, 1].cpu()
    assert out[6:9].tolist() == pytest.approx([8.5, 9.5, 10.5])


def test_pixels_of_negative_cells_alone_are_filled_by_their_neighbours(double_device: str) -> None:
    # Down to -0.75 turned over, up to 2.25 upright, and by the ring to 3.25.
    grid = row([7.25, 5.25, 3.25, 1.25, -0.75, 0.25, 1.25, 2.25]).to(double_device)
    out = invert(columns(8).to(double_device), grid)
    held = torch.tensor([1.0] * 4 + [0.0] * 4, dtype=DOUBLE).expand(1, 1, 3, 8)
    read = torch.tensor([4.75, 5.75, 6.75, 7, 0, 0, 0, 0], dtype=DOUBLE).expand(1, 1, 3, 8)
    torch.testing.assert_close(out.cpu(), fill_holes(torch.cat([read, held], dim=1)))
    assert (out[..., 4:] >= 4.75).all()


def test_a_map_turned_over_as_a_whole_is_0(double_device: str) -> None:
    grid = row([7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0, 0.0]).to(double_device)
    assert (invert(columns(8).to(double_device), grid) == 0).all()


def test_a_border_pulled_inwards_by_less_than_a_sample_reads_the_borders_values(double_device: str) -> None:
    grid = row([0.9, 1.8, 2.7, 3.6, 4.5, 5.4, 6.3]).to(double_device)
    out = invert(columns(7).to(double_device), grid)[0, 0, 1].cpu()
    assert out.tolist() == pytest.approx([0, 0.1 / 0.9, *((m - 0.9) / 0.9 for m in range(2, 7))])
    still = row([0.1, 1.0, 2.0, 3.0, 4.0, 5.0, 5.9]).to(double_device)
    assert invert(columns(7).to(double_device), still)[0, 0, 1, [0, 6]].tolist() == pytest.approx([0, 6])


def test_a_border_pulled_in_further_is_filled_by_its_neighbours(double_device: str) -> None:
    # A map of 21 columns shrunk to 0.7 about its middle reaches from 3 to 17, by the ring from 2.3 to 17.7.
    positions = [10 + 0.7 * (j - 10) for j in range(21)]
    out = invert(columns(21).to(double_device), row(positions).to(double_device))
    held = torch.tensor([3 <= m <= 17 for m in range(21)]).double().expand(1, 1, 3, 21)
    read = torch.tensor([10 + (m - 10) / 0.7 for m in range(21)], dtype=DOUBLE).expand(1, 1, 3, 21) * held
    torch.testing.assert_close(out.cpu(), fill_holes(torch.cat([read, held], dim=1)))
    assert (out[..., :3] < 8).all()
    assert (out[..., 18:] > 12).all()


# ---- gradients


@pytest.mark.parametrize("size", [(4, 5), (1, 6), (1, 1)])
@pytest.mark.parametrize("amount", [0.1, 0.4])
def test_gradcheck(
    double_device: str, size: tuple[int, int], amount: float, smooth_grid: Callable[..., Tensor]
) -> None:
    # Random grids: with probability 1 no pixel lies on the border of a cell. The larger ones fold over.
    grid = (0.8 * smooth_grid(2, *size, amount=amount)).to(double_device).requires_grad_()
    values = torch.randn(2, 2, *size, dtype=DOUBLE, device=double_device, requires_grad=True)
    slack = {} if double_device == "cpu" else {"nondet_tol": 1e-12}
    assert torch.autograd.gradcheck(invert, (values, grid), **slack)


DEGENERATE = {
    "all in one point": lambda grid: grid * 0,
    "all in one line": lambda grid: grid * torch.tensor([1.0, 0.0]),
    "columns coincide": lambda grid: torch.cat([grid[:, :, :4], grid[:, :, 3:-1]], dim=2),
    "a corner is folded in": lambda grid: torch.cat([grid[:, 1:2].flip(2), grid[:, 1:]], dim=1),
    "a turned-over map": lambda grid: grid.flip(2),
    "noise": lambda grid: grid + 0.5 * torch.randn(grid.shape),
    "pixels": lambda grid: (grid * 4).round() / 4,
    "far away": lambda grid: grid + 1e6,
    "huge": lambda grid: grid * 1e6,
}


@pytest.mark.parametrize("kind", DEGENERATE)
def test_gradients_are_finite_for_folds_and_cells_without_area(device: str, kind: str) -> None:
    rest = pixel_centres(9, 9).view(1, 9, 9, 2).float()
    grid = DEGENERATE[kind](rest).to(device).requires_grad_()
    values = torch.randn(1, 2, 9, 9, device=device, requires_grad=True)
    out = invert(values, grid)
    gradients = torch.autograd.grad(out.square().sum(), (values, grid))
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_the_gradient_of_a_flat_cell_is_bounded(double_device: str) -> None:
    # Pixel 3 lies in a cell of width 1e-6; the position there has the slope 1e6.
    grid = row([0.0, 1.0, 2.0, 3 - 4e-7, 3 + 6e-7, 5.0, 6.0]).to(double_device).requires_grad_()
    out = invert(columns(7).to(double_device), grid)[0, 0, 1, 3]
    assert out.item() == pytest.approx(3.4)
    (gradient,) = torch.autograd.grad(out, grid)
    assert gradient.sum(dim=(0, 1, 2))[0].item() * 2 / 6 == pytest.approx(-1 / FLAT)


def test_a_grid_that_is_not_a_number_stays_in_its_image(device: str) -> None:
    grid = 0.5 * pixel_centres(9, 8).view(1, 9, 8, 2).float().repeat(3, 1, 1, 1).to(device)
    values = torch.randn(3, 1, 9, 8, device=device)
    expected = invert(values, grid)[1]
    grid[[0, 2]] = torch.nan
    assert torch.equal(invert(values, grid)[1], expected)


# ---- in the network

SMALL = NetworkSettings(base_channels=4, levels=3, transformer_levels=(1, 2), decoder="quadrilaterals")


def test_the_decoder_of_the_setting_is_used(device: str, smooth_grid: Callable[..., Tensor]) -> None:
    features, grid = torch.randn(2, 3, 9, 11, device=device), smooth_grid(2, 9, 11).float().to(device)
    decoder = TransformerDecoder("dense", "quadrilaterals")
    assert torch.equal(decoder(features, grid), invert(features, grid))
    assert decoder(features.bfloat16(), grid).dtype == torch.bfloat16
    assert {module.decoder for module in build_network(SMALL).decoders.values()} == {"quadrilaterals"}


@pytest.mark.parametrize("size", [(61, 43), (16, 5), (1, 7), (1, 1)])
def test_a_network_takes_images_of_any_size(device: str, size: tuple[int, int]) -> None:
    network = build_network(SMALL, sampler="dense").eval().to(device)
    for encoder in network.encoders.values():
        torch.nn.init.normal_(encoder.localise.place.weight, std=0.1)
    logits = network(torch.randn(2, 1, *size, device=device))
    assert logits.shape == (2, 1, *size)
    assert torch.isfinite(logits).all()


def test_a_network_trains_and_comes_back_from_its_file(device: str, tmp_path: Path) -> None:
    network = build_network(SMALL, sampler="dense").to(device)
    rest = {name: tensor.clone() for name, tensor in network.named_parameters()}
    trainee = Trainee(network, TrainSettings(iterations=12, warmup=0, learning_rate=1e-2), bfloat16=False)
    image = torch.randn(2, 1, 32, 40, device=device)
    annotation = 1 + (image[:, 0] > 0).long()
    losses = [trainee.step(step, image, annotation).item() for step in range(12)]
    assert losses[-1] < losses[0]
    assert all((parameter != rest[name]).any() for name, parameter in network.named_parameters())
    path = tmp_path / "model.safetensors"
    save_model(path, network.state_dict(), ModelCard("quadrilaterals", SMALL), half=False)
    model = load_model(path, device=device)
    assert model.card.network.decoder == "quadrilaterals"
    torch.testing.assert_close(model.network(image), network.eval()(image), rtol=1e-3, atol=1e-3)


def test_gradients_reach_every_parameter(device: str) -> None:
    network = build_network(SMALL, sampler="dense").to(device).train()
    for encoder in network.encoders.values():
        torch.nn.init.normal_(encoder.localise.place.weight, std=0.1)
    image = torch.randn(2, 1, 33, 47, device=device)
    masked_cross_entropy(network(image), torch.randint(0, 3, (2, 33, 47), device=device)).backward()
    for name, parameter in network.named_parameters():
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().max() > 0, name


def test_models_from_before_the_setting_use_the_papers_decoder() -> None:
    assert load_card("dtn-snemi3d").network.decoder == "mean"
