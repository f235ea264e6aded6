"""N5 datasets, and groups of them that are the levels of one image, through tensorstore."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from natsort import natsorted

from napari_dtn.volume.geometry import (
    name_axes,
    nanometres,
    stated_by_attributes,
    stated_voxel_size,
    turned,
)
from napari_dtn.volume.lazy import Found, reading, to_dask
from napari_dtn.volume.tensors import open_tensor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from napari_dtn.settings import VoxelSize
    from napari_dtn.volume.places import Place

_SMALLEST = 0.1  # nm, of a voxel: nothing is seen at less
SUFFIX = ".n5"
_MARKER = "attributes.json"
Attributes = dict[str, Any]


def is_n5(place: Place) -> bool:
    """Tell whether a folder is an N5 dataset or group, or lies in one: a group needs no attributes."""
    if (place / _MARKER).is_file():
        return True
    return any(one.suffix == SUFFIX for one in (place, *place.parents)) and place.is_dir()


def open_n5(place: Place, inner: str) -> Found:
    """Open a dataset, a group of levels ``s0``, ``s1``, ..., or a group's only volume.

    Raises
    ------
    ValueError
        The package tensorstore is missing, a dataset is damaged, or it is not clear which one is meant;
        the error lists them.
    """
    target = place / inner.strip("/") if inner.strip("/") else place
    levels = [target] if _is_dataset(target) else _levels(target)
    if levels:
        return _open_levels(levels)
    names = [name for name, _ in _volumes(target)]
    if len(names) != 1:
        raise ValueError(f"{target} needs the path of a dataset in it; it holds {_listing(target)}.")
    return open_n5(target, names[0])


def stacks(place: Place) -> list[str]:
    """Return the names of the volumes with three axes in a group; none in what is itself a volume."""
    if _is_dataset(place) or _levels(place):
        return []
    return [name for name, shape in _volumes(place) if len(shape) == 3]


def _open_levels(places: list[Place]) -> Found:
    arrays = [open_tensor(place, "n5", "n5") for place in places]
    own, group = _attributes(places[0]), _attributes(places[0].parent)
    axes = _stated_axes(own) or _stated_axes(group)
    try:
        axes = axes or name_axes(arrays[0].shape, arrays[0].dtype)
    except ValueError as error:
        raise ValueError(f"{places[0]} {error}.") from error
    size, shift = _stated(own)
    if size is None:
        size, shift = _stated(group)
        size = size and _times(size, own.get("downsamplingFactors", 1))
    return Found(tuple(to_dask(array, axes) for array in arrays), axes, size, shift)


# ---- what the attributes say: numbers stand in the order of N5's axes, X first, unless axes are named


def _stated_axes(attributes: Attributes) -> str | None:
    """Return one letter for each axis, slowest first."""
    transform = attributes.get("transform")
    if isinstance(transform, dict) and "axes" in transform:
        return "".join(str(name)[0].lower() for name in transform["axes"])
    names = attributes.get("axes")
    return "".join(str(name)[0].lower() for name in reversed(names)) if isinstance(names, list) else None


def _stated(attributes: Attributes) -> tuple[VoxelSize | None, VoxelSize]:
    """Read voxel size and translation in nm, ZYX: of COSEM, BigDataViewer and n5-viewer, or Paintera."""
    transform, pixel = attributes.get("transform"), attributes.get("pixelResolution")
    if isinstance(transform, dict):
        return _of_transform(transform)
    if isinstance(pixel, dict):
        units = [pixel.get("unit", "nm")] * 3
        sides = list(pixel.get("dimensions", ()))[:3]
        return stated_voxel_size(sides[::-1], units) if len(sides) == 3 else None, (0.0, 0.0, 0.0)
    names = attributes.get("axes", ["x", "y", "z"])
    stated = attributes.get("resolution")
    if attributes.get("multiScale") and isinstance(stated, list) and max(stated, default=1) < _SMALLEST:
        return None, (0.0, 0.0, 0.0)  # of BigDataViewer, in the unit that its XML file states, such as µm
    return stated_by_attributes({key: turned(value, names) for key, value in attributes.items()})


def _of_transform(transform: Mapping[str, Any]) -> tuple[VoxelSize | None, VoxelSize]:
    order = [list(transform["axes"]).index(axis) for axis in "zyx"]
    units = [transform["units"][i] for i in order]
    size = stated_voxel_size([transform["scale"][i] for i in order], units)
    steps = transform.get("translate", [0.0] * len(transform["axes"]))
    z, y, x = (float(steps[i]) * (nanometres(unit) or 1.0) for i, unit in zip(order, units, strict=True))
    return size, (z, y, x)


def _times(size: VoxelSize, factors: Any) -> VoxelSize:
    each = factors if isinstance(factors, list) else [factors] * 3
    z, y, x = (side * float(factor) for side, factor in zip(size, each[:3][::-1], strict=True))
    return z, y, x


# ---- what lies in a group


def _attributes(place: Place) -> Attributes:
    file = place / _MARKER
    if not file.is_file():
        return {}
    with reading(place):
        found = json.loads(file.read_bytes())
    return found if isinstance(found, dict) else {}


def _is_dataset(place: Place) -> bool:
    return "dimensions" in _attributes(place)


def _levels(place: Place) -> list[Place]:
    """Return the datasets s0, s1, ... of a group, finest first."""
    levels: list[Place] = []
    while _is_dataset(level := place / f"s{len(levels)}"):
        levels.append(level)
    return levels


def _volumes(place: Place, name: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield name and shape, slowest axis first, of the datasets under a group; of levels the group."""
    levels = _levels(place)
    found = levels[0] if levels else place
    if _is_dataset(found):
        yield name, tuple(reversed(_attributes(found)["dimensions"]))
    elif place.is_dir():
        folders = (entry for entry in place.iterdir() if entry.is_dir())
        for folder in natsorted(folders, key=lambda entry: entry.name):
            yield from _volumes(folder, f"{name}/{folder.name}".lstrip("/"))


def _listing(place: Place) -> str:
    return ", ".join(f"{name} {shape}" for name, shape in _volumes(place)) or "no dataset"
