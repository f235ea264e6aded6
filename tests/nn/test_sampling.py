from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch

from napari_dtn.nn.sampling import HOLE, restore, sample, splat
from napari_dtn.nn.tps import pixel_centres

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

SIZES = [(8, 8), (7, 12), (13, 5), (1, 6), (5, 1), (1, 1)]
OPERATIONS = {"sample": sample, "splat": splat, "restore": restore}
DOUBLE = torch.float64


def identity(height: int, width: int, dtype: torch.dtype = DOUBLE, device: str = "cpu") -> Tensor:
    return pixel_centres(height, width).view(1, height, width, 2).to(device, dtype)


def grid_of_pixels(pixels: Tensor, size: tuple[int, int]) -> Tensor:
    """Normalise pixel coordinates (..., 2), (x, y)."""
    return pixels * 2 / torch.tensor([size[1] - 1, size[0] - 1], dtype=pixels.dtype) - 1


def grid_off_the_kinks(size: tuple[int, int], spread: float = 1.0) -> Tensor:
    """Random points at least a tenth of a pixel from where bilinear weights have a kink; some outside."""
    height, width = size
    whole = spread * torch.rand(2, height, width, 2, dtype=DOUBLE) * torch.tensor([width, height]) - 0.5
    return grid_of_pixels(whole.floor() + 0.1 + 0.8 * torch.rand(whole.shape, dtype=DOUBLE), size)


