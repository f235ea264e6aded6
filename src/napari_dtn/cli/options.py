"""Options that several commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, ArgumentCollection, Parameter, Token

from napari_dtn.settings import Roi, VoxelSize, parse_range

if TYPE_CHECKING:
    from napari_dtn.volume.opening import Volume

SizeOption = Annotated[tuple[float, float, float] | None, Parameter(negative="")]  # its help is its own
VoxelSizeOption = Annotated[
    tuple[float, float, float] | None,
    Parameter(help="Voxel size Z Y X in nm, instead of what the file states.", negative=""),
]
ChannelOption = Annotated[
    int | None,
    Parameter(help="Which map is the boundary, where there are several; the class of that name by default."),
]
JsonOption = Annotated[
    Path | None,
    Parameter(help="Write the result as JSON to this file; - is standard output.", allow_leading_hyphen=True),
]
ClassesOption = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="")]
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

    def open(self, path: str) -> Volume:
        """Open it; errors as ``open_volume``, and they name these options."""
        return _open(path, self.voxel_size, self.channel, self.time, "--")


@Parameter(name="*")
@dataclass(frozen=True)
class ImageSeen:
    """The image that boundaries come from.

    Parameters
    ----------
    image
        The volume that the boundaries were predicted from; its grey values make better objects.
    voxel_size
        Of that volume, Z Y X in nm, instead of what its file states.
    image_channel
        Which channel or colour of that volume, where there are several.
    image_time
        Which time point of it, where there are several stacks.
    """

    image: str | None = None
    voxel_size: SizeOption = None
    image_channel: int | None = None
    image_time: int | None = None

    def open(self) -> Volume | None:
        """Open it, where there is one; errors as ``open_volume``, and they name these options."""
        if self.image is None:
            self._check_unasked()
            return None
        return _open(self.image, self.voxel_size, self.image_channel, self.image_time, "--image-")

    def _check_unasked(self) -> None:
        asked = {"--voxel-size": self.voxel_size, "--image-channel": self.image_channel}
        for name, value in {**asked, "--image-time": self.image_time}.items():
            if value is not None:
                raise ValueError(f"{name} is about the image: name that by --image, or leave {name} out.")


def _open(
    path: str, voxel_size: VoxelSize | None, channel: int | None, time: int | None, prefix: str
) -> Volume:
    from napari_dtn.volume.geometry import ChoiceMissingError
    from napari_dtn.volume.opening import open_volume

    try:
        return open_volume(path, voxel_size, channel, time)
    except ChoiceMissingError as error:
        raise ValueError(error.with_options(prefix)) from error


@Parameter(name="*")
@dataclass(frozen=True)
class Box:
    """A box of the volume.

    Parameters
    ----------
    z
        Slices of the volume as start:stop, for example 80:100; all of them by default.
    y
        Rows, likewise.
    x
        Columns, likewise.
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
    """What to train on: a volume and its labels, or a dataset.

    Parameters
    ----------
    images
        The volume.
    labels
        What is known about it.
    train_z
        Slices to train on, as start:stop.
    val_z
        Slices only to score, as start:stop.
    labels_kind
        ids of neurites, a mask (non-zero = boundary), or classes (0 not annotated, 1 boundary, 2 inside);
        classes by default for an annotation of a click session, otherwise ids.
        With classes, and a model to start from, the slices may be left out: what is annotated teaches, and
        some regions of it are held out.
    classes
        Names of the classes of an annotation, in the order of their values.
    voxel_size
        Voxel size Z Y X in nm, instead of what the file states.
    dataset
        Instead of a volume: voc and the folder of PASCAL VOC, such as VOCdevkit/VOC2012.
    channel
        Which channel or colour of the images, where there are several.
    time
        Which time point of the images, where there are several stacks.
    """

    images: str | None = None
    labels: str | None = None
    train_z: str | None = None
    val_z: str | None = None
    labels_kind: Literal["ids", "mask", "classes"] | None = None
    classes: ClassesOption = (
        "boundary",
        "inside",
    )
    voxel_size: VoxelSizeOption = None
    dataset: Annotated[tuple[Literal["voc"], Path] | None, Parameter(negative="")] = None
    channel: int | None = None
    time: int | None = None

    @property
    def reading(self) -> Reading:
        """How the images are read."""
        return Reading(self.voxel_size, self.channel, self.time)

    @property
    def of_volume(self) -> dict[str, str | None]:
        """The options that together say which part of which volume."""
        return {
            "--images": self.images,
            "--labels": self.labels,
            "--train-z": self.train_z,
            "--val-z": self.val_z,
        }

    @property
    def paths(self) -> tuple[str, ...]:
        """What is read: the volume and its labels, or the folder of a dataset."""
        dataset = None if self.dataset is None else str(self.dataset[1])
        return tuple(path for path in (self.images, self.labels, dataset) if path is not None)


# What the images of a dataset need, and what they are usually trained with.
_DATASETS = {
    "voc": {"--in-channels": "3", "--n-classes": "21", "--patch-size": "256", "--augment.zoom": "2"},
}


def dataset_defaults(app: App, commands: tuple[str, ...], arguments: ArgumentCollection) -> None:
    """Give options that the user left open the values of the chosen dataset."""
    dataset = arguments.get("--dataset", None)
    chosen = dataset.tokens[0].value if dataset and dataset.tokens else ""
    for name, value in _DATASETS.get(chosen, {}).items():
        argument = arguments.get(name)
        if not argument.has_tokens:
            argument.append(Token(keyword=name, value=value, source=f"--dataset {chosen}"))
