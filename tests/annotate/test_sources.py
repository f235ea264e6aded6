"""What is said about pixels, against the rule of what a boundary is and against what was drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, binary_erosion
from skimage.draw import disk
from skimage.segmentation import find_boundaries

from napari_dtn.annotate.sources import BOUNDARY, INSIDE, LEAVE, from_ids, from_object, reviewed_box


def test_a_reviewed_box_is_boundary_or_inside_and_keeps_what_was_painted() -> None:
    painted = np.random.default_rng(0).integers(0, 3, (2, 9, 11)).astype(np.uint8)
    out = reviewed_box(painted)
    assert (out[painted > 0] == painted[painted > 0]).all()
    assert (out[painted == 0] == INSIDE).all()


def test_ids_are_boundary_where_scikit_image_finds_it_or_where_they_are_0() -> None:
    ids = np.random.default_rng(1).integers(0, 4, (30, 40)).repeat(3, 0).repeat(3, 1)
    out = from_ids(ids)
    assert set(np.unique(out)) == {BOUNDARY, INSIDE}
    assert ((out == BOUNDARY) == (find_boundaries(ids, connectivity=1, mode="thick") | (ids == 0))).all()


@pytest.mark.parametrize("doubt", [0, 3])
def test_an_object_has_a_rim_a_doubt_and_an_inside(doubt: int) -> None:
    ids = np.zeros((60, 70), np.uint32)
    ids[disk((30, 30), 20)] = 5
    ids[:, 52:] = 8
    out = from_object(ids, 5, doubt)
    mine = ids == 5
    core = binary_erosion(mine)
    assert ((out == BOUNDARY) == (binary_dilation(mine) & ~core)).all()
    deep = binary_erosion(core, iterations=doubt) if doubt else core
    assert ((out == INSIDE) == deep).all()
    assert ((out == 0) == (core & ~deep)).all()
    assert (out[~binary_dilation(mine)] == LEAVE).all()


def test_an_object_ends_with_the_image_without_a_boundary() -> None:
    out = from_object(np.full((20, 20), 3), 3)
    assert (out == INSIDE).all()
    half = np.zeros((20, 20), int)
    half[:, :10] = 3
    out = from_object(half, 3)
    assert (out[:, 9:11] == BOUNDARY).all()
    assert (out[:, :6] == INSIDE).all()


def test_without_doubt_an_object_is_what_its_ids_say() -> None:
    ids = np.random.default_rng(2).integers(1, 4, (12, 12)).repeat(6, 0).repeat(6, 1)
    said, whole = from_object(ids, 2, doubt=0), from_ids(ids)
    there = ids == 2
    assert (said[there] == whole[there]).all()
