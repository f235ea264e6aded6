"""Files written by other libraries open lazily, with their axes and their voxel size."""

from __future__ import annotations

import json
import pickle
import shutil
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

from napari_dtn.volume.geometry import name_axes, nanometres, to_zyx
from napari_dtn.volume.lazy import to_dask
from napari_dtn.volume.opening import Volume, open_volume, sniff, volume_from_array

DTYPES = ["u1", "u2", "u4", "u8", "i2", "i4", "i8", "f4", "f8", "?"]
SIZES = st.tuples(st.integers(1, 4), st.integers(2, 9), st.integers(2, 9))


def stack(shape: tuple[int, ...] = (5, 20, 30), dtype: str = "u1", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def write_ome(
    path: Path,
    levels: list[np.ndarray],
    axes: str = "zyx",
    *,
    unit: str | None = "nanometer",
    scale: tuple[float, ...] = (30, 6, 6),
    translation: tuple[float, ...] | None = None,
    zarr_format: int = 3,
) -> Path:
    """OME-Zarr 0.4 (zarr 2) or 0.5 (zarr 3), written with zarr alone."""
    kinds = {"t": "time", "c": "channel"}
    named = [{"name": axis, "type": kinds.get(axis, "space")} for axis in axes]
    for axis in named:
        if axis["type"] == "space" and unit:
            axis["unit"] = unit
    datasets = []
    group = zarr.create_group(str(path), zarr_format=zarr_format)
    for i, level in enumerate(levels):
        array = group.create_array(
            f"s{i}", shape=level.shape, dtype=level.dtype, chunks=(1,) * (level.ndim - 2) + (8, 8)
        )
        array[...] = level
        factor = [a / b for a, b in zip(levels[0].shape, level.shape, strict=True)]
        steps = [{"type": "scale", "scale": [a * b for a, b in zip(scale, factor, strict=True)]}]
        if translation:
            steps.append({"type": "translation", "translation": list(translation)})
        datasets.append({"path": f"s{i}", "coordinateTransformations": steps})
    image = {"axes": named, "datasets": datasets, "name": "written elsewhere"}
    if zarr_format == 3:
        group.update_attributes({"ome": {"version": "0.5", "multiscales": [image]}})
    else:
        group.update_attributes({"multiscales": [{**image, "version": "0.4"}]})
    return path


def check(volume: Volume, expected: np.ndarray) -> None:
    assert volume.data.dtype == expected.dtype
    assert volume.data.dtype.isnative
    assert volume.shape == expected.shape
    assert volume.data.chunksize[0] == 1
    np.testing.assert_array_equal(volume.data.compute(), expected)


# -- TIFF ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"compression": "zlib"},
        {"compression": "zlib", "predictor": True},
        {"compression": "zlib", "rowsperstrip": 3},
        {"bigtiff": True, "tile": (16, 16), "compression": "zlib"},
        {"byteorder": ">"},
        {"volumetric": True, "tile": (16, 16, 16)},
        {"imagej": True, "metadata": {"axes": "ZYX"}},
        {"ome": True, "metadata": {"axes": "ZYX"}},
        {"metadata": None},
    ],
    ids=str,
)
@pytest.mark.parametrize("as_path", [str, Path])
def test_tiff_stacks(tmp_path: Path, options: dict, as_path):
    expected = stack(dtype="u2")
    tifffile.imwrite(tmp_path / "stack.tif", expected, photometric="minisblack", **options)
    volume = open_volume(as_path(tmp_path / "stack.tif"))
    check(volume, expected)
    assert (volume.name, volume.path) == ("stack", str(tmp_path / "stack.tif"))
    assert (volume.voxel_size, volume.translation) == (None, (0, 0, 0))


@given(
    array=SIZES.flatmap(lambda shape: st.sampled_from(DTYPES).flatmap(lambda dtype: arrays(dtype, shape))),
    compressed=st.booleans(),
)
@settings(max_examples=60, deadline=None)
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


def test_pages_written_one_by_one_without_any_metadata(tmp_path: Path):
    expected = stack()
    with tifffile.TiffWriter(tmp_path / "plain.tif") as writer:
        for plane in expected:
            writer.write(plane, metadata=None, contiguous=False, photometric="minisblack")
    check(open_volume(tmp_path / "plain.tif"), expected)


