"""The warps of a model on a volume: those of tiles, the patch of a pixel, and the model without them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from napari_dtn.nn.dtn import without_warp
from napari_dtn.nn.gradient import input_gradient
from napari_dtn.nn.tps import fiducials_of, lattice
from napari_dtn.volume.tiles import Tile
from napari_dtn.warp import Patch, Warp, patch_of

if TYPE_CHECKING:
    from napari_dtn.predict.blending import Float
    from napari_dtn.predict.predictor import Predictor

Warps = tuple[Warp, ...]
_TOGETHER = 4  # tiles
_SMOOTH = 3.0  # pixels: the gradient of a single pixel is rough


def tile_warps(predictor: Predictor, z: int, tiles: Sequence[Tile]) -> Iterator[tuple[Tile, Warps]]:
    """Yield the warps of tiles of slice z, coarser levels last; none for a U-Net.

    Parameters
    ----------
    predictor
        A model set up for a volume.
    z
        The slice.
    tiles
        Some of a row of the lattice, one after the other.
    """
    for start in range(0, len(tiles), _TOGETHER):
        some = list(tiles[start : start + _TOGETHER])
        images = np.stack([image for *_, image in predictor.source.tiles(z, some)])
        with torch.inference_mode():
            grids = predictor.model.network.warp(torch.from_numpy(images).to(predictor.model.device))
        side = predictor.model.card.network.fiducials
        for number, tile in enumerate(some):
            yield tile, tuple(_warp(grid[number], level, tile, side) for level, grid in grids.items())


def _warp(grid: torch.Tensor, level: int, tile: Tile, side: int) -> Warp:
    grid = grid.cpu().double()
    return Warp(
        grid=grid.numpy(),
        fiducials=fiducials_of(grid[None], side)[0].numpy(),
        rest=lattice(side).numpy(),
        level=level,
        origin=(tile.y, tile.x),
    )


def pixel_patch(predictor: Predictor, pixel: tuple[int, int], warps: Warps) -> Patch:
    """Return the patch of a pixel ``(y, x)``, from the warps of the tile that weighs most there."""
    tile = predictor.grid.at(*pixel)
    return patch_of(warps, predictor.model.card.network, pixel, (tile.y, tile.x), tile.size)


def effective_patch(predictor: Predictor, z: int, pixel: tuple[int, int]) -> tuple[Float, Tile]:
    """Return how much each pixel of the tile that weighs most at a pixel decides about it.

    Returns
    -------
    tuple
        The gradient, smoothed, relative to its largest value, float32 ``(size, size)``; and the tile.
    """
    tile = predictor.grid.at(*pixel)
    ((*_, image),) = predictor.source.tiles(z, [tile])
    batch = torch.from_numpy(image[None]).to(predictor.model.device)
    inside = pixel[0] - tile.y, pixel[1] - tile.x
    gradient = input_gradient(predictor.model.network, batch, inside).cpu().numpy()
    smooth = gaussian_filter(gradient, _SMOOTH, mode="constant")
    return (smooth / max(float(smooth.max()), np.finfo(np.float32).tiny)).astype(np.float32), tile


def frozen(predictor: Predictor) -> Predictor:
    """Return the same model, its warps frozen to the identity, set up alike."""
    model = predictor.model.changed(without_warp(predictor.model.network), "without warp")
    return type(predictor).of(model, predictor.volume, predictor.settings, predictor.intensity)
