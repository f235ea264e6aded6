"""Random changes of a training patch: what moves its pixels, and what changes their values."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_dtn.settings import AugmentSettings

NOT_ANNOTATED = 0

Float = NDArray[np.float32]
Annotation = NDArray[np.uint8]
Matrix = NDArray[np.float64]


def random_matrix(settings: AugmentSettings, random: np.random.Generator) -> Matrix | None:
    r"""Draw how a patch is magnified and stretched; None where the settings ask for neither.

    Returns
    -------
    numpy.ndarray
        :math:`M = f R^T \mathrm{diag}(s, 1/s) R`, ``(2, 2)``: an offset ``(y, x)`` from the centre of the
        patch, times M, is the offset in the image. The factor f is drawn between 1 / zoom and zoom, the
        ratio :math:`s^2` between 1 and stretch, both evenly on a logarithmic scale, and the direction R
        evenly; a stretch in a random direction is what a shear is, up to a turn.
    """
    if settings.zoom == 1 and settings.stretch == 1:
        return None
    factor = np.exp(random.uniform(-1, 1) * np.log(settings.zoom))
    side = np.exp(random.uniform(0, 0.5) * np.log(settings.stretch))
    angle = random.uniform(0, np.pi)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.asarray(factor * turn.T @ np.diag([side, 1 / side]) @ turn)


def source_side(size: int, matrix: Matrix) -> int:
    """Return the side of the square window in the image that holds the whole warped patch, and a rim."""
    return int(np.ceil(size * np.abs(matrix).sum(axis=1).max())) + 2


def resample_image(window: Float, matrix: Matrix, size: int) -> Float:
    """Draw the patch ``(C, size, size)`` from the window ``(C, H, W)`` around its centre, bilinearly.

    Where the image is reduced it is smoothed first, by half of what a pixel grows.
    """
    reduction = np.sqrt(abs(np.linalg.det(matrix)))
    if reduction > 1:
        window = ndimage.gaussian_filter(window, (0, *(2 * [(reduction - 1) / 2])))
    return np.stack([_resample(channel, matrix, size, order=1, fill=0.0) for channel in window])


def resample_ids(window: NDArray[Any], matrix: Matrix, size: int, fill: int) -> NDArray[Any]:
    """Draw the patch ``(size, size)`` from a window of ids ``(H, W)``, each pixel the nearest one's id."""
    return _resample(window, matrix, size, order=0, fill=fill)


def _resample(window: NDArray[Any], matrix: Matrix, size: int, order: int, fill: float) -> NDArray[Any]:
    centre = (np.array(window.shape) - 1) / 2
    offset = centre - matrix @ np.full(2, (size - 1) / 2)
    warped: NDArray[Any] = ndimage.affine_transform(
        window, matrix, offset, (size, size), order=order, mode="constant", cval=fill
    )
    return warped


def augment_patch(
    image: Float, annotation: Annotation, settings: AugmentSettings, random: np.random.Generator
) -> tuple[Float, Annotation]:
    """Change a patch at random.

    Parameters
    ----------
    image
        ``(C, S, S)``, normalised intensities of a slice and its neighbours.
    annotation
        ``(S, S)``, moved together with the image.
    settings
        What to change, and how much; magnification and stretch come earlier, see :func:`random_matrix`.
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
    turned = (np.rot90(image, quarter, axes=(-2, -1)), np.rot90(annotation, quarter))
    return (turned[0].swapaxes(-2, -1), turned[1].T) if mirror else turned


def _deform(
    image: Float, annotation: Annotation, amplitude: float, random: np.random.Generator
) -> tuple[Float, Annotation]:
    """A smooth random displacement, cubic between 4 x 4 random arrows."""
    coarse = random.uniform(-amplitude, amplitude, (2, 4, 4))
    side = annotation.shape
    shift = np.stack([ndimage.zoom(arrows, np.divide(side, 4), order=3) for arrows in coarse])
    points = np.indices(side) + shift
    return (
        np.stack([ndimage.map_coordinates(channel, points, order=1, mode="reflect") for channel in image]),
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
    """Fade, blur or lose a band of one section, as charging, folds and staining do."""
    if random.random() >= settings.defects:
        return image
    start, stop = sorted(random.integers(0, image.shape[-2] + 1, 2))
    section = int(random.integers(len(image))) if len(image) > 1 else 0
    band = image[section, start:stop]
    changes: list[Callable[[], Float]] = [
        lambda: band * np.float32(0.4),
        lambda: ndimage.gaussian_filter(band, 2.0),
        lambda: np.full_like(band, random.uniform(-2.0, 2.0)),
    ]
    changed = image.copy()
    # A lost region larger than a thin fold would teach guessing, so losses stay narrow.
    which = int(random.integers(3)) if stop - start <= image.shape[-2] // 12 else int(random.integers(2))
    changed[section, start:stop] = changes[which]()
    return changed


_INTENSITY_CHANGES = (_rescale, _add_noise, _add_defect)
