"""Images and labels become OME-Zarr."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numcodecs import Blosc
from zarr.codecs import ZstdCodec

from napari_dtn.volume.defects import is_left_out
from napari_dtn.volume.description import ZARR_FORMATS, Axes, Description, Downscaling, Version
from napari_dtn.volume.ome_zarr import MARKERS, is_zarr, multiscales, open_node
from napari_dtn.volume.opening import volume_from_array
from napari_dtn.volume.places import place_of
from napari_dtn.volume.pyramid import coarser, mean, mode, regions, under

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import dask.array as da
    from numpy.typing import DTypeLike

    from napari_dtn.settings import VoxelSize

KEY = "napari_dtn"
_CHUNK = 256
_SHARD = 8 * _CHUNK  # pixels of a side: what is read and written at once
_MANY = 10_000  # chunks of a level, a file each, from which on they share files
_COARSEST = 512
_QUICK = ZstdCodec(level=1)  # a third of the usual level's time, for some percent more bytes
JOURNAL = "journal.jsonl"  # in an image that is not finished
UNFINISHED = "unfinished"  # its attribute
_REDUCE = {"mode": mode, "mean": mean}
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
    shards: tuple[int, ...] | None = None,
    version: Version = "0.5",
    overwrite: bool = False,
) -> zarr.Array[Any]:
    """Create an OME-Zarr image of one level, all 0, to be filled slice by slice.

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
    shards
        Files of several chunks, a multiple of them; a file for each chunk unless given.
    version
        Of OME-Zarr; 0.4 knows no shards.
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
        The shape does not fit the axes, the voxel size is not three numbers greater than 0, or shards are
        asked for in OME-Zarr 0.4.
    """
    if len(shape) != len(axes) or min(shape) < 1:
        raise ValueError(f"Shape {shape} does not fit axes {axes}; give one size of at least 1 for each.")
    if shards is not None and version == "0.4":
        raise ValueError(f"Shards are {shards}, which OME-Zarr 0.4 does not know; write 0.5, or none.")
    described = Description(axes, voxel_size, translation, version)
    group = _create_group(Path(path), described, attributes, overwrite)
    return _create_level(group, described, 0, shape, dtype, chunks, shards)


def create_labels(
    path: str | Path,
    shape: tuple[int, int, int],
    *,
    voxel_size: VoxelSize | None,
    translation: VoxelSize = (0.0, 0.0, 0.0),
    attributes: Mapping[str, Any],
    dtype: DTypeLike = np.uint32,
) -> None:
    """Create an OME-Zarr label image, all 0, with the pyramid that :func:`write_labels` would make.

    Parameters and errors as :func:`create_image`. Whoever writes level 0 has to bring up the others.
    """
    described = Description("zyx", voxel_size, translation, downscaling="mode", is_labels=True)
    group = _create_group(Path(path), described, attributes, overwrite=False)
    shapes = _shapes(shape)
    for number, one in enumerate(shapes):
        _create_level(group, described, number, one, dtype, None, None)
    group.update_attributes(described.attributes(len(shapes)))


def place_labels(path: str | Path, voxel_size: VoxelSize, translation: VoxelSize) -> None:
    """Say anew where labels of :func:`create_labels` lie, and how large their voxels are, in nm."""
    group = zarr.open_group(str(path), mode="r+")
    described = Description("zyx", voxel_size, translation, downscaling="mode", is_labels=True)
    group.update_attributes(described.attributes(len(list(group.array_keys()))))


def write_image(
    path: str | Path,
    image: Any,
    *,
    voxel_size: VoxelSize | None,
    translation: VoxelSize = (0.0, 0.0, 0.0),
    attributes: Mapping[str, Any],
    version: Version = "0.5",
    overwrite: bool = False,
) -> zarr.Array[Any]:
    """Write a stack as OME-Zarr with a pyramid of means; parameters and errors as :func:`create_image`.

    Parameters
    ----------
    image
        (Z, Y, X) or (Y, X); a lazy array is read 2048 x 2048 pixels of a slice at a time. Levels are halved
        along Y and X while they are larger than 512; those of many chunks have shards of 2048 x 2048.
    """
    stack = volume_from_array(image, name="the image").data
    kind: Downscaling = "mode" if stack.dtype == bool else "mean"
    described = Description("zyx", voxel_size, translation, version, kind)
    return _finished(path, _write(path, stack, stack.dtype, described, attributes, overwrite))


def write_labels(
    path: str | Path,
    labels: Any,
    *,
    voxel_size: VoxelSize | None,
    translation: VoxelSize = (0.0, 0.0, 0.0),
    attributes: Mapping[str, Any],
    version: Version = "0.5",
    overwrite: bool = False,
) -> zarr.Array[Any]:
    """Write ids as an OME-Zarr label image, uint32 or uint64; otherwise as :func:`write_image`.

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
    described = Description("zyx", voxel_size, translation, version, "mode", is_labels=True)
    return _finished(path, label_steps(path, labels, described, attributes, overwrite))


