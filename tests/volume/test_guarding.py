"""What is read is not written over: by one file, or by a folder of them."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest

from napari_dtn.volume.guarding import check_apart, check_folder
from napari_dtn.volume.writing import write_image
from support.volumes import stack


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    folder = tmp_path / "slices"
    folder.mkdir()
    for z, plane in enumerate(stack((3, 20, 30))):
        iio.imwrite(folder / f"{z}.png", plane)
    return folder


@pytest.mark.parametrize("name", ["0.png", "curves.png", "CURVES.TIF"])
def test_a_picture_does_not_come_among_slices(slices: Path, name: str) -> None:
    with pytest.raises(ValueError, match=r"would be taken for a slice of .*choose another folder"):
        check_apart(slices / name, str(slices))


def test_there_is_room_beside_slices(slices: Path) -> None:
    check_apart(slices / "scores.json", str(slices))
    check_apart(slices / "further" / "curves.png", str(slices))
    check_apart(slices / "boundaries.zarr", str(slices))


def test_a_part_of_a_store_is_not_replaced(tmp_path: Path) -> None:
    store = tmp_path / "em.zarr"
    write_image(store, np.zeros((2, 32, 32), np.uint8), voxel_size=None, attributes={})
    with pytest.raises(ValueError, match="would be written over"):
        check_apart(store / "zarr.json", None, str(store))
    check_apart(store / "labels" / "neurites", str(store))


def test_a_folder_of_files_is_no_input(slices: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(slices)
    for folder in (slices, ".", slices.parent / "further" / ".." / "slices"):
        with pytest.raises(ValueError, match="which is read; choose another folder"):
            check_folder(folder, None, "s3://bucket/volume", str(slices))


def test_a_folder_of_files_may_hold_an_input_and_lie_in_one(slices: Path) -> None:
    check_folder(slices.parent, str(slices))
    check_folder(slices / "report", str(slices))


def test_a_file_is_no_folder_for_files(slices: Path) -> None:
    with pytest.raises(NotADirectoryError, match=r"1\.png is a file; choose another folder"):
        check_folder(slices / "1.png", str(slices))
