"""Labels as files: read back by the libraries of their formats, and by the package itself."""

from __future__ import annotations

import errno
from dataclasses import replace
from typing import TYPE_CHECKING

import h5py
import numpy as np
import pytest
import tensorstore
import tifffile

from napari_dtn.volume import label_files
from napari_dtn.volume.label_files import save_label_steps, save_labels
from napari_dtn.volume.opening import Volume, open_volume, volume_from_array

if TYPE_CHECKING:
    from pathlib import Path

VOXEL, SHIFT = (30.0, 6.5, 6.0), (60.0, 13.0, 0.0)
NAMES = ("labels.zarr", "labels.tif", "labels.h5")


def ids(largest: int = 60_000) -> np.ndarray:
    coarse = np.random.default_rng(0).integers(0, largest, (3, 9, 11))
    return np.kron(coarse, np.ones((1, 65, 70), int)).astype(np.uint32)


def labels(largest: int = 60_000) -> Volume:
    return replace(volume_from_array(ids(largest), VOXEL, "ids"), translation=SHIFT)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("largest", [60_000, 4_000_000_000])
def test_what_was_written_opens_with_its_voxel_size(tmp_path: Path, name: str, largest: int) -> None:
    volume = open_volume(save_labels(labels(largest), tmp_path / name))
    assert (volume.data.compute() == ids(largest)).all()
    assert volume.voxel_size == pytest.approx(VOXEL)
    assert volume.translation == (SHIFT if not name.endswith("tif") else (0, 0, 0))


def test_small_ids_become_a_stack_for_imagej(tmp_path: Path) -> None:
    with tifffile.TiffFile(save_labels(labels(), tmp_path / "a.tif")) as file:
        assert file.is_imagej
        assert not file.is_bigtiff
        assert (file.series[0].axes, file.series[0].dtype) == ("ZYX", np.uint16)
        assert (file.imagej_metadata["spacing"], file.imagej_metadata["unit"]) == (30, "nm")
        assert (file.asarray() == ids()).all()


@pytest.mark.parametrize("why", ["large ids", "large stack"])
def test_what_imagej_cannot_hold_becomes_a_bigtiff(tmp_path: Path, monkeypatch, why: str) -> None:
    if why == "large stack":
        monkeypatch.setattr(label_files, "_IMAGEJ_BYTES", 1000)
    largest = 70_000 if why == "large ids" else 100
    with tifffile.TiffFile(save_labels(labels(largest), tmp_path / "a.tif")) as file:
        assert file.is_bigtiff
        assert 'PhysicalSizeY="6.5"' in file.ome_metadata
        assert (file.asarray() == ids(largest)).all()


def test_tensorstore_reads_the_finest_level_of_the_pyramid(tmp_path: Path) -> None:
    path = save_labels(labels(), tmp_path / "a.zarr")
    store = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "0")}}
    assert (tensorstore.open(store).result().read().result() == ids()).all()
    assert len(open_volume(path).levels) == 2


def test_hdf5_states_resolution_and_offset(tmp_path: Path) -> None:
    with h5py.File(save_labels(labels(), tmp_path / "a.h5"), "r") as file:
        dataset = file["labels"]
        assert dataset.attrs["resolution"].tolist() == list(VOXEL)
        assert dataset.attrs["offset"].tolist() == list(SHIFT)
        assert (dataset[:] == ids()).all()


@pytest.mark.parametrize("name", NAMES)
def test_stopping_leaves_nothing_and_what_was_there_stays(tmp_path: Path, name: str) -> None:
    steps = save_label_steps(labels(), tmp_path / name)
    first = next(steps)
    assert 0 < first.done < first.total
    steps.close()
    assert list(tmp_path.iterdir()) == []
    save_labels(labels(100), tmp_path / name)
    steps = save_label_steps(labels(), tmp_path / name, overwrite=True)
    next(steps)
    steps.close()
    assert (open_volume(tmp_path / name).data.compute() == ids(100)).all()
    *_, last = save_label_steps(labels(), tmp_path / name, overwrite=True)
    assert last.done == last.total
    assert (open_volume(tmp_path / name).data.compute() == ids()).all()


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    save_labels(labels(), tmp_path / "a.tif")
    with pytest.raises(FileExistsError, match=r"a\.tif exists"):
        save_labels(labels(), tmp_path / "a.tif")


def test_a_folder_is_replaced_only_if_it_is_an_image(tmp_path: Path) -> None:
    path = save_labels(labels(), tmp_path / "a.zarr")
    (path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        save_labels(labels(), path, overwrite=True)
    (tmp_path / "b.tif").mkdir()
    with pytest.raises(FileExistsError, match="no OME-Zarr image"):
        save_labels(labels(), tmp_path / "b.tif", overwrite=True)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.zarr", "b.tif"]


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_full_disk_is_an_error_and_leaves_nothing(tmp_path: Path, monkeypatch, name: str) -> None:
    """Writing on would end the process: a mapped file by a signal, HDF5 by a fault of its own."""
    usage = label_files.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(label_files.shutil, "disk_usage", lambda _: usage._replace(free=2**22))
    with pytest.raises(OSError, match="No space left") as caught:
        save_labels(labels(), tmp_path / name)
    assert caught.value.errno == errno.ENOSPC
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", NAMES)
def test_wide_ids_are_written_and_negative_ones_refused(tmp_path: Path, name: str) -> None:
    wide = volume_from_array(ids(4_000_000_000).astype(np.int64), VOXEL, "ids")
    assert (open_volume(save_labels(wide, tmp_path / name)).data.compute() == ids(4_000_000_000)).all()
    below = volume_from_array(ids().astype(np.int64) - 70_000, VOXEL, "ids")
    with pytest.raises(ValueError, match="the id -"):
        save_labels(below, tmp_path / f"below {name}")
    assert len(list(tmp_path.iterdir())) == 1


def test_an_id_that_no_tiff_can_hold_is_named(tmp_path: Path) -> None:
    huge = volume_from_array(ids().astype(np.uint64) + 2**40, VOXEL, "ids")
    with pytest.raises(ValueError, match=r"up to 4294967295, and there is 1099\d+; save as \.h5 or \.zarr"):
        save_labels(huge, tmp_path / "labels.tif")
    assert open_volume(save_labels(huge, tmp_path / "labels.h5")).data.max().compute() > 2**40


def test_a_name_without_a_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"labels\.png has no format.*\.zarr, \.tif or \.h5"):
        save_labels(labels(), tmp_path / "labels.png")
    with pytest.raises(ValueError, match="float64"):
        save_labels(volume_from_array(np.zeros((2, 3, 4))), tmp_path / "a.tif")
