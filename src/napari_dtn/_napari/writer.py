"""File > Save: an image or labels as OME-Zarr, at the layer's scale."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dtn.volume.description import Version

_PIXELS = "pixel"


def write_image(path: str, data: Any, meta: dict[str, Any], version: Version = "0.5") -> list[str]:
    """Write an image layer.

    Raises
    ------
    FileExistsError, ValueError
        Something is at the path, or the layer is no slice or stack.
    """
    from napari_dtn.volume import writing

    writing.write_image(path, _finest(data), **_place(meta), attributes={}, version=version)
    return [path]


def write_labels(path: str, data: Any, meta: dict[str, Any], version: Version = "0.5") -> list[str]:
    """Write a labels layer; errors as :func:`write_image`."""
    from napari_dtn.volume import writing

    writing.write_labels(path, _finest(data), **_place(meta), attributes={}, version=version)
    return [path]


def write_old_image(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write an image layer for programs that do not read OME-Zarr 0.5 yet."""
    return write_image(path, data, meta, "0.4")


def write_old_labels(path: str, data: Any, meta: dict[str, Any]) -> list[str]:
    """Write a labels layer for programs that do not read OME-Zarr 0.5 yet."""
    return write_labels(path, data, meta, "0.4")


def _finest(data: Any) -> Any:
    """Return the finest level; several of them are a sequence, which no array is."""
    return data[0] if isinstance(data, Sequence) else data


def _place(meta: dict[str, Any]) -> dict[str, Any]:
    """Voxel size and translation in nm, ``(Z, Y, X)``; in voxels where the layer's unit is no length."""
    scale, shift = _three(meta["scale"], 1.0), _three(meta["translate"], 0.0)
    factors = [_nanometres(unit) for unit in _three(meta.get("units") or (), _PIXELS)]
    if None in factors:
        return {"voxel_size": None, "translation": _product(shift, [1 / side for side in scale])}
    return {"voxel_size": _product(scale, factors), "translation": _product(shift, factors)}


def _three(values: Any, missing: Any) -> list[Any]:
    found = list(values)[-3:]
    return [found[-1] if found and isinstance(missing, str) else missing] * (3 - len(found)) + found


def _product(first: Any, second: Any) -> tuple[float, ...]:
    return tuple(float(a) * float(b) for a, b in zip(first, second, strict=True))


def _nanometres(unit: Any) -> float | None:
    from napari_dtn.volume.geometry import nanometres

    return nanometres(str(unit))
