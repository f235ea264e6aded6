"""Arrays to write, and what a volume read from them must be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from napari_dtn.volume.opening import Volume


def stack(shape: tuple[int, ...] = (5, 20, 30), dtype: str = "u1", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 200, shape).astype(dtype)


def check(volume: Volume, expected: np.ndarray) -> None:
    assert volume.data.dtype == expected.dtype
    assert volume.data.dtype.isnative
    assert volume.shape == expected.shape
    assert volume.data.chunksize[0] == 1
    np.testing.assert_array_equal(volume.data.compute(), expected)
