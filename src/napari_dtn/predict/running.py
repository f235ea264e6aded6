"""Prediction of a volume: by this process, or by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from napari_dtn.nn.checkpoint import Model
from napari_dtn.predict.cluster import write_on_cluster
from napari_dtn.predict.events import TileDone
from napari_dtn.predict.output import recorded_settings
from napari_dtn.predict.predictor import Predictor
from napari_dtn.settings import PredictSettings, Roi
from napari_dtn.volume.opening import Volume


def predict(
    model: Model,
    volume: Volume,
    output: str | Path,
    roi: Roi | None = None,
    settings: PredictSettings | None = None,
    overwrite: bool = False,
    workers: int = 0,
    scheduler: str = "",
) -> Iterator[TileDone]:
    """Predict a volume, or a box of it, block by block into OME-Zarr; iterate to make it happen.

    The output holds uint8 = round(255 p), axes ``zyx`` (several classes: ``czyx``), the voxel size as scale
    and the box's origin as translation. Every slice is on disk when its ``slice_done`` event comes; stop
    iterating to cancel. Every finished block is recorded durably: the same call goes on with an unfinished
    output, whatever has ended it, and the result has the same bytes as if nothing had.

    What of the volume cannot be read is 0 in the output, and listed in its attribute ``unreadable``.

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
        Replace an output that is already there, finished or not.
    workers
        Processes of this machine that share the blocks; 0 computes here, without a cluster.
    scheduler
        Address of a dask scheduler, such as ``tcp://host:8786``, whose workers compute the blocks.

    Yields
    ------
    TileDone
        After every batch of tiles (on a cluster: after every block), after every slice, and at the end.

    Raises
    ------
    FileExistsError
        A finished output exists, and ``overwrite`` is not set.
    ValueError
        The box leaves the volume, the model does not fit, or model, settings or input are not those that the
        unfinished output was begun with.
    OSError
        The disk is full; what is finished is kept.
    ImportError
        A cluster is asked for, and dask.distributed is not installed.
    """
    chosen, box = settings or PredictSettings(), (roi or Roi()).within(volume.shape)
    predictor = Predictor.of(model, volume, chosen if overwrite else pinned(chosen, output))
    if not (workers or scheduler):
        return predictor.write(output, roi, overwrite)
    return write_on_cluster(predictor, output, box, overwrite, workers=workers, scheduler=scheduler)


def pinned(settings: PredictSettings, output: str | Path) -> PredictSettings:
    """Return settings whose open choices (``auto``) are those that an unfinished output was begun with."""
    recorded = recorded_settings(output)
    return replace(
        settings,
        **{
            name: recorded[name]
            for name in ("backend", "precision")
            if name in recorded and getattr(settings, name) == "auto"
        },
    )