def label_steps(
    path: str | Path,
    labels: Any,
    described: Description,
    attributes: Mapping[str, Any],
    overwrite: bool = False,
) -> Iterator[tuple[int, int]]:
    """Write ids as :func:`write_labels` does, part by part; yields parts that are done, and all."""
    stack = volume_from_array(labels, name="the label image").data
    if stack.dtype.kind not in "bui":
        raise ValueError(f"Labels are {stack.dtype}; give integer ids, 0 for background.")
    dtype = np.dtype(np.uint64 if stack.dtype.itemsize > 4 else np.uint32)
    yield from _write(path, stack, dtype, described, attributes, overwrite)


def labels_place(image: str | Path, name: str) -> Path:
    """Return where labels of an OME-Zarr image lie.

    Raises
    ------
    ValueError
        There is no OME-Zarr image on this machine at that path, or the name is none for a folder.
    """
    if not name or Path(name).name != name:
        raise ValueError(f"The labels' name is {name!r}; give a plain one, such as neurites.")
    group = zarr.open(str(image), mode="r") if is_zarr(Path(image)) else None
    if group is None or multiscales(dict(group.attrs)) is None:
        raise ValueError(
            f"{image} is no OME-Zarr image; give one, or write labels of their own with --output."
        )
    return Path(image) / "labels" / name


def version_of(image: str | Path) -> Version:
    """Return the version of OME-Zarr that an image is in, which its labels are in too: 0.4 lies in zarr 2."""
    return "0.4" if open_node(Path(image)).metadata.zarr_format == 2 else "0.5"


def list_labels(image: str | Path, name: str) -> None:
    """Name labels that lie in an OME-Zarr image in its list of labels, as its version asks for."""
    version = version_of(image)
    group = zarr.open_group(str(Path(image) / "labels"), mode="a", zarr_format=ZARR_FORMATS[version])
    known: Any = group.attrs if version == "0.4" else group.attrs.get("ome", {})
    names = [*(one for one in known.get("labels", []) if one != name), name]
    listed = {"labels": names}
    group.update_attributes(listed if version == "0.4" else {"ome": {"version": version, **listed}})


def read_attributes(path: str | Path) -> dict[str, Any]:
    """Return the provenance that was stored with an image or labels; empty where there is none."""
    place = place_of(path)
    if not is_zarr(place):
        return {}
    found = open_node(place).attrs.get(KEY)
    return dict(found) if isinstance(found, dict) else {}


def check_finished(path: str | Path | None) -> None:
    """Refuse a prediction of which some is missing, and would be taken for inside, with a ValueError."""
    if path is not None and UNFINISHED in read_attributes(path):
        raise ValueError(f"{path} is unfinished: run the `predict` that began it again, and it is completed.")


def bad_slices_of(path: str | Path) -> frozenset[int]:
    """Return the slices of a prediction, counted from its first, that no object should be sought in."""
    marked = read_attributes(path).get("bad_slices", [])
    return frozenset(int(one["z"]) for one in marked if is_left_out(one["kind"]))


