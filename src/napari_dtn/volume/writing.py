"""Images and labels become OME-Zarr 0.5."""

from __future__ import annotations

import json
import shutil
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import zarr

from napari_dtn.volume.geometry import check_voxel_size
from napari_dtn.volume.ome_zarr import MARKERS, is_zarr, multiscales
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import DTypeLike, NDArray

    from napari_dtn.settings import VoxelSize

KEY = "napari_dtn"
Axes = Literal["zyx", "czyx"]
_CHUNK = 256
_COARSEST = 512
JOURNAL = "journal.jsonl"  # in an image that is not finished
_METADATA = {*MARKERS, ".zattrs", ".zmetadata", JOURNAL}


def create_image(
    path: str | Path,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    *,
    voxel_size: VoxelSize | None,
    translation: VoxelSize = (0.0, 0.0, 0.0),
    axes: Axes = "zyx",
    attributes: Mapping[str, Any],
    chunks: tuple[int, ...] | None = None,
    overwrite: bool = False,
) -> zarr.Array[Any]:
    """Create an OME-Zarr 0.5 image of one level, all 0, to be filled slice by slice.

    All metadata are written at once and hold no time and no path: a crash leaves a readable image, and
    equal input gives equal bytes.

    Parameters
    ----------
    path
        Folder to create.
    shape
        Along the axes.
    dtype
        Of the values.
    voxel_size
        In nm, (Z, Y, X); None where it is not known.
    translation
        Centre of the first voxel, (Z, Y, X): in nm, or in voxels where the voxel size is None.
    axes
        ``zyx``, or ``czyx`` for several classes.
    attributes
        Provenance, plain JSON values; the group's attribute ``napari_dtn``.
    chunks
        Stored pieces; one slice of 256 x 256 unless given.
    overwrite
        Replace an OME-Zarr image at the path.

    Returns
    -------
    array
        The image's array ``0``.

    Raises
    ------
    FileExistsError
        Something is at the path, and ``overwrite`` is not set or would delete what is no OME-Zarr image.
    ValueError
        The shape does not fit the axes, or the voxel size is not three numbers greater than 0.
    """
    if len(shape) != len(axes) or min(shape) < 1:
        raise ValueError(f"Shape {shape} does not fit axes {axes}; give one size of at least 1 for each.")
    ome = _ome(1, axes, voxel_size, translation)
    provenance = json.loads(json.dumps(dict(attributes)))  # what is no JSON fails before anything is deleted
    group = _create_group(Path(path), {"ome": ome, KEY: provenance}, overwrite=overwrite)
    return _create_level(group, 0, shape, dtype, axes, chunks)


def write_image(
    path: str | Path,
    image: Any,
    *,
    voxel_size: VoxelSize | None,
    translation: VoxelSize = (0.0, 0.0, 0.0),
    attributes: Mapping[str, Any],
    overwrite: bool = False,
) -> zarr.Array[Any]:
    """Write a stack as OME-Zarr 0.5 with a pyramid of means; parameters and errors as :func:`create_image`.

    Parameters
    ----------
    image
        (Z, Y, X) or (Y, X); a lazy array is read one slice at a time. Levels are halved along Y and X
        while they are larger than 512.
    """
    stack = volume_from_array(image, name="the image").data
    reduce = _mode if stack.dtype == bool else _mean
    array = create_image(
        path,
        stack.shape,
        stack.dtype,
        voxel_size=voxel_size,
        translation=translation,
        attributes=attributes,
        overwrite=overwrite,
    )
    _copy(stack, array, lambda plane: plane)
    _add_pyramid(Path(path), array, reduce, voxel_size, translation)
    return array


def write_labels(
    path: str | Path,
    labels: Any,
    *,
    voxel_size: VoxelSize | None,
    translation: VoxelSize = (0.0, 0.0, 0.0),
    attributes: Mapping[str, Any],
    overwrite: bool = False,
) -> zarr.Array[Any]:
    """Write ids as an OME-Zarr 0.5 label image, uint32 or uint64; otherwise as :func:`write_image`.

    Parameters
    ----------
    labels
        Integers or bools, (Z, Y, X) or (Y, X), 0 for background. A pixel of a coarser level is the most
        frequent of its four ids, the first in reading order where several are.

    Raises
    ------
    ValueError
        The ids are not integers, or one is negative.
    """
    stack = volume_from_array(labels, name="the label image").data
    if stack.dtype.kind not in "bui":
        raise ValueError(f"Labels are {stack.dtype}; give integer ids, 0 for background.")
    dtype = np.dtype(np.uint64 if stack.dtype.itemsize > 4 else np.uint32)
    array = create_image(
        path,
        stack.shape,
        dtype,
        voxel_size=voxel_size,
        translation=translation,
        attributes=attributes,
        overwrite=overwrite,
    )
    _copy(stack, array, lambda plane: _ids(plane).astype(dtype))
    _add_pyramid(Path(path), array, _mode, voxel_size, translation, {"image-label": {}})
    return array


def read_attributes(path: str | Path) -> dict[str, Any]:
    """Return the provenance that was stored with an image or labels; empty where there is none."""
    place = Path(path)
    if not is_zarr(place):
        return {}
    found = zarr.open(str(place), mode="r").attrs.get(KEY)
    return dict(found) if isinstance(found, dict) else {}


