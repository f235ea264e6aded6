"""Model x volume -> boundary probabilities: one slice, or a whole volume as a generator of tiles."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_dtn import __version__
from napari_dtn.nn.backends import Runner, make_runner, resolve_precision
from napari_dtn.nn.checkpoint import Model
from napari_dtn.nn.tps import fiducials_of, lattice
from napari_dtn.settings import PredictSettings, Roi, VoxelSize
from napari_dtn.volume.intensity import Intensity, estimate_intensity, normalise
from napari_dtn.volume.lazy import with_neighbours
from napari_dtn.volume.opening import Volume
from napari_dtn.volume.tiles import Tile, TileGrid
from napari_dtn.volume.writing import create_image
from napari_dtn.warp import Warp
from napari_dtn.words import size_words

Float = NDArray[np.float32]
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class TileDone:
    """Some tiles of a volume are done.

    Parameters
    ----------
    z
        Slice of the volume that they belong to.
    done, total
        Tiles done so far, and in all.
    slices_done, slices
        Slices complete on disk, and in all.
    elapsed
        Seconds since the start.
    """

    z: int
    done: int
    total: int
    slices_done: int
    slices: int
    elapsed: float

    @property
    def slice_done(self) -> bool:
        """Whether slice ``z`` is complete, on disk too."""
        return self.done * self.slices == self.slices_done * self.total

    @property
    def rate(self) -> float:
        """Slices per second."""
        return self.done / self.total * self.slices / max(self.elapsed, 1e-9)

    @property
    def eta(self) -> float:
        """Seconds left."""
        return self.elapsed * (self.total - self.done) / max(self.done, 1)


@dataclass(frozen=True)
class Plan:
    """What a prediction will take.

    Parameters
    ----------
    slices, tiles
        How many.
    seconds
        Estimated from one batch of tiles.
    output_bytes
        Of the output before compression.
    """

    slices: int
    tiles: int
    seconds: float
    output_bytes: int


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
    """

    model: Model
    volume: Volume
    settings: PredictSettings
    intensity: Intensity
    grid: TileGrid
    runner: Runner

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
        settings = replace(
            settings, overlap=overlap, precision=resolve_precision(settings.precision, model.device)
        )
        grid = TileGrid(volume.shape[1], volume.shape[2], model.card.patch_size, overlap)
        runner = make_runner(model.network, model.device, settings.backend, settings.precision)
        return Predictor(model, volume, settings, intensity or estimate_intensity(volume), grid, runner)

    @property
    def classes(self) -> int:
        """Maps in a prediction."""
        return self.model.card.network.n_classes

    def _read(self, z: int, tiles: list[Tile]) -> _PaddedSlice:
        return _PaddedSlice.read(self.volume, z, tiles, self.intensity, self.model.card.network.context)

    def slice_steps(self, z: int, y: slice, x: slice, out: Float) -> Iterator[int]:
        """Predict a region of slice z into ``out``, ``(classes, height, width)``, zeros at first.

        Yields
        ------
        int
            After every batch, the number of its tiles.
        """
        tiles = self.grid.over(y, x)
        image = self._read(z, tiles)
        size = self.settings.batch_size
        for start in range(0, len(tiles), size):
            batch = tiles[start : start + size]
            probabilities = self.runner(torch.from_numpy(np.stack([image.tile(tile) for tile in batch])))
            for tile, probability in zip(batch, probabilities.numpy(), strict=True):
                _blend(out, probability * self.grid.window(tile), tile, (y, x))
            yield len(batch)

    def predict(self, z: int, y: slice | None = None, x: slice | None = None) -> Float:
        """Return the probabilities of a region of slice z, ``(classes, height, width)``."""
        y = y or slice(0, self.volume.shape[1])
        x = x or slice(0, self.volume.shape[2])
        out = np.zeros((self.classes, y.stop - y.start, x.stop - x.start), np.float32)
        for _ in self.slice_steps(z, y, x, out):
            pass
        return out

    def write(
        self, output: str | Path, roi: Roi | None = None, overwrite: bool = False
    ) -> Iterator[TileDone]:
        """Predict the volume, or a box of it, into OME-Zarr, as :func:`predict` does."""
        box = (roi or Roi()).within(self.volume.shape)
        return _predict_slices(self, box, _create(self, output, box, overwrite))

    def warps(self, z: int, y: int, x: int) -> tuple[Warp, ...]:
        """Return the warps of the tile that weighs most at a pixel: one a level, none for a U-Net."""
        tile = self.grid.at(y, x)
        image = self._read(z, [tile]).tile(tile)
        with torch.inference_mode():
            grids = self.model.network.warp(torch.from_numpy(image[None]).to(self.model.device))
        return tuple(_warp(grid, level, tile, self.model) for level, grid in grids.items())


