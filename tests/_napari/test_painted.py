"""What a brush does to labels on disk: seen at once, recorded as patches, and never written by the brush."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dtn._napari import painted as module
from napari_dtn._napari.painted import PaintedLabels
from napari_dtn.volume.pyramid import mode

SHAPE = (4, 30, 40)
KEYS = [
    2,
    (1, slice(3, 9), slice(None)),
    (slice(1, 3), slice(3, 9), slice(5, 7)),
    (np.array([0, 1, 1]), np.array([3, 4, 5]), np.array([6, 6, 7])),
]


@pytest.fixture(autouse=True, params=[16, 512])
def _tiles(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep parts of slices, or whole ones."""
    monkeypatch.setattr(module, "_TILE", request.param)


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.uint32)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_it_reads_and_writes_as_an_array_does(labels: np.ndarray, key: object) -> None:
    painted, oracle = PaintedLabels([labels.copy()]), labels.copy()
    for value in (7, np.random.default_rng(1).integers(0, 9, np.shape(oracle[key])).astype(np.uint32)):
        full = key if isinstance(key, tuple) else (key, slice(None), slice(None))
        painted[full] = value
        oracle[key] = value
        assert (painted[key] == oracle[key]).all()
        assert (np.asarray(painted) == oracle).all()


def test_strokes_become_patches_and_the_disk_is_left_alone(labels: np.ndarray) -> None:
    disk = labels.copy()
    painted = PaintedLabels([disk])
    strokes = []
    for number in (10, 11):
        painted[2, 4:8, 5:9] = number
        painted[3, number, 5] = number
        strokes.append(painted.take())
    assert (disk == labels).all()
    for stroke in strokes:
        for patch in stroke:
            disk[patch.place] = patch.on(disk[patch.place])
    assert (np.asarray(painted) == disk).all()
    assert painted.settle()
    assert not painted.settle()
    assert (np.asarray(painted) == disk).all()
    assert painted.take() == []


def test_what_changes_on_disk_while_a_stroke_is_drawn_is_no_part_of_it(labels: np.ndarray) -> None:
    disk = labels.copy()
    painted = PaintedLabels([disk])
    painted[2, 4:6, 5:9] = 10
    disk[2] = 20  # an edit that was asked for before
    painted[2, 6:8, 5:9] = 10
    for patch in painted.take():
        disk[patch.place] = patch.on(disk[patch.place])
    assert (disk[2, 4:8, 5:9] == 10).all()
    assert (disk[2] == 20).sum() == disk[2].size - 16


def test_coarser_scales_show_what_is_painted_and_then_the_disk(labels: np.ndarray) -> None:
    disk = [labels]
    for _ in range(2):
        disk.append(mode(disk[-1]))
    painted = PaintedLabels(disk)
    for level, wanted in zip(painted.levels, disk, strict=True):
        assert (np.asarray(level[1, 2:, 3:]) == wanted[1, 2:, 3:]).all()
    painted[1, 8:24, 4:20] = 77
    for scale, level in enumerate(painted.levels):
        step = 2**scale
        shown = np.asarray(level[1])
        assert (shown[8 // step : 24 // step, 4 // step : 20 // step] == 77).all()
        assert (shown == 77).sum() == 256 / step**2
        assert (np.asarray(level[2]) == disk[scale][2]).all()
    painted.take()
    painted.settle()
    assert (np.asarray(painted.levels[2][1]) == disk[2][1]).all()


def test_a_window_of_a_slice_is_all_that_is_read() -> None:
    class Huge:
        shape, dtype, ndim = (2, 65_536, 65_536), np.dtype(np.uint32), 3

        def __getitem__(self, key):
            _, y, x = key
            assert (y.stop - y.start) * (x.stop - x.start) <= 512 * 512
            return np.zeros((y.stop - y.start, x.stop - x.start), np.uint32)

    painted = PaintedLabels([Huge()])
    painted[1:2, 40_000:40_050, 60_000:60_050] = np.full((1, 50, 50), 5)
    assert (painted[1, 39_999:40_051, 60_000:60_050] == 5).sum() == 2500
    assert sum(patch.new.size for patch in painted.take()) == 2500