def _ids(plane: NDArray[Any]) -> NDArray[Any]:
    if plane.dtype.kind == "i" and plane.min() < 0:
        raise ValueError(f"Labels hold the id {plane.min()}; ids are 0 for background, or greater.")
    return plane


def _copy(source: Any, target: zarr.Array[Any], change: Callable[[NDArray[Any]], NDArray[Any]]) -> None:
    for index in _planes(source.shape):
        target[index] = change(np.asarray(source[index]))


def _planes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    yield from product(*(range(size) for size in shape[:-2]))


def _add_pyramid(
    path: Path,
    finest: zarr.Array[Any],
    reduce: Callable[[NDArray[Any]], NDArray[Any]],
    voxel_size: VoxelSize | None,
    translation: VoxelSize,
    further: Mapping[str, Any] | None = None,
) -> None:
    """Write coarser levels, then name them in the metadata: never one that is not yet complete."""
    group, levels = zarr.open_group(str(path), mode="r+"), [finest]
    while max(levels[-1].shape[-2:]) > _COARSEST:
        *outer, y, x = levels[-1].shape
        shape = (*outer, -(-y // 2), -(-x // 2))
        levels.append(_create_level(group, len(levels), shape, finest.dtype, "zyx", None))
        _copy(levels[-2], levels[-1], lambda plane: reduce(_blocks(plane)))
    ome = _ome(len(levels), "zyx", voxel_size, translation)
    group.update_attributes({"ome": {**ome, **(further or {})}})


def _blocks(plane: NDArray[Any]) -> NDArray[Any]:
    """Return the four pixels of every 2 x 2 block, (4, Y / 2, X / 2); the border is repeated."""
    whole = np.pad(plane, [(0, size % 2) for size in plane.shape], mode="edge")
    return np.stack([whole[y::2, x::2] for y, x in product((0, 1), (0, 1))])


def _mean(blocks: NDArray[Any]) -> NDArray[Any]:
    mean: NDArray[Any] = blocks.mean(axis=0, dtype=np.float64)
    return (mean if blocks.dtype.kind == "f" else np.rint(mean)).astype(blocks.dtype)


def _mode(blocks: NDArray[Any]) -> NDArray[Any]:
    votes = (blocks[:, None] == blocks[None]).sum(axis=1, dtype=np.uint8)
    mode: NDArray[Any] = np.take_along_axis(blocks, votes.argmax(axis=0)[None], axis=0)[0]
    return mode


def _ome(levels: int, axes: str, voxel_size: VoxelSize | None, translation: VoxelSize) -> dict[str, Any]:
    """Describe an image; where the voxel size is not known, its axes have no unit and count voxels."""
    size = (1.0, 1.0, 1.0) if voxel_size is None else check_voxel_size(voxel_size)
    unit = {} if voxel_size is None else {"unit": "nanometer"}
    space = [{"name": name, "type": "space", **unit} for name in "zyx"]
    channel = [{"name": "c", "type": "channel"}] if "c" in axes else []
    datasets = [_dataset(level, len(channel), size, translation) for level in range(levels)]
    return {"version": "0.5", "multiscales": [{"axes": channel + space, "datasets": datasets}]}


def _dataset(level: int, channels: int, size: VoxelSize, translation: VoxelSize) -> dict[str, Any]:
    """Describe a level: its first pixel's centre is that of the block which it stands for."""
    scale = [size[0], *(side * 2**level for side in size[1:])]
    shift = [float(t) + (a - b) / 2 for t, a, b in zip(translation, scale, size, strict=True)]
    steps = [
        {"type": "scale", "scale": [1.0] * channels + scale},
        {"type": "translation", "translation": [0.0] * channels + shift},
    ]
    return {"path": str(level), "coordinateTransformations": steps}


def _create_level(
    group: zarr.Group,
    level: int,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    axes: str,
    chunks: tuple[int, ...] | None,
) -> zarr.Array[Any]:
    usual = (1,) * (len(shape) - 2) + tuple(min(_CHUNK, size) for size in shape[-2:])
    return group.create_array(
        str(level), shape=shape, chunks=chunks or usual, dtype=np.dtype(dtype), dimension_names=list(axes)
    )


def _create_group(path: Path, attributes: dict[str, Any], *, overwrite: bool) -> zarr.Group:
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        if not overwrite:
            raise FileExistsError(f"{path} exists; choose another path, or replace it with --overwrite.")
        _delete(path)
    return zarr.create_group(str(path), zarr_format=3, attributes=attributes)


def _delete(path: Path) -> None:
    """Delete an OME-Zarr image: its metadata and its levels, and nothing that someone put beside them."""
    image = multiscales(dict(zarr.open(str(path), mode="r").attrs)) if is_zarr(path) else None
    if image is None or path.is_symlink():
        raise FileExistsError(f"{path} is no OME-Zarr image, so it is not replaced; choose another path.")
    known = _METADATA | {str(dataset["path"]).split("/")[0] for dataset in image["datasets"]}
    # A level that a crash left behind is not in the metadata yet.
    levels = {entry.name for entry in path.iterdir() if entry.name.isdigit() and is_zarr(entry)}
    others = sorted({entry.name for entry in path.iterdir()} - known - levels)
    if others:
        raise FileExistsError(
            f"{path} also holds {', '.join(others)}, so it is not replaced; choose another path."
        )
    shutil.rmtree(path)
