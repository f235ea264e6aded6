"""Files written by other libraries open lazily, with their axes and their voxel size."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dask
import dask.array as da
import h5py
import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_dtn.volume.formats import sniff
from napari_dtn.volume.geometry import name_axes, nanometres, to_zyx
from napari_dtn.volume.lazy import to_dask
from napari_dtn.volume.opening import open_volume, volume_from_array
from support.permissions import permissions_count, public_folder
from support.volumes import check, stack

DTYPES = ["u1", "u2", "u4", "u8", "i2", "i4", "i8", "f4", "f8", "?"]
SIZES = st.tuples(st.integers(1, 4), st.integers(2, 9), st.integers(2, 9))


# -- folders ---------------------------------------------------------------------------------------------


def write_folder(folder: Path, images: np.ndarray, suffix: str = ".png") -> list[Path]:
    folder.mkdir(exist_ok=True)
    files = [folder / f"slice {i}{suffix}" for i in range(len(images))]
    for file, plane in zip(files, images, strict=True):
        (tifffile if suffix == ".tif" else iio).imwrite(file, plane)
    return files


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
def test_folder_in_natural_order(tmp_path: Path, suffix: str, dtype: str):
    expected = stack((12, 20, 30), dtype)
    write_folder(tmp_path / "slices", expected, suffix)
    (tmp_path / "slices" / "notes.txt").write_text("not a slice")
    (tmp_path / "slices" / f"._slice 0{suffix}").write_text("what macOS leaves behind")
    volume = open_volume(tmp_path / "slices")
    check(volume, expected)
    assert volume.name == "slices"


def test_folder_of_jpeg(tmp_path: Path):
    files = write_folder(tmp_path / "slices", np.full((3, 16, 16), 77, np.uint8), ".jpg")
    np.testing.assert_array_equal(open_volume(tmp_path / "slices").data[1], iio.imread(files[1]))


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("odd", [0, 2])
def test_the_odd_file_of_a_folder_is_named(tmp_path: Path, suffix: str, odd: int):
    files = write_folder(tmp_path / "a", stack(), suffix)
    (tifffile if suffix == ".tif" else iio).imwrite(files[odd], stack((20, 31)))
    with pytest.raises(ValueError, match=rf"slice {odd}{suffix} is uint8 \(20, 31\), the other slices are"):
        open_volume(tmp_path / "a")
    (tifffile if suffix == ".tif" else iio).imwrite(files[odd], stack((20, 30), "u2"))
    with pytest.raises(ValueError, match=rf"slice {odd}{suffix} is uint16 \(20, 30\)"):
        open_volume(tmp_path / "a")


def test_folder_with_stacks_in_it(tmp_path: Path):
    tifffile.imwrite(tmp_path / "stack.tif", stack())
    with pytest.raises(ValueError, match=r"stack\.tif holds 5 slices of shape \(20, 30\); open this file"):
        open_volume(tmp_path)


def test_empty_folder(tmp_path: Path):
    with pytest.raises(ValueError, match="has no TIFF, PNG or JPEG slices and is no zarr"):
        open_volume(tmp_path)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_reading_one_slice_of_a_folder_reads_no_other(tmp_path: Path, suffix: str):
    expected = stack((12, 60, 60))
    files = write_folder(tmp_path / "slices", expected, suffix)
    volume = open_volume(tmp_path / "slices")
    for file in files:
        if file != files[7]:
            file.write_bytes(file.read_bytes()[:100])
    np.testing.assert_array_equal(volume.data[7, 3:9, 5:], expected[7, 3:9, 5:])
    with pytest.raises(ValueError, match=rf"slice 8{suffix} cannot be read; is it damaged"):
        volume.data[7:9].compute()


def test_opening_a_folder_reads_no_pixels(tmp_path: Path):
    """Whole headers, no pixels: PNG files cut after their first 60 bytes still have a shape."""
    expected = stack((12, 60, 60))
    files = write_folder(tmp_path / "slices", expected)
    for file in files[1:]:
        file.write_bytes(file.read_bytes()[:60])
    volume = open_volume(tmp_path / "slices")
    assert volume.shape == expected.shape
    np.testing.assert_array_equal(volume.data[0], expected[0])


def test_a_slice_that_changed_since_is_named(tmp_path: Path):
    files = write_folder(tmp_path / "slices", stack())
    volume = open_volume(tmp_path / "slices")
    iio.imwrite(files[1], stack((10, 10)))
    with pytest.raises(ValueError, match=r"slice 1\.png has changed: it is uint8 \(10, 10\)"):
        volume.data[1].compute()


# -- HDF5 ------------------------------------------------------------------------------------------------


def write_cremi(path: Path) -> Path:
    with h5py.File(path, "w") as file:
        raw = file.create_dataset("volumes/raw", data=stack(), chunks=(2, 8, 8), compression="gzip")
        raw.attrs["resolution"] = (40.0, 4.0, 4.0)
        ids = file.create_dataset("volumes/labels/neuron_ids", data=stack(dtype="u8"))
        ids.attrs["resolution"], ids.attrs["offset"] = (40.0, 4.0, 4.0), (120.0, 8.0, 8.0)
        file.create_dataset("annotations/locations", data=np.zeros((7, 3)))
    return path


def test_cremi(tmp_path: Path):
    path = write_cremi(tmp_path / "sample_A.hdf")
    for spelling in (f"{path}::/volumes/raw", f"{path}::volumes/raw", path / "volumes" / "raw"):
        volume = open_volume(spelling)
        check(volume, stack())
        assert (volume.voxel_size, volume.name) == ((40, 4, 4), "sample_A raw")
    ids = open_volume(f"{path}::/volumes/labels/neuron_ids")
    check(ids, stack(dtype="u8"))
    assert (ids.translation, ids.origin) == ((120, 8, 8), (3, 2, 2))


@pytest.mark.parametrize("inner", ["", "::/volumes/rav", "::/volumes"])
def test_hdf5_lists_what_it_holds(tmp_path: Path, inner: str):
    path = write_cremi(tmp_path / "a.h5")
    with pytest.raises(
        ValueError, match=r"/volumes/labels/neuron_ids uint64 \(5, 20, 30\), /volumes/raw uint8"
    ):
        open_volume(f"{path}{inner}")


def test_the_only_volume_of_hdf5_is_taken(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["table"] = np.zeros((7, 3))
        file["exported_data"] = stack(dtype="f4")
        file["exported_data"].attrs["element_size_um"] = (0.03, 0.006, 0.006)
    volume = open_volume(tmp_path / "a.h5")
    check(volume, stack(dtype="f4"))
    assert volume.voxel_size == pytest.approx((30, 6, 6))


def test_broken_hdf5(tmp_path: Path):
    (tmp_path / "a.h5").write_bytes(b"no HDF5")
    with pytest.raises(ValueError, match=r"a\.h5 cannot be read; is it damaged"):
        open_volume(tmp_path / "a.h5")


def test_hdf5_reads_only_the_chunks_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = write_cremi(tmp_path / "a.h5")
    keys: list[object] = []
    original = h5py.Dataset.__getitem__
    monkeypatch.setattr(
        h5py.Dataset, "__getitem__", lambda self, key: (keys.append(key), original(self, key))[1]
    )
    volume = open_volume(f"{path}::/volumes/raw")
    assert keys == []
    np.testing.assert_array_equal(volume.data[3, 2:5, 4:9], stack()[3, 2:5, 4:9])
    assert keys == [(slice(3, 4), slice(2, 5), slice(4, 9))]


# -- all of them -----------------------------------------------------------------------------------------


@pytest.fixture
def every_format(tmp_path: Path) -> list[str]:
    """One volume, stack((9, 40, 48)), in every format."""
    expected = stack((9, 40, 48))
    tifffile.imwrite(tmp_path / "a.tif", expected, compression="zlib", rowsperstrip=16)
    tifffile.imwrite(tmp_path / "tiles.tif", expected, compression="zlib", tile=(16, 16))
    tifffile.imwrite(tmp_path / "raw.tif", expected)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("raw", data=expected, chunks=(8, 16, 16), compression="gzip")
    write_folder(tmp_path / "folder", expected)
    zarr.save_array(str(tmp_path / "a.zarr"), expected)
    return [str(tmp_path / name) for name in ("a.tif", "tiles.tif", "raw.tif", "a.h5", "folder", "a.zarr")]


def test_many_threads_read_at_once(every_format: list[str]):
    expected = stack((9, 40, 48))
    for path in every_format:
        data = open_volume(path).data
        with dask.config.set(scheduler="threads", num_workers=8):
            for _ in range(2):
                np.testing.assert_array_equal(data.compute(), expected)
        with ThreadPoolExecutor(8) as pool:
            order = np.random.default_rng(0).permutation(np.repeat(np.arange(9), 4))
            found = list(pool.map(lambda z, data=data: data[z].compute(scheduler="synchronous"), order))
        np.testing.assert_array_equal(found, expected[order])


@pytest.mark.parametrize(
    "key",
    [
        (3, slice(5, 9), slice(0, 40, 3)),
        slice(0, 0),
        [5, 1, 1],
        (slice(2, 4), [7, 3]),
        (..., slice(None, None, -2)),
    ],
)
def test_parts_are_those_of_the_whole(every_format: list[str], key):
    for path in every_format:
        np.testing.assert_array_equal(open_volume(path).data[key], stack((9, 40, 48))[key])


def test_volumes_can_be_sent_to_another_process(every_format: list[str]):
    for path in every_format:
        volume = pickle.loads(pickle.dumps(open_volume(path)))
        np.testing.assert_array_equal(volume.data[7], stack((9, 40, 48))[7])


def test_sniff_knows_what_opens(every_format: list[str], tmp_path: Path):
    assert all(sniff(path) and sniff(Path(path)) for path in every_format)
    assert sniff(tmp_path / "a.h5::/raw")
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "empty").mkdir()
    for name in ("a.txt", "empty", "missing.tif"):
        assert not sniff(tmp_path / name)


def test_missing_and_unknown(tmp_path: Path):
    for name in ("no.tif", "no.zarr", "no/where.h5", "no.h5::/raw", "no folder"):
        with pytest.raises(FileNotFoundError, match="does not exist; check the path"):
            open_volume(tmp_path / name)
    for name in ("a.raw", "a"):
        (tmp_path / name).write_bytes(b"else")
        with pytest.raises(ValueError, match="is in no format that opens; convert it to TIFF"):
            open_volume(tmp_path / name)
    for name in ("text.tif", "text.png"):
        (tmp_path / name).write_text("text")
        with pytest.raises(ValueError, match=f"{name} cannot be read; is it damaged"):
            open_volume(tmp_path / name)
    tifffile.imwrite(tmp_path / "a.tif", stack())
    with pytest.raises(ValueError, match="only HDF5, zarr and N5 have"):
        open_volume(f"{tmp_path / 'a.tif'}::/raw")


def test_a_stray_zarr_above_a_missing_file_does_not_claim_it(tmp_path: Path):
    zarr.create_group(str(tmp_path))
    (tmp_path / "folder").mkdir()
    assert not sniff(tmp_path / "folder" / "no.tif")
    with pytest.raises(FileNotFoundError, match="does not exist; check the path"):
        open_volume(tmp_path / "folder" / "no.tif")


def test_volume_from_arrays(tmp_path: Path):
    expected = stack()
    array = zarr.create_array(str(tmp_path / "a.zarr"), data=expected)
    for source in (expected, da.from_array(expected, chunks=4), array, expected.tolist()):
        volume = volume_from_array(source, voxel_size=(30, 6, 6), name="mine")
        np.testing.assert_array_equal(volume.data, expected)
        assert (volume.voxel_size, volume.name, volume.path) == ((30, 6, 6), "mine", None)
    check(volume_from_array(expected[0]), expected[:1])
    check(volume_from_array(expected[None, :, None]), expected)
    check(volume_from_array(expected[..., None]), expected)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(7), r"has shape \(7,\); give one slice"),
        (np.zeros((2, 2, 3, 4, 5)), r"has shape \(2, 2, 3, 4, 5\)"),
        (np.zeros((2, 3, 4, 5)), "has 2 channels"),
        (np.zeros((20, 30, 3), np.uint8), "has 3 colours; convert it to grey"),
        (np.zeros((5, 20, 30, 4), np.uint8), "has 4 colours"),
        (np.zeros((2, 0, 5)), "not empty"),
        (np.zeros((2, 3, 4), complex), "holds complex128; convert it"),
    ],
)
def test_arrays_that_are_no_volume(array: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        volume_from_array(array)


@given(order=st.permutations("czyx"), channel=st.integers(0, 1))
@settings(max_examples=24, deadline=None)
def test_axes_in_any_order_become_zyx(order: list[str], channel: int):
    axes = "".join(order)
    expected = stack((2, 3, 4, 5))
    array = expected.transpose(["czyx".index(axis) for axis in axes])
    np.testing.assert_array_equal(to_zyx(to_dask(array, axes), axes, channel), expected[channel])


@given(shape=st.lists(st.sampled_from([1, 2, 5]), min_size=2, max_size=6))
@settings(max_examples=100, deadline=None)
def test_axes_of_length_one_change_no_value(shape: list[int]):
    array = stack(tuple(shape))
    if sum(size > 1 for size in shape) <= 3:
        volume = volume_from_array(array)
        np.testing.assert_array_equal(volume.data.compute().ravel(), array.ravel())
        assert len(name_axes(tuple(shape), "u1")) == len(shape)


@pytest.mark.parametrize(
    "units", [np.bytes_("um"), np.array([b"um"] * 3), np.array([b"um"]), ["um"] * 3, "um"]
)
def test_hdf5_units_are_read_in_whatever_strings_they_are(tmp_path, units):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["raw"] = stack((2, 8, 8))
        file["raw"].attrs.update(resolution=[0.04, 0.004, 0.004], units=units)
    assert open_volume(tmp_path / "a.h5").voxel_size == pytest.approx((40, 4, 4))


def test_units():
    assert [nanometres(unit) for unit in ("nm", " Micron", "Å", "pixel", None, "")] == [
        1,
        1e3,
        0.1,
        None,
        None,
        None,
    ]


@given(
    array=SIZES.flatmap(lambda shape: st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, shape))),
    compressed=st.booleans(),
)
@settings(max_examples=30, deadline=None)
def test_any_stack_comes_back_from_tiff_hdf5_and_zarr(tmp_path_factory, array, compressed):
    folder = tmp_path_factory.mktemp("any")
    compression = "zlib" if compressed else None
    tifffile.imwrite(folder / "a.tif", array, photometric="minisblack", compression=compression)
    with h5py.File(folder / "a.h5", "w") as file:
        file.create_dataset("raw", data=array, compression="gzip" if compressed else None)
    for version in (2, 3):
        zarr.save_array(str(folder / f"a{version}.zarr"), array, zarr_format=version)
    for name in ("a.tif", "a.h5", "a2.zarr", "a3.zarr"):
        check(open_volume(folder / name), array)
    check(volume_from_array(array), array)


def test_axes_that_ilastik_states(tmp_path: Path):
    image = np.random.default_rng(0).integers(0, 200, (4, 20, 30, 2), dtype=np.uint8)
    with h5py.File(tmp_path / "probabilities.h5", "w") as file:
        data = file.create_dataset("exported_data", data=image)
        data.attrs["axistags"] = json.dumps({"axes": [{"key": key, "typeFlags": 2} for key in "zyxc"]})
    for channel in range(2):
        found = open_volume(f"{tmp_path}/probabilities.h5::/exported_data", channel=channel)
        np.testing.assert_array_equal(found.data, image[..., channel])


def test_what_may_not_be_read_says_so(tmp_path: Path) -> None:
    with public_folder() as folder:
        closed = folder / "closed"
        closed.mkdir()
        for place in (folder / "em.tif", closed / "em.tif"):
            tifffile.imwrite(place, stack((2, 20, 30)), photometric="minisblack")
        (folder / "em.tif").chmod(0o200)
        closed.chmod(0o600)
        with permissions_count():
            for place, named in ((folder / "em.tif", folder / "em.tif"), (closed / "em.tif", closed)):
                with pytest.raises(
                    PermissionError, match=rf"em\.tif may not be read.*permission for {named};"
                ):
                    open_volume(place)
            assert sniff(folder / "em.tif"), "napari asks us, and shows what is said"
            with pytest.raises(FileNotFoundError):
                open_volume(folder / "nothing.tif")
