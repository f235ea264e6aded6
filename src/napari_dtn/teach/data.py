"""An annotated volume as something to train on, with regions that are only ever scored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from napari_dtn.settings import NetworkSettings, TrainSettings, VoxelSize
from napari_dtn.teach.planning import Amount
from napari_dtn.train.data import Batch, Sampler
from napari_dtn.volume.intensity import Intensity

Box = tuple[slice, slice, slice]
BOUNDARY_CLASSES = ("boundary", "inside")


@dataclass(frozen=True)
class TeachData:
    """A volume, what is annotated in it, and the regions that are held out.

    Parameters
    ----------
    image
        ``(Z, Y, X)``, anything lazy that slices to NumPy.
    annotation
        uint8, the same shape: 0 not annotated, otherwise 1 + class index.
    intensity
        Statistics of the whole volume.
    held_out
        Boxes ``(z, y, x)`` whose annotation is only scored; it never counts in the loss.
    regions
        Boxes that hold all annotation, one a region, held out or not; found by reading every slice where
        left open.
    classes
        One name a class.
    name
        What the volume is called.
    voxel_size
        In nm, ``(Z, Y, X)``.

    Raises
    ------
    ValueError
        Image and annotation differ in shape, or a value has no class.
    """

    image: Any
    annotation: Any
    intensity: Intensity
    held_out: tuple[Box, ...] = ()
    regions: tuple[Box, ...] = ()
    classes: tuple[str, ...] = BOUNDARY_CLASSES
    name: str = "unnamed volume"
    voxel_size: VoxelSize | None = None

    @property
    def n_classes(self) -> int:
        """Outputs of a network that tells the classes apart: 1 for boundary and inside."""
        raise NotImplementedError

    @property
    def amount(self) -> Amount:
        """How much there is to train on."""
        raise NotImplementedError

    @property
    def normalisation(self) -> str:
        """By statistics of the whole volume."""
        return "volume z-score"

    def check(self, network: NetworkSettings) -> None:
        """Refuse a network of several input channels, or of other classes."""
        raise NotImplementedError

    def class_names(self, n_classes: int) -> tuple[str, ...]:
        """Return ``boundary``, or the name of each of several classes."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """Return what identifies the data, as plain JSON values."""
        raise NotImplementedError

    def sampler(self, network: NetworkSettings, settings: TrainSettings) -> Sampler:
        """Return what draws patches around what is annotated and not held out."""
        raise NotImplementedError

    def scored(self) -> dict[str, Any]:
        """Return the boxes that a validation looks at; empty where nothing is held out."""
        raise NotImplementedError

    def validation_batches(self, network: NetworkSettings, settings: TrainSettings) -> Iterator[Batch]:
        """Yield windows that hold the held-out annotation, and no other annotation."""
        raise NotImplementedError
