"""What a file holds, as far as it tells: boundaries, several classes, an annotation, labels; and what not."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.volume.ome_zarr import is_label_image
from napari_dtn.volume.opening import open_volume
from napari_dtn.volume.places import place_of
from napari_dtn.volume.writing import read_attributes
from napari_dtn.words import is_boundary

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import ArrayLike, DTypeLike

    from napari_dtn.volume.opening import Volume

logger = logging.getLogger(__name__)

KIND, ANNOTATION = "kind", "annotation"  # an attribute that annotations carry
_OVERSHOOT = 0.1  # of a probability: interpolation leaves 0 to 1 by less


def class_names(path: str | Path) -> tuple[str, ...]:
    """Return the names of the classes that a prediction of ours has a map of; none where it does not say."""
    return tuple(map(str, _provenance(path).get("class_names", ())))


def is_annotation(path: str | Path) -> bool:
    """Whether a path is an annotation of ours; our other labels have more than a byte."""
    said = _provenance(path)
    if KIND in said:
        return bool(said[KIND] == ANNOTATION)
    # Before annotations said so of themselves, their provenance was the image that they lie over.
    return set(said) == {"input"} and is_label_image(path) and open_volume(path).data.dtype == np.uint8


def check_objects(path: str | Path | None) -> None:
    """Refuse a prediction of ours where objects are wanted, with a ValueError."""
    if path is not None and _provenance(path).keys() & {"model", "class_names"}:
        raise ValueError(
            f"{path} holds probabilities, which predict wrote, and no ids: segment it first, or score it as "
            "boundary."
        )


def check_ids(path: str | Path | None) -> None:
    """Refuse a prediction or an annotation of ours where ids of neurites are wanted, with a ValueError."""
    check_objects(path)
    if path is not None and is_annotation(path):
        raise ValueError(
            f"{path} is an annotation (0 not annotated, 1 boundary, 2 inside), and holds no ids. Train takes "
            "it by --labels-kind classes; elsewhere give ids of neurites."
        )


def check_indices(path: str | Path | None) -> None:
    """Refuse an annotation as class indices, which count from 0, with a ValueError."""
    if path is not None and is_annotation(path):
        raise ValueError(
            f"{path} is an annotation: 1 + class index, and 0 where nothing is said. Indices count from 0: "
            "subtract 1 in uint8, and what is not annotated becomes 255, which is ignored."
        )


def check_boundaries(volume: Volume) -> None:
    """Refuse as boundaries what is plainly something else, with a ValueError; values are not looked at."""
    if volume.path is not None and is_label_image(volume.path):
        raise ValueError(f"{volume.path} holds labels, and no boundaries; give what predict wrote.")
    check_boundary_type(volume.data.dtype, volume.path or volume.name)


def check_boundary_type(dtype: DTypeLike, name: str) -> None:
    """Refuse a type that boundaries never have, with a ValueError that names what has it."""
    dtype = np.dtype(dtype)
    if dtype.kind in "ui" and dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{name} holds {dtype}, as ids do. Boundaries are uint8 (255 p), uint16 "
            "(65535 p), or floats from 0 to 1: give what predict wrote, or convert them."
        )


def check_probabilities(values: ArrayLike) -> None:
    """Refuse floats that are no probabilities, with a ValueError; unknown ones (NaN) pass."""
    known = np.asarray(values)
    if known.dtype.kind != "f" or not known.size:
        return
    low, high = np.fmin.reduce(known, axis=None), np.fmax.reduce(known, axis=None)
    if low < -_OVERSHOOT or high > 1 + _OVERSHOOT:
        raise ValueError(
            f"The boundaries hold {low:.3g} to {high:.3g}, and probabilities are 0 to 1. Is this the image? "
            "Give what predict wrote, or scale them."
        )


def warn_of_no_image(volume: Volume) -> None:
    """Say where what is to be predicted is plainly no image: labels, an annotation, a prediction."""
    path = volume.path
    if path is None:
        return
    if is_label_image(path):
        logger.warning("%s holds labels, and no image: what is predicted of them says little.", path)
    elif _provenance(path).keys() & {"model", "class_names"}:
        logger.warning("%s is a prediction, and no image: what is predicted of it says little.", path)


def boundary_channel(path: str | Path, chosen: int | None = None) -> int | None:
    """Return which map of a prediction has the boundary, and say it; what was chosen is left.

    Parameters
    ----------
    path
        Of anything; None where it has no named classes, or only one.
    chosen
        What somebody asked for.

    Raises
    ------
    ValueError
        None of several classes is called boundary or membrane.
    """
    names = class_names(path)
    if chosen is not None or len(names) < 2:
        return chosen
    for number, name in enumerate(names):
        if is_boundary(name):
            logger.info("%s has the classes %s: %s is taken.", path, _listed(names), name)
            return number
    raise ValueError(
        f"{path} has the classes {_listed(names)}, and none is called boundary or membrane; choose one with "
        f"--channel 0 to {len(names) - 1}."
    )


def open_boundaries(path: str | Path, channel: int | None = None) -> Volume:
    """Open a volume of boundaries; of several classes that were predicted, the boundary.

    Parameters
    ----------
    path
        What ``napari-dtn predict`` wrote, or any volume.
    channel
        Which map, instead.

    Raises
    ------
    FileNotFoundError
        There is nothing at the path.
    ValueError
        It cannot be opened, it is not clear which map is the boundary, or it plainly holds something else.
    """
    volume = open_volume(path, channel=boundary_channel(path, channel))
    check_boundaries(volume)
    return volume


def _provenance(path: str | Path) -> dict[str, Any]:
    """Return what is stored with an image, also where the path is that of a level of it."""
    place = place_of(path)
    return read_attributes(path) or (read_attributes(str(place.parent)) if place.name.isdigit() else {})


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(f"{number} {name}" for number, name in enumerate(names))
