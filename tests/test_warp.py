"""What is drawn of a warp, against warps whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dtn.nn.tps import lattice, spline_grid
from napari_dtn.warp import Warp


def make_warp(matrix: np.ndarray, shift: tuple[float, float] = (0, 0), size: int = 28) -> Warp:
    """A level 4 warp of a 224 pixel tile at (100, 200), affine in normalised (x, y)."""
    rest = lattice(4)
    moved = rest @ torch.from_numpy(matrix.T) + torch.tensor(shift, dtype=torch.float64)
    grid = spline_grid(moved[None], size, size)[0]
    return Warp(grid.numpy(), moved.numpy(), rest.numpy(), 4, (100, 200))


def test_the_identity_does_nothing() -> None:
    warp = make_warp(np.eye(2))
    assert warp.displacement() == pytest.approx(0, abs=1e-9)
    np.testing.assert_allclose(warp.arrows[:, 1], 0, atol=1e-9)
    np.testing.assert_allclose(warp.determinant(), 1, atol=1e-9)


def test_map_pixels_lie_at_the_centres_of_what_they_cover() -> None:
    corners = make_warp(np.eye(2)).to_pixels(np.array([[-1.0, -1.0], [1.0, 1.0]]))
    # The first map pixel covers pixels 0 to 7 of the tile, the last 216 to 223.
    np.testing.assert_allclose(corners, [[103.5, 203.5], [319.5, 419.5]])


def test_a_shift_moves_every_fiducial_by_the_same_pixels() -> None:
    warp = make_warp(np.eye(2), shift=(0.1, -0.05))
    # Half the width of the map is 13.5 map pixels of 8 image pixels; x comes first in normalised points.
    np.testing.assert_allclose(warp.arrows[:, 1], [(-0.05 * 108, 0.1 * 108)] * 16, atol=1e-9)
    assert warp.displacement() == pytest.approx(108 * np.hypot(0.1, 0.05))


def test_the_determinant_of_an_affine_warp_is_its_own() -> None:
    matrix = np.array([[0.8, 0.2], [-0.1, 1.3]])
    np.testing.assert_allclose(make_warp(matrix).determinant(), np.linalg.det(matrix), atol=1e-9)


def test_a_mirrored_warp_has_a_negative_determinant() -> None:
    assert (make_warp(np.diag([-1.0, 1.0])).determinant() < 0).all()


def test_grid_lines_run_along_rows_and_columns() -> None:
    lines = make_warp(np.eye(2)).grid_lines(5)
    assert len(lines) == 10
    assert all(line.shape == (28, 2) for line in lines)
    for row in lines[:5]:
        assert np.ptp(row[:, 0]) == pytest.approx(0, abs=1e-9)
    for column in lines[5:]:
        assert np.ptp(column[:, 1]) == pytest.approx(0, abs=1e-9)
