"""Editing of ids: what is changed is what was asked for, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.draw import disk

from napari_dtn.segment import edits


def round_ids(radius: int = 20, number: int = 3) -> np.ndarray:
    ids = np.zeros((80, 80), np.uint32)
    ids[disk((40, 40), radius)] = number
    return ids


def test_overlap_decides_who_gets_shared_pixels() -> None:
    ids = np.array([[1, 1, 2, 2, 0, 5]], np.uint32)
    mask = np.array([[0, 1, 1, 0, 1, 0]], bool)
    assert edits.paint(ids, mask, 5, "keep").tolist() == [[1, 1, 2, 2, 5, 0]]
    assert edits.paint(ids, mask, 5, "cut").tolist() == [[1, 5, 5, 2, 5, 0]]
    assert edits.paint(ids, mask, 5, "replace").tolist() == [[0, 5, 5, 0, 5, 0]]


@pytest.mark.parametrize("overlap", ["keep", "cut", "replace"])
def test_locked_objects_keep_their_pixels(overlap: str) -> None:
    ids = np.array([[1, 1, 2, 2, 0]], np.uint32)
    out = edits.paint(ids, np.ones((1, 5), bool), 9, overlap, locked={1})
    assert (out[ids == 1] == 1).all()
    assert out[0, 4] == 9


def test_holes_are_filled_by_background_alone() -> None:
    ids = round_ids()
    ids[38:42, 38:42] = 0
    ids[50, 40] = 7
    out = edits.fill_holes(ids, 3)
    assert (out[38:42, 38:42] == 3).all()
    assert out[50, 40] == 7
    assert (out[ids == 3] == 3).all()
    assert (out[round_ids() == 0] == 0).all()


def test_smoothing_removes_hairs_and_leaves_others_alone() -> None:
    ids = round_ids()
    ids[40, 60:75] = 3
    ids[:, 15:19] = 8
    out = edits.smooth(ids, 3)
    assert not (out[40, 63:] == 3).any()
    assert ((out == 8) == (ids == 8)).all()
    assert abs(int((out == 3).sum()) - int((round_ids() == 3).sum())) < 40


def test_smoothing_keeps_parts_of_which_nothing_would_be_left() -> None:
    thin, small, oblique = (np.zeros((80, 80), np.uint32) for _ in range(3))
    thin[5:7, 5:75] = 3
    small[70:74, 70:74] = 3
    oblique[np.arange(62, 78), np.arange(2, 18)] = 3
    for ids in (thin, small, oblique):
        assert (edits.smooth(ids, 3) == ids).all()
    parts = thin | small | oblique
    together = edits.smooth(round_ids() | parts, 3)
    assert (together == (edits.smooth(round_ids(), 3) | parts)).all()


def test_squares_that_fill_their_box_are_led_over_alike() -> None:
    """Past the edges of the box is outside, as it is where the box is larger."""
    small, large = np.zeros((20, 20), bool), np.ones((20, 20), bool)
    small[5:15, 5:15] = True
    tight, wide = (edits.between(np.pad(large, by), np.pad(small, by), 3) for by in (0, 5))
    assert (tight == wide[:, 5:-5, 5:-5]).all()
    assert wide.sum() == tight.sum()
    assert 400 > tight[0].sum() > tight[1].sum() > tight[2].sum() > 100


def test_discs_between_two_discs_have_radii_in_between() -> None:
    masks = edits.between(round_ids(10) > 0, round_ids(22) > 0, 3)
    for mask, radius in zip(masks, (13, 16, 19), strict=True):
        assert mask.sum() == pytest.approx(np.pi * radius**2, rel=0.05)


def test_nothing_leads_from_an_empty_slice() -> None:
    with pytest.raises(ValueError, match="missing"):
        edits.between(np.zeros((5, 5), bool), np.ones((5, 5), bool), 2)


def test_splitting_and_relabelling_touch_their_object_alone() -> None:
    ids = np.array([[1, 1, 2, 2]], np.uint32)
    part = np.array([[0, 1, 1, 0]], bool)
    assert edits.relabel_part(ids, part, 1, 9).tolist() == [[1, 9, 2, 2]]
    assert edits.relabel(ids, [2], 0).tolist() == [[1, 1, 0, 0]]
