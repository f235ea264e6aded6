"""Annotations in, training patches out: every patch is a pure function of the seed and its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_dtn.augment import (
    NOT_ANNOTATED,
    Annotation,
    Float,
    Matrix,
    augment_patch,
    random_matrix,
    resample_ids,
    resample_image,
    source_side,
)
from napari_dtn.metrics import boundary_target
from napari_dtn.settings import AugmentSettings
from napari_dtn.volume.intensity import Intensity, normalise
from napari_dtn.volume.lazy import with_neighbours

LabelsKind = Literal["ids", "mask", "classes"]
BOUNDARY, INSIDE = 1, 2
_TRIES = 30
_OUTSIDE = -1  # an id that no volume has


@dataclass(frozen=True)
class TrainingVolume:
    """An image and what is known about its pixels.

    Parameters
    ----------
    image, labels
        Arrays of one shape ``(Z, Y, X)``; numpy, or anything lazy that slices to it.
    kind
        What the labels are: ``ids`` of neurites (boundary by the rule of ``metrics.BOUNDARY_RULE``),
        ``mask`` (non-zero = boundary) or ``classes`` (0 not annotated, 1 boundary, 2 inside; for several
        classes 1 + class index).
    intensity
        Intensity statistics of the whole volume.
    """

    image: Any
    labels: Any
    kind: LabelsKind
    intensity: Intensity

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or tuple(self.image.shape) != tuple(self.labels.shape):
            raise ValueError(
                f"image {tuple(self.image.shape)} and labels {tuple(self.labels.shape)} differ; "
                "both need the same (Z, Y, X) shape."
            )
        if self.kind == "ids" and not np.issubdtype(self.labels.dtype, np.integer):
            raise ValueError(f"labels are {self.labels.dtype}; ids need integers. Is this an image?")

    def annotated(self, slices: Sequence[int]) -> Sequence[int]:
        """Return those slices that anything is known of: of ids and masks all."""
        if self.kind != "classes":
            return slices
        return [z for z in slices if np.asarray(self.labels[z]).any()]

    def window(self, z: int, y: slice, x: slice, context: int = 0) -> tuple[Float, Annotation]:
        """Return a window inside slice z.

        Parameters
        ----------
        z, y, x
            The slice, and the window in it.
        context
            Neighbouring slices above, and as many below, to return too.

        Returns
        -------
        image, annotation
            Normalised ``(2 * context + 1, height, width)``, and ``(height, width)`` of the slice itself.
        """
        # One pixel more on each side, since the boundary rule looks at the neighbours.
        y0, x0 = max(y.start - 1, 0), max(x.start - 1, 0)
        known = self._annotate(np.asarray(self.labels[z, y0 : y.stop + 1, x0 : x.stop + 1]))
        known = known[y.start - y0 :, x.start - x0 :][: y.stop - y.start, : x.stop - x.start]
        return self._image(z, y, x, context), known

    def warped_window(
        self, centre: tuple[int, int, int], matrix: Matrix, size: int, context: int = 0
    ) -> tuple[Float, Annotation]:
        """Return a magnified, stretched window; what lies outside the slice is not annotated.

        Parameters
        ----------
        centre
            Its middle voxel ``(z, y, x)``.
        matrix
            From :func:`napari_dtn.augment.random_matrix`.
        size
            Side of the window returned.
        context
            As in :meth:`window`.
        """
        z, side = centre[0], source_side(size, matrix)
        starts = [middle - side // 2 for middle in centre[1:]]
        y, x = (
            _clipped(start, side, length) for start, length in zip(starts, self.image.shape[1:], strict=True)
        )
        rim = [(a.start - start, start + side - a.stop) for start, a in zip(starts, (y, x), strict=True)]
        image = np.pad(self._image(z, y, x, context), ((0, 0), *rim))
        labels = self._renumbered(np.asarray(self.labels[z, y, x]))
        labels = resample_ids(np.pad(labels, rim, constant_values=_OUTSIDE), matrix, size, _OUTSIDE)
        # After the resampling: a boundary is as wide at this magnification as at any other.
        unknown = ndimage.binary_dilation(labels == _OUTSIDE)  # the rule looks at neighbours, none there
        known = np.where(unknown, NOT_ANNOTATED, self._annotate(labels)).astype(np.uint8)
        return resample_image(image, matrix, size), known

    def _image(self, z: int, y: slice, x: slice, context: int) -> Float:
        image = normalise(with_neighbours(self.image, z, y, x, context), self.intensity)
        if self.image.dtype.kind == "f" and not np.isfinite(image).all():
            raise ValueError(f"Slice {z}, or one beside it, holds NaN or infinite values; replace them by 0.")
        return image

    def _renumbered(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Give the ids of a window small numbers, which resampling in floating point keeps apart."""
        if self.kind == "classes":
            return labels.astype(np.int64)
        if self.kind == "mask":
            return (labels > 0).astype(np.int64)
        numbers = np.unique(labels, return_inverse=True)[1].reshape(labels.shape)
        return np.where(labels == 0, 0, numbers + 1)

    def _annotate(self, labels: NDArray[Any]) -> Annotation:
        if self.kind == "classes":
            return labels.astype(np.uint8)
        edge = boundary_target(labels) if self.kind == "ids" else labels > 0
        return np.where(edge, BOUNDARY, INSIDE).astype(np.uint8)


