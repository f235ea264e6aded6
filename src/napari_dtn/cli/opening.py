"""Volumes that a command opens beside the one that its options tell how to read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from napari_dtn.volume.opening import Volume


def open_alone(path: str, voxel_size: Iterable[float] | None = None) -> Volume:
    """Open a volume of which no option chooses a channel or a time point; errors as ``open_volume``."""
    from napari_dtn.volume.geometry import ChoiceMissingError
    from napari_dtn.volume.opening import open_volume

    try:
        return open_volume(path, voxel_size)
    except ChoiceMissingError as error:
        raise ValueError(f"{error.there}; save the one that is meant by itself, and give that.") from error


def open_ids(path: str, voxel_size: Iterable[float] | None = None) -> Volume:
    """Open a volume of ids likewise; what is plainly something else is refused with a ValueError."""
    from napari_dtn.volume.content import check_ids

    check_ids(path)
    return open_alone(path, voxel_size)
