"""Annotations in, training patches out: every patch is a pure function of the seed and its number."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_dtn.metrics import boundary_target
from napari_dtn.settings import AugmentSettings
from napari_dtn.volume.intensity import Intensity, normalise

LabelsKind = Literal["ids", "mask", "classes"]
NOT_ANNOTATED, BOUNDARY, INSIDE = 0, 1, 2
_TRIES = 30

Float = NDArray[np.float32]
Annotation = NDArray[np.uint8]


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

    def window(self, z: int, y: slice, x: slice) -> tuple[Float, Annotation]:
        """Return the normalised image and the annotation of a window inside slice z."""
        image = np.asarray(self.image[z, y, x])
        return normalise(image, self.intensity), self._annotation(z, y, x)

    def _annotation(self, z: int, y: slice, x: slice) -> Annotation:
        if self.kind == "ids":
            # One pixel more on each side, since the rule looks at the neighbours.
            y0, x0 = max(y.start - 1, 0), max(x.start - 1, 0)
            ids = np.asarray(self.labels[z, y0 : y.stop + 1, x0 : x.stop + 1])
            edge = boundary_target(ids)[y.start - y0 :, x.start - x0 :]
            edge = edge[: y.stop - y.start, : x.stop - x.start]
            return np.where(edge, BOUNDARY, INSIDE).astype(np.uint8)
        labels = np.asarray(self.labels[z, y, x])
        if self.kind == "mask":
            return np.where(labels > 0, BOUNDARY, INSIDE).astype(np.uint8)
        return labels.astype(np.uint8)


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
    """

    volume: TrainingVolume
    slices: Sequence[int]
    size: int
    augment: AugmentSettings
    seed: int

    @cached_property
    def annotated(self) -> Sequence[int]:
        """The slices that carry any annotation."""
        if self.volume.kind != "classes":
            return self.slices
        found = [z for z in self.slices if np.asarray(self.volume.labels[z]).any()]
        if not found:
            raise ValueError(
                "Nothing is annotated in the training slices: paint some boundary and some inside first."
            )
        return found

    def patch(self, number: int) -> tuple[Float, Annotation]:
        """Return patch ``number``: image ``(size, size)`` and annotation ``(size, size)``."""
        random = np.random.default_rng((self.seed, number))
        image, annotation = self._draw(random)
        return augment_patch(image, annotation, self.augment, random)

    def batch(self, numbers: Sequence[int]) -> tuple[Float, Annotation]:
        """Return patches as ``(N, 1, size, size)`` and ``(N, size, size)``."""
        pairs = [self.patch(number) for number in numbers]
        return np.stack([image[None] for image, _ in pairs]), np.stack(
            [annotation for _, annotation in pairs]
        )

    def _draw(self, random: np.random.Generator) -> tuple[Float, Annotation]:
        """A random window that holds annotated pixels."""
        height, width = self.volume.image.shape[1:]
        for _ in range(_TRIES):
            z = int(random.choice(self.annotated))
            y, x = _window(random, height, self.size), _window(random, width, self.size)
            image, annotation = self.volume.window(z, y, x)
            if annotation.any():
                return self._filled(image, 0.0), self._filled(annotation, NOT_ANNOTATED)
        return self._around_annotation(z, random)

    def _around_annotation(self, z: int, random: np.random.Generator) -> tuple[Float, Annotation]:
        """A window around one annotated pixel, for sparse strokes that random windows miss."""
        height, width = self.volume.image.shape[1:]
        pixels = np.argwhere(np.asarray(self.volume.labels[z]))
        y, x = pixels[random.integers(len(pixels))]
        image, annotation = self.volume.window(
            z, _window_holding(int(y), height, self.size), _window_holding(int(x), width, self.size)
        )
        return self._filled(image, 0.0), self._filled(annotation, NOT_ANNOTATED)

    def _filled(self, window: NDArray[Any], value: float) -> NDArray[Any]:
        """Pad the window of an image smaller than a patch; the padding is never annotated."""
        missing = [(0, self.size - side) for side in window.shape]
        return (
            np.pad(window, missing, constant_values=value) if any(after for _, after in missing) else window
        )


