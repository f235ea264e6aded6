"""What a brush does to labels on disk: seen at once, recorded as patches, and never written by the brush."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dtn._napari.painted import PaintedLabels

SHAPE = (4, 30, 40)
KEYS = [
    2,
    (1, slice(3, 9), slice(None)),
    (slice(1, 3), slice(3, 9), slice(5, 7)),
    (np.array([0, 1, 1]), np.array([3, 4, 5]), np.array([6, 6, 7])),
]


@pytest.fixture
def labels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 5, SHAPE).astype(np.uint32)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_it_reads_and_writes_as_an_array_does(labels: np.ndarray, key: object) -> None:
    painted, oracle = PaintedLabels(labels.copy()), labels.copy()
    for value in (7, np.random.default_rng(1).integers(0, 9, np.shape(oracle[key])).astype(np.uint32)):
        full = key if isinstance(key, tuple) else (key, slice(None), slice(None))
        painted[full] = value
        oracle[key] = value
        assert (painted[key] == oracle[key]).all()
        assert (np.asarray(painted) == oracle).all()


def test_strokes_become_patches_and_the_disk_is_left_alone(labels: np.ndarray) -> None:
    disk = labels.copy()
    painted = PaintedLabels(disk)
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
    painted.settle()
    assert (np.asarray(painted) == disk).all()
    assert painted.take() == []
