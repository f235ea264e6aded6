"""What OME-Zarr says about an image or labels: axes, places of the levels, how they were made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from napari_dtn.volume.geometry import check_voxel_size

if TYPE_CHECKING:
    from napari_dtn.settings import VoxelSize

Axes = Literal["zyx", "czyx"]
Version = Literal["0.5", "0.4"]
Downscaling = Literal["mean", "mode"]
ZARR_FORMATS: dict[Version, Literal[2, 3]] = {"0.5": 3, "0.4": 2}


@dataclass(frozen=True)
class Description:
    """An image or labels, described in the words of OME-Zarr.

    Parameters
    ----------
    axes
        ``zyx``, or ``czyx`` for several classes.
    voxel_size
        In nm, (Z, Y, X); None where it is not known: then the axes have no unit and count voxels.
    translation
        Centre of the first voxel, (Z, Y, X): in nm, or in voxels where the voxel size is None.
    version
        Of OME-Zarr: 0.5 lies in zarr 3, 0.4 in zarr 2.
    downscaling
        What a voxel of a coarser level is of its block.
    is_labels
        Whether the values are ids.

    Raises
    ------
    ValueError
        The voxel size is not three numbers greater than 0, or the version is neither 0.5 nor 0.4.
    """

    axes: Axes
    voxel_size: VoxelSize | None
    translation: VoxelSize = (0.0, 0.0, 0.0)
    version: Version = "0.5"
    downscaling: Downscaling = "mean"
    is_labels: bool = False

    def __post_init__(self) -> None:
        if self.voxel_size is not None:
            object.__setattr__(self, "voxel_size", check_voxel_size(self.voxel_size))
        if self.version not in ZARR_FORMATS:
            raise ValueError(f"OME-Zarr version is {self.version!r}; choose {' or '.join(ZARR_FORMATS)}.")

    def attributes(self, levels: int) -> dict[str, Any]:
        """Return the group's attributes for this many levels, each half as wide as the one before."""
        datasets = [self._dataset(level) for level in range(levels)]
        image: dict[str, Any] = {"axes": self._axes(), "datasets": datasets}
        if levels > 1:
            image["type"] = self.downscaling
        if self.version == "0.4":
            labels = {"image-label": {"version": "0.4"}} if self.is_labels else {}
            return {"multiscales": [{"version": "0.4", **image}], **labels}
        return {
            "ome": {
                "version": "0.5",
                "multiscales": [image],
                **({"image-label": {}} if self.is_labels else {}),
            }
        }

    def _axes(self) -> list[dict[str, str]]:
        unit = {} if self.voxel_size is None else {"unit": "nanometer"}
        space = [{"name": name, "type": "space", **unit} for name in "zyx"]
        return [{"name": "c", "type": "channel"}] * ("c" in self.axes) + space

    def _dataset(self, level: int) -> dict[str, Any]:
        """Describe a level: its first pixel's centre is that of the block which it stands for."""
        size, channels = self.voxel_size or (1.0, 1.0, 1.0), int("c" in self.axes)
        scale = [size[0], *(side * 2**level for side in size[1:])]
        shift = [float(t) + (a - b) / 2 for t, a, b in zip(self.translation, scale, size, strict=True)]
        steps = [
            {"type": "scale", "scale": [1.0] * channels + scale},
            {"type": "translation", "translation": [0.0] * channels + shift},
        ]
        return {"path": str(level), "coordinateTransformations": steps}
