"""Volumes as layers and back, and what lies on top of an image."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Points

from napari_dtn._napari import layers, overlays, warp_layers, writer
from napari_dtn._napari.click_desk import Source
from napari_dtn._napari.click_sources import sources_of
from napari_dtn._napari.renaming import follow_names
from napari_dtn._napari.stack import Placed, SliceStack, by_class
from napari_dtn._napari.view import fly_to, looked_at, show_slice, slice_in_view
from napari_dtn._napari.warp_drawing import draw_tile
from napari_dtn.session.boundaries import StoredBoundaries
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.warp import Warp

IMAGE = np.arange(4 * 20 * 30, dtype=np.uint8).reshape(4, 20, 30)
NM = ("nm",) * 3

# ---- ids of a part of an image


def test_ids_of_a_region_lie_where_the_layer_lies() -> None:
    image = Image(np.zeros((4, 20, 30), np.uint8), name="em", scale=(30, 6, 6), translate=(60, 0, 0))
    region = Labels(np.ones((2, 8, 10), int), scale=(30, 6, 6), translate=(90, 24, 36))
    ids, corner = layers.ids_over(region, (4, 20, 30), image)
    assert (ids.shape, corner) == ((2, 8, 10), (1, 4, 6))
    whole = Labels(np.ones((4, 20, 30), int))
    assert layers.ids_over(whole, (4, 20, 30), image)[1] == (0, 0, 0)
    slice_ = Image(np.zeros((20, 30), np.uint8), name="slice", scale=(6, 6))
    flat, corner = layers.ids_over(
        Labels(np.ones((8, 10), int), scale=(6, 6), translate=(12, 0)), (1, 20, 30), slice_
    )
    assert (flat.shape, corner) == ((1, 8, 10), (0, 2, 0))
    coarse = Labels(np.ones((2, 4, 5), int), name="coarse", scale=(30, 12, 12))
    with pytest.raises(ValueError, match="“coarse” has pixels of 12 x 12, and “em” of 6 x 6"):
        layers.ids_over(coarse, (4, 20, 30), image)


# ---- pyramids are written by their finest level


def test_a_pyramid_is_saved(tmp_path: Path) -> None:
    pyramid = Image([IMAGE, IMAGE[:, ::2, ::2]], multiscale=True, scale=(30, 6, 6), units=NM)
    _, meta, _ = pyramid.as_layer_data_tuple()
    writer.write_image(str(tmp_path / "em.zarr"), pyramid.data, meta)
    assert (np.asarray(open_volume(tmp_path / "em.zarr").data) == IMAGE).all()


# ---- where boundaries for clicks come from


def test_a_predicted_region_is_a_source_of_boundaries_in_its_place() -> None:
    region = np.random.default_rng(0).integers(0, 255, (2, 8, 10), dtype=np.uint8)
    box = slice(1, 3), slice(4, 12), slice(6, 16)
    stack = SliceStack(IMAGE.shape, Placed(region, box, IMAGE.shape))
    image = Image(IMAGE, name="em")
    layer = Image(stack, name="em boundaries", metadata={layers.KEY: {"role": layers.BOUNDARIES}})

    def named() -> list[Source]:
        return [source for source in sources_of([layer], image) if not source.model]

    stack.add_complete(1)
    assert not named(), "a slice of the region is missing"
    stack.add_complete(2)
    (source,) = named()
    boundaries = StoredBoundaries(source.array, IMAGE.shape, source.origin)
    assert boundaries.box == box
    found = boundaries.read(2, slice(5, 9), slice(7, 12))
    np.testing.assert_array_equal(found, region[1, 1:5, 1:6] / np.float32(255))


def test_a_preview_by_another_model_leaves_a_whole_prediction_a_source_of_boundaries() -> None:
    stack = SliceStack(IMAGE.shape, IMAGE, complete=set(range(len(IMAGE))))
    layer = Image(stack, name="em boundaries", metadata={layers.KEY: {"role": layers.BOUNDARIES}})
    stack.put(1, np.zeros_like(IMAGE[1]), "another model")
    source = sources_of([layer], Image(IMAGE, name="em"))[0]
    np.testing.assert_array_equal(source.array, IMAGE)
    assert not stack[1].any()


# ---- names


def test_what_lies_on_an_image_is_renamed_with_it_and_stays_a_source_of_boundaries(viewer) -> None:
    follow_names(viewer)
    follow_names(viewer)  # once is enough
    image, other = (viewer.add_image(IMAGE, name=name) for name in ("em", "em [1]"))
    facts = {layers.KEY: {"role": layers.BOUNDARIES}}
    on_it, on_other = (
        viewer.add_image(IMAGE, name=f"{one.name} boundaries", metadata=facts) for one in (image, other)
    )
    theirs = viewer.add_image(IMAGE, name="em elsewhere")
    image.name = "em [1] cell"
    other.name = "cell"
    assert [one.name for one in (on_it, on_other, theirs)] == [
        "em [1] cell boundaries",
        "cell boundaries",
        "em elsewhere",
    ]
    assert sources_of(viewer.layers, image)[0].name == "the layer “em [1] cell boundaries”"
    other.name = "em [1] cell"  # taken
    assert on_it.name == "em [1] cell boundaries"
    assert on_other.name == f"{other.name} boundaries"
    image.name = "em"
    assert on_it.name == "em boundaries"


def test_who_follows_names_keeps_no_viewer_and_no_layer() -> None:
    kept = ViewerModel()
    follow_names(kept)
    held = [weakref.ref(kept.layers), weakref.ref(kept.add_image(IMAGE, name="em"))]
    kept.layers.clear()
    del kept
    gc.collect()
    assert [one() for one in held] == [None, None]


# ---- the stack of few slices


@pytest.fixture
def stack() -> tuple[SliceStack, np.ndarray]:
    random = np.random.default_rng(0)
    source = random.integers(0, 255, (6, 5, 7), dtype=np.uint8)
    dense = np.zeros_like(source)
    stack = SliceStack(source.shape, source)
    for z in (1, 4):
        stack.add_complete(z)
        dense[z] = source[z]
    plane = random.integers(0, 255, (5, 7), dtype=np.uint8)
    stack.put(2, plane)
    dense[2] = plane
    return stack, dense


@pytest.mark.parametrize(
    "key",
    [
        np.s_[:],
        np.s_[2],
        np.s_[-2],
        np.s_[1:5, 2:4],
        np.s_[..., 3],
        np.s_[4, 1, 2],
        np.s_[2:2],
        np.s_[::2, :, 1::3],
        np.s_[0],
    ],
)
def test_a_stack_reads_like_the_array_it_stands_for(stack, key) -> None:
    sparse, dense = stack
    np.testing.assert_array_equal(sparse[key], dense[key])
    np.testing.assert_array_equal(np.asarray(sparse), dense)


def test_a_file_of_several_classes_is_an_array_for_each() -> None:
    dense = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 6), dtype=np.uint8)
    assert by_class(dense[0])[0] is not None
    parts = by_class(dense)
    assert [(part.shape, part.ndim, part.dtype) for part in parts] == [((4, 5, 6), 3, np.uint8)] * 3
    for key in (np.s_[:], np.s_[2], np.s_[1:3, 2], np.s_[1, :, ::2]):
        for number, part in enumerate(parts):
            np.testing.assert_array_equal(part[key], dense[number][key])


def test_a_stack_takes_no_memory_and_knows_its_end() -> None:
    huge = SliceStack((10**6, 10**6, 10**6))
    assert huge[5, 10:12, 3:6].tolist() == [[0] * 3] * 2
    with pytest.raises(IndexError):
        huge[10**6]


def test_a_preview_replaces_a_stored_slice_and_is_not_taken_for_it(stack) -> None:
    sparse, _ = stack
    sparse.maker = "model"
    assert sparse.holds(1, "model")
    assert not sparse.holds(1, "another model")
    assert not sparse.holds(2, "model")
    sparse.put(1, np.full((5, 7), 9, np.uint8))
    assert not sparse.holds(1, "model")
    assert sparse[1, 0, 0] == 9


def test_a_new_source_keeps_the_previews_of_its_own_maker(stack) -> None:
    sparse, _ = stack
    sparse.put(0, np.full((5, 7), 9, np.uint8), "this")
    sparse.put(3, np.full((5, 7), 9, np.uint8), "another")
    fresh = sparse.over(np.zeros(sparse.shape, np.uint8), "this")
    assert [int(plane.max()) for plane in fresh] == [9, 0, 0, 0, 0, 0]


# ---- facts about layers


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        (None, "no image layer"),
        (Labels(np.zeros((2, 4, 4), int), name="ids"), "“ids” is a Labels layer; choose the Image"),
        (Points(np.zeros((1, 3)), name="dots"), "“dots” is a Points layer"),
        (Image(np.zeros((8, 8, 3)), rgb=True, name="photo"), "“photo” is a colour image"),
        (Image(np.zeros((2, 2, 3, 8, 8)), name="movie"), "“movie” has 5 axes"),
        (Image(np.zeros((2, 3, 8, 8)), name="movie"), "“movie” has 4 axes"),
    ],
)
def test_what_is_no_grey_stack_says_so(layer, words) -> None:
    with pytest.raises(ValueError, match=words):
        layers.check_image(layer)


def test_no_image_names_what_is_there_instead() -> None:
    with pytest.raises(ValueError, match="“ids” is a Labels layer"):
        layers.check_image(None, [Labels(np.zeros((2, 4, 4), int), name="ids")])


@pytest.mark.parametrize("data", [IMAGE, IMAGE[0], [IMAGE, IMAGE[:, ::2, ::2]]])
def test_grey_slices_stacks_and_pyramids_will_do(data) -> None:
    layers.check_image(Image(data, multiscale=isinstance(data, list)))


@pytest.mark.parametrize(
    ("scale", "units", "expected"),
    [
        ((30, 6, 6), NM, (30, 6, 6)),
        ((0.03, 0.006, 0.006), ("um",) * 3, (30, 6, 6)),
        ((30, 6, 6), None, None),
        ((1, 1, 1), None, None),
    ],
)
def test_a_voxel_size_is_stated_by_a_unit_of_length(scale, units, expected) -> None:
    stated = layers.stated_voxel_size(Image(IMAGE, scale=scale, units=units))
    assert stated == (None if expected is None else pytest.approx(expected))


def test_setting_the_voxel_size_keeps_the_origins_voxel() -> None:
    layer = Image(IMAGE, scale=(2, 1, 1), translate=(4, 5, 6))
    layers.set_voxel_size(layer, (30, 6, 6))
    assert layer.scale.tolist() == [30, 6, 6]
    assert layer.translate.tolist() == [60, 30, 36]
    assert layers.stated_voxel_size(layer) == (30, 6, 6)


def test_a_layer_is_the_volume_that_it_shows() -> None:
    layer = Image(IMAGE, scale=(30, 6, 6), units=NM, translate=(60, 6, 0), name="em")
    volume = layers.snapshot_of(layer).volume
    np.testing.assert_array_equal(np.asarray(volume.data), IMAGE)
    assert (volume.voxel_size, volume.translation, volume.name) == ((30, 6, 6), (60, 6, 0), "em")


def test_a_volume_survives_the_way_through_a_layer() -> None:
    volume = volume_from_array(IMAGE, (30, 6, 6), "em")
    data, options, _ = layers.image_data(volume, (3, 200))
    layer = ViewerModel().add_image(data, **options)
    back = layers.snapshot_of(layer).volume
    assert layer.contrast_limits == [3, 200]
    np.testing.assert_array_equal(np.asarray(back.data), IMAGE)
    assert back.voxel_size == volume.voxel_size


@pytest.mark.parametrize(
    ("path", "folder"),
    [
        ("stack.tif", "."),
        ("store.zarr/raw/s0", "."),
        ("file.h5::/volumes/raw", "."),
        ("gone/stack.tif", None),
        (None, None),
    ],
)
def test_the_output_goes_beside_the_input_or_home(tmp_path, path, folder) -> None:
    meta = {layers.KEY: {"path": str(tmp_path / path)}} if path else {}
    layer = Image(IMAGE, name="a/b: em", metadata=meta)
    expected = tmp_path if folder else Path.home()
    assert layers.default_output(layer) == expected / "a_b_ em boundaries.zarr"


# ---- overlays


@pytest.fixture
def viewer() -> ViewerModel:
    return ViewerModel()


@pytest.mark.parametrize("data", [IMAGE, IMAGE[0]], ids=["stack", "slice"])
def test_boundaries_lie_on_the_image(viewer, data) -> None:
    image = viewer.add_image(data, name="em", scale=(30, 6, 6)[-data.ndim :], units=NM[-data.ndim :])
    viewer.add_labels(np.zeros(data.shape, int), name="mine")
    [layer] = overlays.boundary_layers(viewer, image)
    assert [one.name for one in viewer.layers] == ["em", "em boundaries", "mine"]
    assert viewer.layers.selection.active.name == "mine"
    assert layer.data.shape == (1, *data.shape)[-3:]
    np.testing.assert_array_equal(layer.scale[1:], (6, 6))
    np.testing.assert_array_equal(layer.extent.world[:, 1:], np.atleast_2d(image.extent.world[:, -2:]))
    assert layer.units == (layer.units[0],) * 3
    assert overlays.boundary_layers(viewer, image) == [layer]


def test_a_prediction_from_a_file_stays_in_sight(viewer) -> None:
    image = viewer.add_image(IMAGE, name="em")
    data, options, _ = layers.boundary_data(volume_from_array(IMAGE + 1, name="em boundaries"))
    opened = viewer.add_image(data, **options)
    [layer] = overlays.boundary_layers(viewer, image)
    assert layer is opened
    overlays.put([layer], 2, np.zeros((1, 20, 30), np.uint8))
    np.testing.assert_array_equal(layer.data[1], IMAGE[1] + 1)
    assert not layer.data[2].any()


def test_classes_have_a_layer_each_and_another_models_go(viewer) -> None:
    image = viewer.add_image(IMAGE, name="em")
    overlays.boundary_layers(viewer, image)
    viewer.add_image(IMAGE, name="em boundaries by hand")
    shown = overlays.boundary_layers(viewer, image, ("cell", "myelin"))
    planes = np.arange(2 * 20 * 30, dtype=np.uint8).reshape(2, 20, 30)
    overlays.put(shown, 2, planes)
    names = [one.name for one in viewer.layers]
    assert names == ["em", "em boundaries myelin", "em boundaries cell", "em boundaries by hand"]
    assert shown == overlays.boundary_layers(viewer, image, ("cell", "myelin"))
    assert len({one.colormap.name for one in shown}) == 2
    for layer, plane in zip(shown, planes, strict=True):
        np.testing.assert_array_equal(layer.data[2], plane)
    [one] = overlays.boundary_layers(viewer, image)
    assert overlays.layers_on(viewer, image) == [one]


def test_a_class_that_is_hidden_stays_so(viewer) -> None:
    image = viewer.add_image(IMAGE, name="em")
    first, second = shown = overlays.boundary_layers(viewer, image, ("cell", "myelin"))
    second.visible = False
    overlays.put(shown, 0, np.zeros((2, 20, 30), np.uint8))
    assert [one.visible for one in shown] == [True, False]
    first.visible = False
    overlays.put(shown, 0, np.zeros((2, 20, 30), np.uint8))
    assert [one.visible for one in shown] == [True, True]


def test_a_strangers_layer_of_that_name_is_left_alone(viewer) -> None:
    image = viewer.add_image(IMAGE, name="em")
    stranger = viewer.add_image(IMAGE, name="em boundaries")
    assert overlays.boundary_layers(viewer, image)[0] is not stranger
    assert stranger in viewer.layers


def test_overlays_follow_the_image(viewer) -> None:
    image = viewer.add_image(IMAGE, name="em", translate=(1, 2, 3))
    overlays.boundary_layers(viewer, image)
    warp_layers.show(viewer, image, draw_tile(2, [shifted_warp()]))
    layers.set_voxel_size(image, (30, 6, 6))
    overlays.follow(viewer, image)
    for one in viewer.layers:
        assert one.scale.tolist() == [30, 6, 6]
        assert one.translate.tolist() == [30, 12, 18]
    assert len({layer.units for layer in viewer.layers}) == 1


def shifted_warp(shift: float = 0.25) -> Warp:
    """Build a tile of 64 pixels at (8, 4) whose map of 8 x 8 looks further to the right."""
    axis = np.linspace(-1, 1, 8)
    x, y = np.meshgrid(axis, axis)
    rest = np.stack(np.meshgrid([-0.5, 0.5], [-0.5, 0.5]), -1).reshape(4, 2)
    return Warp(np.stack([x + shift, y], -1), rest + np.array([shift, 0]), rest, 4, (8, 4))


def test_a_warp_is_drawn_where_it_is(viewer) -> None:
    image = viewer.add_image(np.zeros((4, 90, 90)), name="em")
    warp = shifted_warp()
    warp_layers.show(viewer, image, draw_tile(3, [warp]))
    grid, arrows, points = (viewer.layers[f"em warp tile {what}"] for what in ("grid", "arrows", "fiducials"))
    np.testing.assert_allclose(points.data[:, 1:], warp.to_pixels(warp.fiducials))
    np.testing.assert_allclose(arrows.data[:, 0, 1:], warp.to_pixels(warp.rest))
    np.testing.assert_allclose(arrows.data.sum(axis=1), points.data)
    np.testing.assert_allclose(arrows.data[:, 1], np.tile([0, 0, 0.25 / 2 * 7 * 8], (4, 1)), atol=1e-12)
    assert set(grid.data[:, 0, 0]) == {3.0}
    length = np.linalg.norm(grid.data[:, 1], axis=1).sum()
    assert length == pytest.approx(2 * 8 * 7 * 8)  # 8 rows and 8 columns of 7 cells of 8 pixels


def test_a_warp_is_redrawn_in_place_and_taken_out(viewer) -> None:
    image = viewer.add_image(np.zeros((4, 90, 90)), name="em")
    warp_layers.show(viewer, image, draw_tile(3, [shifted_warp()]))
    before = list(viewer.layers)
    warp_layers.show(viewer, image, draw_tile(0, [shifted_warp(-0.5)]))
    assert list(viewer.layers) == before
    assert viewer.layers["em warp tile fiducials"].data[0, 0] == 0
    assert viewer.layers.selection.active is image
    warp_layers.hide(viewer, layers.TILE_WARP)
    assert list(viewer.layers) == [image]


# ---- where the user looks


@pytest.mark.parametrize("scale", [(1, 1, 1), (30, 6, 6)])
def test_the_slice_in_view(viewer, scale) -> None:
    image = viewer.add_image(IMAGE, scale=scale)
    for z in (0, 3, 1):
        show_slice(viewer, image, z)
        assert slice_in_view(viewer, image) == z
        assert viewer.dims.current_step[0] == z


def test_the_cursor_counts_while_it_is_on_the_canvas(viewer) -> None:
    image = viewer.add_image(IMAGE, scale=(30, 6, 6))
    show_slice(viewer, image, 2)
    getattr(viewer, "scene", viewer).camera.center = (0, 10 * 6, 15 * 6)
    assert looked_at(viewer, image) == (2, 10, 15)
    viewer.mouse_over_canvas = True
    viewer.cursor.position = (60, 4 * 6, 7 * 6)
    assert looked_at(viewer, image) == (2, 4, 7)
    assert looked_at(viewer, image, cursor=False) == (2, 10, 15)
    viewer.cursor.position = (60, -99, 9999)
    assert looked_at(viewer, image) == (2, 0, 29)


# ---- units, names, and what cannot be shown


def test_an_image_in_other_units_than_its_neighbours_is_looked_at_where_it_is_shown() -> None:
    viewer = ViewerModel()
    image = viewer.add_image(IMAGE, name="em", scale=(0.03, 0.006, 0.006), units=("um",) * 3)
    viewer.add_image(IMAGE, name="other", scale=(30, 6, 6), units=NM)
    viewer.dims.set_current_step(0, 2)
    assert slice_in_view(viewer, image) == 2
    show_slice(viewer, image, 1)
    assert viewer.dims.current_step[0] == 1
    fly_to(viewer, image, (3, 10, 12))
    assert looked_at(viewer, image, cursor=False) == (3, 10, 12)
    part = Labels(np.ones((2, 8, 10), int), scale=(30, 6, 6), translate=(30, 24, 36), units=NM)
    assert layers.ids_over(part, IMAGE.shape, image)[1] == (1, 4, 6)


def test_layers_of_an_image_whose_name_another_begins_with_are_left_alone() -> None:
    viewer = ViewerModel()
    one, two = (viewer.add_image(IMAGE, name=name) for name in ("em", "em [1]"))
    ours = {"metadata": {layers.KEY: {"role": layers.BOUNDARIES}}}
    mine, theirs = (viewer.add_image(IMAGE, name=f"{image.name} boundaries", **ours) for image in (one, two))
    layers.set_voxel_size(one, (30, 6, 6))
    overlays.follow(viewer, one)
    assert tuple(mine.scale) == (30, 6, 6)
    assert tuple(theirs.scale) == (1, 1, 1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scale": (-6, 6)}, "is flipped"),
        ({"rotate": 90}, "is turned or sheared"),
        ({"shear": [0.2]}, "is turned or sheared"),
        ({"affine": [[1, 0.1, 0], [0, 1, 0], [0, 0, 1]]}, "is turned or sheared"),
    ],
)
def test_a_slice_that_our_layers_could_not_follow_is_refused(options: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        layers.check_image(Image(IMAGE[0], name="em", **options))
    layers.check_image(Image(IMAGE[0], name="em", scale=(6, 6), translate=(5, 7)))
