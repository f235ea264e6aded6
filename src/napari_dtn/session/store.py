"""The folder of a session: labels as OME-Zarr, and the journal of what was done."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr

from napari_dtn.segment.history import History
from napari_dtn.volume.writing import create_labels

if TYPE_CHECKING:
    from napari_dtn.volume.opening import Volume

LABELS, JOURNAL = "objects.zarr", "journal.sqlite"


def open_store(folder: Path, volume: Volume) -> tuple[History, tuple[Any, ...]]:
    """Open the session in a folder, or begin one.

    Parameters
    ----------
    folder
        Made where it is missing.
    volume
        What the objects are of.

    Returns
    -------
    history
        Of the labels.
    levels
        The labels (Z, Y, X) and their coarser levels, zarr arrays.

    Raises
    ------
    ValueError
        The folder holds objects of a volume of another shape, or another process works in it.
    """
    labels = folder / LABELS
    folder.mkdir(parents=True, exist_ok=True)
    if not labels.exists():
        _create(labels, volume)
    levels = _levels(labels)
    if levels[0].shape != volume.shape:
        raise ValueError(
            f"{folder} holds objects of a volume of shape {levels[0].shape}, and {volume.name} has shape "
            f"{volume.shape}; choose another folder."
        )
    return History(folder / JOURNAL, levels[0]), levels


def _create(labels: Path, volume: Volume) -> None:
    """Create empty labels, which appear whole or not at all."""
    part = labels.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    create_labels(
        part,
        volume.shape,
        voxel_size=volume.voxel_size,
        translation=volume.translation,
        attributes={"input": volume.path or volume.name},
    )
    part.rename(labels)


def _levels(labels: Path) -> tuple[Any, ...]:
    group = zarr.open_group(str(labels), mode="r+")
    return tuple(group[name] for name in sorted(group.array_keys(), key=int))
