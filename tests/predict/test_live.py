"""What is looked at is what predicting gives, is kept within bounds, and comes in the right order."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from napari_dtn.bounded import Bounded
from napari_dtn.nn.checkpoint import load_model
from napari_dtn.predict import LivePart, LivePrediction, Predictor, View, as_uint8, use_threads
from napari_dtn.predict.caching import Folder
from napari_dtn.predict.mosaic import COMPLETE, Mosaic, scales_of
from napari_dtn.predict.view import AT_ONCE, Lattice, passes, tiles_over
from napari_dtn.settings import LiveSettings, PredictSettings
from napari_dtn.volume.opening import Volume, volume_from_array
from napari_dtn.volume.tiles import TileGrid

if TYPE_CHECKING:
    from numpy.typing import NDArray

IMAGE = np.random.default_rng(0).integers(30, 220, (3, 150, 140), dtype=np.uint8)
SETTINGS = PredictSettings(device="cpu", overlap=8, threads=1)
WHOLE = slice(0, 150), slice(0, 140)


def pyramid(*factors: int) -> Volume:
    levels = [volume_from_array(IMAGE[:, ::factor, ::factor]).data for factor in factors]
    return Volume(tuple(levels), (30.0, 6.0, 6.0), "em", "em.zarr")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    use_threads(SETTINGS)


@pytest.fixture
def predictor(tiny_model: Path) -> Predictor:
    return Predictor.of(load_model(tiny_model), pyramid(1), SETTINGS)


@pytest.fixture
def with_levels(tiny_model: Path) -> Predictor:
    return Predictor.of(load_model(tiny_model), pyramid(1, 2, 4), SETTINGS)


class Counting:
    """A runner that counts its tiles."""

    def __init__(self, predictor: Predictor) -> None:
        self.tiles = 0
        self._run = predictor.runner

    def __call__(self, tiles: NDArray) -> NDArray:
        self.tiles += len(tiles)
        return self._run(tiles)


def counted(predictor: Predictor, *args: object) -> tuple[LivePrediction, Counting]:
    runner = Counting(predictor)
    return LivePrediction(replace(predictor, runner=runner), *args), runner


def look(live: LivePrediction, view: View) -> list[LivePart]:
    return list(live.steps(view))


def differs(live: LivePrediction, predictor: Predictor, z: int, y: slice, x: slice) -> int:
    found = live.picture.read(0, z, y, x)
    return int(np.abs(found.astype(int) - as_uint8(predictor.predict(z, y, x))).max())


# ---- values


@pytest.mark.parametrize("region", [(slice(40, 101), slice(61, 120)), WHOLE, (slice(149, 150), slice(0, 1))])
def test_a_finished_view_is_what_predicting_it_gives(predictor: Predictor, region: tuple) -> None:
    live = LivePrediction(predictor)
    parts = look(live, View(1, *region))
    assert parts[-1].done == parts[-1].total == tiles_over(predictor.grid, region)
    assert differs(live, predictor, 1, *region) <= 1
    assert live.picture.read(0, 1, *region).any()
    assert not live.picture.read(0, 0, *WHOLE).any(), "the next slice has not been looked at"


def test_panning_ends_where_predicting_at_once_does(predictor: Predictor) -> None:
    live, runner = counted(predictor)
    seen = [(slice(start, start + 50), slice(start, start + 40)) for start in (20, 47, 90, 0)]
    for y, x in seen:
        look(live, View(0, y, x))
    for y, x in seen:
        assert differs(live, predictor, 0, y, x) <= 1
    assert runner.tiles == len(live._tiles), "no tile was predicted twice"


def test_what_is_there_of_an_unfinished_view_is_shown_at_full_strength(predictor: Predictor) -> None:
    live = LivePrediction(predictor)
    steps = live.steps(View(0, *WHOLE))
    first = next(part for part in steps if part.done)
    shown = live.picture.read(0, 0, *WHOLE)[0]
    assert 0 < first.done <= SETTINGS.batch_size
    rows, columns = np.nonzero(shown)
    y, x = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
    inside = shown[y, x].astype(float)
    want = as_uint8(predictor.predict(0, y, x))[0].astype(float)
    assert 0.8 < inside[:8].mean() / want[:8].mean() < 1.25, "a border without its neighbour is not faded"


def test_a_model_of_several_classes(tmp_path: Path) -> None:
    import torch

    from napari_dtn.nn.checkpoint import ModelCard, save_model
    from napari_dtn.nn.dtn import build_network
    from napari_dtn.settings import NetworkSettings

    shape = NetworkSettings(base_channels=2, levels=2, transformer_levels=(), n_classes=3, context=1)
    torch.manual_seed(0)
    card = ModelCard("three", shape, 32, (30, 6, 6), ("a", "b", "c"))
    save_model(tmp_path / "m.safetensors", build_network(shape).state_dict(), card)
    predictor = Predictor.of(load_model(tmp_path / "m.safetensors"), pyramid(1), SETTINGS)
    live = LivePrediction(predictor)
    look(live, View(2, slice(0, 60), slice(0, 60)))
    assert live.picture.read(0, 2, slice(0, 60), slice(0, 60)).shape == (3, 60, 60)
    assert differs(live, predictor, 2, slice(0, 60), slice(0, 60)) <= 1


# ---- order


def test_a_rough_view_comes_first_and_is_replaced(with_levels: Predictor) -> None:
    live = LivePrediction(with_levels)
    parts = look(live, View(1, *WHOLE))
    levels = [part.level for part in parts]
    assert levels == sorted(levels, reverse=True)
    assert set(levels) == {1, 0}, "the finest level that needs few tiles, then the finest of all"
    assert differs(live, with_levels, 1, *WHOLE) <= 1


def test_the_rough_view_covers_what_is_not_fine_yet(with_levels: Predictor) -> None:
    live = LivePrediction(with_levels)
    for part in live.steps(View(1, *WHOLE)):
        if part.level == 0:
            break
    coarse = replace(with_levels.volume, levels=with_levels.volume.levels[1:2])
    level = replace(with_levels, volume=coarse, grid=TileGrid(75, 70, 32, 8))
    want = as_uint8(level.predict(1)).repeat(2, axis=1).repeat(2, axis=2)
    found = live.picture.read(0, 1, *WHOLE)
    assert np.abs(found.astype(int) - want).max() <= 1


@pytest.mark.parametrize("view", [View(1, slice(50, 100), slice(50, 100)), View(1, *WHOLE)])
def test_no_rough_view_where_little_is_missing(with_levels: Predictor, view: View) -> None:
    live, runner = counted(with_levels)
    if tiles_over(with_levels.grid, (view.y, view.x)) > AT_ONCE:
        look(live, view)
        runner.tiles = 0
    assert {part.level for part in look(live, view)} == {0}
    assert runner.tiles <= AT_ONCE


def test_the_middle_of_a_view_comes_first_and_a_huge_one_ends_there() -> None:
    grid = TileGrid(65_536, 65_536, 224, 64)
    view = View(0, slice(0, 65_536), slice(20_000, 60_000))
    (fine,) = passes(view, [Lattice(0, 9, grid)], 1024)
    assert fine.needed == tiles_over(grid, (view.y, view.x)) > 100_000
    assert 1024 <= fine.tiles < 1024 + 16
    away = [
        np.hypot(
            np.mean([tile.y for tile in patch]) + 112 - 32_768,
            np.mean([tile.x for tile in patch]) + 112 - 40_000,
        )
        for patch in fine.patches
    ]
    assert min(np.diff(away)) > -2, "up to the rounding of where tiles begin"
    assert away[0] < 500
    tiles = [(tile.row, tile.column) for patch in fine.patches for tile in patch]
    assert len(set(tiles)) == len(tiles)


def test_levels_may_have_fewer_slices() -> None:
    lattices = [Lattice(0, 100, TileGrid(4000, 4000, 224, 64)), Lattice(1, 50, TileGrid(2000, 2001, 224, 64))]
    rough, fine = passes(View(31, slice(0, 4000), slice(3000, 4000)), lattices, 1024)
    assert (rough.level, rough.z, fine.z) == (1, 15, 31)
    assert rough.region == (slice(0, 2000), slice(1500, 2001))


def test_who_stops_iterating_stops_the_work(predictor: Predictor) -> None:
    live, runner = counted(predictor)
    steps = live.steps(View(0, *WHOLE))
    while not next(steps).done:
        pass
    steps.close()
    assert runner.tiles == SETTINGS.batch_size


# ---- keeping


def test_going_back_asks_the_network_for_nothing(predictor: Predictor) -> None:
    live, runner = counted(predictor)
    views = [View(z, slice(20, 80), slice(30, 90)) for z in range(3)]
    for view in views:
        look(live, view)
    runner.tiles = 0
    parts = look(live, views[0])
    assert parts[-1].done == parts[-1].total
    assert runner.tiles == 0


def test_what_is_kept_is_bounded(predictor: Predictor) -> None:
    live, _ = counted(predictor)
    for store in (live._tiles, live._sheets[0].mosaic._chunks):
        store.most = 150_000
    for z in range(3):
        look(live, View(z, *WHOLE))
        assert live._tiles.nbytes <= 150_000
        assert live._sheets[0].mosaic._chunks.nbytes <= 150_000
        assert differs(live, predictor, z, slice(50, 90), slice(50, 90)) <= 1
    look(live, View(0, *WHOLE))
    assert differs(live, predictor, 0, slice(50, 90), slice(50, 90)) <= 1


def test_tiles_on_disk_outlive_the_process(predictor: Predictor, tmp_path: Path) -> None:
    view, asked = View(1, slice(20, 80), slice(30, 90)), LiveSettings(on_disk=True)
    live, runner = counted(predictor, asked, tmp_path)
    look(live, view)
    assert runner.tiles == len(list(tmp_path.rglob("*.npy"))) > 0
    again, runner = counted(predictor, asked, tmp_path)
    look(again, view)
    assert runner.tiles == 0
    assert differs(again, predictor, 1, view.y, view.x) <= 1


@pytest.mark.parametrize(
    "change",
    [
        lambda one: replace(one, settings=replace(one.settings, overlap=12), grid=TileGrid(150, 140, 32, 12)),
        lambda one: replace(one, intensity=replace(one.intensity, mean=one.intensity.mean + 1)),
        lambda one: replace(one, volume=replace(one.volume, path="other.zarr")),
        lambda one: replace(one, model=replace(one.model, sha256="other")),
    ],
    ids=["settings", "statistics", "volume", "model"],
)
def test_tiles_on_disk_are_those_of_one_model_and_volume(
    predictor: Predictor, tmp_path: Path, change
) -> None:
    view, asked = View(1, slice(20, 80), slice(30, 90)), LiveSettings(on_disk=True)
    look(LivePrediction(predictor, asked, tmp_path), view)
    other, runner = counted(change(predictor), asked, tmp_path)
    look(other, view)
    assert runner.tiles > 0


def test_nothing_on_disk_unless_asked_or_without_a_file(predictor: Predictor, tmp_path: Path) -> None:
    view = View(1, slice(20, 80), slice(30, 90))
    nameless = replace(predictor, volume=replace(predictor.volume, path=None))
    look(LivePrediction(predictor, LiveSettings(), tmp_path), view)
    look(LivePrediction(nameless, LiveSettings(on_disk=True), tmp_path), view)
    assert list(tmp_path.iterdir()) == []


# ---- the stores


def test_the_oldest_files_go_and_a_damaged_one_is_missing(tmp_path: Path) -> None:
    folder, tile = Folder(tmp_path, "one", 10_000), np.arange(1000, dtype=np.uint8).reshape(1, 10, 100)
    for column in range(9):
        folder.put((0, 1, 2, column), tile)
        os.utime(tmp_path / "one" / "0" / "1" / "2" / f"{column}.npy", (column, column))
    np.testing.assert_array_equal(folder.get((0, 1, 2, 0)), tile)
    for column in (9, 10):
        folder.put((0, 1, 2, column), tile)
    assert folder.get((0, 1, 2, 0)) is not None, "it was used just now"
    assert folder.get((0, 1, 2, 1)) is None
    assert sum(path.stat().st_size for path in tmp_path.rglob("*.npy")) <= 10_000
    (tmp_path / "one" / "0" / "1" / "2" / "10.npy").write_bytes(b"\x93NUMPY")
    assert folder.get((0, 1, 2, 10)) is None
    assert Folder(tmp_path, "two", 10_000)._nbytes > 1000, "the bound is on all volumes"


def test_a_full_disk_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    folder = Folder(tmp_path, "one", 10_000)
    monkeypatch.setattr(np, "save", full)
    folder.put((0, 0, 0, 0), np.zeros(3, np.uint8))
    folder.put((0, 0, 0, 1), np.zeros(3, np.uint8))
    assert folder.get((0, 0, 0, 0)) is None
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert caplog.text.count("No space left") == 1


def test_the_scales_of_a_mosaic_are_means_of_what_is_known() -> None:
    mosaic = Mosaic(0, (1100, 1030), 1, Bounded(10**8))
    assert mosaic.shapes == scales_of((1100, 1030)) == [(1100, 1030), (550, 515), (275, 258)]
    values = np.random.default_rng(0).integers(1, 256, (1100, 1030)).astype(np.uint8)
    full = np.stack([values, np.full_like(values, COMPLETE)])
    mosaic.paste(0, 0, 0, full[:, :600])
    mosaic.paste(0, 600, 0, full[:, 600:])
    np.testing.assert_array_equal(mosaic.read(0, 0, slice(0, 1100), slice(0, 1030)), full)
    fours = values.reshape(550, 2, 515, 2).mean(axis=(1, 3))
    half = mosaic.read(0, 1, slice(0, 550), slice(0, 515))
    assert np.abs(half[0] - fours).max() <= 0.5
    assert (half[1] == COMPLETE).all()
    assert mosaic.read(1, 1, slice(0, 550), slice(0, 515)) is None


def test_a_pixel_is_not_replaced_by_one_made_from_less() -> None:
    mosaic = Mosaic(0, (50, 50), 1, Bounded(10**8))
    for value, weight in ((10, 100), (20, 50), (30, COMPLETE), (40, 254)):
        mosaic.paste(0, 5, 5, np.stack([np.full((9, 9), part, np.uint8) for part in (value, weight)]))
    assert mosaic.read(0, 0, slice(6, 7), slice(6, 7)).ravel().tolist() == [30, COMPLETE]
    assert mosaic.lacks(0, slice(0, 10), slice(0, 10))
    assert not mosaic.lacks(0, slice(5, 14), slice(5, 14))