def _warp(grid: torch.Tensor, level: int, tile: Tile, model: Model) -> Warp:
    side = model.card.network.fiducials
    grid = grid.cpu().double()
    return Warp(
        grid=grid[0].numpy(),
        fiducials=fiducials_of(grid, side)[0].numpy(),
        rest=lattice(side).numpy(),
        level=level,
        origin=(tile.y, tile.x),
    )


@dataclass(frozen=True)
class _PaddedSlice:
    """What some tiles cover of a slice, and of the neighbours that the network looks at too.

    Normalised, ``(maps, height, width)``, mirrored where tiles reach past the slice's border.
    """

    image: Float
    y: int
    x: int

    @staticmethod
    def read(volume: Volume, z: int, tiles: list[Tile], intensity: Intensity, context: int) -> _PaddedSlice:
        y0, x0 = min(tile.y for tile in tiles), min(tile.x for tile in tiles)
        y1 = max(tile.y + tile.size for tile in tiles)
        x1 = max(tile.x + tile.size for tile in tiles)
        inside = slice(y0, min(y1, volume.shape[1])), slice(x0, min(x1, volume.shape[2]))
        found = normalise(with_neighbours(volume.data, z, *inside, context), intensity)
        missing = [(0, 0), (0, y1 - y0 - found.shape[1]), (0, x1 - x0 - found.shape[2])]
        return _PaddedSlice(np.pad(found, missing, mode="reflect"), y0, x0)

    def tile(self, tile: Tile) -> Float:
        y, x = tile.y - self.y, tile.x - self.x
        return self.image[:, y : y + tile.size, x : x + tile.size]


def _blend(out: Float, weighted: Float, tile: Tile, region: tuple[slice, slice]) -> None:
    """Add what of a weighted tile lies in the region."""
    y, x = region
    y0, y1 = max(tile.y, y.start), min(tile.y + tile.size, y.stop)
    x0, x1 = max(tile.x, x.start), min(tile.x + tile.size, x.stop)
    out[:, y0 - y.start : y1 - y.start, x0 - x.start : x1 - x.start] += weighted[
        :, y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x
    ]


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
    if not 0 <= z < volume.shape[0]:
        raise ValueError(f"z is {z}; the volume has slices 0 to {volume.shape[0] - 1}.")
    predictor = Predictor.of(model, volume, settings, intensity)
    use_threads(predictor.settings)
    out = predictor.predict(z)
    return out[0] if predictor.classes == 1 else out


