"""Model x volume -> boundary probabilities: one slice, or a whole volume as a generator of tiles."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from napari_dtn.nn.backends import Runner, make_runner
from napari_dtn.nn.checkpoint import Model
from napari_dtn.nn.choosing import Choice, choose
from napari_dtn.nn.frugal import FrugalRunner
from napari_dtn.predict.blending import Float, blank, blend
from napari_dtn.predict.blocks import Block
from napari_dtn.predict.events import TileDone
from napari_dtn.predict.reading import Batch, Source
from napari_dtn.predict.setting_up import sample_tiles, use_threads
from napari_dtn.predict.warping import tile_warps
from napari_dtn.predict.whole import write
from napari_dtn.settings import PredictSettings, Roi
from napari_dtn.volume.intensity import Intensity, estimate_intensity
from napari_dtn.volume.opening import Volume
from napari_dtn.volume.tiles import TileGrid
from napari_dtn.warp import Warp

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Predictor:
    """A model set up for one volume; every way of asking it for a pixel gives the same answer.

    Parameters
    ----------
    model
        The model.
    volume
        What it looks at.
    settings
        How it is run.
    intensity
        Statistics of the whole volume.
    grid
        The lattice of tiles, of the model's own patch size.
    runner
        Runs the network.
    choice
        What runs it, and why.
    """

    model: Model
    volume: Volume
    settings: PredictSettings
    intensity: Intensity
    grid: TileGrid
    runner: Runner
    choice: Choice

    @staticmethod
    def of(
        model: Model,
        volume: Volume,
        settings: PredictSettings | None = None,
        intensity: Intensity | None = None,
    ) -> Predictor:
        """Set a model up for a volume.

        Raises
        ------
        ValueError
            The model wants several channels, or the overlap does not fit its patches.
        """
        settings = settings or PredictSettings()
        shape = model.card.network
        if shape.in_channels != 1:
            raise ValueError(
                f"{model.card.name} wants {shape.in_channels} channels, and an EM volume has one; "
                "choose a model with one input channel."
            )
        overlap = min(settings.overlap, model.card.patch_size // 2)
        if overlap < settings.overlap != PredictSettings().overlap:  # it was asked for
            logger.warning(
                "overlap is %d, and tiles of %d overlap by half of that at most: %d is taken.",
                settings.overlap,
                model.card.patch_size,
                overlap,
            )
        grid = TileGrid(volume.shape[1], volume.shape[2], model.card.patch_size, overlap)
        intensity = intensity or estimate_intensity(volume)
        source = Source(volume.data, intensity, shape.context)
        choice = choose(
            model,
            lambda: sample_tiles(source, grid, volume.shape[0]),
            settings.backend,
            settings.precision,
            settings.threads,
        )
        settings = replace(settings, overlap=overlap, backend=choice.backend, precision=choice.precision)
        runner = make_runner(model, choice.backend, choice.precision, settings.threads, settings.batch_size)
        return Predictor(model, volume, settings, intensity, grid, FrugalRunner(runner), choice)

    @property
    def classes(self) -> int:
        """Maps in a prediction."""
        return self.model.card.network.n_classes

    @property
    def source(self) -> Source:
        """The volume as the network sees it."""
        return Source(self.volume.data, self.intensity, self.model.card.network.context)

    def run(self, batch: Batch) -> Float:
        """Return the probabilities of a batch, ``(N, classes, size, size)``."""
        return self.probabilities(batch.images)

    def probabilities(self, images: Float) -> Float:
        """Return what the network says of normalised tiles ``(N, maps, size, size)``."""
        probability: Float = self.runner(torch.from_numpy(images)).numpy()
        return probability

    def slice_steps(self, z: int, y: slice, x: slice, out: Float) -> Iterator[int]:
        """Predict a region of slice z into ``out``, ``(classes, height, width)``, zeros at first.

        What of it cannot be read stays 0.

        Yields
        ------
        int
            After every batch, the number of its tiles.

        Raises
        ------
        ValueError
            The volume has no such slice, or the region leaves it.
        """
        y, x = self._region(z, y, x)
        source = self.source
        region = [Block(0, slice(z, z + 1), y, x)]
        for batch in source.batches(region, self.grid, self.settings.batch_size):
            for (_, tile), probability in zip(batch.places, self.run(batch), strict=True):
                blend(out, probability * self.grid.window(tile), tile, (y, x))
            blank(out, (y, x), source.unreadable(z))
            yield len(batch.places)

    def predict(self, z: int, y: slice | None = None, x: slice | None = None) -> Float:
        """Return the probabilities of a region of slice z, ``(classes, height, width)``.

        Raises
        ------
        ValueError
            The volume has no such slice, or the region leaves it.
        """
        y, x = self._region(z, y, x)
        out = np.zeros((self.classes, y.stop - y.start, x.stop - x.start), np.float32)
        for _ in self.slice_steps(z, y, x, out):
            pass
        return out

    def _region(self, z: int, y: slice | None, x: slice | None) -> tuple[slice, slice]:
        """Return a region of slice z, all of it along an axis that is left out."""
        _check_slice(z, self.volume)
        ends = [(None, None) if side is None else (side.start, side.stop) for side in (y, x)]
        return Roi((None, None), *ends).within(self.volume.shape)[1:]

    def write(
        self, output: str | Path, roi: Roi | None = None, overwrite: bool = False
    ) -> Iterator[TileDone]:
        """Predict the volume, or a box of it, into OME-Zarr, as :func:`predict` does."""
        return write(self, output, (roi or Roi()).within(self.volume.shape), overwrite)

    def warps(self, z: int, y: int, x: int) -> tuple[Warp, ...]:
        """Return the warps of the tile that weighs most at a pixel: one a level, none for a U-Net.

        Raises
        ------
        ValueError
            The volume has no such pixel.
        """
        self._region(z, slice(y, y + 1), slice(x, x + 1))
        ((_, warps),) = tile_warps(self, z, [self.grid.at(y, x)])
        return warps


def predict_slice(
    model: Model,
    volume: Volume,
    z: int,
    settings: PredictSettings | None = None,
    intensity: Intensity | None = None,
) -> Float:
    """Predict one slice.

    Parameters
    ----------
    model
        From :func:`napari_dtn.load_model`.
    volume
        From :func:`napari_dtn.open_volume`.
    z
        The slice.
    settings
        How to run the model.
    intensity
        The volume's statistics; estimated where left out.

    Returns
    -------
    numpy.ndarray
        float32 in [0, 1]: probability of boundary ``(Y, X)``; for several classes ``(C, Y, X)``.

    Raises
    ------
    ValueError
        The volume has no such slice, or the model does not fit.
    """
    _check_slice(z, volume)
    predictor = Predictor.of(model, volume, settings, intensity)
    use_threads(predictor.settings)
    out = predictor.predict(z)
    return out[0] if predictor.classes == 1 else out


def _check_slice(z: int, volume: Volume) -> None:
    if not 0 <= z < volume.shape[0]:
        raise ValueError(f"z is {z}; the volume has slices 0 to {volume.shape[0] - 1}.")
