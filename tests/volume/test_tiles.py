"""The lattice of tiles: every pixel is covered, and weights sum to one, whatever the shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_dtn.volume.tiles import TileGrid

grids = st.builds(
    lambda height, width, size, share: TileGrid(height, width, size, round(share * (size // 2))),
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(2, 32),
    st.floats(0, 1),
)


LENGTHS = st.tuples(st.integers(1, 400), st.integers(2, 64), st.floats(0, 1))


def weights(grid: TileGrid, y: slice, x: slice) -> np.ndarray:
    total = np.zeros((grid.height + 2 * grid.size, grid.width + 2 * grid.size))
    for tile in grid.over(y, x):
        total[tile.y : tile.y + tile.size, tile.x : tile.x + tile.size] += grid.window(tile)
    return total[: grid.height, : grid.width]


@given(grids)
@settings(max_examples=150, deadline=None)
def test_weights_sum_to_one_on_every_pixel_borders_included(grid: TileGrid) -> None:
    total = weights(grid, slice(0, grid.height), slice(0, grid.width))
    np.testing.assert_allclose(total, 1, atol=1e-6)


@given(grids, st.data())
@settings(max_examples=150, deadline=None)
def test_a_region_is_covered_by_its_own_tiles_alone(grid: TileGrid, data: st.DataObject) -> None:
    y0 = data.draw(st.integers(0, grid.height - 1))
    x0 = data.draw(st.integers(0, grid.width - 1))
    y = slice(y0, data.draw(st.integers(y0 + 1, grid.height)))
    x = slice(x0, data.draw(st.integers(x0 + 1, grid.width)))
    np.testing.assert_allclose(weights(grid, y, x)[y, x], 1, atol=1e-6)
    for tile in grid.over(y, x):
        assert tile.y < y.stop
        assert tile.y + tile.size > y.start
        assert tile.x < x.stop
        assert tile.x + tile.size > x.start


def test_the_lattice_is_anchored_at_the_origin() -> None:
    grid = TileGrid(1024, 1024, 224, 64)
    assert grid.counts == (6, 6)
    assert [(tile.y, tile.x) for tile in grid.over(slice(0, 1), slice(0, 1024))][:3] == [
        (0, 0),
        (0, 160),
        (0, 320),
    ]
    # The same tiles, whether asked for as part of a region or of the whole.
    whole = set(grid.over(slice(0, 1024), slice(0, 1024)))
    assert set(grid.over(slice(300, 310), slice(700, 900))) < whole


@given(LENGTHS)
@settings(max_examples=300, deadline=None)
def test_tiles_are_spread_from_border_to_border(axis: tuple[int, int, float]) -> None:
    """As few as overlap enough, no two steps further apart than rounding makes them, none past the end."""
    length, size, share = axis
    overlap = round(share * (size // 2))
    grid = TileGrid(1, length, size, overlap)
    starts = [tile.x for tile in grid.over(slice(0, 1), slice(0, length))]
    steps = np.diff(starts)
    assert starts[0] == 0
    assert starts[-1] + size == max(length, size)
    assert len(starts) == max(1, -(-(length - overlap) // (size - overlap)))
    assert (size - steps >= overlap).all()
    assert np.ptp(steps) <= 1 if len(steps) else length <= size


@given(LENGTHS)
@settings(max_examples=150, deadline=None)
def test_weights_are_positive_on_the_slice(axis: tuple[int, int, float]) -> None:
    """Even where more than two tiles share a pixel: the lattice counts every tile that touches a region."""
    length, size, share = axis
    grid = TileGrid(1, length, size, round(share * (size // 2)))
    for tile in grid.over(slice(0, 1), slice(0, length)):
        window = grid.window(tile)
        assert (window >= 0).all()
        assert window.max() <= 1 + 1e-6


def test_a_size_that_does_not_fit_keeps_its_border_tiles_inside() -> None:
    grid = TileGrid(100, 700, 224, 64)
    assert [tile.x for tile in grid.over(slice(0, 1), slice(0, 700))] == [0, 159, 317, 476]
    assert grid.counts == (1, 4)


def test_the_tile_at_a_pixel_weighs_most_there() -> None:
    grid = TileGrid(100, 100, 32, 16)
    for y, x in ((0, 0), (17, 40), (99, 99), (50, 3)):
        best = grid.at(y, x)
        there = {
            tile: grid.window(tile)[y - tile.y, x - tile.x]
            for tile in grid.over(slice(y, y + 1), slice(x, x + 1))
        }
        assert there[best] == max(there.values())


@pytest.mark.parametrize("overlap", [-1, 17])
def test_an_overlap_that_does_not_fit_is_named(overlap: int) -> None:
    with pytest.raises(ValueError, match=f"overlap is {overlap}; tiles of 32 pixels allow 0 to 16"):
        TileGrid(100, 100, 32, overlap)


@pytest.mark.parametrize(("size", "overlap"), [(16, 6), (16, 7), (16, 0), (8, 1)])
def test_every_pixel_is_owned_by_the_tile_that_weighs_most(size: int, overlap: int) -> None:
    grid = TileGrid(37, 50, size, overlap)
    owner = np.full((37, 50), -1)
    tiles = grid.over(slice(0, 37), slice(0, 50))
    for number, tile in enumerate(tiles):
        assert (owner[grid.owned(tile)] == -1).all()
        owner[grid.owned(tile)] = number
    expected = [[tiles.index(grid.at(y, x)) for x in range(50)] for y in range(37)]
    np.testing.assert_array_equal(owner, expected)