def test_one_page_that_is_a_whole_stack(tmp_path: Path):
    """ImageJ writes stacks over 4 GB as one page, followed by the pixels of the others."""
    expected = stack(dtype="u2")
    tifffile.imwrite(tmp_path / "ij.tif", expected, imagej=True, metadata={"axes": "ZYX"})
    with tifffile.TiffFile(tmp_path / "ij.tif", mode="r+b") as tif:
        page = tif.pages[0]
        end = page.offset + 2 + 12 * len(page.tags)
        tif.filehandle.seek(end)
        tif.filehandle.write(b"\0\0\0\0")
    with tifffile.TiffFile(tmp_path / "ij.tif") as tif:
        assert len(tif.pages) == 1
    check(open_volume(tmp_path / "ij.tif"), expected)


def test_one_image_is_one_slice(tmp_path: Path):
    expected = stack((20, 30))
    tifffile.imwrite(tmp_path / "one.tif", expected)
    iio.imwrite(tmp_path / "one.png", expected)
    check(open_volume(tmp_path / "one.tif"), expected[None])
    check(open_volume(tmp_path / "one.png"), expected[None])


@pytest.mark.parametrize(
    ("unit", "factor"),
    [("nm", 1), ("um", 1e-3), ("micron", 1e-3), ("\\u00B5m", 1e-3), ("mm", 1e-6)],
)
def test_voxel_size_of_imagej(tmp_path: Path, unit: str, factor: float):
    resolution = (1 / (6 * factor), 1 / (4 * factor))
    metadata = {"axes": "ZYX", "spacing": 30 * factor, "unit": unit}
    tifffile.imwrite(tmp_path / "ij.tif", stack(), imagej=True, resolution=resolution, metadata=metadata)
    assert open_volume(tmp_path / "ij.tif").voxel_size == pytest.approx((30, 4, 6), rel=1e-5)


@pytest.mark.parametrize(
    "metadata", [{"axes": "ZYX", "spacing": 30, "unit": "pixel"}, {"axes": "ZYX", "unit": "nm"}]
)
def test_imagej_without_a_length_states_no_voxel_size(tmp_path: Path, metadata: dict):
    tifffile.imwrite(tmp_path / "ij.tif", stack(), imagej=True, resolution=(2, 2), metadata=metadata)
    assert open_volume(tmp_path / "ij.tif").voxel_size is None


@pytest.mark.parametrize(
    ("unit", "factor"), [("nm", 1), ("µm", 1e-3), (None, 1e-3), ("Å", 10), ("pixel", None)]
)
def test_voxel_size_of_ome_tiff(tmp_path: Path, unit: str | None, factor: float | None):
    metadata: dict = {"axes": "ZYX"}
    for axis, size in zip("ZYX", (30, 4, 6), strict=True):
        metadata[f"PhysicalSize{axis}"] = size * (factor or 1)
        if unit:
            metadata[f"PhysicalSize{axis}Unit"] = unit
    tifffile.imwrite(tmp_path / "a.ome.tif", stack(), metadata=metadata, compression="zlib")
    volume = open_volume(tmp_path / "a.ome.tif")
    assert volume.name == "a"
    assert volume.voxel_size == (None if factor is None else pytest.approx((30, 4, 6)))


def test_ome_tiff_with_channels_and_a_pyramid(tmp_path: Path):
    expected = stack((2, 5, 64, 48))
    with tifffile.TiffWriter(tmp_path / "p.ome.tif") as writer:
        options = {"tile": (16, 16), "photometric": "minisblack"}
        writer.write(expected, subifds=1, metadata={"axes": "CZYX"}, **options)
        writer.write(expected[..., ::2, ::2], subfiletype=1, **options)
    volume = open_volume(tmp_path / "p.ome.tif", channel=1)
    assert [level.shape for level in volume.levels] == [(5, 64, 48), (5, 32, 24)]
    np.testing.assert_array_equal(volume.levels[0], expected[1])
    np.testing.assert_array_equal(volume.levels[1], expected[1, :, ::2, ::2])
    with pytest.raises(ValueError, match=r"p\.ome\.tif has 2 channels; choose one with channel=0 to 1"):
        open_volume(tmp_path / "p.ome.tif")
    with pytest.raises(ValueError, match="no channel 2; choose channel 0 to 1"):
        open_volume(tmp_path / "p.ome.tif", channel=2)


