"""Many tiles as one picture: seams, lattices, lines."""

from __future__ import annotations

import numpy as np
import pytest

from napari_dtn.volume.tiles import TileGrid
from napari_dtn.warp import Piece, arrow_segments, line_segments, mosaic, moves
from support.warps import affine, random_warp


def pieces_of(height: int, width: int, make, size: int = 224, overlap: int = 64) -> list[Piece]:
    grid = TileGrid(height, width, size, overlap)
    tiles = grid.over(slice(0, height), slice(0, width))
    return [Piece(make(number, (tile.y, tile.x)), *grid.owned(tile)) for number, tile in enumerate(tiles)]


@pytest.mark.parametrize("shape", [(512, 700), (225, 229), (100, 90)])
@pytest.mark.parametrize("step", [8, 7])
def test_the_pieces_of_a_slice_leave_no_gap(shape: tuple[int, int], step: int) -> None:
    determinants = np.linspace(0.5, 1.5, 40)
    pieces = pieces_of(*shape, lambda n, at: affine(np.diag([determinants[n], 1.0]), origin=at))
    picture, corner = mosaic(pieces, step)
    assert corner == (0, 0)
    assert picture.shape == tuple(-((step - 2 * side) // (2 * step)) for side in shape)

    def owner(y: float, x: float) -> int:
        inside = (p.y.start <= y < p.y.stop and p.x.start <= x < p.x.stop for p in pieces)
        return list(inside).index(True)

    centres = [np.arange(side) * step + step / 2 for side in picture.shape]
    owners = np.array([[owner(y, x) for x in centres[1]] for y in centres[0]])
    np.testing.assert_allclose(picture, np.log(determinants)[owners], atol=1e-9)


def test_a_fold_is_minus_infinity() -> None:
    (piece,) = pieces_of(224, 224, lambda n, at: affine(np.diag([-1.0, 1.0]), origin=at))
    assert (piece.log_area(8) == -np.inf).all()


def test_moves_are_the_displacements_of_a_shift() -> None:
    (piece,) = pieces_of(224, 224, lambda n, at: affine(np.eye(2), (0.1, -0.05), origin=at))
    arrows = moves(piece, 16)
    assert arrows.shape == (14 * 14, 2, 2)
    np.testing.assert_allclose(arrows[:, 1], [(-5.4, 10.8)] * 196, atol=1e-9)
    np.testing.assert_allclose(arrow_segments(piece, 3)[:, 1], [(-16.2, 32.4)] * 16, atol=1e-9)


def test_the_lines_of_the_identity_are_one_straight_grid_over_all_tiles() -> None:
    pieces = pieces_of(400, 300, lambda n, at: affine(np.eye(2), origin=at))
    segments = np.concatenate([line_segments(piece, 32, 8) for piece in pieces])
    ends = np.concatenate([segments[:, 0], segments.sum(1)])
    on_line = np.abs((ends + 0.5) / 32 - np.round((ends + 0.5) / 32)) < 1e-6
    assert on_line.any(axis=1).all()
    # 13 lines of 300 pixels and 10 of 400: no part is missing, none is there twice.
    assert np.linalg.norm(segments[:, 1], axis=1).sum() == pytest.approx(13 * 300 + 10 * 400)


def test_lines_follow_the_warp_and_are_exaggerated_by_a_factor() -> None:
    (piece,) = pieces_of(224, 224, lambda n, at: random_warp(1, 0.05, origin=at))
    straight, bent, doubled = (line_segments(piece, 32, 8, factor)[:, 0] for factor in (0, 1, 2))
    np.testing.assert_allclose(bent, piece.warp.look(straight))
    np.testing.assert_allclose(doubled - straight, 2 * (bent - straight))
