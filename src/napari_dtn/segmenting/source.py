"""What is segmented: boundaries, the image that they came from, and the slices that are no good."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from napari_dtn.volume.content import boundary_channel, check_probabilities, open_boundaries
from napari_dtn.volume.opening import Volume, check_same_voxels
from napari_dtn.volume.writing import bad_slices_of, check_finished

if TYPE_CHECKING:
    from pathlib import Path

    import dask.array as da

    from napari_dtn.settings import Box, Roi

_GLANCE = 2048  # pixels of a side: what is looked at before any work is done


@dataclass(frozen=True, eq=False)
class Source:
    """What is segmented, and where it lies.

    Parameters
    ----------
    boundary
        Probabilities of the box, (Z, Y, X).
    image, grey
        The whole image and its part in the box; None without one.
    volume
        The boundaries as they were opened.
    channel
        Which map of several they are; None where there is one.
    corner
        First voxel of the box, counted in the volume that the boundaries were predicted of.
    start
        The same, counted in the boundaries.
    bad
        Slices of the box that are left out.
    """

    boundary: da.Array
    image: Volume | None
    grey: da.Array | None
    volume: Volume
    channel: int | None
    corner: tuple[int, int, int]
    start: tuple[int, int, int]
    bad: frozenset[int]


def open_source(boundaries: str | Path, roi: Roi, image: Volume | None, channel: int | None = None) -> Source:
    """Open boundaries and image, and take of both what the box asks for.

    Slices that are marked as bad are left out. What is plainly no boundary is refused with a ValueError.
    """
    check_finished(boundaries)
    channel = boundary_channel(boundaries, channel)
    volume = open_boundaries(boundaries, channel)
    if volume.voxel_size is None and image is not None and image.voxel_size is not None:
        volume = volume.with_voxel_size(image.voxel_size)
    origin = [round(shift) for shift in volume.origin]
    whole = tuple(side + start for side, start in zip(volume.shape, origin, strict=True))
    box = _box(roi, origin, whole)
    inside = _shifted(box, origin)
    bad = {z - inside[0].start for z in bad_slices_of(boundaries)}
    if image is not None:
        check_same_voxels(volume, image)
    grey = None if image is None else _laid_over(image, box)
    corner = (box[0].start, box[1].start, box[2].start)
    start = (inside[0].start, inside[1].start, inside[2].start)
    boundary = volume.data[inside]
    check_probabilities(boundary[boundary.shape[0] // 2, :_GLANCE, :_GLANCE])
    return Source(boundary, image, grey, volume, channel, corner, start, frozenset(bad))


def _box(roi: Roi, origin: list[int], end: tuple[int, ...]) -> Box:
    """Return the box to segment, in voxels of the volume."""
    ends = [
        (start if low is None else low, stop if high is None else high)
        for (low, high), start, stop in zip((roi.z, roi.y, roi.x), origin, end, strict=True)
    ]
    for axis, (low, high), start, stop in zip("zyx", ends, origin, end, strict=True):
        if not start <= low < high <= stop:
            raise ValueError(f"{axis} range {low}:{high} does not fit: the boundaries cover {start}:{stop}.")
    z, y, x = (slice(low, high) for low, high in ends)
    return z, y, x


def _shifted(box: Box, origin: list[int]) -> Box:
    z, y, x = (slice(a.start - o, a.stop - o) for a, o in zip(box, origin, strict=True))
    return z, y, x


def _laid_over(image: Volume, box: Box) -> da.Array:
    inside = _shifted(box, [round(shift) for shift in image.origin])
    for axis, side, size in zip("zyx", inside, image.shape, strict=True):
        if side.start < 0 or side.stop > size:
            raise ValueError(
                f"{image.name} covers {axis} 0:{size}; the boundaries need {side.start}:{side.stop}."
            )
    part: da.Array = image.data[inside]
    return part
