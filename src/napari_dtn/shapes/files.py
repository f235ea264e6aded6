"""Meshes and skeletons as files for other programs."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_dtn.shapes.skeleton import Skeleton

if TYPE_CHECKING:
    from napari_dtn.settings import ShapeFormat
    from napari_dtn.shapes.mesh import Mesh

_INFO = {"@type": "neuroglancer_legacy_mesh"}


def check_info(folder: str | Path, format_: ShapeFormat) -> None:
    """Refuse a folder for precomputed meshes whose ``info`` is of something else, such as a segmentation.

    Raises
    ------
    FileExistsError
        It is; a shape would take its place.
    """
    info = Path(folder) / "info"
    if format_ == "precomputed" and info.exists() and not _is_of_meshes(info):
        raise FileExistsError(
            f"{info} is the info of something else; choose another folder, such as its `mesh`."
        )


def _is_of_meshes(info: Path) -> bool:
    try:
        said = json.loads(info.read_bytes())
    except ValueError:
        return False
    return isinstance(said, dict) and said.get("@type") == _INFO["@type"]


def write_shape(
    shape: Mesh | Skeleton, folder: str | Path, format_: ShapeFormat, overwrite: bool = False
) -> Path:
    """Write a mesh or a skeleton into a folder, under the id of its object: ``12.obj``.

    Parameters
    ----------
    shape
        A skeleton where the format is ``swc``, else a mesh.
    folder
        Made where it is missing; shapes of one format share it.
    format_
        Of meshes, whose vertices are (x, y, z) in nm: ``obj``, ``ply`` (binary), ``glb`` (glTF, which takes a
        number for a metre), or ``precomputed``, neuroglancer's meshes of one resolution. Of skeletons:
        ``swc``, in µm.
    overwrite
        Replace a shape that is there.

    Returns
    -------
    Path
        The file; of a precomputed mesh the one that names its parts.

    Raises
    ------
    FileExistsError
        The shape is there, or, whatever ``overwrite`` says, an ``info`` of something else than such meshes.
    ImportError
        The library that writes the format is not installed.
    ValueError
        The file system has no names like neuroglancer's.
    """
    if format_ == "precomputed" and os.name == "nt":
        raise ValueError(
            "Precomputed meshes have colons in their names, as Windows has not; choose another format."
        )
    check_info(folder, format_)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / (f"{shape.id}:0" if format_ == "precomputed" else f"{shape.id}.{format_}")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another folder.")
    if isinstance(shape, Skeleton):
        _write_swc(shape, path)
    elif format_ == "precomputed":
        _write_precomputed(shape, path)
    else:
        _trimesh().Trimesh(shape.vertices[:, ::-1], shape.faces, process=False).export(path)
    return path


def _write_swc(skeleton: Skeleton, path: Path) -> None:
    """Write a line for each point: number, kind (0: not known), x, y, z, radius, parent (-1: a root)."""
    points = np.column_stack([skeleton.points[:, ::-1], skeleton.radii]) / 1000
    parents = np.where(skeleton.parents < 0, -1, skeleton.parents + 1)
    lines = [
        f"{number} 0 {x:.4f} {y:.4f} {z:.4f} {radius:.4f} {parent}"
        for number, ((x, y, z, radius), parent) in enumerate(zip(points, parents, strict=True), start=1)
    ]
    head = f"# object {skeleton.id}; x y z radius in um; {skeleton.length_um:.4f} um of path"
    path.write_text("\n".join([head, *lines, ""]))


def _write_precomputed(mesh: Mesh, path: Path) -> None:
    """Write vertices and faces, then the manifest that names them, as neuroglancer's documentation says."""
    part = f"{mesh.id}:0:mesh"
    vertices, faces = mesh.vertices[:, ::-1].astype("<f4"), mesh.faces.astype("<u4")
    count = np.array([len(vertices)], "<u4")
    info = path.parent / "info"
    if not info.exists():
        info.write_text(json.dumps(_INFO))
    (path.parent / part).write_bytes(count.tobytes() + vertices.tobytes() + faces.tobytes())
    path.write_text(json.dumps({"fragments": [part]}))


def _trimesh() -> Any:
    try:
        import trimesh
    except ImportError as error:
        raise ImportError(f"trimesh is not installed ({error}): pip install 'napari-dtn[meshes]'.") from error
    return trimesh
