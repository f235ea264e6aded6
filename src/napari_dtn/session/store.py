"""The folder of a session: labels as OME-Zarr, and the journal of what was done."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import zarr

from napari_dtn.segment.history import History
from napari_dtn.volume.writing import create_labels

if TYPE_CHECKING:
    from napari_dtn.volume.opening import Volume

LABELS, JOURNAL = "objects.zarr", "journal.sqlite"


def open_store(folder: Path, volume: Volume) -> History:
    """Open the session in a folder, or begin one.

    Parameters
    ----------
    folder
        Made where it is missing.
    volume
        What the objects are of.

    Raises
    ------
    ValueError
        The folder holds objects of a volume of another shape, or another process works in it.
    """
    labels = folder / LABELS
    folder.mkdir(parents=True, exist_ok=True)
    if not (labels / "zarr.json").exists():
        create_labels(
            labels,
            volume.shape,
            voxel_size=volume.voxel_size,
            translation=volume.translation,
            attributes={"input": volume.path or volume.name},
        )
    array = zarr.open_array(str(labels / "0"), mode="r+")
    if array.shape != volume.shape:
        raise ValueError(
            f"{folder} holds objects of a volume of shape {array.shape}, and {volume.name} has shape "
            f"{volume.shape}; choose another folder."
        )
    return History(folder / JOURNAL, array)
