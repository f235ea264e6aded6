"""What is settled before a model runs over a volume."""

from __future__ import annotations

import logging
from itertools import chain

import numpy as np
import torch
from torch import Tensor

from napari_dtn.nn.checkpoint import Model
from napari_dtn.predict.reading import Source
from napari_dtn.settings import PredictSettings, VoxelSize
from napari_dtn.volume.opening import Volume
from napari_dtn.volume.tiles import TileGrid
from napari_dtn.words import size_words

logger = logging.getLogger(__name__)


def known_voxel_size(model: Model, volume: Volume) -> VoxelSize | None:
    """Return the volume's voxel size in nm; where it is unknown the model's, with a warning.

    None where neither is known, which is said too. So is a size that is far from the model's, which knows
    structures by their size.
    """
    known, trained = volume.voxel_size, model.card.voxel_size
    if not known and not trained:
        logger.warning(
            "%s does not state its voxel size, and nor does the model %s, so none is written: give it by "
            "--voxel-size Z Y X.",
            volume.name,
            model.card.name,
        )
    elif not known and trained:
        known = trained
        logger.warning(
            "%s does not state its voxel size; taking %s, as the model %s was trained on.",
            volume.name,
            size_words(trained),
            model.card.name,
        )
    elif known and trained and _is_far(known, trained):
        logger.warning(
            "%s has voxels of %s; %s was trained on %s and will do worse.",
            volume.name,
            size_words(known),
            model.card.name,
            size_words(trained),
        )
    return known


def _is_far(known: VoxelSize, trained: VoxelSize) -> bool:
    return not all(0.6 < have / want < 1.7 for have, want in zip(known[1:], trained[1:], strict=True))


def use_threads(settings: PredictSettings) -> None:
    """Let PyTorch use this many processor threads, in the calling thread."""
    if settings.threads:
        torch.set_num_threads(settings.threads)


def sample_tiles(source: Source, grid: TileGrid, slices: int) -> Tensor:
    """Return two tiles from inside a volume, ``(2, C, size, size)``, as the network sees them."""
    tile = grid.at(grid.height // 2, grid.width // 2)
    found = [source.tiles(z, [tile]) for z in (slices // 3, 2 * slices // 3)]
    return torch.from_numpy(np.stack([image for (_, _, image) in chain(*found)]))
