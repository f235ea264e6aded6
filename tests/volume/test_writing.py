"""OME-Zarr as the standard has it, read back by zarr alone and by open_volume."""

from __future__ import annotations

import json
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from napari_ome_zarr import napari_get_reader as read_as_napari_ome_zarr
from ome_zarr.io import parse_url
from ome_zarr.reader import Reader
from ome_zarr_models import v04, v05

from napari_dtn.volume.opening import open_volume
from napari_dtn.volume.pyramid import mean, mode
from napari_dtn.volume.writing import create_image, read_attributes, write_image, write_labels

VOXEL = (30.0, 6.0, 4.0)
SHIFT = (90.0, 12.0, 8.0)
PROVENANCE = {"model": "dtn", "settings": {"overlap": 64}, "version": "0.1.0"}


def ids(shape: tuple[int, ...] = (3, 20, 30), dtype: str = "u4", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 5, shape).astype(dtype)


def every_byte(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_metadata_of_an_image_word_by_word(tmp_path: Path):
    create_image(
        tmp_path / "a.zarr", (3, 300, 20), "u1", voxel_size=VOXEL, translation=SHIFT, attributes=PROVENANCE
    )
    stored = json.loads((tmp_path / "a.zarr" / "zarr.json").read_text())
    assert (stored["zarr_format"], stored["node_type"]) == (3, "group")
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    steps = [{"type": "scale", "scale": [30, 6, 4]}, {"type": "translation", "translation": [90, 12, 8]}]
    datasets = [{"path": "0", "coordinateTransformations": steps}]
    assert stored["attributes"] == {
        "ome": {"version": "0.5", "multiscales": [{"axes": axes, "datasets": datasets}]},
        "napari_dtn": PROVENANCE,
    }
    array = json.loads((tmp_path / "a.zarr" / "0" / "zarr.json").read_text())
    assert (array["zarr_format"], array["shape"], array["data_type"]) == (3, [3, 300, 20], "uint8")
    assert array["dimension_names"] == ["z", "y", "x"]
    assert array["chunk_grid"]["configuration"]["chunk_shape"] == [1, 256, 20]


def test_metadata_of_version_4_word_by_word(tmp_path: Path):
    write_labels(
        tmp_path / "a.zarr",
        ids((2, 600, 20)),
        voxel_size=VOXEL,
        translation=SHIFT,
        attributes=PROVENANCE,
        version="0.4",
    )
    axes = [{"name": name, "type": "space", "unit": "nanometer"} for name in "zyx"]
    fine = [{"type": "scale", "scale": [30, 6, 4]}, {"type": "translation", "translation": [90, 12, 8]}]
    coarse = [{"type": "scale", "scale": [30, 12, 8]}, {"type": "translation", "translation": [90, 15, 10]}]
    datasets = [
        {"path": str(i), "coordinateTransformations": steps} for i, steps in enumerate([fine, coarse])
    ]
    assert json.loads((tmp_path / "a.zarr" / ".zattrs").read_text()) == {
        "multiscales": [{"version": "0.4", "axes": axes, "datasets": datasets, "type": "mode"}],
        "image-label": {"version": "0.4"},
        "napari_dtn": PROVENANCE,
    }
    array = json.loads((tmp_path / "a.zarr" / "0" / ".zarray").read_text())
    assert (array["zarr_format"], array["dimension_separator"], array["chunks"]) == (2, "/", [1, 256, 20])
    assert array["compressor"]["id"] == "blosc"
    assert (tmp_path / "a.zarr" / "0" / "1" / "2" / "0").is_file()


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.parametrize("write", [write_image, write_labels])
def test_other_libraries_read_it_back(tmp_path: Path, write, version: str):
    """ome-zarr-py, napari-ome-zarr, and the models of the specification."""
    path = tmp_path / "a.zarr"
    image = ids((2, 600, 700), "u2")
    write(path, image, voxel_size=VOXEL, translation=SHIFT, attributes=PROVENANCE, version=version)
    levels = [level.compute() for level in open_volume(path).levels]
    assert [level.shape for level in levels] == [(2, 600, 700), (2, 300, 350)]

    stored = dict(zarr.open_group(str(path), mode="r").attrs)
    models = (
        {"0.4": v04.image_label, "0.5": v05.image_label}
        if write is write_labels
        else {"0.4": v04.image, "0.5": v05.image}
    )
    attributes = getattr(models[version], "ImageLabelAttrs" if write is write_labels else "ImageAttrs")
    attributes.model_validate(stored.get("ome", stored))

    (node, *_) = Reader(parse_url(str(path)))()
    (data, options, _), *_ = read_as_napari_ome_zarr(str(path))(str(path))
    for found in (node.data, data):
        assert [np.array_equal(one, level) for one, level in zip(found, levels, strict=True)] == [True, True]
    steps = node.metadata["coordinateTransformations"]
    assert [step[0]["scale"] for step in steps] == [[30, 6, 4], [30, 12, 8]]
    assert [step[1]["translation"] for step in steps] == [[90, 12, 8], [90, 15, 10]]
    assert options["scale"] == [30, 6, 4]  # of the translation it takes no notice


def test_an_image_can_be_read_before_it_is_complete(tmp_path: Path):
    array = create_image(tmp_path / "a.zarr", (3, 20, 30), "u1", voxel_size=VOXEL, attributes=PROVENANCE)
    array[1] = 7
    volume = open_volume(tmp_path / "a.zarr")
    assert [int(volume.data[z].max()) for z in range(3)] == [0, 7, 0]
    assert read_attributes(tmp_path / "a.zarr") == PROVENANCE


@given(
    array=st.sampled_from(["u1", "u2", "f4", "?"]).flatmap(
        lambda dtype: arrays(dtype, st.tuples(st.integers(1, 3), st.integers(1, 9), st.integers(1, 9)))
    ),
    size=st.tuples(*[st.floats(0.1, 1e4)] * 3),
    shift=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    version=st.sampled_from(["0.5", "0.4"]),
)
@settings(max_examples=40, deadline=None)
def test_any_image_comes_back(tmp_path_factory, array, size, shift, version):
    path = tmp_path_factory.mktemp("any") / "a.zarr"
    write_image(path, array, voxel_size=size, translation=shift, attributes={}, version=version)
    volume = open_volume(path)
    np.testing.assert_array_equal(volume.data, array)
    assert volume.data.dtype == array.dtype
    assert volume.voxel_size == pytest.approx(size, abs=1e-9)
    assert volume.translation == pytest.approx(shift)


def test_unknown_voxel_size_stays_unknown_and_keeps_the_origin(tmp_path: Path):
    write_image(tmp_path / "a.zarr", ids(), voxel_size=None, translation=(80, 3, 4), attributes={})
    volume = open_volume(tmp_path / "a.zarr")
    assert (volume.voxel_size, volume.origin) == (None, (80, 3, 4))
    assert "unit" not in (tmp_path / "a.zarr" / "zarr.json").read_text()


def test_classes_are_channels(tmp_path: Path):
    path = tmp_path / "a.zarr"
    array = create_image(
        path, (2, 3, 20, 30), "u1", voxel_size=VOXEL, translation=SHIFT, axes="czyx", attributes={}
    )
    values = ids((2, 3, 20, 30), "u1")
    array[...] = values
    assert array.chunks == (1, 1, 20, 30)
    volume = open_volume(path, channel=1)
    np.testing.assert_array_equal(volume.data, values[1])
    assert (volume.voxel_size, volume.translation) == (VOXEL, SHIFT)


def test_labels_have_their_metadata_and_a_pyramid(tmp_path: Path):
    labels = ids((2, 1100, 700), "u2")
    array = write_labels(
        tmp_path / "l.zarr", labels, voxel_size=VOXEL, translation=SHIFT, attributes=PROVENANCE
    )
    assert array.dtype == np.uint32
    ome = zarr.open_group(str(tmp_path / "l.zarr"), mode="r").attrs["ome"]
    assert ome["image-label"] == {}
    assert [d["path"] for d in ome["multiscales"][0]["datasets"]] == ["0", "1", "2"]
    volume = open_volume(tmp_path / "l.zarr")
    assert [level.shape for level in volume.levels] == [(2, 1100, 700), (2, 550, 350), (2, 275, 175)]
    np.testing.assert_array_equal(volume.data, labels)
    assert (volume.voxel_size, volume.translation) == (VOXEL, SHIFT)
    assert read_attributes(tmp_path / "l.zarr") == PROVENANCE
    coarse = open_volume(tmp_path / "l.zarr" / "2")
    assert coarse.voxel_size == (30, 24, 16)
    assert coarse.translation == (90, 12 + 1.5 * 6, 8 + 1.5 * 4)  # the centre of the 4 x 4 block


def test_a_coarse_label_is_the_most_frequent_of_its_block(tmp_path: Path):
    labels = ids((1, 513, 515))
    write_labels(tmp_path / "l.zarr", labels, voxel_size=VOXEL, attributes={})
    coarse = open_volume(tmp_path / "l.zarr").levels[1].compute()[0]
    assert coarse.shape == (257, 258)
    padded = np.pad(labels[0], [(0, 1), (0, 1)], mode="edge")
    for y, x in [[256, 257], *np.random.default_rng(0).integers(0, (257, 258), (500, 2)).tolist()]:
        block = padded[2 * y : 2 * y + 2, 2 * x : 2 * x + 2].ravel().tolist()
        assert coarse[y, x] == max(block, key=block.count)  # the first in reading order where several are


def test_a_coarse_image_is_the_mean_of_its_block(tmp_path: Path):
    image = ids((1, 520, 600), "u1") * 50
    write_image(tmp_path / "i.zarr", image, voxel_size=VOXEL, attributes={})
    blocks = image[0].reshape(260, 2, 300, 2).mean(axis=(1, 3))
    np.testing.assert_array_equal(open_volume(tmp_path / "i.zarr").levels[1][0], np.rint(blocks))
    write_image(tmp_path / "f.zarr", image.astype("f4"), voxel_size=VOXEL, attributes={})
    np.testing.assert_allclose(open_volume(tmp_path / "f.zarr").levels[1][0], blocks)


@pytest.mark.parametrize(
    ("dtype", "stored"), [("?", "u4"), ("u1", "u4"), ("i4", "u4"), ("i8", "u8"), ("u8", "u8")]
)
def test_labels_are_stored_as_uint32_or_uint64(tmp_path: Path, dtype: str, stored: str):
    array = write_labels(tmp_path / "l.zarr", ids(dtype=dtype), voxel_size=VOXEL, attributes={})
    assert array.dtype == stored
    np.testing.assert_array_equal(array[...], ids(dtype=dtype))


def test_what_is_no_label_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match="Labels are float32; give integer ids"):
        write_labels(tmp_path / "l.zarr", ids(dtype="f4"), voxel_size=VOXEL, attributes={})
    with pytest.raises(ValueError, match="Labels hold the id -3"):
        write_labels(tmp_path / "m.zarr", np.full((2, 4, 4), -3), voxel_size=VOXEL, attributes={})


