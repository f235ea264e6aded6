"""File > Open and File > Save, through napari and the manifest."""

from __future__ import annotations

from pathlib import Path

import dask.array as da
import h5py
import imageio.v3 as imageio
import napari.settings
import numpy as np
import pytest
import tifffile
import zarr
from napari.components import ViewerModel
from napari.layers import Image, Labels
from npe2 import PluginManager
from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
from qtpy.QtGui import QDropEvent

from napari_dtn._napari.layers import path_of
from napari_dtn._napari.reader import get_reader
from napari_dtn.volume.writing import create_image, write_image, write_labels
from support import files

NAME = "napari-dtn"
EM = np.random.default_rng(0).integers(30, 220, (3, 40, 48), dtype=np.uint8)
IDS = np.arange(EM.size, dtype=np.uint32).reshape(EM.shape) % 7
SIZE = (30.0, 6.0, 6.0)


def tiff(folder: Path) -> Path:
    tifffile.imwrite(folder / "em.tif", EM, photometric="minisblack", compression="zlib")
    return folder / "em.tif"


def imagej(folder: Path) -> Path:
    metadata = {"axes": "ZYX", "spacing": 0.03, "unit": "um"}
    tifffile.imwrite(folder / "em.tif", EM, imagej=True, resolution=(1 / 0.006, 1 / 0.006), metadata=metadata)
    return folder / "em.tif"


def hdf5(folder: Path) -> Path:
    with h5py.File(folder / "em.h5", "w") as file:
        file["volumes/raw"] = EM
        file["volumes/raw"].attrs["resolution"] = SIZE
    return folder / "em.h5"


def plain_zarr(folder: Path) -> Path:
    zarr.create_array(folder / "em.zarr", data=EM)
    return folder / "em.zarr"


def ome_zarr(folder: Path) -> Path:
    write_image(folder / "em.zarr", EM, voxel_size=SIZE, attributes={})
    return folder / "em.zarr"


def pngs(folder: Path) -> Path:
    (folder / "em").mkdir()
    for z, plane in enumerate(EM):
        imageio.imwrite(folder / "em" / f"slice{z}.png", plane)
    return folder / "em"


def jpegs(folder: Path) -> Path:
    return files.qt_pictures(folder / "em", EM, ".jpg")


def big_tiff(folder: Path) -> Path:
    return files.pillow_imagej(folder / "em.tif", EM, SIZE, big_tiff=True)


def ome_tiff(folder: Path) -> Path:
    return files.pillow_ome(folder / "em.ome.tif", EM, SIZE)


def sharded_zarr(folder: Path) -> Path:
    return files.tensorstore_zarr(folder / "em.zarr", EM, 3, (1, 8, 8), (2, 16, 16))


def ome_zarr_4(folder: Path) -> Path:
    return files.ome_zarr_py(folder / "em.ome.zarr", EM, SIZE, "0.4")


def ome_zarr_5(folder: Path) -> Path:
    return files.ome_zarr_py(folder / "em.ome.zarr", EM, SIZE, "0.5")


def n5(folder: Path) -> Path:
    return files.n5(folder / "em.n5", EM, (2, 16, 16), resolution=list(SIZE[::-1]))


def n5_levels(folder: Path) -> Path:
    files.n5(folder / "em.n5" / "s0", EM, (2, 16, 16), resolution=list(SIZE[::-1]))
    files.n5(folder / "em.n5" / "s1", EM[:, ::2, ::2], (2, 16, 16))
    return folder / "em.n5"


def precomputed(folder: Path) -> Path:
    return files.precomputed(folder / "em", [EM, EM[:, ::2, ::2]], (2, 16, 16), SIZE)


def mrc(folder: Path) -> Path:
    return files.mrc(folder / "em.mrc", EM, SIZE, imod=0)


def opened(path: object) -> list:
    return ViewerModel().open(path, plugin=NAME)


PLAIN = [tiff, plain_zarr, sharded_zarr, pngs]
SIZED = [imagej, big_tiff, ome_tiff, hdf5, ome_zarr, n5, mrc]
PYRAMIDS = [ome_zarr_4, ome_zarr_5, n5_levels, precomputed]


