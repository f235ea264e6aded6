"""The pipeline gives what a preview gives, overlaps its steps, stays bounded, records nothing too early."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from napari_dtn.nn.checkpoint import Model, ModelCard, load_model, save_model
from napari_dtn.nn.dtn import build_network
from napari_dtn.predict import Predictor, as_uint8
from napari_dtn.predict.blocks import cut_into_blocks
from napari_dtn.predict.pipeline import Engine, run_blocks
from napari_dtn.predict.reading import Source
from napari_dtn.settings import NetworkSettings, PredictSettings, Roi
from napari_dtn.volume.intensity import Intensity
from napari_dtn.volume.lazy import to_dask
from napari_dtn.volume.opening import open_volume, volume_from_array
from napari_dtn.volume.tiles import TileGrid
from support.engine import EM, SETTINGS

if TYPE_CHECKING:
    from pathlib import Path

    from napari_dtn.predict.blending import Strip
    from napari_dtn.predict.pipeline import BlockDone

LARGE = np.random.default_rng(1).integers(30, 220, (3, 300, 530), dtype=np.uint8)


@pytest.fixture
def model(tiny_model: Path) -> Model:
    return load_model(tiny_model, "cpu")


@pytest.mark.parametrize("box", [Roi(), Roi((1, 3), (3, 290), (7, 527)), Roi((2, 3), (299, 300), (0, 1))])
def test_blocks_give_every_pixel_of_a_preview(model: Model, tmp_path: Path, box: Roi) -> None:
    settings = PredictSettings(precision="float32", overlap=8, batch_size=5, block_side=512, block_slices=2)
    predictor = Predictor.of(model, volume_from_array(LARGE), settings)
    events = list(predictor.write(tmp_path / "out.zarr", box))
    z, y, x = box.within(LARGE.shape)
    stored = open_volume(tmp_path / "out.zarr").data.compute()
    for number, plane in enumerate(stored):
        expected = as_uint8(predictor.predict(z.start + number)[0][y, x])
        assert np.abs(plane.astype(int) - expected).max() <= 1
    assert sorted(event.z for event in events if event.slice_done) == list(range(z.start, z.stop))
    assert (events[-1].done, events[-1].slices_done) == (events[-1].total, events[-1].slices)


@pytest.mark.parametrize("length", [25, 70, 82])
def test_a_slice_that_ends_within_a_tile_is_mirrored_alike_for_every_region(
    model: Model, length: int
) -> None:
    """A region sees the mirror image of the whole slice, not of its own tiles."""
    predictor = Predictor.of(model, volume_from_array(EM[:, :length, :length]), SETTINGS)
    corner = slice(length - 1, length)
    whole, pixel = predictor.predict(0), predictor.predict(0, corner, corner)
    np.testing.assert_allclose(pixel[0], whole[0][corner, corner], atol=1e-5)


class Slow:
    """A volume, a network and a target that take their time, and count."""

    def __init__(self, reading: float = 0, running: float = 0, writing: float = 0) -> None:
        self.reading, self.running, self.writing = reading, running, writing
        self.shape, self.dtype, self.ndim, self.chunks = (40, 16, 16), np.dtype("u1"), 3, (1, 16, 16)
        self.read = self.written = 0
        self.recorded: list[int] = []
        self.fail_at = -1
        self.gate = threading.Event()
        self.gate.set()

    def __getitem__(self, key: Any) -> np.ndarray:
        time.sleep(self.reading)
        self.read += 1
        return np.zeros(self.shape, np.uint8)[key]

    def run(self, batch: Any) -> np.ndarray:
        time.sleep(self.running)
        return np.zeros((len(batch.places), 1, 16, 16), np.float32)

    def write(self, strip: Strip) -> None:
        self.gate.wait(30)
        time.sleep(self.writing)
        if strip.z == self.fail_at:
            raise OSError("the disk broke")
        self.written += 1

    def record(self, done: BlockDone) -> None:
        self.recorded.append(done.block.number)

    def steps(self, slices: int = 40) -> Any:
        grid = TileGrid(16, 16, 16, 0)
        source = Source(to_dask(self, "zyx"), Intensity(0, 1, 0, 1), 0)
        blocks = cut_into_blocks((slice(0, slices), slice(0, 16), slice(0, 16)), grid, (1, 16, 16), 1)
        return run_blocks(Engine(source, grid, self.run, 1, 32, 16), blocks, self)


def test_reading_inference_and_writing_overlap() -> None:
    slow = Slow(0.03, 0.03, 0.03)
    began = time.perf_counter()
    assert len(list(slow.steps())) == 3 * 40
    assert time.perf_counter() - began < 0.6 * 40 * 0.09  # one after the other would take all of it


class Counted:
    """A volume that counts how often each slice is read."""

    def __init__(self, values: np.ndarray) -> None:
        self.values, self.reads = values, [0] * len(values)
        self.shape, self.dtype, self.ndim = values.shape, values.dtype, 3
        self.chunks = (1, *values.shape[1:])

    def __getitem__(self, key: Any) -> np.ndarray:
        for z in np.atleast_1d(np.arange(len(self.values))[key[0]]):
            self.reads[z] += 1
        return self.values[key]


def test_slices_are_read_once_for_neighbours_and_for_the_check(tmp_path: Path) -> None:
    settings = NetworkSettings(base_channels=1, levels=2, transformer_levels=(), context=1)
    path = tmp_path / "context.safetensors"
    save_model(path, build_network(settings).state_dict(), ModelCard("context", settings, patch_size=64))
    counted = Counted(np.random.default_rng(0).integers(30, 220, (6, 70, 90), dtype=np.uint8))
    predictor = Predictor.of(
        load_model(path, "cpu"), volume_from_array(counted), SETTINGS, Intensity(9, 9, 0, 9)
    )
    counted.reads = [0] * 6
    list(predictor.write(tmp_path / "out.zarr"))
    assert counted.reads == [1] * 6


def test_nothing_runs_far_ahead_of_the_writer() -> None:
    slow = Slow()
    slow.gate.clear()
    steps = slow.steps()
    done = threading.Thread(target=lambda: list(steps))
    done.start()
    time.sleep(0.5)
    assert slow.read < 20, "of 40"
    slow.gate.set()
    done.join(30)
    assert slow.read == slow.written == 40


def test_nothing_is_recorded_after_a_failure() -> None:
    slow = Slow()
    slow.fail_at = 2
    with pytest.raises(OSError, match="the disk broke"):
        list(slow.steps())
    assert slow.recorded == [0, 1]


def test_an_error_of_the_network_loses_nothing_before_it() -> None:
    slow, count = Slow(), 0

    def run(batch: Any) -> np.ndarray:
        nonlocal count
        count += 1
        if count == 4:
            raise RuntimeError("the device went away")
        return np.zeros((len(batch.places), 1, 16, 16), np.float32)

    slow.run = run
    with pytest.raises(RuntimeError, match="the device went away"):
        list(slow.steps())
    assert slow.recorded == [0, 1, 2]


def test_stopping_finishes_what_went_through_the_network() -> None:
    slow = Slow(writing=0.01)
    steps = slow.steps()
    for _ in range(3):
        next(steps)
    steps.close()
    assert slow.recorded
    assert slow.written == len(slow.recorded)