def predict(
    model: Model,
    volume: Volume,
    output: str | Path,
    roi: Roi | None = None,
    settings: PredictSettings | None = None,
    overwrite: bool = False,
) -> Iterator[TileDone]:
    """Predict a volume, or a box of it, slice by slice into OME-Zarr; iterate to make it happen.

    The output holds uint8 = round(255 p), axes ``zyx`` (several classes: ``czyx``), the voxel size as scale
    and the box's origin as translation. Every slice is on disk when its ``slice_done`` event comes; stop
    iterating to cancel.

    Parameters
    ----------
    model, volume
        From :func:`napari_dtn.load_model` and :func:`napari_dtn.open_volume`.
    output
        Path that ends in ``.zarr``.
    roi
        Box in voxels of the volume; all of it by default.
    settings
        How to run the model.
    overwrite
        Replace an output that is already there.

    Yields
    ------
    TileDone
        After every batch of tiles.

    Raises
    ------
    FileExistsError
        The output exists, and ``overwrite`` is not set.
    ValueError
        The box leaves the volume, or the model does not fit.
    """
    return Predictor.of(model, volume, settings).write(output, roi, overwrite)


def plan(
    model: Model, volume: Volume, roi: Roi | None = None, settings: PredictSettings | None = None
) -> Plan:
    """Say what :func:`predict` would take, after timing one batch; nothing is written.

    Raises
    ------
    ValueError
        The box leaves the volume, or the model does not fit.
    """
    predictor = Predictor.of(model, volume, settings)
    z, y, x = (roi or Roi()).within(volume.shape)
    use_threads(predictor.settings)
    slices, per_slice = z.stop - z.start, len(predictor.grid.over(y, x))
    out = np.zeros((predictor.classes, y.stop - y.start, x.stop - x.start), np.float32)
    batches = predictor.slice_steps(z.start, y, x, out)
    next(batches)  # the first batch also warms up
    began = time.monotonic()
    timed = next(batches, 0) or sum(predictor.slice_steps(z.start, y, x, out))
    seconds = (time.monotonic() - began) / timed * per_slice * slices
    return Plan(slices, per_slice * slices, seconds, out.size * slices)


def _create(
    predictor: Predictor, output: str | Path, box: tuple[slice, slice, slice], overwrite: bool
) -> Any:
    voxel_size = known_voxel_size(predictor.model, predictor.volume)
    volume = predictor.volume.with_voxel_size(voxel_size)
    shape = tuple(side.stop - side.start for side in box)
    several = predictor.classes > 1
    origin = zip(volume.translation, box, voxel_size, strict=True)
    return create_image(
        output,
        (predictor.classes, *shape) if several else shape,
        np.uint8,
        voxel_size=voxel_size,
        translation=tuple(shift + side.start * step for shift, side, step in origin),
        axes="czyx" if several else "zyx",
        attributes=provenance(predictor),
        overwrite=overwrite,
    )


def provenance(predictor: Predictor) -> dict[str, Any]:
    """Return what a result came from, as plain JSON values."""
    return {
        "model": predictor.model.card.name,
        "model_sha256": predictor.model.sha256,
        "class_names": list(predictor.model.card.class_names),
        "settings": {**asdict(predictor.settings), "device": predictor.model.device.type},
        "intensity": asdict(predictor.intensity),
        "input": predictor.volume.path or predictor.volume.name,
        "version": __version__,
    }


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


def _predict_slices(predictor: Predictor, box: tuple[slice, slice, slice], target: Any) -> Iterator[TileDone]:
    zs, y, x = range(box[0].start, box[0].stop), box[1], box[2]
    per_slice = len(predictor.grid.over(y, x))
    done, total, began = 0, per_slice * len(zs), time.monotonic()
    use_threads(predictor.settings)
    for number, z in enumerate(zs):
        out = np.zeros((predictor.classes, y.stop - y.start, x.stop - x.start), np.float32)
        for count in predictor.slice_steps(z, y, x, out):
            done += count
            complete = done == (number + 1) * per_slice
            if complete:
                target[..., number, :, :] = as_uint8(out if predictor.classes > 1 else out[0])
            yield TileDone(z, done, total, number + complete, len(zs), time.monotonic() - began)


def as_uint8(probability: Float) -> NDArray[np.uint8]:
    """Probabilities -> round(255 p)."""
    return np.rint(255 * np.clip(probability, 0, 1)).astype(np.uint8)
