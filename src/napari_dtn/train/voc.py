"""PASCAL VOC as training data: whole images, brought to one size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_dtn.augment import NOT_ANNOTATED, Annotation, Float, augment_patch
from napari_dtn.settings import AugmentSettings, NetworkSettings, TrainSettings
from napari_dtn.train.data import Batch, Sampler, batches, spread
from napari_dtn.voc import CLASS_NAMES, NORMALISATION, VOID, VocFolder, normalised, open_voc, resized

_VALIDATION_IMAGES = 128


@dataclass(frozen=True)
class VocData:
    """Images of PASCAL VOC that a model is trained and validated on.

    Every image is brought to ``patch_size`` x ``patch_size`` as a whole, as in the paper, which changes its
    proportions.

    Parameters
    ----------
    folder
        From :func:`napari_dtn.voc.open_voc`.
    train, val
        Names of the images to train on, and of those that are only ever scored; they may not overlap.
    """

    folder: VocFolder
    train: tuple[str, ...]
    val: tuple[str, ...]

    def __post_init__(self) -> None:
        shared = sorted(set(self.train) & set(self.val))
        if shared:
            raise ValueError(
                f"{len(shared)} images, such as {shared[0]}, are in both train and val; "
                "a score on images that were trained on says nothing."
            )

    @staticmethod
    def of(path: str | Path) -> VocData:
        """Open a folder in VOC's layout, split as its own lists say.

        Raises
        ------
        FileNotFoundError, ValueError
            A part of the layout is missing or wrong; the error names it.
        """
        folder = open_voc(path)
        return VocData(folder, folder.names("train"), folder.names("val"))

    @property
    def voxel_size(self) -> None:
        """Photographs have none."""
        return

    @property
    def normalisation(self) -> str:
        """By fixed statistics of the colours."""
        return NORMALISATION

    def check(self, network: NetworkSettings) -> None:
        """Refuse a network that does not take three colours, or does not tell VOC's classes apart."""
        for name, needed in (("in_channels", 3), ("context", 0), ("n_classes", len(CLASS_NAMES))):
            value = getattr(network, name)
            if value != needed:
                raise ValueError(f"{name} is {value}; PASCAL VOC needs a network with {name} {needed}.")

    def class_names(self, n_classes: int) -> tuple[str, ...]:
        """Return the names of VOC's classes, the background first."""
        return CLASS_NAMES

    def describe(self) -> dict[str, Any]:
        """Return what identifies the data, as plain JSON values."""
        names = "\n".join([*self.train, "", *self.val])
        return {
            "name": self.folder.root.resolve().name,
            "dataset": "voc",
            "train": len(self.train),
            "val": len(self.val),
            "names_sha256": hashlib.sha256(names.encode()).hexdigest(),
        }

    def sampler(self, network: NetworkSettings, settings: TrainSettings) -> Sampler:
        """Return what draws augmented training images."""
        return VocSampler(self.folder, self.train, settings.patch_size, settings.augment, settings.seed)

    def scored(self) -> dict[str, Any]:
        """Return how many images a validation looks at: up to 128, evenly spaced in the list."""
        return {"split": "val", "images": len(self._scored_names())}

    def validation_batches(self, network: NetworkSettings, settings: TrainSettings) -> Iterator[Batch]:
        """Yield the scored images, in the size that is trained on."""
        side = settings.patch_size
        read = (resized(*self.folder.read(name), side, side) for name in self._scored_names())
        return batches((normalised(image), annotation_of(classes)) for image, classes in read)

    def _scored_names(self) -> list[str]:
        return spread(self.val, _VALIDATION_IMAGES)


@dataclass(frozen=True)
class VocSampler:
    """Random augmented images.

    Each is scaled, cropped or framed at random, and mirrored or not. Of ``augment`` this takes ``flips``
    (left and right alone: a photograph has an up), ``zoom``, ``stretch`` (along the axes), ``elastic``,
    ``contrast``, ``brightness`` and ``noise`` (in deviations of ImageNet's colours); sections of tissue have
    ``defects``, photographs do not.

    Parameters
    ----------
    folder, names
        Images to draw from.
    size
        Side of a patch, in pixels; an image that is not magnified fills it.
    augment
        Random changes.
    seed
        Together with a patch's number it determines the patch.
    """

    folder: VocFolder
    names: Sequence[str]
    size: int
    augment: AugmentSettings
    seed: int

    def patch(self, number: int) -> tuple[Float, Annotation]:
        """Return patch ``number``: image ``(3, size, size)``, annotation ``(size, size)``."""
        random = np.random.default_rng((self.seed, number))
        image, classes = self.folder.read(self.names[int(random.integers(len(self.names)))])
        image, classes = resized(image, classes, *self._sides(random))
        frame = [_frame(random, length, self.size) for length in classes.shape]
        picture = _framed(normalised(image), frame, 0.0)
        annotation = _framed(annotation_of(classes), frame, NOT_ANNOTATED)
        if self.augment.flips and random.integers(2):
            picture, annotation = picture[..., ::-1], annotation[..., ::-1]
        return augment_patch(picture, annotation, replace(self.augment, flips=False, defects=0.0), random)

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Return patches as ``(N, 3, size, size)`` and ``(N, size, size)``."""
        images, annotations = zip(*(self.patch(number) for number in numbers), strict=True)
        return np.stack(images), np.stack(annotations)

    def _sides(self, random: np.random.Generator) -> tuple[int, int]:
        """Height and width of the scaled image, evenly on a logarithmic scale."""
        factor = np.exp(random.uniform(-1, 1) * np.log(self.augment.zoom))
        side = np.exp(random.uniform(-0.5, 0.5) * np.log(self.augment.stretch))
        height, width = (max(round(self.size * factor * ratio), 1) for ratio in (side, 1 / side))
        return height, width


def annotation_of(classes: NDArray[np.uint8]) -> Annotation:
    """Class indices, or ``VOID``, as an annotation: 1 + class index, or not annotated."""
    return np.where(classes == VOID, NOT_ANNOTATED, classes + 1).astype(np.uint8)


def _frame(random: np.random.Generator, length: int, size: int) -> tuple[slice, tuple[int, int]]:
    """A random place of a frame on an axis: what it shows of the image, and what is missing on each side."""
    if length >= size:
        start = int(random.integers(length - size + 1))
        return slice(start, start + size), (0, 0)
    before = int(random.integers(size - length + 1))
    return slice(None), (before, size - length - before)


def _framed(pixels: NDArray[Any], frame: list[tuple[slice, tuple[int, int]]], fill: float) -> NDArray[Any]:
    """Cut and pad the last two axes."""
    shown, missing = zip(*frame, strict=True)
    before = ((0, 0),) * (pixels.ndim - 2)
    return np.pad(pixels[(..., *shown)], (*before, *missing), constant_values=fill)