def _window(random: np.random.Generator, length: int, size: int) -> slice:
    start = int(random.integers(max(length - size, 0) + 1))
    return slice(start, min(start + size, length))


def _window_holding(pixel: int, length: int, size: int) -> slice:
    start = min(max(pixel - size // 2, 0), max(length - size, 0))
    return slice(start, min(start + size, length))


def augment_patch(
    image: Float, annotation: Annotation, settings: AugmentSettings, random: np.random.Generator
) -> tuple[Float, Annotation]:
    """Change a patch at random.

    Parameters
    ----------
    image
        ``(S, S)``, normalised intensities.
    annotation
        ``(S, S)``, moved together with the image.
    settings
        What to change, and how much.
    random
        Source of all randomness.
    """
    if settings.elastic > 0:
        image, annotation = _deform(image, annotation, settings.elastic, random)
    if settings.flips:
        image, annotation = _turn(image, annotation, random)
    for change in _INTENSITY_CHANGES:
        image = change(image, settings, random)
    return np.ascontiguousarray(image, dtype=np.float32), np.ascontiguousarray(annotation)


def _turn(image: Float, annotation: Annotation, random: np.random.Generator) -> tuple[Float, Annotation]:
    """One of the eight symmetries of a square."""
    quarter, mirror = int(random.integers(4)), bool(random.integers(2))
    turned = (np.rot90(image, quarter), np.rot90(annotation, quarter))
    return (turned[0].T, turned[1].T) if mirror else turned


def _deform(
    image: Float, annotation: Annotation, amplitude: float, random: np.random.Generator
) -> tuple[Float, Annotation]:
    """A smooth random displacement, cubic between 4 x 4 random arrows."""
    coarse = random.uniform(-amplitude, amplitude, (2, 4, 4))
    shift = np.stack([ndimage.zoom(arrows, np.divide(image.shape, 4), order=3) for arrows in coarse])
    points = np.indices(image.shape) + shift
    return (
        ndimage.map_coordinates(image, points, order=1, mode="reflect"),
        ndimage.map_coordinates(annotation, points, order=0, mode="constant", cval=NOT_ANNOTATED),
    )


def _rescale(image: Float, settings: AugmentSettings, random: np.random.Generator) -> Float:
    gain = 1 + random.uniform(-settings.contrast, settings.contrast)
    changed: Float = image * np.float32(gain) + np.float32(
        random.uniform(-settings.brightness, settings.brightness)
    )
    return changed


def _add_noise(image: Float, settings: AugmentSettings, random: np.random.Generator) -> Float:
    if settings.noise == 0 or random.random() < 0.5:
        return image
    amount = np.float32(random.uniform(0, settings.noise))
    changed: Float = image + amount * random.standard_normal(image.shape, dtype=np.float32)
    return changed


def _add_defect(image: Float, settings: AugmentSettings, random: np.random.Generator) -> Float:
    """Fade, blur or lose a band of the section, as charging, folds and staining do."""
    if random.random() >= settings.defects:
        return image
    start, stop = sorted(random.integers(0, image.shape[0] + 1, 2))
    band = image[start:stop]
    changes: list[Callable[[], Float]] = [
        lambda: band * np.float32(0.4),
        lambda: ndimage.gaussian_filter(band, 2.0),
        lambda: np.full_like(band, random.uniform(-2.0, 2.0)),
    ]
    changed = image.copy()
    # A lost region larger than a thin fold would teach guessing, so losses stay narrow.
    which = int(random.integers(3)) if stop - start <= image.shape[0] // 12 else int(random.integers(2))
    changed[start:stop] = changes[which]()
    return changed


_INTENSITY_CHANGES = (_rescale, _add_noise, _add_defect)
