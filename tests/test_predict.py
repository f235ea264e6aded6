"""Prediction: every way of asking for a pixel agrees, and what is written is what was computed."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import zarr

from napari_dtn.nn.checkpoint import Model, ModelCard, load_model, save_model
from napari_dtn.nn.dtn import build_network
from napari_dtn.predict import Predictor, as_uint8, plan, predict, predict_slice
from napari_dtn.settings import NetworkSettings, PredictSettings, Roi
from napari_dtn.volume.opening import Volume, open_volume, volume_from_array
from napari_dtn.volume.writing import read_attributes

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.phantom import Phantom

EXACT = PredictSettings(precision="float32", overlap=8, batch_size=3)


@pytest.fixture
def model(tiny_model: Path, device: str) -> Model:
    return load_model(tiny_model, device)


@pytest.fixture
def volume(tiny_phantom: Phantom) -> Volume:
    return volume_from_array(tiny_phantom.image, (30, 6, 6), "phantom")


def test_preview_roi_and_volume_agree_at_every_pixel(model: Model, volume: Volume) -> None:
    whole = predict_slice(model, volume, 2, EXACT)
    predictor = Predictor.of(model, volume, EXACT)
    for y, x in ((slice(10, 61), slice(33, 80)), (slice(0, 1), slice(79, 80)), (slice(90, 96), slice(0, 80))):
        np.testing.assert_allclose(predictor.predict(2, y, x)[0], whole[y, x], atol=1e-5)


def test_the_batch_size_changes_nothing(model: Model, volume: Volume) -> None:
    one, many = (PredictSettings(precision="float32", overlap=8, batch_size=n) for n in (1, 16))
    np.testing.assert_allclose(
        predict_slice(model, volume, 0, one), predict_slice(model, volume, 0, many), atol=1e-5
    )


def test_a_tile_of_its_own_is_what_the_network_says(model: Model, tiny_phantom: Phantom) -> None:
    """Without neighbours there is no blending: the oracle is the bare network."""
    import torch

    volume = volume_from_array(tiny_phantom.image[:, :32, :32])
    predictor = Predictor.of(model, volume, EXACT)
    values = (
        volume.data[1].compute().astype(np.float32) - predictor.intensity.mean
    ) / predictor.intensity.std
    with torch.no_grad():
        logits = model.network(torch.from_numpy(values[None, None]).to(model.device))
    np.testing.assert_allclose(predictor.predict(1)[0], torch.sigmoid(logits)[0, 0].cpu().numpy(), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 5, 200), (2, 33, 31)])
def test_any_shape_of_slice(model: Model, shape: tuple[int, int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    if image.size == 1:
        with pytest.raises(ValueError, match="is it empty"):
            predict_slice(model, volume_from_array(image), 0)
        return
    result = predict_slice(model, volume_from_array(image), 0, EXACT)
    assert result.shape == shape[1:]
    assert ((result > 0) & (result < 1)).all()


def test_a_box_is_written_where_it_lies(model: Model, volume: Volume, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    roi = Roi(z=(1, 3), y=(20, 70), x=(None, 40))
    events = list(predict(model, volume, out, roi, EXACT))
    stored = open_volume(out)
    assert stored.voxel_size == (30, 6, 6)
    assert stored.translation == (30, 120, 0)
    assert stored.data.dtype == np.uint8
    for number, z in enumerate((1, 2)):
        expected = as_uint8(predict_slice(model, volume, z, EXACT)[20:70, :40])
        off = np.abs(stored.data[number].compute().astype(int) - expected)
        assert off.max() <= 1
    assert events[-1].done == events[-1].total
    assert [event.z for event in events if event.slice_done] == [1, 2]
    assert all(event.rate > 0 and event.eta >= 0 for event in events)


def test_provenance_is_stored(model: Model, volume: Volume, tmp_path: Path) -> None:
    list(predict(model, volume, tmp_path / "out.zarr", Roi(z=(0, 1)), EXACT))
    stored = read_attributes(tmp_path / "out.zarr")
    assert set(stored) >= {"model", "model_sha256", "settings", "intensity", "input", "version"}
    assert stored["model_sha256"] == model.sha256
    assert stored["settings"]["precision"] == "float32"
    assert stored["settings"]["overlap"] == 8
    assert (stored["bad_slices"], stored["slices_checked"]) == ([], 1)


def test_bad_slices_are_marked(model: Model, tiny_phantom: Phantom, tmp_path: Path) -> None:
    """By their number in the output, as parts that could not be read are."""
    image = tiny_phantom.image.copy()
    image[2] = 0
    list(predict(model, volume_from_array(image), tmp_path / "out.zarr", Roi(z=(1, 3)), EXACT))
    (bad,) = read_attributes(tmp_path / "out.zarr")["bad_slices"]
    assert bad == {"z": 1, "kind": "black", "share": 1.0, "reference": None, "shift": [0.0, 0.0]}


def test_every_finished_slice_is_on_disk_when_its_event_comes(
    model: Model, volume: Volume, tmp_path: Path
) -> None:
    """Whoever stops after an event keeps what it announced."""
    events = predict(model, volume, tmp_path / "out.zarr", settings=EXACT)
    for event in events:
        if event.slice_done:
            break
    events.close()  # type: ignore[attr-defined]
    array = zarr.open(str(tmp_path / "out.zarr"))["0"]
    assert event.z == 0
    np.testing.assert_array_equal(array[0], as_uint8(predict_slice(model, volume, 0, EXACT)))


def test_several_classes_have_an_axis_of_their_own(volume: Volume, tmp_path: Path, device: str) -> None:
    settings = NetworkSettings(base_channels=2, levels=2, transformer_levels=(1,), n_classes=3)
    path = tmp_path / "classes.safetensors"
    save_model(path, build_network(settings).state_dict(), ModelCard("classes", settings, patch_size=32))
    model = load_model(path, device)
    assert predict_slice(model, volume, 0, EXACT).shape == (3, 96, 80)
    np.testing.assert_allclose(predict_slice(model, volume, 0, EXACT).sum(axis=0), 1, atol=1e-5)
    list(predict(model, volume, tmp_path / "out.zarr", Roi(z=(0, 2)), EXACT))
    array = zarr.open(str(tmp_path / "out.zarr"))["0"]
    assert array.shape == (3, 2, 96, 80)
    assert array.metadata.dimension_names == ("c", "z", "y", "x")


def test_an_output_is_never_replaced_unasked(model: Model, volume: Volume, tmp_path: Path) -> None:
    out = tmp_path / "out.zarr"
    list(predict(model, volume, out, Roi(z=(0, 1)), EXACT))
    with pytest.raises(FileExistsError, match=r"out\.zarr exists"):
        predict(model, volume, out, Roi(z=(0, 1)), EXACT)
    list(predict(model, volume, out, Roi(z=(1, 2)), EXACT, overwrite=True))
    assert open_volume(out).translation == (30, 0, 0)


def test_an_unknown_voxel_size_is_assumed_with_a_warning(
    model: Model, tiny_phantom: Phantom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    list(predict(model, volume_from_array(tiny_phantom.image), tmp_path / "out.zarr", Roi(z=(0, 1)), EXACT))
    assert "does not state its voxel size" in caplog.text
    assert open_volume(tmp_path / "out.zarr").voxel_size == (30, 6, 6)


def test_a_voxel_size_that_nobody_knows_is_not_made_up(
    model: Model, tiny_phantom: Phantom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    unsized = replace(model, card=replace(model.card, voxel_size=None))
    shifted = replace(volume_from_array(tiny_phantom.image), translation=(4.0, 0.0, 0.0))
    list(predict(unsized, shifted, tmp_path / "out.zarr", Roi(z=(1, 2)), EXACT))
    assert "so none is written: give it by --voxel-size" in caplog.text
    written = open_volume(tmp_path / "out.zarr")
    assert (written.voxel_size, written.origin) == (None, (5, 0, 0))


def test_a_distant_voxel_size_is_warned_of(
    model: Model, tiny_phantom: Phantom, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    far = volume_from_array(tiny_phantom.image, (50, 20, 20))
    list(predict(model, far, tmp_path / "out.zarr", Roi(z=(0, 1)), EXACT))
    assert "voxels of 50 × 20 × 20 nm" in caplog.text
    assert open_volume(tmp_path / "out.zarr").voxel_size == (50, 20, 20)


def test_bad_requests_name_the_value(model: Model, volume: Volume, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="z is 4; the volume has slices 0 to 3"):
        predict_slice(model, volume, 4)
    with pytest.raises(ValueError, match="z range 2:9 does not fit"):
        predict(model, volume, tmp_path / "out.zarr", Roi(z=(2, 9)))
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("z", [-1, 4])
def test_a_predictor_has_no_other_slices_than_its_volume(model: Model, volume: Volume, z: int) -> None:
    predictor = Predictor.of(model, volume, EXACT)
    with pytest.raises(ValueError, match=f"z is {z}; the volume has slices 0 to 3"):
        predictor.predict(z)
    with pytest.raises(ValueError, match=f"z is {z}; the volume has slices 0 to 3"):
        next(predictor.slice_steps(z, slice(0, 9), slice(0, 9), np.zeros((1, 9, 9), np.float32)))
    with pytest.raises(ValueError, match=f"z is {z}; the volume has slices 0 to 3"):
        predictor.warps(z, 5, 5)


def test_nor_pixels_beside_them(model: Model, volume: Volume) -> None:
    predictor = Predictor.of(model, volume, EXACT)
    with pytest.raises(ValueError, match="y range 90:99 does not fit: the volume has y 0:96"):
        predictor.predict(1, slice(90, 99))
    with pytest.raises(ValueError, match="x range -5:10 does not fit: the volume has x 0:80"):
        predictor.predict(1, x=slice(-5, 10))
    with pytest.raises(ValueError, match="x range 500:501 does not fit"):
        predictor.warps(1, 5, 500)


def test_a_model_for_colour_images_is_refused(volume: Volume, tmp_path: Path) -> None:
    settings = NetworkSettings(base_channels=2, levels=2, transformer_levels=(), in_channels=3)
    path = tmp_path / "colour.safetensors"
    save_model(path, build_network(settings).state_dict(), ModelCard("colour", settings))
    with pytest.raises(ValueError, match="colour wants 3 channels"):
        predict_slice(load_model(path, "cpu"), volume, 0)


def test_the_warp_of_a_tile_lies_over_it(model: Model, volume: Volume) -> None:
    (warp,) = Predictor.of(model, volume, EXACT).warps(1, 50, 60)
    assert warp.level == 2
    assert warp.grid.shape == (16, 16, 2)
    start = warp.arrows[:, 0]
    assert (start >= warp.origin).all()
    assert (start < np.add(warp.origin, 32)).all()
    assert np.abs(warp.arrows[:, 1]).max() > 0.01  # the tiny model's weights do move its fiducials
    # T carries the resting lattice to the fiducials: its own spline agrees.
    import torch

    from napari_dtn.nn.tps import spline_matrix

    again = spline_matrix(torch.from_numpy(warp.rest), 4) @ torch.from_numpy(warp.fiducials)
    np.testing.assert_allclose(again.numpy(), warp.fiducials, atol=1e-6)


def test_a_unet_has_no_warp(volume: Volume, tmp_path: Path) -> None:
    settings = NetworkSettings(base_channels=2, levels=2, transformer_levels=())
    path = tmp_path / "unet.safetensors"
    save_model(path, build_network(settings).state_dict(), ModelCard("unet", settings, patch_size=32))
    assert Predictor.of(load_model(path, "cpu"), volume, EXACT).warps(0, 5, 5) == ()


def test_a_plan_counts_what_will_be_done(model: Model, volume: Volume, tmp_path: Path) -> None:
    roi = Roi(z=(1, 3), x=(0, 40))
    planned = plan(model, volume, roi, EXACT)
    events = list(predict(model, volume, tmp_path / "out.zarr", roi, EXACT))
    assert (planned.slices, planned.tiles) == (events[-1].slices, events[-1].total)
    assert planned.output_bytes == 2 * 96 * 40
    assert 0 < planned.seconds < 100 * events[-1].elapsed


def test_a_network_that_looks_at_neighbouring_slices_gets_them(tiny_phantom: Phantom, tmp_path: Path) -> None:
    """The oracle is the bare network on hand-made stacks; past the ends the last slice is repeated."""
    import torch

    settings = NetworkSettings(base_channels=2, levels=2, transformer_levels=(), context=1)
    path = tmp_path / "context.safetensors"
    save_model(path, build_network(settings).state_dict(), ModelCard("context", settings, patch_size=32))
    model, volume = load_model(path, "cpu"), volume_from_array(tiny_phantom.image[:, :32, :32])
    predictor = Predictor.of(model, volume, EXACT)
    stack = (tiny_phantom.image[:, :32, :32] - predictor.intensity.mean) / predictor.intensity.std
    for z, slices in ((0, [0, 0, 1]), (1, [0, 1, 2]), (3, [2, 3, 3])):
        with torch.no_grad():
            logits = model.network(torch.from_numpy(stack[slices][None].astype(np.float32)))
        np.testing.assert_allclose(predictor.predict(z)[0], torch.sigmoid(logits)[0, 0].numpy(), atol=1e-5)


def test_an_overlap_that_was_asked_for_and_is_too_large_is_said(
    tiny_model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, volume = (
        load_model(tiny_model),
        volume_from_array(np.arange(4096, dtype=np.uint16).reshape(1, 64, 64)),
    )
    assert Predictor.of(model, volume, PredictSettings(backend="eager")).settings.overlap == 16
    assert not caplog.records, "the default is"
    Predictor.of(model, volume, PredictSettings(backend="eager", overlap=200))
    assert "overlap is 200, and tiles of 32 overlap by half of that at most: 16 is taken." in caplog.text
