"""File > Open: every format that the package reads, as lazy layers at their true scale."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from napari_dtn._napari.layers import LayerData
    from napari_dtn.volume.opening import Volume

Paths = str | Sequence[str]
_SAMPLES = 16


def get_reader(path: Paths) -> Callable[[Paths], list[LayerData]] | None:
    """Return the reader of a path; None for what is none of our formats.

    Parameters
    ----------
    path
        A file or a folder; several where the user opens them as one stack.
    """
    from napari_dtn.volume.formats import sniff

    paths = [path] if isinstance(path, str) else list(path)
    return read if paths and all(sniff(one) for one in paths) else None


def read(path: Paths) -> list[LayerData]:
    """Open a path as layers, one for each stack in it and each channel; several paths are one stack's slices.

    Raises
    ------
    FileNotFoundError, ValueError
        It cannot be opened; the error names the path and the fix.
    """
    from napari_dtn.volume.opening import open_all

    if not isinstance(path, str):
        return [_layer([_stacked(path)])] if len(path) > 1 else read(path[0])
    provenance = _provenance(path)
    if "model" in provenance:
        return _prediction(path, provenance)
    return [_layer(times) for times in open_all(path)]


def _prediction(path: str, provenance: dict[str, Any]) -> list[LayerData]:
    """A prediction of ours: one overlay, or one for each class."""
    from napari_dtn._napari.layers import boundary_data
    from napari_dtn.volume.opening import open_volume

    names = provenance.get("class_names") or ["boundary"]
    if len(names) == 1:
        return [boundary_data(open_volume(path), names)]
    return [boundary_data(open_volume(path, channel=n), names, n) for n in range(len(names))]


def _layer(times: Sequence[Volume]) -> LayerData:
    """Show a volume; several are the time points of one layer, before Z."""
    from napari_dtn._napari.layers import image_data, labels_data, over_time
    from napari_dtn.volume.opening import holds_ids

    first = times[0]
    layer = labels_data(first) if holds_ids(first) else image_data(first, _contrast_limits(first))
    return layer if len(times) == 1 else over_time(layer, times)


def _contrast_limits(volume: Volume) -> tuple[float, float] | None:
    from napari_dtn.volume.intensity import estimate_intensity

    try:
        found = estimate_intensity(volume, samples=_SAMPLES)
    except ValueError:  # empty, or not finite: it is shown all the same
        return None
    return (found.low, found.high) if found.low < found.high else None


def _provenance(path: str) -> dict[str, Any]:
    from napari_dtn.volume.writing import read_attributes

    return read_attributes(path)


def _stacked(paths: Sequence[str]) -> Volume:
    """Put slices, or stacks of one section size, on top of each other in the order given."""
    from dataclasses import replace

    import dask.array as da

    from napari_dtn.volume.opening import open_volume

    volumes = [open_volume(path) for path in paths]
    sizes = {volume.shape[1:] for volume in volumes}
    if len(sizes) > 1:
        listed = ", ".join(f"{y} x {x}" for y, x in sorted(sizes))
        raise ValueError(f"These files do not make one stack: their slices have {listed} pixels.")
    data: da.Array = da.concatenate([volume.data for volume in volumes])  # type: ignore[no-untyped-call]
    return replace(volumes[0], levels=(data,), path=None)  # no file holds it alone
