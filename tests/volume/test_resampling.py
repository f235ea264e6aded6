"""Resampled volumes: as scikit-image resizes, without seams, and read where somebody looks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.transform import resize

from napari_dtn.volume.opening import volume_from_array
from napari_dtn.volume.resampling import resampled

EM = np.random.default_rng(0).integers(0, 255, (2, 60, 90), dtype=np.uint8)
SIZE = (30.0, 4.0, 4.0)


@pytest.mark.parametrize("factor", [2 / 3, 0.5, 2.0, 1.0], ids="{:.2f}".format)
def test_slices_are_resized_as_scikit_image_does(factor: float) -> None:
    made = resampled(volume_from_array(EM.astype(np.float32), SIZE), (factor, factor))
    assert made.voxel_size == pytest.approx((30, 4 / factor, 4 / factor))
    wanted = (round(60 * factor), round(90 * factor))
    for z in range(2):
        plane = EM[z].astype(np.float32)
        sharp = resize(plane, wanted, order=1, mode="edge", anti_aliasing=factor < 1, preserve_range=True)
        np.testing.assert_allclose(np.asarray(made.data[z]), sharp, atol=0.02)


def test_a_part_is_the_same_as_of_the_whole() -> None:
    data = resampled(volume_from_array(EM, SIZE), (0.7, 0.6)).data
    whole = np.asarray(data)
    assert whole.dtype == np.uint8
    assert whole.shape == (2, 42, 54)
    np.testing.assert_array_equal(np.asarray(data[1, 7:23, 30:31]), whole[1, 7:23, 30:31])
    np.testing.assert_array_equal(np.asarray(data[:, 40]), whole[:, 40])


def test_the_corner_stays_where_it_was() -> None:
    volume = volume_from_array(EM, SIZE)
    made = resampled(volume, (0.5, 0.5))
    first, size = np.array(made.translation), np.array(made.voxel_size)
    np.testing.assert_allclose(first - size / 2, np.array(volume.translation) - np.array(SIZE) / 2)


class Counted:
    """Zeros that know how many were read."""

    shape, dtype, chunks, ndim = (2, 4000, 4000), np.dtype(np.uint8), (1, 500, 500), 3

    def __init__(self) -> None:
        self.read = 0

    def __getitem__(self, key: tuple[Any, ...]) -> np.ndarray:
        axes = [np.arange(side)[one] for side, one in zip(self.shape, key, strict=True)]
        found = np.zeros([len(axis) for axis in axes if np.ndim(axis)], np.uint8)
        self.read += found.size
        return found


def test_only_what_is_shown_is_read() -> None:
    counted = Counted()
    data = resampled(volume_from_array(counted, SIZE), (0.5, 0.5)).data
    assert np.asarray(data[0, :100, :100]).shape == (100, 100)
    assert 0 < counted.read < 4000 * 4000 / 4


def test_an_unknown_voxel_size_is_refused() -> None:
    with pytest.raises(ValueError, match="em is not known"):
        resampled(volume_from_array(EM, name="em"), (0.5, 0.5))