@pytest.mark.parametrize(
    ("make", "size"),
    [*((make, None) for make in PLAIN), *((make, SIZE) for make in SIZED)],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_every_format_opens_lazily_at_its_scale(tmp_path, make, size) -> None:
    path = make(tmp_path)
    (layer,) = opened(path)
    assert isinstance(layer, Image)
    assert isinstance(layer.data, da.Array)
    np.testing.assert_array_equal(np.asarray(layer.data), EM)
    assert layer.name.startswith("em")
    assert layer.scale == pytest.approx(size or (1, 1, 1))
    assert {str(unit) for unit in layer.units} == ({"nanometer"} if size else {"pixel"})
    facts = layer.metadata["napari_dtn"]
    assert facts["path"] == str(path)
    assert facts["voxel_size"] == (None if size is None else pytest.approx(size))
    assert layer.contrast_limits == pytest.approx(np.percentile(EM, (0.1, 99.9)), abs=2)


@pytest.mark.parametrize("make", PYRAMIDS)
def test_every_pyramid_opens_with_its_levels_at_its_scale(tmp_path, make) -> None:
    (layer,) = opened(make(tmp_path))
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(3, 40, 48), (3, 20, 24)]
    np.testing.assert_array_equal(np.asarray(layer.data[0]), EM)
    assert layer.scale == pytest.approx(SIZE)
    assert {str(unit) for unit in layer.units} == {"nanometer"}


@pytest.mark.parametrize("make", [*PLAIN, *SIZED, *PYRAMIDS, jpegs])
def test_every_format_opens_by_drag_and_drop(viewer, tmp_path, make) -> None:
    """Where several plugins read a format, napari asks once and remembers; here it remembers us."""
    path = make(tmp_path)
    napari.settings.get_settings().plugins.extension2reader = {"*": NAME, "*.zarr": NAME, "*.tif": NAME}
    dropped = QMimeData()
    dropped.setUrls([QUrl.fromLocalFile(str(path))])
    nothing = Qt.KeyboardModifier.NoModifier
    event = QDropEvent(QPointF(5, 5), Qt.DropAction.CopyAction, dropped, Qt.MouseButton.LeftButton, nothing)
    viewer.window._qt_viewer.dropEvent(event)
    (layer,) = viewer.layers
    assert layer.metadata["napari_dtn"]["path"] == str(path)
    size = SIZE if make in (*SIZED, *PYRAMIDS) else (1, 1, 1)
    assert layer.scale == pytest.approx(size)
    assert layer.multiscale == (make in PYRAMIDS)


@pytest.mark.parametrize("make", [*PLAIN, *SIZED, *PYRAMIDS])
def test_napari_finds_the_reader_by_the_name_of_the_file(tmp_path, make) -> None:
    manager = PluginManager.instance()
    readers = [reader.plugin_name for reader in manager.iter_compatible_readers([str(make(tmp_path))])]
    assert NAME in readers


@pytest.mark.parametrize("name", ["notes.txt", "empty", "photo.tif.txt"])
def test_what_is_none_of_ours_is_left_to_others(tmp_path, name) -> None:
    path = tmp_path / name
    path.write_text("text") if path.suffix else path.mkdir()
    assert get_reader(str(path)) is None


def test_channels_open_as_layers_and_time_as_an_axis(tmp_path) -> None:
    movie = np.stack([np.stack([EM + 10 * t + c for c in range(2)]) for t in range(3)])
    layers = opened(files.ome_zarr_py(tmp_path / "em.zarr", movie, SIZE))
    assert [layer.name for layer in layers] == ["em channel 0", "em channel 1"]
    for channel, layer in enumerate(layers):
        assert [level.shape for level in layer.data] == [(3, 3, 40, 48), (3, 3, 20, 24)]
        np.testing.assert_array_equal(np.asarray(layer.data[0]), movie[:, channel])
        assert layer.scale == pytest.approx((1, *SIZE))
        assert [str(unit) for unit in layer.units] == ["pixel", *["nanometer"] * 3]
        assert layer.axis_labels == ("t", "z", "y", "x")


