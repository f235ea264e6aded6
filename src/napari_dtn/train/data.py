"""What a model is trained and validated on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import islice, product
from typing import Any, Protocol, TypeVar

import numpy as np

from napari_dtn.augment import NOT_ANNOTATED, Annotation, Float
from napari_dtn.metrics import refuse_mask
from napari_dtn.patches import PatchSampler, TrainingVolume
from napari_dtn.settings import NetworkSettings, TrainSettings, VoxelSize

T = TypeVar("T")
Batch = tuple[Float, Annotation]  # (N, C, H, W), and (N, H, W) as ``masked_cross_entropy`` takes it

_VALIDATION_SLICES = 4
_VALIDATION_BATCH = 8


class Sampler(Protocol):
    """Random training patches, each a pure function of its number."""

    def batch(self, numbers: Sequence[int]) -> Batch:
        """Return the patches of these numbers."""
        ...


class TrainingSource(Protocol):
    """What training asks of its data: a volume and its annotation, a folder of images and their classes."""

    @property
    def voxel_size(self) -> VoxelSize | None:
        """In nm, ``(Z, Y, X)``; None where there is none."""
        ...

    @property
    def normalisation(self) -> str:
        """How intensities enter the network, for the model card."""
        ...

    def check(self, network: NetworkSettings) -> None:
        """Refuse a network that cannot take these data, with a ValueError."""
        ...

    def class_names(self, n_classes: int) -> tuple[str, ...]:
        """Return a name for each class."""
        ...

    def describe(self) -> dict[str, Any]:
        """Return what identifies the data, as plain JSON values."""
        ...

    def sampler(self, network: NetworkSettings, settings: TrainSettings) -> Sampler:
        """Return what draws the training patches."""
        ...

    def scored(self) -> dict[str, Any]:
        """Return what a validation looks at, as plain JSON values; empty where there is nothing."""
        ...

    def validation_batches(self, network: NetworkSettings, settings: TrainSettings) -> Iterator[Batch]:
        """Yield what a validation looks at."""
        ...


@dataclass(frozen=True)
class TrainingData:
    """A volume that a model is trained and validated on.

    Parameters
    ----------
    volume
        Image and annotation.
    train_z, val_z
        Slices to train on, and slices that are only ever scored; they may not overlap.
    name
        What the data are called in the model card.
    voxel_size
        In nm, ``(Z, Y, X)``.
    classes
        Names of an annotation's values, from 1 on, where they are several classes.
    """

    volume: TrainingVolume
    train_z: range
    val_z: range
    name: str = "unnamed volume"
    voxel_size: VoxelSize | None = None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        depth = self.volume.image.shape[0]
        for name, slices in (("train_z", self.train_z), ("val_z", self.val_z)):
            if slices.start < 0 or slices.stop > depth:
                raise ValueError(f"{name} {slices.start}:{slices.stop} leaves the volume's z 0:{depth}.")
        if not self.train_z:
            raise ValueError(f"train_z {self.train_z.start}:{self.train_z.stop} holds no slice to train on.")
        shared = set(self.train_z) & set(self.val_z)
        if shared:
            raise ValueError(
                f"Slices {min(shared)} to {max(shared)} are in both train_z and val_z; "
                "a score on slices that were trained on says nothing."
            )

    @property
    def normalisation(self) -> str:
        """By statistics of the whole volume."""
        return "volume z-score"

    def check(self, network: NetworkSettings) -> None:
        """Refuse a network of several channels, a slice has one, and values that it has no class for."""
        if network.in_channels != 1:
            raise ValueError(
                f"in_channels is {network.in_channels}; a volume has 1 (context adds neighbouring slices)."
            )
        if self.volume.kind == "ids":
            refuse_mask(self.volume.labels[z] for z in self.train_z)
        if self.volume.kind == "classes":
            self._check_classes(network.n_classes, max(network.n_classes, 2))
            if self.val_z and not self._scorable:
                raise ValueError(
                    f"Nothing is annotated in val_z {self.val_z.start}:{self.val_z.stop}, so no score would "
                    "tell how training goes; choose slices with annotation."
                )

    def _check_classes(self, n_classes: int, values: int) -> None:
        if self.classes and len(self.classes) != values:
            raise ValueError(
                f"n_classes is {n_classes}, and {len(self.classes)} classes are named: "
                f"{', '.join(self.classes)}."
            )
        slices = (np.asarray(self.volume.labels[z]) for z in (*self.train_z, *self.val_z))
        largest = max(int(labels.max()) for labels in slices)
        if largest > values:
            raise ValueError(
                f"The annotation holds {largest}, and values go from 0 (not annotated) to {values}; "
                f"set n_classes to {largest}, or correct the annotation."
            )

    def class_names(self, n_classes: int) -> tuple[str, ...]:
        """Return ``boundary``, or a name for each of several classes: a number where they have none."""
        if n_classes == 1:
            return self.classes[:1] or ("boundary",)
        return self.classes or tuple(f"class {number}" for number in range(n_classes))

    def describe(self) -> dict[str, Any]:
        """Return what identifies the data, as plain JSON values."""
        return {
            "name": self.name,
            "shape": [int(side) for side in self.volume.image.shape],
            "labels_kind": self.volume.kind,
            "train_z": [self.train_z.start, self.train_z.stop],
            "val_z": [self.val_z.start, self.val_z.stop],
            "intensity": asdict(self.volume.intensity),
        }

    def sampler(self, network: NetworkSettings, settings: TrainSettings) -> Sampler:
        """Return what draws patches from the training slices."""
        return PatchSampler(
            self.volume,
            self.train_z,
            settings.patch_size,
            settings.augment,
            settings.seed,
            network.context,
        )

    def scored(self) -> dict[str, Any]:
        """Return the slices that a validation looks at: up to four annotated ones, evenly spaced."""
        slices = spread(self._scorable, _VALIDATION_SLICES)
        return {"slices": slices} if slices else {}

    @cached_property
    def _scorable(self) -> Sequence[int]:
        return self.volume.annotated(self.val_z)

    def validation_batches(self, network: NetworkSettings, settings: TrainSettings) -> Iterator[Batch]:
        """Yield the disjoint whole tiles of the scored slices; of smaller slices, all there is.

        Of strokes, which may lie anywhere, none is left out at the far edges.
        """
        high, wide = (min(settings.patch_size, length) for length in self.volume.image.shape[1:])
        places = product(self.scored().get("slices", ()), self._starts(1, high), self._starts(2, wide))
        return batches(self._tile(*place, high, wide, network.context) for place in places)

    def _starts(self, axis: int, side: int) -> list[int]:
        length = self.volume.image.shape[axis]
        whole = list(range(0, length - side + 1, side))
        return whole if self.volume.kind != "classes" or length % side == 0 else [*whole, length - side]

    def _tile(self, z: int, y: int, x: int, high: int, wide: int, context: int) -> tuple[Float, Annotation]:
        """A tile in which no pixel is known that the tile before it had."""
        image, known = self.volume.window(z, slice(y, y + high), slice(x, x + wide), context)
        known[: -y % high] = known[:, : -x % wide] = NOT_ANNOTATED
        return image, known


def spread(items: Sequence[T], count: int) -> list[T]:
    """Return up to ``count`` of the items, evenly spaced, the first and the last among them."""
    count = min(count, len(items))
    return [items[round(i * (len(items) - 1) / max(count - 1, 1))] for i in range(count)]


def batches(pairs: Iterator[tuple[Float, Annotation]], size: int = _VALIDATION_BATCH) -> Iterator[Batch]:
    """Stack pairs of an image ``(C, H, W)`` and its annotation ``(H, W)``, ``size`` at a time."""
    while taken := list(islice(pairs, size)):
        images, annotations = zip(*taken, strict=True)
        yield np.stack(images), np.stack(annotations)
