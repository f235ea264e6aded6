"""Boundary probabilities cut into fragments, slice by slice: every pixel belongs to one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from bioimage_cpp.distance import distance_transform
from bioimage_cpp.filters import gaussian_smoothing
from bioimage_cpp.segmentation import label, relabel_sequential, watershed
from scipy.ndimage import binary_dilation as dilated
from scipy.ndimage import maximum_filter

from napari_dtn.settings import FragmentSettings

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DEFAULT = FragmentSettings()


def slice_fragments(
    boundary: NDArray[np.float32], settings: FragmentSettings = _DEFAULT
) -> NDArray[np.uint32]:
    """Cut a slice into fragments that lie, as far as the boundary tells, within one object each.

    Parameters
    ----------
    boundary
        Probability of boundary in [0, 1], shape (Y, X).
    settings
        Where fragments start, and along what they meet.

    Returns
    -------
    NDArray
        Ids 1 to n, shape (Y, X): a pixel that no fragment claims does not exist.
    """
    return seeded_fragments(boundary, settings)[0]


def seeded_fragments(
    boundary: NDArray[np.float32], settings: FragmentSettings = _DEFAULT
) -> tuple[NDArray[np.uint32], NDArray[np.intp]]:
    """Cut a slice into fragments, and say where each began.

    Returns
    -------
    fragments
        As :func:`slice_fragments`.
    seeds
        The first pixel of the seed of fragments 1 to n, as its place in reading order. It depends on its
        surroundings alone: seen in two overlapping windows, a fragment begins at one and the same pixel.
    """
    height, seeds = (
        _smooth(np.asarray(boundary, np.float32), settings.height_smoothing),
        _seeds(boundary, settings),
    )
    fragments = watershed(height, seeds)
    small = np.bincount(fragments.ravel()) < settings.smallest
    if small[1:].any() and not small[1:].all():
        seeds = relabel_sequential(np.where(small[seeds], np.uint32(0), seeds))[0]
        fragments = _without(small, fragments, height)
    places = np.flatnonzero(seeds)
    _, first = np.unique(seeds.ravel()[places], return_index=True)
    return np.asarray(fragments), places[first]


def _without(
    small: NDArray[np.bool_], fragments: NDArray[np.uint32], height: NDArray[np.float32]
) -> NDArray[np.uint32]:
    """Let the others flood the fragments that are too small, (n + 1,), and number what is left from 1.

    Others keep their pixels: whoever has one by the lowest way has it whichever seeds are missing. So only
    the small ones are flooded anew, from the pixels around them.
    """
    gone = small[fragments]
    left = np.where(gone, np.uint32(0), fragments)
    flooded = watershed(height, left, mask=dilated(gone))
    return np.asarray(relabel_sequential(np.where(gone, flooded, fragments))[0])


def stack_fragments(
    boundary: NDArray[np.float32], settings: FragmentSettings = _DEFAULT
) -> NDArray[np.uint32]:
    """Cut every slice of a stack into fragments.

    Parameters
    ----------
    boundary
        Probability of boundary in [0, 1], shape (Z, Y, X).
    settings
        As in :func:`slice_fragments`.

    Returns
    -------
    NDArray
        Ids 1 to n over the stack, in the order of z; each fragment lies within one slice.
    """
    fragments = np.empty(boundary.shape, np.uint32)
    last = 0
    for z, plane in enumerate(boundary):
        fragments[z] = slice_fragments(plane, settings) + np.uint32(last)
        last = int(fragments[z].max())
    return fragments


def _seeds(boundary: NDArray[np.float32], settings: FragmentSettings) -> NDArray[np.uint32]:
    """Number the maxima of the distance to the next boundary; one where there is nothing else."""
    inside = boundary < settings.threshold
    distance = _smooth(_distances(inside), settings.seed_smoothing)
    peaks = (distance == maximum_filter(distance, 3)) & inside
    if not peaks.any():
        peaks[:1, :1] = True
    return np.asarray(label(peaks, connectivity=2)).astype(np.uint32)


def _distances(inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Measure the distance to the next pixel that is not inside; where there is none, it is 1 everywhere."""
    return inside.astype(np.float32) if inside.all() else np.asarray(distance_transform(inside))


def _smooth(image: NDArray[np.float32], sigma: float) -> NDArray[np.float32]:
    return np.asarray(gaussian_smoothing(image, sigma)) if sigma else image
