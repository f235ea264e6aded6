"""TIFF, BigTIFF, OME-TIFF and ImageJ files, read page by page when they are needed."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

import tifffile
import zarr
from tifffile import TIFF, TiffFile

from napari_dtn.volume.geometry import stated_voxel_size
from napari_dtn.volume.lazy import FileArray, Found, reading, to_dask
from napari_dtn.volume.places import readable

if TYPE_CHECKING:
    from tifffile import TiffFrame, TiffPage, TiffPageSeries

    from napari_dtn.settings import VoxelSize
    from napari_dtn.volume.places import Place

SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8"})
_IMAGEJ_CHANNELS = 7


def open_tiff(path: Place) -> Found:
    """Open the image in a TIFF file, with its pyramid where it has one.

    Raises
    ------
    ValueError
        The file is no TIFF, incomplete, compressed in a way that needs another package, or holds images
        of different shapes.
    """
    with reading(path):
        tif = TiffFile(readable(path))
    try:
        return _find(tif, path)
    except BaseException:
        tif.close()
        raise


def _find(tif: TiffFile, path: Place) -> Found:
    with reading(path):
        series = tif.series[0]
    _check_complete(tif, series, path)
    _check_readable(tif, series, path)
    with reading(path):
        arrays = [FileArray(_level(series, i), _reopen_level, path, i) for i in range(len(series.levels))]
        axes = _axes(tif, series)
        return Found(tuple(to_dask(array, axes) for array in arrays), axes, _voxel_size(tif))


def _axes(tif: TiffFile, series: TiffPageSeries) -> str:
    """Return the file's axes; more channels than ImageJ can have are slices that were written as channels."""
    slices = tif.is_imagej and series.axes == "CYX" and series.shape[0] > _IMAGEJ_CHANNELS
    return "ZYX" if slices else series.axes


def _level(series: TiffPageSeries, level: int) -> Any:
    # Strips can be one row each, so a page is the better chunk unless it is tiled or holds several slices.
    by_tile = series.keyframe.is_tiled or series.keyframe.imagedepth > 1
    return zarr.open(series.aszarr(level=level, chunkmode=0 if by_tile else 2), mode="r")


def _reopen_level(path: Place, level: int) -> Any:
    return _level(TiffFile(readable(path)).series[0], level)


def _check_complete(tif: TiffFile, series: TiffPageSeries, path: Place) -> None:
    """Raise where the file ends before its last page or its last pixel: tifffile would only log it."""
    with reading(path):
        last = series[-1]
        complete = last is not None and _next_page(tif) < tif.filehandle.size
        if last is not None and complete:
            complete = _end(series, last) <= last.parent.filehandle.size
        # An OME-TIFF can name other files; pages of one that is not there would be read as 0.
        absent = tif.is_ome and series.dataoffset is None and any(page is None for page in series)
    if absent:
        raise ValueError(f"{path} names other OME-TIFF files that are not beside it; put them there.")
    if not complete:
        raise ValueError(f"{path} is incomplete: it ends before its last slice; copy or download it again.")


def _end(series: TiffPageSeries, last: TiffPage | TiffFrame) -> int:
    """Return where in its file the last pixel ends."""
    if series.dataoffset is not None:
        return series.dataoffset + series.nbytes
    parts = zip(last.dataoffsets, last.databytecounts, strict=True)
    return max((start + count for start, count in parts), default=0)


def _next_page(tif: TiffFile) -> int:
    """Read where the file says that a page follows its last one that is there; 0 is the end."""
    layout, handle = tif.tiff, tif.filehandle
    handle.seek(tif.pages[-1].offset)
    (tags,) = struct.unpack(layout.tagnoformat, handle.read(layout.tagnosize))
    handle.seek(tags * layout.tagsize, 1)
    (offset,) = struct.unpack(layout.offsetformat, handle.read(layout.offsetsize))
    return int(offset)


def _check_readable(tif: TiffFile, series: TiffPageSeries, path: Place) -> None:
    compression = series.keyframe.compression
    if compression not in TIFF.DECOMPRESSORS:
        name = getattr(compression, "name", compression)
        raise ValueError(f"{path} is compressed with {name}; install what reads it: pip install imagecodecs.")
    shapes = [found.shape for found in tif.series if not found.keyframe.is_reduced]  # no thumbnails
    if len(shapes) > 1 and not tif.is_ome:
        raise ValueError(
            f"{path} holds images of shapes {_few(shapes)}; save the stack in a file of its own."
        )


def _few(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes[:4])) + (", ..." if len(shapes) > 4 else "")


def _voxel_size(tif: TiffFile) -> VoxelSize | None:
    if tif.ome_metadata:
        return _ome_voxel_size(tif.ome_metadata)
    return _imagej_voxel_size(tif) if tif.imagej_metadata else None


def _ome_voxel_size(xml: str) -> VoxelSize | None:
    images = tifffile.xml2dict(xml)["OME"].get("Image")  # the metadata may be in another file of the set
    if not images:
        return None
    pixels = (images if isinstance(images, dict) else images[0])["Pixels"]
    sizes = [pixels.get(f"PhysicalSize{axis}") for axis in "ZYX"]
    return stated_voxel_size(sizes, [pixels.get(f"PhysicalSize{axis}Unit", "µm") for axis in "ZYX"])


def _imagej_voxel_size(tif: TiffFile) -> VoxelSize | None:
    """Read the spacing of the slices, and pixels per unit as fractions."""
    metadata, tags = tif.imagej_metadata or {}, tif.pages.first.tags
    fractions = [tags.valueof(f"{axis}Resolution", (0, 1)) for axis in "YX"]
    sizes = [below / above if above else None for above, below in fractions]
    return stated_voxel_size([metadata.get("spacing"), *sizes], [metadata.get("unit")] * 3)
