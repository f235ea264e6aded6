"""Folders of image files, one a slice, and single image files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import imageio.v3 as iio
import numpy as np
import tifffile
from natsort import natsorted, ns

from napari_dtn.volume import tiff
from napari_dtn.volume.lazy import Found, reading, to_dask
from napari_dtn.volume.places import is_remote

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_dtn.volume.places import Place

PICTURES = frozenset({".png", ".jpg", ".jpeg"})
SUFFIXES = PICTURES | tiff.SUFFIXES


@dataclass(frozen=True)
class SliceFiles:
    """A stack whose slices are files; only the files of the slices asked for are read.

    Parameters
    ----------
    files
        In the order of z.
    plane
        Shape of one: (Y, X), or (Y, X, S) with colours.
    dtype
        Of all of them.
    """

    files: tuple[Place, ...]
    plane: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def shape(self) -> tuple[int, ...]:
        """(Z, Y, X), or (Z, Y, X, S)."""
        return (len(self.files), *self.plane)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    def __getitem__(self, key: tuple[Any, ...]) -> NDArray[Any]:
        z, rest = key[0], key[1:]
        if not isinstance(z, slice):
            one: NDArray[Any] = self._read(self.files[z])[rest]
            return one
        planes = [self._read(file)[rest] for file in self.files[z]]
        return np.stack(planes) if planes else np.empty((0, *self.plane), self.dtype)[(slice(None), *rest)]

    def _read(self, file: Place) -> NDArray[Any]:
        with reading(file), file.open("rb") as stream:
            plane = np.asarray(
                tifffile.imread(stream) if _is_tiff(file) else iio.imread(stream, plugin="pillow")
            )
        while plane.ndim > len(self.plane) and len(plane) == 1:  # a slice that was saved as a stack of one
            plane = plane[0]
        if plane.shape != self.plane or plane.dtype != self.dtype:
            raise ValueError(f"{file} has changed: it is {plane.dtype} {plane.shape}; open the volume again.")
        return plane


def open_slices(path: Place) -> Found:
    """Open a folder of slices, in natural order of their names (2 before 10), or one image as one slice.

    Raises
    ------
    ValueError
        The folder has no images, or an image is damaged, holds several slices, or differs from the
        others in shape or type; the error names the file.
    """
    files = (
        natsorted(slice_files(path), key=lambda file: file.name, alg=ns.IGNORECASE)
        if path.is_dir()
        else [path]
    )
    if not files:
        raise ValueError(
            f"{path} has no TIFF, PNG or JPEG slices and is no zarr; give the folder that has them."
        )
    # A request for each of a thousand remote files would take minutes; they are checked when they are read.
    headers = [_header(file) for file in (files[:1] if is_remote(path) else files)]
    usual = Counter(headers).most_common(1)[0][0]
    for file, header in zip(files, headers, strict=False):
        if header != usual:
            raise ValueError(
                f"{file} is {header[1]} {header[0]}, the other slices are {usual[1]} {usual[0]}; "
                "remove or convert it."
            )
    stack = SliceFiles(tuple(files), *usual)
    axes = "zyx" if stack.ndim == 3 else "zyxs"
    return Found((to_dask(stack, axes),), axes)


def slice_files(folder: Place) -> Iterator[Place]:
    """Yield the images in a folder, in no order, without hidden files."""
    for file in folder.iterdir():
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file():
            yield file


def _header(file: Place) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Read shape and type of an image, not its pixels."""
    if _is_tiff(file):
        return _tiff_header(file)
    with reading(file), file.open("rb") as stream:
        properties = iio.improps(stream, plugin="pillow")
    return tuple(properties.shape), np.dtype(properties.dtype)


def _tiff_header(file: Place) -> tuple[tuple[int, ...], np.dtype[Any]]:
    with reading(file), file.open("rb") as stream, tifffile.TiffFile(stream) as tif:
        series = tif.series[0]
        shape, axes, dtype, slices = series.shape, series.axes, series.dtype, len(tif.pages)
    while axes[0] != "Y" and shape[0] == 1:
        shape, axes = shape[1:], axes[1:]
    if axes not in ("YX", "YXS"):
        raise ValueError(
            f"{file} holds {slices} slices of shape {shape[-2:]}; open this file, not its folder."
        )
    return shape, np.dtype(dtype)


def _is_tiff(file: Place) -> bool:
    return file.suffix.lower() in tiff.SUFFIXES
