"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from napari_dtn.settings import Roi, parse_range

VoxelSizeOption = Annotated[
    tuple[float, float, float] | None,
    Parameter(help="Voxel size Z Y X in nm, instead of what the file states.", negative=""),
]
JsonOption = Annotated[
    Path | None,
    Parameter(help="Write the result as JSON to this file; - is standard output.", allow_leading_hyphen=True),
]
Switch = Parameter(negative="")


@Parameter(name="*")
@dataclass(frozen=True)
class Reading:
    """How a volume is read.

    Parameters
    ----------
    voxel_size
        Voxel size Z Y X in nm, instead of what the file states.
    channel
        Which channel or colour, where there are several.
    time
        Which time point, where there are several stacks.
    """

    voxel_size: VoxelSizeOption = None
    channel: int | None = None
    time: int | None = None


@Parameter(name="*")
@dataclass(frozen=True)
class Box:
    """A box of the volume.

    Parameters
    ----------
    z, y, x
        Voxels of the volume as start:stop, for example 80:100; all of them by default.
    """

    z: str = ":"
    y: str = ":"
    x: str = ":"

    @property
    def roi(self) -> Roi:
        """The same as numbers."""
        return Roi(parse_range(self.z), parse_range(self.y), parse_range(self.x))


@Parameter(name="*")
@dataclass(frozen=True)
class TrainingInput:
    """What to train on.

    Parameters
    ----------
    images, labels
        The volume, and what is known about it.
    labels_kind
        ids of neurites, a mask (non-zero = boundary), or classes (0 not annotated, 1 boundary, 2 inside).
    train_z, val_z
        Slices to train on, and slices only to score, as start:stop.
    voxel_size
        Voxel size Z Y X in nm, instead of what the file states.
    """

    images: str
    labels: str
    train_z: str
    val_z: str
    labels_kind: Literal["ids", "mask", "classes"] = "ids"
    voxel_size: VoxelSizeOption = None
