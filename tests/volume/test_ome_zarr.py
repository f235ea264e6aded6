"""Zarr and OME-Zarr written by zarr alone open with all levels, axes and voxel size."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_dtn.volume.opening import open_volume, volumes_in
from support.volumes import check


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


def test_a_translation_without_units_counts_in_its_steps(tmp_path: Path):
    path = write_ome(tmp_path / "a.zarr", [stack()], unit=None, translation=(2400, 0, 60))
    volume = open_volume(path)
    assert (volume.voxel_size, volume.origin) == (None, (80, 0, 10))
    assert volume.with_voxel_size((30, 6, 6)).translation == (2400, 0, 60)


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


def test_stated_voxel_size_wins_and_is_checked(tmp_path: Path):
    path = write_ome(tmp_path / "a.zarr", [stack()], translation=(60, 12, 18))
    volume = open_volume(path, voxel_size=[50, 4, 4])
    assert (volume.voxel_size, volume.translation) == ((50, 4, 4), (100, 8, 12))
    for wrong in [(30, 6), (30, 6, 0), (30, -6, 6), (30, 6, float("nan")), ("z", "y", "x"), (1, 2, 3, 4)]:
        with pytest.raises(ValueError, match="give three numbers greater than 0"):
            open_volume(path, voxel_size=wrong)
        with pytest.raises(ValueError, match="give three numbers greater than 0"):
            volume.with_voxel_size(wrong)


def test_metadata_are_plain_json(tmp_path: Path):
    """The oracle's own files are what they claim: zarr 3 with `ome`, zarr 2 without."""
    new, old = (write_ome(tmp_path / f"{v}.zarr", [stack()], zarr_format=v) for v in (3, 2))
    assert json.loads((new / "zarr.json").read_text())["attributes"]["ome"]["version"] == "0.5"
    assert json.loads((old / ".zattrs").read_text())["multiscales"][0]["version"] == "0.4"


def test_axes_that_are_named_are_taken_by_their_names(tmp_path: Path):
    image = stack((4, 20, 30))
    named = zarr.create_array(
        str(tmp_path / "named.zarr"), shape=(1, 30, 20, 4), dtype="u1", dimension_names=["c", "x", "y", "z"]
    )
    named[0] = image.T
    check(open_volume(tmp_path / "named.zarr"), image)
    xarray = zarr.create_array(str(tmp_path / "xarray.zarr"), shape=(20, 30, 4), dtype="u1", zarr_format=2)
    xarray.attrs["_ARRAY_DIMENSIONS"] = ["y", "x", "z"]
    xarray[:] = np.moveaxis(image, 0, -1)
    check(open_volume(tmp_path / "xarray.zarr"), image)
    other = zarr.create_array(
        str(tmp_path / "other.zarr"),
        shape=image.shape,
        dtype="u1",
        dimension_names=["a", "b", "x"],
    )
    other[:] = image
    check(open_volume(tmp_path / "other.zarr"), image)


def test_sizes_are_in_the_order_of_the_named_axes(tmp_path: Path):
    for names, attributes in (
        (["x", "y", "z"], {"resolution": [4, 5, 40], "offset": [400, 0, 80]}),
        (["c", "x", "y", "z"], {"resolution": [4, 5, 40], "offset": [400, 0, 80]}),
        (["c", "x", "y", "z"], {"resolution": [1, 4, 5, 40], "offset": [0, 400, 0, 80]}),
    ):
        path = tmp_path / f"{len(names)} {len(attributes['offset'])}.zarr"
        shape = (1, 30, 20, 4)[-len(names) :]
        array = zarr.create_array(str(path), shape=shape, dtype="u1", dimension_names=names)
        array.attrs.update(attributes)
        volume = open_volume(path)
        assert (volume.shape, volume.voxel_size) == ((4, 20, 30), (40, 5, 4))
        assert volume.translation == (80, 0, 400)


def test_an_image_of_several_axes_stays_the_image_beside_its_labels(tmp_path: Path):
    path = write_ome(tmp_path / "a.zarr", [stack()[None, None]], "tczyx", scale=(1, 1, 30, 6, 6))
    for name in ("one", "two"):
        write_ome(path / "labels" / name, [stack(dtype="u4")])
    assert volumes_in(path) == [str(path)]
