"""Blocks partition a box along the output's chunks, and waste little."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_dtn.predict.blocks import cut_into_blocks, mirrored
from napari_dtn.volume.tiles import TileGrid


@st.composite
def boxes(draw: st.DrawFn) -> tuple[slice, slice, slice]:
    starts = [draw(st.integers(0, 20)) for _ in range(3)]
    sides = [draw(st.integers(1, high)) for high in (6, 90, 90)]
    return tuple(slice(start, start + side) for start, side in zip(starts, sides, strict=True))


@given(
    boxes(),
    st.tuples(st.integers(1, 3), st.integers(1, 30), st.integers(1, 30)),
    st.integers(0, 4),
    st.integers(1, 60),
)
def test_blocks_partition_a_box_along_its_chunks(box, unit, slices, side) -> None:
    grid = TileGrid(120, 120, 16, 4)
    blocks = cut_into_blocks(box, grid, unit, slices, side)
    seen = np.zeros([axis.stop for axis in box], int)
    for number, block in enumerate(blocks):
        assert block.number == number
        parts = block.z, block.y, block.x
        seen[parts] += 1
        for part, axis, size in zip(parts, box, unit, strict=True):
            assert (part.start - axis.start) % size == 0
            assert part.stop == axis.stop or (part.stop - axis.start) % size == 0
        assert block.y.stop - block.y.start <= 4 * side + unit[1] - 1
        assert block.x.stop - block.x.start <= side + unit[2] - 1
    assert (seen[box] == 1).all()
    assert seen.sum() == seen[box].size
    assert blocks.tiles == sum(len(grid.over(b.y, b.x)) * (b.z.stop - b.z.start) for b in blocks)
    assert blocks.tiles == sum(map(blocks.tiles_in, blocks))


@pytest.mark.parametrize("side", [8193, 20_000, 65_536, 100_000])
def test_few_tiles_are_computed_twice(side: int) -> None:
    grid = TileGrid(side, side, 224, 64)
    blocks = cut_into_blocks((slice(0, 3), slice(0, side), slice(0, side)), grid, (1, 512, 512))
    assert 0 < blocks.twice < 0.035
    assert max(block.x.stop - block.x.start for block in blocks) <= 8192


def test_a_slice_of_usual_size_is_not_cut() -> None:
    grid = TileGrid(4096, 4096, 224, 24)
    blocks = cut_into_blocks((slice(0, 7), slice(0, 4096), slice(0, 4096)), grid, (1, 256, 256))
    assert (len(blocks), blocks.twice) == (7, 0)


def test_small_slices_share_a_block() -> None:
    """Otherwise the last batch of every slice would be a small one."""
    grid = TileGrid(1024, 1024, 224, 24)
    blocks = cut_into_blocks((slice(0, 100), slice(0, 1024), slice(0, 1024)), grid, (1, 256, 256))
    assert blocks[0].z == slice(0, 10)


@given(st.integers(1, 9), st.integers(0, 8), st.integers(1, 40))
def test_mirroring_is_that_of_numpy(length: int, start: int, size: int) -> None:
    start = min(start, length - 1)
    expected = np.pad(np.arange(length), (0, start + size), mode="reflect")[start : start + size]
    np.testing.assert_array_equal(mirrored(start, start + size, length), expected)
