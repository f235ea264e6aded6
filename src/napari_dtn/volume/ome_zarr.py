"""Zarr arrays and OME-Zarr images, versions 2 and 3 of zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import zarr

from napari_dtn.volume.geometry import (
    in_order,
    name_axes,
    nanometres,
    stated_axes,
    stated_by_attributes,
    stated_voxel_size,
)
from napari_dtn.volume.lazy import FileArray, Found, reading, to_dask
from napari_dtn.volume.places import is_remote, place_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import dask.array as da

    from napari_dtn.settings import VoxelSize
    from napari_dtn.volume.places import Place

MARKERS = ("zarr.json", ".zarray", ".zgroup")


def is_zarr(path: Place) -> bool:
    """Tell whether a folder is a zarr array or group."""
    return any((path / marker).is_file() for marker in MARKERS)


def multiscales(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the first multiscale image that OME-Zarr 0.5 or 0.4 attributes describe, or None."""
    ome = attributes.get("ome", attributes)
    images = ome.get("multiscales") if isinstance(ome, dict) else None
    return images[0] if images else None


def is_label_image(path: str | Path) -> bool:
    """Tell whether a path is an OME-Zarr label image, or a level of one."""
    place = place_of(path)
    groups = [folder for folder in (place, place.parent) if is_zarr(folder)]
    return any("image-label" in {**node.attrs, **_ome(node)} for node in map(open_node, groups))


def open_zarr(path: Place, inner: str) -> Found:
    """Open an OME-Zarr image with all its levels, one level of it, an array, or a group's only array.

    Raises
    ------
    ValueError
        Nothing is there, its metadata are damaged, or it is not clear which array is meant; the error
        lists them.
    """
    place = path / inner.strip("/") if inner.strip("/") else path
    if not is_zarr(place):
        raise ValueError(f"{path} has no array {inner.strip('/')!r}; it holds {_listing(path)}.")
    node = open_node(place)
    if isinstance(node, zarr.Array):
        return _open_level(place) or _open_array(place, node)
    image = multiscales(dict(node.attrs))
    if image is not None:
        return _open_image(place, image)
    if "bioformats2raw.layout" in {**node.attrs, **_ome(node)} and is_zarr(place / "0"):
        return open_zarr(place / "0", "")
    arrays = _arrays(place)
    if len(arrays) != 1:
        raise ValueError(f"{place} needs the path of an array in it; it holds {_listing(place)}.")
    return open_zarr(place / arrays[0][0], "")


def stacks(path: Place) -> list[str]:
    """Return the names of the images, and of the other arrays with three axes, in a plain group.

    None in what is itself an image or an array.
    """
    node = open_node(path)
    if isinstance(node, zarr.Array) or "bioformats2raw.layout" in {**node.attrs, **_ome(node)}:
        return []
    if multiscales(dict(node.attrs)) is not None:
        return []
    owners = [(_owner(path, name), name, array.ndim) for name, array in _arrays(path)]
    volumes = (owner for owner, name, ndim in owners if ndim == 3 or (owner != name and ndim > 3))
    return list(dict.fromkeys(volumes))


def _owner(path: Place, name: str) -> str:
    """Return the name of the image whose level an array is, or its own."""
    parent = name.rpartition("/")[0]
    return parent if multiscales(dict(open_node(path / parent).attrs)) is not None else name


def open_node(path: Place) -> Any:
    """Open a zarr array or group to read.

    Raises
    ------
    ValueError
        Nothing is there, or its metadata are damaged.
    """
    with reading(path):
        return zarr.open(_store(path), mode="r")


def _store(path: Place) -> Any:
    if not is_remote(path):
        return str(path)
    from zarr.storage import FsspecStore

    options = dict(path.storage_options)  # type: ignore[union-attr]
    return FsspecStore.from_url(str(path), storage_options=options, read_only=True)


def _ome(node: Any) -> Mapping[str, Any]:
    ome = node.attrs.get("ome")
    return ome if isinstance(ome, dict) else {}


def _open_array(path: Place, array: Any) -> Found:
    stated = stated_axes(_dimensions(array), array.ndim)
    voxel_size, translation = stated_by_attributes(in_order(dict(array.attrs), stated))
    try:
        axes = stated or name_axes(array.shape, array.dtype)
    except ValueError as error:
        raise ValueError(f"{path} {error}.") from error
    return Found((to_dask(FileArray(array, open_node, path), axes),), axes, voxel_size, translation)


def _dimensions(array: Any) -> Any:
    """Return the names of an array's axes as zarr 3 or xarray states them."""
    return getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")


def _open_level(path: Place) -> Found | None:
    """Open an array that is a level of the OME-Zarr image in its parent: this level and the coarser ones."""
    if not is_zarr(path.parent):
        return None
    image = multiscales(dict(open_node(path.parent).attrs))
    names = [dataset.get("path") for dataset in image["datasets"]] if image else []
    if image is None or path.name not in names:
        return None
    return _open_image(path.parent, {**image, "datasets": image["datasets"][names.index(path.name) :]})


def _open_image(path: Place, image: Mapping[str, Any]) -> Found:
    with reading(path):
        axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in image.get("axes", "tczyx")]
        letters = "".join(str(axis["name"])[0].lower() for axis in axes)
        places = [path / dataset["path"] for dataset in image["datasets"]]
        voxel_size, translation = _placed(image, letters, axes)
    return Found(tuple(_image_level(place, letters) for place in places), letters, voxel_size, translation)


def _image_level(path: Place, letters: str) -> da.Array:
    array = open_node(path)
    with reading(path):
        return to_dask(FileArray(array, open_node, path), letters)


def _placed(
    image: Mapping[str, Any], letters: str, axes: Sequence[Mapping[str, Any]]
) -> tuple[VoxelSize | None, VoxelSize]:
    """Read voxel size and translation of the first level: its own transformations, then the image's."""
    scale, translation = [1.0] * len(letters), [0.0] * len(letters)
    for step in [
        *image["datasets"][0].get("coordinateTransformations", ()),
        *image.get("coordinateTransformations", ()),
    ]:
        if step["type"] == "scale":
            scale = [a * float(b) for a, b in zip(scale, step["scale"], strict=True)]
            translation = [a * float(b) for a, b in zip(translation, step["scale"], strict=True)]
        elif step["type"] == "translation":
            translation = [a + float(b) for a, b in zip(translation, step["translation"], strict=True)]
    order = [letters.find(letter) for letter in "zyx"]
    units = [axes[i].get("unit") if i >= 0 else None for i in order]
    voxel_size = stated_voxel_size([scale[i] if i >= 0 else None for i in order], units)
    # Without units the steps say nothing: a translation is then counted in them.
    unknown = [1 / (scale[i] or 1.0) if i >= 0 else 1.0 for i in order]
    factors = [nanometres(unit) or 1.0 for unit in units] if voxel_size else unknown
    z, y, x = (translation[i] * factor if i >= 0 else 0.0 for i, factor in zip(order, factors, strict=True))
    return voxel_size, (z, y, x)


def _arrays(path: Place) -> list[tuple[str, Any]]:
    """List the arrays under a group by their path in it."""
    node = open_node(path)
    with reading(path):
        members = node.members(max_depth=None) if isinstance(node, zarr.Group) else ()
        return sorted((name, item) for name, item in members if isinstance(item, zarr.Array))


def _listing(path: Place) -> str:
    return ", ".join(f"{name} {item.dtype} {item.shape}" for name, item in _arrays(path)) or "no array"
