"""What a prediction will take, before anything is written."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import psutil

from napari_dtn.nn.checkpoint import Model
from napari_dtn.predict.blocks import Block, Blocks, extent
from napari_dtn.predict.pipeline import BEHIND, TILES_AHEAD
from napari_dtn.predict.predictor import Predictor
from napari_dtn.predict.reading import WINDOW_PIXELS
from napari_dtn.predict.setting_up import use_threads
from napari_dtn.predict.whole import blocks_of, wanted_output
from napari_dtn.settings import PredictSettings, Roi
from napari_dtn.volume.opening import Volume


@dataclass(frozen=True)
class Plan:
    """What a prediction will take.

    Parameters
    ----------
    slices, tiles, blocks
        How many.
    twice
        Share of the tiles that are computed again, since slices are cut into blocks.
    seconds
        Estimated from one batch of tiles.
    output_bytes
        Of the output before compression.
    memory_bytes
        Estimated memory of this process at its largest.
    """

    slices: int
    tiles: int
    blocks: int
    twice: float
    seconds: float
    output_bytes: int
    memory_bytes: int


def plan(
    model: Model, volume: Volume, roi: Roi | None = None, settings: PredictSettings | None = None
) -> Plan:
    """Say what :func:`predict` would take, after timing one batch; nothing is written.

    Raises
    ------
    ValueError
        The box leaves the volume, or the model does not fit.
    """
    (roi or Roi()).within(volume.shape)  # before a model is tried
    return plan_of(Predictor.of(model, volume, settings), roi)


def plan_of(predictor: Predictor, roi: Roi | None = None) -> Plan:
    """Say what ``predictor.write`` would take; as :func:`plan`."""
    wanted = wanted_output(predictor, (roi or Roi()).within(predictor.volume.shape))
    blocks = blocks_of(predictor, wanted)
    seconds = _seconds_per_tile(predictor, blocks[0])  # before the memory is looked at
    return Plan(
        slices=extent(wanted.box[0]),
        tiles=blocks.tiles,
        blocks=len(blocks),
        twice=blocks.twice,
        seconds=seconds * blocks.tiles,
        output_bytes=int(np.prod(wanted.shape, dtype=object)),
        memory_bytes=psutil.Process().memory_info().rss + _buffers(predictor, blocks, wanted.unit[1]),
    )


def _seconds_per_tile(predictor: Predictor, block: Block) -> float:
    use_threads(predictor.settings)
    batches = predictor.source.batches([block], predictor.grid, predictor.settings.batch_size)
    trial = next(batches)
    predictor.run(trial)  # warms up
    trial = next(batches, trial)
    began = time.monotonic()
    predictor.run(trial)
    return (time.monotonic() - began) / len(trial.places)


def _buffers(predictor: Predictor, blocks: Blocks, strip_height: int) -> int:
    """Return the bytes that the pipeline holds at most beside the network's own."""
    width = max(map(extent, blocks.xs))
    maps = predictor.model.card.network.input_maps
    size, batch = predictor.grid.size, predictor.settings.batch_size
    window = min(WINDOW_PIXELS, width * (max(map(extent, blocks.ys)) + size))
    windows: int = 2 * window * maps * predictor.volume.data.dtype.itemsize
    tiles: int = (TILES_AHEAD + BEHIND * batch) * size * size * 4 * (maps + predictor.classes)
    rows = width * predictor.classes * (3 * 4 * size + (BEHIND + 1) * strip_height)
    return windows + tiles + rows