def test_a_pyramid_opens_with_its_levels(tmp_path) -> None:
    big = np.random.default_rng(0).integers(0, 255, (2, 600, 520), dtype=np.uint8)
    write_image(tmp_path / "big.zarr", big, voxel_size=SIZE, translation=(60, 12, 0), attributes={})
    (layer,) = opened(tmp_path / "big.zarr")
    assert layer.multiscale
    assert [level.shape for level in layer.data] == [(2, 600, 520), (2, 300, 260)]
    assert layer.translate.tolist() == [60, 12, 0]


@pytest.mark.parametrize("dtype", [np.uint32, np.uint64, np.int32, bool])
def test_integers_too_large_for_intensities_are_ids(tmp_path, dtype) -> None:
    zarr.create_array(tmp_path / "ids.zarr", data=IDS.astype(dtype))
    (layer,) = opened(tmp_path / "ids.zarr")
    assert isinstance(layer, Labels)
    np.testing.assert_array_equal(np.asarray(layer.data), IDS.astype(dtype))


@pytest.mark.parametrize("inner", ["", "0"])
def test_a_label_image_is_ids_whatever_its_integers(tmp_path, inner) -> None:
    group = zarr.open_group(tmp_path / "ids.zarr", mode="w", zarr_format=2)
    group.create_array("0", data=IDS.astype(np.uint8))
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    scale = {"type": "scale", "scale": list(SIZE)}
    datasets = [{"path": "0", "coordinateTransformations": [scale]}]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": datasets}]
    group.attrs["image-label"] = {}
    (layer,) = opened(tmp_path / "ids.zarr" / inner)
    assert isinstance(layer, Labels)
    assert layer.scale == pytest.approx(SIZE)


def test_our_labels_open_as_labels(tmp_path) -> None:
    write_labels(tmp_path / "ids.zarr", IDS, voxel_size=SIZE, attributes={})
    (layer,) = opened(tmp_path / "ids.zarr")
    assert isinstance(layer, Labels)
    np.testing.assert_array_equal(np.asarray(layer.data), IDS)


def predicted(path: Path, shape: tuple[int, ...], names: list[str]) -> None:
    axes = "zyx" if len(shape) == 3 else "czyx"
    provenance = {"model": "tiny", "class_names": names}
    array = create_image(path, shape, np.uint8, voxel_size=SIZE, axes=axes, attributes=provenance)
    array[:] = np.arange(np.prod(shape)).reshape(shape) % 255


def test_a_prediction_opens_as_an_overlay(tmp_path) -> None:
    predicted(tmp_path / "em boundaries.zarr", EM.shape, ["boundary"])
    (layer,) = opened(tmp_path / "em boundaries.zarr")
    assert layer.name == "em boundaries"
    assert (layer.colormap.name, layer.blending, layer.contrast_limits) == ("magenta", "additive", [0, 255])
    assert layer.scale == pytest.approx(SIZE)


def test_a_prediction_of_classes_opens_as_one_overlay_each(tmp_path) -> None:
    predicted(tmp_path / "em.zarr", (2, *EM.shape), ["boundary", "mitochondrion"])
    assert [layer.name for layer in opened(tmp_path / "em.zarr")] == ["em boundary", "em mitochondrion"]


def test_slices_open_as_one_stack_in_the_order_given(tmp_path) -> None:
    paths = []
    for z, plane in enumerate(EM):
        paths.append(str(tmp_path / f"{'cab'[z]}.tif"))
        tifffile.imwrite(paths[-1], plane)
    (layer,) = ViewerModel().open(paths, stack=True, plugin=NAME)
    np.testing.assert_array_equal(np.asarray(layer.data), EM)
    assert path_of(layer) is None, "no file holds it alone, though napari names the first"


