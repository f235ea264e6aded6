"""``napari-dtn shapes``: objects of a volume of ids, from the command line."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import trimesh

import napari_dtn as dtn
from napari_dtn.cli import BAD_INPUT, DONE, main
from napari_dtn.volume.writing import write_labels

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def labels(tmp_path: Path) -> str:
    ids = np.zeros((10, 40, 60), np.uint32)
    ids[2:6, 10:30, 5:15], ids[1:9, 8:12, 20:55] = 4, 17
    write_labels(tmp_path / "labels.zarr", ids, voxel_size=(30, 6, 6), attributes={})
    return str(tmp_path / "labels.zarr")


def test_a_mesh_of_each_object_is_written(labels: str, tmp_path: Path, capsys) -> None:
    assert main(["shapes", labels, "-o", str(tmp_path / "m"), "--format", "glb", "--json", "-"]) == DONE
    result = json.loads(capsys.readouterr().out)
    assert [one["id"] for one in result["shapes"]] == [4, 17]
    assert [one["factor"] for one in result["shapes"]] == [[1, 2, 2]] * 2  # 12 nm are fine enough
    mesh = trimesh.load(result["shapes"][0]["path"], force="mesh")
    assert len(mesh.faces) == result["shapes"][0]["triangles"]
    assert mesh.bounds.mean(axis=0) == pytest.approx([9.5 * 6, 19.5 * 6, 3.5 * 30], abs=1)


def test_a_mesh_may_show_every_voxel(labels: str, tmp_path: Path, capsys) -> None:
    triangles = []
    for nm in ("0", "12"):
        arguments = ["shapes", labels, "-o", str(tmp_path / nm), "--format", "obj", "--detail", nm]
        assert main([*arguments, "--json", "-"]) == DONE
        triangles += [one["triangles"] for one in json.loads(capsys.readouterr().out)["shapes"]]
    assert triangles[2] < 0.5 * triangles[0]
    assert triangles[3] < 0.5 * triangles[1]


def test_chosen_skeletons_and_a_table(labels: str, tmp_path: Path, capsys) -> None:
    out = str(tmp_path / "s")
    assert main(["shapes", labels, "-o", out, "--format", "swc", "--ids", "17", "--json", "-"]) == DONE
    (found,) = json.loads(capsys.readouterr().out)["shapes"]
    assert found["length_um"] > 0.18
    assert (tmp_path / "s" / "17.swc").is_file()
    assert main(["shapes", labels, "-o", out, "--format", "csv"]) == DONE
    with (tmp_path / "s" / "objects.csv").open(newline="") as file:
        assert [(row["id"], row["voxels"]) for row in csv.DictReader(file)] == [("4", "800"), ("17", "1120")]


def test_a_box_beyond_memory_is_said(labels: str, tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.setattr("napari_dtn.shapes.solid._BYTES", 2000)  # of a voxel: one MiB is little
    arguments = ["shapes", labels, "-o", str(tmp_path / "m"), "--memory", "1", "--ids", "17"]
    arguments += ["--detail", "0"]
    assert main([*arguments, "--json", "-"]) == DONE
    said = capsys.readouterr()
    assert json.loads(said.out)["shapes"][0]["factor"] == [1, 2, 2]
    assert "1 × 2 × 2 voxels" in said.err


def test_an_id_that_is_named_twice_is_written_once(labels: str, tmp_path: Path, capsys) -> None:
    arguments = ["shapes", labels, "-o", str(tmp_path / "m"), "--ids", "17", "4", "17"]
    assert main([*arguments, "--json", "-"]) == DONE
    assert [shape["id"] for shape in json.loads(capsys.readouterr().out)["shapes"]] == [17, 4]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--ids", "5"], "has no object 5"),
        (["--ids"], "--ids"),
        (["--format", "stl"], "stl"),
        (["--memory", "0"], "at least 1"),
    ],
)
def test_bad_input_is_one_line(labels: str, tmp_path: Path, capsys, more: list[str], words: str) -> None:
    assert main(["shapes", labels, "-o", str(tmp_path / "m"), *more]) == BAD_INPUT
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_files_are_replaced_only_if_asked(labels: str, tmp_path: Path, capsys) -> None:
    arguments = ["shapes", labels, "-o", str(tmp_path / "m"), "--ids", "4"]
    assert [main(arguments), main(arguments), main([*arguments, "--overwrite"])] == [DONE, BAD_INPUT, DONE]
    assert "4.obj exists" in capsys.readouterr().err


def test_the_info_of_a_segmentation_is_never_replaced(labels: str, tmp_path: Path, capsys) -> None:
    out = tmp_path / "segmentation"
    out.mkdir()
    (out / "info").write_text('{"type": "segmentation"}')
    arguments = ["shapes", labels, "-o", str(out), "--format", "precomputed", "--overwrite"]
    assert main(arguments) == BAD_INPUT
    said = capsys.readouterr().err
    assert "choose another folder, such as its `mesh`" in said
    assert "looking for objects" not in said, "it is said at once"
    assert [one.name for one in out.iterdir()] == ["info"]
    assert main([*arguments[:3], str(out / "mesh"), *arguments[4:]]) == DONE
    assert (out / "info").read_text() == '{"type": "segmentation"}'


def test_the_same_in_python(labels: str, tmp_path: Path) -> None:
    volume = dtn.open_volume(labels)
    objects = dtn.measure_objects(volume)
    assert [one.id for one in objects] == [4, 17]
    assert dtn.save_table(objects, tmp_path / "t.csv").is_file()
    assert [path.name for path in dtn.save_shapes(volume, tmp_path, "swc", objects[:1])] == ["4.swc"]
    assert (dtn.open_volume(dtn.save_labels(volume, tmp_path / "l.h5")).data == volume.data).all()
