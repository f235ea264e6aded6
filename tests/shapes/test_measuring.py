"""Facts about the objects of a volume of ids, against scikit-image; their table, read by the csv module."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

import numpy as np
import pytest
from skimage.measure import regionprops

from napari_dtn.shapes.measuring import measure_objects, measure_steps
from napari_dtn.shapes.table import save_table
from napari_dtn.volume.opening import volume_from_array

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def ids() -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, 40, (6, 7, 9))
    return np.kron(coarse, np.ones((1, 5, 6), int)).astype(np.uint32) * 1000


def test_facts_are_those_of_scikit_image(ids, monkeypatch) -> None:
    monkeypatch.setattr("napari_dtn.shapes.measuring._SIDE", 16)  # objects lie in several parts of a slice
    found = measure_objects(volume_from_array(ids, (30, 6, 6)))
    wanted = regionprops(ids)
    assert [one.id for one in found] == [one.label for one in wanted]
    for one, props in zip(found, wanted, strict=True):
        assert one.voxels == props.area
        assert one.centroid == pytest.approx(props.centroid)
        assert np.array(one.box).T.ravel().tolist() == list(props.bbox)
        assert one.um3 == pytest.approx(props.area * 30 * 6 * 6 / 1e9)
        assert one.slices == len({*props.coords[:, 0]})


def test_an_empty_volume_has_no_objects() -> None:
    assert measure_objects(volume_from_array(np.zeros((2, 3, 4), np.uint8))) == ()


def test_grey_values_are_no_ids() -> None:
    with pytest.raises(ValueError, match="float32"):
        next(measure_steps(volume_from_array(np.zeros((2, 3, 4), np.float32))))


def test_the_table_is_read_back(ids, tmp_path: Path) -> None:
    objects = measure_objects(volume_from_array(ids, (30, 6, 6)))
    with save_table(objects, tmp_path / "objects.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(objects)
    for row, one in zip(rows, objects, strict=True):
        assert (int(row["id"]), int(row["voxels"]), int(row["slices"])) == (one.id, one.voxels, one.slices)
        assert float(row["volume_um3"]) == pytest.approx(one.um3, rel=1e-5)
        assert ((int(row["z_first"]), int(row["z_end"])), int(row["x_end"])) == (one.box[0], one.box[2][1])
        assert float(row["centroid_y"]) == pytest.approx(one.centroid[1], abs=0.0051)
