"""What is settled before a model runs over a volume."""

from __future__ import annotations

import logging

import torch

from napari_dtn.nn.checkpoint import Model
from napari_dtn.settings import PredictSettings, VoxelSize
from napari_dtn.volume.opening import Volume
from napari_dtn.words import size_words

logger = logging.getLogger(__name__)


def known_voxel_size(model: Model, volume: Volume) -> VoxelSize:
    """Return the volume's voxel size in nm; where it is unknown the model's, with a warning.

    A size that is far from the model's is worth a warning too: the model knows structures by their size.
    """
    known, trained = volume.voxel_size, model.card.voxel_size
    if known is None:
        known = trained or (1.0, 1.0, 1.0)
        logger.warning(
            "%s does not state its voxel size; taking %s, as the model %s was trained on.",
            volume.name,
            size_words(known),
            model.card.name,
        )
    elif trained and not all(
        0.6 < have / want < 1.7 for have, want in zip(known[1:], trained[1:], strict=True)
    ):
        logger.warning(
            "%s has voxels of %s; %s was trained on %s and will do worse.",
            volume.name,
            size_words(known),
            model.card.name,
            size_words(trained),
        )
    return known


def use_threads(settings: PredictSettings) -> None:
    """Let PyTorch use this many processor threads, in the calling thread."""
    if settings.threads:
        torch.set_num_threads(settings.threads)