def test_frames_of_imagej_are_slices_where_there_are_none(tmp_path: Path):
    expected = stack()
    tifffile.imwrite(tmp_path / "t.tif", expected, imagej=True, metadata={"axes": "TYX"})
    check(open_volume(tmp_path / "t.tif"), expected)
    tifffile.imwrite(tmp_path / "tz.tif", stack((2, 5, 20, 30)), imagej=True, metadata={"axes": "TZYX"})
    with pytest.raises(ValueError, match=r"axes tzyx of shape \(2, 5, 20, 30\)"):
        open_volume(tmp_path / "tz.tif")


def test_colours_need_a_choice(tmp_path: Path):
    colours = stack((20, 30, 3))
    tifffile.imwrite(tmp_path / "rgb.tif", colours, photometric="rgb")
    iio.imwrite(tmp_path / "rgb.png", colours)
    for name in ("rgb.tif", "rgb.png"):
        with pytest.raises(ValueError, match=rf"{name} has 3 colours; convert it to grey, or choose"):
            open_volume(tmp_path / name)
        check(open_volume(tmp_path / name, channel=1), colours[None, ..., 1])


def test_pages_of_other_shapes_are_named(tmp_path: Path):
    with tifffile.TiffWriter(tmp_path / "odd.tif") as writer:
        for plane in (stack((20, 30)), stack((20, 30)), stack((10, 30))):
            writer.write(plane, metadata=None, contiguous=False)
    with pytest.raises(ValueError, match=r"odd\.tif holds images of shapes \(2, 20, 30\), \(10, 30\)"):
        open_volume(tmp_path / "odd.tif")


def test_a_compression_that_needs_a_package_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tifffile.TIFF.DECOMPRESSORS, "_codecs", {1: bytes})
    monkeypatch.setattr(type(tifffile.TIFF.DECOMPRESSORS), "__getitem__", lambda self, key: self._codecs[key])
    tifffile.imwrite(tmp_path / "z.tif", stack(), compression="zlib")
    with pytest.raises(ValueError, match="ADOBE_DEFLATE; install what reads it: pip install imagecodecs"):
        open_volume(tmp_path / "z.tif")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.3, 0.6, 0.9, 0.97])
@pytest.mark.parametrize(
    "options",
    [
        {"compression": "zlib"},
        {},
        {"imagej": True},
        {"ome": True},
        {"metadata": None},
        {"bigtiff": True, "tile": (16, 16), "compression": "zlib"},
        {"volumetric": True, "tile": (16, 16, 16), "compression": "zlib"},
    ],
    ids=str,
)
def test_truncated_tiff(tmp_path: Path, options: dict, share: float):
    options = dict(options)
    if "metadata" not in options:
        options["metadata"] = {"axes": "ZYX"}
    path = tmp_path / "cut.tif"
    tifffile.imwrite(path, stack((20, 64, 80)), photometric="minisblack", **options)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ValueError, match=r"cut\.tif (is incomplete|cannot be read)"):
        open_volume(path)


def test_reading_one_page_reads_no_other(tmp_path: Path):
    expected = stack((40, 20, 30))
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, expected, compression="zlib")
    with tifffile.TiffFile(path) as tif:
        spans = [(page.dataoffsets[0], page.databytecounts[0]) for page in tif.pages]
    with path.open("r+b") as file:
        for z, (offset, count) in enumerate(spans):
            if z != 17:
                file.seek(offset)
                file.write(b"\xff" * count)
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.data[17], expected[17])
    with pytest.raises(ValueError, match=r"stack\.tif cannot be read; is it damaged"):
        volume.data[3].compute()


def test_the_real_stack(shared_data: Path):
    path = shared_data / "snemi3d" / "train-input.tif"
    volume = open_volume(path)
    assert (volume.shape, volume.data.dtype, volume.voxel_size) == ((100, 1024, 1024), np.uint8, None)
    assert volume.name == "train-input"
    np.testing.assert_array_equal(volume.data[37], tifffile.imread(path, key=37))
    assert open_volume(path, voxel_size=(30, 6, 6)).voxel_size == (30, 6, 6)


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


