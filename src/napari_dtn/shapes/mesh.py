"""The surface of an object as triangles, in nm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_dtn.shapes.solid import factor_words

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_dtn.shapes.solid import Factor, Solid


@dataclass(frozen=True, eq=False)
class Mesh:
    """A closed surface.

    Parameters
    ----------
    id
        Of the object.
    vertices
        (N, 3), float32, nm, each (z, y, x).
    faces
        (M, 3), int32: vertices of each triangle; seen from outside they run counter-clockwise where X, Y and
        Z are right-handed.
    factor
        How many voxels of the labels became one beforehand, along Z, Y and X.
    """

    id: int
    vertices: NDArray[np.float32]
    faces: NDArray[np.int32]
    factor: Factor

    @property
    def words(self) -> str:
        """``Object 12: 3,456 triangles``."""
        return f"Object {self.id}: {len(self.faces):,} triangles{factor_words(self.factor)}"


def mesh_of(solid: Solid, smoothing: int = 0) -> Mesh:
    """Return the surface half-way between the voxels inside and outside of an object, by marching cubes.

    Parameters
    ----------
    solid
        The object.
    smoothing
        Rounds in which each vertex moves to the mean of its neighbours.
    """
    from bioimage_cpp.mesh import marching_cubes, smooth_mesh

    padded = np.pad(solid.inside, 1)  # so that the surface is closed where the object ends at its box
    if padded.max() < 128:  # thin all over: half of no voxel is in it
        padded[padded > 0] = 255
    vertices, faces, normals, _ = marching_cubes(
        padded, 127.5, spacing=solid.voxel_size, allow_degenerate=False
    )
    vertices = vertices.astype(np.float64) + np.subtract(solid.first, solid.voxel_size)
    if smoothing:
        vertices, _ = smooth_mesh(vertices, normals.astype(np.float64), faces, smoothing, n_threads=1)
    return Mesh(solid.id, vertices.astype(np.float32), faces.astype(np.int32), solid.factor)