@pytest.mark.parametrize("spread", [1.0, 0.4])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_gradcheck(double_device: str, sampler: str, operation: str, spread: float) -> None:
    values = torch.randn(2, 1, 4, 5, dtype=DOUBLE, device=double_device, requires_grad=True)
    grid = grid_off_the_kinks((4, 5), spread).to(double_device).requires_grad_()
    # atomic additions on a GPU come in any order
    slack = {} if double_device == "cpu" else {"nondet_tol": 1e-12}
    function = OPERATIONS[operation]
    assert torch.autograd.gradcheck(lambda v, g: function(v, g, sampler=sampler), (values, grid), **slack)


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("other", ["dense", "indexed"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 2e-5)])
def test_the_samplers_agree(
    double_device: str, operation: str, other: str, dtype: torch.dtype, tolerance: float
) -> None:
    values = torch.randn(2, 3, 7, 12)
    grid = grid_off_the_kinks((7, 12)).to(double_device, dtype)
    weights = torch.randn(2, 3, 7, 12).to(double_device, dtype)
    results = []
    for sampler in ("native", other):
        v = values.to(double_device, dtype).requires_grad_()
        g = grid.clone().requires_grad_()
        out = OPERATIONS[operation](v, g, sampler=sampler)
        results.append((out, *torch.autograd.grad((out * weights).sum(), (v, g))))
    for native, found in zip(*results, strict=True):
        torch.testing.assert_close(native, found, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("spread", [1.0, 0.4, 2.5])
@pytest.mark.parametrize("size", [(7, 12), (1, 6), (5, 1)])
def test_native_is_what_the_kernels_of_pytorch_say(
    double_device: str, size: tuple[int, int], spread: float
) -> None:
    grid = grid_off_the_kinks((7, 12), spread).to(double_device)
    values = torch.randn(2, 3, *size, dtype=DOUBLE, device=double_device, requires_grad=True)
    read = torch.nn.functional.grid_sample(values, grid, align_corners=True)
    torch.testing.assert_close(sample(values, grid), read, rtol=1e-12, atol=1e-12)
    handed = torch.randn(2, 3, 7, 12, dtype=DOUBLE, device=double_device)
    (expected,) = torch.autograd.grad(read, values, handed)
    torch.testing.assert_close(splat(handed, grid, size), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_points_that_are_not_numbers_crash_nothing(device: str, sampler: str, operation: str) -> None:
    grid = identity(5, 6, torch.float32, device).clone()
    grid[0, 0, 0, 0], grid[0, 4, 5, 1], grid[0, 2, 2, 0] = float("nan"), float("inf"), -float("inf")
    out = OPERATIONS[operation](torch.ones(1, 2, 5, 6, device=device), grid, sampler=sampler)
    assert out.shape == (1, 2, 5, 6)
    if device == "cpu" or sampler != "native":  # PyTorch's own kernels on a GPU take such points for outside
        assert not torch.isfinite(out).all(), "what came of it can be seen"


def test_the_native_sampler_keeps_the_channels_last_on_a_cpu() -> None:
    values = torch.randn(2, 3, 7, 12).contiguous(memory_format=torch.channels_last)
    grid = identity(7, 12, torch.float32).expand(2, -1, -1, -1)
    for operation in OPERATIONS.values():
        assert operation(values, grid).is_contiguous(memory_format=torch.channels_last)


def test_dense_gradient_on_a_pixel_is_the_central_difference(double_device: str) -> None:
    ramp = torch.tensor([0.0, 1.0, 5.0, 6.0, 10.0], dtype=DOUBLE, device=double_device).view(1, 1, 1, 5)
    grid = identity(1, 5, device=double_device).requires_grad_()
    sample(ramp, grid, "dense").sum().backward()
    assert grid.grad is not None
    per_pixel = grid.grad[0, 0, :, 0] * 2 / (5 - 1)
    torch.testing.assert_close(per_pixel[1:4].cpu(), torch.tensor([2.5, 2.5, 2.5], dtype=DOUBLE))


@pytest.mark.parametrize("size", SIZES)
def test_splat_is_the_adjoint_of_sample(
    double_device: str, sampler: str, size: tuple[int, int], smooth_grid: Callable[..., Tensor]
) -> None:
    grid = smooth_grid(2, 6, 9, amount=0.3).to(double_device)
    x = torch.randn(2, 3, *size, dtype=DOUBLE, device=double_device)
    y = torch.randn(2, 3, 6, 9, dtype=DOUBLE, device=double_device)
    left = (sample(x, grid, sampler) * y).sum()
    right = (x * splat(y, grid, size, sampler)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-12)


def test_sample_reads_bilinearly_and_0_outside(double_device: str, sampler: str) -> None:
    values = torch.tensor([[0.0, 1.0], [2.0, 3.0]], dtype=DOUBLE, device=double_device).view(1, 1, 2, 2)
    grid = torch.tensor([[[[0.0, 0.0], [-0.5, 1.0], [5.0, 0.0]]]], dtype=DOUBLE, device=double_device)
    torch.testing.assert_close(
        sample(values, grid, sampler).flatten().cpu(), torch.tensor([1.5, 2.25, 0], dtype=DOUBLE)
    )


def test_restore_is_the_weighted_mean_of_eq_7(double_device: str, sampler: str) -> None:
    # Pixel 1 gets weight 0.75 of a 2 and weight 0.5 of a 6; pixel 3 is exactly on a sample.
    pixels = torch.tensor([1.25, 1.5, 3.0, 3.0], dtype=DOUBLE)
    grid = grid_of_pixels(torch.stack([pixels, torch.zeros(4, dtype=DOUBLE)], -1), (2, 4))[None, None]
    grid = grid.expand(1, 2, 4, 2).to(double_device)
    values = torch.tensor([2.0, 6.0, 1.0, 5.0], dtype=DOUBLE, device=double_device).expand(1, 1, 2, 4)
    row = restore(values, grid, sampler)[0, 0, 0].cpu()
    assert row[1].item() == pytest.approx((0.75 * 2 + 0.5 * 6) / 1.25)
    assert row[3].item() == pytest.approx(3.0)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("amount", [0.0, 0.1, 0.5])
def test_a_constant_map_comes_back_constant_also_in_holes(
    double_device: str,
    sampler: str,
    size: tuple[int, int],
    amount: float,
    smooth_grid: Callable[..., Tensor],
) -> None:
    grid = 0.8 * smooth_grid(2, *size, amount=amount).to(double_device)
    constant = torch.full((2, 1, *size), 3.7, dtype=DOUBLE, device=double_device)
    torch.testing.assert_close(restore(constant, grid, sampler), constant, rtol=1e-12, atol=0)


def test_sample_of_a_constant_is_constant_inside_the_map(
    double_device: str, sampler: str, smooth_grid: Callable[..., Tensor]
) -> None:
    grid = smooth_grid(2, 9, 11, amount=0.2).clamp(-1, 1).to(double_device)
    constant = torch.full((2, 1, 9, 11), 3.7, dtype=DOUBLE, device=double_device)
    torch.testing.assert_close(sample(constant, grid, sampler), constant, rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", SIZES)
def test_there_and_back_at_the_identity(double_device: str, sampler: str, size: tuple[int, int]) -> None:
    values = torch.randn(2, 3, *size, dtype=DOUBLE, device=double_device)
    grid = identity(*size, device=double_device).expand(2, -1, -1, -1)
    warped = sample(values, grid, sampler)
    torch.testing.assert_close(warped, values, rtol=0, atol=1e-14)
    torch.testing.assert_close(restore(warped, grid, sampler), values, rtol=0, atol=1e-13)


def test_there_and_back_through_a_smooth_warp_keeps_a_smooth_map(
    double_device: str, sampler: str, smooth_grid: Callable[..., Tensor]
) -> None:
    grid = smooth_grid(3, 40, 48, amount=0.03).to(double_device)
    points = identity(40, 48, device=double_device).expand(3, -1, -1, -1)
    smooth = torch.sin(2 * points).movedim(-1, 1)
    back = restore(sample(smooth, grid, sampler), grid, sampler)
    inner = (back - smooth)[..., 5:-5, 5:-5]
    assert inner.abs().max() < 0.06, "no more than about a pixel's difference of the map"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_autocast_and_half_inputs_are_computed_in_float32(
    device: str, sampler: str, operation: str, smooth_grid: Callable[..., Tensor]
) -> None:
    values = torch.randn(2, 3, 9, 11, device=device).bfloat16()
    grid = smooth_grid(2, 9, 11).float().to(device)
    with torch.autocast(device, torch.bfloat16):
        out = OPERATIONS[operation](values, grid, sampler=sampler)
    assert out.dtype == torch.float32
    exact = OPERATIONS[operation](values.float(), grid, sampler=sampler)
    torch.testing.assert_close(out, exact, rtol=1e-5, atol=1e-5)


# ---- holes


def one_pixel_with_weight(weight: Tensor) -> Tensor:
    """Grid (1, 1, 8, 2) on a map of one row whose pixel 3 gets ``weight`` of one sample and nothing else."""
    pixels = torch.tensor([0.0, 0, 0, 0, 7, 7, 7, 7], dtype=DOUBLE)
    x = torch.cat([pixels[:3], (2 + weight).view(1), pixels[4:]]) * 2 / 7 - 1
    return torch.stack([x, torch.zeros_like(x)], dim=-1).view(1, 1, 8, 2)


VALUES = torch.tensor([1.0, 1, 1, 5, 2, 2, 2, 2], dtype=DOUBLE).view(1, 1, 1, 8)


def value_and_slope(sampler: str, weight: float) -> tuple[float, float]:
    """Restored pixel 3 and its derivative by the weight S that it gets."""
    s = torch.tensor(weight, dtype=DOUBLE, requires_grad=True)
    value = restore(VALUES, one_pixel_with_weight(s), sampler)[0, 0, 0, 3]
    (slope,) = torch.autograd.grad(value, s)
    return value.item(), slope.item()


@pytest.mark.parametrize("kind", ["native", "dense"])
def test_restored_value_is_continuous_as_a_sample_leaves(kind: str) -> None:
    at_zero, slope = value_and_slope(kind, 0.0)
    assert 2 < at_zero < 5, "between the neighbours on either side: the sample left for pixel 2"
    assert abs(slope) < 50
    for weight in (1e-300, 1e-30, 1e-12, 1e-6):
        value, slope = value_and_slope(kind, weight)
        assert value == pytest.approx(at_zero, abs=1e-4)
        assert abs(slope) < 50


@pytest.mark.parametrize("kind", ["native", "dense"])
def test_hand_over_at_the_threshold_is_smooth(kind: str) -> None:
    (below, slope_below), (above, slope_above) = (
        value_and_slope(kind, HOLE + step) for step in (-1e-7, 1e-7)
    )
    assert below == pytest.approx(above, abs=1e-5)
    assert slope_below == pytest.approx(slope_above, abs=1e-4)
    assert above == pytest.approx(5.0), "above the threshold the sample alone counts"


def test_slope_of_the_hand_over_is_the_difference_quotient() -> None:
    for weight in (0.01, 0.1, 0.3, HOLE, 0.7):
        (low, _), (high, _) = (value_and_slope("native", weight + step) for step in (-1e-6, 1e-6))
        assert value_and_slope("native", weight)[1] == pytest.approx((high - low) / 2e-6, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("size", [(32, 32), (17, 30), (1, 19)])
def test_gradients_are_finite_where_most_of_the_map_is_a_hole(
    device: str, sampler: str, size: tuple[int, int]
) -> None:
    # In float32, with points that touch pixels by weights down to the smallest there are.
    grid = 0.1 * identity(*size, torch.float32, device) + 1e-30
    grid = (grid + 1e-7 * torch.randn(grid.shape, device=device)).requires_grad_()
    values = torch.randn(1, 2, *size, device=device, requires_grad=True)
    out = restore(values, grid, sampler)
    gradients = torch.autograd.grad(out.square().sum(), (values, grid))
    assert torch.isfinite(out).all()
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_a_map_that_no_sample_hits_is_0(device: str, sampler: str) -> None:
    grid = torch.full((1, 6, 5, 2), 9.0, device=device, requires_grad=True)
    values = torch.randn(1, 2, 6, 5, device=device, requires_grad=True)
    out = restore(values, grid, sampler)
    assert (out == 0).all()
    gradients = torch.autograd.grad(out.sum(), (values, grid))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize("amount", [0.1, 0.6])
@pytest.mark.parametrize("size", SIZES)
def test_restored_values_stay_between_the_lowest_and_the_highest(
    double_device: str,
    sampler: str,
    size: tuple[int, int],
    amount: float,
    smooth_grid: Callable[..., Tensor],
) -> None:
    grid = 0.7 * smooth_grid(3, *size, amount=amount).to(double_device)
    values = torch.randn(3, 2, *size, dtype=DOUBLE, device=double_device)
    out = restore(values, grid, sampler)
    assert (out.amax((2, 3)) <= values.amax((2, 3)) + 1e-12).all()
    assert (out.amin((2, 3)) >= values.amin((2, 3)) - 1e-12).all()


@pytest.mark.parametrize("size", [(32, 32), (27, 45)])
def test_a_large_hole_is_filled_smoothly_from_its_rim(
    double_device: str, sampler: str, size: tuple[int, int]
) -> None:
    # Every sample is pushed out of the middle; each carries the x of the place where it lands.
    points = identity(*size, device=double_device)
    x = points[..., 0].sign() * (0.5 + 0.5 * points[..., 0].abs())
    grid = torch.stack([x, points[..., 1]], dim=-1)
    values = grid[..., 0][:, None]
    assert (splat(torch.ones_like(values), grid, sampler=sampler) == 0).double().mean() > 0.3
    restored = restore(values, grid, sampler)[0, 0]
    truth = points[0, ..., 0]
    steps = restored.diff(dim=1)
    outside = truth.abs() > 0.6
    torch.testing.assert_close(restored[outside], truth[outside], rtol=0, atol=2 / size[1])
    assert steps.min() > -2 / size[1], "it rises from one rim to the other, but for a pixel at the rim"
    assert steps.max() < 0.2, "without a jump: the rims are 1 apart"


def test_what_a_pixel_predicts_depends_on_that_pixel(
    sampler: str, smooth_grid: Callable[..., Tensor]
) -> None:
    # Sec. 3.1 end to end: sample, 3 x 3 convolution, restore; then the gradient by the pixel itself.
    size, grid = (9, 10), smooth_grid(1, 9, 10, amount=0.15)

    def network(values: Tensor) -> Tensor:
        seen = sample(values.view(1, 1, *size), grid, sampler)
        return restore(torch.nn.functional.avg_pool2d(seen, 3, 1, 1), grid, sampler).flatten()

    jacobian = torch.autograd.functional.jacobian(network, torch.randn(90, dtype=DOUBLE))
    reached = splat(torch.ones(1, 1, *size, dtype=DOUBLE), grid).flatten() > 0
    assert reached.double().mean() > 0.8
    assert (jacobian.diagonal()[reached] > 0).all()


@pytest.mark.parametrize("filling", ["neighbours", "nothing", "warped"])
def test_a_hole_takes_what_the_setting_says(sampler: str, filling: str) -> None:
    """All samples lie on the left third of the map, so that nothing comes near its right border."""
    values = 1 + torch.rand(1, 2, 9, 9, dtype=DOUBLE)
    grid = identity(9, 9) * torch.tensor([1 / 3, 1.0]) - torch.tensor([2 / 3, 0.0])
    restored = restore(values, grid, sampler=sampler, filling=filling)
    weight = splat(torch.ones_like(values[:, :1]), grid, sampler=sampler)
    assert bool((weight[..., 5:] == 0).all())
    hole = restored[..., 5:]
    if filling == "neighbours":
        assert bool((hole > 1).all())
        assert bool((hole < 2).all())
    else:
        torch.testing.assert_close(hole, values[..., 5:] if filling == "warped" else torch.zeros_like(hole))
    kept = weight.expand_as(restored) >= HOLE
    mean = splat(values, grid, sampler=sampler) / weight.clamp(min=HOLE)
    torch.testing.assert_close(restored[kept], mean[kept])