def test_lazy_labels_are_read_slice_by_slice(tmp_path: Path):
    labels = ids((4, 20, 30))
    seen: list[tuple[int, ...]] = []

    def note(block: np.ndarray) -> np.ndarray:
        seen.append(block.shape)
        return block

    lazy = da.from_array(labels, chunks=(1, 20, 30)).map_blocks(note, dtype=labels.dtype, meta=labels[:0])
    write_labels(tmp_path / "l.zarr", lazy, voxel_size=VOXEL, attributes={})
    assert seen == [(1, 20, 30)] * 4
    np.testing.assert_array_equal(open_volume(tmp_path / "l.zarr").data, labels)


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of 8, shards and windows of 16, levels down to 40, so that small images have them all."""
    for name, value in {"_CHUNK": 8, "_SHARD": 16, "_COARSEST": 40, "_MANY": 50}.items():
        monkeypatch.setattr(f"napari_dtn.volume.writing.{name}", value)


@pytest.mark.parametrize("write", [write_image, write_labels])
def test_a_level_of_many_chunks_has_shards(tmp_path: Path, small_pieces: None, write):
    image = ids((2, 90, 77), "u1")
    write(tmp_path / "a.zarr", image, voxel_size=VOXEL, attributes={})
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="r")
    assert [(level.chunks, level.shards) for _, level in sorted(group.arrays())] == [
        ((1, 8, 8), (1, 16, 16)),
        ((1, 8, 8), (1, 16, 16)),
        ((1, 8, 8), None),
    ]
    volume = open_volume(tmp_path / "a.zarr")
    assert len(list((tmp_path / "a.zarr" / "0" / "c" / "1").rglob("*"))) == 6 + 6 * 5
    np.testing.assert_array_equal(volume.data, image)


@pytest.mark.parametrize("write", [write_image, write_labels])
def test_an_image_in_parts_has_the_levels_of_one_in_a_piece(tmp_path: Path, small_pieces: None, write):
    image = ids((2, 90, 77), "u1") * 40
    write(tmp_path / "a.zarr", image, voxel_size=VOXEL, attributes={})
    reduce = mean if write is write_image else mode
    for level in open_volume(tmp_path / "a.zarr").levels:
        np.testing.assert_array_equal(level, image)
        image = reduce(image)


def test_no_slice_is_read_as_a_whole(tmp_path: Path, small_pieces: None):
    seen: list[tuple[int, ...]] = []

    def note(block: np.ndarray) -> np.ndarray:
        seen.append(block.shape)
        return block

    lazy = da.from_array(ids((2, 40, 40)), chunks=(1, 16, 16))
    write_image(
        tmp_path / "a.zarr",
        lazy.map_blocks(note, dtype="u4", meta=lazy._meta),
        voxel_size=VOXEL,
        attributes={},
    )
    assert len(seen) == 18
    assert max(seen) == (1, 16, 16)


def test_shards_can_be_asked_for_in_version_5(tmp_path: Path):
    options = {"voxel_size": VOXEL, "attributes": {}, "chunks": (1, 8, 8), "shards": (1, 16, 16)}
    assert create_image(tmp_path / "a.zarr", (2, 40, 40), "u1", **options).shards == (1, 16, 16)
    with pytest.raises(ValueError, match=r"which OME-Zarr 0\.4 does not know"):
        create_image(tmp_path / "b.zarr", (2, 40, 40), "u1", **options, version="0.4")
    with pytest.raises(ValueError, match=r"version is '0\.3'; choose 0\.5 or 0\.4"):
        create_image(tmp_path / "b.zarr", (2, 40, 40), "u1", voxel_size=VOXEL, attributes={}, version="0.3")
    assert not (tmp_path / "b.zarr").exists()


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_equal_input_gives_equal_bytes(tmp_path: Path, version: str):
    for name in ("a.zarr", "b.zarr"):
        write_labels(
            tmp_path / name, ids((2, 600, 20)), voxel_size=VOXEL, attributes=PROVENANCE, version=version
        )
    assert every_byte(tmp_path / "a.zarr") == every_byte(tmp_path / "b.zarr")


@pytest.mark.parametrize("version", ["0.5", "0.4"])
def test_an_image_is_replaced_only_when_asked(tmp_path: Path, version: str):
    path = tmp_path / "a.zarr"
    write_labels(path, ids((2, 600, 20)), voxel_size=VOXEL, attributes={"round": 1}, version=version)
    with pytest.raises(
        FileExistsError, match=r"a\.zarr exists; choose another path, or replace it with --overwrite"
    ):
        create_image(path, (2, 20, 30), "u1", voxel_size=VOXEL, attributes={"round": 2})
    assert read_attributes(path) == {"round": 1}
    create_image(path, (2, 20, 30), "u1", voxel_size=VOXEL, attributes={"round": 2}, overwrite=True)
    assert read_attributes(path) == {"round": 2}
    assert not (path / "1").exists()
    assert open_volume(path).shape == (2, 20, 30)


def test_a_level_that_a_crash_left_is_replaced(tmp_path: Path):
    path = tmp_path / "a.zarr"
    create_image(path, (2, 20, 30), "u1", voxel_size=VOXEL, attributes={})
    zarr.open_group(str(path), mode="r+").create_array("1", shape=(2, 10, 15), dtype="u1")
    write_labels(path, ids(), voxel_size=VOXEL, attributes={}, overwrite=True)
    assert len(open_volume(path).levels) == 1


@pytest.mark.parametrize(
    "kind", ["file", "folder", "plain zarr", "image and labels", "image and notes", "link"]
)
def test_what_is_not_ours_is_never_deleted(tmp_path: Path, kind: str):
    path, beside = tmp_path / "a.zarr", tmp_path / "b.zarr"
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
        (path / "thesis.tex").write_text("precious")
    elif kind == "plain zarr":
        zarr.save_array(str(path), ids())
    elif kind == "link":
        write_image(beside, ids(), voxel_size=VOXEL, attributes={})
        path.symlink_to(beside)
    else:
        write_image(path, ids(), voxel_size=VOXEL, attributes={})
        if kind == "image and labels":
            write_labels(path / "labels" / "mine", ids(), voxel_size=VOXEL, attributes={})
        else:
            (path / "notes.txt").write_text("precious")
    before = every_byte(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match=r"a\.zarr"):
            create_image(path, (1, 2, 3), "u1", voxel_size=VOXEL, attributes={}, overwrite=overwrite)
    assert every_byte(tmp_path) == before


def test_provenance_that_is_no_json_fails_before_anything_is_deleted(tmp_path: Path):
    path = tmp_path / "a.zarr"
    write_image(path, ids(), voxel_size=VOXEL, attributes={})
    with pytest.raises(TypeError, match="JSON"):
        create_image(path, (1, 2, 3), "u1", voxel_size=VOXEL, attributes={"a": object()}, overwrite=True)
    assert open_volume(path).shape == (3, 20, 30)


def test_new_folders_are_made_and_empty_ones_are_used(tmp_path: Path):
    write_image(tmp_path / "deep" / "down" / "a.zarr", ids(), voxel_size=VOXEL, attributes={})
    (tmp_path / "empty.zarr").mkdir()
    write_image(tmp_path / "empty.zarr", ids(), voxel_size=VOXEL, attributes={})
    for name in ("deep/down/a.zarr", "empty.zarr"):
        assert open_volume(tmp_path / name).shape == (3, 20, 30)


def test_shapes_and_sizes_are_checked(tmp_path: Path):
    with pytest.raises(ValueError, match=r"Shape \(20, 30\) does not fit axes zyx"):
        create_image(tmp_path / "a.zarr", (20, 30), "u1", voxel_size=VOXEL, attributes={})
    with pytest.raises(ValueError, match="give three numbers greater than 0"):
        create_image(tmp_path / "a.zarr", (2, 20, 30), "u1", voxel_size=(30, 0, 6), attributes={})
    assert not (tmp_path / "a.zarr").exists()


def test_what_has_no_provenance_has_none(tmp_path: Path):
    zarr.save_array(str(tmp_path / "plain.zarr"), ids())
    assert read_attributes(tmp_path / "plain.zarr") == {}
    assert read_attributes(tmp_path / "missing.zarr") == {}