# -- zarr ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize(("unit", "factor"), [("nanometer", 1), ("micrometer", 1e3), ("angstrom", 0.1)])
def test_ome_zarr(tmp_path: Path, zarr_format: int, unit: str, factor: float):
    fine = stack((5, 24, 32))
    path = write_ome(
        tmp_path / "a.ome.zarr",
        [fine, fine[:, ::2, ::2]],
        unit=unit,
        translation=(60, 12, 18),
        zarr_format=zarr_format,
    )
    volume = open_volume(path)
    check(volume, fine)
    np.testing.assert_array_equal(volume.levels[1], fine[:, ::2, ::2])
    assert volume.name == "a"
    assert volume.voxel_size == pytest.approx((30 * factor, 6 * factor, 6 * factor))
    assert volume.translation == pytest.approx((60 * factor, 12 * factor, 18 * factor))
    assert volume.origin == pytest.approx((2, 2, 3))


def test_one_level_of_an_ome_zarr_brings_its_own_voxel_size(tmp_path: Path):
    fine = stack((5, 24, 32))
    path = write_ome(tmp_path / "a.zarr", [fine, fine[:, ::2, ::2]])
    volume = open_volume(path / "s1")
    assert len(volume.levels) == 1
    assert volume.voxel_size == (30, 12, 12)
    check(volume, fine[:, ::2, ::2])


def test_transformations_of_the_whole_image_come_after(tmp_path: Path):
    path = write_ome(tmp_path / "a.zarr", [stack()], scale=(3, 2, 2), translation=(1, 2, 3))
    group = zarr.open_group(str(path), mode="r+")
    ome = dict(group.attrs["ome"])
    steps = [{"type": "scale", "scale": [10, 10, 10]}, {"type": "translation", "translation": [5, 5, 5]}]
    ome["multiscales"][0]["coordinateTransformations"] = steps
    group.update_attributes({"ome": ome})
    volume = open_volume(path)
    assert (volume.voxel_size, volume.translation) == ((30, 20, 20), (15, 25, 35))


def test_ome_zarr_without_units_states_no_voxel_size(tmp_path: Path):
    path = write_ome(tmp_path / "a.zarr", [stack()], unit=None, scale=(1, 1, 1), translation=(7, 8, 9))
    volume = open_volume(path)
    assert (volume.voxel_size, volume.translation) == (None, (7, 8, 9))
    sized = volume.with_voxel_size((30, 6, 6))
    assert (sized.translation, sized.origin) == ((210, 48, 54), (7, 8, 9))


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_channels_of_ome_zarr_need_a_choice(tmp_path: Path, zarr_format: int):
    image = stack((1, 3, 5, 20, 30))
    path = write_ome(tmp_path / "a.zarr", [image], "tczyx", scale=(1, 1, 30, 6, 6), zarr_format=zarr_format)
    with pytest.raises(ValueError, match=r"a\.zarr has 3 channels; choose one with channel=0 to 2"):
        open_volume(path)
    volume = open_volume(path, channel=2)
    check(volume, image[0, 2])
    assert volume.voxel_size == (30, 6, 6)


def test_flat_ome_zarr_is_one_slice(tmp_path: Path):
    image = stack((1, 20, 30))
    path = write_ome(tmp_path / "a.zarr", [image], "cyx", scale=(1, 6, 6))
    check(open_volume(path), image)


def test_bioformats2raw_layout(tmp_path: Path):
    zarr.create_group(str(tmp_path / "b.zarr"), zarr_format=2, attributes={"bioformats2raw.layout": 3})
    write_ome(tmp_path / "b.zarr" / "0", [stack()], zarr_format=2)
    volume = open_volume(tmp_path / "b.zarr")
    check(volume, stack())
    assert volume.voxel_size == (30, 6, 6)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_plain_zarr(tmp_path: Path, zarr_format: int):
    path = tmp_path / "store.zarr"
    group = zarr.create_group(str(path), zarr_format=zarr_format)
    volumes = group.create_group("volumes")
    raw = volumes.create_array("raw", data=stack(dtype=">u2"), chunks=(2, 8, 8))
    raw.attrs.update({"resolution": [30, 6, 6], "offset": [90, 0, 12]})
    for spelling in (path, path / "volumes", path / "volumes" / "raw", f"{path}::/volumes/raw"):
        volume = open_volume(spelling)
        check(volume, stack(dtype="u2"))
        assert (volume.voxel_size, volume.translation) == ((30, 6, 6), (90, 0, 12))
    volumes.create_array("labels", data=stack(dtype="u8"))
    with pytest.raises(
        ValueError, match=r"needs the path of an array in it; it holds volumes/labels uint64.*raw"
    ):
        open_volume(path)
    with pytest.raises(ValueError, match=r"volumes has no array 'rav'; it holds labels uint64.*raw [>u].*2"):
        open_volume(path / "volumes" / "rav")
    check(open_volume(path / "volumes" / "labels"), stack(dtype="u8"))


