"""What training minimises; pixels that nobody annotated never count."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_dtn.nn.blocks import pooled
from napari_dtn.nn.sampling import sample
from napari_dtn.nn.tps import pixel_centres
from napari_dtn.settings import WarpPenalties

_BOUNDARY = 1
_LEAST_AREA = 0.1


def masked_cross_entropy(logits: Tensor, annotation: Tensor) -> Tensor:
    """Mean cross entropy over the annotated pixels.

    Parameters
    ----------
    logits
        ``(N, C, H, W)``; C = 1 is a boundary logit.
    annotation
        ``(N, H, W)``, integers: 0 not annotated; for C = 1 then 1 boundary and 2 inside, otherwise
        1 + class index.

    Returns
    -------
    Tensor
        A scalar; 0 where nothing is annotated.
    """
    if logits.shape[1] == 1:
        target = (annotation == 1).to(logits.dtype)
        losses = F.binary_cross_entropy_with_logits(logits[:, 0].float(), target.float(), reduction="none")
    else:
        losses = F.cross_entropy(logits.float(), (annotation.long() - 1).clamp(min=0), reduction="none")
    return _mean(losses, annotation > 0)


def distillation(logits: Tensor, seen: Tensor, annotation: Tensor) -> Tensor:
    """Mean cross entropy with what another network sees, over the pixels that are not annotated.

    Parameters
    ----------
    logits
        ``(N, C, H, W)``, of the network that learns.
    seen
        The same, of the other one.
    annotation
        ``(N, H, W)``: 0 where nothing is annotated.

    Returns
    -------
    Tensor
        A scalar; 0 where all is annotated.

    Notes
    -----
    Source: learning without forgetting, arXiv 1606.09282.
    """
    logits, seen = logits.float(), seen.float()
    if logits.shape[1] == 1:
        losses = F.binary_cross_entropy_with_logits(logits[:, 0], seen[:, 0].sigmoid(), reduction="none")
    else:
        losses = F.cross_entropy(logits, seen.softmax(dim=1), reduction="none")
    return _mean(losses, annotation == 0)


def _mean(losses: Tensor, where: Tensor) -> Tensor:
    return torch.where(where, losses, 0.0).sum() / where.sum().clamp(min=1)


def warp_penalty(grid: Tensor, annotation: Tensor, penalties: WarpPenalties) -> Tensor:
    """Return the weighted sum of what is asked of a warp besides a small loss.

    Parameters
    ----------
    grid
        ``(N, h, w, 2)``, normalised ``(x, y)``.
    annotation
        ``(N, H, W)``: 1 is boundary.
    penalties
        The weight of each term; the others are not computed.

    Returns
    -------
    Tensor
        A scalar; 0 where no weight is set.
    """
    terms: tuple[tuple[float, Callable[[], Tensor]], ...] = (
        (penalties.displacement, lambda: _displacement(grid)),
        (penalties.bending, lambda: _bending(_in_cells(grid))),
        (penalties.folding, lambda: _folding(_in_cells(grid))),
        (penalties.boundary, lambda: _off_boundary(grid, annotation)),
    )
    return sum((weight * term() for weight, term in terms if weight), start=grid.new_zeros(()))


def _in_cells(grid: Tensor) -> Tensor:
    """Normalised points -> units of the map's cells."""
    x, y = grid.unbind(-1)
    return torch.stack([x * ((grid.shape[2] - 1) / 2), y * ((grid.shape[1] - 1) / 2)], dim=-1)


def _displacement(grid: Tensor) -> Tensor:
    return (grid - _at_rest(grid.shape[1], grid.shape[2], grid.device)).square().sum(-1).mean()


@lru_cache(maxsize=8)
def _at_rest(height: int, width: int, device: torch.device) -> Tensor:
    return pixel_centres(height, width, torch.float32).to(device).view(height, width, 2)


def _bending(points: Tensor) -> Tensor:
    """The thin plate's energy, by differences: T_xx^2 + 2 T_xy^2 + T_yy^2."""
    xx = points[:, :, 2:] - 2 * points[:, :, 1:-1] + points[:, :, :-2]
    yy = points[:, 2:] - 2 * points[:, 1:-1] + points[:, :-2]
    x = points[:, :, 1:] - points[:, :, :-1]
    xy = x[:, 1:] - x[:, :-1]
    return xx.square().sum(-1).mean() + 2 * xy.square().sum(-1).mean() + yy.square().sum(-1).mean()


def _folding(points: Tensor) -> Tensor:
    right = points[:, :-1, 1:] - points[:, :-1, :-1]
    down = points[:, 1:, :-1] - points[:, :-1, :-1]
    area = right[..., 0] * down[..., 1] - right[..., 1] * down[..., 0]
    return F.relu(_LEAST_AREA - area).mean()


def _off_boundary(grid: Tensor, annotation: Tensor) -> Tensor:
    """Mean of 1 - b over the samples; b is the share of boundary around each, on a map of the grid's size."""
    boundary = (annotation == _BOUNDARY)[:, None].to(grid.dtype)
    return 1 - sample(pooled(boundary, (grid.shape[1], grid.shape[2])), grid).mean()