@dataclass(frozen=True)
class PatchSampler:
    """Random augmented patches of a volume's training slices.

    Parameters
    ----------
    volume
        Image and annotation.
    slices
        Slices to draw from.
    size
        Side of a patch, in pixels.
    augment
        Random changes.
    seed
        Together with a patch's number it determines the patch.
    context
        Neighbouring slices above, and as many below, that a patch shows too.
    focus
        Gives a random annotated voxel ``(z, y, x)`` that the patch is to hold; without it windows lie
        anywhere.
    """

    volume: TrainingVolume
    slices: Sequence[int]
    size: int
    augment: AugmentSettings
    seed: int
    context: int = 0
    focus: Callable[[np.random.Generator], tuple[int, int, int]] | None = None

    @cached_property
    def annotated(self) -> Sequence[int]:
        """The slices that carry any annotation."""
        found = self.volume.annotated(self.slices)
        if not found:
            raise ValueError(
                "Nothing is annotated in the training slices: paint some boundary and some inside first."
            )
        return found

    def patch(self, number: int) -> tuple[Float, Annotation]:
        """Return patch ``number``: image ``(2 * context + 1, size, size)``, annotation ``(size, size)``."""
        random = np.random.default_rng((self.seed, number))
        image, annotation = self._draw(random)
        return augment_patch(image, annotation, self.augment, random)

    def batch(self, numbers: Sequence[int]) -> tuple[Float, Annotation]:
        """Return patches as ``(N, 2 * context + 1, size, size)`` and ``(N, size, size)``."""
        images, annotations = zip(*(self.patch(number) for number in numbers), strict=True)
        return np.stack(images), np.stack(annotations)

    def _draw(self, random: np.random.Generator) -> tuple[Float, Annotation]:
        """A random window that holds annotated pixels."""
        for _ in range(_TRIES):
            z, y, x = self._place(random)
            image, annotation = self._look(z, y, x, random)
            if annotation.any():
                return image, annotation
        return self._around_annotation(z, random)

    def _place(self, random: np.random.Generator) -> tuple[int, slice, slice]:
        """A random window in a slice."""
        height, width = self.volume.image.shape[1:]
        if self.focus is None:
            z = int(random.choice(self.annotated))
            return z, _window(random, height, self.size), _window(random, width, self.size)
        z, y, x = self.focus(random)
        y, x = (pixel + self.size // 2 - int(random.integers(self.size)) for pixel in (y, x))
        return z, window_holding(y, height, self.size), window_holding(x, width, self.size)

    def _around_annotation(self, z: int, random: np.random.Generator) -> tuple[Float, Annotation]:
        """A window around one annotated pixel, for sparse strokes that random windows miss."""
        height, width = self.volume.image.shape[1:]
        pixels = np.argwhere(np.asarray(self.volume.labels[z]))
        y, x = pixels[random.integers(len(pixels))]
        sides = window_holding(int(y), height, self.size), window_holding(int(x), width, self.size)
        return self._look(z, *sides, random)

    def _look(self, z: int, y: slice, x: slice, random: np.random.Generator) -> tuple[Float, Annotation]:
        """A window as it is, or magnified and stretched about its centre."""
        matrix = random_matrix(self.augment, random)
        if matrix is None:
            image, annotation = self.volume.window(z, y, x, self.context)
            return filled(image, self.size), filled(annotation, self.size)
        centre = (z, (y.start + y.stop) // 2, (x.start + x.stop) // 2)
        return self.volume.warped_window(centre, matrix, self.size, self.context)


def filled(window: NDArray[Any], size: int) -> NDArray[Any]:
    """Pad the window of an image smaller than a patch; the padding, 0, is never annotated."""
    missing = [(0, size - side) for side in window.shape[-2:]]
    return np.pad(window, [(0, 0)] * (window.ndim - 2) + missing)


def _window(random: np.random.Generator, length: int, size: int) -> slice:
    start = int(random.integers(max(length - size, 0) + 1))
    return slice(start, min(start + size, length))


def _clipped(start: int, side: int, length: int) -> slice:
    """The part of a window that lies on an axis; it may be empty, never reversed."""
    return slice(min(max(start, 0), length), min(max(start + side, 0), length))


def window_holding(pixel: int, length: int, size: int) -> slice:
    """Return the window of an axis with this pixel in its middle, or as near to it as the axis allows."""
    start = min(max(pixel - size // 2, 0), max(length - size, 0))
    return slice(start, min(start + size, length))