def test_broken_zarr(tmp_path: Path):
    path = write_ome(tmp_path / "a.zarr", [stack()])
    (path / "s0" / "zarr.json").write_text("{")
    with pytest.raises(ValueError, match="s0 cannot be read; is it damaged"):
        open_volume(path)
    shutil.rmtree(path / "s0")
    with pytest.raises(ValueError, match="s0 cannot be read"):
        open_volume(path)


def test_a_damaged_chunk_names_its_array(tmp_path: Path):
    path = write_ome(tmp_path / "a.zarr", [stack()])
    volume = open_volume(path)
    (path / "s0" / "c" / "2" / "0" / "0").write_bytes(b"no zstd")
    np.testing.assert_array_equal(volume.data[1], stack()[1])
    with pytest.raises(ValueError, match="s0 cannot be read"):
        volume.data[2].compute()


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
    assert keys == [(3, slice(2, 5), slice(4, 9))]


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
    write_ome(tmp_path / "a.zarr", [expected])
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
        np.testing.assert_array_equal(volume.data[7], stack((9, 40, 48))[11])


def test_sniff_knows_what_opens(every_format: list[str], tmp_path: Path):
    assert all(sniff(path) and sniff(Path(path)) for path in every_format)
    assert sniff(tmp_path / "a.h5::/raw")
    (tmp_path / "a.txt").write_text("text")
    (tmp_path / "empty").mkdir()
    for name in ("a.txt", "empty", "missing.tif"):
        assert not sniff(tmp_path / name)


def test_stated_voxel_size_wins_and_is_checked(tmp_path: Path):
    path = write_ome(tmp_path / "a.zarr", [stack()], translation=(60, 12, 18))
    volume = open_volume(path, voxel_size=[50, 4, 4])
    assert (volume.voxel_size, volume.translation) == ((50, 4, 4), (100, 8, 12))
    for wrong in [(30, 6), (30, 6, 0), (30, -6, 6), (30, 6, float("nan")), ("z", "y", "x"), (1, 2, 3, 4)]:
        with pytest.raises(ValueError, match="give three numbers greater than 0"):
            open_volume(path, voxel_size=wrong)
        with pytest.raises(ValueError, match="give three numbers greater than 0"):
            volume.with_voxel_size(wrong)


def test_missing_and_unknown(tmp_path: Path):
    for name in ("no.tif", "no.zarr", "no/where.h5", "no.h5::/raw", "no folder"):
        with pytest.raises(FileNotFoundError, match="does not exist; check the path"):
            open_volume(tmp_path / name)
    for name in ("a.mrc", "a"):
        (tmp_path / name).write_bytes(b"else")
        with pytest.raises(ValueError, match="is in no format that opens; convert it to TIFF"):
            open_volume(tmp_path / name)
    for name in ("text.tif", "text.png"):
        (tmp_path / name).write_text("text")
        with pytest.raises(ValueError, match=f"{name} cannot be read; is it damaged"):
            open_volume(tmp_path / name)
    tifffile.imwrite(tmp_path / "a.tif", stack())
    with pytest.raises(ValueError, match="only HDF5 and zarr have"):
        open_volume(f"{tmp_path / 'a.tif'}::/raw")


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


def test_units():
    assert [nanometres(unit) for unit in ("nm", " Micron", "Å", "pixel", None, "")] == [
        1,
        1e3,
        0.1,
        None,
        None,
        None,
    ]


def test_metadata_are_plain_json(tmp_path: Path):
    """The oracle's own files are what they claim: zarr 3 with `ome`, zarr 2 without."""
    new, old = (write_ome(tmp_path / f"{v}.zarr", [stack()], zarr_format=v) for v in (3, 2))
    assert json.loads((new / "zarr.json").read_text())["attributes"]["ome"]["version"] == "0.5"
    assert json.loads((old / ".zattrs").read_text())["multiscales"][0]["version"] == "0.4"
