from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from napari_dtn.nn.losses import masked_cross_entropy


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


def test_the_loss_pulls_towards_the_annotation(device: str) -> None:
    logits = torch.zeros(1, 1, 1, 2, device=device, requires_grad=True)
    masked_cross_entropy(logits, torch.tensor([[[1, 2]]], device=device)).backward()
    boundary, inside = logits.grad.flatten().tolist()
    assert boundary < 0 < inside, "a step down the gradient raises the boundary logit, lowers the inside one"
