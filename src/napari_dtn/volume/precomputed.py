"""Neuroglancer precomputed volumes, all their scales, through tensorstore."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_dtn.volume.geometry import stated_voxel_size
from napari_dtn.volume.lazy import Found, reading, to_dask
from napari_dtn.volume.places import is_remote
from napari_dtn.volume.tensors import open_tensor

if TYPE_CHECKING:
    from napari_dtn.volume.places import Place

_AXES = "czyx"


def is_precomputed(place: Place) -> bool:
    """Tell whether a folder has the file ``info`` of a precomputed volume."""
    info = place / "info"
    if not info.is_file():
        return False
    try:
        return "scales" in json.loads(info.read_bytes())
    except ValueError:
        return False


def open_precomputed(place: Place) -> Found:
    """Open a precomputed image or segmentation with all its scales.

    Raises
    ------
    ValueError
        The package tensorstore is missing, or the volume is damaged.
    """
    with reading(place):
        scales = json.loads((place / "info").read_bytes())["scales"]
        key = str(scales[0]["key"])
        size = stated_voxel_size(scales[0]["resolution"][::-1], ["nm"] * 3)
        offset = scales[0].get("voxel_offset", (0, 0, 0))[::-1]
    _check_plain(place, key)
    z, y, x = (voxels * side for voxels, side in zip(offset, size or (1, 1, 1), strict=True))
    arrays = [_open_scale(place, number) for number in range(len(scales))]
    return Found(tuple(to_dask(array, _AXES) for array in arrays), _AXES, size, (z, y, x))


def _check_plain(place: Place, key: str) -> None:
    """Refuse local chunks that are compressed files: what reads them would take them as missing, so 0."""
    folder = Path(str(place)) / key
    some = islice(folder.iterdir(), 100) if not is_remote(place) and folder.is_dir() else ()
    if any(chunk.suffix in (".gz", ".br") for chunk in some):
        raise ValueError(
            f"{folder} holds compressed chunks, which cannot be read: decompress them (gunzip -r), or write "
            "the volume with compress=False."
        )


def _open_scale(place: Place, number: int) -> Any:
    return open_tensor(place, "neuroglancer_precomputed", "precomputed", scale_index=number)
