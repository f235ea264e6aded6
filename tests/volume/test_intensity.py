"""Intensity statistics: near the truth, cheap, and the same for every way of asking."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest

from napari_dtn.volume.intensity import estimate_intensity, normalise


class Counting:
    """An array that counts the voxels read from it."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.read = array, array.shape, 0

    def __getitem__(self, key: Any) -> np.ndarray:
        found = self.array[key]
        self.read += found.size
        return found


def test_a_small_volume_is_read_as_a_whole() -> None:
    image = np.random.default_rng(0).integers(0, 255, (3, 300, 200), dtype=np.uint8)
    intensity = estimate_intensity(image)
    assert intensity.mean == pytest.approx(image.mean())
    assert intensity.std == pytest.approx(image.std())
    assert (intensity.low, intensity.high) == tuple(np.percentile(image, (0.1, 99.9)))


def test_a_large_volume_is_sampled() -> None:
    image = Counting(np.random.default_rng(0).normal(100, 20, (20, 1024, 1024)).astype(np.float32))
    intensity = estimate_intensity(image)
    assert image.read == 32 * 256 * 256
    assert intensity.mean == pytest.approx(100, abs=0.2)
    assert intensity.std == pytest.approx(20, abs=0.2)


def test_lazy_and_loaded_volumes_agree() -> None:
    image = np.random.default_rng(0).integers(0, 255, (40, 300, 300), dtype=np.uint16)
    assert estimate_intensity(da.from_array(image, chunks=(1, 64, 64))) == estimate_intensity(image)


def test_normalised_values_have_no_mean_and_unit_deviation() -> None:
    image = np.random.default_rng(0).normal(1000, 300, (2, 64, 64))
    values = normalise(image, estimate_intensity(image))
    assert values.dtype == np.float32
    assert values.mean() == pytest.approx(0, abs=1e-5)
    assert values.std() == pytest.approx(1, abs=1e-5)


def test_an_empty_image_is_named() -> None:
    with pytest.raises(ValueError, match="The image is 7 wherever it was sampled"):
        estimate_intensity(np.full((2, 64, 64), 7, np.uint8))


def test_infinite_values_are_named() -> None:
    with pytest.raises(ValueError, match="NaN or infinite"):
        estimate_intensity(np.full((1, 64, 64), np.nan, np.float32))


def test_what_is_no_number_does_not_count() -> None:
    image = np.random.default_rng(0).normal(100, 10, (2, 64, 64)).astype(np.float32)
    holed = image.copy()
    holed[0, :8, :8] = np.nan
    assert estimate_intensity(holed).mean == pytest.approx(estimate_intensity(image).mean, abs=0.5)
