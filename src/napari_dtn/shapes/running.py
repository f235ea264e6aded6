"""From labels to shapes of many objects, step by step."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from napari_dtn.settings import ShapeSettings
from napari_dtn.shapes.files import check_info, write_shape
from napari_dtn.shapes.measuring import measure_objects
from napari_dtn.shapes.mesh import mesh_of
from napari_dtn.shapes.skeleton import skeleton_of
from napari_dtn.shapes.solid import cut_out

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from napari_dtn.settings import ShapeFormat, ShapeKind
    from napari_dtn.shapes.facts import ObjectFacts
    from napari_dtn.shapes.mesh import Mesh
    from napari_dtn.shapes.skeleton import Skeleton
    from napari_dtn.shapes.solid import Solid
    from napari_dtn.volume.opening import Volume

_NO_SIZE = (
    "The voxel size is not known, and shapes are in nm: give the image its voxel size (in the panel Predict "
    "boundaries, or --voxel-size) and open the objects again."
)


@dataclass(frozen=True, eq=False)
class ShapeStep:
    """Something of the work is done.

    Parameters
    ----------
    done, total
        Objects.
    shape
        What was found; None while an object is read.
    path
        Its file, where it was written.
    """

    done: int
    total: int
    shape: Mesh | Skeleton | None = None
    path: Path | None = None


def shape_steps(
    labels: Volume, objects: Sequence[ObjectFacts], kind: ShapeKind, settings: ShapeSettings | None = None
) -> Iterator[ShapeStep]:
    """Find the shapes of objects, one after the other; stop iterating to cancel.

    Parameters
    ----------
    labels
        Ids; only the boxes of the objects are read.
    objects
        Whose shapes: from ``measure_objects(labels)`` or ``session.objects.all()``.
    kind
        ``mesh`` or ``skeleton``.
    settings
        How they are found.

    Raises
    ------
    ValueError
        The voxel size is not known, there are no objects to look at, or one is gone from the labels.
    """
    if labels.voxel_size is None:
        raise ValueError(_NO_SIZE)
    if not objects:
        raise ValueError("There is no object among those that were asked for; ask for some.")
    settings = settings or ShapeSettings()
    detail = settings.detail if kind == "mesh" else 0.0
    place = labels.voxel_size, settings.memory * 2**20, labels.translation, detail
    for number, one in enumerate(objects):
        for solid in cut_out(labels.data, one.id, one.box, *place):
            if solid is None:
                yield ShapeStep(number, len(objects))
            else:
                yield ShapeStep(number + 1, len(objects), _found(solid, kind, settings))


def save_steps(
    labels: Volume,
    objects: Sequence[ObjectFacts],
    folder: str | Path,
    format_: ShapeFormat,
    settings: ShapeSettings | None = None,
    overwrite: bool = False,
) -> Iterator[ShapeStep]:
    """Find shapes and write each as it is found, a file for each object; otherwise as :func:`shape_steps`.

    Parameters
    ----------
    folder
        For the files, ``12.obj``; made where it is missing.
    format_
        ``obj``, ``ply``, ``glb`` or ``precomputed``: meshes in nm; ``swc``: skeletons in µm.
    overwrite
        Replace files that are there.

    Raises
    ------
    FileExistsError
        A file is there, or the folder is that of something else.
    ImportError
        The library that writes the format is not installed.
    """
    check_info(folder, format_)
    kind: ShapeKind = "skeleton" if format_ == "swc" else "mesh"
    for step in shape_steps(labels, objects, kind, settings):
        path = None if step.shape is None else write_shape(step.shape, folder, format_, overwrite)
        yield replace(step, path=path)


def save_shapes(
    labels: Volume,
    folder: str | Path,
    format_: ShapeFormat = "obj",
    objects: Sequence[ObjectFacts] | None = None,
    settings: ShapeSettings | None = None,
    overwrite: bool = False,
) -> list[Path]:
    """Write the shapes of objects, of all that there are unless ``objects`` are given.

    Parameters, errors as :func:`save_steps`.

    Returns
    -------
    list of Path
        A file for each object.
    """
    chosen = measure_objects(labels) if objects is None else objects
    steps = save_steps(labels, chosen, folder, format_, settings, overwrite)
    return [step.path for step in steps if step.path is not None]


def _found(solid: Solid, kind: ShapeKind, settings: ShapeSettings) -> Mesh | Skeleton:
    return mesh_of(solid, settings.smoothing) if kind == "mesh" else skeleton_of(solid, settings.spacing)
