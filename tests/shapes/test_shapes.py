"""Meshes and skeletons of solids of known volume, place and length; other libraries read their files."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

import meshio
import numpy as np
import osteoid
import pygltflib
import pytest
import trimesh
import zmesh

from napari_dtn.settings import ShapeSettings
from napari_dtn.shapes.files import write_shape
from napari_dtn.shapes.measuring import measure_objects
from napari_dtn.shapes.mesh import Mesh
from napari_dtn.shapes.running import ShapeStep, save_shapes, save_steps, shape_steps
from napari_dtn.shapes.skeleton import Skeleton
from napari_dtn.shapes.solid import Solid, cut_out, factor_for
from napari_dtn.volume.opening import Volume, volume_from_array

if TYPE_CHECKING:
    from pathlib import Path

VOXEL = (30.0, 6.0, 6.0)
SHIFT = (300.0, 60.0, 600.0)  # nm: where the labels begin
BALL, TUBE, CUBE = 3, 7, 900
RADIUS, CENTRE = 180.0, (285.0, 210.0, 240.0)  # nm
FACES = slice(2, 12), slice(80, 100), slice(90, 110)  # of the cube: 300 x 120 x 120 nm
ROUGH = ShapeSettings(smoothing=0, detail=0)


@pytest.fixture(scope="module")
def labels() -> Volume:
    """A ball, a tube of 4 x 4 voxels along X, and a cuboid, in voxels of 30 x 6 x 6 nm."""
    ids = np.zeros((20, 120, 160), np.uint32)
    places = np.indices(ids.shape).reshape(3, -1).T * VOXEL
    ids.ravel()[((places - CENTRE) ** 2).sum(axis=1) < RADIUS**2] = BALL
    ids[15:17, 100:104, 10:150] = TUBE
    ids[FACES] = CUBE
    return replace(volume_from_array(ids, VOXEL, "solids"), translation=SHIFT)


def shape(
    labels: Volume, number: int, kind: str = "mesh", settings: ShapeSettings = ROUGH
) -> Mesh | Skeleton:
    facts = [one for one in measure_objects(labels) if one.id == number]
    *_, last = shape_steps(labels, facts, kind, settings)
    return last.shape


def solid_of(labels: Volume, number: int, memory: int) -> Solid:
    (facts,) = (one for one in measure_objects(labels) if one.id == number)
    *_, solid = cut_out(labels.data, number, facts.box, VOXEL, memory, SHIFT)
    return solid


def oracle(mesh: Mesh) -> trimesh.Trimesh:
    return trimesh.Trimesh(mesh.vertices[:, ::-1], mesh.faces, process=False)


# ---- meshes


def test_a_mesh_is_closed_and_has_the_volume_and_the_place_of_the_ball(labels) -> None:
    mesh = oracle(shape(labels, BALL))
    assert mesh.is_watertight
    assert mesh.is_winding_consistent
    assert mesh.volume == pytest.approx(
        4 / 3 * np.pi * RADIUS**3, rel=0.03
    )  # positive: its faces look outwards
    assert mesh.center_mass == pytest.approx(np.add(CENTRE, SHIFT)[::-1], abs=3)


def test_a_mesh_ends_half_a_voxel_beyond_the_last_centres(labels) -> None:
    mesh = shape(labels, CUBE)
    for axis, side in enumerate(FACES):
        first, last = (SHIFT[axis] + VOXEL[axis] * edge for edge in (side.start - 0.5, side.stop - 0.5))
        assert mesh.vertices[:, axis].min() == pytest.approx(first)
        assert mesh.vertices[:, axis].max() == pytest.approx(last)


def test_smoothing_takes_the_steps_away(labels) -> None:
    rough, smooth = (
        oracle(shape(labels, BALL, settings=ShapeSettings(smoothing=n, detail=0))) for n in (0, 5)
    )

    def off(mesh: trimesh.Trimesh) -> float:
        return float(np.linalg.norm(mesh.vertices - np.add(CENTRE, SHIFT)[::-1], axis=1).std())

    assert off(smooth) < 0.75 * off(rough)
    assert smooth.volume == pytest.approx(rough.volume, rel=0.06)


def test_a_coarser_mesh_is_the_same_solid_of_fewer_triangles(labels) -> None:
    fine, coarse = (shape(labels, BALL, settings=ShapeSettings(detail=nm)) for nm in (0, 12))
    assert coarse.factor == (1, 2, 2)
    assert "1 × 2 × 2 voxels" in coarse.words
    assert len(coarse.faces) < 0.4 * len(fine.faces)
    solids = [oracle(mesh) for mesh in (fine, coarse)]
    assert solids[1].is_watertight
    assert solids[1].volume == pytest.approx(solids[0].volume, rel=0.02)
    assert solids[1].center_mass == pytest.approx(solids[0].center_mass, abs=1)


def test_a_skeleton_sees_every_voxel(labels) -> None:
    assert shape(labels, TUBE, "skeleton", ShapeSettings(detail=100)).factor == (1, 1, 1)


def test_one_voxel_and_a_whole_volume_have_meshes() -> None:
    for ids in (np.ones((1, 1, 1), np.uint8), np.ones((3, 4, 5), np.uint8)):
        mesh = oracle(shape(volume_from_array(ids, VOXEL), 1))
        assert mesh.is_watertight
        assert 0 < mesh.volume <= ids.size * np.prod(VOXEL)


# ---- too large for memory


def test_the_finest_axis_is_made_coarser_first() -> None:
    shape = (100, 1000, 1000)
    assert factor_for(shape, VOXEL, 6 * 10**8) == (1, 1, 1)
    assert factor_for(shape, VOXEL, 6 * 10**8 - 1) == (1, 2, 1)
    assert factor_for(shape, VOXEL, 10**8) == (1, 4, 2)
    assert factor_for((7, 1, 1), (1.0, 1.0, 1.0), 1) == (8, 1, 1)
    assert factor_for(shape, VOXEL, 6 * 10**8, 11.9) == (1, 1, 1)
    assert factor_for(shape, VOXEL, 6 * 10**8, 60) == (2, 8, 8)


def test_a_coarser_mesh_stays_in_its_place_and_says_so(labels) -> None:
    whole, coarse = (solid_of(labels, BALL, memory) for memory in (10**9, 100_000))
    assert whole.factor == (1, 1, 1)
    assert coarse.factor == (1, 2, 2)
    assert coarse.voxel_size == (30, 12, 12)
    for axis in range(3):  # the mean place of what is inside, weighted by how much of a voxel is
        others = tuple(one for one in range(3) if one != axis)
        middles = [
            solid.first[axis]
            + solid.voxel_size[axis]
            * np.average(
                np.arange(solid.inside.shape[axis]), weights=solid.inside.sum(axis=others, dtype=float)
            )
            for solid in (whole, coarse)
        ]
        assert middles[1] == pytest.approx(middles[0], abs=0.1)
    assert coarse.inside.sum() / 255 * 4 == pytest.approx((whole.inside > 0).sum(), rel=0.01)


def test_only_the_box_is_read_and_in_parts(labels, monkeypatch) -> None:
    monkeypatch.setattr("napari_dtn.shapes.solid._PIECE", 1000)
    read = []

    class Watched:
        def __getitem__(self, place):
            read.append(place)
            return labels.data[place]

    (facts,) = (one for one in measure_objects(labels) if one.id == CUBE)
    *_, solid = cut_out(Watched(), CUBE, facts.box, VOXEL, 10**9)
    assert len(read) == 10 * 1
    assert all(np.prod([part.stop - part.start for part in place]) <= 1000 for place in read)
    assert solid.inside.shape == (10, 20, 20)
    assert (solid.inside == 255).all()


# ---- skeletons


def test_a_tube_has_one_path_of_its_length(labels) -> None:
    skeleton = shape(labels, TUBE, "skeleton")
    assert skeleton.length_um == pytest.approx(139 * 6 / 1000, rel=0.03)
    assert skeleton.ends == 2
    middle = np.add(SHIFT, np.multiply(VOXEL, (15.5, 101.5, 79.5)))
    assert skeleton.points.mean(axis=0) == pytest.approx(middle, abs=20)
    assert (skeleton.parents < np.arange(len(skeleton.parents))).all()


@pytest.mark.parametrize("towards", [(1, 1, 0), (0.2, -0.2, 1), (1, 0.5, 0.3)])
def test_an_oblique_path_is_as_long_as_it_is(towards: tuple[float, float, float]) -> None:
    along = np.divide(towards, np.linalg.norm(towards))
    places = (np.indices((40, 150, 150)).reshape(3, -1).T - (20, 75, 75)) * VOXEL
    aside = places - np.clip(places @ along, -350, 350)[:, None] * along
    tube = (np.linalg.norm(aside, axis=1) < 40).reshape(40, 150, 150)
    skeleton = shape(volume_from_array(tube.astype(np.uint8), VOXEL), 1, "skeleton")
    straight = np.ptp(skeleton.points @ along) / 1000
    assert straight == pytest.approx(0.74, abs=0.05)
    assert straight <= skeleton.length_um < 1.06 * straight


def test_parts_of_an_object_are_trees_of_their_own() -> None:
    ids = np.zeros((6, 40, 60), np.uint8)
    ids[2:4, 4:8, 5:55] = ids[2:4, 30:34, 5:55] = 1
    skeleton = shape(volume_from_array(ids, VOXEL), 1, "skeleton")
    assert (skeleton.parents == -1).sum() == 2
    assert skeleton.ends == 4
    assert skeleton.length_um == pytest.approx(2 * 49 * 6 / 1000, rel=0.06)


def test_a_voxel_alone_is_a_point() -> None:
    skeleton = shape(volume_from_array(np.ones((1, 1, 1), np.uint8), VOXEL), 1, "skeleton")
    assert (len(skeleton.points), skeleton.length_um, skeleton.ends) == (1, 0, 0)


# ---- files


@pytest.mark.parametrize("format_", ["obj", "ply"])
def test_meshio_reads_the_mesh(labels, tmp_path: Path, format_: str) -> None:
    mesh = shape(labels, BALL)
    read = meshio.read(write_shape(mesh, tmp_path, format_))
    assert read.points == pytest.approx(mesh.vertices[:, ::-1], abs=0.01)
    assert (read.cells_dict["triangle"] == mesh.faces).all()


def test_gltf_holds_the_mesh(labels, tmp_path: Path) -> None:
    mesh = shape(labels, CUBE)
    gltf = pygltflib.GLTF2().load(str(write_shape(mesh, tmp_path, "glb")))
    (primitive,) = gltf.meshes[0].primitives
    numbers = {}
    for name, at, dtype in (
        ("faces", primitive.indices, "<u4"),
        ("points", primitive.attributes.POSITION, "<f4"),
    ):
        accessor = gltf.accessors[at]
        view = gltf.bufferViews[accessor.bufferView]
        numbers[name] = np.frombuffer(
            gltf.binary_blob(), dtype, view.byteLength // 4, view.byteOffset
        ).reshape(-1, 3)
    assert (numbers["faces"] == mesh.faces).all()
    assert (numbers["points"] == mesh.vertices[:, ::-1]).all()


def test_a_reader_of_precomputed_reads_the_mesh(labels, tmp_path: Path) -> None:
    import json

    mesh = shape(labels, CUBE)
    manifest = write_shape(mesh, tmp_path, "precomputed")
    assert manifest.name == f"{CUBE}:0"
    assert json.loads((tmp_path / "info").read_text()) == {"@type": "neuroglancer_legacy_mesh"}
    (part,) = json.loads(manifest.read_text())["fragments"]
    read = zmesh.Mesh.from_precomputed((tmp_path / part).read_bytes())
    assert (read.vertices == mesh.vertices[:, ::-1]).all()
    assert (read.faces == mesh.faces).all()


@pytest.mark.parametrize("said", ['{"type": "segmentation", "scales": []}', "[1]", "not JSON"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_info_of_something_else_is_left_alone(labels, tmp_path: Path, said: str, overwrite: bool) -> None:
    (tmp_path / "info").write_text(said)
    mesh = shape(labels, CUBE)
    for save in (
        lambda: write_shape(mesh, tmp_path, "precomputed", overwrite),
        lambda: save_shapes(labels, tmp_path, "precomputed", overwrite=overwrite),
    ):
        with pytest.raises(FileExistsError, match="info of something else; choose another folder"):
            save()
    assert [one.name for one in tmp_path.iterdir()] == ["info"]
    assert (tmp_path / "info").read_text() == said
    assert write_shape(mesh, tmp_path, "obj").exists(), "which has no info"


def test_meshes_join_those_that_are_there(labels, tmp_path: Path) -> None:
    said = '{"@type": "neuroglancer_legacy_mesh", "spatial_index": null}'
    (tmp_path / "info").write_text(said)
    assert len(save_shapes(labels, tmp_path, "precomputed")) == 3
    assert (tmp_path / "info").read_text() == said


def test_a_reader_of_swc_reads_the_skeleton(labels, tmp_path: Path) -> None:
    skeleton = shape(labels, TUBE, "skeleton")
    read = osteoid.Skeleton.from_swc(write_shape(skeleton, tmp_path, "swc").read_text())
    assert read.cable_length() == pytest.approx(skeleton.length_um, abs=0.01)
    assert read.vertices == pytest.approx(skeleton.points[:, ::-1] / 1000, abs=1e-4)
    assert read.radii == pytest.approx(skeleton.radii / 1000, abs=1e-4)


def test_shapes_of_all_objects_are_saved_one_file_each(labels, tmp_path: Path) -> None:
    files = save_shapes(labels, tmp_path / "meshes", "ply")
    assert [path.name for path in files] == ["3.ply", "7.ply", "900.ply"]
    with pytest.raises(FileExistsError, match=r"3\.ply exists"):
        save_shapes(labels, tmp_path / "meshes", "ply")
    assert save_shapes(labels, tmp_path / "meshes", "ply", overwrite=True) == files


def test_stopping_leaves_whole_files(labels, tmp_path: Path) -> None:
    steps = save_steps(labels, measure_objects(labels), tmp_path, "obj")
    step = next(step for step in steps if step.path is not None)
    steps.close()
    assert (step.done, step.total) == (1, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["3.obj"]


# ---- what is refused


def test_without_a_voxel_size_there_are_no_shapes(labels) -> None:
    with pytest.raises(ValueError, match="voxel size is not known"):
        list(shape_steps(replace(labels, voxel_size=None), measure_objects(labels), "mesh"))


def test_an_object_that_is_gone_is_named(labels) -> None:
    gone = replace(measure_objects(labels)[0], id=55)
    with pytest.raises(ValueError, match="no object 55"):
        list(shape_steps(labels, [gone], "mesh"))


def test_nothing_chosen_is_said(labels) -> None:
    with pytest.raises(ValueError, match="ask for some"):
        list(shape_steps(labels, [], "mesh"))


def test_windows_has_no_names_with_colons(labels, tmp_path: Path, monkeypatch) -> None:
    mesh = shape(labels, CUBE)
    monkeypatch.setattr(os, "name", "nt")
    with pytest.raises(ValueError, match="colon"):
        write_shape(mesh, tmp_path, "precomputed")


def test_a_missing_library_is_named_with_its_extra(labels, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "trimesh", None)
    with pytest.raises(ImportError, match=r"napari-dtn\[meshes\]"):
        write_shape(shape(labels, CUBE), tmp_path, "obj")


def test_steps_say_how_far_they_are(labels) -> None:
    steps = list(shape_steps(labels, measure_objects(labels), "mesh", ROUGH))
    assert [step.done for step in steps if step.shape is not None] == [1, 2, 3]
    assert all(isinstance(step, ShapeStep) and step.total == 3 for step in steps)
