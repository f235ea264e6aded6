"""The building blocks of a U-Net: double convolutions, a step down, a step up."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class DoubleConv(nn.Sequential):
    """Two 3 x 3 convolutions with padding 1, each with batch normalisation and a rectifier."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__(*_convolution(channels_in, channels_out), *_convolution(channels_out, channels_out))


def _convolution(channels_in: int, channels_out: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1, bias=False)
    return convolution, nn.BatchNorm2d(channels_out), nn.ReLU(inplace=True)


def halve(features: Tensor) -> Tensor:
    """Maximum over 2 x 2 pixels; an odd last row or column is kept (sizes are rounded up)."""
    return F.max_pool2d(features, 2, ceil_mode=True)


def pooled(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Means over ``size`` cells that cover the map: ``(N, C, H, W)`` -> ``(N, C, *size)``.

    Apple GPUs average only over cells of equal size; there, other maps are multiplied by the weights of
    each row and each column of cells.
    """
    uneven = any(length % cells for length, cells in zip(features.shape[2:], size, strict=True))
    if features.device.type == "mps" and uneven:
        return pooled_by_products(features, size)
    return F.adaptive_avg_pool2d(features, size)


def pooled_by_products(features: Tensor, size: tuple[int, int]) -> Tensor:
    """The same as matrix products, on any device."""
    down, across = (
        _shares(int(length), cells).to(features)
        for length, cells in zip(features.shape[2:], size, strict=True)
    )
    return down @ features @ across.T


def _shares(length: int, cells: int) -> Tensor:
    """Weight of each of ``length`` pixels in each cell, ``(cells, length)``."""
    shares = torch.zeros(cells, length)
    for cell in range(cells):
        start, stop = cell * length // cells, -(-(cell + 1) * length // cells)
        shares[cell, start:stop] = 1 / (stop - start)
    return shares


class UpBlock(nn.Module):
    """Double the size, join the skip connection, convolve."""

    def __init__(self, channels_in: int, channels_skip: int) -> None:
        super().__init__()
        self.grow = nn.ConvTranspose2d(channels_in, channels_skip, 2, stride=2)
        self.merge = DoubleConv(2 * channels_skip, channels_skip)

    def forward(
        self, features: Tensor, skip: Tensor, before: Callable[[Tensor], Tensor] | None = None
    ) -> Tensor:
        """Features ``(N, C, ceil(H / 2), ceil(W / 2))`` and skip ``(N, C', H, W)`` -> ``(N, C', H, W)``.

        ``before`` changes the grown features ahead of the merge.
        """
        grown = self.grow(features)[:, :, : skip.shape[2], : skip.shape[3]]
        grown = before(grown) if before else grown
        merged: Tensor = self.merge(torch.cat([grown, skip], dim=1))
        return merged
