"""What other libraries have written opens voxel by voxel, with its voxel size: TIFF, pictures, HDF5, zarr."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_dtn.volume.opening import open_volume
from support import files
from support.volumes import check, stack

SIZE = (40.0, 8.0, 4.0)
SIDES = st.tuples(st.integers(1, 5), st.integers(1, 20), st.integers(1, 20))
QUICK = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def any_stack(*dtypes: str) -> st.SearchStrategy[np.ndarray]:
    return st.tuples(st.sampled_from(dtypes), SIDES).flatmap(lambda drawn: arrays(*drawn))


def chunks_of(*largest: int) -> st.SearchStrategy[tuple[int, ...]]:
    return st.tuples(*(st.integers(1, side) for side in largest))


@given(
    image=any_stack("u1", "u2", "f4", "?"),
    options=st.sampled_from([{}, {"compression": "tiff_adobe_deflate"}, {"big_tiff": True}]),
)
@QUICK
def test_tiff_by_pillow(tmp_path_factory, image: np.ndarray, options: dict):
    path = tmp_path_factory.mktemp("any") / "a.tif"
    check(open_volume(files.pillow_tiff(path, image, **options)), image)
    assert path.read_bytes()[2] == (43 if "big_tiff" in options else 42)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("big", [False, True])
def test_imagej_and_ome_tiff_by_pillow(tmp_path: Path, dtype: str, big: bool):
    image = stack(dtype=dtype)
    for path in (
        files.pillow_imagej(tmp_path / "ij.tif", image, SIZE, big_tiff=big),
        files.pillow_ome(tmp_path / "a.ome.tif", image, SIZE, big_tiff=big),
    ):
        volume = open_volume(path)
        check(volume, image)
        assert volume.voxel_size == pytest.approx(SIZE, rel=1e-5)


@given(image=any_stack("u1", "u2"), suffix=st.sampled_from([".png", ".tif"]))
@QUICK
def test_pictures_by_qt_in_natural_order(tmp_path_factory, image: np.ndarray, suffix: str):
    many = np.concatenate([image] * 3)[:11]  # slice 10 comes after slice 9
    folder = files.qt_pictures(tmp_path_factory.mktemp("any") / "slices", many, suffix)
    check(open_volume(folder), many)


def test_jpeg_by_qt(tmp_path: Path):
    """JPEG is not exact, and decoders differ by rounding: smooth slices come back within some grey values."""
    ramp = np.add.outer(np.arange(48), np.arange(64)).astype(np.uint8)
    image = np.stack([ramp + 10 * z for z in range(12)])
    volume = open_volume(files.qt_pictures(tmp_path / "slices", image, ".jpg"))
    assert (volume.shape, volume.data.dtype) == (image.shape, np.uint8)
    assert np.abs(volume.data.compute().astype(int) - image).max() <= 3
    np.testing.assert_array_equal(volume.data[11], iio.imread(tmp_path / "slices" / "z 11.jpg"))


@given(image=any_stack("u1", "u2", "u8", "i4", "f4", "f8"), data=st.data())
@QUICK
def test_cremi_layout_by_netcdf(tmp_path_factory, image: np.ndarray, data: st.DataObject):
    path = tmp_path_factory.mktemp("any") / "a.h5"
    files.netcdf(path, image, SIZE, data.draw(chunks_of(*image.shape)))
    volume = open_volume(f"{path}::/volumes/raw")
    check(volume, image)
    assert volume.voxel_size == SIZE


@given(
    image=any_stack("u1", "u2", "u8", "f4", "?"),
    version=st.sampled_from([2, 3]),
    chunks=chunks_of(3, 8, 8),
    shards=st.none() | st.tuples(*[st.integers(1, 3)] * 3),
)
@QUICK
def test_zarr_by_tensorstore(tmp_path_factory, image: np.ndarray, version: int, chunks, shards):
    path = tmp_path_factory.mktemp("any") / "a.zarr"
    whole = tuple(a * b for a, b in zip(chunks, shards, strict=True)) if shards else None
    volume = open_volume(files.tensorstore_zarr(path, image, version, chunks, whole))
    check(volume, image)


@given(
    image=st.tuples(
        st.sampled_from(["u1", "u2", "f4"]), st.tuples(*[st.integers(1, 4), *[st.integers(4, 24)] * 2])
    ).flatmap(lambda drawn: arrays(*drawn, elements=st.integers(0, 200))),
    version=st.sampled_from(["0.4", "0.5"]),
    factors=st.sampled_from([(), (2,), (2, 4)]),
)
@QUICK
def test_ome_zarr_by_ome_zarr_py(tmp_path_factory, image: np.ndarray, version: str, factors):
    path = files.ome_zarr_py(tmp_path_factory.mktemp("any") / "a.ome.zarr", image, SIZE, version, factors)
    volume = open_volume(path)
    check(volume, image)
    assert volume.voxel_size == SIZE
    assert len(volume.levels) == 1 + len(factors)
    for level, factor in zip(volume.levels[1:], factors, strict=True):
        assert level.shape[0] == image.shape[0]
        assert abs(level.shape[1] - image.shape[1] / factor) <= 1


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_time_and_channel_of_ome_zarr_are_chosen(tmp_path: Path, version: str):
    image = stack((3, 2, 5, 16, 24))
    path = files.ome_zarr_py(tmp_path / "a.zarr", image, SIZE, version)
    volume = open_volume(path, channel=1, time=2)
    check(volume, image[2, 1])
    assert [level.shape for level in volume.levels] == [(5, 16, 24), (5, 8, 12)]
    assert volume.voxel_size == SIZE
    for choice, message in (
        ({}, "has 2 channels; choose one with channel=0 to 1"),
        ({"channel": 0}, "has 3 time points; choose one with time=0 to 2"),
        ({"channel": 0, "time": 3}, "has no time 3; choose time 0 to 2"),
    ):
        with pytest.raises(ValueError, match=message):
            open_volume(path, **choice)


def test_a_time_point_of_single_slices(tmp_path: Path):
    image = stack((4, 16, 24))
    path = tmp_path / "a.tif"
    words = "ImageJ=1.54f\nimages=4\nframes=4\nloop=false\n"
    files.pillow_tiff(path, image, description=words)
    check(open_volume(path), image)  # a movie is a stack, unless one picture is chosen
    check(open_volume(path, time=2), image[2:3])
    with pytest.raises(ValueError, match="has no time 1; choose time 0 to 0"):
        open_volume(files.pillow_tiff(tmp_path / "plain.tif", image), time=1)