def _finished(path: str | Path, steps: Iterator[tuple[int, int]]) -> zarr.Array[Any]:
    for _ in steps:
        pass
    return zarr.open_array(str(Path(path) / "0"))


def _write(
    path: str | Path,
    stack: da.Array,
    dtype: np.dtype[Any],
    described: Description,
    attributes: Mapping[str, Any],
    overwrite: bool,
) -> Iterator[tuple[int, int]]:
    """Write the finest level, the coarser ones, and then name these: never one that is not yet complete."""
    group = _create_group(Path(path), described, attributes, overwrite)
    shapes = _shapes(stack.shape)
    total = sum(len(list(regions(shape, _SHARD))) for shape in shapes)
    count = itertools.count(1)
    level = _new_level(group, described, 0, stack.shape, dtype)
    for region in regions(level.shape, _SHARD):
        values = np.asarray(stack[region])
        if described.is_labels and values.min() < 0:
            raise ValueError(f"Labels hold the id {values.min()}; ids are 0 for background, or greater.")
        level[region] = values.astype(dtype)
        yield next(count), total
    for number, shape in enumerate(shapes[1:], start=1):
        finer, level = level, _new_level(group, described, number, shape, dtype)
        for region in regions(shape, _SHARD):
            level[region] = _REDUCE[described.downscaling](np.asarray(finer[under(region, finer.shape)]))
            yield next(count), total
    group.update_attributes(described.attributes(len(shapes)))


def _shapes(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return the shapes of all levels."""
    shapes = [shape]
    while max(shapes[-1][-2:]) > _COARSEST:
        shapes.append(coarser(shapes[-1]))
    return shapes


def _new_level(
    group: zarr.Group, described: Description, number: int, shape: tuple[int, ...], dtype: DTypeLike
) -> zarr.Array[Any]:
    """Create a level; where there would be a great many files, with shards."""
    chunks = int(np.prod([-(-size // _CHUNK) for size in shape[-2:]])) * shape[0]
    shards = (1, _SHARD, _SHARD) if chunks > _MANY and described.version == "0.5" else None
    return _create_level(
        group, described, number, shape, dtype, (1, _CHUNK, _CHUNK) if shards else None, shards
    )


def _create_level(
    group: zarr.Group,
    described: Description,
    number: int,
    shape: tuple[int, ...],
    dtype: DTypeLike,
    chunks: tuple[int, ...] | None,
    shards: tuple[int, ...] | None,
) -> zarr.Array[Any]:
    usual = (1,) * (len(shape) - 2) + tuple(min(_CHUNK, size) for size in shape[-2:])
    options: dict[str, Any] = {"shape": shape, "chunks": chunks or usual, "dtype": np.dtype(dtype)}
    if described.version == "0.4":
        options["chunk_key_encoding"] = {"name": "v2", "configuration": {"separator": "/"}}
        return group.create_array(str(number), **options, compressors=Blosc("zstd"))  # which all readers know
    names = list(described.axes)
    return group.create_array(
        str(number), **options, shards=shards, dimension_names=names, compressors=_QUICK
    )


def _create_group(
    path: Path, described: Description, attributes: Mapping[str, Any], overwrite: bool
) -> zarr.Group:
    provenance = json.loads(json.dumps(dict(attributes)))  # what is no JSON fails before anything is deleted
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        if not overwrite:
            raise FileExistsError(f"{path} exists; choose another path, or replace it with --overwrite.")
        delete_image(path)
    return zarr.create_group(
        str(path),
        zarr_format=ZARR_FORMATS[described.version],
        attributes={**described.attributes(1), KEY: provenance},
    )


def delete_image(path: Path) -> None:
    """Delete an OME-Zarr image: its metadata and its levels, and nothing that someone put beside them.

    Errors as :func:`check_deletable`.
    """
    check_deletable(path)
    shutil.rmtree(path)


def check_deletable(path: Path) -> None:
    """Check that a folder is an OME-Zarr image.

    Raises
    ------
    FileExistsError
        It is none, or somebody put something beside its levels.
    """
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
