"""A stored array gives what NumPy gives, and a part of it knows its own chunks alone."""

from __future__ import annotations

import pickle
from typing import Any

import dask.array as da
import numpy as np
import pytest
from dask.callbacks import Callback
from hypothesis import given
from hypothesis import strategies as st

from napari_dtn.volume.opening import volume_from_array
from napari_dtn.volume.stored import StoredArray

SHAPE, SIZES = (5, 23, 30), (1, 8, 7)
VALUES = np.random.default_rng(0).integers(0, 255, SHAPE, dtype=np.uint8)


class Petabyte:
    """Values that are computed where they are asked for."""

    shape, dtype, ndim = (25_000, 200_000, 200_000), np.dtype("u1"), 3

    def __getitem__(self, key: tuple[slice, ...]) -> np.ndarray:
        z, y, x = (np.arange(one.start, one.stop) for one in key)
        return (z[:, None, None] + 3 * y[:, None] + 5 * x).astype("u1")


def side(length: int) -> st.SearchStrategy[Any]:
    plain = st.tuples(st.integers(-length, length), st.integers(-length, length)).map(
        lambda e: slice(*sorted(e))
    )
    steps = st.sampled_from([slice(None), slice(None, None, 2), slice(None, None, -1), slice(3, 3)])
    return st.one_of(plain, steps, st.integers(-length, length - 1), st.just([0, length - 1]))


@given(
    st.tuples(*map(side, SHAPE)).filter(lambda key: sum(isinstance(one, list) for one in key) < 2), st.data()
)
def test_every_part_is_what_numpy_gives(key: tuple[Any, ...], data: st.DataObject) -> None:
    lists = any(isinstance(one, list) for one in key)
    if lists and any(
        isinstance(one, int) for one in key
    ):  # whose order of axes NumPy and dask see differently
        key = tuple(slice(one, one + 1 or None) if isinstance(one, int) else one for one in key)
    found, expected = StoredArray.of(VALUES, SIZES)[key], VALUES[key]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)
    if expected.ndim and 0 not in expected.shape:
        again = data.draw(st.tuples(*map(side, expected.shape)))
        if not any(isinstance(one, list) for one in again):
            np.testing.assert_array_equal(found[again], expected[again])


@pytest.mark.parametrize(
    "key", [np.s_[1], np.s_[..., 4], np.s_[2:4, ...], np.s_[:, 3], np.s_[...], np.s_[-1, 2, -3]]
)
def test_axes_may_be_left_out(key: Any) -> None:
    np.testing.assert_array_equal(StoredArray.of(VALUES, SIZES)[key], VALUES[key])


def test_a_part_has_the_chunks_that_it_touches() -> None:
    part = StoredArray.of(VALUES, SIZES)[1:3, 5:20, 13:]
    assert part.chunks == ((1, 1), (3, 8, 4), (1, 7, 7, 2))
    assert part[:, 3:11].chunks[1] == (8,), "cut again where the storage is"


def test_reading_a_window_of_a_petabyte_makes_a_graph_of_a_few_steps() -> None:
    volume = StoredArray.of(Petabyte(), (1, 2048, 2048))
    window = volume[20_000, 100_000:103_000, 7:1007]
    assert len(window.__dask_graph__()) <= 4
    np.testing.assert_array_equal(window, Petabyte()[20_000:20_001, 100_000:103_000, 7:1007][0])
    assert int(volume[-1, 5, 6]) == (24_999 + 15 + 30) % 256


def test_it_is_a_dask_array_for_everything_else() -> None:
    array = StoredArray.of(VALUES, SIZES)
    np.testing.assert_array_equal(array + 1, VALUES + 1)
    np.testing.assert_array_equal(da.stack([array[0], array[4]]), VALUES[[0, 4]])
    np.testing.assert_array_equal(array.transpose(2, 0, 1)[4, :, 2:9], VALUES.transpose(2, 0, 1)[4, :, 2:9])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(array))[1, 2:9], VALUES[1, 2:9])


def test_reading_is_nothing_to_what_others_have_registered_with_dask() -> None:
    """napari's cache fails (KeyError) where one thread ends a computation while another computes."""
    begun = []
    foreign = da.from_array(VALUES, chunks=(1, 8, 7))
    own, wrapped = StoredArray.of(VALUES, SIZES), volume_from_array(foreign).data
    with Callback(pretask=lambda key, *_: begun.append(key)):
        np.testing.assert_array_equal(own[2], VALUES[2])
        np.testing.assert_array_equal(wrapped[3, 2:9], VALUES[3, 2:9])
        assert not begun
        np.asarray(foreign[0])
        assert begun, "as dask does by itself"


def test_a_foreign_dask_array_of_any_byte_order_is_a_volume() -> None:
    volume = volume_from_array(da.from_array(VALUES.astype(">u2"), chunks=(2, 8, 7)))
    assert volume.data.dtype == np.dtype("=u2")
    assert volume.data.chunks[0] == (1,) * 5, "a slice a chunk"
    np.testing.assert_array_equal(volume.data[3, 4:20], VALUES[3, 4:20])
