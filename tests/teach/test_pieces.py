"""Sparse annotation: it slices as the dense array that it was read from."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dtn.teach.pieces import Piece, Pieces, cut, masked, read_pieces, within

SHAPE = (3, 40, 50)


@pytest.fixture
def dense() -> np.ndarray:
    random = np.random.default_rng(0)
    known = np.zeros(SHAPE, np.uint8)
    known[0, 3:9, 4:30] = random.integers(0, 3, (6, 26))
    known[2, 30:40, 45:50] = 2
    return known


def pasted(pieces: list[Piece]) -> np.ndarray:
    found = np.zeros(SHAPE, np.uint8)
    for one in pieces:
        found[one.box] = np.maximum(found[one.box], one.known)
    return found


def test_pieces_slice_as_the_array(dense: np.ndarray) -> None:
    pieces = Pieces(SHAPE, tuple(read_pieces(dense, ())))
    assert len(pieces.pieces) == 2
    random = np.random.default_rng(1)
    for _ in range(200):
        (y0, y1), (x0, x1) = (sorted(random.integers(0, side + 4, 2)) for side in SHAPE[1:])
        z = int(random.integers(3))
        np.testing.assert_array_equal(pieces[z, y0:y1, x0:x1], dense[z, y0:y1, x0:x1])
    np.testing.assert_array_equal(pieces[2], dense[2])


def test_boxes_say_where_to_read(dense: np.ndarray) -> None:
    boxes = [(slice(0, 1), slice(0, 12), slice(0, 20)), (slice(1, 3), slice(25, 40), slice(40, 50))]
    expected = dense.copy()
    expected[0, :, 20:] = 0
    np.testing.assert_array_equal(pasted(read_pieces(dense, boxes)), expected)


def test_a_box_and_its_margin_are_cut_out(dense: np.ndarray) -> None:
    box = (slice(0, 2), slice(5, 7), slice(10, 12))
    kept = [part for one in read_pieces(dense, ()) for part in masked(one, ~within(one, [box], margin=3))]
    expected = dense.copy()
    expected[:2, 2:10, 7:15] = 0
    np.testing.assert_array_equal(pasted(kept), expected)


def test_cells_hold_every_pixel_once(dense: np.ndarray) -> None:
    (piece, _) = read_pieces(dense, ())
    cells = cut(piece, 5)
    assert sum(np.count_nonzero(one.known) for one in cells) == np.count_nonzero(dense[0])
    assert max(max(one.known.shape) for one in cells) <= 5
    np.testing.assert_array_equal(pasted(cells)[0], dense[0])