def test_slices_of_different_sizes_say_so(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", EM[0])
    tifffile.imwrite(tmp_path / "b.tif", EM[0, :-1])
    paths = [str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    reader = get_reader(paths)
    with pytest.raises(ValueError, match="39 x 48, 40 x 48"):
        reader(paths)


@pytest.mark.parametrize("content", [b"", b"II*\x00\x08\x00", b"not a TIFF at all"])
def test_a_damaged_file_is_named(tmp_path, content) -> None:
    path = tmp_path / "em.tif"
    path.write_bytes(content)
    reader = get_reader(str(path))
    with pytest.raises(ValueError, match=r"em\.tif"):
        reader(str(path))


def test_an_empty_volume_still_opens(tmp_path) -> None:
    tifffile.imwrite(tmp_path / "black.tif", np.zeros_like(EM), photometric="minisblack")
    (layer,) = opened(tmp_path / "black.tif")
    assert layer.contrast_limits[0] < layer.contrast_limits[1]


def several_in_hdf5(folder: Path) -> Path:
    with h5py.File(folder / "cremi.h5", "w") as file:
        file["volumes/raw"], file["volumes/ids"], file["offset"] = EM, IDS, SIZE
    return folder / "cremi.h5"


def several_in_zarr(folder: Path) -> Path:
    group = zarr.open_group(folder / "cremi.zarr", mode="w")
    group.create_array("volumes/ids", data=IDS)
    write_image(folder / "cremi.zarr" / "volumes" / "raw", EM, voxel_size=SIZE, attributes={})
    return folder / "cremi.zarr"


@pytest.mark.parametrize("make", [several_in_hdf5, several_in_zarr])
def test_every_stack_in_a_file_opens(tmp_path, make) -> None:
    ids, raw = opened(make(tmp_path))
    assert raw.name.endswith("raw")
    assert ids.name.endswith("ids")
    assert (type(raw), type(ids)) == (Image, Labels)
    np.testing.assert_array_equal(np.asarray(raw.data), EM)
    np.testing.assert_array_equal(np.asarray(ids.data), IDS)


@pytest.mark.parametrize("kind", ["image", "labels"])
def test_a_layer_is_saved_and_opens_as_it_was(tmp_path, kind) -> None:
    viewer = ViewerModel()
    place = {"scale": SIZE, "translate": (30, 0, 12), "units": ("nm",) * 3}
    data, add = (EM, viewer.add_image) if kind == "image" else (IDS, viewer.add_labels)
    layer = add(data, name="a", **place)
    assert layer.save(str(tmp_path / "a.zarr"), plugin=NAME) == [str(tmp_path / "a.zarr")]
    (back,) = opened(tmp_path / "a.zarr")
    assert type(back) is type(layer)
    np.testing.assert_array_equal(np.asarray(back.data), data)
    assert (back.scale.tolist(), back.translate.tolist()) == ([30, 6, 6], [30, 0, 12])


@pytest.mark.parametrize("kind", ["image", "labels"])
def test_a_layer_can_be_saved_as_ome_zarr_4(tmp_path, kind) -> None:
    """As the dialog does when one chooses its kind of file there."""
    manager, viewer = PluginManager.instance(), ViewerModel()
    add = viewer.add_image if kind == "image" else viewer.add_labels
    layer = add(EM if kind == "image" else IDS, name="a", scale=SIZE, units=("nm",) * 3)
    writers = manager.iter_compatible_writers([kind])
    (writer,) = (one for one in writers if one.display_name == f"OME-Zarr 0.4 {kind}")
    writer.exec(args=[str(tmp_path / "a.zarr"), *layer.as_layer_data_tuple()[:2]])
    assert zarr.open_group(tmp_path / "a.zarr", mode="r").attrs["multiscales"][0]["version"] == "0.4"
    (back,) = opened(tmp_path / "a.zarr")
    assert type(back) is type(layer)
    assert back.scale == pytest.approx(SIZE)


def test_a_layer_without_a_unit_is_saved_without_a_voxel_size(tmp_path) -> None:
    layer = ViewerModel().add_image(EM, name="a", translate=(1, 0, 2))
    layer.save(str(tmp_path / "a.zarr"), plugin=NAME)
    (back,) = opened(tmp_path / "a.zarr")
    assert back.metadata["napari_dtn"]["voxel_size"] is None
    assert back.translate.tolist() == [1, 0, 2]
