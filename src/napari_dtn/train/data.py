"""What a model is trained and validated on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from napari_dtn.patches import TrainingVolume
from napari_dtn.settings import VoxelSize


@dataclass(frozen=True)
class TrainingData:
    """What a model is trained and validated on.

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
    """

    volume: TrainingVolume
    train_z: range
    val_z: range
    name: str = "unnamed volume"
    voxel_size: VoxelSize | None = None

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
