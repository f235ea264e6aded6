"""The warp of a tile, against affine warps in closed form, and against autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_dtn.nn.tps import lattice, spline_matrix
from support.warps import ORIGIN, affine, random_warp, warp_of

PIXELS = np.random.default_rng(1).uniform(ORIGIN, np.add(ORIGIN, 224), (40, 2))
MATRIX, SHIFT = np.array([[0.8, 0.2], [-0.1, 1.3]]), (0.05, -0.1)


def test_the_identity_does_nothing() -> None:
    warp = affine(np.eye(2))
    np.testing.assert_allclose(warp.look(PIXELS), PIXELS, atol=1e-9)
    np.testing.assert_allclose(warp.arrows[:, 1], 0, atol=1e-9)
    np.testing.assert_allclose(warp.determinant(PIXELS), 1, atol=1e-9)


def test_map_pixels_lie_at_the_centres_of_what_they_cover() -> None:
    corners = affine(np.eye(2)).to_pixels(np.array([[-1.0, -1.0], [1.0, 1.0]]))
    # The first map pixel covers pixels 0 to 7 of the tile, the last 216 to 223.
    np.testing.assert_allclose(corners, [[103.5, 203.5], [319.5, 419.5]])


def test_a_shift_moves_every_fiducial_by_the_same_pixels() -> None:
    warp = affine(np.eye(2), shift=(0.1, -0.05))
    # Half the width of the map is 13.5 map pixels of 8 image pixels; x comes first in normalised points.
    np.testing.assert_allclose(warp.arrows[:, 1], [(-0.05 * 108, 0.1 * 108)] * 16, atol=1e-9)
    np.testing.assert_allclose(warp.look(PIXELS) - PIXELS, [(-0.05 * 108, 0.1 * 108)] * 40, atol=1e-9)


def test_the_determinant_of_an_affine_warp_is_its_own() -> None:
    matrix = np.array([[0.8, 0.2], [-0.1, 1.3]])
    np.testing.assert_allclose(affine(matrix).determinant(PIXELS), np.linalg.det(matrix), atol=1e-9)


def test_a_mirrored_warp_has_a_negative_determinant() -> None:
    assert (affine(np.diag([-1.0, 1.0])).determinant(PIXELS) < 0).all()


def test_grid_lines_run_along_rows_and_columns() -> None:
    lines = affine(np.eye(2)).grid_lines(5)
    assert len(lines) == 10
    assert all(line.shape == (28, 2) for line in lines)
    for row in lines[:5]:
        assert np.ptp(row[:, 0]) == pytest.approx(0, abs=1e-9)
    for column in lines[5:]:
        assert np.ptp(column[:, 1]) == pytest.approx(0, abs=1e-9)


def test_the_spline_is_the_grid_of_the_network() -> None:
    warp = random_warp(0, 0.1)
    rows = np.stack(np.meshgrid(*(o + 3.5 + 8 * np.arange(28) for o in ORIGIN), indexing="ij"), -1)
    np.testing.assert_allclose(warp.look(rows), warp.to_pixels(warp.grid), atol=1e-8)


def test_an_affine_warp_looks_where_its_matrix_says() -> None:
    warp = affine(MATRIX, SHIFT)
    normalised = warp.to_normalised(PIXELS)
    np.testing.assert_allclose(
        warp.to_normalised(warp.look(PIXELS)), normalised @ MATRIX.T + SHIFT, atol=1e-12
    )
    # Along y and x, where the matrix is along x and y.
    np.testing.assert_allclose(warp.jacobian(PIXELS), [MATRIX[::-1, ::-1]] * 40, atol=1e-10)


def test_the_jacobian_is_that_of_autograd() -> None:
    warp = random_warp(3, 0.1)
    fiducials = torch.from_numpy(warp.fiducials)

    def spline(normalised: torch.Tensor) -> torch.Tensor:
        return spline_matrix(normalised[None], 4) @ fiducials

    for pixel in PIXELS[:8]:
        point = torch.from_numpy(warp.to_normalised(pixel).copy())
        expected = torch.autograd.functional.jacobian(spline, point)[0].numpy()
        np.testing.assert_allclose(warp.jacobian(pixel), expected[::-1, ::-1], atol=1e-9)


def test_at_a_fiducial_point_the_jacobian_is_finite() -> None:
    warp = random_warp(3, 0.1)
    at = warp.to_pixels(lattice(4).numpy())
    step = np.array([1e-4, 0])
    near = (warp.look(at + step) - warp.look(at - step)) / 2e-4
    np.testing.assert_allclose(warp.jacobian(at)[..., 0], near, atol=1e-3)


def test_the_inverse_of_an_affine_warp_is_that_of_its_matrix() -> None:
    warp = affine(MATRIX, SHIFT)
    for pixel in (PIXELS - ORIGIN) / 2 + ORIGIN + 56:  # those that some sample of the tile comes from
        place = warp.find(tuple(pixel))
        expected = np.linalg.solve(MATRIX, warp.to_normalised(pixel) - SHIFT)
        assert place.solutions == 1
        np.testing.assert_allclose(warp.to_normalised(np.array([place.y, place.x])), expected, atol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_what_is_looked_at_is_found(seed: int) -> None:
    warp = random_warp(seed, 0.06)
    inner = (PIXELS - ORIGIN) * 0.5 + ORIGIN + 56
    assert (warp.determinant(inner) > 0).all()
    for place in inner:
        found = warp.find(tuple(warp.look(place)))
        assert found.solutions == 1
        np.testing.assert_allclose((found.y, found.x), place, atol=1e-4)


def test_of_several_places_the_upright_one_nearest_to_the_pixel_counts() -> None:
    rest = lattice(4).numpy()
    # Folded along x like a Z: the middle columns of points have changed places.
    folded = rest.copy()
    folded[:, 0] = np.array([-0.75, 0.45, -0.45, 0.75])[np.arange(16) % 4]
    warp = warp_of(folded)
    pixel = (ORIGIN[0] + 112.0, ORIGIN[1] + 90.0)
    found = warp.find(pixel)
    place = np.array([found.y, found.x])
    along = np.stack([np.full(4001, pixel[0]), np.linspace(ORIGIN[1] - 0.5, ORIGIN[1] + 223.5, 4001)], 1)
    miss = warp.look(along)[:, 1] - pixel[1]
    crossings = along[:-1, 1][np.sign(miss[:-1]) != np.sign(miss[1:])]
    upright = [x for x in crossings if warp.determinant(np.array([pixel[0], x])) > 0]
    assert found.solutions == len(crossings) == 3
    np.testing.assert_allclose(warp.look(place), pixel, atol=1e-6)
    assert found.x == pytest.approx(min(upright, key=lambda x: abs(x - pixel[1])), abs=0.1)


def test_a_pixel_that_nothing_looks_at_takes_the_nearest_sample() -> None:
    found = affine(0.5 * np.eye(2)).find((ORIGIN[0] + 10, ORIGIN[1] + 112))
    assert found.solutions == 0
    assert found.y == ORIGIN[0] - 0.5  # the upper border, which looks at row 56
    assert found.x == pytest.approx(ORIGIN[1] + 112, abs=4)


def test_a_mirrored_warp_is_found_upside_down() -> None:
    found = affine(np.diag([-1.0, 1.0])).find((ORIGIN[0] + 60, ORIGIN[1] + 20))
    assert (found.y, found.x) == pytest.approx((ORIGIN[0] + 60, ORIGIN[1] + 203))
