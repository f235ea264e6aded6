from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_dtn.nn.losses import distillation, masked_cross_entropy, warp_penalty
from napari_dtn.nn.tps import pixel_centres
from napari_dtn.settings import WarpPenalties


def test_full_boundary_annotation_is_torchs_binary_cross_entropy(device: str) -> None:
    logits = torch.randn(2, 1, 5, 7, device=device)
    annotation = torch.randint(1, 3, (2, 5, 7), device=device)
    expected = F.binary_cross_entropy_with_logits(logits[:, 0], (annotation == 1).float())
    torch.testing.assert_close(masked_cross_entropy(logits, annotation), expected)


def test_full_class_annotation_is_torchs_cross_entropy(device: str) -> None:
    logits = torch.randn(2, 21, 5, 7, device=device)
    annotation = torch.randint(1, 22, (2, 5, 7), device=device)
    torch.testing.assert_close(
        masked_cross_entropy(logits, annotation), F.cross_entropy(logits, annotation - 1)
    )


@pytest.mark.parametrize("classes", [1, 4])
def test_partial_annotation_is_the_mean_over_what_is_annotated(device: str, classes: int) -> None:
    logits = torch.randn(2, classes, 5, 7, device=device)
    annotation = torch.randint(1, max(classes, 2) + 1, (2, 5, 7), device=device)
    annotation[1] = 0
    torch.testing.assert_close(
        masked_cross_entropy(logits, annotation), masked_cross_entropy(logits[:1], annotation[:1])
    )


@pytest.mark.parametrize("classes", [1, 4])
def test_pixels_without_annotation_get_no_gradient(device: str, classes: int) -> None:
    logits = (30 * torch.randn(2, classes, 5, 7, device=device)).requires_grad_()
    annotation = torch.randint(0, 3, (2, 5, 7), device=device)
    masked_cross_entropy(logits, annotation).backward()
    gradient = logits.grad.abs().amax(1)
    assert (gradient[annotation == 0] == 0).all()
    assert torch.isfinite(gradient).all()
    assert (gradient[annotation > 0] > 0).any()


@pytest.mark.parametrize("classes", [1, 4])
def test_nothing_annotated_costs_nothing(device: str, classes: int) -> None:
    logits = torch.randn(2, classes, 5, 7, device=device, requires_grad=True)
    loss = masked_cross_entropy(logits, torch.zeros(2, 5, 7, dtype=torch.uint8, device=device))
    loss.backward()
    assert loss.item() == 0
    assert (logits.grad == 0).all()


@pytest.mark.parametrize("classes", [1, 4])
def test_half_logits_are_summed_in_float32(device: str, classes: int) -> None:
    logits = torch.randn(2, classes, 64, 64, device=device).bfloat16()
    annotation = torch.randint(1, 3, (2, 64, 64), device=device).to(torch.uint8)
    loss = masked_cross_entropy(logits, annotation)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, masked_cross_entropy(logits.float(), annotation))


@pytest.mark.parametrize("classes", [1, 4])
def test_distillation_is_least_where_both_see_the_same(device: str, classes: int) -> None:
    """Its gradient is the difference of the probabilities, where nothing is annotated, and nothing else."""
    logits = torch.randn(2, classes, 4, 6, device=device, requires_grad=True)
    seen = torch.randn(2, classes, 4, 6, device=device)
    annotation = torch.zeros(2, 4, 6, dtype=torch.uint8, device=device)
    annotation[0] = 1
    distillation(logits, seen, annotation).backward()
    turned = torch.sigmoid if classes == 1 else lambda one: one.softmax(1)
    expected = (turned(logits) - turned(seen)).detach() / 24
    expected[0] = 0
    torch.testing.assert_close(logits.grad, expected)
    assert distillation(logits, seen, torch.ones_like(annotation)).item() == 0


def test_the_loss_pulls_towards_the_annotation(device: str) -> None:
    logits = torch.zeros(1, 1, 1, 2, device=device, requires_grad=True)
    masked_cross_entropy(logits, torch.tensor([[[1, 2]]], device=device)).backward()
    boundary, inside = logits.grad.flatten().tolist()
    assert boundary < 0 < inside, "a step down the gradient raises the boundary logit, lowers the inside one"


def identity(height: int, width: int) -> torch.Tensor:
    return pixel_centres(height, width).float().view(1, height, width, 2)


def penalty(grid: torch.Tensor, **weights: float) -> float:
    return float(warp_penalty(grid, torch.zeros(1, 16, 16), WarpPenalties(**weights)))


def test_a_warp_at_rest_is_asked_for_nothing() -> None:
    assert penalty(identity(8, 9), displacement=1, bending=1, folding=1) == pytest.approx(0, abs=1e-10)
    assert penalty(identity(8, 9) + 5) == 0, "without a weight nothing counts"


def test_displacement_is_the_mean_squared_distance() -> None:
    assert penalty(identity(8, 9) + torch.tensor([0.3, 0.4]), displacement=2) == pytest.approx(2 * 0.25)


def test_an_affine_warp_does_not_bend_and_a_parabola_does() -> None:
    grid = identity(8, 9)
    affine = grid @ torch.tensor([[0.5, 0.1], [-0.2, 0.8]])
    assert penalty(affine, bending=1) == pytest.approx(0, abs=1e-9)
    cells = torch.arange(9.0).square().expand(8, 9) * 0.5  # second difference 1 along x
    parabola = grid.clone()
    parabola[0, ..., 0] = cells / 4 - 1
    assert penalty(parabola, bending=1) == pytest.approx(1, rel=1e-5)


def test_folding_counts_what_the_area_lacks() -> None:
    mirrored = identity(8, 9) * torch.tensor([-1.0, 1.0])
    assert penalty(mirrored, folding=1) == pytest.approx(1.1, rel=1e-5)
    assert penalty(identity(8, 9) * 0.5, folding=1) == 0


def test_boundary_rewards_samples_on_it() -> None:
    annotation = torch.full((1, 16, 16), 2)
    annotation[:, :, :8] = 1
    halves = WarpPenalties(boundary=1)
    grid = identity(8, 8)
    everywhere = float(warp_penalty(grid, annotation, halves))
    drawn = torch.stack([grid[..., 0] * 0.4 - 0.6, grid[..., 1]], dim=-1)
    assert everywhere == pytest.approx(0.5)
    assert float(warp_penalty(drawn, annotation, halves)) == pytest.approx(0, abs=1e-6)
    moved = (0.99 * grid).requires_grad_()  # off the pixels, where bilinear samples have a kink
    warp_penalty(moved, annotation, halves).backward()
    assert moved.grad[0, :, 4, 0].min() > 0, "the samples next to it are pulled towards it"
